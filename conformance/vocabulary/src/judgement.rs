//! What comparisons come to.

use crate::Outcome;
use serde::{Deserialize, Serialize};

/// What a comparison comes to once expectations are known. Only this sets the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// Within its limits.
    Pass,
    /// Outside its limits, or not completed.
    Fail,
    /// Fails the way an expectation says.
    ExpectedFail,
    /// An expectation says it fails, and it does not.
    UnexpectedPass,
    /// The subject cannot do this; its words are kept.
    Unsupported,
    /// Nothing was compared.
    Vacuous,
}

impl Judgement {
    /// Every judgement, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Pass, Self::ExpectedFail, Self::Unsupported, Self::UnexpectedPass, Self::Vacuous, Self::Fail];

    /// The words reports use.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::ExpectedFail => "expected fail",
            Self::UnexpectedPass => "UNEXPECTED PASS",
            Self::Unsupported => "unsupported",
            Self::Vacuous => "VACUOUS",
        }
    }

    /// True when the run must not succeed.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Fail | Self::UnexpectedPass | Self::Vacuous)
    }

    /// True when something was compared and found as it should be.
    pub fn is_judged(self) -> bool {
        !matches!(self, Self::Unsupported)
    }
}

/// What everything that was asked comes to: what the exit code of the command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upshot {
    /// What was judged is as it should be.
    Good,
    /// Something is not.
    Bad,
    /// Nothing was judged.
    NothingJudged,
}

/// Which oracle spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oracle {
    /// A subject against the truth.
    Reference,
    /// Two subjects against each other.
    Differential,
    /// A subject against itself, under a change that must not matter.
    Metamorphic,
    /// A subject against the truth at all positions of all prompts together.
    Together,
}

/// How a known divergence shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The numbers are outside their limits.
    Diverges,
    /// The subject refuses what it should take.
    Rejects,
    /// The worker ends by a signal or exits.
    Crashes,
    /// The worker aborts.
    Aborts,
    /// The case takes longer than its limit.
    TimesOut,
    /// The worker takes more memory than its limit.
    ExceedsMemory,
}

impl Class {
    /// How a case shows it that ended so; nothing where it gave numbers, which have to be looked at, or where nobody was asked.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Rejected(_) => Some(Self::Rejects),
            Outcome::Crashed { .. } | Outcome::Exited { .. } => Some(Self::Crashes),
            Outcome::Aborted => Some(Self::Aborts),
            Outcome::TimedOut { .. } => Some(Self::TimesOut),
            Outcome::OutOfMemory { .. } => Some(Self::ExceedsMemory),
            Outcome::Completed { .. } | Outcome::Unsupported { .. } | Outcome::ProtocolError(_) => None,
        }
    }
}
