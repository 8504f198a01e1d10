//! The experiments that expectations name: a subject's own numbers held against the reference with the faults that are said to be their
//! cause. A cause that does not give the numbers is no cause.

use crate::faults::trial::{self, Given};
use harness::worker::pool::Workers;
use machine::Error;
use policy::{Expectation, Expectations, Experiment, Tolerances};
use record::faults::Confirmation;
use smith::Recipe;
use std::{fs, path::Path};
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Case, Settings, transcript::Reader};

/// Runs every experiment.
///
/// # Errors
/// Where one cannot be run: a recipe or a fault that does not exist, a subject that gives no logits.
pub fn run_all(
    expectations: &Expectations,
    tolerances: &Tolerances,
    workers: &mut Workers,
    folder: &Path,
) -> Result<Vec<Confirmation>, Error> {
    let experiments = expectations.rows().iter().filter_map(|row| Some((row, row.experiment.as_ref()?)));
    experiments.map(|(row, experiment)| confirm(row, experiment, tolerances, workers, folder)).collect()
}

fn confirm(
    row: &Expectation,
    experiment: &Experiment,
    tolerances: &Tolerances,
    workers: &mut Workers,
    folder: &Path,
) -> Result<Confirmation, Error> {
    let finding = row.finding.clone().unwrap_or_default();
    let wrong =
        |why: String| Error::input(format!("the experiment of {finding}"), why, "correct conformance/policy/expectations.toml");
    let recipe: Recipe = experiment.recipe.parse().map_err(|error: smith::InvalidRecipe| wrong(error.to_string()))?;
    let model = Model::make(&recipe, folder)?;
    let prompt = Prompt { name: format!("ramp-{}", experiment.tokens), tokens: Recipe::ramp(experiment.tokens), short: true };
    let case = Case {
        model: recipe.model(),
        weights: recipe.weights.name().into(),
        prompt: prompt.name.clone(),
        schedule: experiment.schedule,
        settings: Settings::Strict,
        subject: experiment.subject.clone(),
    };
    let transcript = folder.join("experiment.safetensors");
    let worker = workers.get(&experiment.subject, Settings::Strict);
    let answer = worker.evaluate(&model.path, model.vocabulary_size, &prompt.tokens, experiment.schedule, &transcript)?;
    let rows = answer.map_err(|outcome| outcome.summary()).and_then(|transcript| rows(&transcript)).map_err(wrong)?;
    let _ = fs::remove_file(&transcript);
    let given = Given { case: &case, prompt: &prompt, rows: &rows };
    let against = |faults: &[String]| trial::against(&recipe, faults, &given, tolerances);
    Ok(Confirmation {
        case: case.to_string(),
        faults: experiment.faults.clone(),
        without: against(&[])?,
        with: against(&experiment.faults)?,
        finding,
    })
}

fn rows(reader: &Reader) -> Result<Vec<(u64, Vec<f32>)>, String> {
    let read = |(index, &position): (usize, &u64)| {
        let mut row = Vec::new();
        reader.read_row(index, &mut row).map_err(|error| error.to_string())?;
        Ok((position, row))
    };
    reader.positions().iter().enumerate().map(read).collect()
}
