//! Recipes: which architecture with which numbers, in which weight type, from which seed.

use crate::{
    architectures::Architecture,
    model::{self, Model},
    parameter::Parameter,
};
use gguf::WeightType;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// What to make. Displays as `llama/q4_0@7`, or, with hyper-parameters of its own, as `llama+experts=4+tied=1/q4_0@7`.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The architecture.
    pub architecture: Architecture,
    /// Hyper-parameters that differ from the architecture's defaults, by name.
    pub(crate) changes: BTreeMap<&'static str, f64>,
    /// Weight type of every matrix; norm gains and the like are F32 always.
    pub weights: WeightType,
    /// Seed of every weight.
    pub seed: u64,
}

impl Recipe {
    /// The weight types matrices can have: all that a runtime multiplies with.
    pub const WEIGHTS: [WeightType; 28] = [
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
        WeightType::IQ1_S,
        WeightType::IQ1_M,
        WeightType::IQ2_XXS,
        WeightType::IQ2_XS,
        WeightType::IQ2_S,
        WeightType::IQ3_XXS,
        WeightType::IQ3_S,
        WeightType::IQ4_NL,
        WeightType::IQ4_XS,
        WeightType::TQ1_0,
        WeightType::TQ2_0,
        WeightType::MXFP4,
        WeightType::NVFP4,
        WeightType::Q1_0,
        WeightType::Q2_0,
    ];

    /// The recipe of an architecture with its default numbers.
    pub fn new(architecture: Architecture, weights: WeightType, seed: u64) -> Self {
        Self { architecture, changes: BTreeMap::new(), weights, seed }
    }

    /// The same recipe with another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The name of the model: the architecture, and the hyper-parameters that differ from its defaults.
    pub fn model(&self) -> String {
        let mut name = self.architecture.name().to_owned();
        for parameter in self.architecture.parameters() {
            if let Some(value) = self.changes.get(parameter.name) {
                name = format!("{name}+{}={}", parameter.name, parameter.text(*value));
            }
        }
        name
    }

    /// The model's file. The same recipe gives the same bytes, everywhere.
    ///
    /// # Errors
    /// Where the numbers do not fit each other or the blocks of the weight type.
    pub fn build(&self) -> Result<Vec<u8>, InvalidRecipe> {
        let mut model = self.model_to_describe().map_err(|why| InvalidRecipe { text: self.to_string(), why })?;
        self.architecture.describe(&mut model);
        Ok(model.finish())
    }

    /// Checks that a file can be made of the numbers.
    fn model_to_describe(&self) -> Result<Model, String> {
        let number =
            |parameter: Parameter| (parameter.name, self.changes.get(parameter.name).copied().unwrap_or(parameter.default));
        let numbers = self.architecture.parameters().map(number).collect();
        Model::new(self.architecture.name(), numbers, self.weights, self.seed, &self.to_string())
    }

    /// Token ids of a deterministic prompt of `len` tokens, beginning with the model's BOS.
    pub fn ramp(len: usize) -> Vec<u32> {
        let after_bos = (1..len).map(|i| (model::FIRST_WORD + (i * 37) % model::WORDS) as u32);
        std::iter::once(model::BOS).chain(after_bos).take(len).collect()
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.model(), self.weights, self.seed)
    }
}

/// A text that is not a recipe, or a recipe for no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a recipe: {why} (expected ARCHITECTURE[+NUMBER=VALUE...]/WEIGHTS[@SEED], such as llama/q4_0@7; `ggauge smith` lists them)"
)]
pub struct InvalidRecipe {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for Recipe {
    type Err = InvalidRecipe;

    fn from_str(text: &str) -> Result<Self, InvalidRecipe> {
        parse(text).map_err(|why| InvalidRecipe { text: text.into(), why })
    }
}

fn parse(text: &str) -> Result<Recipe, String> {
    let (model, rest) = text.split_once('/').ok_or("no `/`")?;
    let (weights, seed) = rest.split_once('@').unwrap_or((rest, "0"));
    let mut parts = model.split('+');
    let name = parts.next().unwrap_or_default();
    let architecture = Architecture::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| {
        let known = Architecture::ALL.map(Architecture::name).join(", ");
        format!("architectures are {known}")
    })?;
    let weights: WeightType = weights.parse()?;
    if !Recipe::WEIGHTS.contains(&weights) {
        return Err(format!("matrices cannot be {weights}"));
    }
    let seed = seed.parse().map_err(|error| format!("seed: {error}"))?;
    let mut recipe = Recipe::new(architecture, weights, seed);
    for part in parts {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` has no `=`"))?;
        let parameter = architecture.parameters().find(|parameter| parameter.name == name).ok_or_else(|| {
            let known: Vec<_> = architecture.parameters().map(|parameter| parameter.name).collect();
            format!("{} has no number `{name}`; it has {}", architecture.name(), known.join(", "))
        })?;
        if recipe.changes.insert(parameter.name, parameter.parse(value)?).is_some() {
            return Err(format!("{name} stands twice"));
        }
    }
    // The same model has one name.
    recipe.changes.retain(|name, value| architecture.default(name) != Some(*value));
    // What no file can be made of is said now.
    recipe.model_to_describe()?;
    Ok(recipe)
}
