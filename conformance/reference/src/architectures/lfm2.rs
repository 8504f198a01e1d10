//! LFM 2. Model cards and `modeling_lfm2.py` of Hugging Face's `transformers`.
//!
//! Llama's blocks, of which those without key and value heads (`attention.head_count_kv` is 0 there) have a gated short
//! convolution over `shortconv.l_cache` positions in place of attention. Attention norms each head's queries and keys before
//! halves of heads rotate together. The last norm goes by the name of `token_embd_norm`.

use super::{Activation, Loader, Mixer, Model, NormKind, Output, Pairs, Refusal, SelfAttention, Weights};
use crate::{layers::ShortConvolution, operations::Convolution};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let layers = weights.count("block_count")?;
    let heads_by_layer = weights.count_by_layer("attention.head_count", layers)?;
    let kv_heads = weights.count_by_layer("attention.head_count_kv", layers)?;
    // Of layers that do not attend, a file may say that they have no heads; the first says how many all others have, as in
    // llama.cpp.
    let heads = heads_by_layer.first().copied().unwrap_or(0);
    if heads == 0 || heads_by_layer.iter().zip(&kv_heads).any(|(&count, &kv_heads)| kv_heads != 0 && count != heads) {
        return Err(Refusal::Unsupported(format!("the reference does not know layers with {heads_by_layer:?} heads")));
    }
    let most = kv_heads.iter().copied().max().filter(|&most| most > 0).unwrap_or(heads);
    if kv_heads.iter().any(|&count| count != 0 && count != most) {
        return Err(Refusal::Unsupported("the reference does not know layers with different numbers of key heads".into()));
    }
    let loader = Loader::with_heads(weights, NormKind::RootMeanSquare, layers, heads, most)?;
    let rotary = loader.rotary(Pairs::Halves)?;
    let (width, reach) = (loader.width, weights.count("shortconv.l_cache")?);
    let blocks = loader.blocks(|layer| {
        let mixer = if kv_heads[layer.index] == 0 {
            let kernels = layer.matrix("shortconv.conv", reach, width)?;
            let input = layer.matrix("shortconv.in_proj", width, 3 * width)?;
            Mixer::Convolution(ShortConvolution {
                input: [0, width, 2 * width].map(|first| input.part(first, width)),
                convolution: Convolution { kernels: (0..width).map(|channel| kernels.row(channel)).collect() },
                output: layer.matrix("shortconv.out_proj", width, width)?,
            })
        } else {
            Mixer::Attention(SelfAttention { norms: layer.head_norms()?, ..layer.attention(&rotary)? })
        };
        layer.pre_norm(mixer, layer.gated(Activation::Silu)?)
    })?;
    loader.model_with(blocks, "token_embd_norm", Output::Either)
}
