//! Not an API: what fuzzing found, kept: smallest inputs with a sidecar each in `corpora/regressions/`, replayed in processes of their own, and how a new
//! one gets there.
//!
//! A sidecar says how an ordinary build ends on its input, and in which words. A finding that only a sanitizer sees passes there, and its
//! sidecar says so; replaying it then shows no more than that it did not become worse.

use crate::fuzz;
use fuzzing::catalogue::Needs;
use harness::worker::{environment, launch::WorkerLimits};
use machine::{
    Error, external, files, interrupt, small,
    watched::{Captured, End, Excess, Watched},
};
use printable::{line, quoted};
use rustix::process::Resource;
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Write as _},
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use supply::releases;

/// Bytes of what a process says that are kept.
const LONGEST_WORDS: usize = 64 << 10;
/// Bytes of addresses that a process may have which replays inputs: more than any of them needs, and less than an absurd claim.
const MOST_ADDRESSES: u64 = 64 << 30;
/// Tells a process that replays inputs for us to go where we go: nobody else would stop it.
const ENDS_WITH_ITS_PARENT: &str = "GGAUGE_ENDS_WITH_ITS_PARENT";
/// How often a process is looked at.
const WATCH: Duration = Duration::from_millis(2);

/// How a process ended that was given an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It ran to its end: the finding was fixed, or only a sanitizer sees it.
    Passes,
    /// Rust code panicked: the runtime's, or a target that says what disagrees.
    Panics,
    /// It aborted.
    Aborts,
    /// It was ended by another signal.
    Crashes,
    /// A sanitizer reported and ended it.
    Sanitizer,
    /// It was not done in time.
    TimesOut,
    /// It took more memory than it may.
    ExceedsMemory,
}

impl Class {
    /// The name, as sidecars have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Panics => "panics",
            Self::Aborts => "aborts",
            Self::Crashes => "crashes",
            Self::Sanitizer => "sanitizer",
            Self::TimesOut => "times-out",
            Self::ExceedsMemory => "exceeds-memory",
        }
    }
}

/// What lies beside an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sidecar {
    /// Its entry in `FINDINGS.md` of the same folder.
    pub finding: String,
    /// How an ordinary build ends on it.
    pub class: Class,
    /// Words that stand in what the process says then, or the name of the signal that ended it; empty where there is neither.
    pub says: String,
    /// What a sanitizer build reports, where that is more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sanitizer: String,
    /// The runtime it was found in, with its version.
    pub version: String,
    /// File and line in its source.
    pub place: String,
    /// Where upstream knows of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub upstream: String,
}

/// An input and its sidecar.
#[derive(Debug, Clone)]
pub struct Regression {
    /// The name of the target.
    pub target: String,
    /// The input.
    pub input: PathBuf,
    /// The sidecar.
    pub sidecar: Sidecar,
}

impl Regression {
    /// The name in reports: the target's, and the file's.
    pub fn name(&self) -> String {
        format!("{}/{}", self.target, self.input.file_stem().unwrap_or_default().to_string_lossy())
    }
}

/// Every regression below a folder, in the order of their names.
///
/// # Errors
/// Where the folder cannot be read, an input has no sidecar, a sidecar no input, or a sidecar is wrong.
pub fn all(folder: &Path) -> Result<Vec<Regression>, Error> {
    let mut all = Vec::new();
    for folder in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let target = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if fuzz::target(&target).is_none() {
            return Err(no_target(folder.display(), "name the folder after"));
        }
        let files = entries(&folder)?;
        let (sidecars, inputs): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|path| path.extension().is_some_and(|e| e == "toml"));
        for sidecar in &sidecars {
            if !inputs.contains(&sidecar.with_extension("bin")) {
                return Err(Error::input(sidecar.display(), "its input is missing", "put the input beside it, or delete it"));
            }
        }
        for input in inputs {
            let path = input.with_extension("toml");
            let text = small::read_text(&path).map_err(|error| {
                let next = "write it with `ggauge promote`, beside its input of the ending `.bin`";
                Error::input(format!("the sidecar {}", path.display()), error, next)
            })?;
            let sidecar = toml::from_str(&text).map_err(|error| Error::input(path.display(), error, "correct the sidecar"))?;
            all.push(Regression { target: target.clone(), input, sidecar });
        }
    }
    Ok(all)
}

