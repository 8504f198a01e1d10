//! What holding the outputs of a run against goldens came to.

use serde::Serialize;

/// A number or a word that is not what it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoldenDifference {
    /// Where.
    pub place: String,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
    /// How often the limit goes into the difference, for numbers.
    pub times_limit: Option<f64>,
}

/// How a case is not what its golden says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Differs {
    /// There is no golden.
    NoGolden,
    /// These numbers and words are not what they were.
    Moved {
        /// At least one.
        differences: Vec<GoldenDifference>,
        /// How far a logit may be from what it was.
        limit: f64,
    },
}

/// A case that is not what it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseDiffers {
    /// The case's id.
    pub case: String,
    /// How.
    pub how: Differs,
}

/// What holding outputs against goldens came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GoldenCheck {
    /// Cases that have a golden.
    pub compared: usize,
    /// Cases that have none.
    pub without: usize,
    /// Cases that are not what they were.
    pub differ: Vec<CaseDiffers>,
}
