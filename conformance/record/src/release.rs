//! A release of a runtime, as reports of upgrades and the table of releases have it: the crates that a build was made of.

use semver::Version;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// A release of a runtime: the crates that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The runtime, as in subjects.
    pub runtime: String,
    /// The version of its leading crate, or `local`.
    pub version: String,
    /// The crates and their versions.
    pub crates: BTreeMap<String, String>,
    /// What has to be changed in the thin layer for this release, so that the layer itself needs no switches by version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edit: Vec<SourceEdit>,
    /// The folder of a local checkout that the crates are taken from, each from the folder of its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
}

/// A change of a source file for one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEdit {
    /// The file, from the top of the checkout.
    pub file: PathBuf,
    /// A text that stands in it once.
    pub old: String,
    /// What stands there instead.
    pub new: String,
    /// Why.
    pub reason: String,
}

/// When a release came out, among those of its runtime.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// It has a version.
    Published(Version),
    /// A checkout, which is taken for newer than whatever is published.
    Local,
}

impl Age {
    /// Of a release of this version; what is no version is a checkout.
    pub fn of(version: &str) -> Self {
        Version::parse(version).map_or(Self::Local, Self::Published)
    }
}

impl Release {
    /// When it came out.
    pub fn age(&self) -> Age {
        Age::of(&self.version)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.runtime, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_as_their_versions_are() {
        let ordered = ["0.9.2", "0.10.0-alpha.1", "0.10.0", "0.10.2", "0.11.1", "local"];
        assert!(ordered.map(Age::of).is_sorted_by(|older, newer| older < newer));
    }
}
