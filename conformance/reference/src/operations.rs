//! The operations that forward passes are made of, each as its definition.

use crate::{
    Matrix,
    rows::{Addition, Rows, dot_with},
};
use gguf::WeightType;
use rayon::prelude::*;
use std::f64::consts::PI;

/// The steps of a forward pass. What each does by default is its definition; [`Rounding`](crate::Rounding) rounds around them, and
/// whoever asks what a wrong step would do to a model overrides that step and no other.
pub trait Operations: Sync {
    /// Activations on their way into a matrix of `weight_type`.
    fn inputs(&self, _weight_type: WeightType, _row: &mut [f64]) {}

    /// What comes out of a matrix, a norm, a rotation, or a step of attention.
    fn outputs(&self, _row: &mut [f64]) {}

    /// How products add up.
    fn addition(&self) -> Addition {
        Addition::Exact
    }

    /// What comes out of a step on single elements: an activation, a gate, a residual connection.
    fn steps(&self, _row: &mut [f64]) {}

    /// A key or value on its way into the cache.
    fn cached(&self, _row: &mut [f64]) {}

    /// The embeddings of `tokens`, one row a position.
    fn embed(&self, embedding: &Embedding<'_>, tokens: &[u32]) -> Rows {
        embedding.of(tokens)
    }

    /// A norm, in place.
    fn norm(&self, norm: &Norm, rows: &mut Rows) {
        norm.apply(rows);
        rows.iter_mut().for_each(|row| self.outputs(row));
    }

    /// The angles by which the pairs of a head turn at a position.
    fn angles(&self, rotary: &Rotary, frequencies: &[f64], position: usize) -> Vec<f64> {
        let _ = rotary;
        frequencies.iter().map(|frequency| position as f64 * frequency).collect()
    }

    /// Sine and cosine of an angle.
    fn sines(&self, angle: f64) -> (f64, f64) {
        angle.sin_cos()
    }

    /// A rotation of every head of `head` elements, in place.
    fn rotate(&self, rotary: &Rotary, rows: &mut Rows, head: usize) {
        rotary.apply(rows, head, self);
        rows.iter_mut().for_each(|row| self.outputs(row));
    }

    /// The scores of the positions that a query sees into their weights, in place.
    fn weigh(&self, scores: &mut [f64]) {
        self.outputs(scores);
        softmax(scores);
        self.outputs(scores);
    }

    /// Attention from every query to the keys and values at its own position and before.
    fn attend(&self, attention: &Attention, queries: &Rows, keys: &Rows, values: &Rows) -> Rows {
        attention.apply(queries, keys, values, self)
    }

    /// A causal convolution along the positions.
    fn convolve(&self, convolution: &Convolution, rows: &Rows) -> Rows {
        convolution.apply(rows)
    }

    /// The activation function of a feed-forward block.
    fn activate(&self, activation: Activation, x: f64) -> f64 {
        activation.of(x)
    }

    /// The experts that a position goes to and the weight of each, from the router's scores of all experts.
    fn route(&self, router: &Router, scores: &[f64]) -> Vec<(usize, f64)> {
        router.choose(scores)
    }

    /// A logit from what the output matrix gives.
    fn logit(&self, finish: &Finish, token: usize, x: f64) -> f64 {
        finish.of(token, x)
    }
}

/// The embedding table and the factor on what it gives.
pub struct Embedding<'a> {
    /// One row a token.
    pub table: Matrix<'a>,
    /// 1, or what the model multiplies its embeddings by.
    pub scale: f64,
}

impl Embedding<'_> {
    /// The embeddings of `tokens`.
    pub fn of(&self, tokens: &[u32]) -> Rows {
        let data = tokens.iter().flat_map(|&token| self.table.row(token as usize)).map(|x| x * self.scale).collect();
        Rows { width: self.table.columns, data }
    }
}

/// Which statistics a norm divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `x / sqrt(mean(x^2) + epsilon)`. Zhang and Sennrich, arXiv 1910.07467.
    RootMeanSquare,
    /// `(x - mean(x)) / sqrt(variance(x) + epsilon)`. Ba et al., arXiv 1607.06450.
    Layer,
}

/// A norm of each row, or of each part of a row that is as long as the gain: a norm of heads.
#[derive(Debug, Clone)]
pub struct Norm {
    /// The tensor that the gain is from, such as `blk.0.attn_norm`.
    pub name: String,
    /// What it divides by.
    pub kind: NormKind,
    /// Factors on the normed values.
    pub gain: Vec<f64>,
    /// Added to them, where there is one.
    pub bias: Option<Vec<f64>>,
    /// Keeps the divisor away from 0.
    pub epsilon: f64,
}

