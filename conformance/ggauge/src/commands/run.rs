//! Runs models on subjects and judges what they give.

use crate::desk::{Desk, colored, filter, print, say};
use clap::Args;
use harness::{
    clock::Clock,
    emulated::Emulated,
    event::Listener,
    progress::Progress,
    reproduce,
    rig::Policy,
    run, subjects,
    worker::{launch::WorkerLimits, pool::Workers},
};
use machine::Error;
use policy::{Expectations, Tolerances};
use printable::{Page, quoted};
use record::Record;
use report::{Style, goldens, picture};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use studies::{
    given::{Asked, EXACT_MEMORY, GivenModels},
    goldens::{held, outputs::Outputs},
    matrix,
    names::ModelNames,
};
use supply::{
    manifests::Manifest,
    models::{self, Model},
    prompts::{self, Prompt},
};
use vocabulary::{Case, Schedule, Settings, SubjectId, Upshot};

/// Run models on subjects and judge the results (the default).
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// Models: names of pinned ones, paths of GGUF files, or recipes such as `llama/q4_0@0`. All pinned ones where none is given.
    models: Vec<String>,
    /// Only this subject; may be repeated. Every subject of this build where none is given.
    #[arg(long = "subject", value_name = "SUBJECT")]
    subjects: Vec<SubjectId>,
    /// A subject of your own, as NAME@DEVICE=COMMAND; the command must speak the worker protocol (conformance/vocabulary/PROTOCOL.md).
    #[arg(long = "worker", value_name = "SUBJECT=COMMAND", value_parser = parse_worker)]
    workers: Vec<(SubjectId, String)>,
    /// How exactly runtimes compute: default (what users get) or strict; may be repeated.
    #[arg(long, default_value = "default")]
    settings: Vec<Settings>,
    /// Only this schedule; may be repeated. Both where none is given.
    #[arg(long = "schedule", value_name = "SCHEDULE")]
    schedules: Vec<Schedule>,
    /// Run these token ids, separated by commas, instead of the prompts of corpora/prompts.
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    tokens: Option<Vec<u32>>,
    /// Only cases whose id has this part, or matches this glob ('*/candle@cpu').
    #[arg(long)]
    filter: Option<String>,
    /// Print the Record as JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Show a row for each prompt.
    #[arg(short, long)]
    verbose: bool,
    /// Folder for the Record, timings and logs (default: records/last in the cache; the one before moves to records/previous).
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// Also write what each case gave into this folder, as the texts that goldens are made of (golden/README.md).
    #[arg(long, value_name = "FOLDER")]
    outputs: Option<PathBuf>,
    /// Hold what each case gave against the goldens in this folder (golden/outputs of a checkout): has this build, machine or device the
    /// same answers? A golden that differs is a failure; nothing to compare with is exit code 4.
    #[arg(long, value_name = "FOLDER")]
    goldens: Option<PathBuf>,
    /// Known divergences from this file instead of the ones that ship with ggauge.
    #[arg(long, value_name = "FILE", conflicts_with = "no_expectations")]
    expectations: Option<PathBuf>,
    /// No known divergences: every divergence fails.
    #[arg(long)]
    no_expectations: bool,
    /// Seconds a case may take.
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// MiB a worker may occupy.
    #[arg(long, default_value_t = 8192, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    memory: u64,
    /// MiB that the exact form of a model may take: its weights as F32, whole or the first layers, on which strict settings say whether a runtime's graph is
    /// right; it is kept in the cache. 0: none.
    #[arg(long, default_value_t = EXACT_MEMORY, value_name = "MIB", value_parser = clap::value_parser!(u64).range(0..=1 << 24))]
    exact_memory: u64,
    /// Never use the network: models must be in the cache.
    #[arg(long)]
    offline: bool,
}

