//! Granite 3. Model cards and `modeling_granite.py` of Hugging Face's `transformers`.
//!
//! Llama's blocks with four numbers of its own: `embedding_scale` multiplies the embeddings, `residual_scale` what is added to
//! the stream, `attention.scale` stands in place of one over the root of the head's size, and `logit_scale` divides the logits.
//! Without `rope.scaling.finetuned`, or where it is true, heads rotate as Llama's do, with `rope_freqs` where the file has
//! them.

use super::{Activation, Block, Embedding, Finish, Loader, Mixer, Model, NormKind, Pairs, Refusal, Weights};

pub(super) fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let loader = Loader::new(weights, NormKind::RootMeanSquare)?;
    loader.whole_heads()?;
    let rotary = loader.rotary_with_factors(Pairs::Adjacent)?;
    let rotates = weights.flag_or("rope.scaling.finetuned", true)?;
    // llama.cpp's writer says the same again, layer by layer.
    weights.neutral_at("attention.rope_pattern", [f64::from(u8::from(rotates))]);
    let residual_scale = weights.nonzero("residual_scale")?.unwrap_or(1.0);
    let scale = weights.nonzero("attention.scale")?.unwrap_or(loader.attention().scale);
    let blocks = loader.blocks(|layer| {
        let mut attention = layer.attention_with_biases(&rotary)?;
        attention.attention.scale = scale;
        attention.rotary = attention.rotary.filter(|_| rotates);
        let block = layer.pre_norm(Mixer::Attention(attention), layer.gated_with_biases(Activation::Silu)?)?;
        Ok(Block { residual_scale, ..block })
    })?;
    let model = loader.model(blocks)?;
    Ok(Model {
        embedding: Embedding { scale: weights.nonzero("embedding_scale")?.unwrap_or(1.0), ..model.embedding },
        finish: Finish {
            divisor: Some(weights.real("logit_scale").and(weights.positive("logit_scale"))?.unwrap_or(1.0)),
            ..model.finish
        },
        ..model
    })
}
