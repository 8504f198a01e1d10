//! Gemma 2. Gemma Team, arXiv 2408.00118; details as in Google's `gemma_pytorch`.
//!
//! Gemma 3's blocks without norms of queries and keys; every other layer, from the first on, sees a sliding window; attention scores and
//! logits are kept within soft caps; one base for all layers unless
//! `rope.freq_base_swa` gives sliding ones their own; the output is tied to the embedding.

use super::{Activation, Block, Embedding, Finish, Loader, Mixer, Model, NormKind, Output, Pairs, Refusal, Weights, Wiring};

/// Every second layer is global where the file does not say otherwise.
const PATTERN: usize = 2;
/// `sliding_window` of the model's configuration.
const WINDOW: usize = 4096;
/// `attn_logit_softcapping` of the model's configuration.
const SCORE_CAP: f64 = 50.0;
/// `final_logit_softcapping` of the model's configuration.
const LOGIT_CAP: f64 = 30.0;
/// Layers of the model that scales its queries by the root of width / heads instead of by the size of a head.
const LAYERS_OF_27B: usize = 46;

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    let windows = loader.windows(WINDOW, PATTERN)?;
    if weights.count_or("attention.sliding_window", WINDOW)? == 0 {
        return Err(Refusal::Unsupported("Gemma 2 without windows".into()));
    }
    let score_cap = weights.positive("attn_logit_softcapping")?.unwrap_or(SCORE_CAP);
    if loader.layers == LAYERS_OF_27B {
        return Err(Refusal::Unsupported("the reference does not have the query scale of Gemma 2 27B".into()));
    }
    let global = loader.rotary(Pairs::Halves)?;
    let sliding = match weights.positive("rope.freq_base_swa")? {
        Some(base) => loader.rotary_of(Pairs::Halves, base)?,
        None => global.clone(),
    };
    let blocks = loader.blocks(|layer| {
        let window = windows[layer.index];
        let mut attention = layer.attention(if window.is_none() { &global } else { &sliding })?;
        attention.attention.window = window;
        attention.attention.soft_cap = Some(score_cap);
        Ok(Block {
            mixer_norms: layer.attention_norms()?,
            mixer: Mixer::Attention(attention),
            feed_forward_norms: layer.feed_forward_norms()?,
            feed_forward: layer.gated(Activation::GeluTanh)?,
            residual_scale: 1.0,
            wiring: Wiring::Sequential,
        })
    })?;
    let model = loader.model_with(blocks, "output_norm", Output::Tied)?;
    let logit_cap = weights.positive("final_logit_softcapping")?.unwrap_or(LOGIT_CAP);
    Ok(Model {
        embedding: Embedding { scale: (loader.width as f64).sqrt(), ..model.embedding },
        finish: Finish { soft_cap: Some(logit_cap), ..model.finish },
        ..model
    })
}
