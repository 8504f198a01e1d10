//! Releases of runtimes: which crates make one, and how a workspace is pinned to them.
//!
//! To add a release, add its row to `conformance/policy/releases.toml`; `ggauge bump` does so itself.

use machine::Error;
use record::release::Release;
use semver::Version;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path, str::FromStr};
use toml::Spanned;
use toml_edit::{DocumentMut, InlineTable, Item, Table, Value, value};

const RELEASES: &str = include_str!("../../policy/releases.toml");
/// Where that is in a checkout.
pub const FILE: &str = "conformance/policy/releases.toml";

/// A runtime and its version, as in `candle@0.11.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The runtime, as in subjects.
    pub runtime: String,
    /// The version of its leading crate. It becomes part of a path and of a manifest.
    pub version: Version,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no release: expected RUNTIME@VERSION, such as candle@0.11.1");
        let (runtime, version) = text.split_once('@').filter(|(runtime, _)| !runtime.is_empty()).ok_or_else(wrong)?;
        Ok(Self { runtime: runtime.into(), version: version.parse().map_err(|_| wrong())? })
    }
}

/// A crate and its version, as in `llama-cpp-sys-2=0.1.161`. Both become part of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrateVersion {
    /// The crate, as the registry calls it.
    pub name: String,
    /// The one version of it that is taken.
    pub version: Version,
}

