//! Loading hostile models: valid tiny models, changed in a few places, loaded with their tensor data, run for two tokens, and asked to
//! tokenise a text.
//!
//! An input is read in records of 16 bytes. The first chooses the model and how it is loaded, each of the others one change; no input,
//! and zeros, are a valid model. So a small change of an input is a small change of the files, and most inputs get far: what lies
//! behind a loader's first check is only reached by those.

use crate::{findings, memory, statistics};
use arbitrary::{Result, Unstructured};
use gguf::{Draft, DraftTensor, File, Value, ValueType, WeightType};
use smith::Recipe;
use std::{borrow::Cow, sync::LazyLock};
use vectors::{Expected, bytes_of};
use vocabulary::Reached;

/// Bytes of input that the choice of the model or a change is drawn from.
const RECORD: usize = 16;
/// The most changes; further input is not read.
const CHANGES: usize = 8;
/// No tensor and no array is made larger than this, in bytes.
const LARGEST: u64 = 1 << 16;

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

/// Numbers at which something changes; the one before the last is -2 in 32 bits.
const EDGES: [u64; 16] =
    [0, 1, 2, 3, 7, 8, 31, 64, 255, 513, 0xffff, i32::MAX as u64, 1 << 31, u32::MAX as u64, i64::MAX as u64 - 1, u64::MAX];

