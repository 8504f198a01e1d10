//! Building ggauge against another release of a runtime: in the cache, with a lock file of its own, from a copy of the sources. The
//! working tree is only read.

use crate::releases;
use machine::{Error, cache::Cache, external, files, lock, small};
use printable::quoted;
use record::release::Release;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// What of a checkout a build needs.
const SOURCES: [&str; 7] =
    ["Cargo.toml", "rust-toolchain.toml", ".cargo", "conformance", "corpora", "golden/Cargo.toml", "golden/lib.rs"];
/// The lock file of the fuzz targets, which are a workspace of their own.
const FUZZ_LOCK: &str = "fuzz/Cargo.lock";
/// Copied where there is none yet: cargo writes the release's crates into it, and keeps the others.
const LOCK: &str = "Cargo.lock";

/// The checkout of ggauge to build from: the one that was given, the one around the current folder, or the one this was built in.
///
/// # Errors
/// Where none of them is there.
pub fn checkout(given: Option<&Path>) -> Result<PathBuf, Error> {
    let is_one = |folder: &Path| folder.join("conformance/ggauge/Cargo.toml").exists() && folder.join(LOCK).exists();
    let next = "run this in a checkout of ggauge, or give its folder with --source";
    if let Some(given) = given {
        let why = "it is no checkout of ggauge: there is no conformance/ggauge/Cargo.toml and Cargo.lock in it";
        return if is_one(given) { Ok(given.into()) } else { Err(Error::input(given.display(), why, next)) };
    }
    let here = std::env::current_dir().unwrap_or_default();
    let built_in = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let found = here.ancestors().chain([built_in]).find(|folder| is_one(folder));
    found.map(Path::to_owned).ok_or_else(|| Error::input("the sources of ggauge", "they are not here", next))
}

/// Builds ggauge with nothing but `release`'s runtime in it, and gives the path of the program. The first time takes minutes.
///
/// # Errors
/// Where it does not build, with the compiler's first error; where files cannot be copied; and where the user interrupted.
pub fn build(checkout: &Path, release: &Release, features: &[&str], cache: &Cache) -> Result<PathBuf, Error> {
    let builds = cache.builds()?;
    let folder = builds.join(folder_name(checkout, release, features));
    let source = folder.join("source");
    // cargo guards its folder, but not the program that lies in it until it is copied.
    let _alone = cache.alone("builds")?;
    for entry in SOURCES {
        mirror(&checkout.join(entry), &source.join(entry), &|path, bytes| {
            let file = path.strip_prefix(checkout).unwrap_or(path);
            match String::from_utf8(bytes) {
                Ok(text) => Ok(releases::apply(release, file, &text)?.into_bytes()),
                Err(error) => Ok(error.into_bytes()),
            }
        })?;
    }
    let newer = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (lock, own) = (checkout.join(LOCK), source.join(LOCK));
    if newer(&own) < newer(&lock) {
        fs::copy(&lock, &own).map_err(|error| Error::file(&own, &error))?;
    }

    let mut cargo = external::program("cargo", &source);
    cargo.args(["build", "--quiet", "--package", "ggauge", "--bin", "ggauge", "--no-default-features"]);
    cargo.arg("--features").arg([&[release.runtime.as_str()], features].concat().join(","));
    // One folder for all releases: most of what they are made of is the same.
    let target = builds.join("target");
    mend(&target)?;
    // What a caller's cargo is told of other targets would put the program elsewhere.
    cargo.env("CARGO_TARGET_DIR", &target).env_remove("CARGO_BUILD_TARGET");
    external::run(cargo, |why| Error::Harness {
        what: format!("building ggauge with {release}"),
        why: why.into(),
        next: format!(
            "see all errors with `cd {} && CARGO_TARGET_DIR={} cargo build --package ggauge --bin ggauge \
             --no-default-features --features {}`; a release whose crates do not fit together may need --with CRATE=VERSION",
            quoted(&source),
            quoted(&target),
            release.runtime
        ),
    })?;
    let program = folder.join("ggauge");
    let built = target.join("debug/ggauge");
    // A new file rather than new bytes: the program may be running.
    let copy = || {
        let new = files::beside(&folder)?.into_temp_path();
        fs::copy(&built, &new)?;
        new.persist(&program).map_err(io::Error::from)
    };
    copy().map_err(|error| Error::file(&program, &error))?;
    Ok(program)
}

