//! Holds two Records against each other.

use crate::desk::{Shown, print};
use clap::Args;
use printable::Page;
use record::changes;
use std::path::PathBuf;
use vocabulary::Upshot;

/// Hold two Records against each other: what is identical, what moved within its limits, what broke.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The Record of before: record.json, or the folder it is in.
    before: PathBuf,
    /// The Record of after.
    after: PathBuf,
    #[command(flatten)]
    shown: Shown,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { before, after, shown } = arguments;
    let comparison = changes::compare(&record::read(before)?, &record::read(after)?);
    print(&if shown.json {
        Page::json(&comparison)?
    } else {
        report::changes::report(&comparison, shown.form(), shown.verbose)
    })?;
    Ok(comparison.upshot())
}