/// Real numbers at which something changes.
const REALS: [f32; 12] =
    [0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

/// Texts that loaders compare with, or stumble over.
const TEXTS: [&str; 44] = [
    "",
    "a",
    "llama",
    "gpt2",
    "bert",
    "t5",
    "rwkv",
    "plamo2",
    "no_vocab",
    "none",
    "default",
    "qwen2",
    "llama-bpe",
    "gpt-2",
    "deepseek-llm",
    "tekken",
    "command-r",
    "smollm",
    "gpt-4o",
    "chatglm-bpe",
    "jina-v2-code",
    "linear",
    "yarn",
    "longrope",
    "su",
    "gelu",
    "silu",
    "<s>",
    "</s>",
    "<unk>",
    "<|im_end|>",
    "<|endoftext|>",
    "<0x0A>",
    "<0x-1>",
    "<0xZZ>",
    "<0x",
    "\n",
    " ",
    "\u{2581}",
    "\u{2581}\u{2581}",
    "\u{1f600}",
    "\u{0}",
    "a b",
    "{{ messages }}",
];

/// Keys behind the architecture's name that a loader may look for, with the kind of value.
const KEYS: [(&str, Kind); 64] = [
    ("vocab_size", Kind::Count),
    ("context_length", Kind::Count),
    ("embedding_length", Kind::Count),
    ("embedding_length_out", Kind::Count),
    ("block_count", Kind::Count),
    ("leading_dense_block_count", Kind::Count),
    ("feed_forward_length", Kind::Count),
    ("feed_forward_length", Kind::Counts),
    ("expert_feed_forward_length", Kind::Count),
    ("expert_shared_feed_forward_length", Kind::Count),
    ("use_parallel_residual", Kind::Switch),
    ("expert_count", Kind::Count),
    ("expert_used_count", Kind::Count),
    ("expert_shared_count", Kind::Count),
    ("expert_group_count", Kind::Count),
    ("expert_group_used_count", Kind::Count),
    ("expert_weights_scale", Kind::Real),
    ("expert_weights_norm", Kind::Switch),
    ("expert_gating_func", Kind::Count),
    ("moe_every_n_layers", Kind::Count),
    ("nextn_predict_layers", Kind::Count),
    ("pooling_type", Kind::Count),
    ("logit_scale", Kind::Real),
    ("attn_logit_softcapping", Kind::Real),
    ("final_logit_softcapping", Kind::Real),
    ("residual_scale", Kind::Real),
    ("embedding_scale", Kind::Real),
    ("attention.head_count", Kind::Count),
    ("attention.head_count", Kind::Counts),
    ("attention.head_count_kv", Kind::Count),
    ("attention.head_count_kv", Kind::Counts),
    ("attention.max_alibi_bias", Kind::Real),
    ("attention.clamp_kqv", Kind::Real),
    ("attention.key_length", Kind::Count),
    ("attention.value_length", Kind::Count),
    ("attention.layer_norm_epsilon", Kind::Real),
    ("attention.layer_norm_rms_epsilon", Kind::Real),
    ("attention.causal", Kind::Switch),
    ("attention.q_lora_rank", Kind::Count),
    ("attention.kv_lora_rank", Kind::Count),
    ("attention.relative_buckets_count", Kind::Count),
    ("attention.sliding_window", Kind::Count),
    ("attention.sliding_window_pattern", Kind::Count),
    ("attention.sliding_window_pattern", Kind::Switches),
    ("attention.scale", Kind::Real),
    ("attention.temperature_length", Kind::Count),
    ("attention.key_length_swa", Kind::Count),
    ("attention.value_length_swa", Kind::Count),
    ("attention.shared_kv_layers", Kind::Count),
    ("rope.dimension_count", Kind::Count),
    ("rope.dimension_sections", Kind::Counts),
    ("rope.freq_base", Kind::Real),
    ("rope.freq_base_swa", Kind::Real),
    ("rope.scale_linear", Kind::Real),
    ("rope.scaling.type", Kind::Text),
    ("rope.scaling.factor", Kind::Real),
    ("rope.scaling.attn_factor", Kind::Real),
    ("rope.scaling.original_context_length", Kind::Count),
    ("rope.scaling.finetuned", Kind::Switch),
    ("rope.scaling.yarn_log_multiplier", Kind::Real),
    ("shortconv.l_cache", Kind::Count),
    ("ssm.conv_kernel", Kind::Count),
    ("ssm.state_size", Kind::Count),
    ("decoder_start_token_id", Kind::Count),
];

/// Keys without the architecture's name.
const GLOBAL_KEYS: [(&str, Kind); 32] = [
    ("general.alignment", Kind::Count),
    ("general.file_type", Kind::Count),
    ("general.name", Kind::Text),
    ("general.type", Kind::Text),
    ("split.no", Kind::Count),
    ("split.count", Kind::Count),
    ("tokenizer.ggml.model", Kind::Text),
    ("tokenizer.ggml.pre", Kind::Text),
    ("tokenizer.ggml.merges", Kind::Texts),
    ("tokenizer.ggml.scores", Kind::Reals),
    ("tokenizer.ggml.token_type", Kind::Counts),
    ("tokenizer.ggml.token_type_count", Kind::Count),
    ("tokenizer.ggml.bos_token_id", Kind::Count),
    ("tokenizer.ggml.eos_token_id", Kind::Count),
    ("tokenizer.ggml.eot_token_id", Kind::Count),
    ("tokenizer.ggml.eom_token_id", Kind::Count),
    ("tokenizer.ggml.unknown_token_id", Kind::Count),
    ("tokenizer.ggml.seperator_token_id", Kind::Count),
    ("tokenizer.ggml.padding_token_id", Kind::Count),
    ("tokenizer.ggml.mask_token_id", Kind::Count),
    ("tokenizer.ggml.add_bos_token", Kind::Switch),
    ("tokenizer.ggml.add_eos_token", Kind::Switch),
    ("tokenizer.ggml.add_sep_token", Kind::Switch),
    ("tokenizer.ggml.add_space_prefix", Kind::Switch),
    ("tokenizer.ggml.remove_extra_whitespaces", Kind::Switch),
    ("tokenizer.ggml.precompiled_charsmap", Kind::Bytes),
    ("tokenizer.ggml.fim_pre_token_id", Kind::Count),
    ("tokenizer.ggml.suppress_tokens", Kind::Counts),
    ("tokenizer.chat_template", Kind::Text),
    ("adapter.type", Kind::Text),
    ("adapter.lora.alpha", Kind::Real),
    ("adapter.alora.invocation_tokens", Kind::Counts),
];

/// Architectures that a model may be said to be of.
const ARCHITECTURES: [&str; 32] = [
    "llama",
    "qwen2",
    "qwen3",
    "qwen3moe",
    "gemma",
    "gemma2",
    "gemma3",
    "phi2",
    "phi3",
    "glm4",
    "lfm2",
    "smollm3",
    "olmo2",
    "granite",
    "llama4",
    "mistral3",
    "qwen",
    "qwen2moe",
    "starcoder2",
    "stablelm",
    "internlm2",
    "minicpm",
    "deepseek",
    "olmo",
    "exaone",
    "command-r",
    "arcee",
    "ernie4_5",
    "bitnet",
    "nemotron",
    "xverse",
    "baichuan",
];

/// What kind of value a key has.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Count,
    Counts,
    Real,
    Reals,
    Switch,
    Switches,
    Text,
    Texts,
    Bytes,
}

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

