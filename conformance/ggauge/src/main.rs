//! The `ggauge` command: arguments in, exit code out. The work is in the library.
//!
//! Everything is printed by [`print`] and [`say`], which take nothing but what is printable.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use ggauge::{
    Error, builds,
    cache::{self, Cache},
    calibrate, compare, determinism,
    error::exit_code,
    faults::{self, experiments},
    golden,
    inspect::{self, Layout, Reads, RuleRow, Source},
    interrupt,
    matrix::{self, Extent},
    matrix_picture, matrix_report,
    models::{self, Manifest, Model},
    page::Page,
    picture,
    plan::{Filter, Plan},
    policy::{Expectations, Tolerances},
    printable::{self, quoted},
    prompts::{self, Prompt},
    readers, record,
    releases::{self, Wanted},
    report,
    run::{self, Policy, Run, Workers},
    small, subjects, survey, survey_picture,
    tables::Form,
    tokenizers::{self, Collection, Divergences},
    upgrade::{self, Cases, Side},
    worker::{attend, process, serve},
};
#[cfg(feature = "fuzzing")]
use ggauge::{fuzz, regressions};
use indicatif::ProgressBar;
use smith::Recipe;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt::Display,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use vocabulary::{Outcome, Schedule, Settings, SubjectId, Tuning};

/// Runs one GGUF file through several runtimes, and says whether their numbers agree, who is wrong when they do not, and why.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
Without a command, the main job runs: every pinned model on every subject of this machine.

Exit codes:
  0    everything judged passed, failed as expected, or is unsupported here
  1    at least one comparison failed, passed unexpectedly, or was vacuous; an inspected file is invalid; a reader does what no finding explains;
       between two Records something broke or is gone; an upgrade is breaking
  2    the input is wrong: arguments, a model, a policy file
  3    the harness could not do its work: disk full, download failed
  4    nothing was judged: every case was unsupported
  130  interrupted from the keyboard

