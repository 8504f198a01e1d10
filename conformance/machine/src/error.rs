//! What can go wrong in the harness itself.
//!
//! A failed case is not an error: it is a judgement, and it stands in the Record.

use printable::{cut, line};
use std::{io, path::PathBuf};

/// Why the harness stopped. Displays as two lines, whatever its words are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something given by the user is wrong.
    #[error("{}: {}\nnext: {}", shown(what), shown(why), line(next))]
    Input {
        /// The file or argument.
        what: String,
        /// What is wrong with it.
        why: String,
        /// What to do about it.
        next: String,
    },
    /// The machine would not do what the harness needs.
    #[error("{}: {}\nnext: {}", shown(what), shown(why), line(next))]
    Harness {
        /// The file or process.
        what: String,
        /// The system's words.
        why: String,
        /// What to do about it.
        next: String,
    },
    /// Ctrl-C.
    #[error("interrupted; nothing was left behind")]
    Interrupted,
}

/// Words on one line: what a library says of a text's lines is laid out in lines of its own.
fn shown(words: &str) -> String {
    const LONGEST: usize = 4000;
    let pieces: Vec<&str> = words.lines().map(str::trim).filter(|piece| !piece.is_empty()).collect();
    line(&cut(&pieces.join(" "), LONGEST))
}

impl Error {
    /// An error about something the user gave.
    pub fn input(what: impl ToString, why: impl ToString, next: impl Into<String>) -> Self {
        Self::Input { what: what.to_string(), why: why.to_string(), next: next.into() }
    }

    /// An error about a file the harness reads or writes for itself.
    pub fn file(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        let what = path.into().display().to_string();
        let next = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded => {
                "free some space, or set GGAUGE_CACHE to a folder on a larger disk, and run the same command again"
            }
            io::ErrorKind::PermissionDenied => "make the folder writable, or set GGAUGE_CACHE to one that is",
            _ => "check the path, and run the same command again",
        };
        Self::Harness { what, why: error.to_string(), next: next.into() }
    }

    /// An error about a transcript that could not be written.
    pub fn transcript(subject: impl ToString, why: String) -> Self {
        let next = "free some space, or set GGAUGE_CACHE to a folder on a larger disk, and run the same command again";
        Self::Harness { what: format!("the transcript of {}", subject.to_string()), why, next: next.into() }
    }
}
