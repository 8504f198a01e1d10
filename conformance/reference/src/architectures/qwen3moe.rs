//! Qwen 3, mixture of experts. Yang et al., arXiv 2505.09388.
//!
//! Qwen 3 with experts in every layer; the weights of the chosen ones are divided by their sum (`norm_topk_prob`). Experts have a width
//! of their own, `expert_feed_forward_length`; without it, the dense width is shared among the experts that a position goes to.

use super::{Activation, Loader, Mixer, Model, NormKind, Pairs, Refusal, SelfAttention, Weights};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    loader.whole_heads()?;
    let rotary = loader.rotary(Pairs::Halves)?;
    let shared = weights.count_or("feed_forward_length", 0)? / weights.count("expert_used_count")?;
    let hidden = Some(weights.count_or("expert_feed_forward_length", 0)?).filter(|&hidden| hidden > 0).unwrap_or(shared);
    loader.model(loader.blocks(|layer| {
        let attention = SelfAttention { norms: layer.head_norms()?, ..layer.attention(&rotary)? };
        layer.pre_norm(Mixer::Attention(attention), layer.experts(hidden, Activation::Silu)?)
    })?)
}
