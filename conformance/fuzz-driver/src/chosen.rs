//! Targets by the names that somebody gave.

use crate::words::wrong;
use fuzzing::{TARGETS, Target, target};

/// The target of a name that somebody gave.
///
/// # Errors
/// Where there is none.
pub(crate) fn known(name: &str) -> anyhow::Result<&'static Target> {
    target(name).ok_or_else(|| wrong(format!("there is no target {name}; there are {}", names())))
}

fn names() -> String {
    TARGETS.map(|target| target.name).join(" ")
}