/// Deletes what build scripts have left in a target folder that failed or were cut off: `mend_builds` of `scripts/environment.sh`, which says
/// why, for our own builds. Waits while a cargo builds there.
///
/// # Errors
/// Where files cannot be read or deleted; and where the user interrupted.
pub fn mend(target: &Path) -> Result<(), Error> {
    let folder = target.join("debug");
    let lock = folder.join(".cargo-lock");
    if !lock.exists() {
        return Ok(());
    }
    let _alone = lock::alone(&lock)?;
    let builds = folder.join("build");
    let modified = |path: PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let entries = match fs::read_dir(&builds) {
        // A cargo that ended before it built anything.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Error::file(&builds, &error))?,
    };
    for entry in entries {
        let folder = entry.map_err(|error| Error::file(&builds, &error))?.path();
        if modified(folder.join("invoked.timestamp")) > modified(folder.join("output")) {
            fs::remove_dir_all(&folder).map_err(|error| Error::file(&folder, &error))?;
        }
    }
    Ok(())
}

/// A folder for each choice: builds of one version differ by their crates (--with, --path), their sources (--source) and features.
fn folder_name(checkout: &Path, release: &Release, features: &[&str]) -> String {
    let choice = format!("{:?} {:?} {} {features:?}", release.crates, release.folder, checkout.display());
    format!("{release}-{}", files::digest(choice.as_bytes()).get(..8).unwrap_or_default())
}

/// Pins the crates of a checkout's own runtime to a release, in its manifest and its lock files, and adds the release to the table.
///
/// # Errors
/// Where cargo does not find the release, or its crates do not fit together, in which case nothing is changed; where files cannot be written.
pub fn bump(checkout: &Path, release: &Release) -> Result<(), Error> {
    let files = ["Cargo.toml", LOCK, FUZZ_LOCK, releases::FILE].map(|file| checkout.join(file));
    let read = |path: &Path| small::read_text(path).map_err(|error| Error::file(path, &error));
    let before = files.each_ref().map(|path| read(path)).into_iter().collect::<Result<Vec<_>, _>>()?;
    let [manifest, lock, _, table] = &files;
    let cargo = |arguments: &[&str]| {
        let mut cargo = external::program("cargo", checkout);
        cargo.args(arguments);
        external::run(cargo, |why| {
            let next = "give a release that is published, or --with CRATE=VERSION for a crate of another version";
            Error::input(release, format!("cargo does not find it: {why}; nothing was changed"), next)
        })
    };
    let pin = || {
        files::write_whole(manifest, releases::pin(&read(manifest)?, release)?.as_bytes())?;
        cargo(&["metadata", "--quiet", "--format-version", "1"])?;
        one_version_each(&read(lock)?, release)?;
        // The fuzz targets' own lock file does not let go of a version by itself.
        let crates: Vec<&str> = release.crates.keys().map(String::as_str).collect();
        cargo(&[&["update", "--quiet", "--manifest-path", "fuzz/Cargo.toml"], &crates[..]].concat())?;
        // So that an upgrade from it, some day, takes the same crates.
        match releases::with_row(&read(table)?, release)? {
            Some(text) => files::write_whole(table, text.as_bytes()),
            None => Ok(()),
        }
    };
    let result = pin();
    if result.is_err() {
        for (path, text) in files.iter().zip(&before) {
            files::write_whole(path, text.as_bytes())?;
        }
    }
    result
}

/// Crates of a release that are there twice do not fit together: their types are not the same to the compiler, which says so in its own way.
fn one_version_each(lock: &str, release: &Release) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let Lock { package } = toml::from_str(lock).map_err(|error| Error::input(LOCK, error, "restore the file"))?;
    for (name, pinned) in &release.crates {
        let other = package.iter().find(|package| package.name == *name && package.version != *pinned);
        if let Some(Package { version, .. }) = other {
            let why = format!(
                "another of its crates is built on {name} {version}, and {pinned} is pinned beside it; nothing was changed"
            );
            return Err(Error::input(release, why, format!("add --with {name}={version}")));
        }
    }
    Ok(())
}