impl Norm {
    pub(crate) fn apply(&self, rows: &mut Rows) {
        for part in rows.data.chunks_exact_mut(self.gain.len()) {
            let len = part.len() as f64;
            if self.kind == NormKind::Layer {
                let mean = part.iter().sum::<f64>() / len;
                for x in part.iter_mut() {
                    *x -= mean;
                }
            }
            let mean_square = part.iter().map(|x| x * x).sum::<f64>() / len;
            let scale = 1.0 / (mean_square + self.epsilon).sqrt();
            for (x, gain) in part.iter_mut().zip(&self.gain) {
                *x *= scale * gain;
            }
            for (x, bias) in part.iter_mut().zip(self.bias.iter().flatten()) {
                *x += bias;
            }
        }
    }

    /// [`Norm::apply`] in f32, sums one term after the other.
    pub(crate) fn apply_in_single(&self, rows: &mut Rows) {
        for part in rows.data.chunks_exact_mut(self.gain.len()) {
            let len = part.len() as f32;
            let mean = if self.kind == NormKind::Layer { part.iter().fold(0.0, |sum, &x| sum + x as f32) / len } else { 0.0 };
            let mean_square = part.iter().map(|&x| x as f32 - mean).fold(0.0, |sum, x| sum + x * x) / len;
            let scale = 1.0 / (mean_square + self.epsilon as f32).sqrt();
            for (x, &gain) in part.iter_mut().zip(&self.gain) {
                *x = ((*x as f32 - mean) * scale * gain as f32).into();
            }
            for (x, &bias) in part.iter_mut().zip(self.bias.iter().flatten()) {
                *x = (*x as f32 + bias as f32).into();
            }
        }
    }

    /// The norm of a copy.
    pub fn of(&self, rows: &Rows, operations: &dyn Operations) -> Rows {
        let mut rows = rows.clone();
        operations.norm(self, &mut rows);
        rows
    }
}

/// The activation functions of feed-forward blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`. Elfwing et al., arXiv 1702.03118.
    Silu,
    /// `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`. Hendrycks and Gimpel, arXiv 1606.08415.
    GeluTanh,
}

impl Activation {
    /// The function's value.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::GeluTanh => 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh()),
        }
    }
}

/// `cap * tanh(x / cap)`, which keeps `x` within `cap`. Bello et al., arXiv 1611.09940.
pub fn soft_cap(cap: Option<f64>, x: f64) -> f64 {
    cap.map_or(x, |cap| cap * (x / cap).tanh())
}

/// Turns scores into probabilities in place. Scores of minus infinity get 0; at least one must be finite.
pub fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        total += *score;
    }
    for score in scores {
        *score /= total;
    }
}

/// Which elements of a head rotate together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Elements `2i` and `2i + 1`, as in Llama's original code.
    Adjacent,
    /// Elements `i` and `i + d/2`, as in GPT-NeoX.
    Halves,
}

/// Rotary position embedding: pair `i` turns by `position * frequencies[i]`. Su et al., arXiv 2104.09864.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Which elements form a pair.
    pub pairs: Pairs,
    /// Base of the frequencies: without anything else, pair `i` of `d/2` turns by `base^(-2i/d)` radians a position.
    pub base: f64,
    /// Radians a position, one a pair: two of each head's elements rotate for every one, the rest stay.
    pub frequencies: Vec<f64>,
    /// The frequencies of prompts that are longer than a number of positions, where a model has others for them.
    pub long: Option<(usize, Vec<f64>)>,
    /// Factor on everything that rotates: 1, or more where a model's context was stretched.
    pub magnitude: f64,
}

impl Rotary {
    /// The rotation of `dimensions` elements of each head by `base^(-2i/d)` and nothing else.
    pub fn plain(pairs: Pairs, dimensions: usize, base: f64) -> Self {
        let frequency = |i: usize| base.powf(-2.0 * i as f64 / dimensions as f64);
        Self { pairs, base, frequencies: (0..dimensions / 2).map(frequency).collect(), long: None, magnitude: 1.0 }
    }

    /// Rotates every head of every row; row `p` is position `p`.
    pub fn apply<O: Operations + ?Sized>(&self, rows: &mut Rows, head: usize, operations: &O) {
        let frequencies = match &self.long {
            Some((positions, long)) if rows.len() > *positions => long,
            _ => &self.frequencies,
        };
        let pairs = frequencies.len();
        for (position, row) in rows.iter_mut().enumerate() {
            for (i, angle) in operations.angles(self, frequencies, position).into_iter().enumerate() {
                let (sin, cos) = operations.sines(angle);
                let (sin, cos) = (sin * self.magnitude, cos * self.magnitude);
                let (first, second) = match self.pairs {
                    Pairs::Adjacent => (2 * i, 2 * i + 1),
                    Pairs::Halves => (i, i + pairs),
                };
                for head in row.chunks_exact_mut(head) {
                    let (x, y) = (head[first], head[second]);
                    head[first] = x * cos - y * sin;
                    head[second] = x * sin + y * cos;
                }
            }
        }
    }
}

