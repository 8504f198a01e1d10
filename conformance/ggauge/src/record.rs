//! The Record: everything a run found out, and nothing that differs between two runs of the same thing.
//!
//! `record.json` is the same to the byte when nothing changed. Times, memory and CPU load stand beside it in `timings.json`, what
//! the workers wrote to stderr in `logs/`.

use crate::{
    Error,
    cache::{self, Cache},
    models::Model,
    oracle::Scale,
    printable,
    relation::Relation,
    small,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use vocabulary::{Description, Outcome, Settings, SubjectId, Verdict};

/// Version of the Record's layout.
pub const SCHEMA: u32 = 3;

/// What a comparison comes to once expectations are known. Only this sets the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// Within its limits.
    Pass,
    /// Outside its limits, or not completed.
    Fail,
    /// Fails the way an expectation says.
    ExpectedFail,
    /// An expectation says it fails, and it does not.
    UnexpectedPass,
    /// The subject cannot do this; its words are kept.
    Unsupported,
    /// Nothing was compared.
    Vacuous,
}

impl Judgement {
    /// Every judgement, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Pass, Self::ExpectedFail, Self::Unsupported, Self::UnexpectedPass, Self::Vacuous, Self::Fail];

    /// The words reports use.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::ExpectedFail => "expected fail",
            Self::UnexpectedPass => "UNEXPECTED PASS",
            Self::Unsupported => "unsupported",
            Self::Vacuous => "VACUOUS",
        }
    }

    /// True when the run must not succeed.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Fail | Self::UnexpectedPass | Self::Vacuous)
    }

    /// True when something was compared and found as it should be.
    pub fn is_judged(self) -> bool {
        !matches!(self, Self::Unsupported)
    }
}

/// A subject that took part, or could not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectRecord {
    /// The subject.
    pub subject: SubjectId,
    /// Its settings.
    pub settings: Settings,
    /// What it said of itself.
    pub description: Description,
    /// Why it could not take part, where it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// The case's id.
    pub id: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// sha256 of the transcript, where there is one: equal where every bit of every logit is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logits: Option<String>,
}

/// Which oracle spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oracle {
    /// A subject against the truth.
    Reference,
    /// Two subjects against each other.
    Differential,
    /// A subject against itself, under a change that must not matter.
    Metamorphic,
}

/// One comparison and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonRecord {
    /// The case's id; for two subjects the id with both, joined by `~`; for a relation the id and its name, joined the same way.
    pub id: String,
    /// Which oracle.
    pub oracle: Oracle,
    /// Name of the model.
    pub model: String,
    /// Weight type in the ids.
    pub weights: String,
    /// Name of the prompt.
    pub prompt: String,
    /// How it was fed.
    pub schedule: vocabulary::Schedule,
    /// How exactly was computed.
    pub settings: Settings,
    /// The subject that is held against the other.
    pub candidate: SubjectId,
    /// The truth, the other subject, or the subject itself.
    pub against: SubjectId,
    /// The change that must not matter, where that is what was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// The noise scale the limits were made from: of the candidate against the truth only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Scale>,
    /// What the oracle measured, where both completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What it comes to.
    pub judgement: Judgement,
    /// Who is outside their own limits.
    pub blame: Vec<SubjectId>,
    /// Why: an expectation's reason, a subject's words, what happened to a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The upstream issue of an expectation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
    /// The command that runs just this again.
    pub reproduce: String,
}

/// Everything a run found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of ggauge.
    pub ggauge: String,
    /// Identifies the reference's sources.
    pub reference: String,
    /// The models.
    pub models: Vec<Model>,
    /// The subjects, with versions, devices and CPU features.
    pub subjects: Vec<SubjectRecord>,
    /// Every case, in the order of the plan.
    pub cases: Vec<CaseRecord>,
    /// Every comparison, in the order of the plan.
    pub comparisons: Vec<ComparisonRecord>,
}

impl Record {
    /// How many comparisons came to each judgement.
    pub fn totals(&self) -> BTreeMap<Judgement, usize> {
        let mut totals = BTreeMap::new();
        for comparison in &self.comparisons {
            *totals.entry(comparison.judgement).or_default() += 1;
        }
        totals
    }

    /// The exit code this Record asks for.
    pub fn exit_code(&self) -> u8 {
        use crate::error::exit_code::{FAILED, NOTHING_JUDGED, SUCCESS};
        if self.comparisons.iter().any(|comparison| comparison.judgement.is_bad()) {
            FAILED
        } else if self.comparisons.iter().any(|comparison| comparison.judgement.is_judged()) {
            SUCCESS
        } else {
            NOTHING_JUDGED
        }
    }

    /// The Record as JSON, the same bytes for the same Record.
    ///
    /// # Errors
    /// Never for a Record that this program made.
    pub fn to_json(&self) -> Result<String, Error> {
        printable::json(self).map_err(|error| Error::input("the Record", error, "report this as a bug"))
    }
}

/// What the run cost: beside the Record, because it differs every time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Timings {
    /// Wall-clock seconds of the whole run.
    pub seconds: f64,
    /// CPU seconds of the harness itself: comparing, reading, judging, reporting.
    pub harness_cpu_seconds: f64,
    /// CPU seconds that workers other than the reference spent on transcripts.
    pub transcript_cpu_seconds: f64,
    /// CPU seconds that workers other than the reference spent in their runtimes.
    pub runtime_cpu_seconds: f64,
    /// Harness and transcripts together, over the runtimes.
    pub overhead: f64,
    /// Wall-clock seconds of each case.
    pub cases: BTreeMap<String, f64>,
    /// Largest resident size of each worker, in bytes.
    pub peak_memory: BTreeMap<String, u64>,
    /// The files in `logs/`: what the next run may replace there.
    #[serde(default)]
    pub logs: Vec<String>,
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
        let new = cache::temporary(&records, ".ggauge-record")?;
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
        let _alone = cache::alone(folder)?;
        let new = cache::temporary(folder, ".ggauge-record")?;
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
            cache::write_whole(&folder.join(name), text.as_bytes())?;
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
