//! The Record: everything a run found out, and nothing that differs between two runs of the same thing.
//!
//! `record.json` is the same to the byte when nothing changed. Times, memory and CPU load stand beside it in `timings.json`, what
//! the workers wrote to stderr in `logs/`.

use crate::{Error, cache, models::Model, oracle::Scale, printable, relation::Relation};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
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
}

/// Writes Record, timings and logs into `folder`, which is made if it is missing; what an earlier run left there is replaced.
///
/// # Errors
/// Where something cannot be written.
pub fn write(folder: &Path, record: &Record, timings: &Timings, logs: &[(String, PathBuf)]) -> Result<(), Error> {
    let log_folder = folder.join("logs");
    fs::create_dir_all(&log_folder).map_err(|error| Error::file(&log_folder, &error))?;
    // Logs of an earlier run in the same folder; nothing else that may lie there.
    let old = fs::read_dir(&log_folder).map_err(|error| Error::file(&log_folder, &error))?;
    for path in old.flatten().map(|entry| entry.path()) {
        let of_a_subject = path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains('@'));
        if of_a_subject && path.extension().is_some_and(|extension| extension == "log") {
            let _ = fs::remove_file(path);
        }
    }
    for (name, path) in logs {
        let to = log_folder.join(format!("{name}.log"));
        fs::copy(path, &to).map_err(|error| Error::file(&to, &error))?;
    }
    let timings = serde_json::to_string_pretty(timings).unwrap_or_default();
    cache::write_whole(&folder.join("timings.json"), timings.as_bytes())?;
    cache::write_whole(&folder.join("record.json"), record.to_json()?.as_bytes())
}
