//! What the driver says, and to whom: reports to stdout, everything else to stderr. Runtimes quote their input, which a terminal would obey, so
//! whatever is printed goes through [`line`].

use std::io::{self, ErrorKind, Write};

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
    /// Ctrl-C.
    #[error("interrupted; the same command goes on from here, and `scripts/fuzz --report` says what there is")]
    Interrupted,
}

impl Stop {
    /// The exit code, one of those that `ggauge` has.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Wrong(_) | Self::Unasked(_) => 2,
            Self::Failed(_) => 1,
            Self::Interrupted => 130,
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

/// Words on one line: what a terminal would obey, hide or show as something else is an escape as Rust writes it; letters of every script
/// stay, and so do quotes and backslashes.
pub(crate) fn line(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for piece in words.split_inclusive(['"', '\'', '\\']) {
        let (text, kept) = piece.split_at(piece.len() - usize::from(piece.ends_with(['"', '\'', '\\'])));
        out.extend(text.escape_debug());
        out.push_str(kept);
    }
    out
}

/// A line to the user.
pub(crate) fn say(words: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "fuzz: {}", line(words.as_ref()));
}

/// Why the driver stops, to the user, and its exit code.
pub(crate) fn stopped(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Unasked(help)) => drop(io::stderr().write_all(help.as_bytes())),
        _ => say(format!("{error:#}")),
    }
    error.downcast_ref::<Stop>().map_or(1, Stop::code)
}

/// The last lines of a log, to the user.
pub(crate) fn show_end(log: &str, lines: usize) {
    let all: Vec<&str> = log.lines().collect();
    let shown: String = all.iter().skip(all.len().saturating_sub(lines)).map(|words| line(words) + "\n").collect();
    let _ = io::stderr().write_all(shown.as_bytes());
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
    fn what_a_terminal_obeys_is_an_escape() {
        let shown = line("\x1b]0;t\x07 \u{9b}2J \u{202e}a\n");
        assert!(shown.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{shown}");
        let letters = r#"Ünïcode 日本語 'a' "b" \d"#;
        assert_eq!(line(letters), letters);
    }

    #[test]
    fn wrong_commands_findings_and_interrupts_have_codes_of_their_own() {
        let codes = [Stop::Wrong(String::new()), Stop::Failed(String::new()), Stop::Interrupted].map(|stop| stop.code());
        assert_eq!(codes, [2, 1, 130]);
    }
}
