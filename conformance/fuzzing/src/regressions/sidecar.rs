//! The inputs that are kept, and what their sidecars say of them.

use crate::catalogue::{self, TARGETS};
use machine::{Error, small};
use serde::{Deserialize, Serialize};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

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
        if catalogue::target(&target).is_none() {
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
pub(super) fn no_target(what: impl fmt::Display, advice: &str) -> Error {
    Error::input(what, "there is no such target", one_of_targets(advice))
}

/// The error that nothing says which target an input is one of.
pub fn unnamed(artifact: &Path) -> Error {
    let why = "neither --target nor the name of its folder says which target it is an input of";
    Error::input(artifact.display(), why, one_of_targets("give --target,"))
}

fn one_of_targets(advice: &str) -> String {
    let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
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
