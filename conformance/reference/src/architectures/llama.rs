//! Llama. Touvron et al., arXiv 2302.13971 and 2307.09288; frequency factors: Llama 3.1, arXiv 2407.21783.
//!
//! Pre-norm blocks: `h += W_o attention(rms_norm(h))`, then `h += W_down (silu(W_gate x) * W_up x)` with `x = rms_norm(h)`.
//! Adjacent elements rotate together: GGUF's converter has permuted the rows of queries and keys for that. Mixtures of experts
//! are not in here yet.

use super::{Architecture, Heads, embed, linear_scaling};
use crate::{
    Matrix, Rounding, Rows, Weights,
    operations::{Attention, Pairs, Rotary, rms_norm, rms_normed, silu},
};
use vocabulary::Refusal;

pub(super) struct Llama<'a> {
    embedding: Matrix<'a>,
    layers: Vec<Layer<'a>>,
    norm: Vec<f64>,
    output: Matrix<'a>,
    attention: Attention,
    rotary: Rotary,
    epsilon: f64,
    context_length: usize,
}

struct Layer<'a> {
    attention_norm: Vec<f64>,
    query: Matrix<'a>,
    key: Matrix<'a>,
    value: Matrix<'a>,
    attention_output: Matrix<'a>,
    feed_forward_norm: Vec<f64>,
    gate: Matrix<'a>,
    up: Matrix<'a>,
    down: Matrix<'a>,
}

impl<'a> Llama<'a> {
    pub(super) fn load(weights: &Weights<'a>) -> Result<Self, Refusal> {
        weights.refuse("mixtures of experts", "blk.0.ffn_gate_exps.weight", "expert_count")?;
        weights.refuse("fused queries, keys and values", "blk.0.attn_qkv.weight", "")?;
        let width = weights.count("embedding_length")?;
        let hidden = weights.count("feed_forward_length")?;
        let Heads { heads, kv_heads, head } = Heads::load(weights, width)?;
        let vocabulary_size = weights.vocabulary_size()?;
        let dimensions = weights.count_or("rope.dimension_count", head)?;
        if dimensions != head {
            // llama.cpp asserts this too, in its graph for llama.
            return Err(Refusal::Unsupported(format!("rotary embedding of {dimensions} of {head} elements")));
        }
        let rotary = Rotary {
            pairs: Pairs::Adjacent,
            dimensions,
            base: weights.real_or("rope.freq_base", 10_000.0)?,
            scale: linear_scaling(weights)?,
            factors: weights.optional_vector("rope_freqs.weight", dimensions / 2)?,
        };
        let layers = (0..weights.count("block_count")?).map(|index| {
            let name = |part: &str| format!("blk.{index}.{part}.weight");
            Ok(Layer {
                attention_norm: weights.vector(&name("attn_norm"), width)?,
                query: weights.matrix(&name("attn_q"), width, heads * head)?,
                key: weights.matrix(&name("attn_k"), width, kv_heads * head)?,
                value: weights.matrix(&name("attn_v"), width, kv_heads * head)?,
                attention_output: weights.matrix(&name("attn_output"), heads * head, width)?,
                feed_forward_norm: weights.vector(&name("ffn_norm"), width)?,
                gate: weights.matrix(&name("ffn_gate"), width, hidden)?,
                up: weights.matrix(&name("ffn_up"), width, hidden)?,
                down: weights.matrix(&name("ffn_down"), hidden, width)?,
            })
        });
        let layers = layers.collect::<Result<_, Refusal>>()?;
        let embedding = weights.matrix("token_embd.weight", width, vocabulary_size)?;
        // The size of the vocabulary is that of the embedding; the key only repeats it.
        weights.ignore(&["vocab_size"]);
        Ok(Self {
            embedding,
            layers,
            norm: weights.vector("output_norm.weight", width)?,
            output: weights.optional_matrix("output.weight", width, vocabulary_size)?.unwrap_or(embedding),
            attention: Attention { heads, kv_heads, head, scale: 1.0 / (head as f64).sqrt(), window: None },
            rotary,
            epsilon: weights.real("attention.layer_norm_rms_epsilon")?,
            context_length: weights.count("context_length")?,
        })
    }
}

impl Layer<'_> {
    fn attend(&self, model: &Llama<'_>, x: &Rows, rounding: Rounding) -> Rows {
        let mut queries = self.query.multiply(x, rounding);
        let mut keys = self.key.multiply(x, rounding);
        let mut values = self.value.multiply(x, rounding);
        model.rotary.apply(&mut queries, model.attention.head, rounding);
        model.rotary.apply(&mut keys, model.attention.head, rounding);
        keys.iter_mut().for_each(|row| rounding.cached(row));
        values.iter_mut().for_each(|row| rounding.cached(row));
        self.attention_output.multiply(&model.attention.apply(&queries, &keys, &values, rounding), rounding)
    }

    fn feed_forward(&self, x: &Rows, rounding: Rounding) -> Rows {
        let mut gated = self.gate.multiply(x, rounding);
        let up = self.up.multiply(x, rounding);
        for (gate, up) in gated.data.iter_mut().zip(&up.data) {
            *gate = silu(*gate) * up;
        }
        self.down.multiply(&gated, rounding)
    }
}

impl Architecture for Llama<'_> {
    fn hidden(&self, tokens: &[u32], rounding: Rounding) -> Rows {
        let mut h = embed(&self.embedding, tokens, 1.0);
        for layer in &self.layers {
            let x = rms_normed(&h, &layer.attention_norm, self.epsilon, rounding);
            h.add(&layer.attend(self, &x, rounding));
            let x = rms_normed(&h, &layer.feed_forward_norm, self.epsilon, rounding);
            h.add(&layer.feed_forward(&x, rounding));
        }
        rms_norm(&mut h, &self.norm, self.epsilon, rounding);
        h
    }

    fn output(&self) -> Matrix<'_> {
        self.output
    }

    fn context_length(&self) -> usize {
        self.context_length
    }
}
