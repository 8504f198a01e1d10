//! Pins a release of a runtime.

use crate::desk::print;
use clap::Args;
use machine::Error;
use printable::Page;
use std::path::PathBuf;
use supply::{
    builds,
    releases::{self, CrateVersion, Wanted},
};
use vocabulary::Upshot;

/// Pin this checkout to a release of a runtime, in its manifest and its lock file, and add the release to conformance/policy/releases.toml.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// RUNTIME@VERSION, such as candle@0.11.1.
    release: Wanted,
    /// Another version of one of its crates; may be repeated.
    #[arg(long, value_name = "CRATE=VERSION")]
    with: Vec<CrateVersion>,
    /// The checkout, where it is not the one around the current folder.
    #[arg(long, value_name = "FOLDER")]
    source: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { release, with, source } = arguments;
    let checkout = builds::checkout(source.as_deref())?;
    let (release, _) = releases::find(release, with)?;
    if let Some(edit) = release.edit.first() {
        let why = format!("the thin layer does not fit it as it is: {} ({})", edit.reason, edit.file.display());
        let next = format!("`ggauge upgrade {release}` builds it with the edits in conformance/policy/releases.toml");
        return Err(Error::input(&release, why, next).into());
    }
    builds::bump(&checkout, &release)?;
    let next = "scripts/test, and `cargo insta review` where it says that goldens differ";
    let mut page = Page::of(format_args!("{} is pinned to {release}", checkout.display()));
    page.next("", next);
    print(&page)?;
    Ok(Upshot::Good)
}
