//! `OLMo` 2 and 3. Team `OLMo`, arXiv 2501.00656; windows: model cards of `OLMo` 3.
//!
//! Nothing is normed on its way into a part of a block, everything on its way out; queries and keys are normed over all heads together.
//! Where there is a window, three layers of every four have it, and these rotate without any stretching or factor.

use super::{
    Activation, Block, Loader, Mixer, Model, NormKind, Norms, Output, Pairs, Refusal, Rotary, SelfAttention, Weights, Wiring,
};

/// Every fourth layer is global where the file does not say otherwise.
const PATTERN: usize = 4;

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    loader.whole_heads()?;
    let windows = loader.windows(0, PATTERN)?;
    let global = loader.rotary(Pairs::Halves)?;
    let sliding = Rotary::plain(Pairs::Halves, loader.head, weights.real_or("rope.freq_base", 10_000.0)?);
    if windows.iter().any(Option::is_some) {
        // llama.cpp reads the key and rotates sliding layers with the one base all the same.
        weights.neutral_at("rope.freq_base_swa", [weights.real_or("rope.freq_base", 10_000.0)?]);
    }
    let (queries, keys) = (loader.heads * loader.head, loader.kv_heads * loader.head);
    let blocks = loader.blocks(|layer| {
        let window = windows[layer.index];
        let mut attention = layer.attention(if window.is_none() { &global } else { &sliding })?;
        attention.attention.window = window;
        let norms = Some([layer.norm_of("attn_q_norm", queries)?, layer.norm_of("attn_k_norm", keys)?]);
        Ok(Block {
            mixer_norms: Norms { before: None, after: Some(layer.norm("post_attention_norm")?) },
            mixer: Mixer::Attention(SelfAttention { norms, ..attention }),
            feed_forward_norms: Norms { before: None, after: Some(layer.norm("post_ffw_norm")?) },
            feed_forward: layer.gated(Activation::Silu)?,
            residual_scale: 1.0,
            wiring: Wiring::Sequential,
        })
    })?;
    loader.model_with(blocks, "output_norm", Output::Own)
}
