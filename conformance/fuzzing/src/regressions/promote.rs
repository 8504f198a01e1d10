//! How an input that a fuzzer found is taken in: made smaller while its cause stays, and held against those that are there.

use crate::{
    catalogue::{self, Needs},
    regressions::{
        cause::{cause, ended_by},
        engine::{Ending, Engine, run},
        sidecar::{Class, Sidecar, all, no_target},
    },
};
use harness::worker::launch::WorkerLimits;
use machine::{Error, files, small};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};
use supply::releases;

/// What [`promote`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promoted {
    /// The input ends no process: there is nothing to keep.
    Passes,
    /// Its cause is that of a regression that is there.
    Known(String),
    /// It was made smaller and written.
    New {
        /// Where the input is.
        input: PathBuf,
        /// Its cause.
        cause: String,
        /// Sizes before and after, in bytes.
        sizes: (usize, usize),
    },
}

/// What to promote and how.
#[derive(Debug, Clone)]
pub struct Promotion<'a> {
    /// The input that was found.
    pub artifact: &'a Path,
    /// Its target.
    pub target: &'a str,
    /// The ordinary build.
    pub ordinary: &'a Engine,
    /// The sanitizer build, where there is one: for what only that sees.
    pub sanitized: Option<&'a Engine>,
    /// The folder with all regressions.
    pub folder: &'a Path,
    /// How often an input may be tried while it is made smaller.
    pub tries: usize,
    /// What a process may take.
    pub limits: WorkerLimits,
}

/// Takes an input that a fuzzer found: makes it as small as it can while its cause stays, and writes it with a sidecar, unless its cause is
/// there already.
///
/// # Errors
/// Where the input cannot be read, nothing can be written, or no process started.
#[expect(clippy::too_many_lines, reason = "one input, from found to taken in")]
pub fn promote(promotion: &Promotion<'_>) -> Result<Promoted, Error> {
    let Promotion { artifact, target, folder, limits, .. } = *promotion;
    if catalogue::target(target).is_none() {
        return Err(no_target(target, "give --target,"));
    }
    let bytes =
        small::read(artifact).map_err(|error| Error::input(artifact.display(), error, "give a file that a fuzzer wrote"))?;
    let scratch = tempfile::tempdir().map_err(|error| Error::file(std::env::temp_dir(), &error))?;
    let path = scratch.path().join("input");
    let attempt = |engine: &Engine, bytes: &[u8]| -> Result<Ending, Error> {
        files::write_whole(&path, bytes)?;
        run(engine, target, &[&path], limits)
    };
    // What an ordinary build shows is what a test can hold; only where it shows nothing, the sanitizer's word counts.
    let ordinary = attempt(promotion.ordinary, &bytes)?;
    let says_nothing = ordinary.class == Class::Passes || cause(&ordinary).is_none();
    let mut by = (promotion.ordinary, ordinary);
    if let Some(sanitized) = promotion.sanitized.filter(|_| says_nothing) {
        let ending = attempt(sanitized, &bytes)?;
        if ending.class != Class::Passes {
            by = (sanitized, ending);
        }
    }
    let (engine, ending) = by;
    if ending.class == Class::Passes {
        return Ok(Promoted::Passes);
    }
    let cause_in_words = cause(&ending);
    for regression in if folder.exists() { all(folder)? } else { Vec::new() } {
        let Sidecar { says, sanitizer, .. } = &regression.sidecar;
        let is_same = |what: &String| (!says.is_empty() && what.contains(says.as_str())) || what == sanitizer;
        if regression.target == target && cause_in_words.as_ref().is_some_and(is_same) {
            return Ok(Promoted::Known(regression.name()));
        }
    }
    let same = |bytes: &[u8]| -> Result<bool, Error> {
        let smaller = attempt(engine, bytes)?;
        Ok(smaller.class == ending.class && cause(&smaller) == cause_in_words && ended_by(&smaller) == ended_by(&ending))
    };
    let smallest = minimise(&bytes, promotion.tries, same)?;
    let ordinary = attempt(promotion.ordinary, &smallest)?;
    // What nothing is known of but how it ends has no other of its kind: two hangs need not be one.
    let what = cause_in_words.clone().unwrap_or_else(|| {
        let digest = files::digest(&smallest);
        format!("{} {}", ended_by(&ending).unwrap_or_else(|| ending.class.name()), digest.get(..8).unwrap_or_default())
    });
    let sidecar = Sidecar {
        finding: "UNFILED".into(),
        class: ordinary.class,
        says: cause(&ordinary).or_else(|| ended_by(&ordinary).map(str::to_owned)).unwrap_or_default(),
        sanitizer: cause_in_words.filter(|_| matches!(engine, Engine::Sanitized(_))).unwrap_or_default(),
        version: version(target)?,
        place: what.clone(),
        upstream: String::new(),
    };
    let name = name(&what);
    let input = folder.join(target).join(format!("{name}.bin"));
    if input.exists() {
        return Ok(Promoted::Known(format!("{target}/{name}")));
    }
    let text = toml::to_string(&sidecar).map_err(|error| Error::input(&name, error, "report this"))?;
    files::write_whole(&input, &smallest)?;
    files::write_whole(&input.with_extension("toml"), text.as_bytes())?;
    Ok(Promoted::New { input, cause: what, sizes: (bytes.len(), smallest.len()) })
}