Environment:
  GGAUGE_CACHE  where models, reference transcripts and Records are kept (default: ggauge in the user's cache folder)
  NO_COLOR      no colours, as without a terminal
Workers get a part of the environment only, without secrets: conformance/vocabulary/PROTOCOL.md lists it; GGAUGE_* passes.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run models on subjects and judge the results (the default).
    Run(Box<RunArguments>),
    /// List the subjects of this build, with versions, devices and CPU features, or why they cannot run here.
    Subjects {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Download pinned models and vocabularies into the cache, and check those that are there.
    Fetch {
        /// Names of pinned models and collections of vocabularies, and `readers` for the environments of GGUF readers in other languages;
        /// all of them where none is given.
        names: Vec<String>,
    },
    /// Say what a GGUF file holds, and which rules of the format it breaks.
    Inspect {
        /// The path of a GGUF file (one file of a split model stands for all), a pinned model's name, or a recipe.
        file: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// List every key and every tensor, instead of one layer of those that are alike.
        #[arg(long)]
        all: bool,
        /// Look at no weight. Without this, all of them are read for NaN, infinity and tensors of zeros.
        #[arg(long, conflicts_with = "digests")]
        header_only: bool,
        /// List every key and every tensor with a digest instead, and digests of what they make together: what a changed model is told by.
        #[arg(long, conflicts_with_all = ["json", "all"])]
        digests: bool,
    },
    /// List the rules of the format: what each asks for, what breaking it means, and what the runtimes do then.
    Rules {
        /// Only this rule.
        #[arg(value_parser = parse_rule)]
        id: Option<RuleRow>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a tiny model; without a recipe, list the architectures and what a recipe can change of each.
    Smith {
        /// ARCHITECTURE[+NUMBER=VALUE...]/WEIGHTS[@SEED], such as `llama/q4_0@7` or `llama+experts=4+tied=1/f32`.
        #[arg(requires = "output")]
        recipe: Option<Recipe>,
        /// Where to write it.
        #[arg(short, long, requires = "recipe")]
        output: Option<PathBuf>,
    },
    /// Run the matrix of tiny models: every architecture, weight type and schedule on every subject, judged against the reference, each
    /// other, and themselves.
    Matrix(MatrixArguments),
    /// Print the token ids of a text, with llama.cpp's tokenizer and the model's vocabulary.
    Tokenize {
        /// A pinned model's name, or the path of a GGUF file, which may be a vocabulary alone.
        model: String,
        /// The text; special tokens in it are parsed, none is added.
        text: String,
    },
    /// Give every test vector to every GGUF reader, and say who accepts what, who ends or hangs, and who reads something else.
    Vectors(VectorArguments),
    /// Hold the runtimes' tokenizers against pinned vocabularies with the ids that texts must give, and against each other.
    Tokenizers {
        /// Names of vocabularies and pinned models; all of them where none is given.
        names: Vec<String>,
        /// Print JSON instead of the table.
        #[arg(long)]
        json: bool,
        /// Never use the network: the files must be in the cache.
        #[arg(long)]
        offline: bool,
    },
    /// Measure limits on tiny models: what conformance/policy/tolerances.toml holds.
    Calibrate {
        /// Seeds for each architecture and weight type.
        #[arg(long, default_value_t = 8)]
        seeds: u64,
        /// Only this subject; may be repeated. The limits of the others stay as this ggauge has them.
        #[arg(long = "subject", value_name = "SUBJECT")]
        subjects: Vec<SubjectId>,
        /// Where to write them: conformance/policy/tolerances.toml. Printed where no file is given.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Break one thing at a time in the reference, and say which of it the matrix notices at the calibrated limits.
    Faults {
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
    },
    /// Hold two Records against each other: what is identical, what moved within its limits, what broke.
    Compare {
        /// The Record of before: record.json, or the folder it is in.
        before: PathBuf,
        /// The Record of after.
        after: PathBuf,
        #[command(flatten)]
        shown: Shown,
    },
    /// Measure whether subjects are deterministic, to the bit: in a process, across processes, threads and batches.
    Determinism {
        /// Models: names of pinned ones, paths, or recipes. The matrix's own models where none is given.
        models: Vec<String>,
        /// Only this subject; may be repeated. The CPU subjects of this build where none is given.
        #[arg(long = "subject", value_name = "SUBJECT")]
        subjects: Vec<SubjectId>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try a release of a runtime: build it, run the same cases with it and with the one before, and say what to do about it.
    Upgrade(UpgradeArguments),
    /// Pin this checkout to a release of a runtime, in its manifest and its lock file, and add the release to conformance/policy/releases.toml.
    Bump {
        /// RUNTIME@VERSION, such as candle@0.11.1.
        release: Wanted,
        /// Another version of one of its crates; may be repeated.
        #[arg(long, value_name = "CRATE=VERSION", value_parser = parse_crate)]
        with: Vec<(String, String)>,
        /// The checkout, where it is not the one around the current folder.
        #[arg(long, value_name = "FOLDER")]
        source: Option<PathBuf>,
    },
    #[cfg(feature = "fuzzing")]
    /// Take an input that a fuzzer found into corpora/regressions: made smaller while its cause stays, and held against those that are there.
    Promote(PromoteArguments),
    #[cfg(feature = "fuzzing")]
    /// Give inputs to a fuzz target, known findings and all; it ends as the target ends. Without an input, list the targets.
    Replay {
        /// The target.
        target: Option<String>,
        /// Files with an input each.
        inputs: Vec<PathBuf>,
        /// Go on past known findings, as fuzzing does.
        #[arg(long)]
        pass_over_known: bool,
        /// Write the files that each input stands for into this folder, and run nothing.
        #[arg(long, value_name = "FOLDER", conflicts_with = "pass_over_known")]
        write: Option<PathBuf>,
    },
    /// Serve one subject over the worker protocol on stdin and stdout. The harness starts this itself.
    Worker {
        /// The subject, such as llama-cpp@cpu.
        subject: SubjectId,
        /// How exactly it computes.
        #[arg(long, default_value_t = Settings::Default)]
        settings: Settings,
        /// Threads, where not as many as the settings say.
        #[arg(long)]
        threads: Option<u32>,
        /// Tokens that one call of the runtime takes.
        #[arg(long)]
        batch: Option<u32>,
        /// Tokens that the runtime computes together.
        #[arg(long)]
        micro_batch: Option<u32>,
    },
    /// Run a shell command, and end all that it started with it or with the harness. The harness starts foreign workers this way.
    #[command(hide = true)]
    Attend {
        /// The command.
        line: String,
    },
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct RunArguments {
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
    /// Never use the network: models must be in the cache.
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct MatrixArguments {
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

#[derive(Debug, Args)]
struct UpgradeArguments {
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
    #[arg(long, value_name = "CRATE=VERSION", value_parser = parse_crate)]
    with: Vec<(String, String)>,
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

/// How a report of changes is printed.
#[derive(Debug, Args)]
struct Shown {
    /// Print Markdown, for a pull request.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// List every change, instead of the largest of each kind.
    #[arg(short, long)]
    verbose: bool,
}

fn parse_crate(text: &str) -> Result<(String, String), String> {
    let (name, version) = text.split_once('=').ok_or("expected CRATE=VERSION, such as llama-cpp-sys-2=0.1.161")?;
    Ok((name.to_owned(), version.to_owned()))
}

fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("`{text}` is no part: expected I/N with I from 1 to N, such as 3/8");
    let (part, parts) = text.split_once('/').ok_or_else(wrong)?;
    match (part.parse(), parts.parse()) {
        (Ok(part), Ok(parts)) if (1..=parts).contains(&part) => Ok((part, parts)),
        _ => Err(wrong()),
    }
}

#[derive(Debug, Args)]
struct VectorArguments {
    /// Only vectors whose name has this part, or matches this glob ('keys/twice-*').
    filter: Option<String>,
    /// Only this reader, by the name of its column; may be repeated. All of them where none is given.
    #[arg(long = "reader", value_name = "READER")]
    readers: Vec<String>,
    /// Print a row for each vector, instead of totals and what no finding explains.
    #[arg(short, long)]
    verbose: bool,
    /// Print JSON: every cell, with the reader's own words.
    #[arg(long)]
    json: bool,
    /// Draw the cells as SVG into this file as well.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Explanations of deviations from this file instead of the ones that ship with ggauge.
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,
    /// Write the vectors' files into this folder instead, for readers that are not here.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["readers", "verbose", "json", "picture", "findings"])]
    write: Option<PathBuf>,
}

#[cfg(feature = "fuzzing")]
#[derive(Debug, Args)]
struct PromoteArguments {
    /// The file that the fuzzer wrote.
    artifact: PathBuf,
    /// The target that it was found with; the name of the artifact's folder where it is not given.
    #[arg(long)]
    target: Option<String>,
    /// A binary of fuzz/, for what only a sanitizer sees. scripts/fuzz says where they are.
    #[arg(long, value_name = "BINARY")]
    fuzzer: Option<PathBuf>,
    /// The folder with all regressions.
    #[arg(long, default_value = "corpora/regressions", value_name = "FOLDER")]
    into: PathBuf,
    /// How often an input may be tried while it is made smaller.
    #[arg(long, default_value_t = 2000)]
    tries: usize,
}

fn parse_worker(text: &str) -> Result<(SubjectId, String), String> {
    let (subject, command) = text.split_once('=').ok_or("expected SUBJECT=COMMAND, such as mine@cpu='python3 worker.py'")?;
    Ok((subject.parse()?, command.to_owned()))
}

/// What `ggauge fetch` calls the environments of readers in other languages.
const READERS: &str = "readers";

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse(&error));
    match dispatch(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let known = error.downcast_ref::<Error>();
            say(&match known {
                Some(known) => Page::of_lines(&format!("ggauge: {known}")),
                // `{:#}` prints the causes as well.
                None => Page::of(format_args!("ggauge: {error:#}")),
            });
            ExitCode::from(known.map_or(exit_code::HARNESS, Error::exit_code))
        }
    }
}

/// Ends with what clap says of the arguments, or with the help that was asked for. The names of files are arguments, too, so it is told of them as
/// they are printed.
fn refuse(error: &clap::Error) -> ! {
    let printable = std::env::args_os().map(|argument| OsString::from(printable::line(&argument.to_string_lossy())));
    match Cli::try_parse_from(printable) {
        Err(error) => error.exit(),
        // It was refused for what is not printable in it.
        Ok(_) => {
            say(&Page::of_lines(&error.to_string()));
            std::process::exit(exit_code::BAD_INPUT.into())
        }
    }
}

fn dispatch(command: Option<Command>) -> anyhow::Result<u8> {
    if let Some(Command::Worker { subject, settings, threads, batch, micro_batch }) = &command {
        let tuning = Tuning { threads: *threads, batch: *batch, micro_batch: *micro_batch };
        serve::serve(subject, *settings, tuning).context("the worker cannot go on")?;
        return Ok(exit_code::SUCCESS);
    }
    if let Some(Command::Attend { line }) = &command {
        return attend::attend(line).context("the worker's command cannot be run");
    }
    interrupt::listen().context("listening for Ctrl-C")?;
    let command = command.map_or_else(|| Cli::parse_from(["ggauge", "run"]).command, Some);
    Ok(match command {
        Some(Command::Run(arguments)) => run_models(&arguments)?,
        Some(Command::Subjects { json }) => list_subjects(json)?,
        Some(Command::Fetch { names }) => fetch(&names)?,
        Some(Command::Inspect { file, digests: true, .. }) => {
            print(&Source::open(&file, &Cache::find()?)?.digests()?)?;
            exit_code::SUCCESS
        }
        Some(Command::Inspect { file, json, all, header_only, .. }) => {
            inspect_file(&file, json, all, if header_only { Reads::Header } else { Reads::Weights })?
        }
        Some(Command::Rules { id, json }) => list_rules(id, json)?,
        Some(Command::Smith { recipe: Some(recipe), output: Some(output) }) => {
            cache::write_whole(&output, &models::build(&recipe)?)?;
            print(&Page::of(format_args!("{} sha256 {}", output.display(), cache::sha256(&output)?)))?;
            exit_code::SUCCESS
        }
        Some(Command::Smith { .. }) => {
            print(&report::recipes())?;
            exit_code::SUCCESS
        }
        Some(Command::Matrix(arguments)) => run_matrix(&arguments)?,
        Some(Command::Tokenize { model, text }) => tokenize(&model, &text)?,
        Some(Command::Vectors(arguments)) => survey_readers(&arguments)?,
        Some(Command::Tokenizers { names, json, offline }) => compare_tokenizers(&names, json, offline)?,
        Some(Command::Calibrate { seeds, subjects, output }) => calibrate_limits(seeds, &subjects, output.as_deref())?,
        Some(Command::Faults { confirm: true, .. }) => confirm_causes()?,
        Some(Command::Faults { filter, verbose, json, .. }) => seed_faults(filter.as_deref(), verbose, json)?,
        Some(Command::Compare { before, after, shown }) => {
            let comparison = compare::compare(&compare::read(&before)?, &compare::read(&after)?);
            print(&if shown.json { Page::json(&comparison)? } else { comparison.report(shown.form(), shown.verbose) })?;
            comparison.exit_code()
        }
        Some(Command::Determinism { models, subjects, json }) => measure_determinism(&models, &subjects, json)?,
        Some(Command::Upgrade(arguments)) => upgrade_runtime(&arguments)?,
        Some(Command::Bump { release, with, source }) => {
            let checkout = builds::checkout(source.as_deref())?;
            let (release, _) = releases::find(&release, &with)?;
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
            exit_code::SUCCESS
        }
        #[cfg(feature = "fuzzing")]
        Some(Command::Promote(arguments)) => promote(&arguments)?,
        #[cfg(feature = "fuzzing")]
        Some(Command::Replay { target: Some(target), inputs, write: Some(folder), .. }) => {
            for path in regressions::write_files(&target, &inputs, &folder)? {
                print(&Page::of(path.display()))?;
            }
            exit_code::SUCCESS
        }
        #[cfg(feature = "fuzzing")]
        Some(Command::Replay { target: Some(target), inputs, pass_over_known, .. }) => {
            regressions::replay(&target, &inputs, pass_over_known)?;
            exit_code::SUCCESS
        }
        #[cfg(feature = "fuzzing")]
        Some(Command::Replay { target: None, .. }) => {
            let targets = fuzz::targets();
            let lines = targets.iter().map(|target| format!("{:20} {}\n", target.name, target.about));
            print(&Page::of_lines(&lines.collect::<String>()))?;
            exit_code::SUCCESS
        }
        Some(Command::Worker { .. } | Command::Attend { .. }) | None => unreachable!("handled above"),
    })
}

#[cfg(feature = "fuzzing")]
fn promote(arguments: &PromoteArguments) -> anyhow::Result<u8> {
    let of_folder = || Some(arguments.artifact.parent()?.file_name()?.to_str()?.to_owned());
    let target = arguments.target.clone().or_else(of_folder).ok_or_else(|| regressions::unnamed(&arguments.artifact))?;
    let sanitized = arguments.fuzzer.clone().map(regressions::Engine::Sanitized);
    let promotion = regressions::Promotion {
        artifact: &arguments.artifact,
        target: &target,
        ordinary: &regressions::Engine::Ordinary(program()?),
        sanitized: sanitized.as_ref(),
        folder: &arguments.into,
        tries: arguments.tries,
        limits: regressions::LIMITS,
    };
    print(&match regressions::promote(&promotion)? {
        regressions::Promoted::Passes => Page::of("it passes: nothing to keep. Only a sanitizer may see it: give --fuzzer"),
        regressions::Promoted::Known(name) => Page::of(format_args!("its cause is that of {name}: nothing to keep")),
        regressions::Promoted::New { input, cause, sizes: (before, after) } => {
            let mut page = Page::of(format_args!("{}: {before} bytes, now {after}", input.display()));
            page.append(&Page::of(cause));
            page.next(
                "",
                format_args!(
                    "read the runtime's source at that place, write an entry into {}, put its id and the place into the sidecar, and a row \
                     for it into conformance/fuzzing/src/known.rs",
                    arguments.into.join("FINDINGS.md").display()
                ),
            );
            page
        }
    })?;
    Ok(exit_code::SUCCESS)
}

fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("finding the ggauge executable, which is also the workers'")
}

/// Subjects of this build, those the machine lacks included: GPU devices are counted up from 0 until one is missing.
fn available(workers: &mut Workers, settings: Settings, probe: &Path) -> anyhow::Result<Vec<record::SubjectRecord>> {
    let mut records = Vec::new();
    for (subject, built) in subjects::known() {
        if !built {
            let reason = subjects::absence(&subject);
            records.push(run::unavailable(subject, settings, reason));
            continue;
        }
        let numbered = subject.device().ends_with('0');
        let first = workers.describe(&subject, settings, probe)?;
        let mut more = numbered && first.unavailable.is_none();
        records.push(first);
        for number in 1.. {
            if !more {
                break;
            }
            let next = SubjectId::new(subject.runtime(), &format!("{}{number}", subjects::device_kind(&subject)))
                .map_err(anyhow::Error::msg)?;
            let record = workers.describe(&next, settings, probe)?;
            more = record.unavailable.is_none();
            if more {
                records.push(record);
            }
        }
    }
    Ok(records)
}

fn probe_model(folder: &Path) -> anyhow::Result<PathBuf> {
    Ok(Model::make(&"llama/f32@0".parse::<Recipe>()?, folder)?.path)
}

fn list_subjects(json: bool) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let scratch = cache.scratch()?;
    let mut workers = Workers::plain(program()?, scratch.path());
    let records = available(&mut workers, Settings::Default, &probe_model(scratch.path())?)?;
    print(&if json { Page::json(&records)? } else { report::subjects(&records) })?;
    Ok(exit_code::SUCCESS)
}

fn fetch(names: &[String]) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let manifests = Manifest::all()?;
    let collections = Collection::all()?;
    let models = manifests.iter().map(|manifest| manifest.name.as_str());
    let others = collections.iter().map(|collection| collection.name.as_str()).chain([READERS]);
    let known: Vec<_> = models.chain(others).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let next = format!("take one of {}", known.join(", "));
        return Err(Error::input(name, "there is nothing pinned of that name", next).into());
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let progress = spinner();
    let fetched = |name: &str, path: PathBuf, license: &str| {
        progress.suspend(|| print(&Page::of(format_args!("{name} {} ({license})", path.display()))))
    };
    for manifest in manifests.iter().filter(|manifest| wanted(&manifest.name)) {
        // This is where a disk's mistakes are to be found.
        cache.forget(&[manifest.path(&cache)?]);
        fetched(&manifest.name, manifest.fetch(&cache, false, &progress)?, &manifest.license)?;
    }
    for collection in collections.iter().filter(|collection| wanted(&collection.name)) {
        fetched(&collection.name, collection.fetch(&cache, false, &progress)?, &collection.license)?;
    }
    if wanted(READERS) {
        progress.set_message("making the environments of readers in other languages");
        for (name, made) in readers::install(&cache)? {
            let line = made.map_or_else(|why| why, |path| path.display().to_string());
            progress.suspend(|| print(&Page::of(format_args!("{name} {line}"))))?;
        }
    }
    progress.finish_and_clear();
    Ok(exit_code::SUCCESS)
}

fn survey_readers(arguments: &VectorArguments) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let mut groups = survey::groups()?;
    if let Some(shown) = &arguments.filter {
        let filter = Filter::parse(shown)?;
        for group in &mut groups {
            let name = group.group.clone();
            group.tests.retain(|vector| filter.keeps(&format!("{name}/{}", vector.name)));
        }
        if groups.iter().all(|group| group.tests.is_empty()) {
            let next = "`ggauge vectors --verbose` lists every vector";
            return Err(Error::input(shown, "no vector's name fits it", next).into());
        }
    }
    if let Some(folder) = &arguments.write {
        let count = survey::write_all(&groups, folder)?;
        print(&Page::of(format_args!("{count} vectors in {}", folder.display())))?;
        return Ok(exit_code::SUCCESS);
    }
    // Those of this executable are always there: what a reader takes is held against what the first of them takes that takes the file.
    let asked = readers::chosen(&arguments.readers)?;
    let is_asked = |name: &str| asked.iter().any(|column| column.name == name);
    let mut columns = Vec::new();
    let mut absent = Vec::new();
    for column in readers::columns() {
        match readers::command(&column.subject, &cache) {
            None => columns.push((column, None)),
            Some(_) if !is_asked(column.name) => {}
            Some(Ok(command)) => columns.push((column, Some(command))),
            Some(Err(why)) => absent.push((column.name, why)),
        }
    }
    let scratch = cache.scratch()?;
    let progress = if arguments.json { ProgressBar::hidden() } else { run::progress_bar() };
    let mut rows = survey::survey(&groups, &columns, &program()?, scratch.path(), &progress)?;
    progress.finish_and_clear();
    for row in &mut rows {
        row.cells.retain(|cell| is_asked(&cell.reader));
    }
    if let Some(path) = &arguments.picture {
        cache::write_whole(path, survey_picture::svg(&rows)?.as_bytes())?;
    }
    let findings = match &arguments.findings {
        None => survey::Finding::shipped()?,
        Some(path) => {
            let next = "give the path of a file such as corpora/vectors/FINDINGS.md";
            let text = small::read_text(path).map_err(|error| Error::input(path.display(), error, next))?;
            survey::Finding::read_all(&text, &path.display().to_string())?
        }
    };
    let surveyed = |name: &str| rows.iter().any(|row| row.cell(name).is_some());
    let others: Vec<&str> = readers::columns().iter().map(|column| column.name).filter(|name| !surveyed(name)).collect();
    let coverage = survey::coverage(&rows, &findings, arguments.filter.is_none(), &others);
    print(&if arguments.json {
        let absent: BTreeMap<_, _> = absent.into_iter().collect();
        Page::json(&serde_json::json!({ "rows": rows, "absent": absent, "coverage": coverage }))?
    } else {
        survey::report(&rows, &coverage, &absent, arguments.verbose)
    })?;
    Ok(if rows.iter().all(|row| row.cells.is_empty()) {
        exit_code::NOTHING_JUDGED
    } else if coverage.unexplained.is_empty() && coverage.stale.is_empty() {
        exit_code::SUCCESS
    } else {
        exit_code::FAILED
    })
}

