//! GLM 4, in the layout of its 0414 release. Team GLM, arXiv 2406.12793; `modeling_glm4.py` of Hugging Face's `transformers`.
//!
//! Norms before and after each part of a block; part of each head rotates, adjacent elements together; biases on queries, keys and
//! values; gate and up are one tensor.

use super::{Activation, Block, Loader, Mixer, Model, NormKind, Pairs, Refusal, Weights, Wiring};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    let rotary = loader.rotary(Pairs::Adjacent)?;
    loader.model(loader.blocks(|layer| {
        Ok(Block {
            mixer_norms: layer.attention_norms()?,
            mixer: Mixer::Attention(layer.attention(&rotary)?),
            feed_forward_norms: layer.feed_forward_norms()?,
            feed_forward: layer.gated_in_one(Activation::Silu)?,
            residual_scale: 1.0,
            wiring: Wiring::Sequential,
        })
    })?)
}
