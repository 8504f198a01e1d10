//! What a model file is made of, as digests: so that a changed model shows as what was changed in it.
//!
//! A part's digest covers what it means and not how it lies in the file: keys and tensors in another order, or at other offsets, are the
//! same part. The file's own sha256 covers everything else.

use gguf::{Draft, File, Value};
use machine::files::digest;
use printable::{Page, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a digest that people read.
const SHORT: usize = 12;
/// The key of the template that turns a conversation into a prompt.
const CHAT_TEMPLATE: &[u8] = b"tokenizer.chat_template";

/// Digests of the parts of a model, as people read them: 12 hexadecimal digits of the sha256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fingerprint {
    /// Of the whole file: all 64 digits.
    pub file: String,
    /// Of the keys that say how the graph is computed: those of the architecture, and its name.
    pub hyper_parameters: String,
    /// Of the tokenizer's keys.
    pub tokenizer: String,
    /// Of the chat template.
    pub chat_template: String,
    /// Of the tensors: names, types, dimensions and data.
    pub weights: String,
}

/// A key or a tensor, and what of it people compare.
struct Part {
    name: String,
    what: String,
    digest: String,
}

impl Part {
    fn digest_of(parts: &[Self]) -> String {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.name.len() as u64).to_le_bytes());
            hash.update(&part.name);
            hash.update(&part.what);
            hash.update(&part.digest);
        }
        short(&hex(&hash.finalize()))
    }
}

fn short(digest: &str) -> String {
    digest.get(..SHORT).unwrap_or(digest).to_owned()
}

/// The parts of a file by section, each in the order of their names.
struct Parts {
    hyper_parameters: Vec<Part>,
    about: Vec<Part>,
    tokenizer: Vec<Part>,
    chat_template: Vec<Part>,
    weights: Vec<Part>,
}

impl Parts {
    /// Those of a model's files, of which the first has the keys.
    fn of(files: &[File<'_>]) -> Self {
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
            section.push(Part { name: vocabulary::escape(name), what, digest: short(&digest(&key.value)) });
        }
        let tensors = files.iter().flat_map(|file| file.tensors().iter().map(move |tensor| (file, tensor)));
        let weights = tensors.map(|(file, tensor)| Part {
            name: vocabulary::escape(tensor.name),
            what: format!("{} {:?}", tensor.weight_type.name(), tensor.dimensions.to_vec()),
            digest: short(&digest(file.data(tensor))),
        });
        let mut parts = Self { hyper_parameters, about, tokenizer, chat_template, weights: weights.collect() };
        for section in
            [&mut parts.hyper_parameters, &mut parts.about, &mut parts.tokenizer, &mut parts.chat_template, &mut parts.weights]
        {
            section.sort_by(|a, b| a.name.cmp(&b.name));
        }
        parts
    }
}

impl Fingerprint {
    /// The fingerprint of a model's files whose sha256 is known.
    pub fn of(files: &[File<'_>], sha256: &str) -> Self {
        Self::of_parts(&Parts::of(files), sha256)
    }

    fn of_parts(parts: &Parts, sha256: &str) -> Self {
        Self {
            file: sha256.into(),
            hyper_parameters: Part::digest_of(&parts.hyper_parameters),
            tokenizer: Part::digest_of(&parts.tokenizer),
            chat_template: Part::digest_of(&parts.chat_template),
            weights: Part::digest_of(&parts.weights),
        }
    }

    /// Where this differs from an older one, in words.
    pub fn changes(&self, old: &Self) -> Vec<String> {
        let parts = [
            ("the hyper-parameters", &old.hyper_parameters, &self.hyper_parameters),
            ("the tokenizer", &old.tokenizer, &self.tokenizer),
            ("the chat template", &old.chat_template, &self.chat_template),
            ("the weights", &old.weights, &self.weights),
        ];
        let mut changes: Vec<String> = parts
            .into_iter()
            .filter(|(_, old, new)| old != new)
            .map(|(what, old, new)| format!("{what} of the model: {old}, now {new}"))
            .collect();
        if changes.is_empty() && old.file != self.file {
            let words = "the model's file, but neither its hyper-parameters, tokenizer, chat template nor weights";
            changes.push(format!("{words}: {}, now {}", short(&old.file), short(&self.file)));
        }
        changes
    }
}

/// Everything that a fingerprint is made of, a line each: values where they are short, and digests.
pub fn listing(file: &File<'_>, sha256: &str) -> Page {
    let parts = Parts::of(std::slice::from_ref(file));
    let whole = Fingerprint::of_parts(&parts, sha256);
    let mut out = Page::of(format_args!("file  {sha256}"));
    for (title, digest, section) in [
        ("hyper-parameters", whole.hyper_parameters.as_str(), &parts.hyper_parameters),
        ("about the model", "", &parts.about),
        ("tokenizer", &whole.tokenizer, &parts.tokenizer),
        ("chat template", &whole.chat_template, &parts.chat_template),
        ("weights", &whole.weights, &parts.weights),
    ] {
        out.blank();
        writeln!(out, "{title}  {digest}");
        let width = |of: fn(&Part) -> &str| section.iter().map(|part| of(part).chars().count()).max().unwrap_or(0);
        let (names, whats) = (width(|part| &part.name), width(|part| &part.what));
        for Part { name, what, digest } in section {
            writeln!(out, "  {name:names$}  {what:whats$}  {digest}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use smith::Recipe;

    fn of(bytes: &[u8]) -> Fingerprint {
        Fingerprint::of(&[File::lenient(bytes).unwrap()], &digest(bytes))
    }

    fn changed(change: impl FnOnce(&mut Draft<'_>)) -> (Vec<String>, String) {
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
        (of(&bytes).changes(&before), listing(&File::lenient(&bytes).unwrap(), &digest(&bytes)).to_string())
    }

    #[test]
    fn a_change_shows_as_what_it_is() {
        let (changes, listing) =
            changed(|draft| _ = draft.remove_key("llama.rope.freq_base").f32("llama.rope.freq_base", 12_345.0));
        assert!(changes.len() == 1 && changes[0].contains("the hyper-parameters"), "{changes:?}");
        assert!(listing.contains("llama.rope.freq_base") && listing.contains("float32 12345"), "{listing}");
        let (changes, _) =
            changed(|draft| _ = draft.remove_key("tokenizer.ggml.tokens").strings("tokenizer.ggml.tokens", &["a", "c"]));
        assert!(changes.len() == 1 && changes[0].contains("the tokenizer"), "{changes:?}");
        let (changes, _) =
            changed(|draft| _ = draft.remove_key("tokenizer.chat_template").str("tokenizer.chat_template", "{{ other }}"));
        assert!(changes.len() == 1 && changes[0].contains("the chat template"), "{changes:?}");
        let (changes, _) = changed(|draft| draft.tensors[3].data.to_mut()[0] ^= 1);
        assert!(changes.len() == 1 && changes[0].contains("the weights"), "{changes:?}");
    }

    #[test]
    fn another_layout_is_the_same_model_in_another_file() {
        let (changes, _) = changed(|draft| draft.keys.reverse());
        assert!(changes.len() == 1 && changes[0].contains("the model's file, but neither"), "{changes:?}");
        assert!(changed(|_| {}).0.is_empty());
    }
}