fn inspect_file(file: &str, json: bool, all: bool, reads: Reads) -> anyhow::Result<u8> {
    let progress = if json { ProgressBar::hidden() } else { spinner() };
    let inspection = Source::open(file, &Cache::find()?)?.inspect(reads, &progress)?;
    progress.finish_and_clear();
    print(&if json { Page::json(&inspection)? } else { inspect::report(&inspection, layout(all)) })?;
    Ok(inspection.exit_code())
}

fn list_rules(id: Option<RuleRow>, json: bool) -> anyhow::Result<u8> {
    print(&match (id, json) {
        (Some(rule), true) => Page::json(&rule)?,
        (Some(rule), false) => inspect::rule_text(rule, layout(true)),
        (None, true) => Page::json(&inspect::rules())?,
        (None, false) => inspect::rules_text(&inspect::rules(), layout(true)),
    })?;
    Ok(exit_code::SUCCESS)
}

fn parse_rule(id: &str) -> Result<RuleRow, String> {
    let known = inspect::rules().into_iter().find(|rule| rule.id == id);
    known.ok_or_else(|| format!("there is no rule `{id}`; `ggauge rules` lists them"))
}

/// As wide as the terminal, where there is one.
fn layout(all: bool) -> Layout {
    let width = console::Term::stdout().size_checked().map_or(inspect::DEFAULT_WIDTH, |(_, columns)| columns);
    Layout { width, all }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn tokenize(model: &str, text: &str) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let scratch = cache.scratch()?;
    let path = models::resolve_vocabulary(model, &cache, scratch.path(), false, &ProgressBar::hidden())?;
    let mut workers = Workers::plain(program()?, scratch.path());
    let worker = workers.get(&tokenizer()?, Settings::Default);
    match worker.tokenize(&path, text)? {
        Ok(tokens) => {
            print(&Page::of_lines(&format!("{tokens:?}")))?;
            Ok(exit_code::SUCCESS)
        }
        Err(outcome) => {
            let why = outcome.detail().map_or_else(|| outcome.summary(), str::to_owned);
            Err(Error::input(model, why, "give a model with a vocabulary that llama.cpp reads").into())
        }
    }
}

