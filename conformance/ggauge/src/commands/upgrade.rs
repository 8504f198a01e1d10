//! Tries a release of a runtime.

use crate::desk::{Desk, Shown, filter, print, say};
use clap::Args;
use machine::{Error, files, lock};
use printable::{Form, Page};
use record::{
    release::Release,
    upgrade::{RECORDS, REPORT, UpgradeMeasured, UpgradeReport},
};
use report::upgrade::show;
use std::{
    fmt::Display,
    path::{Path, PathBuf},
};
use studies::upgrade::{self, Cases, UpgradeSide};
use supply::{
    builds,
    releases::{self, CrateVersion, Wanted},
};
use vocabulary::{SubjectId, Upshot};

/// Try a release of a runtime: build it, run the same cases with it and with the one before, and say what to do about it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// RUNTIME@VERSION, such as candle@0.11.1; RUNTIME alone with --path.
    #[arg(required_unless_present = "again")]
    release: Option<String>,
    /// Write the report of an earlier upgrade, which left this folder, with the causes that changes.toml has now; nothing is built or run.
    #[arg(long, value_name = "FOLDER",
        conflicts_with_all = ["release", "path", "from", "with", "source", "models", "filter", "record", "offline"])]
    again: Option<PathBuf>,
    /// A checkout of the runtime to take instead of a published version; its crates lie in the folders of their names.
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// The version before, where it is not the one that this ggauge was built with.
    #[arg(long, value_name = "VERSION")]
    from: Option<String>,
    /// Another version of one of the new release's crates; may be repeated.
    #[arg(long, value_name = "CRATE=VERSION")]
    with: Vec<CrateVersion>,
    /// The checkout of ggauge to build, where it is not the one around the current folder.
    #[arg(long, value_name = "FOLDER")]
    source: Option<PathBuf>,
    /// Only this real model; may be repeated. Every pinned one where none is given.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// Only cases whose id has this part, or matches this glob.
    #[arg(long)]
    filter: Option<String>,
    /// Folder for the report as text, Markdown and JSON and both Records (default: records/upgrade/RUNTIME in the cache).
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    #[command(flatten)]
    shown: Shown,
    /// Never use the network for models: they must be in the cache.
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let desk = Desk::open(arguments.shown.json)?;
    let alone = |folder: &Path| {
        desk.progress.set_message("waiting for another ggauge that writes into the same folder");
        lock::alone(folder)
    };
    if let Some(folder) = &arguments.again {
        let _alone = folder.is_dir().then(|| alone(folder)).transpose()?;
        return hand_over(&upgrade::report(UpgradeMeasured::read(folder)?)?, folder, &arguments.shown);
    }
    let [before, after] = releases(arguments, &desk)?;
    let runtime = after.runtime.clone();
    let folder = match &arguments.record {
        Some(folder) => folder.clone(),
        None => desk.cache.records()?.join("upgrade").join(&runtime),
    };
    // To the end: of two at once, each would be slower than it is.
    std::fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, &error))?;
    let _alone = alone(&folder)?;
    let side = |release: Release| -> anyhow::Result<UpgradeSide> {
        // Both sides are built alike, the one of this ggauge too: with its GPU backends it takes other memory.
        desk.progress.set_message(format!("building ggauge with {release}: minutes, the first time"));
        let checkout = builds::checkout(arguments.source.as_deref())?;
        let program = builds::build(&checkout, &release, &[], &desk.cache)?;
        Ok(UpgradeSide { release, program })
    };
    let sides = [side(before)?, side(after)?];
    let filter = filter(arguments.filter.as_deref())?;
    let models = upgrade::real_models(&arguments.models, &desk.cache, desk.scratch()?, arguments.offline, &desk.progress)?;
    let subject = SubjectId::new(&runtime, "cpu").map_err(anyhow::Error::msg)?;
    let cases = Cases { subject: &subject, models: &models, filter: &filter };
    let mut records = Vec::new();
    let mut found = Vec::new();
    for (side, file) in sides.iter().zip(RECORDS) {
        tell(&desk, &format_args!("running the cases with {}", side.release));
        let record = upgrade::run(side, &cases, &desk.cache, desk.scratch()?, &desk.progress)?;
        // At once: what comes after takes minutes, and somebody may not wait for it.
        files::write_whole(&folder.join(file), record.to_json()?.as_bytes())?;
        records.push(record);
        found.push(upgrade::determinism(side, &subject, desk.scratch()?, &desk.progress)?);
    }
    tell(&desk, &"measuring speed, one after the other");
    let speed = upgrade::speed([&sides[0], &sides[1]], &cases, desk.scratch()?, &desk.progress)?;
    desk.progress.finish_and_clear();
    let of_both = "two sides have two of each";
    let records = records.try_into().map_err(|_| anyhow::anyhow!(of_both))?;
    let determinism = found.try_into().map_err(|_| anyhow::anyhow!(of_both))?;
    let releases = sides.map(|side| side.release);
    let report = upgrade::report(UpgradeMeasured { releases, records, speed, determinism })?;
    hand_over(&report, &folder, &arguments.shown)
}

/// Says something between two steps of the progress bar.
fn tell(desk: &Desk, words: &dyn Display) {
    desk.progress.suspend(|| say(&Page::of(words)));
}

/// The release before, and the one that is tried.
fn releases(arguments: &Arguments, desk: &Desk) -> Result<[Release; 2], Error> {
    let name = arguments.release.as_deref().unwrap_or_default();
    let after = match &arguments.path {
        Some(folder) => releases::local(name, folder)?,
        None => {
            let wanted = wanted(name, "give RUNTIME@VERSION, such as candle@0.11.1, or RUNTIME with --path FOLDER")?;
            let (release, known) = releases::find(&wanted, &arguments.with)?;
            if !known {
                let why = "its crates are taken at its own version";
                tell(desk, &format_args!("{release} is not in conformance/policy/releases.toml: {why}"));
            }
            release
        }
    };
    let before = match &arguments.from {
        Some(version) => {
            let name = format!("{}@{version}", after.runtime);
            releases::find(&wanted(&name, "give --from a version, such as 0.10.2")?, &[])?.0
        }
        None => releases::of_this_build(&after.runtime)?,
    };
    Ok([before, after])
}

fn wanted(name: &str, next: &str) -> Result<Wanted, Error> {
    name.parse().map_err(|why: String| Error::input(name, why, next))
}

/// Prints the report of an upgrade and leaves it in a folder, in every form.
fn hand_over(report: &UpgradeReport, folder: &Path, shown: &Shown) -> anyhow::Result<Upshot> {
    let json = Page::json(report)?;
    print(&if shown.json { json.clone() } else { show(report, shown.form(), shown.verbose) })?;
    for (name, text) in
        [("report.txt", show(report, Form::Text, false)), ("report.md", show(report, Form::Markdown, false)), (REPORT, json)]
    {
        files::write_whole(&folder.join(name), text.as_bytes())?;
    }
    if !shown.json {
        say(&Page::of(format_args!("Report as text, Markdown and JSON, and both Records: {}", folder.display())));
    }
    Ok(report.upshot())
}
