//! Faults in the steps of a pass: each replaces one operation of the reference.

use gguf::WeightType;
use half::f16;
use reference::{
    Addition, Rounding, Rows,
    operations::{Activation, Attention, Convolution, Embedding, Finish, Norm, NormKind, Operations, Pairs, Rotary, Router},
};
use std::ops::Range;
use strum::IntoStaticStr;

/// What can be wrong in a step. A variant's name, in kebab-case, is the fault's: expectations quote it.
#[derive(Debug, Clone, Copy, PartialEq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Step {
    /// `SiLU` where the model has GELU, and the other way round.
    OtherActivation,
    /// GELU by the error function where the model has its tanh form.
    GeluByErrorFunction,
    /// The gate is not put through its activation.
    NoActivation,
    /// One norm is skipped: all tensors whose names end like this.
    NormSkipped(&'static str),
    /// Layer norms do not subtract the mean.
    MeanKept,
    /// Windows are wider by this many positions, or narrower.
    WindowBy(i64),
    /// Windows are ignored.
    NoWindow,
    /// Calls of one token ignore the window.
    NoWindowInDecode,
    /// A call of several tokens into a cache sees all of its own tokens.
    ChunkSeesItsFuture,
    /// A call of several tokens into a cache does not see the cache.
    ChunkWithoutCache,
    /// Calls of one token leave nothing in the cache that calls of several tokens read, which count positions as if they had.
    DecodeLostToChunks,
    /// A session that was cleared still has its old keys and values.
    StaleCache,
    /// Adjacent elements rotate together where halves should, and the other way round.
    OtherPairs,
    /// Nothing rotates.
    NoRotation,
    /// The other direction.
    RotationReversed,
    /// Frequencies, positions, angles, sines and cosines in f16.
    HalfPrecisionRotation,
    /// Frequencies in f16.
    HalfPrecisionFrequencies,
    /// Positions begin at 1.
    PositionsFromOne,
    /// Positions begin again with every call.
    PositionsByCall,
    /// The factor on what rotates is forgotten.
    MagnitudeForgotten,
    /// Frequencies for short prompts are taken for long ones, and the other way round.
    OtherFrequencies,
    /// Query head `i` takes key head `i mod n` instead of `i / (heads / n)`.
    HeadsInterleaved,
    /// Scores are not scaled.
    ScoresUnscaled,
    /// Scores are scaled by one over the head's size instead of its root.
    ScoresScaledTwice,
    /// Scores are not capped.
    ScoresUncapped,
    /// Positions see one position ahead.
    SeesNext,
    /// A position does not see itself, where it can see another.
    BlindToItself,
    /// Embeddings are not scaled.
    EmbeddingUnscaled,
    /// Logits are not capped.
    LogitsUncapped,
    /// Logits are multiplied where they should be divided.
    LogitsMultiplied,
    /// The weights of the chosen experts are not divided by their sum.
    ExpertsUnnormalised,
    /// All chosen experts weigh the same.
    ExpertsEqual,
    /// The least likely experts are chosen.
    ExpertsReversed,
    /// A convolution forgets what was before a call of several tokens.
    ConvolutionForgets,
    /// A convolution has its factors in the other order.
    ConvolutionReversed,
}

impl Step {
    /// The fault's name: what is broken, and how.
    pub fn name(self) -> String {
        let what: &str = self.into();
        match self {
            Self::NormSkipped(norm) => format!("{what}:{norm}"),
            Self::WindowBy(by) => format!("{what}:{by:+}"),
            _ => what.into(),
        }
    }

    /// True where what it does depends on how the prompt is fed.
    pub fn depends_on_calls(self) -> bool {
        matches!(
            self,
            Self::NoWindowInDecode
                | Self::ChunkSeesItsFuture
                | Self::ChunkWithoutCache
                | Self::DecodeLostToChunks
                | Self::StaleCache
                | Self::PositionsByCall
                | Self::ConvolutionForgets
        )
    }
}