/// What a mutated model has that makes a known finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is something else that an input has or has not")]
pub struct Traits {
    /// The largest integer among the architecture's own keys.
    pub largest: u64,
    /// The largest number of layers or experts.
    pub parts: u64,
    /// The vocabulary lacks a token of the form `<0xNN>`.
    pub lacks_bytes: bool,
    /// The vocabulary is RWKV's kind.
    pub is_rwkv: bool,
    /// How many elements of a head rotate, as llama.cpp takes the file's least number of them: in 32 bits with a sign.
    pub rotated: i32,
    /// A tensor has no elements.
    pub is_empty: bool,
    /// A tensor of two dimensions and more is of a type that ggml multiplies with nothing.
    pub lacks_product: bool,
    /// Some layer has neither a tensor of queries nor one of queries, keys and values together.
    pub lacks_queries: bool,
    /// The architecture is `olmo2`, and the file does not say that the first layer has heads.
    pub divides_by_heads: bool,
}

impl Traits {
    fn of(draft: &Draft<'_>, second: Option<&Draft<'_>>) -> Self {
        let architecture = architecture(draft);
        let prefix = format!("{architecture}.");
        let own = draft.keys.iter().filter(|key| key.key.starts_with(prefix.as_bytes()));
        let integer = |key: &gguf::DraftKey<'_>| {
            let is_integer = |value_type: &ValueType| !matches!(value_type, ValueType::F32 | ValueType::F64);
            ValueType::from_id(key.type_id).filter(is_integer)?.size()?;
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(key.value.iter()).for_each(|(to, from)| *to = *from);
            Some(u64::from_le_bytes(bytes))
        };
        let find = |name: &str| draft.keys.iter().find(|key| *key.key == *name.as_bytes());
        let tokens = find("tokenizer.ggml.tokens").and_then(array);
        let tokens = tokens.map_or_else(Vec::new, |(element, len, bytes)| elements(element, len, bytes));
        let mut has_byte = [false; 256];
        for token in &tokens {
            let digits = token.strip_prefix(b"<0x").and_then(|token| token.strip_suffix(b">"));
            // Two digits in capitals, as llama.cpp looks them up.
            let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'A'..=b'F');
            let digits = digits.filter(|digits| digits.len() == 2 && digits.iter().all(is_digit));
            let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
            if let Some(has) = digits.and_then(|digits| has_byte.get_mut(usize::from_str_radix(digits, 16).ok()?)) {
                *has = true;
            }
        }
        let tensors = || draft.tensors.iter().chain(second.iter().flat_map(|second| &second.tensors));
        let names: Vec<&[u8]> = tensors().map(|tensor| &*tensor.name).collect();
        let has_tensor = |name: String| names.contains(&name.as_bytes());
        // No tiny model has more layers; a layer is one that has attention's output, or any norm.
        let is_layer = |layer: u32| {
            has_tensor(format!("blk.{layer}.attn_output.weight")) || has_tensor(format!("blk.{layer}.attn_norm.weight"))
        };
        let has_queries =
            |layer: u32| ["attn_q", "attn_qkv"].iter().any(|part| has_tensor(format!("blk.{layer}.{part}.weight")));
        // The types of numbers that are no weights, and the formats of activations.
        let is_multiplied = |type_id: u32| !matches!(type_id, 9 | 15 | 24..=28);
        let rotated = ["", "_swa"].iter().filter_map(|layers| integer(find(&format!("{prefix}rope.dimension_count{layers}"))?));
        // Anything but a number that is not 0: an array has one for each layer.
        let may_be_zero = |key: &str| {
            let is_number =
                |key: &gguf::DraftKey<'_>| ValueType::from_id(key.type_id).is_some_and(|kind| kind.size().is_some());
            !find(key).is_some_and(|key| is_number(key) && key.value.iter().any(|&byte| byte != 0))
        };
        Self {
            lacks_product: tensors().any(|tensor| tensor.dimensions.len() > 1 && !is_multiplied(tensor.type_id)),
            largest: own.filter_map(integer).max().unwrap_or(0),
            parts: ["block_count", "expert_count"]
                .iter()
                .filter_map(|key| integer(find(&format!("{prefix}{key}"))?))
                .max()
                .unwrap_or(0),
            lacks_bytes: has_byte.contains(&false),
            is_rwkv: text_of(draft, "tokenizer.ggml.model") == Some(b"rwkv"),
            rotated: rotated.map(|number| number as i32).min().unwrap_or(i32::MAX),
            is_empty: tensors().any(|tensor| tensor.dimensions.contains(&0)),
            lacks_queries: (0..4).any(|layer| is_layer(layer) && !has_queries(layer)),
            divides_by_heads: architecture == "olmo2" && may_be_zero("olmo2.attention.head_count"),
        }
    }
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

