//! What a mutated model has that makes a known finding: what [`crate::known`] tells findings by that leave no words.

use super::{
    arrays::{array, elements},
    keys::{architecture, text_of},
};
use gguf::{Draft, ValueType};

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
    /// What a model has, which may be in two files.
    pub(super) fn of(draft: &Draft<'_>, second: Option<&Draft<'_>>) -> Self {
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
