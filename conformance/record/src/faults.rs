//! What became of faults that were put into the reference, one at a time, and of experiments that put one in to explain a runtime's numbers.

use serde::{Deserialize, Serialize};
use vocabulary::{Upshot, Verdict};

/// Part of the faults that are not equivalent that the matrix must notice, in percent.
pub const LEAST: f64 = 95.0;

/// What became of a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Fate {
    /// Some cell fails.
    Noticed {
        /// The first case that fails.
        by: String,
        /// How many times its limit was measured there.
        #[serde(with = "vocabulary::number")]
        ratio: f64,
    },
    /// An implementation with this fault refuses the file.
    Refused {
        /// Why.
        reason: String,
    },
    /// It changes nothing, for a reason that can be proved.
    Equivalent {
        /// The reason.
        reason: String,
    },
    /// No cell fails.
    Escaped {
        /// The case that comes nearest to its limit.
        nearest: String,
        /// How near.
        #[serde(with = "vocabulary::number")]
        ratio: f64,
    },
}

/// One fault in one model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultTried {
    /// The model.
    pub model: String,
    /// The fault's name.
    pub fault: String,
    /// What is wrong, in words.
    pub meaning: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
    /// True where a quantised cell notices it too.
    pub in_quantized: bool,
}

/// How many of the faults that change something are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noticed {
    /// Noticed by a cell, or refused.
    pub noticed: usize,
    /// All that are not equivalent.
    pub all: usize,
}

impl Noticed {
    /// Counts them.
    pub fn of<'a>(tried: impl IntoIterator<Item = &'a FaultTried>) -> Self {
        let mut count = Self { noticed: 0, all: 0 };
        for FaultTried { fate, .. } in tried {
            count.noticed += usize::from(matches!(fate, Fate::Noticed { .. } | Fate::Refused { .. }));
            count.all += usize::from(!matches!(fate, Fate::Equivalent { .. }));
        }
        count
    }

    /// A part of all, in percent.
    pub fn percent_of_all(self, part: usize) -> f64 {
        100.0 * part as f64 / self.all.max(1) as f64
    }

    /// What is noticed of all, in percent.
    pub fn percent(self) -> f64 {
        self.percent_of_all(self.noticed)
    }

    /// What it comes to: good where enough is noticed.
    pub fn upshot(self) -> Upshot {
        if self.all > 0 && self.percent() >= LEAST { Upshot::Good } else { Upshot::Bad }
    }
}

/// What an experiment came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The entry in `FINDINGS.md`.
    pub finding: String,
    /// The case that was run.
    pub case: String,
    /// The faults that were put into the reference.
    pub faults: Vec<String>,
    /// The subject against the exact reference: it must be beyond its limits.
    pub without: Verdict,
    /// The subject against the reference with the faults: it must be within them.
    pub with: Verdict,
}

impl Confirmation {
    /// True where the faults, and nothing less, give the subject's numbers.
    pub fn holds(&self) -> bool {
        self.with.holds() && !self.without.holds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(fate: Fate) -> FaultTried {
        FaultTried { model: "llama".into(), fault: "f".into(), meaning: "m".into(), fate, in_quantized: false }
    }

    #[test]
    fn what_changes_nothing_counts_for_nothing() {
        let noticed = || tried(Fate::Noticed { by: "c".into(), ratio: 2.0 });
        let refused = tried(Fate::Refused { reason: "r".into() });
        let equivalent = tried(Fate::Equivalent { reason: "r".into() });
        let escaped = tried(Fate::Escaped { nearest: "c".into(), ratio: 0.5 });
        let mut all = vec![refused, equivalent.clone(), escaped];
        assert_eq!(Noticed::of(&all), Noticed { noticed: 1, all: 2 });
        assert_eq!(Noticed::of(&all).upshot(), Upshot::Bad);
        all.extend((0..18).map(|_| noticed()));
        assert_eq!(Noticed::of(&all), Noticed { noticed: 19, all: 20 });
        assert_eq!(Noticed::of(&all).upshot(), Upshot::Good, "95 of 100 are enough");
        assert_eq!(Noticed::of(&[equivalent]).upshot(), Upshot::Bad, "nothing was tried");
    }
}