/// `advice` goes on with "one of" and the names of all targets.
fn no_target(what: impl fmt::Display, advice: &str) -> Error {
    Error::input(what, "there is no such target", one_of_targets(advice))
}

/// The error that nothing says which target an input is one of.
pub fn unnamed(artifact: &Path) -> Error {
    let why = "neither --target nor the name of its folder says which target it is an input of";
    Error::input(artifact.display(), why, one_of_targets("give --target,"))
}

fn one_of_targets(advice: &str) -> String {
    let known: Vec<_> = fuzz::targets().iter().map(|target| target.name).collect();
    format!("{advice} one of {}", known.join(", "))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(|error| Error::input(folder.display(), error, "give the folder corpora/regressions of a checkout"))
}

/// What a process may take for an input.
pub const LIMITS: WorkerLimits = WorkerLimits { time: Duration::from_secs(10), memory: 2 << 30 };

/// How a process ended, and the end of what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub class: Class,
    /// What it said on stderr; and the name of the signal that ended it, where it could not say anything.
    pub words: String,
}

/// The command that gives an input to a target.
#[derive(Debug, Clone)]
pub enum Engine {
    /// `ggauge replay`, an ordinary build. Known findings are findings.
    Ordinary(PathBuf),
    /// The same, which goes on past known findings, as fuzzing does.
    PassingOver(PathBuf),
    /// A binary of `fuzz/`, built with sanitizers.
    Sanitized(PathBuf),
}

impl Engine {
    fn command(&self, target: &str, inputs: &[&Path]) -> Command {
        match self {
            Self::Ordinary(program) | Self::PassingOver(program) => {
                let mut command = external::ours(program);
                environment::clean(&mut command);
                command.args(["replay", target]).args(inputs).env(ENDS_WITH_ITS_PARENT, "1");
                if matches!(self, Self::PassingOver(_)) {
                    command.arg("--pass-over-known");
                }
                command
            }
            Self::Sanitized(binary) => {
                let mut command = external::ours(binary);
                environment::clean(&mut command);
                command.args(inputs);
                // Known findings are findings here, too, and undefined behaviour ends the process.
                command.env(fuzzing::known::STOP_AT_KNOWN, "1");
                command.env("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1");
                command
            }
        }
    }
}

fn names(inputs: &[&Path]) -> String {
    match inputs {
        [input] => input.display().to_string(),
        _ => format!("{} inputs", inputs.len()),
    }
}

/// Gives inputs to a target, one after the other, in a process of their own. The limits are for all of them.
///
/// # Errors
/// Where no process can be started, it ends in a way that no target does, or the user interrupted.
pub fn run(engine: &Engine, target: &str, inputs: &[&Path], limits: WorkerLimits) -> Result<Ending, Error> {
    let mut command = engine.command(target, inputs);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("GGML_NO_BACKTRACE", "1").env("RUST_BACKTRACE", "0").env_remove(fuzzing::statistics::FOLDER);
    let mut child = Watched::start(command, limits.into()).map_err(|error| Error::Harness {
        what: format!("the process for {}", names(inputs)),
        why: error.to_string(),
        next: "check that the executable is where it was, and that more processes can be started".into(),
    })?;
    let words = Captured::of(child.take_stderr(), LONGEST_WORDS);
    let end = child.until_its_end(WATCH)?;
    let mut words = words.last();
    let status = match end {
        End::Stopped(Excess::Memory) => return Ok(Ending { class: Class::ExceedsMemory, words }),
        End::Stopped(_) => return Ok(Ending { class: Class::TimesOut, words }),
        End::ByItself(status) => status.map(|status| (status.code(), status.signal())),
    };
    let mut signal = None;
    let class = match (status, engine) {
        (Some((Some(0), _)), _) => Class::Passes,
        (Some((_, Some(signal_hook::consts::SIGABRT))), _) => Class::Aborts,
        (Some((Some(PANICKED), _)), _) => Class::Panics,
        (Some((Some(_), _)), Engine::Sanitized(_)) => Class::Sanitizer,
        (Some((Some(code), _)), _) => {
            return Err(Error::Harness {
                what: format!("the process for {}", names(inputs)),
                why: format!("it ended with exit code {code}, which no target does: {}", words.trim()),
                next: "check that the executable is a ggauge with these targets: `ggauge replay` lists them".into(),
            });
        }
        (status, _) => {
            signal = status.and_then(|(_, number)| number).and_then(signal_hook::low_level::signal_name);
            Class::Crashes
        }
    };
    if let Some(signal) = signal {
        let _ = write!(words, "\n{ENDED_BY}{signal}\n");
    }
    Ok(Ending { class, words })
}

