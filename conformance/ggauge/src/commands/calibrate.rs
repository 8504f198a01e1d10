//! Measures limits.

use crate::desk::{Desk, print, say};
use clap::Args;
use harness::{emulated::Emulated, progress::Progress, reproduce, rig::Policy, run};
use machine::files;
use policy::{Expectations, Tolerances};
use printable::Page;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};
use studies::calibration;
use supply::{models::Model, prompts};
use vocabulary::{Oracle, Settings, SubjectId, Upshot, Verdict};

/// Measure limits on tiny models: what conformance/policy/tolerances.toml holds.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Seeds for each architecture and weight type.
    #[arg(long, default_value_t = 8)]
    seeds: u64,
    /// Only this subject; may be repeated. The limits of the others stay as this ggauge has them.
    #[arg(long = "subject", value_name = "SUBJECT")]
    subjects: Vec<SubjectId>,
    /// Measure the factors over the noise alone. All other limits stay as this ggauge has them.
    #[arg(long)]
    together: bool,
    /// Where to write them: conformance/policy/tolerances.toml. Printed where no file is given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { seeds, subjects: only, together, output } = arguments;
    let desk = Desk::open(false)?;
    let mut workers = desk.workers()?;
    let mut records = Vec::new();
    for settings in Settings::ALL {
        records.extend(desk.available(&mut workers, settings)?);
    }
    let chosen = |record: &&record::SubjectRecord| {
        record.unavailable.is_none()
            && record.subject.runtime() != "reference"
            && (only.is_empty() || only.contains(&record.subject))
    };
    let subjects: BTreeSet<SubjectId> = records.iter().filter(chosen).map(|record| record.subject.clone()).collect();
    let subjects: Vec<SubjectId> = subjects.into_iter().collect();
    let mut models = Vec::new();
    for recipe in calibration::recipes(*seeds) {
        models.push(Model::planned(&recipe, desk.scratch()?)?);
    }
    let prompts = vec![prompts::of_tiny_models(); models.len()];
    let policy = Policy { tolerances: calibration::measuring(&subjects), expectations: Expectations::shipped()? };
    let plan = calibration::plan(models, &prompts, &subjects, &Emulated::among(&records));
    let mut bar = Progress(&desk.progress);
    let mut rig = desk.rig(&mut workers, &policy, vec![&mut bar])?;
    let record = run::run(&mut rig, &plan, records, &reproduce::run(""))?;
    desk.progress.finish_and_clear();
    let only_them: String = only.iter().map(|subject| format!(" --subject {subject}")).collect();
    let alone = if *together { " --together" } else { "" };
    let mut calibrated = calibration::calibrate(&record, &format!("ggauge calibrate --seeds {seeds}{only_them}{alone}"))?;
    if *together {
        calibrated.tolerances = Tolerances::shipped()?.with_factors_of(calibrated.tolerances);
    } else if !only.is_empty() {
        // The rows of other subjects stay as they are.
        calibrated.tolerances = Tolerances::shipped()?.updated_by(calibrated.tolerances);
    }
    for cell in &calibrated.left_out {
        say(&Page::of(format_args!("left out, a finding rather than data: {cell}")));
    }
    let unmeasured = |c: &&record::ComparisonRecord| {
        c.oracle == Oracle::Reference && matches!(c.verdict, None | Some(Verdict::Vacuous { .. }))
    };
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for comparison in record.comparisons.iter().filter(unmeasured) {
        let reason = comparison.reason.as_deref().unwrap_or("no reason");
        *reasons.entry(format!("{}: {reason}", comparison.candidate)).or_default() += 1;
    }
    for (reason, count) in reasons {
        say(&Page::of(format_args!("not measured: {count} cells of {reason}")));
    }
    let toml = calibration::to_toml(&calibrated.tolerances)?;
    match output {
        Some(path) => files::write_whole(path, toml.as_bytes())?,
        None => print(&Page::of_lines(&toml))?,
    }
    Ok(Upshot::Good)
}
