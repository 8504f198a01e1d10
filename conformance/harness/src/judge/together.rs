//! What only all cases of a model together tell.
//!
//! How many times its noise a subject is off at all positions of all prompts: the worst position, which the other checks look at, says little of a
//! subject that is off everywhere by a little. And whether a known divergence shows that need not show in every case.

use record::{ComparisonRecord, ModelRecord, Record};
use std::collections::{BTreeMap, BTreeSet};
use vocabulary::{Case, Check, Judgement, Measurement, Oracle, OverNoise, Schedule, Settings, SubjectId, Verdict};

/// The word for all prompts in ids.
pub const ALL_PROMPTS: &str = "all-prompts";
/// Prompts that it takes to know how much they differ.
const LEAST_PROMPTS: usize = 4;
/// Standard errors that the factor may be beyond its limit by chance.
const STANDARD_ERRORS: f64 = 3.0;

/// A factor over the noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor {
    /// Geometric mean over all positions of NMSE over the rounded reference's NMSE.
    pub value: f64,
    /// Standard error of the logarithm of it, from how much prompts differ.
    pub standard_error: f64,
    /// The positions.
    pub positions: u64,
}

impl Factor {
    /// The most that a limit grows by what the factor may be off by chance, as a factor.
    pub fn chance(&self) -> f64 {
        (STANDARD_ERRORS * self.standard_error).exp()
    }
}

/// The factor of prompts; `None` where they are too few to know its error.
pub fn factor(prompts: &[OverNoise]) -> Option<Factor> {
    if prompts.len() < LEAST_PROMPTS {
        return None;
    }
    let count = prompts.len() as f64;
    let positions: u64 = prompts.iter().map(|prompt| prompt.positions).sum();
    let weight = |prompt: &OverNoise| prompt.positions as f64 / positions as f64;
    let mean: f64 = prompts.iter().map(|prompt| weight(prompt) * prompt.log_mean).sum();
    let variance: f64 = prompts.iter().map(|prompt| (weight(prompt) * (prompt.log_mean - mean)).powi(2)).sum();
    Some(Factor { value: mean.exp(), standard_error: (variance * count / (count - 1.0)).sqrt(), positions })
}

/// Everything that prompts are taken together over.
type Key<'a> = (&'a str, &'a str, Schedule, Settings, &'a SubjectId);

/// The factors of a Record, in the order in which their first cases stand there. Cases of a known divergence are no part of them: what is wrong there is
/// said there.
pub fn factors(record: &Record) -> Vec<(&ComparisonRecord, Factor)> {
    let mut places: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    let mut pools: Vec<(&ComparisonRecord, Vec<OverNoise>)> = Vec::new();
    for comparison in &record.comparisons {
        let is_plain = matches!(comparison.judgement, Judgement::Pass | Judgement::Fail) && comparison.reason.is_none();
        let Some(over) = comparison.over_noise.filter(|_| is_plain) else { continue };
        let ComparisonRecord { model, weights, schedule, settings, candidate, .. } = comparison;
        let place = *places.entry((model, weights, *schedule, *settings, candidate)).or_insert(pools.len());
        if place == pools.len() {
            pools.push((comparison, Vec::new()));
        }
        if let Some((_, prompts)) = pools.get_mut(place) {
            prompts.push(over);
        }
    }
    pools.into_iter().filter_map(|(first, prompts)| Some((first, factor(&prompts)?))).collect()
}

/// Judges the factors of a Record: `limit` is the largest that a correct subject has in a case like this, `None` where that is not known.
pub fn judge(
    record: &Record,
    limit: impl Fn(&ModelRecord, &ComparisonRecord) -> Option<f64>,
    reproduce: &dyn Fn(&ModelRecord, &Case, &str) -> String,
) -> Vec<ComparisonRecord> {
    let model_of = |comparison: &ComparisonRecord| {
        record.models.iter().find(|model| model.name == comparison.model && model.weights == comparison.weights)
    };
    let judged = |(first, factor): (&ComparisonRecord, Factor)| {
        let model = model_of(first)?;
        let limit = limit(model, first)? * factor.chance();
        let check = Measurement { check: Check::OverNoise, measured: factor.value, limit, position: None };
        let case = Case {
            model: first.model.clone(),
            weights: first.weights.clone(),
            prompt: ALL_PROMPTS.into(),
            schedule: first.schedule,
            settings: first.settings,
            subject: first.candidate.clone(),
        };
        let every = Case { prompt: "*".into(), ..case.clone() };
        let judgement = if check.holds() { Judgement::Pass } else { Judgement::Fail };
        Some(ComparisonRecord {
            id: case.to_string(),
            oracle: Oracle::Together,
            prompt: ALL_PROMPTS.into(),
            noise: None,
            over_noise: None,
            verdict: Some(Verdict::Measured {
                checks: vec![check],
                positions: factor.positions,
                top_one_judged: 0,
                top_one_equal: 0,
                slope: 0.0,
            }),
            judgement,
            blame: if judgement == Judgement::Fail { vec![first.candidate.clone()] } else { Vec::new() },
            reason: None,
            issue: None,
            reproduce: reproduce(model, &case, &every.to_string()),
            ..first.clone()
        })
    };
    factors(record).into_iter().filter_map(judged).collect()
}

/// Lets cases pass that are better than a known divergence, where it shows in others of the same model and subject: one of positions is nothing at the
/// first, and one of the graph may be smaller than the noise of the model as it is, but not than that of its exact form.
pub fn pass_where_it_shows_elsewhere(record: &mut Record) {
    let key =
        |comparison: &ComparisonRecord| (comparison.model.clone(), comparison.candidate.clone(), comparison.reason.clone());
    let shows = |comparison: &&ComparisonRecord| comparison.judgement == Judgement::ExpectedFail;
    let shown: BTreeSet<_> = record.comparisons.iter().filter(shows).map(key).collect();
    for comparison in &mut record.comparisons {
        if comparison.judgement == Judgement::UnexpectedPass && shown.contains(&key(comparison)) {
            comparison.judgement = Judgement::Pass;
            let reason = comparison.reason.take().unwrap_or_default();
            comparison.reason = Some(format!("shows in other cases of the model and not here: {reason}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prompts: &[(u64, f64)]) -> Option<Factor> {
        factor(&prompts.iter().map(|&(positions, log_mean)| OverNoise { positions, log_mean }).collect::<Vec<_>>())
    }

    #[test]
    fn a_factor_is_a_geometric_mean_with_an_error_from_the_prompts() {
        assert_eq!(of(&[(5, 0.1); 3]), None, "three prompts say nothing of a fourth");
        let same = of(&[(5, 2f64.ln()), (1, 2f64.ln()), (7, 2f64.ln()), (2, 2f64.ln())]).unwrap();
        assert!((same.value - 2.0).abs() < 1e-12 && same.standard_error < 1e-12 && same.positions == 15, "{same:?}");
        // Four of the same length, at +-0.2 from their mean of 0: the error of a mean of four is 0.2 / sqrt(3).
        let apart = of(&[(3, 0.2), (3, -0.2), (3, 0.2), (3, -0.2)]).unwrap();
        assert!((apart.value - 1.0).abs() < 1e-12);
        assert!((apart.standard_error - 0.2 / 3f64.sqrt()).abs() < 1e-12, "{apart:?}");
        assert!(of(&[(1, f64::NAN); 4]).unwrap().value.is_nan(), "which no limit holds");
    }
}