/// What stands before the name of a signal in [`Ending::words`].
const ENDED_BY: &str = "ended by ";

/// The exit code of a process whose target panicked: Rust's own.
pub const PANICKED: i32 = 101;

/// What became of a regression, where it is not what its sidecar says.
///
/// # Errors
/// As [`run`].
pub fn check(regression: &Regression, engine: &Engine, limits: WorkerLimits) -> Result<Option<String>, Error> {
    let Sidecar { class, says, .. } = &regression.sidecar;
    // A hang is no surer after minutes, however patient the caller is with slow machines.
    let time = if *class == Class::TimesOut { limits.time.min(LIMITS.time) } else { limits.time };
    let limits = WorkerLimits { time, ..limits };
    let ending = run(engine, &regression.target, &[&regression.input], limits)?;
    if ending.class == *class && ending.words.contains(says.as_str()) {
        return Ok(None);
    }
    let name = regression.name();
    let command = format!("ggauge replay {} {}", regression.target, quoted(&regression.input));
    let last = cause(&ending).unwrap_or_else(|| ending.words.lines().last().unwrap_or_default().to_owned());
    let last = line(&last);
    Ok(Some(if ending.class == Class::Passes {
        format!(
            "{name}: unexpected pass: it used to be `{}`, in the words `{says}`. If the runtime was fixed, delete the input, its sidecar, its \
             row in conformance/fuzzing/src/known.rs and its entry in FINDINGS.md.\nnext: {command}",
            class.name()
        )
    } else {
        format!(
            "{name}: expected `{}` in the words `{says}`, got `{}`: {last}\nnext: {command}",
            class.name(),
            ending.class.name()
        )
    }))
}

