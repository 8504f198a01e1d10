//! Tiny valid GGUF models, made from a recipe and a seed; and headers drawn from bytes, sound or not, for whatever reads them
//! ([`header`]).
//!
//! Laws of the recipes: every model is valid and loads in the runtimes; the same recipe gives the same bytes on every
//! platform (a test pins their sha256); weights need no quantiser, because blocks are drawn, and the codec in `gguf` says what
//! they are worth. Weights are scaled so that attention logits have a spread of 1 to 5 and norm gains lie near 1: with the
//! usual tiny random weights attention is nearly uniform, and errors in rotary embedding and masks cannot be seen.
//!
//! To add an architecture, write a module beside `llama.rs` and list it in [`Architecture`]; to add a weight type, a row in
//! `blocks.rs`.
#![forbid(unsafe_code)]

mod blocks;
mod gemma3;
mod headers;
mod llama;
mod model;

pub use headers::header;

use gguf::WeightType;
use std::{fmt, str::FromStr};

/// The architectures there are recipes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Architecture {
    /// Llama: grouped-query attention, adjacent-pair rotary embedding, `SwiGLU`.
    Llama,
    /// Gemma 3: sliding and global layers, normed queries and keys, `GeGLU`, tied output.
    Gemma3,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Self; 2] = [Self::Llama, Self::Gemma3];

    /// The value of `general.architecture`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gemma3 => "gemma3",
        }
    }
}

/// What to make: an architecture, the weight type of its matrices, and a seed. Displays as `llama/q4_0@7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recipe {
    /// The architecture.
    pub architecture: Architecture,
    /// Weight type of every matrix; norm gains are F32 always.
    pub weights: WeightType,
    /// Seed of every weight.
    pub seed: u64,
}

impl Recipe {
    /// The weight types matrices can have.
    pub const WEIGHTS: [WeightType; 13] = [
        WeightType::F32,
        WeightType::F16,
        WeightType::BF16,
        WeightType::Q4_0,
        WeightType::Q4_1,
        WeightType::Q5_0,
        WeightType::Q5_1,
        WeightType::Q8_0,
        WeightType::Q2_K,
        WeightType::Q3_K,
        WeightType::Q4_K,
        WeightType::Q5_K,
        WeightType::Q6_K,
    ];

    /// The model's file. The same recipe gives the same bytes, everywhere.
    pub fn build(&self) -> Vec<u8> {
        let mut model = model::Model::new(self);
        match self.architecture {
            Architecture::Llama => llama::describe(&mut model),
            Architecture::Gemma3 => gemma3::describe(&mut model),
        }
        model.finish()
    }

    /// Token ids of a deterministic prompt of `len` tokens, beginning with the model's BOS.
    pub fn ramp(len: usize) -> Vec<u32> {
        let after_bos = (1..len).map(|i| (model::FIRST_WORD + (i * 37) % model::WORDS) as u32);
        std::iter::once(model::BOS).chain(after_bos).take(len).collect()
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.architecture.name(), self.weights, self.seed)
    }
}

/// A text that is not a recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a recipe: expected ARCHITECTURE/WEIGHTS@SEED, such as llama/q4_0@7 ({1})")]
pub struct InvalidRecipe(String, String);

impl FromStr for Recipe {
    type Err = InvalidRecipe;

    fn from_str(text: &str) -> Result<Self, InvalidRecipe> {
        let invalid = |why: String| InvalidRecipe(text.into(), why);
        let (architecture, rest) = text.split_once('/').ok_or_else(|| invalid("no `/`".into()))?;
        let (weights, seed) = rest.split_once('@').unwrap_or((rest, "0"));
        let architecture = Architecture::ALL.into_iter().find(|known| known.name() == architecture).ok_or_else(|| {
            let known = Architecture::ALL.map(Architecture::name).join(", ");
            invalid(format!("architectures: {known}"))
        })?;
        let weights: WeightType = weights.parse().map_err(invalid)?;
        if !Self::WEIGHTS.contains(&weights) {
            return Err(invalid(format!("matrices cannot be {weights}")));
        }
        let seed = seed.parse().map_err(|error| invalid(format!("seed: {error}")))?;
        Ok(Self { architecture, weights, seed })
    }
}
