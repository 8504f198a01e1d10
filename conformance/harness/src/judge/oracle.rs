//! The oracles' arithmetic: two transcripts in, a [`Verdict`] out. Nothing here panics on what a worker wrote.

use super::sums::Sums;
use rayon::prelude::*;
use std::collections::BTreeMap;
use vocabulary::{Check, Limits, Measurement, Noise, OverNoise, Scale, Verdict, transcript::Reader};

/// What was measured at one position.
#[derive(Debug, Clone, Copy)]
struct Position {
    position: u64,
    nonfinite: u64,
    constant: bool,
    nmse: f64,
    kl: f64,
    /// Root mean square of the difference of the centred rows, in logits.
    rms: f64,
    /// The truth's lead of its likeliest token over the next.
    margin: f64,
    same_top: bool,
}

/// All positions of one comparison, before limits are applied.
#[derive(Debug, Clone)]
pub struct PositionsCompared {
    positions: Vec<Position>,
    /// Both sides have every position up to the last.
    complete: bool,
}

/// Raised when [`Noise`] or what goes into it changes: what is cached of another version is not read.
pub const NOISE_VERSION: u32 = 2;

/// Why two transcripts cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// Their rows have other lengths.
    #[error("rows of {candidate} and {truth} logits")]
    Width {
        /// Of the candidate's rows.
        candidate: usize,
        /// Of the truth's rows.
        truth: usize,
    },
    /// No position is in both.
    #[error("the two have no position in common")]
    NothingInCommon,
    /// What the candidate is held against says nothing: its logits are all the same, or no numbers.
    #[error("what it is held against is constant or not finite at position {position}")]
    TruthBroken {
        /// The first such position.
        position: u64,
    },
    /// They are not of the same positions.
    #[error("the two have other positions, or rows of another length")]
    Positions,
    /// The candidate's transcript can no longer be read: whoever wrote it has taken bytes away.
    #[error("a transcript could not be read: {0}")]
    Candidate(String),
    /// Nor can the other one.
    #[error("a transcript could not be read: {0}")]
    Truth(String),
}

impl From<Incomparable> for String {
    fn from(why: Incomparable) -> Self {
        why.to_string()
    }
}

/// Reads the same position's row of both.
fn read_both(
    (candidate, candidate_row, a): (&Reader, usize, &mut Vec<f32>),
    (truth, truth_row, b): (&Reader, usize, &mut Vec<f32>),
) -> Result<(), Incomparable> {
    candidate.read_row(candidate_row, a).map_err(|error| Incomparable::Candidate(error.to_string()))?;
    truth.read_row(truth_row, b).map_err(|error| Incomparable::Truth(error.to_string()))
}

/// Compares two transcripts at the positions both have. Memory stays at a few rows a core.
///
/// # Errors
/// Why there is nothing to compare, or what could not be read.
pub fn compare(candidate: &Reader, truth: &Reader) -> Result<PositionsCompared, Incomparable> {
    if candidate.vocabulary_size() != truth.vocabulary_size() {
        return Err(Incomparable::Width { candidate: candidate.vocabulary_size(), truth: truth.vocabulary_size() });
    }
    let rows_of_truth: BTreeMap<u64, usize> = truth.positions().iter().enumerate().map(|(row, &at)| (at, row)).collect();
    let mut pairs: Vec<(u64, usize, usize)> = candidate
        .positions()
        .iter()
        .enumerate()
        .filter_map(|(row, at)| rows_of_truth.get(at).map(|&other| (*at, row, other)))
        .collect();
    pairs.sort_unstable();
    if pairs.is_empty() {
        return Err(Incomparable::NothingInCommon);
    }
    let positions = pairs
        .into_par_iter()
        .map_init(
            || (Vec::new(), Vec::new()),
            |(a, b), (position, candidate_row, truth_row)| {
                read_both((candidate, candidate_row, a), (truth, truth_row, b))?;
                Ok(compare_rows(position, a, b))
            },
        )
        .collect::<Result<Vec<_>, Incomparable>>()?;
    PositionsCompared::of(positions)
}