fn compare_tokenizers(names: &[String], json: bool, offline: bool) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let scratch = cache.scratch()?;
    let progress = if json { ProgressBar::hidden() } else { run::progress_bar() };
    let vocabularies = tokenizers::choose(names, &cache, offline, &progress)?;
    let mut workers = Workers::plain(program()?, scratch.path());
    let tokenize = |subject: &SubjectId, path: &Path, text: &str| workers.get(subject, Settings::Default).tokenize(path, text);
    let report = tokenizers::run(&vocabularies, &prompts::all()?, &Divergences::shipped()?, tokenize, &progress)?;
    progress.finish_and_clear();
    print(&if json { Page::json(&report)? } else { tokenizers::report(&report) })?;
    Ok(report.exit_code())
}

fn tokenizer() -> anyhow::Result<SubjectId> {
    "llama-cpp@cpu".parse().map_err(anyhow::Error::msg)
}

/// The prompts of each model, checked against its header.
fn prompts_of(models: &[Model], tokens: Option<&Vec<u32>>, workers: &mut Workers) -> anyhow::Result<Vec<Vec<Prompt>>> {
    let subject = tokenizer()?;
    let mut all = Vec::new();
    for model in models {
        let prompts = if let Some(tokens) = tokens {
            vec![Prompt { name: "tokens".into(), tokens: tokens.clone(), short: true }]
        } else {
            prompts::of_model(model, |text| match workers.get(&subject, Settings::Default).tokenize(&model.path, text)? {
                Ok(tokens) => Ok(Some(tokens)),
                // Ramps of ids will do for a vocabulary that llama.cpp does not read, but a crash is not to be passed over.
                Err(Outcome::Unsupported { .. } | Outcome::Rejected(_)) => Ok(None),
                Err(outcome) => {
                    let next = "give token ids with --tokens, so that no tokenizer is needed";
                    Err(Error::input(&model.argument, format!("llama.cpp's tokenizer: {}", outcome.summary()), next))
                }
            })?
        };
        for prompt in &prompts {
            prompts::check(prompt, model)?;
        }
        all.push(prompts);
    }
    Ok(all)
}