/// Runs a target on inputs in this process; what happens then is the caller's ending. Known findings are findings here, unless they are
/// to be passed over.
///
/// # Errors
/// Where there is no such target or an input cannot be read.
pub fn replay(target: &str, inputs: &[PathBuf], pass_over_known: bool) -> Result<(), Error> {
    let run = fuzz::function(target).ok_or_else(|| no_target(target, "take"))?;
    if !pass_over_known {
        fuzzing::known::stop_at_known();
    }
    #[cfg(target_os = "linux")]
    if std::env::var_os(ENDS_WITH_ITS_PARENT).is_some() {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
    // What a machine has, and how much it promises beyond that, must not decide how an input ends; and a dump of a debug build takes longer than
    // the input is given.
    for (resource, most) in [(Resource::As, MOST_ADDRESSES), (Resource::Core, 0)] {
        let mut limit = rustix::process::getrlimit(resource);
        limit.current = Some(limit.maximum.map_or(most, |maximum| maximum.min(most)));
        let _ = rustix::process::setrlimit(resource, limit);
    }
    for input in inputs {
        interrupt::check()?;
        let bytes = small::read(input).map_err(|error| Error::input(input.display(), error, "give a file with an input"))?;
        run(&bytes);
    }
    fuzzing::statistics::write();
    Ok(())
}

/// Writes the files that inputs stand for, so that they can be given to any program, and gives their paths.
///
/// # Errors
/// Where an input cannot be read, a file cannot be written, or a target's inputs stand for no files.
pub fn write_files(target: &str, inputs: &[PathBuf], folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut written = Vec::new();
    for input in inputs {
        let bytes = small::read(input).map_err(|error| Error::input(input.display(), error, "give a file with an input"))?;
        let files = fuzz::target(target).and_then(|target| fuzzing::files(target, &bytes)).ok_or_else(|| {
            Error::input(target, "its inputs stand for no files", "take one of the targets header_*, round_trip and load_*")
        })?;
        let stem = input.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (name, file) in files {
            let path = folder.join(format!("{stem}-{name}"));
            files::write_whole(&path, &file)?;
            written.push(path);
        }
    }
    Ok(written)
}

/// What tells one cause from another in what a process said: the text of an assertion, the place of a panic, what a sanitizer found and
/// where. `None` where it said nothing of the kind.
pub fn cause(ending: &Ending) -> Option<String> {
    let lines = || ending.words.lines();
    // A sanitizer names the function; addresses differ from run to run.
    if let Some(summary) = lines().find_map(|line| line.split_once("SUMMARY: ").map(|(_, summary)| summary))
        && !summary.contains("deadly signal")
        && !summary.contains("libFuzzer")
    {
        return Some(shortened(summary));
    }
    if let Some(line) = lines().find(|line| line.contains(": runtime error: ")) {
        return Some(shortened(line));
    }
    // Lines of a stack begin with `#`.
    let is_frame = |line: &str| line.trim_start().starts_with('#');
    let names_source = |line: &&str| line.contains("GGML_ASSERT(") || line.contains(".cpp:") || line.contains(".c:");
    if let Some(line) = lines().filter(|line| !is_frame(line)).find(names_source) {
        return Some(shortened(line));
    }
    let mut lines = lines();
    if let Some(place) = lines.find_map(|line| line.split_once("panicked at ").map(|(_, place)| place)) {
        let words = lines.next().unwrap_or_default();
        // What a target says begins with what was compared, and goes on with this input's own numbers; where in our own code it says so
        // has nothing to do with it.
        let words = words.split(':').next().unwrap_or_default();
        let is_ours = place.starts_with("conformance/");
        return Some(shortened(&if is_ours { words.to_owned() } else { format!("{} {words}", place.trim_end_matches(':')) }));
    }
    // A C++ exception that gets out of a C function, as C++ or as Rust says it; and memory that there is not.
    let says = |line: &&str| {
        ["terminate called", "foreign exceptions", "memory allocation of"].iter().any(|words| line.contains(words))
    };
    let line = ending.words.lines().find(says)?;
    // How much memory was asked for differs from input to input.
    Some(shortened(line.split(|c: char| c.is_ascii_digit()).next().unwrap_or(line)))
}

/// A line without the folders that only one machine has, and without what only one input has.
fn shortened(line: &str) -> String {
    const LONGEST: usize = 200;
    let from = ["llama.cpp/", "candle-core", "candle-transformers", "tokenizers-", "conformance/"]
        .into_iter()
        .filter_map(|start| line.find(start))
        .min();
    // What stands before the path is what kind it is.
    let text = match from {
        Some(at) => {
            let kind = line[..at].split('/').next().unwrap_or_default();
            format!("{kind}{}", &line[at..])
        }
        None => line.to_owned(),
    };
    text.chars().take(LONGEST).collect::<String>().trim().to_owned()
}

/// What [`promote`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promoted {
    /// The input ends no process: there is nothing to keep.
    Passes,
    /// Its cause is that of a regression that is there.
    Known(String),
    /// It was made smaller and written.
    New {
        /// Where the input is.
        input: PathBuf,
        /// Its cause.
        cause: String,
        /// Sizes before and after, in bytes.
        sizes: (usize, usize),
    },
}

/// What to promote and how.
#[derive(Debug, Clone)]
pub struct Promotion<'a> {
    /// The input that was found.
    pub artifact: &'a Path,
    /// Its target.
    pub target: &'a str,
    /// The ordinary build.
    pub ordinary: &'a Engine,
    /// The sanitizer build, where there is one: for what only that sees.
    pub sanitized: Option<&'a Engine>,
    /// The folder with all regressions.
    pub folder: &'a Path,
    /// How often an input may be tried while it is made smaller.
    pub tries: usize,
    /// What a process may take.
    pub limits: WorkerLimits,
}

