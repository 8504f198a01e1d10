//! An upgrade of a runtime as a release: the same cases with both builds, what changed and why, what it costs, and what to do about it.
//!
//! Each side is a build of ggauge with that release of the runtime ([`supply::builds`]), used as a worker: the harness, the reference and the
//! policy are this ggauge's for both.

use crate::{determinism, matrix};
use harness::{
    plan::{Filter, Plan},
    progress::{self, Progress},
    reproduce,
    rig::{Policy, Rig},
    run,
    worker::pool::Workers,
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache};
use policy::{Expectations, Tolerances, advice, changes::Cause};
use record::{
    Record,
    changes::{self, RecordsCompared},
    determinism::AspectMeasured,
    release::Release,
    upgrade::{Ratio, Speed, UpgradeMeasured, UpgradeReport},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Instant,
};
use supply::{
    manifests::Manifest,
    models::{self, Model},
    prompts::{self, Prompt},
};
use vocabulary::{Oracle, Outcome, Schedule, Settings, SubjectId};

/// Rounds in which the speeds of both sides are measured, one after the other.
const ROUNDS: usize = 5;
/// Tokens that are decoded for a speed.
const DECODED: u32 = 32;

/// A release and the program that has it.
pub struct UpgradeSide {
    /// The release.
    pub release: Release,
    /// A ggauge that was built with it.
    pub program: PathBuf,
}

/// What is run with both sides.
pub struct Cases<'a> {
    /// The subject, such as `candle@cpu`.
    pub subject: &'a SubjectId,
    /// Real models, each with its prompts.
    pub models: &'a [(Model, Vec<Prompt>)],
    /// Which cases.
    pub filter: &'a Filter,
}

/// The pinned models, or those that are asked for, with their prompts.
///
/// # Errors
/// Where one of them cannot be had.
pub fn real_models(
    names: &[String],
    cache: &Cache,
    scratch: &Path,
    offline: bool,
    progress: &ProgressBar,
) -> Result<Vec<(Model, Vec<Prompt>)>, Error> {
    let names =
        if names.is_empty() { Manifest::all()?.into_iter().map(|manifest| manifest.name).collect() } else { names.to_vec() };
    let mut all = Vec::new();
    for name in &names {
        let model = models::resolve(name, cache, scratch, offline, progress)?;
        // Both sides must be fed the same ids, whatever their tokenizers say.
        let prompts = prompts::of_model(&model, |_| Ok(None))?;
        prompts.iter().try_for_each(|prompt| prompts::check(prompt, &model))?;
        all.push((model, prompts));
    }
    Ok(all)
}

/// Runs the cases with one side. Nothing is expected to fail: what is known to be wrong in one release need not be in another.
///
/// # Errors
/// Where the harness itself cannot go on.
pub fn run(
    side: &UpgradeSide,
    cases: &Cases<'_>,
    cache: &Cache,
    scratch: &Path,
    progress: &ProgressBar,
) -> Result<Record, Error> {
    let policy = Policy { tolerances: Tolerances::shipped()?, expectations: Expectations::default() };
    let mut workers = workers(side, scratch);
    let probe = Model::make(&smith::Recipe::new(smith::Architecture::Llama, gguf::WeightType::F32, 0), scratch)?;
    let subjects = [cases.subject.clone()];
    let mut records = Vec::new();
    for settings in Settings::ALL {
        records.push(workers.describe(cases.subject, settings, &probe.path)?);
    }
    let (models, prompts): (Vec<_>, Vec<_>) = cases.models.iter().cloned().unzip();
    let everything = |_: &Model, _: &SubjectId, _: &Prompt| true;
    let real = Plan::new(models, &prompts, &Schedule::OF_EVERY_RUN, &[Settings::Default], &subjects, everything, cases.filter);
    let chosen = matrix::Subjects { fast: &subjects, devices: &[] };
    let tiny = matrix::plan(matrix::Extent::EveryChange, &chosen, scratch, cases.filter)?;
    let mut bar = Progress(progress);
    let mut rig = Rig { workers: &mut workers, cache, scratch, policy: &policy, listeners: vec![&mut bar] };
    let mut whole = run::run(&mut rig, &real, records.clone(), &reproduce::run(""))?;
    let record = run::run(&mut rig, &tiny, records, &reproduce::matrix(""))?;
    whole.models.extend(record.models);
    whole.cases.extend(record.cases);
    whole.comparisons.extend(record.comparisons);
    Ok(whole)
}

fn workers(side: &UpgradeSide, scratch: &Path) -> Workers {
    Workers::plain(side.program.clone(), scratch)
}

/// Measures what is deterministic with one side, on the matrix's models.
///
/// # Errors
/// Where the harness itself cannot go on.
pub fn determinism(
    side: &UpgradeSide,
    subject: &SubjectId,
    scratch: &Path,
    progress: &ProgressBar,
) -> Result<Vec<AspectMeasured>, Error> {
    let subjects = Settings::ALL.map(|settings| (subject.clone(), settings));
    determinism::measure(&mut workers(side, scratch), &determinism::tiny_models(scratch)?, &subjects, scratch, progress)
}