/// The crates that a target's findings are most likely about, with their versions.
fn version(target: &str) -> Result<String, Error> {
    let runtimes: &[&str] = match catalogue::target(target).map(|target| target.needs) {
        Some(Needs::Candle) => &["candle"],
        Some(Needs::LlamaCpp) => &["llama-cpp"],
        _ => &["llama-cpp", "candle"],
    };
    let mut crates = Vec::new();
    for runtime in runtimes {
        let release = releases::of_this_build(runtime)?;
        crates.extend(release.crates.iter().map(|(name, version)| format!("{name} {version}")));
    }
    Ok(crates.join(", "))
}

/// A file's name from a cause: its words, joined by hyphens.
fn name(cause: &str) -> String {
    const LONGEST: usize = 60;
    let mut name = String::new();
    for part in cause.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
        if name.len() + part.len() > LONGEST {
            break;
        }
        let _ = write!(name, "{}{}", if name.is_empty() { "" } else { "-" }, part.to_lowercase());
    }
    name
}

/// Makes an input smaller while `same` holds, in at most so many tries: first pieces are taken out, the largest first, then bytes become 0.
fn minimise(bytes: &[u8], tries: usize, mut same: impl FnMut(&[u8]) -> Result<bool, Error>) -> Result<Vec<u8>, Error> {
    let mut best = bytes.to_vec();
    let mut left = tries;
    let mut attempt = |candidate: &[u8]| -> Result<Option<bool>, Error> {
        if left == 0 {
            return Ok(None);
        }
        left -= 1;
        same(candidate).map(Some)
    };
    let mut len = best.len().div_ceil(2);
    while len > 0 {
        let mut at = 0;
        while at < best.len() {
            let end = (at + len).min(best.len());
            let mut candidate = best.clone();
            candidate.drain(at..end);
            match attempt(&candidate)? {
                None => return Ok(best),
                Some(true) => best = candidate,
                Some(false) => at = end,
            }
        }
        len /= 2;
    }
    for at in 0..best.len() {
        let mut candidate = best.clone();
        match candidate.get_mut(at) {
            Some(byte) if *byte != 0 => *byte = 0,
            _ => continue,
        }
        match attempt(&candidate)? {
            None => break,
            Some(true) => best = candidate,
            Some(false) => {}
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_the_words_of_a_cause() {
        assert_eq!(name("llama.cpp/src/x.cpp:12: GGML_ASSERT(a)"), "llama-cpp-src-x-cpp-12-ggml-assert-a");
    }

    #[test]
    fn an_input_becomes_as_small_as_its_cause_allows() {
        // The cause: a 7 somewhere, and a 9 after it.
        let same = |bytes: &[u8]| Ok(bytes.iter().position(|&b| b == 7).is_some_and(|at| bytes[at..].contains(&9)));
        let input: Vec<u8> = (0..64)
            .map(|i| {
                if i == 20 {
                    7
                } else if i == 50 {
                    9
                } else {
                    i as u8 + 100
                }
            })
            .collect();
        assert_eq!(minimise(&input, 1000, same).unwrap(), [7, 9]);
        assert_eq!(minimise(&input, 0, same).unwrap(), input);
    }
}
