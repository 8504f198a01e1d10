//! The survey of GGUF readers: every vector of `corpora/vectors` through every reader, ours, the runtimes', and other people's, and who takes
//! what. Nothing is judged by a reader's words, only by what it did.
//!
//! Each runs in a worker of its own. Readers in Rust are subjects of `ggauge worker`; those in other languages are [`adapters`].
//!
//! To add a reader in Rust, add its layer to `conformance/readers`; in another language, its folder to
//! `conformance/workers`. Both appear in [`columns`].

use crate::vector_files;
use ::vectors::{Expected, Group, Vector};
use gguf::Rule;
use harness::{
    progress,
    worker::{
        launch::{Launch, WorkerLimits},
        process::Worker,
    },
};
use indicatif::ProgressBar;
use machine::{Error, interrupt};
use printable::{LONGEST_WORDS, cut};
use rayon::prelude::*;
use record::readers::{Did, Operation, Stated, VectorCell, VectorRow};
use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};
use supply::adapters;
use vocabulary::{Contents, Outcome, Settings, SubjectId, Tuning};

/// What one vector may take, far more than any needs.
pub const LIMITS: WorkerLimits = WorkerLimits { time: Duration::from_mins(1), memory: 256 << 20 };

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
    columns.extend(adapters::names().map(|name| column(name, name, "cpu", Read)));
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

/// What a vector states, as Records have it.
pub fn stated(expected: Expected) -> Stated {
    match expected {
        Expected::Valid => Stated::Valid,
        Expected::Invalid => Stated::Invalid,
        Expected::Acceptable => Stated::Acceptable,
    }
}

/// True where what a reader did is as it should be: a valid file taken as the others take it, an invalid one refused, an acceptable one
/// either. Who reads headers need not know what a model is made of. What a reader says it cannot do is no deviation, and no
/// proof of anything. `rules` are the ids of those that the vector breaks.
pub fn conforms(stated: Stated, rules: &[String], operation: Operation, did: &Did) -> bool {
    let of_models = !rules.is_empty() && rules.iter().all(|rule| rule.parse().is_ok_and(Rule::is_about_models));
    match (did, stated) {
        // A reader that could not open the file has not judged it.
        (Did::Rejected { class }, _) if class == "unreadable" => false,
        (Did::Accepted, Stated::Invalid) if of_models && operation == Operation::Read => true,
        (Did::Unsupported, _) => true,
        (Did::Accepted, stated) => stated != Stated::Invalid,
        (Did::Rejected { .. }, stated) => stated != Stated::Valid,
        (Did::Differed { .. } | Did::Failed { .. }, _) => false,
    }
}

/// What a worker said, before readers are compared.
struct Answer {
    outcome: Result<Option<Contents>, Outcome>,
    log: String,
}

/// Runs every vector through every column. Columns, each with the shell command of its worker where that is not `program`, run beside each
/// other, vectors within one after another.
///
/// # Errors
/// Where a file or a process cannot be made, or the user interrupted.
pub fn survey(
    groups: &[Group],
    columns: &[(Column, Option<String>)],
    program: &Path,
    scratch: &Path,
    progress: &ProgressBar,
) -> Result<Vec<VectorRow>, Error> {
    let vectors: Vec<(String, &Vector)> =
        groups.iter().flat_map(|group| group.tests.iter().map(|v| (format!("{}/{}", group.group, v.name), v))).collect();
    let mut paths = Vec::new();
    for (index, (_, vector)) in vectors.iter().enumerate() {
        interrupt::check()?;
        let folder = scratch.join(format!("vector-{index}"));
        vector_files::write(vector, &folder).map_err(|error| Error::file(&folder, &error))?;
        paths.push(folder.join(vector.files.first().map_or("model.gguf", |file| file.name.as_str())));
    }
    progress::count(progress, (columns.len() * vectors.len()) as u64);

    let of_column = |(column, command): &(Column, Option<String>)| {
        let launch = Launch {
            subject: column.subject.clone(),
            settings: Settings::Default,
            tuning: Tuning::default(),
            program: program.into(),
            command: command.clone(),
        };
        let stderr = scratch.join(format!("{}.log", column.name.replace(' ', "-")));
        ask(column, Worker::new(launch, LIMITS, stderr), &paths, progress)
    };
    // One at a time: no thread may be left with several slow ones.
    let answers: Vec<Result<Vec<Answer>, Error>> = columns.par_iter().with_max_len(1).map(of_column).collect();
    let mut by_column = Vec::new();
    for answers in answers {
        by_column.push(answers?.into_iter());
    }
    let row = |(name, vector): (String, &Vector)| {
        let of_vector = by_column.iter_mut().map(Iterator::next);
        let answers = columns.iter().zip(of_vector).filter_map(|((column, _), answer)| Some((column, answer?)));
        let (result, rules) = (stated(vector.result), vector.rules.clone());
        let cell = |(column, did, words): (&Column, Did, String)| VectorCell {
            reader: column.name.into(),
            operation: column.operation,
            conforms: conforms(result, &rules, column.operation, &did),
            did,
            words,
        };
        let cells = compare(answers).into_iter().map(cell).collect();
        VectorRow { vector: name, result, rules, cells }
    };
    Ok(vectors.into_iter().map(row).collect())
}