/// A pass with something wrong, and otherwise rounded as a runtime rounds.
pub(super) struct Faulty {
    pub(super) rounding: Rounding,
    pub(super) steps: Vec<Step>,
    /// The calls of the schedule.
    pub(super) calls: Vec<Range<usize>>,
    /// Rows that stand before the prompt: those of a prompt before it that was not forgotten.
    pub(super) before: usize,
}

impl Faulty {
    fn has(&self, step: Step) -> bool {
        self.steps.contains(&step)
    }

    /// The call that a position belongs to.
    fn call(&self, position: usize) -> Range<usize> {
        self.calls.iter().find(|call| call.contains(&position)).cloned().unwrap_or(position..position + 1)
    }

    /// Positions whose keys a position attends to, of those that the call it is in finds.
    fn sees(&self, attention: &Attention, position: usize) -> Vec<usize> {
        let call = self.call(position);
        let mut window = attention.window;
        for step in &self.steps {
            match step {
                Step::WindowBy(by) => window = window.map(|window| window.saturating_add_signed(*by as isize).max(1)),
                Step::NoWindow => window = None,
                Step::NoWindowInDecode if call.len() == 1 => window = None,
                _ => {}
            }
        }
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
        let into_cache = call.len() > 1 && call.start > 0;
        if self.has(Step::DecodeLostToChunks) && call.len() > 1 {
            // The cache that several tokens read has those of earlier such calls, and it is taken for whole.
            let kept = |at: &usize| call.contains(at) || self.call(*at).len() > 1;
            let cached: Vec<usize> = (0..call.end).filter(kept).collect();
            return cached.into_iter().take(position + 1).collect();
        }
        let last = if into_cache && self.has(Step::ChunkSeesItsFuture) {
            call.end - 1
        } else if self.has(Step::SeesNext) {
            (position + 1).min(call.end - 1)
        } else {
            position
        };
        let first = if into_cache && self.has(Step::ChunkWithoutCache) { first.max(call.start) } else { first };
        (first..=last).filter(|&at| !(self.has(Step::BlindToItself) && at == position && first < position)).collect()
    }
}

impl Operations for Faulty {
    fn inputs(&self, weight_type: WeightType, row: &mut [f64]) {
        self.rounding.inputs(weight_type, row);
    }

    fn outputs(&self, row: &mut [f64]) {
        self.rounding.outputs(row);
    }

    fn steps(&self, row: &mut [f64]) {
        self.rounding.steps(row);
    }

    fn addition(&self) -> Addition {
        self.rounding.addition()
    }

    fn cached(&self, row: &mut [f64]) {
        self.rounding.cached(row);
    }

    fn embed(&self, embedding: &Embedding<'_>, tokens: &[u32]) -> Rows {
        let scale = if self.has(Step::EmbeddingUnscaled) { 1.0 } else { embedding.scale };
        Embedding { table: embedding.table, scale }.of(tokens)
    }

    fn norm(&self, norm: &Norm, rows: &mut Rows) {
        let skipped = |step: &Step| matches!(step, Step::NormSkipped(name) if norm.name == *name || norm.name.ends_with(&format!(".{name}")));
        if self.steps.iter().any(skipped) {
            return;
        }
        if self.has(Step::MeanKept) {
            let kind = NormKind::RootMeanSquare;
            return self.rounding.norm(&Norm { kind, ..norm.clone() }, rows);
        }
        self.rounding.norm(norm, rows);
    }

    fn angles(&self, rotary: &Rotary, frequencies: &[f64], position: usize) -> Vec<f64> {
        let mut position = position;
        if self.has(Step::PositionsFromOne) {
            position += 1;
        }
        if self.has(Step::PositionsByCall) {
            position -= self.call(position).start;
        }
        if self.has(Step::HalfPrecisionRotation) {
            return frequencies.iter().map(|&frequency| half(half(position as f64) * half(frequency))).collect();
        }
        if self.has(Step::HalfPrecisionFrequencies) {
            let frequencies: Vec<f64> = frequencies.iter().copied().map(half).collect();
            return self.rounding.angles(rotary, &frequencies, position);
        }
        let mut angles = self.rounding.angles(rotary, frequencies, position);
        if self.has(Step::RotationReversed) {
            for angle in &mut angles {
                *angle = -*angle;
            }
        }
        angles
    }

