//! The builds of the targets, and where each lies.

use crate::desk::Desk;
use fuzzing::Target;
use std::path::PathBuf;

/// A build of the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// With sanitizers, and in Rust with overflow checks and debug assertions. Every target.
    Checked,
    /// With sanitizers, and as users build: overflow wraps. The targets that exist without llama.cpp.
    Wrapping,
    /// Counts lines and regions, and has no sanitizer.
    Coverage,
}

impl Flavour {
    /// Its name, in logs and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::Wrapping => "wrapping",
            Self::Coverage => "coverage",
        }
    }

    /// A folder of its own where flags of C differ: cmake does not notice that by itself.
    pub(crate) fn folder(self, desk: &Desk) -> PathBuf {
        desk.state.folder().join(if self == Self::Coverage { "build-coverage" } else { "build" })
    }

    /// The program of a target.
    ///
    /// # Errors
    /// Where there is no compiler to ask what it builds for.
    pub(crate) fn binary(self, desk: &Desk, target: &Target) -> anyhow::Result<PathBuf> {
        let profile = if self == Self::Wrapping { "wrapping" } else { "release" };
        Ok(self.folder(desk).join(&desk.compiler()?.triple).join(profile).join(target.name))
    }
}
