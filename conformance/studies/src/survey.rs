//! The survey: every vector of `corpora/vectors` through every reader, and who takes what.
//!
//! A cell says what one reader made of one vector. It conforms, or it is covered by a finding in `corpora/vectors/FINDINGS.md`,
//! which names the cause; a finding that covers nothing is stale. Nothing is judged by a reader's words, only by what it did.

use crate::readers::{Column, Operation};
use ::vectors::{Expected, Group, Part, Vector};
use gguf::Rule;
use globset::{Glob, GlobMatcher};
use harness::{
    progress,
    worker::{
        launch::{Launch, WorkerLimits},
        process::Worker,
    },
};
use include_dir::{Dir, include_dir};
use indicatif::ProgressBar;
use machine::{Error, files, interrupt};
use printable::{LONGEST_WORDS, Page, Ruled, cut};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};
use vocabulary::{Contents, Outcome, Settings, Tuning};

static VECTORS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../corpora/vectors");

/// What one vector may take, far more than any needs.
pub const LIMITS: WorkerLimits = WorkerLimits { time: Duration::from_mins(1), memory: 256 << 20 };

/// Every group of vectors, as committed, in the order of a file's parts.
///
/// # Errors
/// Where a file of `corpora/vectors` is malformed.
pub fn groups() -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    for file in VECTORS.files().filter(|file| file.path().extension().is_some_and(|extension| extension == "json")) {
        if file.path() == Path::new("schema.json") {
            continue;
        }
        let shown = format!("corpora/vectors/{}", file.path().display());
        let text = file.contents_utf8().unwrap_or_default();
        let next = "run `cargo run -p vectors`, which writes it";
        groups.push(serde_json::from_str::<Group>(text).map_err(|error| Error::input(shown, error, next))?);
    }
    Ok(groups)
}

/// What a reader did with a vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "did")]
pub enum Did {
    /// It took the file, and read what the others read, as far as it tells.
    Accepted,
    /// It took the file, and read something else than the first reader that took it.
    Differed {
        /// The first difference: the other reader's against this one's.
        difference: String,
    },
    /// It refused the file.
    Rejected {
        /// The class that its layer gives the refusal.
        class: String,
    },
    /// It said that it cannot do this at all.
    Unsupported,
    /// It ended without an answer, hung, or took too much.
    Failed {
        /// How: `aborted`, `crashed (signal 11)`, `timed out`, `out of memory`.
        how: String,
    },
}

/// One cell of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Name of the column.
    pub reader: String,
    /// What the reader was asked.
    pub operation: Operation,
    /// What the reader did.
    #[serde(flatten)]
    pub did: Did,
    /// Its own words, or the end of its log where it ended. Not part of the golden.
    pub words: String,
}

/// One row: a vector and its cells, in the order of the columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `group/name`.
    pub vector: String,
    /// What a reader should do.
    pub result: Expected,
    /// Ids of the rules that the vector breaks.
    pub rules: Vec<String>,
    /// The cells.
    pub cells: Vec<Cell>,
}

impl Row {
    /// True where a cell is as it should be: a valid file taken as the others take it, an invalid one refused, an acceptable one
    /// either. Who reads headers need not know what a model is made of. What a reader says it cannot do is no deviation, and no
    /// proof of anything.
    pub fn conforms(&self, cell: &Cell) -> bool {
        let of_models = !self.rules.is_empty() && self.rules.iter().all(|rule| rule.parse().is_ok_and(Rule::is_about_models));
        match (&cell.did, self.result) {
            // A reader that could not open the file has not judged it.
            (Did::Rejected { class }, _) if class == "unreadable" => false,
            (Did::Accepted, Expected::Invalid) if of_models && cell.operation == Operation::Read => true,
            (Did::Unsupported, _) => true,
            (Did::Accepted, result) => result != Expected::Invalid,
            (Did::Rejected { .. }, result) => result != Expected::Valid,
            (Did::Differed { .. } | Did::Failed { .. }, _) => false,
        }
    }

    /// The cell of a reader.
    pub fn cell(&self, reader: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.reader == reader)
    }
}

/// What a worker said, before readers are compared.
struct Answer {
    outcome: Result<Option<Contents>, Outcome>,
    log: String,
}

