//! Calibrated limits: `tolerances.toml`, which `ggauge calibrate` writes and nobody edits.

use machine::Error;
use serde::{Deserialize, Serialize};
use vocabulary::{Family, Limits, Scale};

const TOLERANCES: &str = include_str!("../tolerances.toml");

/// Standard deviations of the difference of two logits that the top two must be apart for a disagreement to count.
pub const MARGIN_DEVIATIONS: f64 = 6.0;

/// The calibrated limits: for each rounding and kind of device, how many times the noise scale a correct runtime may reach.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tolerances {
    /// The command that wrote the file.
    pub generated_by: String,
    /// What the numbers were measured with.
    pub measured_with: Vec<String>,
    /// At least one row.
    pub tolerance: Vec<Tolerance>,
}

/// What limits are chosen by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Key {
    /// The rounding, by the name it has in `reference@...`: it follows from subject, settings and schedule.
    pub rounding: String,
    /// The kind of device, such as `cpu`.
    pub device: String,
    /// The family of the model's weights.
    pub weights: Family,
}

/// Multipliers for one key, with the data they come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tolerance {
    /// What this row is for.
    #[serde(flatten)]
    pub key: Key,
    /// Limit on the worst NMSE, in units of the noise scale's.
    pub nmse: Multiplier,
    /// The same for the mean KL.
    pub kl_mean: Multiplier,
    /// The same for the worst KL.
    pub kl_max: Multiplier,
    /// Limit on the factor over the noise of all positions together, where it was measured.
    pub together: Option<Multiplier>,
}

/// A multiplier and the sample it was taken from.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Multiplier {
    /// `max * margin`.
    pub multiplier: f64,
    /// Number of measured ratios.
    pub sample: u64,
    /// Their median.
    pub median: f64,
    /// Their 99th percentile.
    pub p99: f64,
    /// Their largest.
    pub max: f64,
    /// Factor from the largest to the limit.
    pub margin: f64,
}

/// How many times the noise of f32 in its worst order a correct runtime may be off at the worst position: that order bounds what a runtime's compiler, driver and
/// threads may make of its sums, and this is room for how differently two such sums come out. Measured as all limits are, twice the largest of 3,025 cases of
/// llama.cpp and candle on 191 exact forms of tiny models: 8.5, where a router hangs in the balance between experts; 2.8 everywhere else, and 3.0 on the pinned models.
const OF_SINGLE_SUMS: f64 = 17.0;
/// The same where GELU goes through a table of f16, which is far coarser than f32 and the same in whoever has it.
const OF_TABLE: f64 = 3.0;

/// The factor over that noise that a correct runtime stays below at all positions together. The largest of those exact forms that is not chance is 1.15.
pub const TOGETHER_OF_SINGLE_SUMS: f64 = 1.3;

/// The limits for a case whose noise is `scale`, where that is the noise of f32 in its worst order and of nothing coarser but a table.
pub fn of_single_sums(scale: &Scale, through_table: bool) -> Limits {
    let multiplier = if through_table { OF_TABLE } else { OF_SINGLE_SUMS };
    times(scale, [multiplier; 3], multiplier)
}

/// Limits that are so many times the noise in NMSE, mean KL and worst KL; `usual` is what correct runtimes keep to in NMSE but for one case in a hundred.
fn times(scale: &Scale, [nmse, kl_mean, kl_max]: [f64; 3], usual: f64) -> Limits {
    // The error that an NMSE allows a logit, times the root of 2 for the difference of two.
    let deviations = |nmse: f64| MARGIN_DEVIATIONS * (2.0 * nmse).sqrt() * scale.rms;
    Limits {
        nmse: nmse * scale.nmse,
        kl_mean: kl_mean * scale.kl_mean,
        kl_max: kl_max * scale.kl_max,
        margin: deviations(nmse),
        // Tighter: what is usual, and not what none may.
        drift: deviations(usual),
    }
}

impl Tolerances {
    /// The limits that ship with ggauge.
    ///
    /// # Errors
    /// Where the file is wrong or has no row.
    pub fn shipped() -> Result<Self, Error> {
        Self::parse(TOLERANCES, "conformance/policy/tolerances.toml")
    }

    /// Reads limits; `what` names the text in errors.
    ///
    /// # Errors
    /// As [`Tolerances::shipped`].
    pub fn parse(text: &str, what: &str) -> Result<Self, Error> {
        let next = "write it again with `ggauge calibrate`";
        let parsed: Self = toml::from_str(text).map_err(|error| Error::input(what, error, next))?;
        if parsed.tolerance.is_empty() {
            return Err(Error::input(what, "it has no [[tolerance]], so nothing would be checked", next));
        }
        let all = parsed.tolerance.iter().flat_map(|row| [Some(row.nmse), Some(row.kl_mean), Some(row.kl_max), row.together]);
        if all.flatten().any(|multiplier| !(multiplier.multiplier.is_finite() && multiplier.multiplier > 0.0)) {
            return Err(Error::input(what, "a multiplier is not a positive number", next));
        }
        Ok(parsed)
    }

    /// These limits with the rows of `newer` in place of their own, as far as it has them.
    #[must_use]
    pub fn updated_by(mut self, newer: Self) -> Self {
        self.tolerance.retain(|row| !newer.tolerance.iter().any(|other| other.key == row.key));
        self.tolerance.extend(newer.tolerance);
        self.tolerance.sort_by(|a, b| a.key.cmp(&b.key));
        self.generated_by = format!("{}; {}", self.generated_by, newer.generated_by);
        self.measured_with.extend(newer.measured_with);
        self.measured_with.sort();
        self.measured_with.dedup();
        self
    }

    /// These limits with the factors over the noise of `newer` in place of their own, as far as it has them, and nothing else of it.
    #[must_use]
    pub fn with_factors_of(mut self, newer: Self) -> Self {
        for row in &mut self.tolerance {
            if let Some(newer) = newer.row(&row.key) {
                row.together = newer.together;
            }
        }
        self.generated_by = format!("{}; {}", self.generated_by, newer.generated_by);
        self
    }

    fn row(&self, key: &Key) -> Option<&Tolerance> {
        self.tolerance.iter().find(|row| row.key == *key)
    }

    /// The largest factor over the noise that a correct runtime has; `None` where nothing has been calibrated.
    pub fn together(&self, key: &Key) -> Option<f64> {
        Some(self.row(key)?.together?.multiplier)
    }

    /// The limits for a case whose noise is `scale`; `None` where nothing has been calibrated.
    pub fn limits(&self, key: &Key, scale: &Scale) -> Option<Limits> {
        let row = self.row(key)?;
        Some(times(scale, [row.nmse, row.kl_mean, row.kl_max].map(|multiplier| multiplier.multiplier), row.nmse.p99))
    }
}
