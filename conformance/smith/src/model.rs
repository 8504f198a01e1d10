//! What all recipes share: their numbers, the vocabulary, keys and tensors that several architectures have, and drawing a tensor.

use crate::blocks::Blocks;
use gguf::{Draft, WeightType};
use std::collections::BTreeMap;

/// The BOS token of every tiny model.
pub(crate) const BOS: u32 = 1;
/// The first token that is a word; before it stand the special tokens and the 256 byte tokens of a `SentencePiece` vocabulary.
pub(crate) const FIRST_WORD: usize = 3 + 256;
/// Number of words.
pub(crate) const WORDS: usize = 61;
/// Rows of the embedding table.
pub(crate) const VOCABULARY_SIZE: u64 = (FIRST_WORD + WORDS) as u64;
/// No more elements make a tiny model.
const MOST_ELEMENTS: u128 = 1 << 26;

/// Standard deviation of queries and of keys that gives attention logits of standard deviation 2.5.
pub(crate) const SHARP: f32 = 1.6;

/// A model being described: metadata and tensors in the order of the description.
pub(crate) struct Model {
    architecture: &'static str,
    /// Every hyper-parameter that the architecture has.
    numbers: BTreeMap<&'static str, f64>,
    weights: WeightType,
    draft: Draft<'static>,
    blocks: Blocks,
    /// The layer whose tensors are being described.
    layer: Option<u64>,
}

impl Model {
    /// Checks that a file can be made of an architecture's numbers.
    pub(crate) fn new(
        architecture: &'static str,
        numbers: BTreeMap<&'static str, f64>,
        weights: WeightType,
        seed: u64,
        recipe: &str,
    ) -> Result<Self, String> {
        let mut draft = Draft::new();
        draft.str("general.architecture", architecture);
        // The recipe does not go into the name: llama.cpp looks for `phi-3` and the like there and then wants their special tokens.
        draft.str("general.name", "ggauge tiny model").str("general.description", recipe);
        if weights.is_quantized() {
            draft.u32("general.quantization_version", 2);
        }
        let model = Self { architecture, numbers, weights, draft, blocks: Blocks::new(seed), layer: None };
        model.check()?;
        Ok(model)
    }

