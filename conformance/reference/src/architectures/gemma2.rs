//! Gemma 2. Gemma Team, arXiv 2408.00118; details as in Google's `gemma_pytorch`.
//!
//! Gemma 3's blocks without norms of queries and keys; every other layer, from the first on, sees a sliding window; attention scores and
//! logits are kept within soft caps; one base for all layers; the output is tied to the embedding.

use super::{Activation, Block, Embedding, Finish, Loader, Mixer, Model, NormKind, Pairs, Refusal, Weights, Wiring};

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
    let window = weights.count_or("attention.sliding_window", WINDOW)?;
    let pattern = weights.count_or("attention.sliding_window_pattern", PATTERN)?.max(1);
    let score_cap = weights.real_or("attn_logit_softcapping", SCORE_CAP)?;
    if loader.layers == LAYERS_OF_27B {
        return Err(Refusal::Unsupported("the reference does not have the query scale of Gemma 2 27B".into()));
    }
    let rotary = loader.rotary(Pairs::Halves)?;
    let blocks = loader.blocks(|layer| {
        let mut attention = layer.attention(&rotary)?;
        attention.attention.window = (!(layer.index + 1).is_multiple_of(pattern)).then_some(window);
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
    let model = loader.model(blocks)?;
    Ok(Model {
        embedding: Embedding { scale: (loader.width as f64).sqrt(), ..model.embedding },
        finish: Finish { soft_cap: Some(weights.real_or("final_logit_softcapping", LOGIT_CAP)?), ..model.finish },
        ..model
    })
}
