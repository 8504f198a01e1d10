//! How a target's program is run: libFuzzer's options and the sanitizers', which inputs it begins with, and what is kept of what it writes.

use crate::{
    desk::Desk,
    flavour::Flavour,
    log::{self, Status},
    state,
    words::{print, say},
};
use anyhow::Context;
use fuzzing::{
    Target,
    catalogue::{Input, PROGRAM},
    statistics,
};
use indicatif::{ProgressBar, ProgressStyle};
use machine::{external, watched::Bounds};
use printable::Page;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A corpus with fewer inputs is not merged.
const WORTH_MERGING: usize = 500;
/// How long a merge may take.
const MERGING: Duration = Duration::from_mins(5);

/// Options that every run of a target has.
fn options(desk: &Desk, target: &Target) -> Vec<String> {
    let limits = target.limits;
    // Without `entropic`, whose bookkeeping takes a third of the time of a load: each input reaches tens of thousands of features.
    let mut options = vec![
        format!("-max_len={}", target.longest),
        format!("-timeout={}", limits.time),
        format!("-rss_limit_mb={}", limits.memory),
        format!("-malloc_limit_mb={}", limits.allocation),
        "-detect_leaks=0".into(),
        "-print_final_stats=1".into(),
        "-use_value_profile=0".into(),
        "-verbosity=1".into(),
        "-entropic=0".into(),
    ];
    if target.dictionary {
        options.push(format!("-dict={}", desk.root.join("fuzz/gguf.dict").display()));
    }
    options
}

/// Whether a run is part of what is learnt, or stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Targets count how far inputs came, and sanitizers write reports.
    Yes,
    /// Sanitizers write reports, and nothing is counted.
    Reports,
    /// Nothing of it: what sanitizers say is in the log.
    No,
}

/// A program of a target, in its environment: in the checkout, where engines leave what they are not told where to put.
///
/// # Errors
/// Where there is no compiler to ask for its tools.
pub(crate) fn program(desk: &Desk, target: &Target, binary: &Path, kept: Kept) -> anyhow::Result<Command> {
    let mut command = external::program(binary, &desk.root);
    let symbolizer = in_path(&desk.compiler()?.tool("llvm-symbolizer"));
    command.env("ASAN_SYMBOLIZER_PATH", &symbolizer).env("UBSAN_SYMBOLIZER_PATH", &symbolizer);
    let reports = match kept {
        Kept::No => String::new(),
        Kept::Yes | Kept::Reports => format!(":log_path={}", desk.state.reports(target).join("report").display()),
    };
    // What cannot be allocated is the program's to handle.
    let asan = "detect_leaks=0:allocator_may_return_null=1:detect_odr_violation=0:handle_abort=1:malloc_context_size=2";
    command.env("ASAN_OPTIONS", format!("{asan}{reports}"));
    // Reports each site once a process, and goes on.
    command.env("UBSAN_OPTIONS", format!("print_stacktrace=1:halt_on_error=0{reports}"));
    match kept {
        Kept::Yes => command.env(statistics::FOLDER, desk.state.statistics(target)),
        Kept::Reports | Kept::No => command.env_remove(statistics::FOLDER),
    };
    command.env("GGML_NO_BACKTRACE", "1").env("RAYON_NUM_THREADS", "1");
    // Panics may have one; candle's errors, which most inputs end in, would take three quarters of the time for theirs.
    command.env("RUST_LIB_BACKTRACE", "0");
    if target.workers {
        command.env(PROGRAM, desk.program().0);
    }
    Ok(command)
}

/// A program by its whole path, for sanitizers, which do not look it up.
fn in_path(name: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file()).unwrap_or_default()
}

/// Makes a target's folders, and the program whose workers it judges.
///
/// # Errors
/// Where neither can be made.
pub(crate) fn prepare(desk: &Desk, target: &Target) -> anyhow::Result<()> {
    // Up to date as well as there: without its workers such a target would judge nothing.
    if target.workers && !desk.program().1 {
        let mut ggauge = external::program(desk.root.join("scripts/ggauge"), &desk.root);
        ggauge.arg("subjects").stdout(std::process::Stdio::null());
        external::succeed(ggauge)?;
    }
    desk.state.prepare(target)
}

/// The committed seeds of a target.
pub(crate) fn committed(desk: &Desk, target: &Target) -> PathBuf {
    desk.root.join("corpora/seeds").join(target.name)
}

