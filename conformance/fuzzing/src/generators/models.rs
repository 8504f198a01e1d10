//! Hostile models: valid tiny models, changed in a few places, to be loaded with their tensor data, run for two tokens, and asked to
//! tokenise a text.
//!
//! An input is read in records of 16 bytes. The first chooses the model and how it is loaded, each of the others one change; no input,
//! and zeros, are a valid model. So a small change of an input is a small change of the files, and most inputs get far: what lies
//! behind a loader's first check is only reached by those.

use super::{
    changes::{LARGEST, change},
    keys::architecture,
    tables::TEXTS,
    traits::Traits,
};
use arbitrary::{Result, Unstructured};
use gguf::{Draft, DraftTensor, File, Value, WeightType};
use smith::Recipe;
use std::{borrow::Cow, sync::LazyLock};
use vectors::{Expected, bytes_of};

/// Bytes of input that the choice of the model or a change is drawn from.
const RECORD: usize = 16;
/// The most changes; further input is not read.
const CHANGES: usize = 8;

/// Models beside the vectors': of every architecture that there are recipes for, as small as the recipe allows, with a vocabulary that has
/// byte tokens.
const RECIPES: [&str; 16] = [
    "llama+layers=1+width=32+heads=2+kv-heads=1+hidden=32/f32",
    "llama+layers=1+width=32+heads=2+kv-heads=1+hidden=32+tied=1/q4_0",
    "llama+layers=2+width=32+heads=2+kv-heads=1+hidden=32+rope-factors=8+rope-scaling=yarn/q8_0",
    "llama+layers=1+width=32+heads=2+kv-heads=1+hidden=32+experts=2/f16",
    "qwen2+layers=1+width=32+heads=2+kv-heads=1+hidden=32/f32",
    "qwen3+layers=1+width=32+heads=2+kv-heads=1+head=16+hidden=32/q5_1",
    "qwen3moe+layers=1+width=32+heads=2+kv-heads=1+head=16+hidden=32+experts=2+expert-hidden=32/f32",
    // Short heads: candle fills tables of the rotation for 131,072 positions in each layer (`quantized_gemma3.rs:79-84`).
    // source: candle-transformers `src/models/quantized_gemma3.rs:79-84` `let idx_theta = Tensor::arange(0, MAX_SEQ_LEN as u32, device` to `let sin = idx_theta.sin()?;`
    "gemma3+layers=2+width=32+heads=2+kv-heads=1+head=4+hidden=32/f32",
    "phi2+layers=1+width=32+heads=2+kv-heads=2+hidden=32/f32",
    "phi3+layers=1+width=32+heads=2+kv-heads=1+hidden=32/q4_1",
    "glm4+layers=1+width=32+heads=2+kv-heads=1+hidden=32/f32",
    "lfm2+layers=2+width=32+heads=2+kv-heads=1+hidden=32/f32",
    "smollm3+layers=1+width=32+heads=2+kv-heads=1+head=16+hidden=32/f32",
    "gemma2+layers=1+width=32+heads=2+kv-heads=1+hidden=32/q5_0",
    "olmo2+layers=1+width=32+heads=2+kv-heads=2+hidden=32/f32",
    "granite+layers=1+width=32+heads=2+kv-heads=1+hidden=32/bf16",
];

/// The valid models that changes are made to: the vectors' least models of every architecture, then [`RECIPES`].
static MODELS: LazyLock<Vec<Draft<'static>>> = LazyLock::new(|| {
    let vectors = vectors::all().into_iter().filter(|group| group.group == "models").flat_map(|group| group.tests);
    let complete = vectors.filter(|vector| {
        vector.result == Expected::Valid && vector.flags.iter().any(|flag| flag == "Architecture") && vector.files.len() == 1
    });
    let of_vectors = complete.filter_map(|vector| bytes_of(vector.files.first()?, LARGEST));
    let of_recipes = RECIPES.iter().filter_map(|recipe| recipe.parse::<Recipe>().ok()?.build().ok());
    let draft = |bytes: Vec<u8>| File::lenient(&bytes).map_or_else(|_| Draft::new(), |file| owned(&Draft::from(&file)));
    of_vectors.chain(of_recipes).map(draft).collect()
});

/// What an input comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Mutated {
    /// The model's files: one, or two of a split model.
    pub files: Vec<Vec<u8>>,
    /// An adapter for the model.
    pub adapter: Option<Vec<u8>>,
    /// Maps the file, rather than reading it.
    pub map: bool,
    /// Asks the loader to look at the values of all tensors.
    pub check_tensors: bool,
    /// The tokens to evaluate; a model with fewer takes them modulo their number.
    pub tokens: [u32; 2],
    /// The text to tokenise.
    pub text: &'static str,
    /// What tells known findings that leave no words.
    pub traits: Traits,
}

