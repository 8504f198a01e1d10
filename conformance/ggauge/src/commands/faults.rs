//! Breaks one thing at a time.

use crate::desk::{Desk, print, progress};
use clap::Args;
use machine::Error;
use policy::{Expectations, Tolerances};
use printable::Page;
use record::faults::{Confirmation, Noticed};
use studies::faults::{experiments, trial};
use vocabulary::Upshot;

/// Break one thing at a time in the reference, and say which of it the matrix notices at the calibrated limits.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only models whose name has this part.
    filter: Option<String>,
    /// List every fault of every model.
    #[arg(short, long)]
    verbose: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Run the experiments of known divergences instead: a runtime's numbers against the reference with the faults that are said to be
    /// their cause.
    #[arg(long, conflicts_with_all = ["filter", "verbose", "json"])]
    confirm: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { filter, verbose, json, confirm } = arguments;
    if *confirm {
        return confirm_causes();
    }
    let progress = progress(*json);
    let filter = filter.as_deref();
    let tried = trial::try_all(filter, &Tolerances::shipped()?, &Expectations::shipped()?, &progress)?;
    progress.finish_and_clear();
    if tried.is_empty() {
        let what = format!("filter `{}`", filter.unwrap_or_default());
        return Err(Error::input(what, "no model's name has it", "`ggauge faults` alone takes every model").into());
    }
    print(&if *json { Page::json(&tried)? } else { report::faults::survey(&tried, *verbose) })?;
    Ok(Noticed::of(&tried).upshot())
}

fn confirm_causes() -> anyhow::Result<Upshot> {
    let desk = Desk::open(true)?;
    let mut workers = desk.workers()?;
    let confirmations =
        experiments::run_all(&Expectations::shipped()?, &Tolerances::shipped()?, &mut workers, desk.scratch()?)?;
    print(&report::faults::experiments(&confirmations))?;
    let all = confirmations.iter().all(Confirmation::holds);
    Ok(if all { Upshot::Good } else { Upshot::Bad })
}
