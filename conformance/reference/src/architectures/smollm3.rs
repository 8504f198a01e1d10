//! `SmolLM` 3. Model card and `modeling_smollm3.py` of Hugging Face's `transformers`; layers without rotation: Yang et al.,
//! arXiv 2501.18795.
//!
//! Llama's blocks; every fourth layer does not rotate at all.

use super::{Activation, Loader, Mixer, Model, NormKind, Pairs, Refusal, SelfAttention, Weights};

/// `no_rope_layer_interval` of the model's configuration, which GGUF has no key for.
const WITHOUT_ROTATION: usize = 4;

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    loader.whole_heads()?;
    let rotary = loader.rotary(Pairs::Adjacent)?;
    loader.model(loader.blocks(|layer| {
        let attention = layer.attention(&rotary)?;
        let rotary = attention.rotary.filter(|_| !(layer.index + 1).is_multiple_of(WITHOUT_ROTATION));
        layer.pre_norm(Mixer::Attention(SelfAttention { rotary, ..attention }), layer.gated(Activation::Silu)?)
    })?)
}
