//! The valid files that vectors start from.

use gguf::{Draft, DraftTensor, Value, WeightType};

/// A file of an architecture that no reader knows, with two tensors: for what concerns the format alone.
pub(crate) fn format() -> Draft<'static> {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector").u32("general.quantization_version", 2);
    draft.tensor("a", &[32, 2], WeightType::Q4_0, vec![7; 36]).tensor("b", &[8], WeightType::F32, 1f32.to_le_bytes().repeat(8));
    draft
}

/// A file with the architecture's key and nothing else.
pub(crate) fn bare() -> Draft<'static> {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector");
    draft
}

/// A key more than [`bare`] has, with any value.
pub(crate) fn with_value(value: Value<'_>) -> Draft<'static> {
    let mut draft = bare();
    draft.value("vector.key", value);
    draft
}

/// A key more than [`bare`] has, its value given as bytes.
pub(crate) fn with_raw(type_id: u32, value: &[u8]) -> Draft<'static> {
    let mut draft = bare();
    draft.key("vector.key", type_id, value);
    draft
}

/// Changes the last tensor, where there is one.
pub(crate) fn change_last<'a>(draft: &mut Draft<'a>, change: impl FnOnce(&mut DraftTensor<'a>)) {
    if let Some(last) = draft.tensors.last_mut() {
        change(last);
    }
}

/// The numbers of the tiny models.
pub(crate) const WIDTH: u64 = 8;
/// Tokens in their vocabulary.
pub(crate) const TOKENS: u64 = 4;
/// Their feed-forward block: another number than the width, and few bytes.
pub(crate) const HIDDEN: u64 = 9;

/// A tensor of F32 that tells its place: every element has another value, so that a reader which takes the wrong bytes is noticed.
pub(crate) fn numbered(draft: &mut Draft<'_>, name: &str, dimensions: &[u64]) {
    let elements: u64 = dimensions.iter().product();
    // Norm gains near 1 and small weights keep the model runnable.
    let value = |i: u64| if dimensions.len() == 1 { 1.0 } else { ((i * 37 % 101) as f32 - 50.0) / 100.0 };
    let data: Vec<u8> = (0..elements).flat_map(|i| value(i).to_le_bytes()).collect();
    draft.tensor(name, dimensions, WeightType::F32, data);
}

/// Keys that every tiny model has, without its tokenizer.
pub(crate) fn numbers(draft: &mut Draft<'_>, architecture: &str) {
    let key = |key: &str| format!("{architecture}.{key}");
    draft
        .str("general.architecture", architecture)
        .u32(&key("context_length"), 16)
        .u32(&key("embedding_length"), WIDTH as u32)
        .u32(&key("block_count"), 1)
        .u32(&key("feed_forward_length"), HIDDEN as u32)
        .u32(&key("attention.head_count"), 2)
        .u32(&key("attention.head_count_kv"), 1);
}

/// A vocabulary of four tokens.
pub(crate) fn tokenizer(draft: &mut Draft<'_>) {
    draft
        .str("tokenizer.ggml.model", "llama")
        .strings("tokenizer.ggml.tokens", &["<unk>", "<s>", "</s>", "a"])
        .f32s("tokenizer.ggml.scores", &[0.0; TOKENS as usize])
        .i32s("tokenizer.ggml.token_type", &[2, 3, 3, 1])
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
        .u32("tokenizer.ggml.unknown_token_id", 0);
}

/// Tensors of one Llama layer, under the names and in the order that converters give them.
pub(crate) const LLAMA_TENSORS: [(&str, &[u64]); 11] = [
    ("token_embd.weight", &[WIDTH, TOKENS]),
    ("blk.0.attn_norm.weight", &[WIDTH]),
    ("blk.0.attn_q.weight", &[WIDTH, WIDTH]),
    ("blk.0.attn_k.weight", &[WIDTH, WIDTH / 2]),
    ("blk.0.attn_v.weight", &[WIDTH, WIDTH / 2]),
    ("blk.0.attn_output.weight", &[WIDTH, WIDTH]),
    ("blk.0.ffn_norm.weight", &[WIDTH]),
    ("blk.0.ffn_gate.weight", &[WIDTH, HIDDEN]),
    ("blk.0.ffn_up.weight", &[WIDTH, HIDDEN]),
    ("blk.0.ffn_down.weight", &[HIDDEN, WIDTH]),
    ("output_norm.weight", &[WIDTH]),
];

/// A whole Llama of one layer, small enough for a vector and fit to run.
pub(crate) fn llama() -> Draft<'static> {
    let mut draft = Draft::new();
    numbers(&mut draft, "llama");
    draft.f32("llama.attention.layer_norm_rms_epsilon", 1e-5).u32("llama.rope.dimension_count", 4);
    tokenizer(&mut draft);
    for (name, dimensions) in LLAMA_TENSORS {
        numbered(&mut draft, name, dimensions);
    }
    draft
}
