//! The folder that a Record lies in, with what stands beside it.
#![expect(clippy::disallowed_methods, reason = "the one place where a Record meets a disk")]

use crate::{Record, SCHEMA, Timings};
use machine::{Error, cache::Cache, files, lock, scratch, small};
use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What tells a Record of another version.
#[derive(Deserialize)]
struct Head {
    schema: u32,
}

/// Reads a Record: `record.json`, or the folder it is in.
///
/// # Errors
/// Where it cannot be read, is none, or was written by another version of ggauge.
pub fn read(path: &Path) -> Result<Record, Error> {
    let file = if path.is_dir() { path.join("record.json") } else { path.to_owned() };
    let next = "give the folder that `ggauge run --record FOLDER` wrote, or the record.json in it";
    let json = small::read(&file).map_err(|error| Error::input(file.display(), error, next))?;
    let head: Head = serde_json::from_slice(&json).map_err(|error| Error::input(file.display(), error, next))?;
    if head.schema != SCHEMA {
        let why = format!("a Record of schema {}, where this ggauge reads {SCHEMA}", head.schema);
        return Err(Error::input(
            file.display(),
            why,
            "run the same again with this ggauge, or compare with the one that wrote it",
        ));
    }
    serde_json::from_slice(&json).map_err(|error| Error::input(file.display(), error, next))
}

/// What a run leaves in a folder.
pub struct Folder<'a> {
    /// The Record.
    pub record: &'a Record,
    /// What the run cost.
    pub timings: &'a Timings,
    /// The names of workers, and what each wrote to stderr.
    pub logs: &'a [(String, PathBuf)],
    /// The Record as SVG.
    pub picture: &'a str,
}

/// The folder of logs in a Record's folder.
const LOGS: &str = "logs";
/// The other files, in the order in which they are replaced.
const TIMINGS: &str = "timings.json";
const FILES: [&str; 3] = [TIMINGS, "report.svg", "record.json"];

impl Folder<'_> {
    /// Writes all of it into the cache's folder for Records, under a name there: as a whole, so that none of it is of another run at the same time.
    /// What was there before moves to the other name, where one is given, and goes where there is none.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn write_own(&self, cache: &Cache, name: &str, before: Option<&str>) -> Result<PathBuf, Error> {
        let records = cache.records()?;
        let new = scratch::temporary(&records, ".ggauge-record")?;
        let whole = new.path().join("record");
        self.fill(&whole)?;
        let _alone = cache.alone("records")?;
        // What is in the way goes with the temporary folder.
        let older = new.path().join("older");
        let place = records.join(name);
        match before.map(|name| records.join(name)) {
            Some(before) => move_where_there(&before, &older).and_then(|()| move_where_there(&place, &before)),
            None => move_where_there(&place, &older),
        }
        .and_then(|()| fs::rename(&whole, &place))
        .map_err(|error| Error::file(&place, &error))?;
        Ok(place)
    }

    /// Writes all of it into a folder of the user's, which is made if it is missing. What an earlier run left there is replaced, and nothing else is
    /// touched: what is a link there is not followed.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| Error::file(path, &error)
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let _alone = lock::alone(folder)?;
        let new = scratch::temporary(folder, ".ggauge-record")?;
        let whole = new.path().join("record");
        self.fill(&whole)?;
        let logs = folder.join(LOGS);
        if fs::symlink_metadata(&logs).is_ok_and(|metadata| metadata.is_symlink()) {
            fs::remove_file(&logs).map_err(failed(&logs))?;
        }
        fs::create_dir_all(&logs).map_err(failed(&logs))?;
        for name in logs_of_an_earlier_run(folder) {
            let _ = fs::remove_file(logs.join(name));
        }
        for (name, _) in self.logs {
            let name = log_name(name);
            let to = logs.join(&name);
            fs::rename(whole.join(LOGS).join(&name), &to).map_err(failed(&to))?;
        }
        for name in FILES {
            let to = folder.join(name);
            fs::rename(whole.join(name), &to).map_err(failed(&to))?;
        }
        Ok(())
    }

    /// Writes all of it into a folder that is not there yet.
    fn fill(&self, folder: &Path) -> Result<(), Error> {
        let logs = folder.join(LOGS);
        fs::create_dir_all(&logs).map_err(|error| Error::file(&logs, &error))?;
        for (name, path) in self.logs {
            let to = logs.join(log_name(name));
            fs::copy(path, &to).map_err(|error| Error::file(&to, &error))?;
        }
        let logs = self.logs.iter().map(|(name, _)| log_name(name)).collect();
        let timings = serde_json::to_string_pretty(&Timings { logs, ..self.timings.clone() }).unwrap_or_default();
        let record = self.record.to_json()?;
        for (name, text) in FILES.into_iter().zip([timings.as_str(), self.picture, record.as_str()]) {
            files::write_whole(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

fn log_name(worker: &str) -> String {
    format!("{worker}.log")
}

/// Only what an earlier run says that it wrote, and only where that is a name and no path.
fn logs_of_an_earlier_run(folder: &Path) -> Vec<String> {
    let timings = small::read(&folder.join(TIMINGS)).ok().and_then(|json| serde_json::from_slice::<Timings>(&json).ok());
    let mut logs = timings.unwrap_or_default().logs;
    let is_log = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "log");
    logs.retain(|name| name.contains('@') && is_log(name) && !name.contains('/'));
    logs
}

/// Renames what is there, a link itself rather than what it leads to.
fn move_where_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