/// Takes an input that a fuzzer found: makes it as small as it can while its cause stays, and writes it with a sidecar, unless its cause is
/// there already.
///
/// # Errors
/// Where the input cannot be read, nothing can be written, or no process started.
pub fn promote(promotion: &Promotion<'_>) -> Result<Promoted, Error> {
    let Promotion { artifact, target, folder, limits, .. } = *promotion;
    if fuzz::target(target).is_none() {
        return Err(no_target(target, "give --target,"));
    }
    let bytes =
        small::read(artifact).map_err(|error| Error::input(artifact.display(), error, "give a file that a fuzzer wrote"))?;
    let scratch = tempfile::tempdir().map_err(|error| Error::file(std::env::temp_dir(), &error))?;
    let path = scratch.path().join("input");
    let attempt = |engine: &Engine, bytes: &[u8]| -> Result<Ending, Error> {
        files::write_whole(&path, bytes)?;
        run(engine, target, &[&path], limits)
    };
    // What an ordinary build shows is what a test can hold; only where it shows nothing, the sanitizer's word counts.
    let ordinary = attempt(promotion.ordinary, &bytes)?;
    let says_nothing = ordinary.class == Class::Passes || cause(&ordinary).is_none();
    let mut by = (promotion.ordinary, ordinary);
    if let Some(sanitized) = promotion.sanitized.filter(|_| says_nothing) {
        let ending = attempt(sanitized, &bytes)?;
        if ending.class != Class::Passes {
            by = (sanitized, ending);
        }
    }
    let (engine, ending) = by;
    if ending.class == Class::Passes {
        return Ok(Promoted::Passes);
    }
    let cause_in_words = cause(&ending);
    for regression in if folder.exists() { all(folder)? } else { Vec::new() } {
        let Sidecar { says, sanitizer, .. } = &regression.sidecar;
        let is_same = |what: &String| (!says.is_empty() && what.contains(says.as_str())) || what == sanitizer;
        if regression.target == target && cause_in_words.as_ref().is_some_and(is_same) {
            return Ok(Promoted::Known(regression.name()));
        }
    }
    let same = |bytes: &[u8]| -> Result<bool, Error> {
        let smaller = attempt(engine, bytes)?;
        Ok(smaller.class == ending.class && cause(&smaller) == cause_in_words && ended_by(&smaller) == ended_by(&ending))
    };
    let smallest = minimise(&bytes, promotion.tries, same)?;
    let ordinary = attempt(promotion.ordinary, &smallest)?;
    // What nothing is known of but how it ends has no other of its kind: two hangs need not be one.
    let what = cause_in_words.clone().unwrap_or_else(|| {
        let digest = files::digest(&smallest);
        format!("{} {}", ended_by(&ending).unwrap_or_else(|| ending.class.name()), digest.get(..8).unwrap_or_default())
    });
    let sidecar = Sidecar {
        finding: "UNFILED".into(),
        class: ordinary.class,
        says: cause(&ordinary).or_else(|| ended_by(&ordinary).map(str::to_owned)).unwrap_or_default(),
        sanitizer: cause_in_words.filter(|_| matches!(engine, Engine::Sanitized(_))).unwrap_or_default(),
        version: version(target)?,
        place: what.clone(),
        upstream: String::new(),
    };
    let name = name(&what);
    let input = folder.join(target).join(format!("{name}.bin"));
    if input.exists() {
        return Ok(Promoted::Known(format!("{target}/{name}")));
    }
    let text = toml::to_string(&sidecar).map_err(|error| Error::input(&name, error, "report this"))?;
    files::write_whole(&input, &smallest)?;
    files::write_whole(&input.with_extension("toml"), text.as_bytes())?;
    Ok(Promoted::New { input, cause: what, sizes: (bytes.len(), smallest.len()) })
}

/// The signal that ended a process which could not say anything.
fn ended_by(ending: &Ending) -> Option<&str> {
    ending.words.lines().rev().find_map(|line| line.strip_prefix(ENDED_BY))
}

