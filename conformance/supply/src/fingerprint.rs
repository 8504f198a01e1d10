//! What a model file is made of, as digests: so that a changed model shows as what was changed in it.
//!
//! A part's digest covers what it means and not how it lies in the file: keys and tensors in another order, or at other offsets, are the
//! same part. The file's own sha256 covers everything else.

use gguf::{Draft, File, Value};
use machine::files::digest;
use printable::{hex, short_digest};
use record::fingerprint::{Fingerprint, ModelDigests, PartDigest};
use sha2::{Digest, Sha256};

/// The key of the template that turns a conversation into a prompt.
const CHAT_TEMPLATE: &[u8] = b"tokenizer.chat_template";

/// The fingerprint of a model's files whose sha256 is known, of which the first has the keys.
pub fn of(files: &[File<'_>], sha256: &str) -> Fingerprint {
    digests(files, sha256).fingerprint
}

/// The digests of a model's files, and of every key and tensor in them.
pub fn digests(files: &[File<'_>], sha256: &str) -> ModelDigests {
    let (mut hyper_parameters, mut about, mut tokenizer, mut chat_template) = (vec![], vec![], vec![], vec![]);
    let of_first = files.first().map(|file| (Draft::from(file).keys, file.metadata()));
    for (key, (name, value)) in of_first.iter().flat_map(|(keys, metadata)| keys.iter().zip(metadata.iter())) {
        let section = match &key.key[..] {
            CHAT_TEMPLATE => &mut chat_template,
            key if key.starts_with(b"tokenizer.") => &mut tokenizer,
            key if key.starts_with(b"general.") && key != b"general.architecture" => &mut about,
            _ => &mut hyper_parameters,
        };
        let what = match value {
            Value::Array(array) => format!("{} x {}", array.len(), array.element_type().name()),
            Value::String(text) => format!("string of {} bytes", text.len()),
            number => format!("{} {}", number.value_type().name(), number.summary()),
        };
        let what = match value.as_str() {
            Some(text) if text.len() <= 64 && !text.contains('\n') => format!("string {text:?}"),
            _ => what,
        };
        section.push(PartDigest { name: vocabulary::escape(name), what, digest: twelve(&digest(&key.value)) });
    }
    let tensors = files.iter().flat_map(|file| file.tensors().iter().map(move |tensor| (file, tensor)));
    let weights = tensors.map(|(file, tensor)| PartDigest {
        name: vocabulary::escape(tensor.name),
        what: format!("{} {:?}", tensor.weight_type.name(), tensor.dimensions.to_vec()),
        digest: twelve(&digest(file.data(tensor))),
    });
    let mut weights: Vec<PartDigest> = weights.collect();
    for section in [&mut hyper_parameters, &mut about, &mut tokenizer, &mut chat_template, &mut weights] {
        section.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let fingerprint = Fingerprint {
        file: sha256.into(),
        hyper_parameters: together(&hyper_parameters),
        tokenizer: together(&tokenizer),
        chat_template: together(&chat_template),
        weights: together(&weights),
    };
    ModelDigests { fingerprint, hyper_parameters, about, tokenizer, chat_template, weights }
}

/// The digest of a section.
fn together(parts: &[PartDigest]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.name.len() as u64).to_le_bytes());
        hash.update(&part.name);
        hash.update(&part.what);
        hash.update(&part.digest);
    }
    twelve(&hex(&hash.finalize()))
}

fn twelve(digest: &str) -> String {
    short_digest(digest).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::fingerprint::PartChange;
    use smith::Recipe;

    fn of(bytes: &[u8]) -> Fingerprint {
        super::of(&[File::lenient(bytes).unwrap()], &digest(bytes))
    }

    fn changed(change: impl FnOnce(&mut Draft<'_>)) -> (Vec<PartChange>, ModelDigests) {
        let bytes = "llama/q4_0".parse::<Recipe>().unwrap().build().unwrap();
        let file = File::lenient(&bytes).unwrap();
        let mut draft = Draft::from(&file);
        draft
            .remove_key("tokenizer.ggml.tokens")
            .strings("tokenizer.ggml.tokens", &["a", "b"])
            .str("tokenizer.chat_template", "{{ messages }}");
        let before = of(&draft.finish());
        change(&mut draft);
        let bytes = draft.finish();
        (of(&bytes).changes(&before), digests(&[File::lenient(&bytes).unwrap()], &digest(&bytes)))
    }

    #[test]
    fn a_change_shows_as_what_it_is() {
        let (changes, digests) =
            changed(|draft| _ = draft.remove_key("llama.rope.freq_base").f32("llama.rope.freq_base", 12_345.0));
        assert!(changes.len() == 1 && changes[0].part.starts_with("the hyper-parameters"), "{changes:?}");
        let base = digests.hyper_parameters.iter().find(|part| part.name == "llama.rope.freq_base").unwrap();
        assert_eq!(base.what, "float32 12345");
        let (changes, _) =
            changed(|draft| _ = draft.remove_key("tokenizer.ggml.tokens").strings("tokenizer.ggml.tokens", &["a", "c"]));
        assert!(changes.len() == 1 && changes[0].part.starts_with("the tokenizer"), "{changes:?}");
        let (changes, _) =
            changed(|draft| _ = draft.remove_key("tokenizer.chat_template").str("tokenizer.chat_template", "{{ other }}"));
        assert!(changes.len() == 1 && changes[0].part.starts_with("the chat template"), "{changes:?}");
        let (changes, _) = changed(|draft| draft.tensors[3].data.to_mut()[0] ^= 1);
        assert!(changes.len() == 1 && changes[0].part.starts_with("the weights"), "{changes:?}");
    }

    #[test]
    fn another_layout_is_the_same_model_in_another_file() {
        let (changes, _) = changed(|draft| draft.keys.reverse());
        assert!(changes.len() == 1 && changes[0].part.starts_with("the model's file, but neither"), "{changes:?}");
        assert!(changed(|_| {}).0.is_empty());
    }
}