/// The text behind `general.architecture`.
fn architecture(draft: &Draft<'_>) -> String {
    String::from_utf8_lossy(text_of(draft, "general.architecture").unwrap_or(b"llama")).into_owned()
}

/// The bytes of the text behind a key, which its length stands before.
fn text_of<'a>(draft: &'a Draft<'_>, name: &str) -> Option<&'a [u8]> {
    draft.keys.iter().find(|key| *key.key == *name.as_bytes())?.value.get(8..)
}

/// Changes one thing.
fn change(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=31u8)? {
        0 => {}
        1..=6 => change_number(draft, u)?,
        7 => {
            if let Some(key) = pick(&mut draft.keys, u)? {
                key.type_id = u.choose(&ValueType::ALL)?.id();
            }
        }
        8 => {
            if !draft.keys.is_empty() {
                let at = u.choose_index(draft.keys.len())?;
                draft.keys.remove(at);
            }
        }
        9 | 10 => resize_array(draft, u)?,
        11..=13 => change_element(draft, u)?,
        14 => change_text(draft, u)?,
        15..=19 => {
            let prefix = architecture(draft);
            let &(name, kind) = u.choose(&KEYS)?;
            set(draft, &format!("{prefix}.{name}"), kind, u)?;
        }
        20..=22 => {
            let &(name, kind) = u.choose(&GLOBAL_KEYS)?;
            set(draft, name, kind, u)?;
        }
        23 => rename_architecture(draft, u)?,
        24 | 25 => change_shape(draft, u)?,
        26 => {
            if let Some(tensor) = pick(&mut draft.tensors, u)? {
                let weight_type = *u.choose(WeightType::ALL)?;
                tensor.type_id = weight_type.id();
                fill(tensor);
            }
        }
        27 => {
            if let Some(tensor) = pick(&mut draft.tensors, u)? {
                if u.arbitrary()? {
                    tensor.offset = Some(number(u)?);
                } else {
                    tensor.type_id = number(u)? as u32;
                }
            }
        }
        28 => {
            if !draft.tensors.is_empty() {
                let at = u.choose_index(draft.tensors.len())?;
                draft.tensors.remove(at);
            }
        }
        29 => rename_tensor(draft, u)?,
        _ => {
            // Values of weights.
            if let Some(tensor) = pick(&mut draft.tensors, u)? {
                let real = u.choose(&REALS)?.to_le_bytes();
                let (at, byte) = (usize::from(u.arbitrary::<u16>()?), u.arbitrary::<u8>()?);
                let data = tensor.data.to_mut();
                let from = at % data.len().max(1);
                if byte & 1 == 0 {
                    data.iter_mut().skip(from & !3).zip(real).for_each(|(to, new)| *to = new);
                } else if let Some(to) = data.get_mut(from) {
                    *to = byte;
                }
            }
        }
    }
    Ok(())
}

/// One of a list, where it has any.
fn pick<'a, T>(list: &'a mut [T], u: &mut Unstructured<'_>) -> Result<Option<&'a mut T>> {
    if list.is_empty() {
        return Ok(None);
    }
    let at = u.choose_index(list.len())?;
    Ok(list.get_mut(at))
}

/// A number at the edge of something, or any small one.
fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    if u.arbitrary()? { u.arbitrary::<u8>().map(u64::from) } else { u.choose(&EDGES).copied() }
}

/// A real number at the edge of something, or any.
fn real(u: &mut Unstructured<'_>) -> Result<f32> {
    if u.arbitrary()? { u.arbitrary() } else { u.choose(&REALS).copied() }
}