/// Asks one reader for every vector.
fn ask(column: &Column, mut worker: Worker, paths: &[PathBuf], progress: &ProgressBar) -> Result<Vec<Answer>, Error> {
    // A worker that cannot start says nothing of any vector.
    if let Err(outcome) = worker.start()? {
        return Err(Error::Harness {
            what: format!("the worker of {}", column.name),
            why: format!("{}: {}", outcome.summary(), end_of_log(worker.stderr(), 0).unwrap_or_default()),
            next: "run `ggauge fetch readers` after deleting the folder `readers` of the cache, or leave it out with --reader"
                .into(),
        });
    }
    let mut answers = Vec::new();
    for path in paths {
        interrupt::check()?;
        let logged = fs::metadata(worker.stderr()).map_or(0, |metadata| metadata.len());
        let outcome = match column.operation {
            Operation::Read => worker.read(path)?.map(Some),
            Operation::Load => worker.load(path)?.map(|_| None),
        };
        let log = match &outcome {
            Ok(_) | Err(Outcome::Rejected(_) | Outcome::Unsupported { .. }) => String::new(),
            Err(_) => end_of_log(worker.stderr(), logged).unwrap_or_default(),
        };
        answers.push(Answer { outcome, log });
        progress.inc(1);
    }
    worker.stop();
    Ok(answers)
}

/// The last lines that a worker wrote since its log had `from` bytes.
fn end_of_log(path: &Path, from: u64) -> io::Result<String> {
    const MOST: u64 = 4096;
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.max(len.saturating_sub(MOST))))?;
    let mut end = Vec::new();
    file.take(MOST).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).trim().to_owned())
}

/// What each reader did, and its words: what a reader took is held against what the first reader took that took the file at all.
fn compare<'a>(answers: impl Iterator<Item = (&'a Column, Answer)>) -> Vec<(&'a Column, Did, String)> {
    let mut first: Option<Contents> = None;
    let mut readings = Vec::new();
    for (column, Answer { outcome, log }) in answers {
        let mut words = log;
        let did = match outcome {
            Ok(None) => Did::Accepted,
            Ok(Some(contents)) => match &first {
                None => {
                    first = Some(contents);
                    Did::Accepted
                }
                Some(first) => first.difference(&contents).map_or(Did::Accepted, |difference| Did::Differed {
                    difference: cut(&difference, LONGEST_WORDS).into_owned(),
                }),
            },
            Err(Outcome::Rejected(rejection)) => {
                words = rejection.message;
                Did::Rejected { class: rejection.class.name().into() }
            }
            Err(Outcome::Unsupported { reason }) => {
                words = reason;
                Did::Unsupported
            }
            Err(Outcome::TimedOut { .. }) => Did::Failed { how: "timed out".into() },
            Err(Outcome::OutOfMemory { .. }) => Did::Failed { how: "out of memory".into() },
            Err(outcome) => Did::Failed { how: outcome.summary() },
        };
        readings.push((column, did, words));
    }
    readings
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