    fn check(&self) -> Result<(), String> {
        let (heads, kv_heads, head) = (self.count("heads"), self.count("kv-heads"), self.head());
        let whole = |name: &str, len: u64| {
            let block = self.weights.block_len() as u64;
            if len > 0 && len.is_multiple_of(block) {
                Ok(())
            } else {
                Err(format!("{name} is {len}, not whole blocks of {block} {}", self.weights))
            }
        };
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(format!("{heads} query heads do not share {kv_heads} key heads"));
        }
        if head == 0 || !head.is_multiple_of(4) {
            return Err(format!("heads of {head} elements, not a multiple of 4"));
        }
        if self.count("layers") == 0 || self.count("context") == 0 {
            return Err("no layers, or no context".into());
        }
        if self.count("experts") > 0 && !(1..=self.count("experts")).contains(&self.count("experts-used")) {
            return Err(format!("{} of {} experts", self.count("experts-used"), self.count("experts")));
        }
        if self.rotated() > head || !self.rotated().is_multiple_of(2) {
            return Err(format!("a rotation of {} of {head} elements", self.rotated()));
        }
        whole("width", self.width())?;
        let all_heads = heads.checked_mul(head).ok_or("heads that are too large")?;
        whole("heads * head", all_heads)?;
        whole("hidden", self.hidden())?;
        if self.has("expert-hidden") {
            if self.count("experts") == 0 {
                return Err("no experts".into());
            }
            whole("expert-hidden", self.expert_hidden())?;
        }
        if self.has("reach") && self.count("reach") < 2 {
            return Err("a convolution that reaches less than 2 positions".into());
        }
        if self.rotated() == 0 {
            return Err("a rotation of no element".into());
        }
        // Every number is at most 1e9, so that none of these overflows 128 bits.
        let [width, hidden, expert] = [self.width(), self.hidden(), self.expert_hidden()].map(u128::from);
        let experts = u128::from(self.count("experts").max(1));
        let attention = 4 * width * u128::from(heads) * u128::from(head) + 4 * width * width;
        let convolution = width * u128::from(self.count("reach"));
        let per_layer = attention + convolution + experts * 3 * width * hidden.max(expert);
        let all = per_layer * u128::from(self.count("layers")) + 2 * width * u128::from(VOCABULARY_SIZE);
        if all > MOST_ELEMENTS {
            return Err(format!("more than {MOST_ELEMENTS} weights"));
        }
        Ok(())
    }

    /// The file.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.draft.finish()
    }

    fn has(&self, name: &str) -> bool {
        self.numbers.contains_key(name)
    }

    /// A hyper-parameter; 0 where the architecture has none of that name.
    pub(crate) fn real(&self, name: &str) -> f64 {
        self.numbers.get(name).copied().unwrap_or(0.0)
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.real(name) as u64
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.real(name) != 0.0
    }

    /// The least width that blocks of this weight type allow, and at least 64.
    pub(crate) fn unit(&self) -> u64 {
        (self.weights.block_len() as u64).max(64)
    }

    pub(crate) fn width(&self) -> u64 {
        Some(self.count("width")).filter(|&width| width > 0).unwrap_or_else(|| self.unit())
    }

    pub(crate) fn head(&self) -> u64 {
        let shared = || self.width() / self.count("heads").max(1);
        Some(self.count("head")).filter(|&head| head > 0).unwrap_or_else(shared)
    }

    pub(crate) fn hidden(&self) -> u64 {
        Some(self.count("hidden")).filter(|&hidden| hidden > 0).unwrap_or_else(|| 2 * self.unit())
    }

    /// Width of an expert, where experts have one of their own.
    pub(crate) fn expert_hidden(&self) -> u64 {
        Some(self.count("expert-hidden")).filter(|&hidden| hidden > 0).unwrap_or_else(|| self.unit())
    }

    /// Elements of a head that rotate.
    pub(crate) fn rotated(&self) -> u64 {
        let part = if self.has("rotated") { self.real("rotated") } else { 1.0 };
        (self.head() as f64 * part) as u64
    }

    /// A count among the architecture's own keys.
    pub(crate) fn key_u32(&mut self, key: &str, value: u64) {
        self.draft.u32(&format!("{}.{key}", self.architecture), value as u32);
    }

    /// A real number among the architecture's own keys.
    pub(crate) fn key_f32(&mut self, key: &str, value: f64) {
        self.draft.f32(&format!("{}.{key}", self.architecture), value as f32);
    }

    /// A truth value among the architecture's own keys.
    pub(crate) fn key_bool(&mut self, key: &str, value: bool) {
        self.draft.bool(&format!("{}.{key}", self.architecture), value);
    }

    /// The keys of every architecture, with one number of key heads for all layers.
    pub(crate) fn keys(&mut self) {
        self.keys_without_kv_heads();
        self.key_u32("attention.head_count_kv", self.count("kv-heads"));
    }

    /// The keys of an architecture whose layers differ in key heads: `by_layer`.
    pub(crate) fn keys_with_kv_heads(&mut self, by_layer: &[i32]) {
        self.keys_without_kv_heads();
        self.draft.i32s(&format!("{}.attention.head_count_kv", self.architecture), by_layer);
    }

    fn keys_without_kv_heads(&mut self) {
        self.key_u32("block_count", self.count("layers"));
        self.key_u32("context_length", self.count("context"));
        self.key_u32("embedding_length", self.width());
        self.key_u32("feed_forward_length", self.hidden());
        self.key_u32("attention.head_count", self.count("heads"));
        self.key_u32("attention.key_length", self.head());
        self.key_u32("attention.value_length", self.head());
        self.key_u32("rope.dimension_count", self.rotated());
        self.key_f32("rope.freq_base", self.real("rope-base"));
        let scaling = self.count("rope-scaling");
        if scaling > 0 {
            self.draft.str(&format!("{}.rope.scaling.type", self.architecture), if scaling == 1 { "linear" } else { "yarn" });
            self.key_f32("rope.scaling.factor", self.real("rope-factor"));
            self.key_u32("rope.scaling.original_context_length", self.count("rope-context"));
        }
        if self.real("rope-magnitude") != 1.0 {
            self.key_f32("rope.scaling.attn_factor", self.real("rope-magnitude"));
        }
    }

    /// The epsilon of root-mean-square norms.
    pub(crate) fn key_epsilon(&mut self) {
        self.key_f32("attention.layer_norm_rms_epsilon", self.real("epsilon"));
    }

    /// Calls `describe` for every layer; names of tensors belong to it meanwhile.
    pub(crate) fn layers(&mut self, describe: impl Fn(&mut Self, u64)) {
        for layer in 0..self.count("layers") {
            self.layer = Some(layer);
            describe(self, layer);
        }
        self.layer = None;
    }

    fn name(&self, part: &str) -> String {
        self.layer.map_or_else(|| part.to_owned(), |layer| format!("blk.{layer}.{part}"))
    }

    /// A matrix from `inputs` to `outputs`, scaled so that inputs of unit variance give outputs of standard deviation `gain`.
    pub(crate) fn matrix(&mut self, part: &str, inputs: u64, outputs: u64, gain: f32) {
        self.tensor(part, self.weights, &[inputs, outputs], gain);
    }

    /// Matrices of experts.
    pub(crate) fn matrices(&mut self, part: &str, inputs: u64, outputs: u64, gain: f32) {
        self.tensor(part, self.weights, &[inputs, outputs, self.count("experts")], gain);
    }

    /// A matrix that every file has in F32.
    pub(crate) fn exact_matrix(&mut self, part: &str, inputs: u64, outputs: u64, gain: f32) {
        self.tensor(part, WeightType::F32, &[inputs, outputs], gain);
    }

    fn tensor(&mut self, part: &str, weights: WeightType, dimensions: &[u64], gain: f32) {
        let spread = gain / (dimensions[0] as f32).sqrt();
        let data = self.blocks.draw(weights, dimensions.iter().product::<u64>() as usize, spread);
        self.draft.tensor(&format!("{}.weight", self.name(part)), dimensions, weights, data);
    }

    /// Numbers around `center`, a tenth of it either way: norm gains, factors.
    pub(crate) fn norm(&mut self, part: &str, len: u64, center: f32) {
        self.vector(&format!("{}.weight", self.name(part)), len, center, 0.1 * center);
    }

    /// Numbers around 0, within `reach`.
    pub(crate) fn bias(&mut self, part: &str, len: u64, reach: f32) {
        self.vector(&format!("{}.bias", self.name(part)), len, 0.0, reach);
    }

    /// Divisors of frequencies: from 1 up to `most`, the slower the more, as models have them.
    pub(crate) fn factors(&mut self, name: &str, most: f32) {
        let pairs = self.rotated() / 2;
        let factor = |pair: u64| 1.0 + (most - 1.0) * pair as f32 / (pairs - 1).max(1) as f32;
        let data: Vec<u8> = (0..pairs).flat_map(|pair| factor(pair).to_le_bytes()).collect();
        self.draft.tensor(&format!("{name}.weight"), &[pairs], WeightType::F32, data);
    }

    fn vector(&mut self, name: &str, len: u64, center: f32, reach: f32) {
        let data = self.blocks.around(center, reach, len as usize);
        self.draft.tensor(name, &[len], WeightType::F32, data);
    }

    /// The embedding, whose rows have standard deviation `spread`.
    pub(crate) fn embedding(&mut self, spread: f32) {
        let width = self.width();
        self.matrix("token_embd", width, VOCABULARY_SIZE, spread * (width as f32).sqrt());
    }

    /// The embedding of a model whose output may be tied to it; then it is scaled as an output is.
    pub(crate) fn embedding_or_output(&mut self) {
        let spread = if self.is_on("tied") { 2.0 / (self.width() as f32).sqrt() } else { 1.0 };
        self.embedding(spread);
    }

    /// The last norm and, where it is not tied, the output matrix: logits of standard deviation 2.
    pub(crate) fn output(&mut self) {
        self.norm("output_norm", self.width(), 1.0);
        self.output_matrix();
    }

    /// The output matrix, where it is not tied.
    pub(crate) fn output_matrix(&mut self) {
        if !self.is_on("tied") {
            self.matrix("output", self.width(), VOCABULARY_SIZE, 2.0);
        }
    }

    /// Queries and keys of standard deviation `gain`, values of 1, and the way back.
    pub(crate) fn attention(&mut self, gain: f32) {
        let (width, queries, keys) = (self.width(), self.count("heads") * self.head(), self.count("kv-heads") * self.head());
        let biases = self.is_on("biases");
        for (part, outputs, gain) in [("attn_q", queries, gain), ("attn_k", keys, gain), ("attn_v", keys, 1.0)] {
            self.matrix(part, width, outputs, gain);
            if biases {
                self.bias(part, outputs, 0.5 * gain);
            }
        }
        self.matrix("attn_output", queries, width, 1.0);
    }

    /// The same with queries, keys and values in one tensor.
    pub(crate) fn fused_attention(&mut self, gain: f32) {
        let (width, queries, keys) = (self.width(), self.count("heads") * self.head(), self.count("kv-heads") * self.head());
        self.matrix("attn_qkv", width, queries + 2 * keys, gain);
        self.matrix("attn_output", queries, width, 1.0);
    }

    /// Gains of each head's queries and keys, which set the attention logits' standard deviation to 2.5.
    pub(crate) fn head_norms(&mut self) {
        self.norm("attn_q_norm", self.head(), SHARP);
        self.norm("attn_k_norm", self.head(), SHARP);
    }

    /// Layers of Llama's kind: a norm before attention and one before a gated feed-forward part.
    pub(crate) fn llama_layers(&mut self) {
        self.layers(|model, _| {
            model.norm("attn_norm", model.width(), 1.0);
            model.attention(SHARP);
            model.norm("ffn_norm", model.width(), 1.0);
            model.gated();
        });
    }

    /// A gated feed-forward part.
    pub(crate) fn gated(&mut self) {
        let (width, hidden) = (self.width(), self.hidden());
        self.matrix("ffn_gate", width, hidden, 1.5);
        self.matrix("ffn_up", width, hidden, 1.0);
        self.matrix("ffn_down", hidden, width, 1.0);
    }

    /// A gated feed-forward part whose gate stands before the rest in `ffn_up`.
    pub(crate) fn gated_in_one(&mut self) {
        let (width, hidden) = (self.width(), self.hidden());
        self.matrix("ffn_up", width, 2 * hidden, 1.25);
        self.matrix("ffn_down", hidden, width, 1.0);
    }

    /// Experts of `hidden`. The scores are far apart, so that the last expert chosen weighs little and rounding, which may exchange it for
    /// the next, moves little.
    pub(crate) fn experts(&mut self, hidden: u64) {
        let width = self.width();
        self.exact_matrix("ffn_gate_inp", width, self.count("experts"), 4.0);
        self.matrices("ffn_gate_exps", width, hidden, 1.5);
        self.matrices("ffn_up_exps", width, hidden, 1.0);
        self.matrices("ffn_down_exps", hidden, width, 1.0);
    }

    /// A `SentencePiece` vocabulary: `<unk>`, `<s>`, `</s>`, the 256 bytes, and words of one or two letters.
    pub(crate) fn vocabulary(&mut self) {
        let letters = ('a'..='z').chain('A'..='Z').map(String::from);
        let pairs = ["\u{2581}", "\u{2581}t", "\u{2581}a", "he", "in", "er", "an", "on", "th"].map(String::from);
        let words = letters.chain(pairs);
        let special = ["<unk>", "<s>", "</s>"].map(String::from);
        let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
        let tokens: Vec<String> = special.into_iter().chain(bytes).chain(words).collect();
        // Token types of the GGUF specification: 1 normal, 2 unknown, 3 control, 6 byte.
        let types: Vec<i32> = (0..tokens.len())
            .map(|id| match id {
                0 => 2,
                1 | 2 => 3,
                _ if id < FIRST_WORD => 6,
                _ => 1,
            })
            .collect();
        let scores: Vec<f32> =
            (0..tokens.len()).map(|id| if id < FIRST_WORD { 0.0 } else { -((id - FIRST_WORD) as f32) }).collect();
        self.draft
            .str("tokenizer.ggml.model", "llama")
            .strings("tokenizer.ggml.tokens", &tokens)
            .f32s("tokenizer.ggml.scores", &scores)
            .i32s("tokenizer.ggml.token_type", &types)
            .u32("tokenizer.ggml.bos_token_id", BOS)
            .u32("tokenizer.ggml.eos_token_id", 2)
            .u32("tokenizer.ggml.unknown_token_id", 0)
            .bool("tokenizer.ggml.add_bos_token", true)
            .bool("tokenizer.ggml.add_eos_token", false);
    }
}