/// The crates that a target's findings are most likely about, with their versions.
fn version(target: &str) -> Result<String, Error> {
    let runtimes: &[&str] = match fuzz::target(target).map(|target| target.needs) {
        Some(Needs::Candle) => &["candle"],
        Some(Needs::LlamaCpp) => &["llama-cpp"],
        _ => &["llama-cpp", "candle"],
    };
    let mut crates = Vec::new();
    for runtime in runtimes {
        let release = releases::of_this_build(runtime)?;
        crates.extend(release.crates.iter().map(|(name, version)| format!("{name} {version}")));
    }
    Ok(crates.join(", "))
}

/// A file's name from a cause: its words, joined by hyphens.
fn name(cause: &str) -> String {
    const LONGEST: usize = 60;
    let mut name = String::new();
    for part in cause.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
        if name.len() + part.len() > LONGEST {
            break;
        }
        let _ = write!(name, "{}{}", if name.is_empty() { "" } else { "-" }, part.to_lowercase());
    }
    name
}

/// Makes an input smaller while `same` holds, in at most so many tries: first pieces are taken out, the largest first, then bytes become 0.
fn minimise(bytes: &[u8], tries: usize, mut same: impl FnMut(&[u8]) -> Result<bool, Error>) -> Result<Vec<u8>, Error> {
    let mut best = bytes.to_vec();
    let mut left = tries;
    let mut attempt = |candidate: &[u8]| -> Result<Option<bool>, Error> {
        if left == 0 {
            return Ok(None);
        }
        left -= 1;
        same(candidate).map(Some)
    };
    let mut len = best.len().div_ceil(2);
    while len > 0 {
        let mut at = 0;
        while at < best.len() {
            let end = (at + len).min(best.len());
            let mut candidate = best.clone();
            candidate.drain(at..end);
            match attempt(&candidate)? {
                None => return Ok(best),
                Some(true) => best = candidate,
                Some(false) => at = end,
            }
        }
        len /= 2;
    }
    for at in 0..best.len() {
        let mut candidate = best.clone();
        match candidate.get_mut(at) {
            Some(byte) if *byte != 0 => *byte = 0,
            _ => continue,
        }
        match attempt(&candidate)? {
            None => break,
            Some(true) => best = candidate,
            Some(false) => {}
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(class: Class, words: &str) -> Ending {
        Ending { class, words: words.into() }
    }

    #[test]
    fn an_input_becomes_as_small_as_its_cause_allows() {
        // The cause: a 7 somewhere, and a 9 after it.
        let same = |bytes: &[u8]| Ok(bytes.iter().position(|&b| b == 7).is_some_and(|at| bytes[at..].contains(&9)));
        let input: Vec<u8> = (0..64)
            .map(|i| {
                if i == 20 {
                    7
                } else if i == 50 {
                    9
                } else {
                    i as u8 + 100
                }
            })
            .collect();
        assert_eq!(minimise(&input, 1000, same).unwrap(), [7, 9]);
        assert_eq!(minimise(&input, 0, same).unwrap(), input);
    }

    #[test]
    fn causes_are_told_from_words() {
        let assertion = "noise\n/root/.cargo/registry/src/x/llama-cpp-sys-2-0.1.161/llama.cpp/src/llama-vocab.cpp:12: GGML_ASSERT(a) failed\n";
        assert_eq!(
            cause(&ending(Class::Aborts, assertion)).unwrap(),
            "llama.cpp/src/llama-vocab.cpp:12: GGML_ASSERT(a) failed"
        );
        let panic = "thread 'main' panicked at /root/.cargo/registry/src/x/candle-core-0.11.1/src/shape.rs:131:5:\nattempt to multiply\n";
        assert_eq!(cause(&ending(Class::Panics, panic)).unwrap(), "candle-core-0.11.1/src/shape.rs:131:5 attempt to multiply");
        assert_eq!(cause(&ending(Class::TimesOut, "")), None);
        let silent = ending(Class::Crashes, "ended by SIGFPE\n");
        assert_eq!((cause(&silent), ended_by(&silent)), (None, Some("SIGFPE")));
        assert_eq!(name("llama.cpp/src/x.cpp:12: GGML_ASSERT(a)"), "llama-cpp-src-x-cpp-12-ggml-assert-a");
    }
}
