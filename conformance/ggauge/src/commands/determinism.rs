//! Measures whether subjects are deterministic.

use crate::desk::{Desk, print};
use clap::Args;
use ggauge::runtimes;
use printable::{Form, Page};
use studies::{determinism, upgrade};
use vocabulary::{Settings, SubjectId, Upshot};

/// Measure whether subjects are deterministic, to the bit: in a process, across processes, threads and batches.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Models: names of pinned ones, paths, or recipes. The matrix's own models where none is given.
    models: Vec<String>,
    /// Only this subject; may be repeated. The CPU subjects of this build where none is given.
    #[arg(long = "subject", value_name = "SUBJECT")]
    subjects: Vec<SubjectId>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { models: names, subjects: only, json } = arguments;
    let desk = Desk::open(*json)?;
    let models = if names.is_empty() {
        determinism::tiny_models(desk.scratch()?)?
    } else {
        let mut models = Vec::new();
        for (model, prompts) in upgrade::real_models(names, &desk.cache, desk.scratch()?, false, &desk.progress)? {
            models.extend(prompts.into_iter().map(|prompt| (model.clone(), prompt)));
        }
        models
    };
    let mut workers = desk.workers()?;
    let mut chosen: Vec<SubjectId> = only.clone();
    if chosen.is_empty() {
        chosen.extend(runtimes::built().into_iter().filter(|id| id.device_kind() == "cpu"));
    }
    let subjects: Vec<_> = chosen.iter().flat_map(|id| Settings::ALL.map(|settings| (id.clone(), settings))).collect();
    let measured = determinism::measure(&mut workers, &models, &subjects, desk.scratch()?, &desk.progress)?;
    desk.progress.finish_and_clear();
    print(&if *json { Page::json(&measured)? } else { report::determinism::table(&measured, Form::Text) })?;
    let any = measured.iter().any(|aspect| aspect.compared > 0);
    Ok(if any { Upshot::Good } else { Upshot::NothingJudged })
}
