//! The GGUF readers that the vectors measure: ours, the runtimes', and other people's.
//!
//! Each runs in a worker of its own. Readers in Rust are subjects of `ggauge worker`; those in other languages are programs that
//! speak the worker protocol, with an environment that `ggauge fetch readers` makes in the cache.
//!
//! To add a reader in Rust, add its layer to `conformance/readers`; in another language, add its worker there and its row to
//! [`FOREIGN`]. Both appear in [`columns`].

use machine::{Error, cache::Cache, external, files};
use printable::quoted;
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};
use vocabulary::SubjectId;

/// What a reader is asked to do with a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Read the header, metadata and tensor table.
    Read,
    /// Load the model.
    Load,
}

/// A column of the table of vectors: a reader, and what it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The column's name, as findings name it.
    pub name: &'static str,
    /// The reader.
    pub subject: SubjectId,
    /// What it is asked.
    pub operation: Operation,
}

/// A reader in another language.
struct Foreign {
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

const FOREIGN: [Foreign; 2] = [
    Foreign {
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
    Foreign {
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

/// Every column, in the order of the table.
///
/// # Panics
/// Never: the names are fit for ids, which a test shows.
pub fn columns() -> Vec<Column> {
    use Operation::{Load, Read};
    let column = |name, runtime: &str, device: &str, operation| Column {
        name,
        subject: SubjectId::new(runtime, device).expect("the names of readers are fit for ids"),
        operation,
    };
    let mut columns = vec![
        column("strict", "ggauge", "strict", Read),
        column("lenient", "ggauge", "lenient", Read),
        column("llama.cpp", "llama-cpp", "cpu", Read),
        column("llama.cpp load", "llama-cpp", "cpu", Load),
        column("candle", "candle", "cpu", Read),
        column("candle load", "candle", "cpu", Load),
    ];
    columns.extend(readers::NAMES.map(|name| column(name, name, "cpu", Read)));
    columns.extend(FOREIGN.iter().map(|foreign| column(foreign.name, foreign.name, "cpu", Read)));
    columns
}

/// The columns of these names, or all of them.
///
/// # Errors
/// Where there is no column of a name.
pub fn chosen(names: &[String]) -> Result<Vec<Column>, Error> {
    let mut columns = columns();
    if let Some(name) = names.iter().find(|name| !columns.iter().any(|column| column.name == name.as_str())) {
        let known: Vec<_> = columns.iter().map(|column| format!("'{}'", column.name)).collect();
        return Err(Error::input(name, "there is no reader of that name", format!("take one of {}", known.join(", "))));
    }
    columns.retain(|column| names.is_empty() || names.iter().any(|name| name == column.name));
    Ok(columns)
}

/// The shell command for the worker of a reader in another language, or why there is none. `None` for readers in Rust.
pub fn command(subject: &SubjectId, cache: &Cache) -> Option<Result<String, String>> {
    let foreign = FOREIGN.iter().find(|foreign| foreign.name == subject.runtime())?;
    let ready = foreign.folder(cache).map_err(|error| error.to_string()).and_then(|folder| {
        if !folder.join(READY).exists() {
            return Err(format!(
                "its environment is not there; `ggauge fetch readers` makes it, with {}",
                foreign.programs.join(" and ")
            ));
        }
        let folder = folder.to_str().ok_or("the cache folder's name is not UTF-8")?;
        Ok(format!("cd {} && {}", quoted(folder), foreign.command))
    });
    Some(ready)
}

/// Stands in an environment that is complete.
const READY: &str = "ready";

impl Foreign {
    /// Where the environment is: a folder named after what it is made from.
    fn folder(&self, cache: &Cache) -> Result<PathBuf, Error> {
        let all: Vec<u8> = self.files.iter().flat_map(|(_, text)| text.bytes()).collect();
        let digest = files::digest(&all);
        Ok(cache.readers()?.join(format!("{}-{}", self.name, &digest[..16])))
    }
}

/// A reader in another language, and where its environment is or why there is none.
pub type Installed = (&'static str, Result<PathBuf, String>);

/// Makes the environments of readers in other languages, and says of each where it is, or why there is none.
///
/// # Errors
/// Where a program is there and the environment cannot be made.
pub fn install(cache: &Cache) -> Result<Vec<Installed>, Error> {
    FOREIGN
        .iter()
        .map(|foreign| {
            let folder = foreign.folder(cache)?;
            if folder.join(READY).exists() {
                return Ok((foreign.name, Ok(folder)));
            }
            let all = cache.readers()?;
            for program in foreign.programs {
                if !external::is_there(program, &all)? {
                    return Ok((foreign.name, Err(format!("unsupported: {program} is not on this machine"))));
                }
            }
            let _alone = cache.alone("readers")?;
            // Another ggauge may have made it while this one waited.
            if !folder.join(READY).exists() {
                foreign.make(&folder)?;
            }
            Ok((foreign.name, Ok(folder)))
        })
        .collect()
}

impl Foreign {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_names_of_their_own() {
        let columns = columns();
        let mut names: Vec<_> = columns.iter().map(|column| column.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), columns.len());
        for column in columns {
            assert_eq!(column.subject.to_string().parse::<SubjectId>().unwrap(), column.subject);
        }
    }
}
