//! The operations that forward passes are made of, each as its definition.

use crate::{Rounding, Rows, weights::dot};
use rayon::prelude::*;

/// Root-mean-square norm of each row in place: `x / sqrt(mean(x^2) + epsilon) * gain`. Zhang and Sennrich, arXiv 1910.07467.
pub fn rms_norm(rows: &mut Rows, gain: &[f64], epsilon: f64, rounding: Rounding) {
    for row in rows.data.chunks_exact_mut(gain.len()) {
        let mean_square = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean_square + epsilon).sqrt();
        for (x, gain) in row.iter_mut().zip(gain) {
            *x *= scale * gain;
        }
        rounding.outputs(row);
    }
}

/// [`rms_norm`] of a copy.
pub fn rms_normed(rows: &Rows, gain: &[f64], epsilon: f64, rounding: Rounding) -> Rows {
    let mut rows = rows.clone();
    rms_norm(&mut rows, gain, epsilon, rounding);
    rows
}

/// The sigmoid linear unit `x * sigmoid(x)`. Elfwing et al., arXiv 1702.03118.
pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// GELU in its tanh form: `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`. Hendrycks and Gimpel, arXiv 1606.08415.
pub fn gelu_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
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

/// Rotary position embedding: pair `i` of `d/2` turns by `position * scale * base^(-2i/d) / factor_i`. Su et al., arXiv 2104.09864.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Which elements form a pair.
    pub pairs: Pairs,
    /// Elements of each head that rotate; the rest stay.
    pub dimensions: usize,
    /// The base of the frequencies.
    pub base: f64,
    /// Factor on positions: 1, or less where a model's context was stretched.
    pub scale: f64,
    /// Divisors of the frequencies, one a pair, where the model has them.
    pub factors: Option<Vec<f64>>,
}

