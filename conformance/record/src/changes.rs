//! Two Records held against each other: what an upgrade, another machine or a night changed. Reads nothing but the Records.
//!
//! Comparisons are joined by their ids. Whether a case is the same to the bit is known from the digests of its logits; how near it
//! came to its limit, before and after, from its verdicts.

use crate::{CaseRecord, ComparisonRecord, Record, SubjectRecord};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use vocabulary::{Check, Judgement, Oracle, Outcome, Upshot, Verdict};

/// What became of a comparison from one Record to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Was within its limits, and is not.
    Broken,
    /// Was judged, and cannot be any more.
    Gone,
    /// Is outside its limits as it was, but in another way.
    Changed,
    /// Was outside its limits, and is within.
    Fixed,
    /// Is judged, and was not there or could not be.
    New,
    /// Within its limits before and after, and not the same to the bit.
    Within,
    /// The same to the bit.
    Identical,
}

impl Change {
    /// Every change, the worst first.
    pub const ALL: [Self; 7] = [Self::Broken, Self::Gone, Self::Changed, Self::Fixed, Self::New, Self::Within, Self::Identical];

    /// The words reports use.
    pub fn words(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Fixed => "fixed",
            Self::New => "new",
            Self::Within => "within tolerance",
            Self::Identical => "identical to the bit",
        }
    }
}

/// A comparison in one of the Records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeSide {
    /// What it came to.
    pub judgement: Judgement,
    /// The check that is nearest to its limit or furthest beyond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// What it measured over its limit.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_number")]
    pub ratio: Option<f64>,
    /// Why it is what it is, where that is known in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

mod optional_number {
    use serde::Serializer;

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => vocabulary::number::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// One comparison, before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeRow {
    /// Its id.
    pub id: String,
    /// Which oracle.
    pub oracle: Oracle,
    /// The architecture of its model.
    pub architecture: String,
    /// Its weight type.
    pub weights: String,
    /// The subject that was held against something.
    pub subject: String,
    /// What became of it.
    pub change: Change,
    /// Before.
    pub before: Option<ChangeSide>,
    /// After.
    pub after: Option<ChangeSide>,
}

impl ChangeRow {
    /// How far it moved, in units of its limit.
    pub fn drift(&self) -> f64 {
        let ratio = |side: &Option<ChangeSide>| side.as_ref().and_then(|side| side.ratio).unwrap_or(0.0);
        (ratio(&self.after) - ratio(&self.before)).abs()
    }
}

/// Two Records, joined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordsCompared {
    /// What differs that explains differences: models, subjects, the reference.
    pub notes: Vec<String>,
    /// How many comparisons changed in each way.
    pub totals: BTreeMap<Change, usize>,
    /// Comparisons that neither Record could judge.
    pub unsupported: usize,
    /// Every comparison that at least one Record judged, in the order of the Records.
    pub rows: Vec<ChangeRow>,
}

/// How a comparison stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    Bad,
    /// Not there, or not judged.
    Absent,
}

fn standing(comparison: Option<&ComparisonRecord>) -> Standing {
    match comparison.map(|comparison| comparison.judgement) {
        None | Some(Judgement::Unsupported) => Standing::Absent,
        Some(Judgement::Pass | Judgement::UnexpectedPass) => Standing::Good,
        Some(Judgement::Fail | Judgement::ExpectedFail | Judgement::Vacuous) => Standing::Bad,
    }
}

fn comparisons_by_id(record: &Record) -> BTreeMap<&str, &ComparisonRecord> {
    record.comparisons.iter().map(|comparison| (comparison.id.as_str(), comparison)).collect()
}

fn cases_by_id(record: &Record) -> BTreeMap<&str, &CaseRecord> {
    record.cases.iter().map(|case| (case.id.as_str(), case)).collect()
}

/// Compares two Records.
pub fn compare(before: &Record, after: &Record) -> RecordsCompared {
    let [old, new] = [before, after].map(comparisons_by_id);
    let [old_cases, new_cases] = [before, after].map(cases_by_id);
    let architectures: BTreeMap<&str, &str> = [before, after]
        .into_iter()
        .flat_map(|record| &record.models)
        .map(|model| (model.name.as_str(), model.architecture.as_str()))
        .collect();
    let mut comparison =
        RecordsCompared { notes: notes(before, after), totals: BTreeMap::new(), unsupported: 0, rows: Vec::new() };
    let mut seen = BTreeSet::new();
    for either in before.comparisons.iter().chain(&after.comparisons) {
        if !seen.insert(&either.id) {
            continue;
        }
        let (a, b) = (old.get(either.id.as_str()).copied(), new.get(either.id.as_str()).copied());
        let change = match (standing(a), standing(b)) {
            (Standing::Absent, Standing::Absent) => {
                comparison.unsupported += 1;
                continue;
            }
            (Standing::Absent, _) => Change::New,
            (_, Standing::Absent) => Change::Gone,
            (was, is) if was == is && is_same(a, b, &old_cases, &new_cases) => Change::Identical,
            (Standing::Good, Standing::Bad) => Change::Broken,
            (Standing::Bad, Standing::Good) => Change::Fixed,
            (Standing::Good, Standing::Good) => Change::Within,
            (Standing::Bad, Standing::Bad) => Change::Changed,
        };
        *comparison.totals.entry(change).or_default() += 1;
        comparison.rows.push(ChangeRow {
            id: either.id.clone(),
            oracle: either.oracle,
            architecture: architectures.get(either.model.as_str()).copied().unwrap_or_default().into(),
            weights: either.weights.clone(),
            subject: either.candidate.to_string(),
            change,
            before: a.map(|comparison| side(comparison, old_cases.get(comparison.id.as_str()).copied())),
            after: b.map(|comparison| side(comparison, new_cases.get(comparison.id.as_str()).copied())),
        });
    }
    comparison
}

