//! A process of its own that is given inputs, and how it ends.

use crate::{known, regressions::sidecar::Class, statistics};
use harness::worker::{environment, launch::WorkerLimits};
use machine::{
    Error, external,
    watched::{Captured, End, Excess, Watched},
};
use std::{
    fmt::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Bytes of what a process says that are kept.
const LONGEST_WORDS: usize = 64 << 10;
/// Tells a process that replays inputs for us to go where we go: nobody else would stop it.
pub(super) const ENDS_WITH_ITS_PARENT: &str = "GGAUGE_ENDS_WITH_ITS_PARENT";
/// How often a process is looked at.
const WATCH: Duration = Duration::from_millis(2);
/// What stands before the name of a signal in [`Ending::words`].
pub(super) const ENDED_BY: &str = "ended by ";

/// The exit code of a process whose target panicked: Rust's own.
pub const PANICKED: i32 = 101;

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
                command.env(known::STOP_AT_KNOWN, "1");
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
    command.env("GGML_NO_BACKTRACE", "1").env("RUST_BACKTRACE", "0").env_remove(statistics::FOLDER);
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