/// What a side needs for one model; `None` for what it does not give.
#[derive(Default)]
struct Costs {
    /// Tokens a second.
    prefill: Option<f64>,
    /// Tokens a second.
    decode: Option<f64>,
    /// Seconds.
    load: Option<f64>,
    /// MiB.
    memory: Option<f64>,
}

/// Measures speed and memory of both sides, round by round one after the other, so that a machine that is busy for a while is so for both.
///
/// # Errors
/// Where the harness itself cannot go on.
pub fn speed(sides: [&UpgradeSide; 2], cases: &Cases<'_>, scratch: &Path, progress: &ProgressBar) -> Result<Vec<Speed>, Error> {
    let mut all = Vec::new();
    progress::count(progress, (cases.models.len() * ROUNDS * 2) as u64);
    progress.set_position(0);
    for (model, prompts) in cases.models {
        let Some(prompt) = prompts.iter().max_by_key(|prompt| prompt.tokens.len()) else { continue };
        let costs = |side: &UpgradeSide| {
            progress.set_message(format!("speed of {} on {}", side.release, model.name));
            progress.inc(1);
            measure(side, cases.subject, model, prompt, scratch)
        };
        let mut rounds = Vec::new();
        for round in 0..ROUNDS {
            let [before, after] = sides;
            // Who goes first has the caches cold.
            rounds.push(if round % 2 == 0 {
                let first = costs(before)?;
                (first, costs(after)?)
            } else {
                let first = costs(after)?;
                (costs(before)?, first)
            });
        }
        let of = |what: fn(&Costs) -> Option<f64>| {
            let both = |(before, after): &(Costs, Costs)| what(before).zip(what(after));
            Ratio::of(&rounds.iter().filter_map(both).collect::<Vec<_>>())
        };
        all.push(Speed {
            model: model.name.clone(),
            prefill: of(|costs| costs.prefill),
            decode: of(|costs| costs.decode),
            load: of(|costs| costs.load),
            memory: of(|costs| costs.memory),
        });
    }
    Ok(all)
}

fn measure(side: &UpgradeSide, subject: &SubjectId, model: &Model, prompt: &Prompt, scratch: &Path) -> Result<Costs, Error> {
    let mut workers = workers(side, scratch);
    let worker = workers.get(subject, Settings::Default);
    if worker.start()?.is_err() {
        return Ok(Costs::default());
    }
    let started = Instant::now();
    if worker.load(&model.path)?.is_err() {
        return Ok(Costs::default());
    }
    let load = measured(started.elapsed().as_secs_f64());
    let Ok(continuation) = worker.continue_greedily(&model.path, model.vocabulary_size, &prompt.tokens, DECODED)? else {
        return Ok(Costs { load, ..Costs::default() });
    };
    let a_second = |tokens: usize, seconds: f64| measured(seconds).and_then(|seconds| measured(tokens as f64 / seconds));
    let decoded = continuation.tokens.len().saturating_sub(1);
    Ok(Costs {
        prefill: a_second(prompt.tokens.len(), continuation.prefill.as_secs_f64()),
        decode: a_second(decoded, continuation.decode.as_secs_f64()),
        load,
        memory: measured(worker.peak_memory as f64 / f64::from(1 << 20)),
    })
}

/// Nothing takes no time and no memory: a 0 was not measured.
fn measured(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

/// Puts together what was found out, with the causes that are known now.
///
/// # Errors
/// Where the known causes are wrong.
pub fn report(measured: UpgradeMeasured) -> Result<UpgradeReport, Error> {
    let UpgradeMeasured { releases: [before, after], records, speed, determinism } = measured;
    let comparison = changes::compare(&records[0], &records[1]);
    let causes = policy::changes::explain(&comparison, &Cause::shipped()?, &before, &after);
    let [ran, runs] = records.map(|record| running(&record, &comparison));
    let (advice, reasons) = advice::advise(&comparison, &speed, &determinism);
    let [determinism_before, determinism_after] = determinism;
    Ok(UpgradeReport {
        before,
        after,
        advice,
        reasons,
        gained: runs.difference(&ran).cloned().collect(),
        lost: ran.difference(&runs).cloned().collect(),
        comparison,
        causes,
        speed,
        determinism_before,
        determinism_after,
    })
}

/// The architectures and weight types of which a Record has a case that gave logits, right or wrong.
fn running(record: &Record, comparison: &RecordsCompared) -> BTreeSet<String> {
    let completed = record.cases.iter().filter(|case| matches!(case.outcome, Outcome::Completed { .. }));
    let completed: BTreeSet<&str> = completed.map(|case| case.id.as_str()).collect();
    let own: BTreeSet<&str> = record.comparisons.iter().map(|comparison| comparison.id.as_str()).collect();
    let rows = comparison.rows.iter().filter(|row| row.oracle == Oracle::Reference);
    let rows = rows.filter(|row| completed.contains(row.id.as_str()) && own.contains(row.id.as_str()));
    rows.map(|row| format!("{} {}", row.architecture, row.weights)).collect()
}
