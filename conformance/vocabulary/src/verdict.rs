//! What an oracle says: named checks, each with what was measured and its limit.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

/// A named check of an oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Check {
    /// Logits that are NaN or infinite: their number, which must be 0.
    Finite,
    /// Rows that are all one value, which no model gives: their number, which must be 0.
    Constant,
    /// `sum((a - b)^2) / sum(b^2)` of a row after subtracting each row's mean; the worst position.
    Nmse,
    /// `KL(reference || candidate)` in nats, mean over positions.
    KlMean,
    /// `KL(reference || candidate)` in nats, worst position.
    KlMax,
    /// Positions whose likeliest token differs although the reference's margin is above the noise; their number, which must be 0.
    TopOne,
    /// Logits of which some bit differs, where none may: their number, which must be 0.
    Bits,
    /// Geometric mean over all positions of NMSE, in units of the rounded reference's at the same position.
    OverNoise,
    /// How a subject ended or what it rejected, where two must agree or a completed case was expected; 0 when as it should be.
    Outcome,
}

impl Check {
    /// The name as it stands in tables and policy files.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One check: what was measured, and the most it may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Which check.
    pub check: Check,
    /// What was measured.
    #[serde(with = "number")]
    pub measured: f64,
    /// The most it may be.
    #[serde(with = "number")]
    pub limit: f64,
    /// The position at which the measured value was found, where it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

impl Measurement {
    /// True when the value is within its limit. False for NaN.
    pub fn holds(&self) -> bool {
        self.measured <= self.limit
    }

    /// Measured over limit: the headroom a reviewer reads. A limit of 0 gives 0 or infinity.
    pub fn ratio(&self) -> f64 {
        if self.limit == 0.0 && self.measured == 0.0 { 0.0 } else { self.measured / self.limit }
    }
}

/// What an oracle says of one comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Everything measured, in the order of the checks.
    Measured {
        /// At least one measurement.
        checks: Vec<Measurement>,
        /// Positions compared.
        positions: u64,
        /// Positions whose likeliest token was judged.
        top_one_judged: u64,
        /// Positions whose likeliest token is equal, judged or not.
        top_one_equal: u64,
        /// Slope of `log10(NMSE)` over `log10(position + 1)`: rounding stays flat, errors of position and cache grow.
        #[serde(with = "number")]
        slope: f64,
    },
    /// Nothing could be compared, and why. Never a pass.
    Vacuous {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// Which check decides it, without its numbers: what failures of one kind have in common.
    pub fn kind(&self) -> String {
        match (self, self.decisive()) {
            (Self::Vacuous { reason }, _) => format!("nothing was compared: {reason}"),
            (_, Some(decisive)) => format!("{} is beyond its limit", decisive.check),
            (_, None) => "nothing was measured".into(),
        }
    }

    /// True when every check holds.
    pub fn holds(&self) -> bool {
        match self {
            Self::Measured { checks, .. } => !checks.is_empty() && checks.iter().all(Measurement::holds),
            Self::Vacuous { .. } => false,
        }
    }

    /// The check that decides: the first that fails, or else the one nearest to its limit.
    pub fn decisive(&self) -> Option<&Measurement> {
        let Self::Measured { checks, .. } = self else { return None };
        let failing = checks.iter().find(|check| !check.holds());
        failing.or_else(|| checks.iter().max_by(|a, b| a.ratio().total_cmp(&b.ratio())))
    }
}

/// f64 in JSON: the shortest digits that read back equal, and `"NaN"`, `"inf"`, `"-inf"`, which plain JSON numbers cannot say.
pub mod number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes a number.
    ///
    /// # Errors
    /// As the serializer's.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { serializer.serialize_f64(*value) } else { serializer.serialize_str(&value.to_string()) }
    }

    /// Reads a number.
    ///
    /// # Errors
    /// Where it is neither a number nor one of the three words.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => number.as_f64().ok_or_else(|| D::Error::custom("not a 64-bit float")),
            serde_json::Value::String(word) => word.parse().map_err(D::Error::custom),
            other => Err(D::Error::custom(format!("expected a number, found {other}"))),
        }
    }
}

/// A list of f32 in JSON, each as [`number`] writes it. Not left to serde: within a tagged enum it refuses numbers as soon as any crate of the
/// build asks `serde_json` for arbitrary precision.
pub mod numbers {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Number(#[serde(with = "super::number")] f64);

    /// Writes a list.
    ///
    /// # Errors
    /// As the serializer's.
    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|&value| Number(value.into())))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// Where something in it is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        Ok(Vec::<Number>::deserialize(deserializer)?.into_iter().map(|number| number.0 as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(measured: f64, limit: f64) -> Measurement {
        Measurement { check: Check::Nmse, measured, limit, position: None }
    }

    #[test]
    fn nan_never_holds() {
        assert!(!measurement(f64::NAN, 1.0).holds());
        assert!(!measurement(0.0, f64::NAN).holds());
        assert!(measurement(1.0, 1.0).holds());
    }

    #[test]
    fn an_empty_verdict_never_holds() {
        let empty = Verdict::Measured { checks: vec![], positions: 0, top_one_judged: 0, top_one_equal: 0, slope: 0.0 };
        assert!(!empty.holds());
        assert!(!Verdict::Vacuous { reason: String::new() }.holds());
    }

    #[test]
    fn numbers_read_back() {
        for value in [1e-300, 0.1, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let json = serde_json::to_string(&measurement(value, 1.0)).unwrap();
            let back: Measurement = serde_json::from_str(&json).unwrap();
            assert_eq!(back.measured.to_bits(), value.to_bits(), "{json}");
        }
    }
}