/// Runs every vector through every column. Columns run beside each other, vectors within one after another.
///
/// # Errors
/// Where a file or a process cannot be made, or the user interrupted.
pub fn survey(
    groups: &[Group],
    columns: &[(Column, Option<String>)],
    program: &Path,
    scratch: &Path,
    progress: &ProgressBar,
) -> Result<Vec<Row>, Error> {
    let vectors: Vec<(String, &Vector)> =
        groups.iter().flat_map(|group| group.tests.iter().map(|v| (format!("{}/{}", group.group, v.name), v))).collect();
    let mut paths = Vec::new();
    for (index, (_, vector)) in vectors.iter().enumerate() {
        interrupt::check()?;
        let folder = scratch.join(format!("vector-{index}"));
        write(vector, &folder).map_err(|error| Error::file(&folder, &error))?;
        paths.push(folder.join(vector.files.first().map_or("model.gguf", |file| file.name.as_str())));
    }
    progress::count(progress, (columns.len() * vectors.len()) as u64);

    let next = Mutex::new(0..columns.len());
    let answers: Mutex<BTreeMap<usize, Result<Vec<Answer>, Error>>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(columns.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(index) = next.lock().ok().and_then(|mut next| next.next()) {
                    let (column, command) = &columns[index];
                    let answered = ask(column, command.clone(), program, scratch, &paths, progress);
                    if let Ok(mut answers) = answers.lock() {
                        answers.insert(index, answered);
                    }
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_default();
    let mut by_column = Vec::new();
    for (index, (column, _)) in columns.iter().enumerate() {
        let lost = || Error::Harness {
            what: format!("the survey of {}", column.name),
            why: "its thread ended without an answer".into(),
            next: "run it again, and report this as a bug if it comes back".into(),
        };
        by_column.push(answers.remove(&index).ok_or_else(lost)??.into_iter());
    }
    let row = |(name, vector): (String, &Vector)| {
        let of_vector = by_column.iter_mut().map(Iterator::next);
        let cells = columns.iter().zip(of_vector).filter_map(|((column, _), answer)| Some((column, answer?)));
        Row { vector: name, result: vector.result, rules: vector.rules.clone(), cells: compare(cells) }
    };
    Ok(vectors.into_iter().map(row).collect())
}

fn ask(
    column: &Column,
    command: Option<String>,
    program: &Path,
    scratch: &Path,
    paths: &[PathBuf],
    progress: &ProgressBar,
) -> Result<Vec<Answer>, Error> {
    let launch = Launch {
        subject: column.subject.clone(),
        settings: Settings::Default,
        tuning: Tuning::default(),
        program: program.into(),
        command,
    };
    let stderr = scratch.join(format!("{}.log", column.name.replace(' ', "-")));
    let mut worker = Worker::new(launch, LIMITS, stderr);
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

/// Turns answers into cells: what a reader took is held against what the first reader took that took the file at all.
fn compare<'a>(answers: impl Iterator<Item = (&'a Column, Answer)>) -> Vec<Cell> {
    let mut first: Option<Contents> = None;
    let mut cells = Vec::new();
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
        cells.push(Cell { reader: column.name.into(), operation: column.operation, did, words });
    }
    cells
}

/// Writes the files of every vector below `folder`, as `GROUP/NAME/FILE`, and gives their number.
///
/// # Errors
/// Where they cannot be written.
pub fn write_all(groups: &[Group], folder: &Path) -> Result<usize, Error> {
    let mut count = 0;
    for (group, vector) in groups.iter().flat_map(|group| group.tests.iter().map(move |vector| (group, vector))) {
        interrupt::check()?;
        let folder = folder.join(&group.group).join(&vector.name);
        write(vector, &folder).map_err(|error| Error::file(&folder, &error))?;
        count += 1;
    }
    Ok(count)
}

/// Writes a vector's files; runs of zeros become holes, so that a file of gigabytes takes no room.
fn write(vector: &Vector, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for described in &vector.files {
        let mut file = BufWriter::new(files::beside(folder)?);
        for part in &described.parts {
            match part {
                Part::Zeros(len) => drop(file.seek(SeekFrom::Current(*len as i64))?),
                part => part.write(&mut file)?,
            }
        }
        // The end may be a hole.
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().set_len(described.size)?;
        file.persist(folder.join(&described.name))?;
    }
    Ok(())
}

/// An entry of `FINDINGS.md`: which cells it covers.
pub struct Finding {
    /// Its id, the first word of its heading.
    pub id: String,
    readers: Vec<GlobMatcher>,
    vectors: Vec<GlobMatcher>,
    /// What the reader does: `accepts`, `differs`, `rejects` or `fails`. An explanation of one is no excuse for another.
    does: Vec<String>,
}

