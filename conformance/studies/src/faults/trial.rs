//! Faults tried on every model of the matrix: which of them its cells notice at the calibrated limits.

use crate::{
    faults::{
        Fault, Kind, evaluate,
        of_model::{equivalent, faults_of, named, nibbles},
        transcript, words,
    },
    matrix,
};
use gguf::WeightType;
use harness::{allowance, judge::oracle, progress, subjects};
use indicatif::ProgressBar;
use machine::Error;
use policy::{Expectations, Tolerances};
use rayon::prelude::*;
use record::faults::{Fate, FaultTried};
use reference::{Rounding, Rows};
use smith::Recipe;
use std::{collections::BTreeSet, path::Path};
use supply::{
    models::{self, Model},
    prompts::Prompt,
};
use vocabulary::{Case, Limits, Scale, Schedule, Settings, SubjectId, Verdict};

/// Tries every fault on every model of the matrix.
///
/// # Errors
/// Where a model cannot be made or the reference cannot run it.
pub fn try_all(
    filter: Option<&str>,
    tolerances: &Tolerances,
    expectations: &Expectations,
    progress: &ProgressBar,
) -> Result<Vec<FaultTried>, Error> {
    let mut recipes = matrix::recipes(WeightType::F32);
    recipes.retain(|recipe| filter.is_none_or(|part| recipe.model().contains(part)));
    progress::count(progress, recipes.len() as u64);
    let mut all = Vec::new();
    for recipe in recipes {
        progress.set_message(recipe.model());
        let cells = |weights| Cells::new(&in_type(&recipe, weights)?, tolerances, expectations);
        all.extend(try_model(&recipe, &cells(WeightType::F32)?, &cells(WeightType::Q4_K)?)?);
        all.extend(try_codes(&recipe, &cells(WeightType::Q4_0)?)?);
        progress.inc(1);
    }
    Ok(all)
}

/// Every fault but those of codes.
fn try_model(recipe: &Recipe, exact: &Cells, quantized: &Cells) -> Result<Vec<FaultTried>, Error> {
    let faults = faults_of(&exact.bytes)?;
    let tried = faults.into_par_iter().map(|fault| {
        let fate = exact.find(&fault);
        let fate_in_quantized = quantized.find(&fault);
        let in_quantized = matches!(fate_in_quantized, Fate::Noticed { .. } | Fate::Refused { .. });
        let fate = match (equivalent(recipe, &fault), fate) {
            (_, fate @ Fate::Noticed { .. }) => fate,
            (Some(reason), _) => Fate::Equivalent { reason: reason.into() },
            // What hides below the noise of F32 cells and shows in quantised ones is noticed all the same.
            (None, Fate::Escaped { .. }) if in_quantized => fate_in_quantized,
            (None, fate) => fate,
        };
        FaultTried { model: recipe.model(), fault: fault.name, meaning: fault.meaning, fate, in_quantized }
    });
    Ok(tried.collect())
}

/// Faults that only codes of blocks can have.
fn try_codes(recipe: &Recipe, in_small_blocks: &Cells) -> Result<Vec<FaultTried>, Error> {
    let tried = nibbles(&in_small_blocks.bytes)?.into_par_iter().map(|fault| FaultTried {
        model: recipe.model(),
        fate: in_small_blocks.find(&fault),
        fault: fault.name,
        meaning: fault.meaning,
        in_quantized: true,
    });
    Ok(tried.collect())
}

/// How many faults there are to try on every model of the matrix.
///
/// # Errors
/// As [`try_all`].
pub fn count() -> Result<usize, Error> {
    let mut count = 0;
    for recipe in matrix::recipes(WeightType::F32) {
        count += faults_of(&models::build(&recipe)?)?.len();
        count += nibbles(&models::build(&in_type(&recipe, WeightType::Q4_0)?)?)?.len();
    }
    Ok(count)
}

fn in_type(recipe: &Recipe, weights: WeightType) -> Result<Recipe, Error> {
    let text = format!("{}/{weights}@{}", recipe.model(), recipe.seed);
    text.parse().map_err(|error: smith::InvalidRecipe| Error::input(&text, error.why, "report this as a bug"))
}

/// Cells of the matrix of one model, with their truth and their limits.
struct Cells {
    /// Of the model.
    bytes: Vec<u8>,
    cells: Vec<Cell>,
}

/// One prompt on one subject: what it computes when nothing is wrong, and what it may differ by.
struct Cell {
    case: Case,
    prompt: Prompt,
    rounding: Rounding,
    truth: Vec<(u64, Vec<f32>)>,
    limits: Limits,
}

