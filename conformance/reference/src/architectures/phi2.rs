//! Phi 2. Model card and `modeling_phi.py` of Hugging Face's `transformers`.
//!
//! One layer norm with a bias feeds attention and feed-forward part alike, and both are added to the stream; every linear map has a bias,
//! the output too; the first elements of each head rotate, halves together; the feed-forward part has no gate, and GELU in its
//! tanh form.

use super::{Activation, Block, FeedForward, Loader, Mixer, Model, NormKind, Norms, Pairs, Refusal, Weights, Wiring};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::Layer)?;
    let rotary = loader.rotary(Pairs::Halves)?;
    let hidden = weights.count("feed_forward_length")?;
    loader.model(loader.blocks(|layer| {
        Ok(Block {
            mixer_norms: Norms::before(layer.norm("attn_norm")?),
            mixer: Mixer::Attention(layer.attention(&rotary)?),
            feed_forward_norms: Norms::default(),
            feed_forward: FeedForward::Plain {
                up: layer.linear("ffn_up", loader.width, hidden)?,
                down: layer.linear("ffn_down", hidden, loader.width)?,
                activation: Activation::GeluTanh,
            },
            residual_scale: 1.0,
            wiring: Wiring::Parallel,
        })
    })?)
}