/// Causal attention with grouped heads. Vaswani et al., arXiv 1706.03762; groups: Ainslie et al., arXiv 2305.13245.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` consecutive query heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head: usize,
    /// Factor on the scores.
    pub scale: f64,
    /// A position sees itself and the `window - 1` before it; without a window, everything before it.
    pub window: Option<usize>,
    /// Scores are kept within this, where there is one.
    pub soft_cap: Option<f64>,
}

impl Attention {
    /// Attends from every row of `queries` to the rows of `keys` and `values` at its own position and before.
    pub fn apply<O: Operations + ?Sized>(&self, queries: &Rows, keys: &Rows, values: &Rows, operations: &O) -> Rows {
        let mut outputs = Rows::zeros(queries.len(), self.heads * self.head);
        let width = outputs.width;
        let addition = operations.addition();
        outputs.data.par_chunks_exact_mut(width).enumerate().for_each(|(position, output)| {
            let first = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
            for (index, out) in output.chunks_exact_mut(self.head).enumerate() {
                let part = |at: usize| at * self.head..(at + 1) * self.head;
                let query = &queries.row(position)[part(index)];
                let shared = part(index / (self.heads / self.kv_heads));
                let score =
                    |at: usize| soft_cap(self.soft_cap, dot_with(addition, query, &keys.row(at)[shared.clone()]) * self.scale);
                let mut weights: Vec<f64> = (first..=position).map(score).collect();
                operations.weigh(&mut weights);
                for (at, weight) in (first..=position).zip(weights) {
                    for (x, value) in out.iter_mut().zip(&values.row(at)[shared.clone()]) {
                        *x = addition.add(*x, weight, *value);
                    }
                }
            }
        });
        outputs
    }
}

/// A causal convolution of every channel along the positions: output `p` is the sum of `kernel[j] * input[p - (len - 1) + j]`.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// One row of factors a channel, the last of them for the position itself.
    pub kernels: Vec<Vec<f64>>,
}

impl Convolution {
    /// The convolution of `rows`, with zeros before the first.
    pub fn apply(&self, rows: &Rows) -> Rows {
        let mut outputs = Rows::zeros(rows.len(), rows.width);
        for (position, output) in outputs.iter_mut().enumerate() {
            for (channel, (out, kernel)) in output.iter_mut().zip(&self.kernels).enumerate() {
                for (back, factor) in kernel.iter().rev().enumerate().take(position + 1) {
                    *out += factor * rows.row(position - back)[channel];
                }
            }
        }
        outputs
    }
}

/// The choice of experts. Shazeer et al., arXiv 1701.06538; as in Mixtral, arXiv 2401.04088: of the probabilities of all experts the
/// largest are taken and divided by their sum.
#[derive(Debug, Clone, Copy)]
pub struct Router {
    /// Experts that a position goes to.
    pub used: usize,
    /// The weights of the chosen are divided by their sum.
    pub normalized: bool,
    /// Factor on the weights.
    pub scale: f64,
}

impl Router {
    /// The chosen experts, the likeliest first, and their weights.
    pub fn choose(&self, scores: &[f64]) -> Vec<(usize, f64)> {
        let mut probabilities = scores.to_vec();
        softmax(&mut probabilities);
        let mut chosen: Vec<(usize, f64)> = probabilities.into_iter().enumerate().collect();
        chosen.sort_by(|a, b| b.1.total_cmp(&a.1));
        chosen.truncate(self.used);
        let sum: f64 = if self.normalized { chosen.iter().map(|(_, weight)| weight).sum() } else { 1.0 };
        for (_, weight) in &mut chosen {
            *weight *= self.scale / sum;
        }
        chosen
    }
}

/// What is done to a logit after the output matrix.
#[derive(Debug, Clone, Default)]
pub struct Finish {
    /// Added, one value a token.
    pub bias: Option<Vec<f64>>,
    /// Divides the logits, where the model has such a number.
    pub divisor: Option<f64>,
    /// Logits are kept within this, where there is one.
    pub soft_cap: Option<f64>,
}

impl Finish {
    /// The logit of a token.
    pub fn of(&self, token: usize, x: f64) -> f64 {
        let x = x + self.bias.as_ref().and_then(|bias| bias.get(token)).copied().unwrap_or(0.0);
        soft_cap(self.soft_cap, x / self.divisor.unwrap_or(1.0))
    }
}

#[cfg(test)]
mod tests;
