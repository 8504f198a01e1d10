//! Phi 2. Model card and `modeling_phi.py` of Hugging Face's `transformers`.
//!
//! One layer norm with a bias feeds attention and feed-forward part alike, and both are added to the stream; every linear map has a bias,
//! the output too; the first elements of each head rotate, halves together; the feed-forward part has no gate, and GELU in its
//! tanh form.

use super::{
    Activation, Block, FeedForward, Layer, Loader, Mixer, Model, NormKind, Norms, Output, Pairs, Refusal, Weights, Wiring,
};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::Layer)?;
    let rotary = loader.rotary(Pairs::Halves)?;
    let hidden = weights.count("feed_forward_length")?;
    let with_bias = |layer: &Layer<'_, '_, 'a>, part: &str, inputs, outputs| {
        let linear = layer.linear(part, inputs, outputs)?;
        if linear.bias.is_none() {
            return Err(Refusal::Unsupported(format!("Phi 2 without a bias of {part}")));
        }
        Ok(linear)
    };
    let blocks = loader.blocks(|layer| {
        let mut attention = layer.attention(&rotary)?;
        attention.output = with_bias(&layer, "attn_output", loader.heads * loader.head, loader.width)?;
        Ok(Block {
            mixer_norms: Norms::before(layer.norm("attn_norm")?),
            mixer: Mixer::Attention(attention),
            feed_forward_norms: Norms::default(),
            feed_forward: FeedForward::Plain {
                up: with_bias(&layer, "ffn_up", loader.width, hidden)?,
                down: with_bias(&layer, "ffn_down", hidden, loader.width)?,
                activation: Activation::GeluTanh,
            },
            residual_scale: 1.0,
            wiring: Wiring::Parallel,
        })
    })?;
    loader.model_with(blocks, "output_norm", Output::OwnWithBias)
}
