//! Calibration: how many times the noise scale a correct runtime reaches, measured on tiny models and written as
//! `tolerances.toml`.
//!
//! The noise scale of a case is how far the *reference* moves when its activations are rounded the way the runtime rounds them.
//! It owes nothing to the runtime, so a runtime's bug cannot become its own limit: a bug shows as a cell whose ratios stick out
//! from those of all other architectures and weight types, and such a cell is reported and left out, as are cells with a known
//! divergence. What remains is pooled into one multiplier for each rounding, kind of device and family of weights. Seeds are
//! disjoint from those that tests use (which are below 1000).

use crate::matrix;
use harness::{
    allowance,
    emulated::Emulated,
    judge::together::factor,
    plan::{Filter, Plan},
    subjects,
};
use machine::Error;
use policy::{Key, Multiplier, Tolerance, Tolerances};
use record::{ComparisonRecord, ModelRecord, Record};
use smith::Recipe;
use std::collections::{BTreeMap, BTreeSet};
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Check, Family, Judgement, Oracle, OverNoise, Schedule, Settings, SubjectId, Verdict};

/// The first seed of calibration.
pub const FIRST_SEED: u64 = 1000;
/// Factor from the largest ratio seen to the limit.
const MARGIN: f64 = 2.0;
/// A cell whose largest ratio is this many times the median cell's is a finding, not data. A wrong graph sticks out by a factor of
/// a million and more. What rounding alone does to an unlucky seed sticks out by one of 20 or 30: an expert chosen in place of another
/// that is as likely, or attention that hangs in the balance between two positions.
const STICKS_OUT: f64 = 10.0;
/// The same for the factor over the noise, whose chance is known of each cell: from the largest that is not chance.
const MARGIN_TOGETHER: f64 = 1.1;
/// Where cells differ by more than this in it, the noise does not explain the runtime well enough for a limit.
const EXPLAINED: f64 = 1.5;
/// Limits of a run that only measures.
const UNLIMITED: f64 = f64::MAX;

/// The recipes of a calibration with `seeds` seeds: every model of the matrix, in the weight types that the matrix has it in.
pub fn recipes(seeds: u64) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Recipe::WEIGHTS.into_iter().flat_map(matrix::own_recipes).collect();
    let others: Vec<Recipe> = matrix::FEW_WEIGHTS.into_iter().flat_map(matrix::recipes).collect();
    recipes.extend(others.into_iter().filter(|other| !matrix::is_own(other)));
    let seeded = |recipe: Recipe| (FIRST_SEED..FIRST_SEED + seeds).map(move |seed| recipe.clone().with_seed(seed));
    recipes.into_iter().flat_map(seeded).collect()
}

/// Limits under which everything is measured and nothing fails.
pub fn measuring(subjects: &[SubjectId]) -> Tolerances {
    let one = Multiplier { multiplier: UNLIMITED, sample: 0, median: 0.0, p99: 0.0, max: 0.0, margin: 1.0 };
    let mut rows = BTreeSet::new();
    for subject in subjects {
        for settings in Settings::ALL {
            for schedule in Schedule::OF_EVERY_RUN {
                let rounding = subjects::rounding(subject, settings, schedule);
                let keys = |architecture| Family::ALL.map(|family| allowance::key(subject, rounding, architecture, family));
                rows.extend(reference::architectures::known().flat_map(keys));
            }
        }
    }
    let tolerance = rows.into_iter().map(|key| Tolerance { key, nmse: one, kl_mean: one, kl_max: one, together: None });
    Tolerances { generated_by: "calibration".into(), measured_with: Vec::new(), tolerance: tolerance.collect() }
}

/// The architecture for which emulated GPUs get more than the weight types that the matrix has for devices: all but those whose decoding
/// takes a software device minutes.
const THOROUGH: &str = "llama";

/// The plan of a calibration: both schedules, both settings. GPUs that are emulated get the first seed only.
pub fn plan(models: Vec<Model>, prompts: &[Vec<Prompt>], subjects: &[SubjectId], emulated: &Emulated) -> Plan {
    let first = format!("@{FIRST_SEED}");
    let runs = |model: &Model, subject: &SubjectId, _: &Prompt| {
        let own = model.recipe.as_ref().is_some_and(matrix::is_own);
        let name = model.name.strip_suffix(&first).filter(|_| own);
        let of_device = matrix::DEVICE_WEIGHTS.iter().any(|weights| weights.name() == model.weights);
        let slow_to_decode = ["iq", "tq", "mx", "nv", "q1", "q2_0"].iter().any(|kind| model.weights.starts_with(kind));
        !emulated.has(subject) || name.is_some_and(|name| of_device || (name == THOROUGH && !slow_to_decode))
    };
    Plan::new(models, prompts, &Schedule::OF_EVERY_RUN, &Settings::ALL, subjects, runs, &Filter::All)
}

/// One measured case: where it belongs, and its ratio to the noise scale for each check.
struct CaseMeasured {
    key: Key,
    cell: String,
    ratios: Ratios,
    over_noise: Option<OverNoise>,
}

/// For NMSE, mean KL and worst KL, where they were measured.
type Ratios = [Option<f64>; 3];

/// What the cases of a cell gave: their ratios, and all positions of each together.
type Cell = (Vec<Ratios>, Vec<OverNoise>);

/// What calibration found: the limits, and the cells that stick out.
pub struct Calibrated {
    /// The limits.
    pub tolerances: Tolerances,
    /// Cells that are findings rather than data, in words.
    pub left_out: Vec<String>,
}

