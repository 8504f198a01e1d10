//! What the driver says, and to whom: reports to stdout, everything else to stderr. Runtimes quote their input, which a terminal would obey, so
//! whatever is printed is a [`Page`], but for lists of our own for scripts.

use machine::{Error, interrupt};
use printable::Page;
use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

/// Why the driver stops before its work is done, where that is no failure of the machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The command is none.
    #[error("{0}")]
    Wrong(String),
    /// Nothing is asked: how to ask.
    #[error("{0}")]
    Unasked(&'static str),
    /// There is something to look at.
    #[error("{0}")]
    Failed(String),
}

impl Stop {
    /// The exit code, one of those that `ggauge` has.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Wrong(_) | Self::Unasked(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

/// An error of a command that is none.
pub(crate) fn wrong(words: impl Into<String>) -> anyhow::Error {
    Stop::Wrong(words.into()).into()
}

/// An error that there is something to look at.
pub(crate) fn failed(words: impl Into<String>) -> anyhow::Error {
    Stop::Failed(words.into()).into()
}

/// A line to the user.
pub(crate) fn say(words: impl Display) {
    Page::of(format_args!("fuzz: {words}")).say();
}

/// Why the driver stops, to the user, and its exit code.
pub(crate) fn stopped(error: &anyhow::Error) -> u8 {
    match (error.downcast_ref::<Stop>(), error.downcast_ref::<Error>()) {
        (Some(Stop::Unasked(help)), _) => Page::of_lines(help).say(),
        (_, Some(Error::Interrupted)) => {
            say("interrupted; the same command goes on from here, and `scripts/fuzz --report` says what there is");
            return interrupt::EXIT_CODE;
        }
        (_, Some(known)) => Page::of_lines(&format!("fuzz: {known}")).say(),
        _ => say(format_args!("{error:#}")),
    }
    error.downcast_ref::<Stop>().map_or(1, Stop::code)
}

/// The last lines of a log, to the user.
pub(crate) fn show_end(log: &str, lines: usize) {
    let all: Vec<&str> = log.lines().collect();
    Page::of_lines(&all[all.len().saturating_sub(lines)..].join("\n")).say();
}

/// A report: lines that are fit to be printed already.
///
/// # Errors
/// Where it cannot be written; that nobody reads on is none.
pub(crate) fn print(report: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(report.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_commands_findings_and_interrupts_have_codes_of_their_own() {
        let codes = [wrong(""), failed(""), Error::Interrupted.into(), anyhow::anyhow!("")].map(|error| stopped(&error));
        assert_eq!(codes, [2, 1, 130, 1]);
    }
}
