//! Llama and Mixtral. Touvron et al., arXiv 2302.13971 and 2307.09288; frequency factors: Llama 3.1, arXiv 2407.21783; mixture of
//! experts: Jiang et al., arXiv 2401.04088.
//!
//! Pre-norm blocks: `h += W_o attention(norm(h))`, then `h += W_down (silu(W_gate x) * W_up x)` with `x = norm(h)`. Adjacent
//! elements rotate together: GGUF's converter has permuted the rows of queries and keys for that. `rope_freqs` divides the
//! frequencies. Any linear map may have a bias, experts' apart.

use super::{Activation, Loader, Mixer, Model, NormKind, Pairs, Refusal, Weights};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    loader.whole_heads()?;
    let rotary = loader.rotary_with_factors(Pairs::Adjacent)?;
    let experts = weights.count_or("expert_count", 0)?;
    loader.model(loader.blocks(|layer| {
        let feed_forward = match experts {
            0 => layer.gated_with_biases(Activation::Silu)?,
            _ => layer.experts(weights.count("feed_forward_length")?, Activation::Silu)?,
        };
        layer.pre_norm(Mixer::Attention(layer.attention_with_biases(&rotary)?), feed_forward)
    })?)
}