impl Finding {
    /// Every finding in a text: a heading `### ID ...`, and below it lines `- readers:`, `- vectors:` with globs and `- does:`
    /// with what the reader does, whose items stand in backquotes, and a line `- cause:`.
    ///
    /// # Errors
    /// Where an entry lacks one of its lines, or a pattern is malformed.
    pub fn read_all(text: &str, shown: &str) -> Result<Vec<Self>, Error> {
        let wrong = |id: &str, why: String| Error::input(format!("{shown}, {id}"), why, "correct the entry");
        let mut findings: Vec<Self> = Vec::new();
        for entry in text.split("\n### ").skip(1) {
            let id = entry.split_whitespace().next().unwrap_or_default().to_owned();
            let items = |label: &str| -> Result<Vec<&str>, Error> {
                let line = entry.lines().find_map(|line| line.strip_prefix(&format!("- {label}: ")));
                let line = line.ok_or_else(|| wrong(&id, format!("it has no line `- {label}: ...`")))?;
                // What stands between backquotes is every other piece.
                Ok(line.split('`').skip(1).step_by(2).collect())
            };
            let patterns = |label: &str| -> Result<Vec<GlobMatcher>, Error> {
                let glob = |text: &str| Ok(Glob::new(text).map_err(|error| wrong(&id, error.to_string()))?.compile_matcher());
                items(label)?.into_iter().map(glob).collect()
            };
            let does: Vec<String> = items("does")?.into_iter().map(str::to_owned).collect();
            if let Some(unknown) = does.iter().find(|does| !DEVIATIONS.contains(&does.as_str())) {
                return Err(wrong(&id, format!("`{unknown}` is none of {}", DEVIATIONS.join(", "))));
            }
            findings.push(Self { readers: patterns("readers")?, vectors: patterns("vectors")?, does, id: id.clone() });
            if !entry.lines().any(|line| line.starts_with("- cause: ")) {
                return Err(wrong(&id, "it has no line `- cause: ...`".into()));
            }
        }
        Ok(findings)
    }

    /// The findings that ship with ggauge.
    ///
    /// # Errors
    /// As [`Finding::read_all`].
    pub fn shipped() -> Result<Vec<Self>, Error> {
        let text = VECTORS.get_file("FINDINGS.md").and_then(|file| file.contents_utf8()).unwrap_or_default();
        Self::read_all(text, "corpora/vectors/FINDINGS.md")
    }

    /// True where this finding is about what a reader did with a vector.
    pub fn covers(&self, cell: &Cell, vector: &str) -> bool {
        let does = self.does.iter().any(|does| deviation(&cell.did) == Some(does));
        does && self.is_about(&cell.reader) && self.vectors.iter().any(|pattern| pattern.is_match(vector))
    }

    fn is_about(&self, reader: &str) -> bool {
        self.readers.iter().any(|pattern| pattern.is_match(reader))
    }
}

/// What a reader can do that needs a finding.
const DEVIATIONS: [&str; 4] = ["accepts", "differs", "rejects", "fails"];

/// What a reader did, as findings call it.
fn deviation(did: &Did) -> Option<&'static str> {
    match did {
        Did::Accepted => Some("accepts"),
        Did::Differed { .. } => Some("differs"),
        Did::Rejected { .. } => Some("rejects"),
        Did::Failed { .. } => Some("fails"),
        Did::Unsupported => None,
    }
}

/// What the survey says of the findings: deviations that none covers, and findings that cover none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// `reader: vector: what it did`, for every deviation without a finding.
    pub unexplained: Vec<String>,
    /// Ids of findings that no deviation needs any more, of those whose readers and vectors were all surveyed.
    pub stale: Vec<String>,
    /// How many deviations there are.
    pub deviations: usize,
}

/// Holds the rows against the findings. A finding is stale only where everything that it is about was surveyed: `whole` says that
/// every vector was, and `absent` names the readers that were not.
pub fn coverage(rows: &[Row], findings: &[Finding], whole: bool, absent: &[&str]) -> Coverage {
    let mut coverage = Coverage::default();
    let mut used = vec![false; findings.len()];
    for row in rows {
        for cell in row.cells.iter().filter(|cell| !row.conforms(cell)) {
            coverage.deviations += 1;
            let mut covered = false;
            for (finding, used) in findings.iter().zip(&mut used) {
                if finding.covers(cell, &row.vector) {
                    (covered, *used) = (true, true);
                }
            }
            if !covered {
                coverage.unexplained.push(format!("{}: {}: {}", cell.reader, row.vector, describe(&cell.did)));
            }
        }
    }
    let surveyed = |finding: &Finding| whole && !absent.iter().any(|reader| finding.is_about(reader));
    let stale = findings.iter().zip(used).filter(|(finding, used)| !used && surveyed(finding));
    coverage.stale = stale.map(|(finding, _)| finding.id.clone()).collect();
    coverage
}