/// The files that an input stands for. Fails on no input.
///
/// # Errors
/// None of its own; the type is that of everything that draws from [`Unstructured`].
pub fn mutated(input: &[u8]) -> Result<Mutated> {
    let mut u = Unstructured::new(input);
    let first = &mut record(&mut u)?;
    let number = usize::from(first.arbitrary::<u8>()?) % MODELS.len().max(1);
    let tokens = [first.arbitrary::<u8>()?.into(), first.arbitrary::<u8>()?.into()];
    let text = *first.choose(&TEXTS)?;
    let flags: u8 = first.arbitrary()?;
    let (map, check_tensors) = (flags & 1 != 0, flags & 2 != 0);
    // The model may be in two files, and may have an adapter; not often, because most models are and have not.
    let (is_split, is_adapted) = (flags & 0x1c == 0x1c, flags & 0xe0 == 0xe0);
    let cut = first.arbitrary::<u16>()?;

    let mut drafts = vec![MODELS.get(number).cloned().unwrap_or_default()];
    if is_split && let Some(whole) = drafts.first_mut() {
        let second = split(whole);
        drafts.push(second);
    }
    if is_adapted && let Some(adapter) = drafts.first().map(adapter) {
        drafts.push(adapter);
    }
    for _ in 0..CHANGES {
        if u.is_empty() {
            break;
        }
        let u = &mut record(&mut u)?;
        let which = usize::from(u.arbitrary::<u8>()?) % drafts.len();
        if let Some(draft) = drafts.get_mut(which) {
            change(draft, u)?;
        }
    }
    let second = if is_split { drafts.get(1) } else { None };
    let traits = drafts.first().map_or_else(Traits::default, |first| Traits::of(first, second));
    let mut files: Vec<Vec<u8>> = drafts.iter().map(Draft::finish).collect();
    let adapter = if is_adapted { files.pop() } else { None };
    // A file that ends early, now and then.
    if cut & 0xf000 == 0xf000
        && let Some(file) = files.last_mut()
    {
        file.truncate(file.len() * usize::from(cut & 0xfff) / 0x1000);
    }
    Ok(Mutated { files, adapter, map, check_tensors, tokens, text, traits })
}

/// The next record of the input.
fn record<'a>(u: &mut Unstructured<'a>) -> Result<Unstructured<'a>> {
    let len = u.len().min(RECORD);
    Ok(Unstructured::new(u.bytes(len)?))
}

/// The same draft with bytes of its own.
fn owned(draft: &Draft<'_>) -> Draft<'static> {
    let own = |bytes: &Cow<'_, [u8]>| Cow::Owned(bytes.to_vec());
    Draft {
        keys: draft.keys.iter().map(|key| gguf::DraftKey { key: own(&key.key), value: own(&key.value), ..*key }).collect(),
        tensors: draft
            .tensors
            .iter()
            .map(|tensor| DraftTensor {
                name: own(&tensor.name),
                data: own(&tensor.data),
                dimensions: tensor.dimensions.clone(),
                // Offsets follow from the tensors before, so that a change leaves the table sound.
                place: None,
                ..*tensor
            })
            .collect(),
        padding: None,
        tail: None,
        ..*draft
    }
}

/// Takes half of the tensors into a second file, and gives both the keys of a split model.
fn split(first: &mut Draft<'static>) -> Draft<'static> {
    let all = first.tensors.len();
    let mut second = Draft::new();
    second.tensors = first.tensors.split_off(all / 2);
    for (number, draft) in [&mut *first, &mut second].into_iter().enumerate() {
        draft
            .value("split.no", Value::U16(number as u16))
            .value("split.count", Value::U16(2))
            .value("split.tensors.count", Value::I32(all as i32));
    }
    second
}

/// A low-rank adapter for the first matrices of a model.
fn adapter(model: &Draft<'static>) -> Draft<'static> {
    let mut draft = Draft::new();
    draft.str("general.type", "adapter").str("adapter.type", "lora").f32("adapter.lora.alpha", 2.0);
    draft.str("general.architecture", &architecture(model));
    let of_layers = model.tensors.iter().filter(|tensor| tensor.name.starts_with(b"blk.") && tensor.dimensions.len() == 2);
    for tensor in of_layers.take(2) {
        let [inputs, outputs] = [0, 1].map(|at| tensor.dimensions.get(at).copied().unwrap_or(1));
        let name = String::from_utf8_lossy(&tensor.name).into_owned();
        for (part, dimensions) in [("lora_a", [inputs, 2]), ("lora_b", [2, outputs])] {
            let data = vec![0; 4 * (dimensions[0] * dimensions[1]) as usize];
            draft.tensor(&format!("{name}.{part}"), &dimensions, WeightType::F32, data);
        }
    }
    draft
}
