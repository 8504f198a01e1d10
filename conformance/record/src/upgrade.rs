//! An upgrade of a runtime: what was measured with both releases, and the report that follows from it and from what is known.

use crate::{
    Record,
    changes::{Change, RecordsCompared},
    determinism::AspectMeasured,
    folder,
    release::Release,
};
use machine::{Error, small};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};
use strum::IntoStaticStr;
use vocabulary::Upshot;

/// The names of the Records in the folder of an upgrade, before and after.
pub const RECORDS: [&str; 2] = ["before.json", "after.json"];
/// The name of the report there, for machines.
pub const REPORT: &str = "report.json";

/// What a cause explains in one upgrade.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Why, or nothing where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many comparisons changed in each way.
    pub totals: BTreeMap<Change, usize>,
    /// One of them.
    pub example: String,
}

/// A number of both sides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Median before.
    pub before: f64,
    /// Median after.
    pub after: f64,
    /// Median of the rounds' ratios, after over before.
    pub ratio: f64,
    /// The smallest and the largest of them.
    pub spread: (f64, f64),
}

impl Ratio {
    /// Of rounds in which both sides were measured, before and after; `None` where there is none.
    pub fn of(rounds: &[(f64, f64)]) -> Option<Self> {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let ratios: Vec<f64> = rounds.iter().map(|(a, b)| b / a).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        Some(Self {
            before: median(rounds.iter().map(|(a, _)| *a).collect())?,
            after: median(rounds.iter().map(|(_, b)| *b).collect())?,
            ratio: median(ratios)?,
            spread: (least, most),
        })
    }
}

/// What an upgrade does to speed and memory on one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// The model.
    pub model: String,
    /// Tokens of a prompt in one call, a second.
    pub prefill: Option<Ratio>,
    /// Tokens one by one, a second.
    pub decode: Option<Ratio>,
    /// Seconds that a load takes.
    pub load: Option<Ratio>,
    /// MiB that the worker occupies at most, without the files it has mapped.
    pub memory: Option<Ratio>,
}

/// What to do about an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum UpgradeAdvice {
    /// Nothing that anybody needs to look at.
    Safe,
    /// Somebody should look at the reasons.
    Review,
    /// Something that worked does not.
    Breaking,
}

impl UpgradeAdvice {
    /// The word reports use.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// The report of an upgrade.
#[derive(Debug, Clone, Serialize)]
pub struct UpgradeReport {
    /// Before.
    pub before: Release,
    /// After.
    pub after: Release,
    /// What to do about it.
    #[serde(rename = "verdict")]
    pub advice: UpgradeAdvice,
    /// Why.
    pub reasons: Vec<String>,
    /// Architecture and weight type that run now and did not.
    pub gained: Vec<String>,
    /// Those that ran and do not.
    pub lost: Vec<String>,
    /// The cases.
    pub comparison: RecordsCompared,
    /// What caused the changes, as far as it is known; the worst first, and of those the largest.
    pub causes: Vec<Explained>,
    /// Speed and memory.
    pub speed: Vec<Speed>,
    /// Determinism before.
    pub determinism_before: Vec<AspectMeasured>,
    /// Determinism after.
    pub determinism_after: Vec<AspectMeasured>,
}

impl UpgradeReport {
    /// What it comes to: bad where it is breaking.
    pub fn upshot(&self) -> Upshot {
        if self.comparison.rows.is_empty() {
            Upshot::NothingJudged
        } else if self.advice == UpgradeAdvice::Breaking {
            Upshot::Bad
        } else {
            Upshot::Good
        }
    }
}

/// What was measured in an upgrade: all that its report follows from, beside what is known of causes. Pairs are before and after.
#[derive(Debug, Clone)]
pub struct UpgradeMeasured {
    /// The releases.
    pub releases: [Release; 2],
    /// The cases with each.
    pub records: [Record; 2],
    /// Speed and memory of both.
    pub speed: Vec<Speed>,
    /// Determinism of each.
    pub determinism: [Vec<AspectMeasured>; 2],
}

/// What [`REPORT`] has of that, beside the two Records.
#[derive(Deserialize)]
struct InReport {
    before: Release,
    after: Release,
    speed: Vec<Speed>,
    determinism_before: Vec<AspectMeasured>,
    determinism_after: Vec<AspectMeasured>,
}

impl UpgradeMeasured {
    /// What an upgrade left in its folder.
    ///
    /// # Errors
    /// Where one of its files is missing or is none.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let [before, after] = RECORDS.map(|name| folder::read(&folder.join(name)));
        let path = folder.join(REPORT);
        let next = "give the folder that `ggauge upgrade RELEASE --record FOLDER` wrote";
        let json = small::read(&path).map_err(|error| Error::input(path.display(), error, next))?;
        let left: InReport = serde_json::from_slice(&json).map_err(|error| Error::input(path.display(), error, next))?;
        Ok(Self {
            releases: [left.before, left.after],
            records: [before?, after?],
            speed: left.speed,
            determinism: [left.determinism_before, left.determinism_after],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_rounds_and_not_of_medians() {
        let ratio = Ratio::of(&[(10.0, 9.0), (20.0, 10.0), (30.0, 33.0)]).unwrap();
        assert_eq!(ratio, Ratio { before: 20.0, after: 10.0, ratio: 0.9, spread: (0.5, 1.1) });
        assert_eq!(Ratio::of(&[]), None);
    }

    #[test]
    fn the_advice_has_the_word_that_its_json_has() {
        for (advice, word) in
            [(UpgradeAdvice::Safe, "safe"), (UpgradeAdvice::Review, "review"), (UpgradeAdvice::Breaking, "breaking")]
        {
            assert_eq!(advice.word(), word);
            assert_eq!(serde_json::to_value(advice).unwrap(), word);
        }
    }
}
