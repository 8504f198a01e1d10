//! The sums that a comparison of two rows is made from, in an order that is the same on every processor.

use super::exponential::exp_of_none_above_0;

/// Partial sums. Their number and order are fixed, whatever the processor adds side by side.
const LANES: usize = 16;

/// Of the logits `a` of a candidate and `b` of the truth, over the vocabulary.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    /// Of the squared differences of the centred rows.
    pub(super) error: f64,
    /// Of the squares of the centred truth.
    pub(super) power: f64,
    /// Of `exp(a - max a)`.
    pub(super) candidate: f64,
    /// Of `exp(b - max b)`.
    pub(super) truth: f64,
    /// Of `exp(b - max b)` times the difference of the two exponents.
    pub(super) weighted: f64,
}

impl Sums {
    /// The sums of two rows of equal length, of finite numbers, of which `tops` are the largest.
    pub(super) fn of(candidate: &[f32], truth: &[f32], tops: [f32; 2]) -> Self {
        pulp::Arch::new().dispatch(Pair { candidate, truth, tops: tops.map(f64::from) })
    }
}

/// Two rows and their largest logits, for all that the processor has. Not a closure, which is inlined only where the compiler
/// likes to, and what is not inlined is compiled for the least of its kind.
struct Pair<'a> {
    candidate: &'a [f32],
    truth: &'a [f32],
    tops: [f64; 2],
}

impl pulp::WithSimd for Pair<'_> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Sums {
        sums(self.candidate, self.truth, self.tops)
    }
}

#[inline(always)]
fn sums(candidate: &[f32], truth: &[f32], tops: [f64; 2]) -> Sums {
    let len = candidate.len() as f64;
    let means = [mean(candidate, len), mean(truth, len)];
    // What is left at the end has lanes of its own: an index that is not known beforehand would keep all of them out of
    // registers.
    let (mut whole, mut left) = (Lanes::new(means, tops), Lanes::new(means, tops));
    let (candidate, candidate_left) = candidate.as_chunks::<LANES>();
    let (truth, truth_left) = truth.as_chunks::<LANES>();
    for (a, b) in candidate.iter().zip(truth) {
        whole.add(0, a, b);
    }
    for (lane, (a, b)) in candidate_left.iter().zip(truth_left).enumerate() {
        left.add(lane, &[*a], &[*b]);
    }
    Sums {
        error: total(whole.error) + total(left.error),
        power: total(whole.power) + total(left.power),
        candidate: total(whole.candidate) + total(left.candidate),
        truth: total(whole.truth) + total(left.truth),
        weighted: total(whole.weighted) + total(left.weighted),
    }
}

#[inline(always)]
fn mean(row: &[f32], len: f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks, left) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += f64::from(chunk[lane]);
        }
    }
    (total(lanes) + left.iter().map(|&logit| f64::from(logit)).sum::<f64>()) / len
}

fn total(lanes: [f64; LANES]) -> f64 {
    lanes.iter().sum()
}

/// [`Sums`] in the making.
struct Lanes {
    means: [f64; 2],
    tops: [f64; 2],
    error: [f64; LANES],
    power: [f64; LANES],
    candidate: [f64; LANES],
    truth: [f64; LANES],
    weighted: [f64; LANES],
}

impl Lanes {
    fn new(means: [f64; 2], tops: [f64; 2]) -> Self {
        let zeros = [0.0; LANES];
        Self { means, tops, error: zeros, power: zeros, candidate: zeros, truth: zeros, weighted: zeros }
    }

    /// Adds `N` pairs of logits to the lanes from `first` on.
    #[inline(always)]
    fn add<const N: usize>(&mut self, first: usize, candidate: &[f32; N], truth: &[f32; N]) {
        let (a, b) = (candidate.map(f64::from), truth.map(f64::from));
        let below_a: [f64; N] = std::array::from_fn(|at| a[at] - self.tops[0]);
        let below_b: [f64; N] = std::array::from_fn(|at| b[at] - self.tops[1]);
        let (exp_a, exp_b) = (exp_of_none_above_0(below_a), exp_of_none_above_0(below_b));
        for at in 0..N {
            let (a, b) = (a[at] - self.means[0], b[at] - self.means[1]);
            self.error[first + at] += (a - b) * (a - b);
            self.power[first + at] += b * b;
            self.candidate[first + at] += exp_a[at];
            self.truth[first + at] += exp_b[at];
            self.weighted[first + at] += exp_b[at] * (below_b[at] - below_a[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(len: usize) -> [Vec<f32>; 2] {
        let logit = |at: usize, seed: usize| ((at * 7919 + seed * 104_729) % 1009) as f32 / 50.0 - 9.0;
        [2, 3].map(|seed| (0..len).map(|at| logit(at, seed)).collect())
    }

    fn tops(rows: &[Vec<f32>; 2]) -> [f32; 2] {
        [0, 1].map(|row| rows[row].iter().copied().fold(f32::NEG_INFINITY, f32::max))
    }

    /// As they are defined, one after another and by the library, for lengths with and without a rest.
    #[test]
    fn they_are_the_sums_of_their_definition() {
        for len in [1, 15, 16, 17, 1000, 4099] {
            let rows = rows(len);
            let (tops, [a, b]) = (tops(&rows), &rows);
            let mean = |row: &[f32]| row.iter().map(|&x| f64::from(x)).sum::<f64>() / len as f64;
            let (mean_a, mean_b) = (mean(a), mean(b));
            let sum = |term: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| term(a.into(), b.into())).sum::<f64>();
            let (top_a, top_b) = (f64::from(tops[0]), f64::from(tops[1]));
            let ours = Sums::of(a, b, tops);
            let expected = [
                (ours.error, sum(&|a, b| ((a - mean_a) - (b - mean_b)).powi(2))),
                (ours.power, sum(&|_, b| (b - mean_b).powi(2))),
                (ours.candidate, sum(&|a, _| (a - top_a).exp())),
                (ours.truth, sum(&|_, b| (b - top_b).exp())),
                (ours.weighted, sum(&|a, b| (b - top_b).exp() * ((b - top_b) - (a - top_a)))),
            ];
            for (ours, expected) in expected {
                assert!((ours - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{len}: {ours} {expected}");
            }
        }
    }

    /// What the processor has beyond the least of its kind changes no bit.
    #[test]
    fn no_instruction_set_changes_a_bit() {
        for len in [7, 1000, 4099] {
            let rows = rows(len);
            let with_all = Sums::of(&rows[0], &rows[1], tops(&rows));
            let plain = sums(&rows[0], &rows[1], tops(&rows).map(f64::from));
            let bits = |sums: Sums| [sums.error, sums.power, sums.candidate, sums.truth, sums.weighted].map(f64::to_bits);
            assert_eq!(bits(with_all), bits(plain));
        }
    }
}