    fn sines(&self, angle: f64) -> (f64, f64) {
        let (sin, cos) = angle.sin_cos();
        if self.has(Step::HalfPrecisionRotation) { (half(sin), half(cos)) } else { (sin, cos) }
    }

    fn rotate(&self, rotary: &Rotary, rows: &mut Rows, head: usize) {
        if self.has(Step::NoRotation) {
            return;
        }
        let mut rotary = rotary.clone();
        if self.has(Step::OtherPairs) {
            rotary.pairs = if rotary.pairs == Pairs::Adjacent { Pairs::Halves } else { Pairs::Adjacent };
        }
        if self.has(Step::MagnitudeForgotten) {
            rotary.magnitude = 1.0;
        }
        if let (true, Some((positions, long))) = (self.has(Step::OtherFrequencies), rotary.long.clone()) {
            rotary.long = Some((positions, std::mem::replace(&mut rotary.frequencies, long)));
        }
        // Positions begin again where the prompt begins.
        let width = rows.width;
        let mut prompt = Rows { width, data: rows.data.split_off(self.before * width) };
        for part in [&mut *rows, &mut prompt] {
            rotary.apply(part, head, self);
            part.iter_mut().for_each(|row| self.outputs(row));
        }
        rows.data.append(&mut prompt.data);
    }

    fn weigh(&self, scores: &mut [f64]) {
        self.rounding.weigh(scores);
    }

    fn attend(&self, attention: &Attention, queries: &Rows, keys: &Rows, values: &Rows) -> Rows {
        let mut attention = *attention;
        if self.has(Step::ScoresUnscaled) {
            attention.scale = 1.0;
        }
        if self.has(Step::ScoresScaledTwice) {
            attention.scale *= attention.scale;
        }
        if self.has(Step::ScoresUncapped) {
            attention.soft_cap = None;
        }
        let (mut keys, mut values) = (keys.clone(), values.clone());
        if self.has(Step::HeadsInterleaved) {
            keys = interleaved(&keys, &attention);
            values = interleaved(&values, &attention);
            attention.kv_heads = attention.heads;
        }
        let of_visibility = |step: &Step| {
            matches!(
                step,
                Step::WindowBy(_)
                    | Step::NoWindow
                    | Step::NoWindowInDecode
                    | Step::ChunkSeesItsFuture
                    | Step::ChunkWithoutCache
                    | Step::DecodeLostToChunks
                    | Step::SeesNext
                    | Step::BlindToItself
            )
        };
        if self.steps.iter().any(of_visibility) {
            return attend_to(&attention, queries, &keys, &values, |position| self.sees(&attention, position), self);
        }
        self.rounding.attend(&attention, queries, &keys, &values)
    }

    fn convolve(&self, convolution: &Convolution, rows: &Rows) -> Rows {
        let mut convolution = convolution.clone();
        if self.has(Step::ConvolutionReversed) {
            convolution.kernels.iter_mut().for_each(|kernel| kernel.reverse());
        }
        let mut outputs = convolution.apply(rows);
        if self.has(Step::ConvolutionForgets) {
            // The state that a chunk leaves behind has zeros before its own tokens too, where it is shorter than the kernel.
            for position in 0..rows.len() {
                let call = self.call(position);
                let before = self.calls.iter().rev().find(|other| other.end <= position + 1 && other.len() > 1);
                let first = if call.len() > 1 { call.start } else { before.map_or(0, |chunk| chunk.start) };
                let part =
                    Rows { width: rows.width, data: rows.data[first * rows.width..(position + 1) * rows.width].to_vec() };
                let last = convolution.apply(&part);
                outputs.row_mut(position).copy_from_slice(last.row(last.len() - 1));
            }
        }
        outputs
    }