/// Sets a key to a value of a kind, in place of the one it has.
fn set(draft: &mut Draft<'static>, key: &str, kind: Kind, u: &mut Unstructured<'_>) -> Result<()> {
    draft.remove_key(key);
    match kind {
        Kind::Count => drop(draft.u32(key, number(u)? as u32)),
        Kind::Real => drop(draft.f32(key, real(u)?)),
        Kind::Switch => drop(draft.bool(key, u.arbitrary()?)),
        Kind::Text => {
            let text = *u.choose(&TEXTS)?;
            draft.str(key, text);
        }
        Kind::Counts => {
            let len = u.int_in_range(0..=4usize)?;
            let numbers = (0..len).map(|_| Ok(number(u)? as i32)).collect::<Result<Vec<_>>>()?;
            draft.i32s(key, &numbers);
        }
        Kind::Reals => {
            let len = u.int_in_range(0..=4usize)?;
            let numbers = (0..len).map(|_| real(u)).collect::<Result<Vec<_>>>()?;
            draft.f32s(key, &numbers);
        }
        Kind::Switches => {
            let len = u.int_in_range(0..=4u8)?;
            let bits = vec![u.int_in_range(0..=1u8)?; len.into()];
            draft.array(key, ValueType::Bool.id(), len.into(), &bits);
        }
        Kind::Texts => {
            let len = u.int_in_range(0..=4usize)?;
            let texts = (0..len).map(|_| u.choose(&TEXTS).copied()).collect::<Result<Vec<_>>>()?;
            draft.strings(key, &texts);
        }
        Kind::Bytes => {
            let bytes = u.bytes(u.len().min(8))?;
            draft.array(key, ValueType::U8.id(), bytes.len() as u64, bytes);
        }
    }
    Ok(())
}

/// Changes a number among the keys, which keeps its type.
fn change_number(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let size = |key: &gguf::DraftKey<'_>| ValueType::from_id(key.type_id).and_then(ValueType::size);
    let mut numbers: Vec<_> = draft.keys.iter_mut().filter(|key| size(key).is_some()).collect();
    let Some(key) = pick(&mut numbers, u)? else { return Ok(()) };
    let bytes = match ValueType::from_id(key.type_id) {
        Some(ValueType::F32) => real(u)?.to_le_bytes().to_vec(),
        Some(ValueType::F64) => f64::from(real(u)?).to_le_bytes().to_vec(),
        _ => number(u)?.to_le_bytes().iter().take(size(key).unwrap_or(0) as usize).copied().collect(),
    };
    key.value = Cow::Owned(bytes);
    Ok(())
}

/// The array of a key: its elements' type, their number, and their bytes.
fn array<'a>(key: &'a gguf::DraftKey<'_>) -> Option<(ValueType, u64, &'a [u8])> {
    if key.type_id != ValueType::Array.id() {
        return None;
    }
    let (head, elements) = key.value.split_at_checked(12)?;
    let element = ValueType::from_id(u32::from_le_bytes(head.get(..4)?.try_into().ok()?))?;
    Some((element, u64::from_le_bytes(head.get(4..)?.try_into().ok()?), elements))
}

/// The texts of an array of texts.
fn texts(len: u64, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for _ in 0..len {
        let Some((length, rest)) = bytes.split_first_chunk::<8>() else { break };
        let Some((text, rest)) = rest.split_at_checked(u64::from_le_bytes(*length) as usize) else { break };
        texts.push(text.to_vec());
        bytes = rest;
    }
    texts
}

/// The elements of an array, each as its bytes.
fn elements(element: ValueType, len: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
    match element.size() {
        Some(size) => bytes.chunks_exact(size as usize).map(<[u8]>::to_vec).collect(),
        None => texts(len, bytes),
    }
}

/// Writes an array's elements back.
fn put(key: &mut gguf::DraftKey<'_>, element: ValueType, elements: &[Vec<u8>]) {
    let mut out = element.id().to_le_bytes().to_vec();
    out.extend((elements.len() as u64).to_le_bytes());
    for bytes in elements {
        if element == ValueType::String {
            out.extend((bytes.len() as u64).to_le_bytes());
        }
        out.extend(bytes);
    }
    key.value = Cow::Owned(out);
}

/// One of the keys that are arrays.
fn pick_array<'d>(draft: &'d mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<Option<&'d mut gguf::DraftKey<'static>>> {
    let mut arrays: Vec<_> = draft.keys.iter_mut().filter(|key| array(key).is_some()).collect();
    if arrays.is_empty() {
        return Ok(None);
    }
    let at = u.choose_index(arrays.len())?;
    Ok(Some(arrays.swap_remove(at)))
}

