//! Gemma 3. Gemma Team, arXiv 2503.19786; details as in Google's `gemma_pytorch`.
//!
//! What sets it apart from Llama: the embedding is multiplied by the root of the width; each part of a block is normed on its way in and
//! on its way out, before the residual; queries and keys are normed per head; five layers of every six see a sliding window and
//! rotate with a base of their own; the gate goes through GELU in its tanh form, not `SiLU`; the output is tied to the embedding.
//! Norm gains are used as they are: GGUF's converter has added the 1 of `1 + gain`.

use super::{
    Activation, Block, Embedding, Finish, Loader, Mixer, Model, Neutral, NormKind, Pairs, Refusal, Rotary, SelfAttention,
    Weights, Wiring,
};

/// Every sixth layer is global where the file does not say otherwise: `sliding_window_pattern` of the model's configuration.
const PATTERN: usize = 6;
/// Layers of the model that scales its queries by the root of width / heads instead of by the size of a head.
const LAYERS_OF_27B: usize = 62;

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    let windows = loader.windows(0, PATTERN)?;
    let Some(global_base) = weights.positive("rope.freq_base")? else {
        // The runtimes do not agree on a default: llama.cpp takes 10,000, candle 1,000,000.
        return Err(Refusal::Unsupported("the file does not give `gemma3.rope.freq_base`".into()));
    };
    let sliding_base = weights.positive("rope.freq_base_swa")?.unwrap_or(10_000.0);
    // Ollama's converter has a name of its own for that base, and keys of the part that sees, whose tensors would be refused.
    weights.neutral_at("rope.local.freq_base", [sliding_base]);
    for suffix in ["mm.tokens_per_image", "vision.*"] {
        weights.neutral(suffix, Neutral::Any);
    }
    if weights.real_or("rope.scaling.attn_factor", 1.0)? != 1.0 {
        // No converter writes it, and whether sliding layers have it is anyone's guess.
        return Err(Refusal::Unsupported("a factor on what rotates, in Gemma 3".into()));
    }
    if loader.layers == LAYERS_OF_27B {
        return Err(Refusal::Unsupported("the reference does not have the query scale of Gemma 3 27B".into()));
    }
    let global = loader.rotary_of(Pairs::Halves, global_base)?;
    // Only global layers stretch positions.
    let sliding = Rotary::plain(Pairs::Halves, loader.rotary_dimensions()?, sliding_base);
    let blocks = loader.blocks(|layer| {
        let window = windows[layer.index];
        let mut attention = layer.attention(if window.is_none() { &global } else { &sliding })?;
        attention.attention.window = window;
        Ok(Block {
            mixer_norms: layer.attention_norms()?,
            mixer: Mixer::Attention(SelfAttention { norms: layer.head_norms()?, ..attention }),
            feed_forward_norms: layer.feed_forward_norms()?,
            feed_forward: layer.gated(Activation::GeluTanh)?,
            residual_scale: 1.0,
            wiring: Wiring::Sequential,
        })
    })?;
    let model = loader.model(blocks)?;
    // A cap of 0 is none: Gemma 3 has dropped it, its derivatives have not.
    let soft_cap = weights.nonzero("final_logit_softcapping")?.map(f64::abs);
    Ok(Model {
        embedding: Embedding { scale: (loader.width as f64).sqrt(), ..model.embedding },
        finish: Finish { soft_cap, ..model.finish },
        ..model
    })
}