/// What becomes of a file, by its path and bytes.
type Edit<'a> = &'a dyn Fn(&Path, Vec<u8>) -> Result<Vec<u8>, Error>;

/// Makes `to` what `from` is, edited. Files that are the same are left alone, so that cargo does not build them again.
fn mirror(from: &Path, to: &Path, edit: Edit<'_>) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| Error::file(path, &error)
    };
    if !from.is_dir() {
        return match small::read(from) {
            Ok(bytes) => write_changed(to, &edit(from, bytes)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::file(from, &error)),
        };
    }
    fs::create_dir_all(to).map_err(failed(to))?;
    let names = |folder: &Path| -> Result<BTreeSet<_>, Error> {
        let entries = fs::read_dir(folder).map_err(failed(folder))?;
        entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(failed(folder))).collect()
    };
    let wanted = names(from)?;
    for stale in names(to)?.difference(&wanted) {
        let path = to.join(stale);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(failed(&path))?;
    }
    wanted.iter().try_for_each(|name| mirror(&from.join(name), &to.join(name), edit))
}

/// Writes a file where it is missing or different.
fn write_changed(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if small::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::file(folder, &error))?;
    }
    fs::write(path, bytes).map_err(|error| Error::file(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_what_is_there_and_leaves_the_same_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::write(from.join("a/b/same"), "same").unwrap();
        fs::write(from.join("a/changes"), "old").unwrap();
        let edit: Edit<'_> = &|_, bytes| Ok(bytes.to_ascii_uppercase());
        mirror(&from, &to, edit).unwrap();
        let written = |name: &str| fs::metadata(to.join(name)).unwrap().modified().unwrap();
        let before = written("a/b/same");
        fs::write(from.join("a/changes"), "new").unwrap();
        fs::write(to.join("a/stale"), "").unwrap();
        fs::create_dir(to.join("a/gone")).unwrap();
        mirror(&from, &to, edit).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/changes")).unwrap(), "NEW");
        assert_eq!(written("a/b/same"), before);
        assert!(!to.join("a/stale").exists() && !to.join("a/gone").exists());
    }

    /// A link to a device never ends, and no source is that large.
    #[test]
    fn what_is_no_source_is_not_read_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::File::create(&from).unwrap().set_len((256 << 20) + 1).unwrap();
        let error = mirror(&from, &folder.path().join("to"), &|_, bytes| Ok(bytes)).unwrap_err().to_string();
        assert!(error.contains("it has more than 256.00 MiB"), "{error}");
    }

    #[test]
    fn a_folder_that_cargo_has_only_just_made_needs_no_mending() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("debug")).unwrap();
        fs::write(folder.path().join("debug/.cargo-lock"), "").unwrap();
        mend(folder.path()).unwrap();
    }

    #[test]
    fn releases_with_other_crates_lie_in_other_folders() {
        let wanted = "llama-cpp@0.1.160".parse().unwrap();
        let with = ["llama-cpp-sys-2=0.1.160".parse().unwrap()];
        let [(one, _), (other, _)] = [&[][..], &with].map(|with| releases::find(&wanted, with).unwrap());
        let name = |checkout: &str, release| folder_name(Path::new(checkout), release, &[]);
        assert_ne!(name("a", &one), name("a", &other));
        assert_ne!(name("a", &one), name("b", &one));
        assert!(name("a", &one).starts_with("llama-cpp@0.1.160-"));
    }

    #[test]
    fn crates_that_are_there_twice_do_not_fit_together() {
        let release = releases::of_this_build("candle").unwrap();
        let lock = include_str!("../../../Cargo.lock");
        one_version_each(lock, &release).unwrap();
        let pinned = format!("version = \"{}\"", release.crates["tokenizers"]);
        let twice = format!("{lock}\n[[package]]\nname = \"tokenizers\"\nversion = \"0.1.0\"\n");
        assert!(lock.contains(&pinned), "{pinned}");
        let error = one_version_each(&twice, &release).unwrap_err().to_string();
        assert!(error.contains("--with tokenizers=0.1.0"), "{error}");
    }

    #[test]
    fn a_folder_that_is_no_checkout_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = checkout(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("no checkout of ggauge"), "{error}");
        assert!(checkout(None).unwrap().join("conformance").exists());
    }
}