    fn activate(&self, activation: Activation, x: f64) -> f64 {
        let other = |activation| if activation == Activation::Silu { Activation::GeluTanh } else { Activation::Silu };
        if self.has(Step::NoActivation) {
            x
        } else if self.has(Step::OtherActivation) {
            // Never through the table: whoever takes the wrong function does not take this runtime's shortcut to it.
            other(activation).of(x)
        } else if self.has(Step::GeluByErrorFunction) && activation == Activation::GeluTanh {
            0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))
        } else {
            self.rounding.activate(activation, x)
        }
    }

    fn route(&self, router: &Router, scores: &[f64]) -> Vec<(usize, f64)> {
        let mut router = *router;
        router.normalized &= !self.has(Step::ExpertsUnnormalised);
        let reversed: Vec<f64> = scores.iter().map(|score| -score).collect();
        let mut chosen = router.choose(if self.has(Step::ExpertsReversed) { &reversed } else { scores });
        if self.has(Step::ExpertsEqual) {
            let equal = 1.0 / chosen.len() as f64;
            for (_, weight) in &mut chosen {
                *weight = equal;
            }
        }
        chosen
    }

    fn logit(&self, finish: &Finish, token: usize, x: f64) -> f64 {
        let mut finish = finish.clone();
        if self.has(Step::LogitsUncapped) {
            finish.soft_cap = None;
        }
        if self.has(Step::LogitsMultiplied) {
            finish.divisor = finish.divisor.map(|divisor| 1.0 / divisor);
        }
        finish.of(token, x)
    }
}

fn half(x: f64) -> f64 {
    f16::from_f64(x).to_f64()
}

/// A key or value head for every query head, in the wrong order.
fn interleaved(rows: &Rows, attention: &Attention) -> Rows {
    let width = attention.heads * attention.head;
    let data = rows.iter().flat_map(|row| {
        (0..attention.heads).flat_map(move |head| {
            let at = head % attention.kv_heads * attention.head;
            row[at..at + attention.head].to_vec()
        })
    });
    Rows { width, data: data.collect() }
}

/// Attention to the positions that `sees` names.
#[expect(clippy::too_many_arguments, reason = "attention is of queries, keys and values")]
fn attend_to(
    attention: &Attention,
    queries: &Rows,
    keys: &Rows,
    values: &Rows,
    sees: impl Fn(usize) -> Vec<usize>,
    operations: &Faulty,
) -> Rows {
    let mut outputs = Rows::zeros(queries.len(), attention.heads * attention.head);
    let group = attention.heads / attention.kv_heads;
    for position in 0..queries.len() {
        let seen = sees(position);
        for head in 0..attention.heads {
            let part = |at: usize| at * attention.head..(at + 1) * attention.head;
            let (query, shared) = (&queries.row(position)[part(head)], part(head / group));
            let score = |at: &usize| {
                let dot: f64 = query.iter().zip(&keys.row(*at)[shared.clone()]).map(|(q, k)| q * k).sum();
                reference::operations::soft_cap(attention.soft_cap, dot * attention.scale)
            };
            let mut weights: Vec<f64> = seen.iter().map(score).collect();
            operations.weigh(&mut weights);
            let out = &mut outputs.row_mut(position)[part(head)];
            for (&at, weight) in seen.iter().zip(weights) {
                for (x, value) in out.iter_mut().zip(&values.row(at)[shared.clone()]) {
                    *x += weight * value;
                }
            }
        }
    }
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expectations name faults, and so do reports that people keep.
    #[test]
    fn names_of_faults_stay_what_they_are() {
        for (step, name) in [
            (Step::GeluByErrorFunction, "gelu-by-error-function"),
            (Step::NormSkipped("attn_norm"), "norm-skipped:attn_norm"),
            (Step::WindowBy(1), "window-by:+1"),
            (Step::WindowBy(-1), "window-by:-1"),
            (Step::HalfPrecisionFrequencies, "half-precision-frequencies"),
        ] {
            assert_eq!(step.name(), name);
        }
    }
}
