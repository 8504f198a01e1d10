//! What became of a case in its worker.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// How far a subject got before it rejected an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Stage {
    /// Reading the header, the metadata and the tensor table.
    Read,
    /// Opening the model, tensor data included.
    Load,
    /// Evaluating the prompt.
    Evaluate,
    /// Turning text into tokens.
    Tokenize,
}

impl Stage {
    /// The name as it stands in the protocol.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Why a subject rejected an input. Two subjects that reject agree only where stage and class agree; texts are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum RejectionClass {
    /// The file cannot be opened or read.
    Unreadable,
    /// The file is not valid GGUF, or ends too early.
    Malformed,
    /// A key or tensor that the architecture needs is missing, or has the wrong type or shape.
    Incomplete,
    /// The input is outside what the model allows: token id, prompt length.
    OutOfRange,
    /// The runtime gave no reason that this layer knows.
    Other,
}

impl RejectionClass {
    /// The name as it stands in the protocol.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A subject's answer that it will not take this input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// How far it got.
    pub stage: Stage,
    /// Why, in words that subjects share.
    pub class: RejectionClass,
    /// Why, in the subject's own words.
    pub message: String,
}

/// What a worker sent that is not an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum BadAnswer {
    /// A line on stdout that is not a message of the protocol.
    Garbage {
        /// The line's beginning.
        line: String,
    },
    /// More output than any answer takes.
    TooLong {
        /// Which stream, and its limit.
        detail: String,
    },
    /// A message that does not fit the conversation, or another protocol version.
    Unexpected {
        /// What came, and what was expected.
        detail: String,
    },
    /// A transcript that is missing, truncated or malformed.
    Transcript {
        /// What is wrong with it.
        detail: String,
    },
    /// A transcript whose shape or positions do not fit the case.
    WrongShape {
        /// Shape found and expected.
        detail: String,
    },
}

/// What became of a case. Only `Completed` has a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// The subject gave logits.
    Completed {
        /// Number of positions it gave.
        positions: u64,
    },
    /// The subject refused the input.
    Rejected(Rejection),
    /// The subject cannot do this at all, in its own words. Never a pass.
    Unsupported {
        /// The subject's words.
        reason: String,
    },
    /// The worker was ended by a signal other than an abort.
    Crashed {
        /// The signal's number.
        signal: i32,
    },
    /// The worker aborted, as `GGML_ASSERT` and Rust panics with `abort` do.
    Aborted,
    /// The worker ended by itself in the middle of a case.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// The case took longer than its limit, and the worker was killed.
    TimedOut {
        /// The limit, in milliseconds.
        limit_milliseconds: u64,
    },
    /// The worker's resident size passed its limit, and it was killed.
    OutOfMemory {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The worker broke the protocol.
    ProtocolError(BadAnswer),
}

impl Outcome {
    /// The outcome in one or a few words, for tables.
    pub fn summary(&self) -> String {
        match self {
            Self::Completed { positions } => format!("{positions} positions"),
            Self::Rejected(rejection) => {
                format!("rejected ({})", rejection.class.name())
            }
            Self::Unsupported { .. } => "unsupported".into(),
            Self::Crashed { signal } => format!("crashed (signal {signal})"),
            Self::Aborted => "aborted".into(),
            Self::Exited { code } => format!("exited (code {code})"),
            Self::TimedOut { limit_milliseconds } => format!("timed out ({} s)", *limit_milliseconds as f64 / 1e3),
            Self::OutOfMemory { limit_bytes } => format!("out of memory ({} MiB)", limit_bytes >> 20),
            Self::ProtocolError(bad) => match bad {
                BadAnswer::Garbage { .. } => "protocol error (garbage)".into(),
                BadAnswer::TooLong { .. } => "protocol error (too long)".into(),
                BadAnswer::Unexpected { .. } => "protocol error (unexpected)".into(),
                BadAnswer::Transcript { .. } => "protocol error (transcript)".into(),
                BadAnswer::WrongShape { .. } => "protocol error (wrong shape)".into(),
            },
        }
    }

    /// What the subject or the harness said about it, where there is more than the summary.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Rejected(rejection) => Some(&rejection.message),
            Self::Unsupported { reason } => Some(reason),
            Self::ProtocolError(
                BadAnswer::Garbage { line: detail }
                | BadAnswer::TooLong { detail }
                | BadAnswer::Unexpected { detail }
                | BadAnswer::Transcript { detail }
                | BadAnswer::WrongShape { detail },
            ) => Some(detail),
            _ => None,
        }
    }

    /// All that is to be said of it.
    pub fn words(&self) -> String {
        match self.detail() {
            Some(detail) => format!("{}: {detail}", self.summary()),
            None => self.summary(),
        }
    }

    /// What it is, without words of the subject's: those may change in any release.
    pub fn kind(&self) -> String {
        match self {
            Self::Rejected(rejection) => format!("rejected at {} ({})", rejection.stage.name(), rejection.class.name()),
            other => other.summary(),
        }
    }
}