/// Every case that this ggauge knows of, whatever this run and this machine have: what expectations must match.
fn universe(models: &[Model], prompts: &[Vec<Prompt>], subjects: &[SubjectId]) -> anyhow::Result<Plan> {
    let mut all_subjects: BTreeSet<SubjectId> = subjects.iter().cloned().collect();
    all_subjects.extend(subjects::known().into_iter().map(|(subject, _)| subject));
    let all_subjects: Vec<_> = all_subjects.into_iter().collect();
    let named = |name: &String| Prompt { name: name.clone(), tokens: vec![0], short: true };
    let of_corpora: Vec<Prompt> = prompts::all()?.keys().map(named).collect();
    let mut models = models.to_vec();
    let mut prompts = prompts.to_vec();
    for manifest in Manifest::all()? {
        models.push(Model::named(&manifest.name, &manifest.weights, &manifest.architecture));
        prompts.push(of_corpora.clone());
    }
    let plan =
        Plan::new(models, &prompts, &Schedule::OF_EVERY_RUN, &Settings::ALL, &all_subjects, |_, _, _| true, &Filter::All);
    Ok(matrix::with_names(plan, &all_subjects))
}

fn run_models(arguments: &RunArguments) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let scratch = cache.scratch()?;
    let progress = if arguments.json { ProgressBar::hidden() } else { run::progress_bar() };
    let filter = arguments.filter.as_deref().map_or(Ok(Filter::All), Filter::parse)?;
    let expectations = match &arguments.expectations {
        _ if arguments.no_expectations => Expectations::default(),
        Some(path) => Expectations::read(path)?,
        None => Expectations::shipped()?,
    };
    let policy = Policy { tolerances: Tolerances::shipped()?, expectations };
    // Now, not after minutes.
    if let Some(folder) = arguments.goldens.as_ref().filter(|folder| !folder.is_dir()) {
        let next = "give golden/outputs of a checkout, or a folder like it";
        return Err(Error::input(folder.display(), "there is no such folder", next).into());
    }

    let names = if arguments.models.is_empty() {
        Manifest::all()?.into_iter().map(|manifest| manifest.name).collect()
    } else {
        arguments.models.clone()
    };
    let mut models = Vec::new();
    for name in &names {
        models.push(models::resolve(name, &cache, scratch.path(), arguments.offline, &progress)?);
    }
    let mut ids = BTreeSet::new();
    for model in &models {
        if !ids.insert((&model.name, &model.weights)) {
            let why = format!("a second model with the ids {}/{}", model.name, model.weights);
            return Err(Error::input(&model.argument, why, "run them one after the other, or rename one of the files").into());
        }
    }
    let limits = process::Limits { time: Duration::from_secs(arguments.timeout), memory: arguments.memory << 20 };
    let commands = arguments.workers.iter().cloned().collect();
    let mut workers = Workers::new(program()?, commands, limits, scratch.path().into());
    let prompts = prompts_of(&models, arguments.tokens.as_ref(), &mut workers)?;

    let (subjects, records) = choose_subjects(
        &arguments.subjects,
        &arguments.workers,
        &arguments.settings,
        &mut workers,
        &probe_model(scratch.path())?,
    )?;
    let universe = universe(&models, &prompts, &subjects)?;
    policy.expectations.check_all_match(&universe.cases().collect::<Vec<_>>())?;
    let slow: BTreeSet<_> = records.iter().filter(|r| r.description.software).map(|r| r.subject.clone()).collect();
    let schedules = if arguments.schedules.is_empty() { Schedule::OF_EVERY_RUN.to_vec() } else { arguments.schedules.clone() };
    // A GPU that is emulated on the CPU takes seconds a token: it gets the short prompts.
    let runs = |_: &Model, subject: &SubjectId, prompt: &Prompt| prompt.short || !slow.contains(subject);
    let plan = Plan::new(models, &prompts, &schedules, &arguments.settings, &subjects, runs, &filter);
    if plan.groups.is_empty() {
        return Err(match &arguments.filter {
            Some(filter) => {
                Error::input(format!("filter `{filter}`"), "no case is left", "loosen it; `ggauge run --json` prints case ids")
            }
            None => Error::input(
                "the subjects",
                "none of them can be run",
                "`ggauge subjects` says which can, and why others cannot",
            ),
        }
        .into());
    }
    let again = again(arguments);
    let mut run = Run::new(&mut workers, "run", &again, &cache, scratch.path(), &policy, &progress);
    let outputs = arguments.outputs.clone().or_else(|| arguments.goldens.is_some().then(|| scratch.path().join("outputs")));
    if let Some(folder) = &outputs {
        run = run.with_outputs(folder.clone());
    }
    let (record, timings) = run.execute(plan, records)?;
    progress.finish_and_clear();

    // Printed first: a folder that cannot be written must not take the results with it.
    if arguments.json {
        print(&Page::json(&record)?)?;
    } else {
        let style = report::Style { color: colored(), verbose: arguments.verbose };
        print(&report::report(&record, style))?;
    }
    let picture = picture::svg(&record)?;
    let left = record::Folder { record: &record, timings: &timings, logs: &workers.logs(), picture: &picture };
    let folder = leave(&left, arguments.record.as_deref(), &cache, "last", Some("previous"))?;
    if !arguments.json {
        say(&Page::of(format_args!("Record, picture, timings and logs: {}", folder.display())));
    }
    let (Some(goldens), Some(outputs)) = (&arguments.goldens, &outputs) else { return Ok(record.exit_code()) };
    let held = golden::Held::against(goldens, outputs, record.cases.iter().map(|case| case.id.as_str()))?;
    if arguments.json {
        say(&held.report());
    } else {
        let mut page = Page::of("");
        page.append(&held.report());
        print(&page)?;
    }
    Ok(match record.exit_code() {
        _ if !held.differ.is_empty() => exit_code::FAILED,
        exit_code::SUCCESS if held.compared == 0 => exit_code::NOTHING_JUDGED,
        code => code,
    })
}

