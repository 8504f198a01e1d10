//! Lists the subjects of this build.

use crate::desk::{Desk, print};
use clap::Args;
use printable::Page;
use vocabulary::{Settings, Upshot};

/// List the subjects of this build, with versions, devices and CPU features, or why they cannot run here.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let desk = Desk::open(true)?;
    let mut workers = desk.workers()?;
    let records = desk.available(&mut workers, Settings::Default)?;
    print(&if arguments.json { Page::json(&records)? } else { report::subjects(&records) })?;
    Ok(Upshot::Good)
}
