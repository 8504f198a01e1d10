//! Runs the matrix of tiny models.

use crate::desk::{Desk, colored, filter, print, say};
use clap::Args;
use harness::{clock::Clock, progress::Progress, reproduce, rig::Policy, run, subjects};
use machine::Error;
use policy::{Expectations, Tolerances};
use printable::Page;
use report::{Style, matrix_picture};
use std::path::PathBuf;
use studies::matrix::{self, Extent};
use vocabulary::{Settings, SubjectId, Upshot};

/// Run the matrix of tiny models: every architecture, weight type and schedule on every subject, judged against the reference, each
/// other, and themselves.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// Only cases whose id has this part, or matches this glob ('qwen3/*/candle@cpu').
    #[arg(long)]
    filter: Option<String>,
    /// Only this subject; may be repeated. Every subject of this build where none is given.
    #[arg(long = "subject", value_name = "SUBJECT")]
    subjects: Vec<SubjectId>,
    /// The whole product of all axes on the CPUs, instead of each axis against little of the others. Hours, and gigabytes for the Record: use --shard.
    #[arg(long, conflicts_with = "pairwise")]
    full: bool,
    /// A sample of that product in which every pair of values of two axes stands at least once: for nights.
    #[arg(long)]
    pairwise: bool,
    /// The seed of the sample.
    #[arg(long, default_value_t = 0, requires = "pairwise")]
    seed: u64,
    /// Run part I of N only, as I/N, counted from 1.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<(usize, usize)>,
    /// Print the Record as JSON instead of the report.
    #[arg(long)]
    json: bool,
    /// List every cell that is no pass, instead of the first three of each cause.
    #[arg(short, long)]
    verbose: bool,
    /// Folder for the Record, timings and logs (default: records/matrix in the cache).
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// No known divergences: every divergence fails.
    #[arg(long)]
    no_expectations: bool,
}

fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("`{text}` is no part: expected I/N with I from 1 to N, such as 3/8");
    let (part, parts) = text.split_once('/').ok_or_else(wrong)?;
    match (part.parse(), parts.parse()) {
        (Ok(part), Ok(parts)) if (1..=parts).contains(&part) => Ok((part, parts)),
        _ => Err(wrong()),
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let desk = Desk::open(arguments.json)?;
    let keep = filter(arguments.filter.as_deref())?;
    let expectations = if arguments.no_expectations { Expectations::default() } else { Expectations::shipped()? };
    let policy = Policy { tolerances: Tolerances::shipped()?, expectations };
    let extent = match arguments {
        Arguments { full: true, .. } => Extent::Full,
        Arguments { pairwise: true, seed, .. } => Extent::Pairwise(*seed),
        _ => Extent::EveryChange,
    };
    let mut workers = desk.workers()?;
    let (subjects, records) = desk.choose_subjects(&arguments.subjects, &[], &Settings::ALL, &mut workers)?;
    let (fast, devices): (Vec<_>, Vec<_>) = subjects.into_iter().partition(|id| id.device_kind() == "cpu");
    let chosen = matrix::Subjects { fast: &fast, devices: &devices };
    let mut plan = matrix::plan(extent, &chosen, desk.scratch()?, &keep)?;
    policy.expectations.check_all_match(&matrix::names(&subjects::known()))?;
    let any = !plan.groups.is_empty();
    if let Some((part, parts)) = arguments.shard {
        plan.keep_part(part, parts);
        if any && plan.groups.is_empty() {
            print(&Page::of(format_args!("part {part} of {parts} has no model: there are {}", plan.models.len())))?;
            return Ok(Upshot::NothingJudged);
        }
    }
    if plan.groups.is_empty() {
        let what = arguments.filter.as_deref().map_or_else(|| "the matrix".into(), |filter| format!("filter `{filter}`"));
        return Err(Error::input(what, "no case is left", "loosen it; `ggauge matrix --json` prints case ids").into());
    }
    // The whole product has every case of a sample.
    let extent_again = if extent == Extent::EveryChange { "" } else { " --full" };
    let again = format!("{extent_again}{}", if arguments.no_expectations { " --no-expectations" } else { "" });
    if let Extent::Pairwise(seed) = extent {
        say(&Page::of(format_args!("a sample of the whole product, from seed {seed}")));
    }
    let (mut clock, mut bar) = (Clock::default(), Progress(&desk.progress));
    let mut rig = desk.rig(&mut workers, &policy, vec![&mut clock, &mut bar])?;
    let record = run::run(&mut rig, &plan, records, &reproduce::matrix(&again))?;
    let timings = clock.timings();
    desk.progress.finish_and_clear();
    if arguments.json {
        print(&Page::json(&record)?)?;
    } else {
        print(&report::matrix::report(&record, Style { color: colored(), verbose: arguments.verbose }))?;
    }
    let picture = matrix_picture::svg(&record)?;
    let left = record::Folder { record: &record, timings: &timings, logs: &workers.logs(), picture: &picture };
    let name = match arguments.shard {
        None => "matrix".into(),
        Some((part, parts)) => format!("matrix-{part}-of-{parts}"),
    };
    let folder = desk.leave(&left, arguments.record.as_deref(), &name, None)?;
    if !arguments.json {
        let seconds = timings.seconds;
        say(&Page::of(format_args!("{seconds:.0} s. Record, picture, timings and logs: {}", folder.display())));
    }
    Ok(record.upshot())
}