impl FromStr for CrateVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "expected CRATE=VERSION, such as llama-cpp-sys-2=0.1.161";
        let (name, version) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`: {example}"))?;
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !is_name {
            return Err(format!("`{name}` is no name of a crate: {example}"));
        }
        let version = version.parse().map_err(|error| format!("`{version}` is no version ({error}): {example}"))?;
        Ok(Self { name: name.into(), version })
    }
}

/// The text of a file of the checkout as a release needs it: the workspace's manifest is pinned, and edits are made.
///
/// # Errors
/// Where the manifest is none, or an edit does not fit the file.
pub fn apply(release: &Release, file: &Path, text: &str) -> Result<String, Error> {
    if file == Path::new("Cargo.toml") {
        return pin(text, release);
    }
    release.edit.iter().filter(|edit| edit.file == file).try_fold(text.to_owned(), |text, edit| {
        if text.matches(&edit.old).count() == 1 {
            return Ok(text.replace(&edit.old, &edit.new));
        }
        let why = format!("`{}` does not stand in {} once, as the edit for {release} says", edit.old, file.display());
        Err(Error::input(FILE, why, "correct the row"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    release: Vec<Spanned<Release>>,
}

/// The rows of a table of releases, each with its place in the text.
fn rows(table: &str) -> Result<Vec<Spanned<Release>>, Error> {
    let rows: Result<Rows, _> = toml::from_str(table);
    Ok(rows.map_err(|error| Error::input(FILE, error, "correct the file"))?.release)
}

/// Every release that is known to build, newest first.
///
/// # Errors
/// Where the table is wrong.
pub fn known() -> Result<Vec<Release>, Error> {
    Ok(rows(RELEASES)?.into_iter().map(Spanned::into_inner).collect())
}

/// The table with a row for a release, newest first; `None` where it has one.
///
/// # Errors
/// Where the table is wrong.
pub fn with_row(table: &str, release: &Release) -> Result<Option<String>, Error> {
    let rows = rows(table)?;
    let of_runtime: Vec<_> = rows.iter().filter(|row| row.as_ref().runtime == release.runtime).collect();
    if of_runtime.iter().any(|row| row.as_ref().version == release.version) {
        return Ok(None);
    }
    let mut row = Table::new();
    row.insert("runtime", value(&release.runtime));
    row.insert("version", value(&release.version));
    row.insert("crates", value(InlineTable::from_iter(&release.crates)));
    let row = format!("[[release]]\n{row}");
    let older = of_runtime.iter().find(|row| row.as_ref().age() < release.age());
    Ok(Some(match older.and_then(|older| table.split_at_checked(older.span().start)) {
        Some((before, after)) => format!("{before}{row}\n{after}"),
        None => format!("{}\n\n{row}", table.trim_end()),
    }))
}

/// The newest release of a runtime that is known: what its crates are called.
fn newest(runtime: &str) -> Result<Release, Error> {
    let known = known()?;
    let mut names: Vec<String> = known.iter().map(|release| release.runtime.clone()).collect();
    names.dedup();
    let found = known.into_iter().find(|release| release.runtime == runtime);
    found.ok_or_else(|| {
        let next = format!("give one of {}, as in {}@VERSION", names.join(", "), names.first().map_or("", String::as_str));
        Error::input(runtime, "ggauge has no runtime of this name that it could build", next)
    })
}

/// The crates of a release: from the table, or else all at the version that was asked for; `with` changes some of them. False
/// beside it where the table does not have it.
///
/// # Errors
/// For a runtime that is not known, and for a crate that it does not have.
pub fn find(wanted: &Wanted, with: &[CrateVersion]) -> Result<(Release, bool), Error> {
    let newest = newest(&wanted.runtime)?;
    let wanted_version = wanted.version.to_string();
    let is_wanted = |release: &Release| release.runtime == wanted.runtime && release.version == wanted_version;
    let (mut release, known) = match known()?.into_iter().find(is_wanted) {
        Some(release) => (release, true),
        None => {
            // Not ours to guess: what tokenizer a release of candle is built on.
            let guess = |(name, version): (&String, &String)| {
                let version = if *name == "tokenizers" { version } else { &wanted_version };
                (name.clone(), version.clone())
            };
            let crates = newest.crates.iter().map(guess).collect();
            (Release { version: wanted_version.clone(), crates, edit: Vec::new(), ..newest }, false)
        }
    };
    for CrateVersion { name, version } in with {
        let names: Vec<&String> = release.crates.keys().collect();
        let next = format!("give one of {}", names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "));
        let wrong = || Error::input(name, format!("{} has no crate of this name", wanted.runtime), next.clone());
        *release.crates.get_mut(name).ok_or_else(wrong)? = version.to_string();
    }
    Ok((release, known))
}

/// A local checkout of a runtime, with the crates in the folders of their names.
///
/// # Errors
/// Where it has none of them.
pub fn local(runtime: &str, folder: &Path) -> Result<Release, Error> {
    let newest = newest(runtime)?;
    let folder = std::path::absolute(folder).map_err(|error| Error::input(folder.display(), error, "give a folder"))?;
    let has = |name: &str| folder.join(name).join("Cargo.toml").exists();
    if !newest.crates.keys().any(|name| has(name)) {
        let names: Vec<&str> = newest.crates.keys().map(String::as_str).collect();
        let why = format!("it has none of the folders {}", names.join(", "));
        return Err(Error::input(folder.display(), why, format!("give the folder of a checkout of {runtime}")));
    }
    Ok(Release { version: "local".into(), folder: Some(folder), edit: Vec::new(), ..newest })
}

/// The release that this ggauge was built with.
///
/// # Errors
/// For a runtime that is not known.
pub fn of_this_build(runtime: &str) -> Result<Release, Error> {
    pinned(include_str!("../../../Cargo.toml"), runtime)
}

/// The release that a workspace is pinned to.
///
/// # Errors
/// Where its manifest is none, or does not have the crates.
pub fn pinned(manifest: &str, runtime: &str) -> Result<Release, Error> {
    let newest = newest(runtime)?;
    let document = parse(manifest)?;
    let version = |name: &str| {
        let item = document.get("workspace")?.get("dependencies")?.get(name)?;
        let text = item.as_str().or_else(|| item.get("version")?.as_str())?;
        Some(text.trim_start_matches('=').to_owned())
    };
    let crates: Option<BTreeMap<String, String>> =
        newest.crates.keys().map(|name| Some((name.clone(), version(name)?))).collect();
    let crates = crates.ok_or_else(|| wrong_manifest(format!("it does not pin the crates of {runtime}")))?;
    // The leading crate comes first in the alphabet: candle-core, llama-cpp-2.
    let version = crates.values().next().cloned().unwrap_or_default();
    Ok(Release { runtime: runtime.into(), version, crates, edit: Vec::new(), folder: None })
}

/// The manifest of a workspace, pinned to a release. Everything else stays as it is.
///
/// # Errors
/// Where it is no manifest, or does not have the crates.
pub fn pin(manifest: &str, release: &Release) -> Result<String, Error> {
    let mut document = parse(manifest)?;
    for (name, version) in &release.crates {
        let item = document
            .get_mut("workspace")
            .and_then(|item| item.get_mut("dependencies"))
            .and_then(|item| item.get_mut(name))
            // A key that is not there is one without a value here.
            .filter(|item| !item.is_none())
            .ok_or_else(|| wrong_manifest(format!("it has no workspace dependency {name}")))?;
        let local = release.folder.as_ref().map(|folder| folder.join(name)).filter(|folder| folder.exists());
        let (key, value) = match local {
            Some(folder) => ("path", folder.display().to_string()),
            None => ("version", format!("={version}")),
        };
        match item.as_inline_table_mut() {
            Some(table) => match table.get_mut("version").filter(|_| key == "version") {
                // In its place, and with the spaces around it.
                Some(pinned) => {
                    let decor = pinned.decor().clone();
                    *pinned = value.into();
                    *pinned.decor_mut() = decor;
                }
                None => {
                    table.remove("version");
                    table.insert(key, value.into());
                }
            },
            None if key == "version" => *item = Item::Value(value.into()),
            None => *item = Item::Value(Value::InlineTable(InlineTable::from_iter([(key, value)]))),
        }
    }
    Ok(document.to_string())
}

fn parse(manifest: &str) -> Result<DocumentMut, Error> {
    manifest.parse().map_err(|error: toml_edit::TomlError| wrong_manifest(error.to_string()))
}

fn wrong_manifest(why: String) -> Error {
    Error::input("the workspace's Cargo.toml", why, "give --source the folder of a checkout of ggauge")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = include_str!("../../../Cargo.toml");

    /// What is pinned stands in the table, so that somebody can go back to it.
    #[test]
    fn the_pins_of_the_workspace_are_a_release() {
        for runtime in ["llama-cpp", "candle"] {
            let pinned = pinned(MANIFEST, runtime).unwrap();
            let is_pinned = |release: &Release| Release { edit: Vec::new(), ..release.clone() } == pinned;
            assert!(known().unwrap().iter().any(is_pinned), "{pinned} is not in {FILE}");
        }
    }

    #[test]
    fn a_release_gets_its_row_once_and_newest_first() {
        let rows = |text: &str| rows(text).unwrap().into_iter().map(Spanned::into_inner).collect::<Vec<_>>();
        let whole: String = RELEASES.split_whitespace().collect();
        let candles = known().unwrap().into_iter().filter(|row| row.runtime == "candle").count();
        for (version, before) in [("99.0.0", 0), ("0.1.0", candles)] {
            let (release, known) = find(&format!("candle@{version}").parse().unwrap(), &[]).unwrap();
            assert!(!known);
            let text = with_row(RELEASES, &release).unwrap().unwrap();
            let of_candle: Vec<Release> = rows(&text).into_iter().filter(|row| row.runtime == "candle").collect();
            assert_eq!(of_candle[before], release);
            assert!(of_candle.is_sorted_by_key(|row| std::cmp::Reverse(row.age())), "{text}");
            assert_eq!(rows(&text).len(), rows(RELEASES).len() + 1);
            assert_eq!(with_row(&text, &release).unwrap(), None);
            // As a row is written by hand, and nothing else is touched.
            let row = format!(
                "[[release]]\nruntime = \"candle\"\nversion = \"{version}\"\ncrates = {{ candle-core = \"{version}\", \
                 candle-transformers = \"{version}\", tokenizers = \"{}\" }}\n",
                release.crates["tokenizers"]
            );
            assert_eq!(text.replacen(&row, "", 1).split_whitespace().collect::<String>(), whole, "{text}");
        }
    }

    #[test]
    fn pinning_there_and_back_changes_nothing() {
        for release in known().unwrap() {
            let there = pin(MANIFEST, &release).unwrap();
            assert_eq!(pinned(&there, &release.runtime).unwrap(), Release { edit: Vec::new(), ..release.clone() });
            assert_eq!(pin(&there, &pinned(MANIFEST, &release.runtime).unwrap()).unwrap(), MANIFEST);
        }
        assert!(pin("[workspace]", &known().unwrap()[0]).is_err());
        assert!(pin("[", &known().unwrap()[0]).is_err());
    }

    /// Edits fit the layer as it is now, so that old releases can still be built.
    #[test]
    fn edits_fit_the_sources() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let mut edits = 0;
        for release in known().unwrap() {
            for edit in &release.edit {
                let text = std::fs::read_to_string(root.join(&edit.file)).unwrap();
                assert_ne!(apply(&release, &edit.file, &text).unwrap(), text);
                assert!(apply(&release, &edit.file, "").unwrap_err().to_string().contains("does not stand"), "{release}");
                edits += 1;
            }
        }
        assert!(edits > 0);
    }

    #[test]
    fn a_local_checkout_is_taken_by_path() {
        let folder = tempfile::tempdir().unwrap();
        assert!(local("llama-cpp", folder.path()).unwrap_err().to_string().contains("none of the folders"));
        std::fs::create_dir_all(folder.path().join("llama-cpp-2")).unwrap();
        std::fs::write(folder.path().join("llama-cpp-2/Cargo.toml"), "").unwrap();
        let pinned = pin(MANIFEST, &local("llama-cpp", folder.path()).unwrap()).unwrap();
        let table: toml::Value = toml::from_str(&pinned).unwrap();
        let dependency = &table["workspace"]["dependencies"]["llama-cpp-2"];
        assert!(dependency["path"].as_str().unwrap().ends_with("llama-cpp-2") && dependency.get("version").is_none());
        assert!(dependency["features"].is_array(), "{dependency}");
    }

    #[test]
    fn releases_outside_the_table_are_taken_at_their_word() {
        let (release, known) = find(&"llama-cpp@0.1.150".parse().unwrap(), &[]).unwrap();
        assert!(!known && release.crates.values().all(|version| version == "0.1.150"), "{release:?}");
        let with = ["llama-cpp-sys-2=0.1.151".parse().unwrap()];
        let (release, _) = find(&"llama-cpp@0.1.150".parse().unwrap(), &with).unwrap();
        assert_eq!(release.crates["llama-cpp-sys-2"], "0.1.151");
        assert!(find(&"candle@0.1.0".parse().unwrap(), &with).is_err(), "candle has no such crate");
        assert!(find(&"mistral@1.0.0".parse().unwrap(), &[]).unwrap_err().to_string().contains("llama-cpp, candle"));
        for wrong in ["candle", "candle@", "@1.0.0", "candle@../..", "candle@main", "candle@0.11", "candle@1.0.0/.."] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_crate_and_its_version_are_checked() {
        let parsed: CrateVersion = "llama-cpp-sys-2=0.1.161-rc.1".parse().unwrap();
        assert_eq!((parsed.name.as_str(), parsed.version.to_string().as_str()), ("llama-cpp-sys-2", "0.1.161-rc.1"));
        for (wrong, why) in [
            ("tokenizers", "no `=`"),
            ("=0.1.0", "`` is no name of a crate"),
            ("../x=0.1.0", "`../x` is no name of a crate"),
            ("2x=0.1.0", "`2x` is no name of a crate"),
            ("tokenizers=", "`` is no version"),
            ("tokenizers=0.1", "`0.1` is no version"),
            ("tokenizers==0.1.0", "`=0.1.0` is no version"),
            ("tokenizers=*", "`*` is no version"),
            ("tokenizers=0.1.0\", path = \"x", "is no version"),
        ] {
            let error = wrong.parse::<CrateVersion>().unwrap_err();
            assert!(error.contains(why) && error.contains("expected CRATE=VERSION"), "{error}");
        }
    }
}