/// Folders of inputs that a target begins with.
pub(crate) fn seeds(desk: &Desk, target: &Target) -> Vec<PathBuf> {
    let vocabularies = (target.input == Input::Raw).then(|| desk.state.folder().join("vocabularies"));
    let folders = std::iter::once(committed(desk, target)).chain(vocabularies);
    folders.filter(|folder| folder.is_dir()).collect()
}

/// Has a program write into a file.
fn writes_to(command: &mut Command, file: File) -> anyhow::Result<()> {
    command.stdout(file.try_clone()?).stderr(file);
    Ok(())
}

/// Fuzzes a target for a while, going on past findings, and keeps what it learnt; gives what it came to.
///
/// # Errors
/// Where the program or its folders are not there, and where the user interrupts; what was learnt until then is kept.
pub(crate) fn slice(desk: &Desk, target: &Target, seconds: u64, jobs: u32, flavour: Flavour) -> anyhow::Result<Option<Status>> {
    prepare(desk, target)?;
    let (slice, file) = desk.state.begin(target, flavour.name(), seconds)?;
    let log = slice.log;
    say(format!("{} ({}): {seconds} s, log in {}", target.name, flavour.name(), log.display()));
    let mut command = program(desk, target, &flavour.binary(desk, target)?, Kept::Yes)?;
    // In fork mode the parent has no inputs of its own to die of.
    command.args(options(desk, target)).arg(format!("-fork={jobs}"));
    command.args(["-ignore_crashes=1", "-ignore_timeouts=1", "-ignore_ooms=1"]).arg(format!("-max_total_time={seconds}"));
    command.arg(artifacts(&desk.state.artifacts(target)));
    command.arg(desk.state.corpus(target)).args(seeds(desk, target));
    writes_to(&mut command, file)?;
    let bar = ProgressBar::new(seconds).with_message(target.name);
    bar.set_style(
        ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} s").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let ended = external::watch(command, Bounds::default(), |elapsed| bar.set_position(elapsed.as_secs()));
    bar.finish_and_clear();
    desk.state.collect(target)?;
    if !ended?.is_success() {
        say(format!("{}: there are findings, or the engine could not start: the log says which", target.name));
    }
    let text = state::read(&log).unwrap_or_default();
    if let Some(words) = log::status_line(&text) {
        print(&Page::of(words))?;
    }
    Ok(log::status(&text))
}

/// The option that says where inputs go that end a process.
pub(crate) fn artifacts(folder: &Path) -> String {
    format!("-artifact_prefix={}/", folder.display())
}

/// Runs a target with nothing of this machine's own history, and no clock in what is tried. True where it found nothing.
///
/// # Errors
/// Where the program or the log are not there, and where the user interrupts.
pub(crate) fn apart(desk: &Desk, target: &Target, binary: &Path, arguments: &[String], log: &Path) -> anyhow::Result<bool> {
    let mut command = program(desk, target, binary, Kept::No)?;
    command.args(options(desk, target)).arg("-seed=1").args(arguments);
    writes_to(&mut command, File::create(log).with_context(|| log.display().to_string())?)?;
    Ok(external::watch(command, Bounds::default(), |_| ())?.is_success())
}

/// Keeps a corpus to inputs that reach something of their own, where it has become large.
///
/// # Errors
/// Where the program or the log are not there, and where the user interrupts.
pub(crate) fn merge(desk: &Desk, target: &Target) -> anyhow::Result<()> {
    let corpus = desk.state.corpus(target);
    if fs::read_dir(&corpus)?.take(WORTH_MERGING).count() < WORTH_MERGING {
        return Ok(());
    }
    let new = desk.state.new_corpus(target)?;
    let mut command = program(desk, target, &Flavour::Checked.binary(desk, target)?, Kept::Yes)?;
    let limits = target.limits;
    command.arg("-merge=1").arg(format!("-max_len={}", target.longest)).arg(format!("-timeout={}", limits.time));
    command.arg(format!("-rss_limit_mb={}", limits.memory)).arg("-detect_leaks=0");
    command.arg(&new).arg(&corpus).arg(committed(desk, target));
    writes_to(&mut command, File::create(desk.state.log(&format!("merge-{}", target.name)))?)?;
    if external::watch(command, Bounds { time: Some(MERGING), ..Bounds::default() }, |_| ())?.is_success() {
        desk.state.replace_corpus(target, &new)?;
    } else {
        state::remove(&new)?;
    }
    desk.state.forget_reports(target)
}
