//! What is said of a model.

use serde::{Deserialize, Serialize};

/// What a model's matrices hold. It decides what the noise is made of: the order of f32 sums, activations in half precision, or
/// activations in blocks of codes; a multiplier that is fit for one would be far too wide for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// F32 only.
    Single,
    /// F32 only, in a model whose GELU goes through a table of f16 by f16: far more noise than the order of sums makes.
    Table,
    /// F16 or BF16, and nothing quantised.
    Half,
    /// At least one matrix is quantised.
    Quantized,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::Single, Self::Table, Self::Half, Self::Quantized];
}
