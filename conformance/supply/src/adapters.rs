//! Adapters: GGUF readers in other languages, each a worker that speaks the protocol, with an environment that `ggauge fetch readers` makes in
//! the cache.
//!
//! To add one, add a folder to `conformance/workers`, named as its subject's runtime: its worker, what pins its packages, and `adapter.toml`.

use include_dir::{Dir, include_dir};
use machine::{Error, cache::Cache, external, files};
use printable::quoted;
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use vocabulary::SubjectId;

static WORKERS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../workers");

/// Stands in an environment that is complete.
const READY: &str = "ready";

/// A reader in another language, as the `adapter.toml` in its folder has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Adapter {
    /// The subject's runtime: the folder's name.
    #[serde(skip)]
    name: &'static str,
    /// The programs that make and run it, which must be on the PATH.
    programs: Vec<String>,
    /// The files of the folder that its environment is made from; the first is the worker.
    files: Vec<String>,
    /// Makes the environment in the folder that the files are in, in the words of a shell.
    install: String,
    /// Runs the worker in that folder, in the words of a shell.
    command: String,
}

/// All of them, by their names. A test sees that every folder is one.
static ADAPTERS: LazyLock<Vec<Adapter>> = LazyLock::new(|| {
    let mut adapters: Vec<_> = WORKERS.dirs().filter_map(|folder| Adapter::read(folder).ok()).collect();
    adapters.sort_by_key(|adapter| adapter.name);
    adapters
});

/// The names of all of them, which are their subjects' runtimes.
pub fn names() -> impl Iterator<Item = &'static str> {
    ADAPTERS.iter().map(|adapter| adapter.name)
}

/// The shell command for the worker of a reader in another language, or why there is none. `None` for readers in Rust.
pub fn command(subject: &SubjectId, cache: &Cache) -> Option<Result<String, String>> {
    let adapter = ADAPTERS.iter().find(|adapter| adapter.name == subject.runtime())?;
    let ready = adapter.folder(cache).map_err(|error| error.to_string()).and_then(|folder| {
        if !folder.join(READY).exists() {
            return Err(format!(
                "its environment is not there; `ggauge fetch readers` makes it, with {}",
                adapter.programs.join(" and ")
            ));
        }
        let folder = folder.to_str().ok_or("the cache folder's name is not UTF-8")?;
        Ok(format!("cd {} && {}", quoted(folder), adapter.command))
    });
    Some(ready)
}

/// A reader in another language, and where its environment is or why there is none.
pub type Installed = (&'static str, Result<PathBuf, String>);

/// Makes the environments of readers in other languages, and says of each where it is, or why there is none.
///
/// # Errors
/// Where a program is there and the environment cannot be made.
pub fn install(cache: &Cache) -> Result<Vec<Installed>, Error> {
    ADAPTERS.iter().map(|adapter| Ok((adapter.name, adapter.install(cache)?))).collect()
}

impl Adapter {
    /// What stands in a folder of [`WORKERS`].
    fn read(folder: &'static Dir<'static>) -> Result<Self, String> {
        let text = folder.get_file(folder.path().join("adapter.toml")).and_then(include_dir::File::contents_utf8);
        let adapter: Self = toml::from_str(text.ok_or("there is no adapter.toml")?).map_err(|error| error.to_string())?;
        Ok(Self { name: folder.path().to_str().ok_or("its name is not UTF-8")?, ..adapter })
    }

    /// The files that the environment is made from, with their names.
    fn files(&self) -> impl Iterator<Item = (&str, &'static [u8])> {
        let of_folder = |name| Some((name, WORKERS.get_file(Path::new(self.name).join(name))?.contents()));
        self.files.iter().map(String::as_str).filter_map(of_folder)
    }

    /// Where the environment is: a folder named after what it is made from.
    fn folder(&self, cache: &Cache) -> Result<PathBuf, Error> {
        let all: Vec<u8> = self.files().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let digest = files::digest(&all);
        Ok(cache.readers()?.join(format!("{}-{}", self.name, digest.get(..16).unwrap_or(&digest))))
    }

    fn install(&self, cache: &Cache) -> Result<Result<PathBuf, String>, Error> {
        let folder = self.folder(cache)?;
        if folder.join(READY).exists() {
            return Ok(Ok(folder));
        }
        let all = cache.readers()?;
        for program in &self.programs {
            if !external::is_there(program, &all)? {
                return Ok(Err(format!("unsupported: {program} is not on this machine")));
            }
        }
        let _alone = cache.alone("readers")?;
        // Another ggauge may have made it while this one waited.
        if !folder.join(READY).exists() {
            self.make(&folder)?;
        }
        Ok(Ok(folder))
    }

    fn make(&self, folder: &Path) -> Result<(), Error> {
        let failed = |why: &str| Error::Harness {
            what: format!("making the environment of {}", self.name),
            why: why.into(),
            next: "check the network and run `ggauge fetch readers` again; nothing broken was kept".into(),
        };
        // What an interrupted attempt left.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).map_err(|error| Error::file(folder, &error))?;
        for (name, bytes) in self.files() {
            files::write_whole(&folder.join(name), bytes)?;
        }
        let mut shell = external::program_in_scratch("sh", folder);
        shell.args(["-c", &self.install]);
        if let Err(error) = external::run(shell, failed) {
            let _ = fs::remove_dir_all(folder);
            return Err(error);
        }
        files::write_whole(&folder.join(READY), b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_of_workers_is_an_adapter_with_its_files() {
        assert!(WORKERS.dirs().count() >= 2);
        for folder in WORKERS.dirs() {
            let adapter = Adapter::read(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.path().display()));
            let found: Vec<&str> = adapter.files().map(|(name, _)| name).collect();
            assert_eq!(found, adapter.files, "files of {}", adapter.name);
            assert!(adapter.command.ends_with(&adapter.files[0]), "{} does not run its worker", adapter.name);
            assert!(!adapter.programs.is_empty() && !adapter.install.contains('\n'), "{}", adapter.name);
        }
    }
}