/// Makes an array shorter or longer, or only says so.
fn resize_array(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(key) = pick_array(draft, u)? else { return Ok(()) };
    let Some((element, len, bytes)) = array(key) else { return Ok(()) };
    let mut elements = elements(element, len, bytes);
    if u.int_in_range(0..=7u8)? == 7 {
        let claimed = number(u)?.to_le_bytes();
        key.value.to_mut().iter_mut().skip(4).zip(claimed).for_each(|(to, new)| *to = new);
        return Ok(());
    }
    let new = usize::from(u.arbitrary::<u16>()?) % (elements.len() + 8);
    let last = elements.last().cloned().unwrap_or_else(|| vec![0; element.size().unwrap_or(1) as usize]);
    elements.resize(new, last);
    put(key, element, &elements);
    Ok(())
}

/// Changes an element of an array.
fn change_element(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(key) = pick_array(draft, u)? else { return Ok(()) };
    let Some((element, len, bytes)) = array(key) else { return Ok(()) };
    let mut elements = elements(element, len, bytes);
    let at = usize::from(u.arbitrary::<u16>()?) % elements.len().max(1);
    // Some other element of the same array, for what must not stand twice.
    let other = elements.get(usize::from(u.arbitrary::<u8>()?) % elements.len().max(1)).cloned();
    let repeats = u.int_in_range(0..=3u8)? == 3;
    let Some(bytes) = elements.get_mut(at) else { return Ok(()) };
    match (element, element.size()) {
        _ if repeats => bytes.clone_from(&other.unwrap_or_default()),
        (ValueType::F32, _) => *bytes = real(u)?.to_le_bytes().to_vec(),
        (_, Some(size)) => *bytes = number(u)?.to_le_bytes().iter().take(size as usize).copied().collect(),
        (_, None) => {
            *bytes = u.choose(&TEXTS)?.as_bytes().to_vec();
            if u.arbitrary()? {
                bytes.extend(u.bytes(u.len().min(4))?);
            }
        }
    }
    put(key, element, &elements);
    Ok(())
}

/// Changes a text among the keys.
fn change_text(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let mut texts: Vec<_> = draft.keys.iter_mut().filter(|key| key.type_id == ValueType::String.id()).collect();
    let Some(key) = pick(&mut texts, u)? else { return Ok(()) };
    let text = u.choose(&TEXTS)?.as_bytes();
    key.value = Cow::Owned([&(text.len() as u64).to_le_bytes(), text].concat());
    Ok(())
}

/// Says that the model is of another architecture, in all its keys.
fn rename_architecture(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let old = format!("{}.", architecture(draft));
    let new = *u.choose(&ARCHITECTURES)?;
    for key in &mut draft.keys {
        if let Some(rest) = key.key.strip_prefix(old.as_bytes()) {
            key.key = Cow::Owned([new.as_bytes(), b".", rest].concat());
        }
    }
    if let Some(key) = draft.find_key("general.architecture") {
        key.value = Cow::Owned([&(new.len() as u64).to_le_bytes(), new.as_bytes()].concat());
    }
    Ok(())
}

/// Gives a tensor as much data as its shape and type ask for, where that is not too much.
fn fill(tensor: &mut DraftTensor<'_>) {
    let elements = tensor.dimensions.iter().copied().fold(1u64, u64::saturating_mul);
    let size = WeightType::from_id(tensor.type_id).and_then(|weight_type| weight_type.row_bytes(elements));
    if let Some(size) = size.filter(|&size| size <= LARGEST) {
        tensor.data.to_mut().resize(size as usize, 0);
    }
}

/// Changes a dimension, or how many there are; with data to match, as often as not.
fn change_shape(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(tensor) = pick(&mut draft.tensors, u)? else { return Ok(()) };
    match u.int_in_range(0..=7u8)? {
        0 => tensor.dimensions.reverse(),
        1 => drop(tensor.dimensions.pop()),
        2 => {
            if tensor.dimensions.len() < 4 {
                tensor.dimensions.push(number(u)?);
            }
        }
        _ => {
            let new = number(u)?;
            if let Some(dimension) = pick(&mut tensor.dimensions, u)? {
                *dimension = new;
            }
        }
    }
    if u.arbitrary::<bool>()? {
        fill(tensor);
    }
    Ok(())
}