fn run_matrix(arguments: &MatrixArguments) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let scratch = cache.scratch()?;
    let progress = if arguments.json { ProgressBar::hidden() } else { run::progress_bar() };
    let keep = arguments.filter.as_deref().map_or(Ok(Filter::All), Filter::parse)?;
    let expectations = if arguments.no_expectations { Expectations::default() } else { Expectations::shipped()? };
    let policy = Policy { tolerances: Tolerances::shipped()?, expectations };
    let extent = match arguments {
        MatrixArguments { full: true, .. } => Extent::Full,
        MatrixArguments { pairwise: true, seed, .. } => Extent::Pairwise(*seed),
        _ => Extent::EveryChange,
    };
    let mut workers = Workers::plain(program()?, scratch.path());
    let probe = probe_model(scratch.path())?;
    let (subjects, records) = choose_subjects(&arguments.subjects, &[], &Settings::ALL, &mut workers, &probe)?;
    let (fast, devices): (Vec<_>, Vec<_>) = subjects.into_iter().partition(|id| subjects::device_kind(id) == "cpu");
    let chosen = matrix::Subjects { fast: &fast, devices: &devices };
    let mut plan = matrix::plan(extent, &chosen, scratch.path(), &keep)?;
    let universe = matrix::with_names(Plan::default(), &subjects::known().into_iter().map(|(id, _)| id).collect::<Vec<_>>());
    policy.expectations.check_all_match(&universe.cases().collect::<Vec<_>>())?;
    let any = !plan.groups.is_empty();
    if let Some((part, parts)) = arguments.shard {
        plan.keep_part(part, parts);
        if any && plan.groups.is_empty() {
            print(&Page::of(format_args!("part {part} of {parts} has no model: there are {}", plan.models.len())))?;
            return Ok(exit_code::NOTHING_JUDGED);
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
    let (record, timings) =
        Run::new(&mut workers, "matrix", &again, &cache, scratch.path(), &policy, &progress).execute(plan, records)?;
    progress.finish_and_clear();
    if arguments.json {
        print(&Page::json(&record)?)?;
    } else {
        print(&matrix_report::report(&record, report::Style { color: colored(), verbose: arguments.verbose }))?;
    }
    let picture = matrix_picture::svg(&record)?;
    let left = record::Folder { record: &record, timings: &timings, logs: &workers.logs(), picture: &picture };
    let name = match arguments.shard {
        None => "matrix".into(),
        Some((part, parts)) => format!("matrix-{part}-of-{parts}"),
    };
    let folder = leave(&left, arguments.record.as_deref(), &cache, &name, None)?;
    if !arguments.json {
        let seconds = timings.seconds;
        say(&Page::of(format_args!("{seconds:.0} s. Record, picture, timings and logs: {}", folder.display())));
    }
    Ok(record.exit_code())
}

/// What has to be said again to run a case of this run again, beyond its model, settings and filter.
fn again(arguments: &RunArguments) -> String {
    let mut again = Vec::new();
    for (subject, command) in &arguments.workers {
        again.push(format!(" --worker {}", quoted(format!("{subject}={command}"))));
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
    again.concat()
}

/// The subjects to run and what they said of themselves: those `only` asks for and those of the user's, or all that this machine has.
fn choose_subjects(
    only: &[SubjectId],
    of_user: &[(SubjectId, String)],
    all_settings: &[Settings],
    workers: &mut Workers,
    probe: &Path,
) -> anyhow::Result<(Vec<SubjectId>, Vec<record::SubjectRecord>)> {
    let asked: Vec<SubjectId> = only.iter().cloned().chain(of_user.iter().map(|(id, _)| id.clone())).collect();
    let mut records = Vec::new();
    for &settings in all_settings {
        if only.is_empty() {
            records.extend(available(workers, settings, probe)?);
        }
        for subject in &asked {
            records.push(workers.describe(subject, settings, probe)?);
        }
    }
    let mut subjects: Vec<SubjectId> = Vec::new();
    for record in &records {
        // The reference is part of every comparison. A subject somebody asked for by name stays and says why it cannot.
        let wanted = record.unavailable.is_none() || asked.contains(&record.subject);
        if wanted && record.subject.runtime() != "reference" && !subjects.contains(&record.subject) {
            subjects.push(record.subject.clone());
        }
    }
    Ok((subjects, records))
}

/// Leaves a Record in the folder that the user gave, or else in the cache, and gives its path.
fn leave(
    left: &record::Folder<'_>,
    given: Option<&Path>,
    cache: &Cache,
    name: &str,
    before: Option<&str>,
) -> anyhow::Result<PathBuf> {
    match given {
        Some(folder) => left.write(folder).map(|()| folder.to_owned()),
        None => left.write_own(cache, name, before),
    }
    .map_err(Into::into)
}

fn colored() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints to stdout; a closed pipe, as of `| head`, is no error.
fn print(page: &Page) -> anyhow::Result<()> {
    match io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to stdout"),
    }
}

/// As [`Page::say`].
fn say(page: &Page) {
    page.say();
}

fn seed_faults(filter: Option<&str>, verbose: bool, json: bool) -> anyhow::Result<u8> {
    let progress = if json { ProgressBar::hidden() } else { run::progress_bar() };
    let rows = faults::survey::survey(filter, &Tolerances::shipped()?, &Expectations::shipped()?, &progress)?;
    progress.finish_and_clear();
    if rows.is_empty() {
        let what = format!("filter `{}`", filter.unwrap_or_default());
        return Err(Error::input(what, "no model's name has it", "`ggauge faults` alone takes every model").into());
    }
    print(&if json { Page::json(&rows)? } else { faults::report::report(&rows, verbose) })?;
    Ok(if faults::report::is_enough(&rows) { exit_code::SUCCESS } else { exit_code::FAILED })
}

fn confirm_causes() -> anyhow::Result<u8> {
    let scratch = Cache::find()?.scratch()?;
    let mut workers = Workers::plain(program()?, scratch.path());
    let confirmations = experiments::run_all(&Expectations::shipped()?, &Tolerances::shipped()?, &mut workers, scratch.path())?;
    print(&experiments::report(&confirmations))?;
    let all = confirmations.iter().all(experiments::Confirmation::holds);
    Ok(if all { exit_code::SUCCESS } else { exit_code::FAILED })
}

impl Shown {
    fn form(&self) -> Form {
        if self.markdown { Form::Markdown } else { Form::Text }
    }
}

fn measure_determinism(names: &[String], only: &[SubjectId], json: bool) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let scratch = cache.scratch()?;
    let progress = if json { ProgressBar::hidden() } else { run::progress_bar() };
    let models = if names.is_empty() {
        determinism::tiny_models(scratch.path())?
    } else {
        let mut models = Vec::new();
        for (model, prompts) in upgrade::real_models(names, &cache, scratch.path(), false, &progress)? {
            models.extend(prompts.into_iter().map(|prompt| (model.clone(), prompt)));
        }
        models
    };
    let mut workers = Workers::plain(program()?, scratch.path());
    let is_cpu = |(id, built): &(SubjectId, bool)| *built && subjects::device_kind(id) == "cpu";
    let mut chosen: Vec<SubjectId> = only.to_vec();
    if chosen.is_empty() {
        chosen.extend(subjects::known().into_iter().filter(is_cpu).map(|(id, _)| id));
    }
    let subjects: Vec<_> = chosen.iter().flat_map(|id| Settings::ALL.map(|settings| (id.clone(), settings))).collect();
    let findings = determinism::measure(&mut workers, &models, &subjects, scratch.path(), &progress)?;
    progress.finish_and_clear();
    print(&if json { Page::json(&findings)? } else { determinism::report(&findings, Form::Text) })?;
    let any = findings.iter().any(|finding| finding.compared > 0);
    Ok(if any { exit_code::SUCCESS } else { exit_code::NOTHING_JUDGED })
}