fn parse_worker(text: &str) -> Result<(SubjectId, String), String> {
    let (subject, command) = text.split_once('=').ok_or("expected SUBJECT=COMMAND, such as mine@cpu='python3 worker.py'")?;
    Ok((subject.parse()?, command.to_owned()))
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let desk = Desk::open(arguments.json)?;
    let filter = filter(arguments.filter.as_deref())?;
    let policy = policy(arguments)?;
    // Now, not after minutes.
    if let Some(folder) = arguments.goldens.as_ref().filter(|folder| !folder.is_dir()) {
        let next = "give golden/outputs of a checkout, or a folder like it";
        return Err(Error::input(folder.display(), "there is no such folder", next).into());
    }

    let pinned = Manifest::all()?;
    let models = models(arguments, &pinned, &desk)?;
    let limits = WorkerLimits { time: Duration::from_secs(arguments.timeout), memory: arguments.memory << 20 };
    let commands = arguments.workers.iter().cloned().collect();
    let mut workers = Workers::new(desk.program.clone(), commands, limits, desk.scratch()?.into());
    let prompts = prompts_of(&models, arguments.tokens.as_ref(), &mut workers)?;

    let given = GivenModels::of(models.into_iter().zip(prompts).collect());
    let (known, bytes) = (subjects::known(), arguments.exact_memory << 20);
    let asked = if arguments.subjects.is_empty() { &known } else { &arguments.subjects };
    let given = given.with_exact_forms(bytes, (asked, &filter), &desk.cache, &desk.progress)?;
    for why in &given.without_exact {
        say(&Page::of(format_args!("no exact form of {why}")));
    }
    let settings = given.settings(&arguments.settings);
    let (subjects, records) = desk.choose_subjects(&arguments.subjects, &arguments.workers, &settings, &mut workers)?;
    policy.expectations.check_all_match(&universe(&given, &pinned, &subjects)?)?;
    let schedules = if arguments.schedules.is_empty() { Schedule::OF_EVERY_RUN.to_vec() } else { arguments.schedules.clone() };
    let emulated = Emulated::among(&records);
    let (schedules, settings) = (&schedules, &arguments.settings);
    let plan = given.plan(&Asked { schedules, settings, subjects: &subjects, emulated: &emulated, filter: &filter });
    if plan.groups.is_empty() {
        return Err(nothing_to_do(arguments.filter.as_deref()).into());
    }
    let again = again(arguments);
    let scratch = desk.scratch()?;
    let outputs = arguments.outputs.clone().or_else(|| arguments.goldens.is_some().then(|| scratch.join("outputs")));
    let (mut clock, mut bar) = (Clock::default(), Progress(&desk.progress));
    let mut texts = outputs.clone().map(Outputs::new);
    let mut listeners: Vec<&mut dyn Listener> = vec![&mut clock, &mut bar];
    if let Some(texts) = &mut texts {
        listeners.push(texts);
    }
    let mut rig = desk.rig(&mut workers, &policy, listeners)?;
    let again = reproduce::run(&again);
    let mut record = run::run(&mut rig, &plan, records, &again)?;
    run::judge_together(&mut record, &policy.tolerances, &again);
    let timings = clock.timings();
    desk.progress.finish_and_clear();

    // Printed first: a folder that cannot be written must not take the results with it.
    if arguments.json {
        print(&Page::json(&record)?)?;
    } else {
        let style = Style { color: colored(), verbose: arguments.verbose };
        print(&report::report(&record, style))?;
    }
    let picture = picture::svg(&record)?;
    let left = record::Folder { record: &record, timings: &timings, logs: &workers.logs(), picture: &picture };
    let folder = desk.leave(&left, arguments.record.as_deref(), "last", Some("previous"))?;
    if !arguments.json {
        say(&Page::of(format_args!("Record, picture, timings and logs: {}", folder.display())));
    }
    let (Some(folder), Some(outputs)) = (&arguments.goldens, &outputs) else { return Ok(record.upshot()) };
    hold(&record, outputs, folder, arguments.json)
}

/// What is judged by: limits, and the known divergences that were asked for.
fn policy(arguments: &Arguments) -> Result<Policy, Error> {
    let expectations = match &arguments.expectations {
        _ if arguments.no_expectations => Expectations::default(),
        Some(path) => Expectations::read(path)?,
        None => Expectations::shipped()?,
    };
    Ok(Policy { tolerances: Tolerances::shipped()?, expectations })
}