/// Gives a tensor another's name with another ending, or the name of one that loaders look for.
fn rename_tensor(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    const NAMES: [&str; 16] = [
        "output.weight",
        "token_embd.weight",
        "rope_freqs.weight",
        "rope_factors_long.weight",
        "output_norm.bias",
        "blk.0.attn_q.bias",
        "blk.0.attn_norm.bias",
        "blk.0.attn_qkv.weight",
        "blk.0.attn_q_norm.weight",
        "blk.0.ffn_gate_inp.weight",
        "blk.0.ffn_gate_exps.weight",
        "blk.0.ffn_gate.0.weight",
        "blk.0.attn_q.scale",
        "blk.1.attn_q.weight",
        "blk.4294967295.attn_q.weight",
        "token_types.weight",
    ];
    let copy = u.arbitrary::<bool>()?;
    let name = u.choose(&NAMES)?.as_bytes().to_vec();
    let Some(tensor) = pick(&mut draft.tensors, u)? else { return Ok(()) };
    let renamed = DraftTensor { name: Cow::Owned(name), ..tensor.clone() };
    if copy {
        draft.tensors.push(renamed);
    } else {
        *tensor = renamed;
    }
    Ok(())
}

/// Counts how far an input came.
fn reached(stage: Reached) {
    statistics::count(stage.words());
}

/// Numbers beyond which candle is not asked, because it makes room for as many layers, experts, positions or elements of a head at once.
#[cfg(feature = "candle")]
const MANY: u64 = 4096;

/// Mutated models through candle's loaders.
#[cfg(feature = "candle")]
pub fn load_candle(input: &[u8]) {
    let Ok(model) = mutated(input) else { return };
    // candle has no split models and no adapters.
    let Some(bytes) = model.files.first() else { return };
    // The last is undefined behaviour everywhere, and ends a process where the standard library's checks are on.
    if findings::leave_out("CNDL-03", model.traits.parts > MANY)
        || findings::leave_out("CNDL-F06", model.traits.largest > MANY)
        || findings::leave_out("CNDL-F01", cfg!(debug_assertions) && model.traits.is_empty)
    {
        return;
    }
    let path = memory::file(0, bytes);
    if let Some(stage) = findings::guard(|| subject_candle::probe::load_and_evaluate(bytes, &path, model.tokens)) {
        reached(stage);
    }
}

/// Mutated models, whole, split and with adapters, through llama.cpp's loader.
#[cfg(feature = "llama-cpp")]
pub fn load_llama_cpp(input: &[u8]) {
    use subject_llama_cpp::probe::{self, Model, Options};
    let Ok(mutated) = mutated(input) else { return };
    if findings::leave_out("LCPP-F14", mutated.traits.divides_by_heads) {
        return;
    }
    probe::listen(findings::is_known, findings::passing_over());
    let paths: Vec<_> = mutated.files.iter().enumerate().map(|(slot, bytes)| memory::c_path(slot, bytes)).collect();
    let options = Options { map: mutated.map, check_tensors: mutated.check_tensors };
    let model = match Model::load(&paths, options) {
        None => return,
        Some(Err(stage)) => return reached(stage),
        Some(Ok(model)) => model,
    };
    if let Some(adapter) = &mutated.adapter
        && model.adapt(&memory::c_path(2, adapter)) == Some(true)
    {
        statistics::count("adapter taken");
    }
    // A text that needs a byte token which is not there.
    let without_bytes = mutated.traits.lacks_bytes && !mutated.text.is_empty();
    if !findings::leave_out("LCPP-F02", without_bytes)
        && !findings::leave_out("LCPP-F20", mutated.traits.is_rwkv)
        && let Some(Some(tokens)) = model.tokenize(mutated.text.as_bytes(), true, true)
    {
        statistics::count("tokenised");
        if model.detokenize(&tokens) == Some(None) {
            statistics::count("not detokenised");
        }
    }
    if findings::leave_out("LCPP-F15", mutated.traits.rotated == 0)
        || findings::leave_out("LCPP-F18", mutated.traits.rotated < 0)
        || findings::leave_out("LCPP-F03", mutated.traits.lacks_queries)
        || findings::leave_out("LCPP-F12", mutated.traits.lacks_product)
    {
        return;
    }
    if let Some(stage) = model.evaluate_two(mutated.tokens) {
        reached(stage);
    }
}
