//! Qwen 3, dense. Yang et al., arXiv 2505.09388.
//!
//! Llama's blocks without biases; each head's queries and keys are normed before halves of heads rotate together.

use super::{Activation, Loader, Mixer, Model, NormKind, Pairs, Refusal, SelfAttention, Weights};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    loader.whole_heads()?;
    let rotary = loader.rotary(Pairs::Halves)?;
    loader.model(loader.blocks(|layer| {
        let attention = SelfAttention { norms: layer.head_norms()?, ..layer.attention(&rotary)? };
        layer.pre_norm(Mixer::Attention(attention), layer.gated(Activation::Silu)?)
    })?)
}
