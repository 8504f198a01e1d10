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
        // All that the processor has, for what is inlined into this.
        pulp::Arch::new().dispatch(|| sums(candidate, truth, tops.map(f64::from)))
    }
}

#[inline(always)]
fn sums(candidate: &[f32], truth: &[f32], tops: [f64; 2]) -> Sums {
    let len = candidate.len() as f64;
    let means = [mean(candidate, len), mean(truth, len)];
    let mut lanes = Lanes {
        means,
        tops,
        error: [0.0; LANES],
        power: [0.0; LANES],
        candidate: [0.0; LANES],
        truth: [0.0; LANES],
        weighted: [0.0; LANES],
    };
    let (candidate, candidate_rest) = candidate.as_chunks::<LANES>();
    let (truth, truth_rest) = truth.as_chunks::<LANES>();
    for (a, b) in candidate.iter().zip(truth) {
        lanes.add(0, a, b);
    }
    for (lane, (a, b)) in candidate_rest.iter().zip(truth_rest).enumerate() {
        lanes.add(lane, &[*a], &[*b]);
    }
    Sums {
        error: total(lanes.error),
        power: total(lanes.power),
        candidate: total(lanes.candidate),
        truth: total(lanes.truth),
        weighted: total(lanes.weighted),
    }
}

#[inline(always)]
fn mean(row: &[f32], len: f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(sum, &logit)| *sum += f64::from(logit));
    }
    lanes.iter_mut().zip(rest).for_each(|(sum, &logit)| *sum += f64::from(logit));
    total(lanes) / len
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
    /// Adds `N` pairs of logits to the lanes from `first` on.
    #[inline(always)]
    fn add<const N: usize>(&mut self, first: usize, candidate: &[f32; N], truth: &[f32; N]) {
        let [a, b] = [candidate.map(f64::from), truth.map(f64::from)];
        let below = [a.map(|a| a - self.tops[0]), b.map(|b| b - self.tops[1])];
        let exponentials = below.map(exp_of_none_above_0);
        for at in 0..N {
            let (a, b) = (a[at] - self.means[0], b[at] - self.means[1]);
            let weight = exponentials[1][at];
            self.error[first + at] += (a - b) * (a - b);
            self.power[first + at] += b * b;
            self.candidate[first + at] += exponentials[0][at];
            self.truth[first + at] += weight;
            self.weighted[first + at] += weight * (below[1][at] - below[0][at]);
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
