//! Gemma 3. Gemma Team, arXiv 2503.19786; details as in Google's `gemma_pytorch`.
//!
//! What sets it apart from Llama: the embedding is multiplied by the root of the width; each block is normed on its way in and on
//! its way out, before the residual; queries and keys are normed per head; five layers of every six see a sliding window and
//! rotate with a base of their own; the gate goes through GELU in its tanh form, not `SiLU`; the output is tied to the embedding.
//! Norm gains are used as they are: GGUF's converter has added the 1 of `1 + gain`.

use super::{Architecture, Heads, embed, linear_scaling};
use crate::{
    Matrix, Rounding, Rows, Weights,
    operations::{Attention, Pairs, Rotary, rms_norm, rms_normed},
};
use vocabulary::Refusal;

/// Every sixth layer is global where the file does not say otherwise: `sliding_window_pattern` of the model's configuration.
const PATTERN: usize = 6;

pub(super) struct Gemma3<'a> {
    embedding: Matrix<'a>,
    layers: Vec<Layer<'a>>,
    norm: Vec<f64>,
    output: Matrix<'a>,
    epsilon: f64,
    context_length: usize,
    soft_cap: f64,
}

struct Layer<'a> {
    attention: Attention,
    rotary: Rotary,
    attention_norm: Vec<f64>,
    query: Matrix<'a>,
    query_norm: Vec<f64>,
    key: Matrix<'a>,
    key_norm: Vec<f64>,
    value: Matrix<'a>,
    attention_output: Matrix<'a>,
    post_attention_norm: Vec<f64>,
    feed_forward_norm: Vec<f64>,
    gate: Matrix<'a>,
    up: Matrix<'a>,
    down: Matrix<'a>,
    post_feed_forward_norm: Vec<f64>,
}

impl<'a> Gemma3<'a> {
    pub(super) fn load(weights: &Weights<'a>) -> Result<Self, Refusal> {
        let width = weights.count("embedding_length")?;
        let hidden = weights.count("feed_forward_length")?;
        let Heads { heads, kv_heads, head } = Heads::load(weights, width)?;
        let vocabulary_size = weights.vocabulary_size()?;
        // Without a window every layer is global.
        let window = weights.count_or("attention.sliding_window", 0)?;
        let pattern = if window == 0 { 1 } else { weights.count_or("attention.sliding_window_pattern", PATTERN)?.max(1) };
        let global_base = weights.real_or("rope.freq_base", 0.0)?;
        if global_base == 0.0 {
            // The runtimes do not agree on a default: llama.cpp takes 10,000, candle 1,000,000.
            return Err(Refusal::Unsupported("the file does not give `gemma3.rope.freq_base`".into()));
        }
        let sliding_base = weights.real_or("rope.freq_base_swa", 10_000.0)?;
        let global_scale = linear_scaling(weights)?;
        let layer_count = weights.count("block_count")?;
        if layer_count == 62 {
            // The 27B model scales its queries by width / heads instead of by the size of a head.
            return Err(Refusal::Unsupported("the reference does not have the query scale of Gemma 3 27B".into()));
        }
        let layers = (0..layer_count).map(|index| {
            let name = |part: &str| format!("blk.{index}.{part}.weight");
            let global = (index + 1).is_multiple_of(pattern);
            let window = (!global).then_some(window);
            let (base, scale) = if global { (global_base, global_scale) } else { (sliding_base, 1.0) };
            Ok(Layer {
                attention: Attention { heads, kv_heads, head, scale: 1.0 / (head as f64).sqrt(), window },
                rotary: Rotary { pairs: Pairs::Halves, dimensions: head, base, scale, factors: None },
                attention_norm: weights.vector(&name("attn_norm"), width)?,
                query: weights.matrix(&name("attn_q"), width, heads * head)?,
                query_norm: weights.vector(&name("attn_q_norm"), head)?,
                key: weights.matrix(&name("attn_k"), width, kv_heads * head)?,
                key_norm: weights.vector(&name("attn_k_norm"), head)?,
                value: weights.matrix(&name("attn_v"), width, kv_heads * head)?,
                attention_output: weights.matrix(&name("attn_output"), heads * head, width)?,
                post_attention_norm: weights.vector(&name("post_attention_norm"), width)?,
                feed_forward_norm: weights.vector(&name("ffn_norm"), width)?,
                gate: weights.matrix(&name("ffn_gate"), width, hidden)?,
                up: weights.matrix(&name("ffn_up"), width, hidden)?,
                down: weights.matrix(&name("ffn_down"), hidden, width)?,
                post_feed_forward_norm: weights.vector(&name("post_ffw_norm"), width)?,
            })
        });
        let layers = layers.collect::<Result<_, Refusal>>()?;
        let embedding = weights.matrix("token_embd.weight", width, vocabulary_size)?;
        Ok(Self {
            embedding,
            layers,
            norm: weights.vector("output_norm.weight", width)?,
            output: weights.optional_matrix("output.weight", width, vocabulary_size)?.unwrap_or(embedding),
            epsilon: weights.real("attention.layer_norm_rms_epsilon")?,
            context_length: weights.count("context_length")?,
            soft_cap: weights.real_or("final_logit_softcapping", 0.0)?,
        })
    }
}

impl Layer<'_> {
    fn attend(&self, x: &Rows, epsilon: f64, rounding: Rounding) -> Rows {
        let mut queries = self.query.multiply(x, rounding);
        let mut keys = self.key.multiply(x, rounding);
        let mut values = self.value.multiply(x, rounding);
        rms_norm(&mut queries, &self.query_norm, epsilon, rounding);
        rms_norm(&mut keys, &self.key_norm, epsilon, rounding);
        self.rotary.apply(&mut queries, self.attention.head, rounding);
        self.rotary.apply(&mut keys, self.attention.head, rounding);
        keys.iter_mut().for_each(|row| rounding.cached(row));
        values.iter_mut().for_each(|row| rounding.cached(row));
        self.attention_output.multiply(&self.attention.apply(&queries, &keys, &values, rounding), rounding)
    }

    fn feed_forward(&self, x: &Rows, rounding: Rounding) -> Rows {
        let mut gated = self.gate.multiply(x, rounding);
        let up = self.up.multiply(x, rounding);
        for (gate, up) in gated.data.iter_mut().zip(&up.data) {
            *gate = rounding.gelu(*gate) * up;
        }
        self.down.multiply(&gated, rounding)
    }
}

impl Architecture for Gemma3<'_> {
    fn hidden(&self, tokens: &[u32], rounding: Rounding) -> Rows {
        let mut h = embed(&self.embedding, tokens, (self.embedding.columns as f64).sqrt());
        for layer in &self.layers {
            let x = rms_normed(&h, &layer.attention_norm, self.epsilon, rounding);
            let mut x = layer.attend(&x, self.epsilon, rounding);
            rms_norm(&mut x, &layer.post_attention_norm, self.epsilon, rounding);
            h.add(&x);
            let x = rms_normed(&h, &layer.feed_forward_norm, self.epsilon, rounding);
            let mut x = layer.feed_forward(&x, rounding);
            rms_norm(&mut x, &layer.post_feed_forward_norm, self.epsilon, rounding);
            h.add(&x);
        }
        rms_norm(&mut h, &self.norm, self.epsilon, rounding);
        h
    }

    fn output(&self) -> Matrix<'_> {
        self.output
    }

    fn logit(&self, x: f64) -> f64 {
        if self.soft_cap == 0.0 { x } else { self.soft_cap * (x / self.soft_cap).tanh() }
    }

    fn context_length(&self) -> usize {
        self.context_length
    }
}