impl Rotary {
    /// Rotates every head of every row; row `p` is position `p`.
    pub fn apply(&self, rows: &mut Rows, head: usize, rounding: Rounding) {
        let pairs = self.dimensions / 2;
        let frequencies: Vec<f64> = (0..pairs)
            .map(|i| {
                let factor = self.factors.as_ref().and_then(|factors| factors.get(i)).copied().unwrap_or(1.0);
                self.base.powf(-2.0 * i as f64 / self.dimensions as f64) / factor
            })
            .collect();
        for (position, row) in rows.iter_mut().enumerate() {
            for (i, frequency) in frequencies.iter().enumerate() {
                let (sin, cos) = (position as f64 * self.scale * frequency).sin_cos();
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
            rounding.outputs(row);
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
}

impl Attention {
    /// Attends from every row of `queries` to the rows of `keys` and `values` at its own position and before.
    pub fn apply(&self, queries: &Rows, keys: &Rows, values: &Rows, rounding: Rounding) -> Rows {
        let mut outputs = Rows::zeros(queries.len(), self.heads * self.head);
        let width = outputs.width;
        outputs.data.par_chunks_exact_mut(width).enumerate().for_each(|(position, output)| {
            let first = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
            for (index, out) in output.chunks_exact_mut(self.head).enumerate() {
                let part = |at: usize| at * self.head..(at + 1) * self.head;
                let query = &queries.row(position)[part(index)];
                let shared = part(index / (self.heads / self.kv_heads));
                let mut weights: Vec<f64> =
                    (first..=position).map(|at| dot(query, &keys.row(at)[shared.clone()]) * self.scale).collect();
                rounding.outputs(&mut weights);
                softmax(&mut weights);
                rounding.outputs(&mut weights);
                for (at, weight) in (first..=position).zip(weights) {
                    for (x, value) in out.iter_mut().zip(&values.row(at)[shared.clone()]) {
                        *x += weight * value;
                    }
                }
            }
        });
        outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use std::f64::consts::{FRAC_PI_2, LN_2};

    fn rows(width: usize, data: &[f64]) -> Rows {
        Rows { width, data: data.into() }
    }

    #[test]
    fn rms_norm_in_closed_form() {
        // The root mean square of (3, 4) is sqrt(12.5).
        let mut x = rows(2, &[3.0, 4.0]);
        rms_norm(&mut x, &[1.0, 2.0], 0.0, Rounding::EXACT);
        assert_relative_eq!(x.data[0], 3.0 / 12.5f64.sqrt());
        assert_relative_eq!(x.data[1], 8.0 / 12.5f64.sqrt());
        // With an epsilon as large as the mean square, the result shrinks by the root of 2.
        let mut x = rows(2, &[3.0, 4.0]);
        rms_norm(&mut x, &[1.0, 1.0], 12.5, Rounding::EXACT);
        assert_relative_eq!(x.data[0], 3.0 / 5.0);
    }

    #[test]
    fn softmax_in_closed_form() {
        let mut scores = [0.0, LN_2, f64::NEG_INFINITY];
        softmax(&mut scores);
        assert_relative_eq!(scores[0], 1.0 / 3.0, epsilon = 1e-15);
        assert_relative_eq!(scores[1], 2.0 / 3.0, epsilon = 1e-15);
        assert_eq!(scores[2], 0.0);
        // A constant shift changes nothing, even one that would overflow exp.
        let mut shifted = [1e4, 1e4 + LN_2];
        softmax(&mut shifted);
        assert_relative_eq!(shifted[1], 2.0 / 3.0, epsilon = 1e-12);
    }

    #[test]
    fn activations_in_closed_form() {
        // sigmoid(ln 3) is 3/4.
        assert_relative_eq!(silu(3f64.ln()), 0.75 * 3f64.ln());
        assert_eq!(silu(0.0), 0.0);
        assert_eq!(gelu_tanh(0.0), 0.0);
        // GELU(x) - GELU(-x) = x; and the value of PyTorch's gelu(1.0, approximate="tanh").
        assert_relative_eq!(gelu_tanh(0.7) - gelu_tanh(-0.7), 0.7, epsilon = 1e-15);
        assert_relative_eq!(gelu_tanh(1.0), 0.841_191_990_608_276, epsilon = 1e-12);
        assert_relative_eq!(gelu_tanh(20.0), 20.0);
    }

    fn rotary(pairs: Pairs, base: f64) -> Rotary {
        Rotary { pairs, dimensions: 4, base, scale: 1.0, factors: None }
    }

    #[test]
    fn rotary_turns_pairs_by_position_times_frequency() {
        // Frequencies are 1 and base^(-1/2); position 0 does not turn.
        let base = 4.0 / (FRAC_PI_2 * FRAC_PI_2);
        let data = [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0];
        let (sin, cos) = 1f64.sin_cos();
        let (half_sin, half_cos) = base.powf(-0.5).sin_cos();
        let mut x = rows(4, &data);
        rotary(Pairs::Adjacent, base).apply(&mut x, 4, Rounding::EXACT);
        assert_eq!(x.row(0), &data[..4]);
        assert_relative_eq!(x.row(1)[0], cos - 2.0 * sin);
        assert_relative_eq!(x.row(1)[1], sin + 2.0 * cos);
        assert_relative_eq!(x.row(1)[3], 3.0 * half_sin + 4.0 * half_cos);
        let mut x = rows(4, &data);
        rotary(Pairs::Halves, base).apply(&mut x, 4, Rounding::EXACT);
        assert_relative_eq!(x.row(1)[0], cos - 3.0 * sin);
        assert_relative_eq!(x.row(1)[1], 2.0 * half_cos - 4.0 * half_sin);
    }

    #[test]
    fn rotary_scores_depend_on_distance_alone() {
        let rotary = Rotary { factors: Some(vec![1.0, 3.0]), scale: 0.5, ..rotary(Pairs::Halves, 100.0) };
        let repeat = |row: [f64; 4]| rows(4, &row.repeat(6));
        let (mut q, mut k) = (repeat([0.3, -1.0, 0.8, 2.0]), repeat([1.1, 0.4, -0.6, 0.9]));
        rotary.apply(&mut q, 4, Rounding::EXACT);
        rotary.apply(&mut k, 4, Rounding::EXACT);
        assert_relative_eq!(dot(q.row(3), k.row(1)), dot(q.row(5), k.row(3)), epsilon = 1e-12);
        assert!((dot(q.row(3), k.row(1)) - dot(q.row(3), k.row(2))).abs() > 1e-3);
    }

    #[test]
    fn attention_is_causal_grouped_and_windowed() {
        let attention = Attention { heads: 2, kv_heads: 1, head: 1, scale: 1.0, window: None };
        // Keys of 0 give equal weights, so outputs are means of the values seen.
        let (q, k, v) = (rows(2, &[1.0; 6]), rows(1, &[0.0; 3]), rows(1, &[6.0, 12.0, 0.0]));
        assert_eq!(attention.apply(&q, &k, &v, Rounding::EXACT).data, [6.0, 6.0, 9.0, 9.0, 6.0, 6.0]);
        let windowed = Attention { window: Some(2), ..attention };
        assert_eq!(windowed.apply(&q, &k, &v, Rounding::EXACT).data, [6.0, 6.0, 9.0, 9.0, 6.0, 6.0]);
        let windowed = Attention { window: Some(1), ..attention };
        assert_eq!(windowed.apply(&q, &k, &v, Rounding::EXACT).data, [6.0, 6.0, 12.0, 12.0, 0.0, 0.0]);
        // A score of ln 3 against 0 weighs 3 to 1; the scale goes onto the score.
        let q = rows(2, &[0.0, 0.0, 2.0 * 3f64.ln(), 0.0]);
        let scaled = Attention { scale: 0.5, ..attention };
        let out = scaled.apply(&q, &rows(1, &[1.0, 0.0]), &rows(1, &[4.0, 8.0]), Rounding::EXACT);
        assert_relative_eq!(out.row(1)[0], 5.0, epsilon = 1e-12);
        assert_relative_eq!(out.row(1)[1], 6.0, epsilon = 1e-12);
    }
}