fn upgrade_runtime(arguments: &UpgradeArguments) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let scratch = cache.scratch()?;
    let progress = if arguments.shown.json { ProgressBar::hidden() } else { run::progress_bar() };
    let say = |words: &dyn Display| progress.suspend(|| say(&Page::of(words)));
    let alone = |folder: &Path| {
        progress.set_message("waiting for another ggauge that writes into the same folder");
        cache::alone(folder)
    };
    if let Some(folder) = &arguments.again {
        let _alone = folder.is_dir().then(|| alone(folder)).transpose()?;
        return hand_over(&upgrade::again(folder)?, folder, &arguments.shown);
    }
    let name = arguments.release.as_deref().unwrap_or_default();
    let after = match &arguments.path {
        Some(folder) => releases::local(name, folder)?,
        None => {
            let next = "give RUNTIME@VERSION, such as candle@0.11.1, or RUNTIME with --path FOLDER";
            let wanted: Wanted = name.parse().map_err(|why: String| Error::input(name, why, next))?;
            let (release, known) = releases::find(&wanted, &arguments.with)?;
            if !known {
                say(&format_args!(
                    "{release} is not in conformance/policy/releases.toml: its crates are taken at its own version"
                ));
            }
            release
        }
    };
    let own = releases::of_this_build(&after.runtime)?;
    let before = match &arguments.from {
        Some(version) => releases::find(&Wanted { runtime: after.runtime.clone(), version: version.clone() }, &[])?.0,
        None => own.clone(),
    };
    let folder = match &arguments.record {
        Some(folder) => folder.clone(),
        None => cache.records()?.join("upgrade").join(&own.runtime),
    };
    // To the end: of two at once, each would be slower than it is.
    std::fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, &error))?;
    let _alone = alone(&folder)?;
    let side = |release: releases::Release| -> anyhow::Result<Side> {
        // Both sides are built alike, the one of this ggauge too: with its GPU backends it takes other memory.
        progress.set_message(format!("building ggauge with {release}: minutes, the first time"));
        let checkout = builds::checkout(arguments.source.as_deref())?;
        let program = builds::build(&checkout, &release, &[], &cache)?;
        Ok(Side { release, program })
    };
    let sides = [side(before)?, side(after)?];
    let filter = arguments.filter.as_deref().map_or(Ok(Filter::All), Filter::parse)?;
    let models = upgrade::real_models(&arguments.models, &cache, scratch.path(), arguments.offline, &progress)?;
    let subject = SubjectId::new(&own.runtime, "cpu").map_err(anyhow::Error::msg)?;
    let cases = Cases { subject: &subject, models: &models, filter: &filter };
    let mut records = Vec::new();
    let mut found = Vec::new();
    for (side, file) in sides.iter().zip(upgrade::RECORDS) {
        say(&format_args!("running the cases with {}", side.release));
        let record = upgrade::run(side, &cases, &cache, scratch.path(), &progress)?;
        // At once: what comes after takes minutes, and somebody may not wait for it.
        cache::write_whole(&folder.join(file), record.to_json()?.as_bytes())?;
        records.push(record);
        found.push(upgrade::determinism(side, &subject, scratch.path(), &progress)?);
    }
    say(&"measuring speed, one after the other");
    let speed = upgrade::speed([&sides[0], &sides[1]], &cases, scratch.path(), &progress)?;
    progress.finish_and_clear();
    let determinism = found.try_into().map_err(|_| anyhow::anyhow!("two sides have two findings"))?;
    let releases = [&sides[0].release, &sides[1].release];
    let report = upgrade::report(releases, [&records[0], &records[1]], speed, determinism)?;
    hand_over(&report, &folder, &arguments.shown)
}

