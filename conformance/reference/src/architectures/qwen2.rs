//! Qwen 2 and 2.5. Yang et al., arXiv 2407.10671 and 2412.15115.
//!
//! Llama's blocks, with biases on queries, keys and values, and with halves of heads that rotate together.

use super::{Activation, Loader, Mixer, Model, NormKind, Pairs, Refusal, Weights};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    loader.whole_heads()?;
    let rotary = loader.rotary(Pairs::Halves)?;
    loader.model(
        loader.blocks(|layer| layer.pre_norm(Mixer::Attention(layer.attention(&rotary)?), layer.gated(Activation::Silu)?))?,
    )
}