impl Cells {
    fn new(recipe: &Recipe, tolerances: &Tolerances, expectations: &Expectations) -> Result<Self, Error> {
        let model = Model::planned(recipe, Path::new(""))?;
        let bytes = models::build(recipe)?;
        let failed = |refusal| Error::input(recipe, format!("{refusal:?}"), "report this as a bug");
        let mut cells = Vec::new();
        for prompt in matrix::prompts(recipe) {
            let exact = evaluate(&bytes, &[], &prompt.tokens, Schedule::SingleShot, Rounding::EXACT).map_err(failed)?;
            let truth = transcript(&exact);
            for settings in Settings::ALL.into_iter().rev() {
                for subject in fast_subjects() {
                    let case = Case {
                        model: recipe.model(),
                        weights: recipe.weights.name().into(),
                        prompt: prompt.name.clone(),
                        schedule: Schedule::SingleShot,
                        settings,
                        subject: subject.clone(),
                    };
                    // A subject that is known to be wrong on this model notices nothing.
                    if expectations.find(&case, &model.architecture)?.is_some() {
                        continue;
                    }
                    let rounding = subjects::rounding(&subject, settings, Schedule::SingleShot);
                    let run = |rounding| evaluate(&bytes, &[], &prompt.tokens, Schedule::SingleShot, rounding).map_err(failed);
                    let why = |why| Error::input(recipe, why, "report this as a bug");
                    let scale = allowed(rounding, &truth, run, why)?;
                    let key = allowance::key(&subject, rounding, &model.architecture, model.family);
                    if let Some(limits) = tolerances.limits(&key, &scale) {
                        cells.push(Cell { case, prompt: prompt.clone(), rounding, truth: truth.clone(), limits });
                    }
                }
            }
        }
        Ok(Self { bytes, cells })
    }

    /// Tries a fault on every cell, until one fails.
    fn find(&self, fault: &Fault) -> Fate {
        let mut nearest = (String::new(), 0.0);
        for cell in &self.cells {
            for schedule in schedules(fault, &cell.prompt) {
                let case = Case { schedule, ..cell.case.clone() }.to_string();
                let faults = std::slice::from_ref(fault);
                let rows = match evaluate(&self.bytes, faults, &cell.prompt.tokens, schedule, cell.rounding) {
                    Ok(rows) => rows,
                    Err(refusal) => return Fate::Refused { reason: words(refusal) },
                };
                let mut candidate = transcript(&rows);
                if subjects::gives_last_positions_only(&cell.case.subject) {
                    let last: BTreeSet<u64> =
                        schedule.calls(cell.prompt.tokens.len()).into_iter().map(|call| call.end as u64 - 1).collect();
                    candidate.retain(|(position, _)| last.contains(position));
                }
                let Ok(compared) = oracle::compare_rows_of(&candidate, &cell.truth) else { continue };
                let verdict = compared.verdict(&cell.limits);
                let ratio = verdict.decisive().map_or(0.0, vocabulary::Measurement::ratio);
                if !verdict.holds() {
                    return Fate::Noticed { by: case, ratio };
                }
                if ratio >= nearest.1 {
                    nearest = (case, ratio);
                }
            }
        }
        Fate::Escaped { nearest: nearest.0, ratio: nearest.1 }
    }
}

/// The subjects that the whole matrix is run on.
fn fast_subjects() -> Vec<SubjectId> {
    subjects::known().into_iter().filter(|subject| subject.device_kind() == "cpu" && subject.runtime() != "reference").collect()
}

/// The schedules of the matrix that a fault could show in.
fn schedules(fault: &Fault, prompt: &Prompt) -> Vec<Schedule> {
    match fault.kind {
        Kind::Step(step) if step.depends_on_calls() => matrix::schedules(prompt),
        _ => vec![Schedule::SingleShot],
    }
}

/// How far a rounding, or what else an implementation may do, moves the logits that `run` gives from the truth.
fn allowed(
    rounding: Rounding,
    truth: &[(u64, Vec<f32>)],
    run: impl Fn(Rounding) -> Result<Rows, Error>,
    why: impl Fn(String) -> Error,
) -> Result<Scale, Error> {
    let moved = |rounding| {
        Ok(oracle::compare_rows_of(&transcript(&run(rounding)?), truth).map_err(String::from).map_err(&why)?.scale())
    };
    let scale: Scale = moved(rounding)?;
    rounding.floor().map_or(Ok(scale), |floor| Ok(scale.at_least(moved(floor)?)))
}

/// What a subject gave in a case.
pub struct Given<'a> {
    /// The case.
    pub case: &'a Case,
    /// Its prompt.
    pub prompt: &'a Prompt,
    /// Positions with their logits.
    pub rows: &'a [(u64, Vec<f32>)],
}

/// Holds what a subject gave of a recipe's model against the reference with faults, at the subject's own limits.
///
/// # Errors
/// Where the model has no such faults, the reference does not run with them, or there are no limits for the subject.
pub fn against(recipe: &Recipe, faults: &[String], given: &Given<'_>, tolerances: &Tolerances) -> Result<Verdict, Error> {
    let Given { case, prompt, rows } = *given;
    let why = |why: String| Error::input(case, why, "`ggauge faults --verbose` lists the faults of a model");
    let model = Model::planned(recipe, Path::new(""))?;
    let bytes = models::build(recipe)?;
    let faults = named(&bytes, faults)?;
    let rounding = subjects::rounding(&case.subject, case.settings, case.schedule);
    let run = |faults: &[Fault], rounding| {
        evaluate(&bytes, faults, &prompt.tokens, case.schedule, rounding).map_err(|refusal| why(words(refusal)))
    };
    let truth = transcript(&run(&[], Rounding::EXACT)?);
    let scale = allowed(rounding, &truth, |rounding| run(&[], rounding), why)?;
    let key = allowance::key(&case.subject, rounding, &model.architecture, model.family);
    let limits = tolerances.limits(&key, &scale).ok_or_else(|| why("there are no limits for it".into()))?;
    let faulty = transcript(&run(&faults, Rounding::EXACT)?);
    Ok(oracle::compare_rows_of(rows, &faulty).map_err(String::from).map_err(why)?.verdict(&limits))
}