/// Prints the report of an upgrade and leaves it in a folder, in every form.
fn hand_over(report: &upgrade::Report, folder: &Path, shown: &Shown) -> anyhow::Result<u8> {
    let json = Page::json(report)?;
    print(&if shown.json { json.clone() } else { report.show(shown.form(), shown.verbose) })?;
    for (name, text) in [
        ("report.txt", report.show(Form::Text, false)),
        ("report.md", report.show(Form::Markdown, false)),
        (upgrade::REPORT, json),
    ] {
        cache::write_whole(&folder.join(name), text.as_bytes())?;
    }
    if !shown.json {
        say(&Page::of(format_args!("Report as text, Markdown and JSON, and both Records: {}", folder.display())));
    }
    Ok(report.exit_code())
}

fn calibrate_limits(seeds: u64, only: &[SubjectId], output: Option<&Path>) -> anyhow::Result<u8> {
    let cache = Cache::find()?;
    let scratch = cache.scratch()?;
    let progress = run::progress_bar();
    let mut workers = Workers::plain(program()?, scratch.path());
    let probe = probe_model(scratch.path())?;
    let mut records = Vec::new();
    for settings in Settings::ALL {
        records.extend(available(&mut workers, settings, &probe)?);
    }
    let chosen = |record: &&record::SubjectRecord| {
        record.unavailable.is_none()
            && record.subject.runtime() != "reference"
            && (only.is_empty() || only.contains(&record.subject))
    };
    let subjects: BTreeSet<SubjectId> = records.iter().filter(chosen).map(|record| record.subject.clone()).collect();
    let subjects: Vec<SubjectId> = subjects.into_iter().collect();
    let mut models = Vec::new();
    for recipe in calibrate::recipes(seeds) {
        models.push(Model::planned(&recipe, scratch.path())?);
    }
    let prompts = vec![prompts::of_tiny_models(); models.len()];
    let policy = Policy { tolerances: calibrate::measuring(&subjects), expectations: Expectations::shipped()? };
    let slow: BTreeSet<_> = records.iter().filter(|r| r.description.software).map(|r| r.subject.clone()).collect();
    let plan = calibrate::plan(models, &prompts, &subjects, &slow);
    let (record, _) = Run::new(&mut workers, "run", "", &cache, scratch.path(), &policy, &progress).execute(plan, records)?;
    progress.finish_and_clear();
    let only_them: String = only.iter().map(|subject| format!(" --subject {subject}")).collect();
    let mut calibrated = calibrate::calibrate(&record, &format!("ggauge calibrate --seeds {seeds}{only_them}"))?;
    if !only.is_empty() {
        // The rows of other subjects stay as they are.
        calibrated.tolerances = Tolerances::shipped()?.updated_by(calibrated.tolerances);
    }
    for finding in &calibrated.findings {
        say(&Page::of(format_args!("left out, a finding rather than data: {finding}")));
    }
    let unmeasured = |c: &&record::ComparisonRecord| {
        c.oracle == record::Oracle::Reference && matches!(c.verdict, None | Some(vocabulary::Verdict::Vacuous { .. }))
    };
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for comparison in record.comparisons.iter().filter(unmeasured) {
        let reason = comparison.reason.as_deref().unwrap_or("no reason");
        *reasons.entry(format!("{}: {reason}", comparison.candidate)).or_default() += 1;
    }
    for (reason, count) in reasons {
        say(&Page::of(format_args!("not measured: {count} cells of {reason}")));
    }
    let toml = calibrate::to_toml(&calibrated.tolerances)?;
    match output {
        Some(path) => cache::write_whole(path, toml.as_bytes())?,
        None => print(&Page::of_lines(&toml))?,
    }
    Ok(exit_code::SUCCESS)
}