/// What a reader did, in words.
pub fn describe(did: &Did) -> String {
    match did {
        Did::Accepted => "accepts".into(),
        Did::Differed { difference } => format!("accepts, and reads something else: {difference}"),
        Did::Rejected { class } => format!("rejects ({class})"),
        Did::Unsupported => "unsupported".into(),
        Did::Failed { how } => how.clone(),
    }
}

/// The survey for people: totals of each reader, and what no finding explains; with `verbose`, every vector.
pub fn report(rows: &[Row], coverage: &Coverage, absent: &[(&str, String)], verbose: bool) -> Page {
    let mut out = Page::default();
    if verbose {
        out.append(&table(rows));
        for line in ["", "", LEGEND, ""] {
            writeln!(out, "{line}");
        }
    }
    let header = [
        "reader",
        "accepts valid",
        "refuses invalid",
        "accepts invalid",
        "refuses valid",
        "reads otherwise",
        "fails",
        "unsupported",
    ];
    let mut drawn = Ruled::new(header);
    for reader in rows.first().into_iter().flat_map(|row| &row.cells).map(|cell| &cell.reader) {
        let count = |fits: &dyn Fn(&Did, Expected) -> bool| {
            let fits = |row: &&Row| row.cell(reader).is_some_and(|cell| fits(&cell.did, row.result));
            rows.iter().filter(fits).count().to_string()
        };
        let (valid, invalid) = (Expected::Valid, Expected::Invalid);
        let refused = |did: &Did| matches!(did, Did::Rejected { .. });
        drawn.row([
            reader.clone(),
            count(&|did, result| *did == Did::Accepted && result == valid),
            count(&|did, result| refused(did) && result == invalid),
            count(&|did, result| *did == Did::Accepted && result == invalid),
            count(&|did, result| refused(did) && result == valid),
            count(&|did, _| matches!(did, Did::Differed { .. })),
            count(&|did, _| matches!(did, Did::Failed { .. })),
            count(&|did, _| *did == Did::Unsupported),
        ]);
    }
    drawn.right(1..header.len());
    for line in drawn.to_string().lines() {
        writeln!(out, "{}", line.trim_end());
    }
    out.blank();
    for (reader, why) in absent {
        writeln!(out, "{reader}: {why}");
    }
    let explained = coverage.deviations - coverage.unexplained.len();
    writeln!(
        out,
        "{} vectors, {} deviations, {explained} of them explained in corpora/vectors/FINDINGS.md",
        rows.len(),
        coverage.deviations
    );
    for line in &coverage.unexplained {
        writeln!(out, "unexplained: {line}");
    }
    for id in &coverage.stale {
        writeln!(out, "stale: {id} explains nothing any more; delete it");
    }
    if !coverage.unexplained.is_empty() {
        out.next("", "find the cause in the reader's source, and write the finding into corpora/vectors/FINDINGS.md");
    }
    out
}

/// What a reader did, in a few characters.
pub fn mark(did: &Did) -> String {
    match did {
        Did::Accepted => "yes".into(),
        Did::Differed { .. } => "other".into(),
        Did::Rejected { class } if class == "malformed" => "no".into(),
        Did::Rejected { class } => format!("no ({class})"),
        Did::Unsupported => "-".into(),
        Did::Failed { how } => how.to_uppercase(),
    }
}

/// What the marks of [`table`] mean.
pub const LEGEND: &str = "yes: accepts; other: accepts, and reads something else than the first reader that accepts; no: rejects (its \
class, where it is not malformed); -: says that it cannot do this; CAPITALS: ended, hung, or took too much. ! marks what does not \
conform.";

/// The table of some rows, with the differences below it: plain text, the same wherever it is made.
pub fn table(rows: &[Row]) -> Page {
    let mut out = Page::default();
    let Some(first) = rows.first() else { return out };
    let marked = |row: &Row, cell: &Cell| format!("{}{}", mark(&cell.did), if row.conforms(cell) { "" } else { " !" });
    let mut lines: Vec<Vec<String>> = vec![["vector", "should be"].map(str::to_owned).to_vec()];
    lines[0].extend(first.cells.iter().map(|cell| cell.reader.clone()));
    for row in rows {
        let mut line = vec![row.vector.clone(), row.result.name().to_owned()];
        line.extend(row.cells.iter().map(|cell| marked(row, cell)));
        lines.push(line);
    }
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(text, &width)| format!("{text:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end());
    }
    let differences = rows.iter().flat_map(|row| row.cells.iter().map(move |cell| (row, cell)));
    for (row, cell) in differences {
        if let Did::Differed { difference } = &cell.did {
            out.blank();
            write!(out, "{} reads {}: {}", cell.reader, row.vector, difference);
        }
    }
    out
}