/// Counts the logits of which some bit differs between two transcripts of the same positions: none may.
///
/// # Errors
/// Why there is nothing to compare, or what could not be read.
pub fn identical(candidate: &Reader, against: &Reader) -> Result<Verdict, Incomparable> {
    if candidate.vocabulary_size() != against.vocabulary_size() || candidate.positions() != against.positions() {
        return Err(Incomparable::Positions);
    }
    let (mut differ, mut first) = (0u64, None);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (row, &position) in candidate.positions().iter().enumerate() {
        read_both((candidate, row, &mut a), (against, row, &mut b))?;
        let different = a.iter().zip(&b).filter(|(a, b)| a.to_bits() != b.to_bits()).count() as u64;
        if different > 0 {
            first = first.or(Some(position));
            differ += different;
        }
    }
    let positions = candidate.positions().len() as u64;
    let check = Measurement { check: Check::Bits, measured: differ as f64, limit: 0.0, position: first };
    Ok(Verdict::Measured { checks: vec![check], positions, top_one_judged: 0, top_one_equal: 0, slope: 0.0 })
}

/// [`compare`] for rows that are in memory, with their positions.
///
/// # Errors
/// Why there is nothing to compare.
pub fn compare_rows_of(candidate: &[(u64, Vec<f32>)], truth: &[(u64, Vec<f32>)]) -> Result<PositionsCompared, Incomparable> {
    let row_of_truth = |at: u64| truth.iter().find(|(position, _)| *position == at).map(|(_, row)| row);
    let pairs = candidate.iter().filter_map(|(position, row)| Some((*position, row, row_of_truth(*position)?)));
    let positions: Vec<Position> =
        pairs.filter(|(_, a, b)| a.len() == b.len()).map(|(position, a, b)| compare_rows(position, a, b)).collect();
    if positions.is_empty() {
        return Err(Incomparable::NothingInCommon);
    }
    PositionsCompared::of(positions)
}

/// The largest value, its index, and the next largest.
fn top_two(row: &[f32]) -> (f32, usize, f32) {
    let (mut first, mut index, mut second) = (f32::NEG_INFINITY, 0, f32::NEG_INFINITY);
    for (i, &value) in row.iter().enumerate() {
        if value > first {
            (first, index, second) = (value, i, first);
        } else if value > second {
            second = value;
        }
    }
    (first, index, second)
}

fn compare_rows(position: u64, candidate: &[f32], truth: &[f32]) -> Position {
    let nonfinite = candidate.iter().filter(|value| !value.is_finite()).count() as u64;
    let constant = candidate.iter().all(|value| value.to_bits() == candidate[0].to_bits());
    let unusable = truth.iter().any(|value| !value.is_finite());
    let (top, top_index, _) = top_two(candidate);
    let (truth_top, truth_index, truth_second) = top_two(truth);
    let mut result = Position {
        position,
        nonfinite,
        constant,
        nmse: f64::NAN,
        kl: f64::NAN,
        rms: f64::NAN,
        margin: f64::from(truth_top) - f64::from(truth_second),
        same_top: top_index == truth_index,
    };
    if unusable {
        // Nothing can be said of the candidate; the caller sees that the truth is broken.
        return Position { nonfinite: 0, ..result };
    }
    if nonfinite > 0 {
        return result;
    }
    let sums = Sums::of(candidate, truth, [top, truth_top]);
    if sums.power > 0.0 {
        result.nmse = sums.error / sums.power;
        // Rounding can take a KL of nothing a hair below 0, which no KL is.
        result.kl = (sums.weighted / sums.truth + sums.candidate.ln() - sums.truth.ln()).max(0.0);
        result.rms = (sums.error / truth.len() as f64).sqrt();
    }
    result
}

impl PositionsCompared {
    fn of(positions: Vec<Position>) -> Result<Self, Incomparable> {
        if let Some(broken) = positions.iter().find(|position| position.rms.is_nan() && position.nonfinite == 0) {
            return Err(Incomparable::TruthBroken { position: broken.position });
        }
        let last = positions.iter().map(|position| position.position).max();
        let complete = last.is_some_and(|last| last + 1 == positions.len() as u64);
        Ok(Self { positions, complete })
    }

    /// The worst of `value` over the positions and where it is; NaN where there is one, so that no limit holds.
    fn worst(&self, value: impl Fn(&Position) -> f64) -> (f64, Option<u64>) {
        let nan_first = |x: f64| if x.is_nan() { f64::INFINITY } else { x };
        let worst = self.positions.iter().max_by(|a, b| {
            // The first of equals: positions are in order.
            nan_first(value(a)).total_cmp(&nan_first(value(b))).then(b.position.cmp(&a.position))
        });
        worst.map_or((f64::NAN, None), |position| (value(position), Some(position.position)))
    }

