//! Holds the runtimes' tokenizers against what is pinned.

use crate::desk::{Desk, print};
use clap::Args;
use printable::Page;
use std::path::Path;
use studies::tokenizers;
use supply::{prompts, vocabularies};
use vocabulary::{Settings, SubjectId, Upshot};

/// Hold the runtimes' tokenizers against pinned vocabularies with the ids that texts must give, and against each other.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names of vocabularies and pinned models; all of them where none is given.
    names: Vec<String>,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Never use the network: the files must be in the cache.
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { names, json, offline } = arguments;
    let desk = Desk::open(*json)?;
    let vocabularies = vocabularies::choose(names, &desk.cache, *offline, &desk.progress)?;
    let mut workers = desk.workers()?;
    let tokenize = |subject: &SubjectId, path: &Path, text: &str| workers.get(subject, Settings::Default).tokenize(path, text);
    let divergences = tokenizers::divergences()?;
    let record = tokenizers::run(&vocabularies, &prompts::all()?, &divergences, tokenize, &desk.progress)?;
    desk.progress.finish_and_clear();
    print(&if *json { Page::json(&record)? } else { report::tokenizers::report(&record) })?;
    Ok(record.upshot())
}