/// The models that were asked for, or every pinned one, no two of which have the same ids.
fn models(arguments: &Arguments, pinned: &[Manifest], desk: &Desk) -> anyhow::Result<Vec<Model>> {
    let names: Vec<&String> = if arguments.models.is_empty() {
        pinned.iter().map(|manifest| &manifest.name).collect()
    } else {
        arguments.models.iter().collect()
    };
    let mut models: Vec<Model> = Vec::new();
    for name in names {
        let model = models::resolve(name, &desk.cache, desk.scratch()?, arguments.offline, &desk.progress)?;
        if models.iter().any(|other| other.name == model.name && other.weights == model.weights) {
            let why = format!("a second model with the ids {}/{}", model.name, model.weights);
            return Err(Error::input(&model.argument, why, "run them one after the other, or rename one of the files").into());
        }
        models.push(model);
    }
    Ok(models)
}

/// Why a plan has no case.
fn nothing_to_do(filter: Option<&str>) -> Error {
    match filter {
        Some(filter) => {
            Error::input(format!("filter `{filter}`"), "no case is left", "loosen it; `ggauge run --json` prints case ids")
        }
        None => {
            let next = "`ggauge subjects` says which can, and why others cannot";
            Error::input("the subjects", "none of them can be run", next)
        }
    }
}

/// Holds what the cases of a run gave, which lies in `outputs`, against the goldens in `folder`.
fn hold(record: &Record, outputs: &Path, folder: &Path, is_json: bool) -> anyhow::Result<Upshot> {
    let held = held::against(folder, outputs, record.cases.iter().map(|case| case.id.as_str()))?;
    if is_json {
        say(&goldens::report(&held));
    } else {
        let mut page = Page::of("");
        page.append(&goldens::report(&held));
        print(&page)?;
    }
    Ok(match record.upshot() {
        _ if !held.differ.is_empty() => Upshot::Bad,
        Upshot::Good if held.compared == 0 => Upshot::NothingJudged,
        code => code,
    })
}

/// The prompts of each model, checked against its header.
fn prompts_of(models: &[Model], tokens: Option<&Vec<u32>>, workers: &mut Workers) -> anyhow::Result<Vec<Vec<Prompt>>> {
    let mut all = Vec::new();
    for model in models {
        all.push(match tokens {
            Some(tokens) => {
                let prompt = Prompt { name: "tokens".into(), tokens: tokens.clone(), short: true };
                prompts::check(&prompt, model)?;
                vec![prompt]
            }
            None => ggauge::prompts::of(model, workers)?,
        });
    }
    Ok(all)
}

/// Every case that this ggauge knows of, whatever this run and this machine have, each with its model's architecture: what expectations must match.
fn universe<'a>(
    given: &'a GivenModels,
    pinned: &'a [Manifest],
    subjects: &[SubjectId],
) -> anyhow::Result<Vec<(Case, &'a str)>> {
    let all: BTreeSet<SubjectId> = subjects.iter().cloned().chain(subjects::known()).collect();
    let all: Vec<_> = all.into_iter().collect();
    let mut cases: Vec<(Case, &'a str)> = matrix::names(&all);
    for (model, prompts) in given.all() {
        let names = ModelNames { model: &model.name, weights: &model.weights, architecture: &model.architecture };
        cases.extend(prompts.iter().flat_map(|prompt| names.cases(&prompt.name, &Schedule::OF_EVERY_RUN, &all)));
    }
    let of_corpora = prompts::all()?;
    for manifest in pinned {
        let names = ModelNames { model: &manifest.name, weights: &manifest.weights, architecture: &manifest.architecture };
        cases.extend(of_corpora.keys().flat_map(|prompt| names.cases(prompt, &Schedule::OF_EVERY_RUN, &all)));
    }
    Ok(cases)
}

/// What has to be said again to run a case of this run again, beyond its model, settings and filter.
fn again(arguments: &Arguments) -> String {
    let mut again = Vec::new();
    for (subject, command) in &arguments.workers {
        again.push(reproduce::worker(subject, command));
    }
    if let Some(tokens) = &arguments.tokens {
        let ids: Vec<_> = tokens.iter().map(ToString::to_string).collect();
        again.push(format!(" --tokens {}", ids.join(",")));
    }
    if let Some(path) = &arguments.expectations {
        again.push(format!(" --expectations {}", quoted(path)));
    }
    if arguments.no_expectations {
        again.push(" --no-expectations".into());
    }
    if arguments.exact_memory != EXACT_MEMORY {
        again.push(format!(" --exact-memory {}", arguments.exact_memory));
    }
    again.concat()
}
