//! How deterministic subjects are: of each, how often what must not matter moved a bit, and how far.

use serde::{Deserialize, Serialize};
use vocabulary::{Settings, SubjectId};

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// Nothing, in the same process.
    InAProcess,
    /// Nothing, in another process.
    AcrossProcesses,
    /// The number of threads.
    AcrossThreads,
    /// How many tokens are computed together.
    AcrossBatches,
}

impl Aspect {
    /// Every aspect, in the order of tables.
    pub const ALL: [Self; 4] = [Self::InAProcess, Self::AcrossProcesses, Self::AcrossThreads, Self::AcrossBatches];

    /// The words reports use.
    pub fn words(self) -> &'static str {
        match self {
            Self::InAProcess => "in a process",
            Self::AcrossProcesses => "across processes",
            Self::AcrossThreads => "across threads",
            Self::AcrossBatches => "across batches",
        }
    }
}

/// What was measured of one aspect of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AspectMeasured {
    /// The subject.
    pub subject: SubjectId,
    /// Its settings.
    pub settings: Settings,
    /// What was varied.
    pub aspect: Aspect,
    /// Comparisons made: models times variants.
    pub compared: usize,
    /// How many of them were the same to the bit.
    pub same: usize,
    /// The largest NMSE of those that were not.
    #[serde(with = "vocabulary::number")]
    pub worst_nmse: f64,
    /// Variants that the subject does not have, or models that it does not run, in its words; the first of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unsupported: Option<String>,
    /// What became of a worker that gave nothing; the first of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
}

impl AspectMeasured {
    /// Of an aspect of which nothing is measured yet.
    pub fn nothing(subject: &SubjectId, settings: Settings, aspect: Aspect) -> Self {
        let subject = subject.clone();
        Self { subject, settings, aspect, compared: 0, same: 0, worst_nmse: 0.0, unsupported: None, failed: None }
    }

    /// Counts a comparison: the NMSE of two results that differ, or `None` where every bit is the same.
    pub fn count(&mut self, nmse: Option<f64>) {
        self.compared += 1;
        match nmse {
            None => self.same += 1,
            // NaN is worse than any number, and stays.
            Some(nmse) if nmse.is_nan() || nmse > self.worst_nmse => self.worst_nmse = nmse,
            Some(_) => {}
        }
    }

    /// True where everything that was compared is the same to the bit.
    pub fn holds(&self) -> bool {
        self.compared > 0 && self.same == self.compared
    }

    /// What was found, in the words of a table's cell.
    pub fn words(&self) -> String {
        match self {
            Self { compared: 0, unsupported: Some(_), .. } => "unsupported".into(),
            Self { compared: 0, .. } => "nothing to compare".into(),
            Self { .. } if self.holds() => "same bits".into(),
            Self { compared, same, worst_nmse, .. } => {
                format!("{} of {compared} differ, NMSE up to {}", compared - same, printable::short(*worst_nmse))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_worse_than_any_and_stays_so() {
        let subject = SubjectId::new("fake", "cpu").unwrap();
        let mut measured = AspectMeasured::nothing(&subject, Settings::Strict, Aspect::InAProcess);
        assert!(!measured.holds(), "nothing was compared");
        measured.count(None);
        assert!(measured.holds());
        for nmse in [1e-9, 1e-3, 1e-6] {
            measured.count(Some(nmse));
        }
        assert_eq!((measured.compared, measured.same, measured.worst_nmse), (4, 1, 1e-3));
        measured.count(Some(f64::NAN));
        measured.count(Some(1.0));
        assert!(measured.worst_nmse.is_nan() && !measured.holds(), "{measured:?}");
    }
}
