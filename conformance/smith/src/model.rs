//! What all recipes share: sizes, vocabulary, and drawing a tensor.

use crate::{Recipe, blocks::Blocks};
use gguf::{Draft, WeightType};

/// The BOS token of every tiny model.
pub(crate) const BOS: u32 = 1;
/// The first token that is a word; before it stand the special tokens and the 256 byte tokens of a `SentencePiece` vocabulary.
pub(crate) const FIRST_WORD: usize = 3 + 256;
/// Number of words.
pub(crate) const WORDS: usize = 61;
/// Rows of the embedding table.
pub(crate) const VOCABULARY_SIZE: u64 = (FIRST_WORD + WORDS) as u64;

/// A model being described: metadata and tensors in the order of the description.
pub(crate) struct Model {
    draft: Draft<'static>,
    blocks: Blocks,
    weights: WeightType,
    architecture: &'static str,
    /// Width of the residual stream: the least that blocks of this weight type allow, and at least 64.
    pub(crate) width: u64,
}

impl Model {
    pub(crate) fn new(recipe: &Recipe) -> Self {
        let mut draft = Draft::new();
        let architecture = recipe.architecture.name();
        draft.str("general.architecture", architecture);
        draft.str("general.name", &format!("ggauge {recipe}"));
        if recipe.weights.is_quantized() {
            draft.u32("general.quantization_version", 2);
        }
        Self {
            draft,
            blocks: Blocks::new(recipe.seed),
            weights: recipe.weights,
            architecture,
            width: (recipe.weights.block_len() as u64).max(64),
        }
    }

    /// A count among the architecture's own keys.
    pub(crate) fn u32(&mut self, key: &str, value: u64) {
        self.draft.u32(&format!("{}.{key}", self.architecture), value as u32);
    }

    /// A real number among the architecture's own keys.
    pub(crate) fn f32(&mut self, key: &str, value: f32) {
        self.draft.f32(&format!("{}.{key}", self.architecture), value);
    }

    /// A matrix from `inputs` to `outputs`, scaled so that inputs of unit variance give outputs of standard deviation `gain`.
    pub(crate) fn matrix(&mut self, name: &str, inputs: u64, outputs: u64, gain: f32) {
        let spread = gain / (inputs as f32).sqrt();
        let data = self.blocks.draw(self.weights, (inputs * outputs) as usize, spread);
        self.draft.tensor(&format!("{name}.weight"), &[inputs, outputs], self.weights, data);
    }

    /// Norm gains around `center`.
    pub(crate) fn norm(&mut self, name: &str, len: u64, center: f32) {
        let data = self.blocks.around(center, 0.1 * center, len as usize);
        self.draft.tensor(&format!("{name}.weight"), &[len], WeightType::F32, data);
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

    pub(crate) fn finish(self) -> Vec<u8> {
        self.draft.finish()
    }
}
