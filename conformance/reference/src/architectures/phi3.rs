//! Phi 3 and 4. Abdin et al., arXiv 2404.14219 and 2412.08905; long and short factors: Ding et al., arXiv 2402.13753.
//!
//! Llama's blocks with queries, keys and values in one tensor and gate and up in another, and with halves of heads that rotate together.
//! Frequencies are divided by `rope_factors_short` in prompts of up to `rope.scaling.original_context_length` positions and by
//! `rope_factors_long` in longer ones; it is the prompt that counts, not the room there is for it. With `attention.sliding_window`, every layer has that window.

use super::{Activation, Loader, Mixer, Model, NormKind, Pairs, Refusal, Rotary, Weights};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    let plain = loader.rotary(Pairs::Halves)?;
    let pairs = plain.frequencies.len();
    let short = weights.optional_vector("rope_factors_short.weight", pairs)?;
    let long = weights.optional_vector("rope_factors_long.weight", pairs)?;
    if short.is_some() != long.is_some() {
        return Err(Refusal::Unsupported("factors for short prompts alone, or for long ones alone".into()));
    }
    let original = weights.count_or("rope.scaling.original_context_length", weights.count("context_length")?)?;
    let long = long.map(|factors| (original, plain.clone().divided(Some(&factors)).frequencies));
    let rotary = Rotary { long, ..plain.divided(short.as_deref()) };
    let window = Some(weights.count_or("attention.sliding_window", 0)?).filter(|&window| window > 0);
    loader.model(loader.blocks(|layer| {
        let mut attention = layer.attention(&rotary)?;
        attention.attention.window = window;
        layer.pre_norm(Mixer::Attention(attention), layer.gated_in_one(Activation::Silu)?)
    })?)
}