    fn mean(&self, value: impl Fn(&Position) -> f64) -> f64 {
        self.positions.iter().map(value).sum::<f64>() / self.positions.len() as f64
    }

    /// The numbers limits are made from.
    pub fn scale(&self) -> Scale {
        Scale {
            nmse: self.worst(|p| p.nmse).0,
            kl_mean: self.mean(|p| p.kl),
            kl_max: self.worst(|p| p.kl).0,
            rms: self.worst(|p| p.rms).0,
        }
    }

    /// How far the rounded reference is, where this compares it with the exact one.
    pub fn noise(&self) -> Noise {
        Noise { scale: self.scale(), nmse: self.positions.iter().map(|position| position.nmse).collect() }
    }

    /// All positions together, in units of what the rounded reference is off at the same ones; `None` where nothing is off.
    pub fn over(&self, noise: &Noise) -> Option<OverNoise> {
        let of_noise = |position: &Position| noise.nmse.get(usize::try_from(position.position).ok()?).copied();
        let logs: Vec<f64> = self
            .positions
            .iter()
            .filter_map(|position| Some((position.nmse, of_noise(position)?)))
            .filter(|&(nmse, noise)| nmse != 0.0 && noise > 0.0)
            .map(|(nmse, noise)| (nmse / noise).ln())
            .collect();
        let positions = logs.len() as u64;
        (positions > 0).then(|| OverNoise { positions, log_mean: logs.iter().sum::<f64>() / positions as f64 })
    }

    /// The verdict under `limits`.
    pub fn verdict(&self, limits: &Limits) -> Verdict {
        let count = |check, measured: usize, first: Option<&Position>| Measurement {
            check,
            measured: measured as f64,
            limit: 0.0,
            position: first.map(|position| position.position),
        };
        let worst = |check, value: fn(&Position) -> f64, limit| {
            let (measured, position) = self.worst(value);
            Measurement { check, measured, limit, position }
        };
        let nonfinite: u64 = self.positions.iter().map(|p| p.nonfinite).sum();
        let constant: Vec<_> = self.positions.iter().filter(|p| p.constant).collect();
        let judged: Vec<_> = self.positions.iter().filter(|p| p.margin > limits.margin).collect();
        let wrong: Vec<_> = judged.iter().copied().filter(|p| !p.same_top).collect();
        let mut checks = vec![
            count(Check::Finite, nonfinite as usize, self.positions.iter().find(|p| p.nonfinite > 0)),
            count(Check::Constant, constant.len(), constant.first().copied()),
            worst(Check::Nmse, |p| p.nmse, limits.nmse),
            worst(Check::KlMax, |p| p.kl, limits.kl_max),
        ];
        // The limit is for the mean of all positions; that of a few of them is another number, and that of one is its worst.
        if self.complete && self.positions.len() > 1 {
            checks.push(Measurement {
                check: Check::KlMean,
                measured: self.mean(|p| p.kl),
                limit: limits.kl_mean,
                position: None,
            });
        }
        // With no position above the margin this check would be vacuous, and it is left out rather than passed.
        if !judged.is_empty() {
            checks.push(count(Check::TopOne, wrong.len(), wrong.first().copied()));
        }
        Verdict::Measured {
            checks,
            positions: self.positions.len() as u64,
            top_one_judged: judged.len() as u64,
            top_one_equal: self.positions.iter().filter(|p| p.same_top).count() as u64,
            slope: self.slope(),
        }
    }

    /// Least-squares slope of `log10(NMSE)` over `log10(position + 1)`; 0 for fewer than eight positions.
    fn slope(&self) -> f64 {
        const LEAST: usize = 8;
        let points: Vec<(f64, f64)> = self
            .positions
            .iter()
            .filter(|p| p.nmse > 0.0)
            .map(|p| (((p.position + 1) as f64).log10(), p.nmse.log10()))
            .collect();
        if points.len() < LEAST {
            return 0.0;
        }
        let len = points.len() as f64;
        let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / len, y + p.1 / len));
        let (covariance, variance) = points.iter().fold((0.0, 0.0), |(covariance, variance), p| {
            let dx = p.0 - mean_x;
            (covariance + dx * (p.1 - mean_y), variance + dx * dx)
        });
        if variance > 0.0 { covariance / variance } else { 0.0 }
    }
}