/// Makes limits from the Record of a calibration run.
///
/// # Errors
/// Where nothing was measured.
pub fn calibrate(record: &Record, command: &str) -> Result<Calibrated, Error> {
    let ratios = ratios(record);
    if ratios.is_empty() {
        return Err(Error::input("calibration", "no case was measured", "check `ggauge subjects`"));
    }
    let mut groups: BTreeMap<Key, BTreeMap<String, Cell>> = BTreeMap::new();
    for case in ratios {
        let (ratios, over_noise) = groups.entry(case.key).or_default().entry(case.cell).or_default();
        ratios.push(case.ratios);
        over_noise.extend(case.over_noise);
    }
    let mut tolerance = Vec::new();
    let mut left_out = Vec::new();
    for (key, cells) in groups {
        // Anything that is no number is as bad as can be.
        let number = |ratio: &f64| if ratio.is_finite() { *ratio } else { f64::INFINITY };
        let worst = |ratios: &[Ratios]| ratios.iter().flatten().flatten().map(number).fold(0.0, f64::max);
        let mut all_worst: Vec<f64> = cells.values().map(|(ratios, _)| worst(ratios)).collect();
        all_worst.sort_by(f64::total_cmp);
        let typical = quantile(&all_worst, 0.5);
        let mut kept: [Vec<f64>; 3] = Default::default();
        let mut together = Vec::new();
        for (cell, (ratios, over_noise)) in &cells {
            let worst = worst(ratios);
            if worst > STICKS_OUT * typical || worst.is_infinite() {
                left_out.push(format!("{cell}: {worst:.1} times the noise, where the median cell has {typical:.1}"));
                continue;
            }
            together.extend(factor(over_noise).map(|factor| factor.value / factor.chance()));
            for ratio in ratios {
                for (kept, value) in kept.iter_mut().zip(ratio) {
                    kept.extend(*value);
                }
            }
        }
        let [nmse, kl_mean, kl_max] = kept.map(|ratios| multiplier(ratios, MARGIN));
        let together =
            (!together.is_empty()).then(|| multiplier(together, MARGIN_TOGETHER)).filter(|found| found.max <= EXPLAINED);
        tolerance.push(Tolerance { key, nmse, kl_mean, kl_max, together });
    }
    let mut measured_with: Vec<String> = record
        .subjects
        .iter()
        .filter(|subject| record.cases.iter().any(|case| case.id.ends_with(&format!("/{}", subject.subject))))
        .map(|subject| format!("{}: {}", subject.subject, subject.description.runtime))
        .collect();
    measured_with.sort();
    measured_with.dedup();
    Ok(Calibrated { tolerances: Tolerances { generated_by: command.into(), measured_with, tolerance }, left_out })
}

fn ratios(record: &Record) -> Vec<CaseMeasured> {
    let of = |comparison: &ComparisonRecord| {
        // Without limits everything passes, so a known divergence shows as an unexpected pass, or as a pass with a reason.
        let passes = comparison.judgement == Judgement::Pass && comparison.reason.is_none();
        let usable = comparison.oracle == Oracle::Reference && passes;
        let (Some(noise), Some(Verdict::Measured { checks, .. }), true) = (&comparison.noise, &comparison.verdict, usable)
        else {
            return None;
        };
        let ratio = |check, noise: f64| checks.iter().find(|m| m.check == check).map(|m| m.measured / noise);
        let name = comparison.model.split('@').next().unwrap_or_default();
        let is_it = |model: &&ModelRecord| model.name == comparison.model && model.weights == comparison.weights;
        let model = record.models.iter().find(is_it)?;
        let rounding = subjects::rounding(&comparison.candidate, comparison.settings, comparison.schedule);
        Some(CaseMeasured {
            key: allowance::key(&comparison.candidate, rounding, &model.architecture, model.family),
            cell: format!("{name}/{}/{}/{}", comparison.weights, comparison.settings, comparison.candidate),
            over_noise: comparison.over_noise,
            ratios: [ratio(Check::Nmse, noise.nmse), ratio(Check::KlMean, noise.kl_mean), ratio(Check::KlMax, noise.kl_max)],
        })
    };
    record.comparisons.iter().filter_map(of).collect()
}

fn multiplier(mut ratios: Vec<f64>, margin: f64) -> Multiplier {
    ratios.sort_by(f64::total_cmp);
    let max = quantile(&ratios, 1.0);
    // Three digits are more than a factor of safety needs, and make the file readable.
    let digits = |x: f64| format!("{x:.3e}").parse().unwrap_or(x);
    Multiplier {
        multiplier: digits(max * margin),
        sample: ratios.len() as u64,
        median: digits(quantile(&ratios, 0.5)),
        p99: digits(quantile(&ratios, 0.99)),
        max: digits(max),
        margin,
    }
}

/// The value below which a fraction `q` of the sorted values lies.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let index = ((sorted.len().max(1) - 1) as f64 * q).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// The limits as the file has them.
///
/// # Errors
/// Never for limits that [`calibrate`] made.
pub fn to_toml(tolerances: &Tolerances) -> Result<String, Error> {
    let toml = toml::to_string(tolerances).map_err(|error| Error::input("the limits", error, "report this as a bug"))?;
    Ok(format!("# Generated by calibration, never edited: CONTRIBUTING.md says how limits come about.\n\n{toml}"))
}
