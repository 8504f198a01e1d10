//! The Record: everything a run found out, and nothing that differs between two runs of the same thing.
//!
//! `record.json` is the same to the byte when nothing changed. Times, memory and CPU load stand beside it in `timings.json`, what
//! the workers wrote to stderr in `logs/`.

use machine::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vocabulary::{
    Description, Family, Judgement, Oracle, Outcome, OverNoise, Relation, Scale, Settings, SubjectId, Upshot, Verdict,
};

/// Version of the Record's layout.
pub const SCHEMA: u32 = 3;

/// A model as it is told: the same wherever its files lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The name in case ids: a pinned model's, the file's stem, or the architecture of a tiny model.
    pub name: String,
    /// The weight type in case ids.
    pub weights: String,
    /// `general.architecture`.
    pub architecture: String,
    /// What its matrices hold.
    pub family: Family,
    /// Bytes of the output matrix, or of the embedding it is tied to.
    pub output_bytes: u64,
    /// sha256 of the file, of a split model of all files one behind the other.
    pub sha256: String,
    /// Rows of the embedding table; token ids are below it.
    pub vocabulary_size: u64,
    /// The longest prompt the model allows, where the file says so.
    pub context_length: Option<u64>,
    /// The BOS token, where the file names one.
    pub bos: Option<u32>,
    /// Its weights are the values of another model's as F32: it is an exact form.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// What `ggauge run` takes to run this model again.
    pub argument: String,
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
    /// All positions together: of the candidate against the truth only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_noise: Option<OverNoise>,
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
    pub models: Vec<ModelRecord>,
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

    /// What it comes to.
    pub fn upshot(&self) -> Upshot {
        if self.comparisons.iter().any(|comparison| comparison.judgement.is_bad()) {
            Upshot::Bad
        } else if self.comparisons.iter().any(|comparison| comparison.judgement.is_judged()) {
            Upshot::Good
        } else {
            Upshot::NothingJudged
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
