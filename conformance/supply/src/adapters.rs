//! Adapters: GGUF readers in other languages, each a worker that speaks the protocol, with an environment that `ggauge fetch readers` makes in
//! the cache.
//!
//! To add one, add its worker to a folder of `conformance/readers` and its row to [`ADAPTERS`].

use machine::{Error, cache::Cache, external, files};
use printable::quoted;
use std::{
    fs,
    path::{Path, PathBuf},
};
use vocabulary::SubjectId;

/// Stands in an environment that is complete.
const READY: &str = "ready";

/// A reader in another language.
struct Adapter {
    /// The subject's name.
    name: &'static str,
    /// The programs that make and run it, which must be on the PATH.
    programs: &'static [&'static str],
    /// The files that its environment is made from; the first is the worker.
    files: &'static [(&'static str, &'static str)],
    /// Makes the environment in the folder that the files are in.
    install: &'static str,
    /// Runs the worker in that folder.
    command: &'static str,
}

const ADAPTERS: [Adapter; 2] = [
    Adapter {
        name: "gguf-py",
        programs: &["python3"],
        files: &[
            ("worker.py", include_str!("../../readers/python/worker.py")),
            ("requirements.txt", include_str!("../../readers/python/requirements.txt")),
        ],
        install: "python3 -I -m venv environment && environment/bin/python -I -m pip install --quiet --disable-pip-version-check \
                  --require-hashes --only-binary=:all: --requirement requirements.txt",
        // Isolated from the user's own packages and variables: it is the pinned release that is measured.
        command: "exec environment/bin/python -I worker.py",
    },
    Adapter {
        name: "huggingface-gguf",
        programs: &["node", "npm"],
        files: &[
            ("worker.mjs", include_str!("../../readers/node/worker.mjs")),
            ("package.json", include_str!("../../readers/node/package.json")),
            ("package-lock.json", include_str!("../../readers/node/package-lock.json")),
        ],
        install: "npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error",
        command: "exec node worker.mjs",
    },
];

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
    /// Where the environment is: a folder named after what it is made from.
    fn folder(&self, cache: &Cache) -> Result<PathBuf, Error> {
        let all: Vec<u8> = self.files.iter().flat_map(|(_, text)| text.bytes()).collect();
        let digest = files::digest(&all);
        Ok(cache.readers()?.join(format!("{}-{}", self.name, digest.get(..16).unwrap_or(&digest))))
    }

    fn install(&self, cache: &Cache) -> Result<Result<PathBuf, String>, Error> {
        let folder = self.folder(cache)?;
        if folder.join(READY).exists() {
            return Ok(Ok(folder));
        }
        let all = cache.readers()?;
        for program in self.programs {
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
        for (name, text) in self.files {
            files::write_whole(&folder.join(name), text.as_bytes())?;
        }
        let mut shell = external::program_in_scratch("sh", folder);
        shell.args(["-c", self.install]);
        if let Err(error) = external::run(shell, failed) {
            let _ = fs::remove_dir_all(folder);
            return Err(error);
        }
        files::write_whole(&folder.join(READY), b"")
    }
}