/// True where nothing differs: not a bit of a case's logits, and of other comparisons nothing that was measured.
fn is_same(
    a: Option<&ComparisonRecord>,
    b: Option<&ComparisonRecord>,
    old: &BTreeMap<&str, &CaseRecord>,
    new: &BTreeMap<&str, &CaseRecord>,
) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    if a.oracle != Oracle::Reference {
        return a.verdict == b.verdict;
    }
    match (old.get(a.id.as_str()), new.get(b.id.as_str())) {
        (Some(CaseRecord { logits: Some(old), .. }), Some(CaseRecord { logits: Some(new), .. })) => old == new,
        (Some(old), Some(new)) => old.outcome.kind() == new.outcome.kind(),
        _ => false,
    }
}

fn side(comparison: &ComparisonRecord, case: Option<&CaseRecord>) -> ChangeSide {
    let decisive = comparison.verdict.as_ref().and_then(Verdict::decisive);
    let outcome = case.map(|case| &case.outcome).filter(|outcome| !matches!(outcome, Outcome::Completed { .. }));
    let of_outcome = outcome.map(|outcome| match outcome.detail() {
        Some(detail) => format!("{}: {detail}", outcome.kind()),
        None => outcome.summary(),
    });
    let of_verdict = || comparison.verdict.as_ref().filter(|verdict| !verdict.holds()).map(Verdict::kind);
    ChangeSide {
        judgement: comparison.judgement,
        check: decisive.map(|measurement| measurement.check),
        ratio: decisive.filter(|decisive| decisive.check != Check::Outcome).map(vocabulary::Measurement::ratio),
        reason: of_outcome.or_else(of_verdict).or_else(|| comparison.reason.clone()),
    }
}

/// What differs between two Records that explains their differences.
fn notes(before: &Record, after: &Record) -> Vec<String> {
    let mut notes = Vec::new();
    let mut differ = |what: String, old: &str, new: &str| {
        if old != new {
            notes.push(format!("{what}: {old}, now {new}"));
        }
    };
    differ("ggauge".into(), &before.ggauge, &after.ggauge);
    differ("the reference".into(), &before.reference, &after.reference);
    for new in &after.models {
        if let Some(old) = before.models.iter().find(|old| old.name == new.name && old.weights == new.weights) {
            let hash = |sha256: &str| printable::short_digest(sha256).to_owned();
            differ(format!("model {} {}", new.name, new.weights), &hash(&old.sha256), &hash(&new.sha256));
        }
    }
    for new in &after.subjects {
        let same = |old: &&SubjectRecord| old.subject == new.subject && old.settings == new.settings;
        if let Some(old) = before.subjects.iter().find(same) {
            let of = |text: &str| format!("{} {}: {text}", new.subject, new.settings);
            let (a, b) = (&old.description, &new.description);
            differ(of("runtime"), &a.runtime, &b.runtime);
            differ(of("device"), &a.device, &b.device);
            differ(of("driver"), &a.driver, &b.driver);
            differ(of("features"), &a.features.join(", "), &b.features.join(", "));
        }
    }
    notes
}

impl RecordsCompared {
    /// How many comparisons changed in this way.
    pub fn count(&self, change: Change) -> usize {
        self.totals.get(&change).copied().unwrap_or(0)
    }

    /// What it comes to: bad where something broke or is gone.
    pub fn upshot(&self) -> Upshot {
        if self.rows.is_empty() {
            Upshot::NothingJudged
        } else if self.count(Change::Broken) + self.count(Change::Gone) > 0 {
            Upshot::Bad
        } else {
            Upshot::Good
        }
    }

    /// The rows that changed in this way, those that moved furthest first.
    pub fn of(&self, change: Change) -> Vec<&ChangeRow> {
        let mut rows: Vec<&ChangeRow> = self.rows.iter().filter(|row| row.change == change).collect();
        rows.sort_by(|a, b| b.drift().total_cmp(&a.drift()));
        rows
    }

    /// One line of totals.
    pub fn totals(&self) -> String {
        let part = |change: &Change| Some(format!("{} {}", self.totals.get(change)?, change.words()));
        let mut parts: Vec<String> = Change::ALL.iter().rev().filter_map(part).collect();
        if self.unsupported > 0 {
            parts.push(format!("{} unsupported in both", self.unsupported));
        }
        if parts.is_empty() { "nothing to compare".into() } else { parts.join(", ") }
    }
}
