//! The matrix of tiny models: which combinations of model, weight type, schedule, settings, subject and relation are run.
//!
//! To add a model, add its recipe to [`MODELS`]; to add a schedule, an architecture or a weight type, add it where it is defined, and it is
//! in the matrix.

use crate::{covering, names::ModelNames};
use gguf::WeightType;
use harness::plan::{Filter, Plan, Product};
use machine::Error;
use smith::{Architecture, Recipe};
use std::path::Path;
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Case, Relation, Schedule, Settings, SubjectId};

/// Models beside those with every architecture's own numbers: what else its format allows and changes the graph. Numbers that only
/// scale something are nudged by `ggauge faults`.
const MODELS: [&str; 37] = [
    "llama+tied=1",
    "llama+kv-heads=4",
    "llama+head=128",
    "llama+biases=1",
    "llama+rope-factors=8",
    "llama+rope-scaling=linear",
    "llama+rope-scaling=yarn",
    "llama+experts=4",
    "qwen2+tied=1",
    "qwen2+biases=0",
    "qwen2+rope-scaling=yarn",
    "qwen3+tied=1",
    "qwen3+rope-scaling=yarn",
    "qwen3moe+rope-scaling=yarn",
    "gemma3+rope-scaling=linear",
    "gemma3+pattern=2+sliding-rope-base=500",
    "gemma3+logit-cap=5",
    "phi2+kv-heads=2",
    "phi2+rope-base=500000",
    "phi2+rope-scaling=yarn",
    "phi3+tied=1",
    "phi3+rotated=0.75",
    "phi3+rope-base=500000",
    "phi3+window=16",
    "phi3+rope-context=256+short-factor=2+long-factor=8",
    "phi3+short-factor=2+long-factor=8",
    "glm4+rotated=0.25",
    "glm4+rope-scaling=yarn",
    "lfm2+rope-base=10000+tied=0",
    "lfm2+rope-scaling=yarn",
    "smollm3+head=64+heads=4",
    "smollm3+tied=0",
    "smollm3+rope-scaling=yarn",
    "gemma2+rope-scaling=yarn",
    "olmo2+layers=4+window=16",
    "granite+rotates=0",
    "granite+rope-scaling=yarn",
];
/// Weight types in which every model and schedule is run: exact, and quantised.
pub const FEW_WEIGHTS: [WeightType; 2] = [WeightType::F32, WeightType::Q4_K];
/// Weight types in which devices that are slow are run.
pub const DEVICE_WEIGHTS: [WeightType; 4] = [WeightType::F32, WeightType::F16, WeightType::Q8_0, WeightType::Q4_K];
/// Positions of a prompt that is longer than any number that runtimes have built in.
const BEYOND_4096: usize = 4200;
/// Positions of a prompt that is longer than the context before stretching of every model here.
const BEYOND_CONTEXT: usize = 300;

/// How much of the whole product is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What every change is held against: each axis whole, against little of the others.
    EveryChange,
    /// Every pair of values of two axes at least once, chosen by a seed.
    Pairwise(u64),
    /// Everything with everything.
    Full,
}

/// The subjects of a matrix.
pub struct Subjects<'a> {
    /// CPUs, which get everything.
    pub fast: &'a [SubjectId],
    /// Other devices, which get what the matrix has for devices.
    pub devices: &'a [SubjectId],
}

/// The recipes of the matrix's models in one weight type.
///
/// # Panics
/// Never: a test reads every recipe in every weight type.
pub fn recipes(weights: WeightType) -> Vec<Recipe> {
    let own = Architecture::ALL.map(|architecture| Recipe::new(architecture, weights, 0));
    let others = MODELS.map(|model| format!("{model}/{weights}").parse().expect("a test reads every recipe"));
    let mut all: Vec<Recipe> = own.into_iter().chain(others).collect();
    all.sort_by_key(|recipe| (recipe.architecture, recipe.model()));
    all
}

/// The recipes with every architecture's own numbers, and a mixture of experts, in one weight type.
pub fn own_recipes(weights: WeightType) -> Vec<Recipe> {
    recipes(weights).into_iter().filter(is_own).collect()
}

/// True for a recipe with its architecture's own numbers, and for the mixture of experts that Llama has beside them.
pub fn is_own(recipe: &Recipe) -> bool {
    recipe.model() == recipe.architecture.name() || recipe.model() == "llama+experts=4"
}

fn ramp(len: usize) -> Prompt {
    Prompt { name: format!("ramp-{len}"), tokens: Recipe::ramp(len), short: true }
}

/// The prompts that a recipe gets in the matrix, but for those beyond 4096 positions.
pub fn prompts(recipe: &Recipe) -> Vec<Prompt> {
    let stretched = recipe.model().contains("rope") && recipe.weights == WeightType::F32;
    [8, 40].into_iter().chain(stretched.then_some(BEYOND_CONTEXT)).map(ramp).collect()
}

/// Every schedule of a short prompt, and those of a longer one that differ in kind.
pub fn schedules(prompt: &Prompt) -> Vec<Schedule> {
    match prompt.tokens.len() {
        len @ ..=8 => Schedule::all(len),
        len @ ..=40 => {
            vec![Schedule::SingleShot, Schedule::TokenByToken, Schedule::Split(len as u32 / 2), Schedule::DecodeThenChunk]
        }
        _ => vec![Schedule::SingleShot],
    }
}

/// The plan of the matrix; models are made in `folder` when they are needed.
///
/// # Errors
/// Where a model cannot be planned.
pub fn plan(extent: Extent, subjects: &Subjects<'_>, folder: &Path, keep: &Filter) -> Result<Plan, Error> {
    match extent {
        Extent::EveryChange => every_change(subjects, folder, keep),
        Extent::Full => full(subjects.fast, folder, keep),
        Extent::Pairwise(seed) => pairwise(seed, subjects.fast, folder, keep),
    }
}

/// The cases that the matrix can have on `subjects`, each with its model's architecture: what patterns are held against. Nothing is made.
pub fn names(subjects: &[SubjectId]) -> Vec<(Case, &'static str)> {
    let mut cases = Vec::new();
    let mut add = |recipe: &Recipe, prompt: &Prompt, schedules: &[Schedule]| {
        let (weights, architecture) = (recipe.weights.name(), recipe.architecture.name());
        let model = recipe.model();
        let named = ModelNames { model: &model, weights, architecture }.cases(&prompt.name, schedules, subjects);
        cases.extend(named.into_iter().map(|(case, _)| (case, architecture)));
    };
    for recipe in FEW_WEIGHTS.into_iter().flat_map(recipes).chain(long_recipes()) {
        for prompt in [8, 40, BEYOND_CONTEXT, BEYOND_4096].map(ramp) {
            add(&recipe, &prompt, &schedules(&prompt));
        }
    }
    for recipe in Recipe::WEIGHTS.into_iter().flat_map(own_recipes) {
        add(&recipe, &ramp(8), &Schedule::OF_EVERY_RUN);
    }
    cases
}

/// A plan that grows product by product; a model stands in it once.
struct Builder<'a> {
    plan: Plan,
    folder: &'a Path,
    keep: &'a Filter,
}

impl Builder<'_> {
    fn model(&mut self, recipe: &Recipe) -> Result<usize, Error> {
        let argument = recipe.to_string();
        if let Some(index) = self.plan.models.iter().position(|model| model.argument == argument) {
            return Ok(index);
        }
        self.plan.models.push(Model::planned(recipe, self.folder)?);
        Ok(self.plan.models.len() - 1)
    }

    fn add(&mut self, recipes: &[Recipe], axes: &Axes<'_>) -> Result<(), Error> {
        let models = recipes.iter().map(|recipe| self.model(recipe)).collect::<Result<Vec<_>, _>>()?;
        let product = Product {
            models: &models,
            prompts: &|_| axes.prompts.to_vec(),
            schedules: axes.schedules,
            settings: axes.settings,
            subjects: axes.subjects,
            relations: axes.relations,
            runs: &|_, _, _| true,
        };
        self.plan.add(&product, self.keep);
        Ok(())
    }

    fn finish(mut self) -> Plan {
        self.plan.sort();
        self.plan
    }
}

/// Everything of a product but its models.
struct Axes<'a> {
    prompts: &'a [Prompt],
    schedules: &'a dyn Fn(&Prompt) -> Vec<Schedule>,
    settings: &'a [Settings],
    subjects: &'a [SubjectId],
    relations: &'a [Relation],
}

fn every_change(subjects: &Subjects<'_>, folder: &Path, keep: &Filter) -> Result<Plan, Error> {
    let mut builder = Builder { plan: Plan::default(), folder, keep };
    let single_shot = |_: &Prompt| vec![Schedule::SingleShot];
    let fast = subjects.fast;
    for weights in Recipe::WEIGHTS {
        let axes =
            Axes { prompts: &[ramp(8)], schedules: &single_shot, settings: &Settings::ALL, subjects: fast, relations: &[] };
        builder.add(&own_recipes(weights), &axes)?;
    }
    for weights in FEW_WEIGHTS {
        let prompts = [ramp(8), ramp(40)];
        let axes = Axes { prompts: &prompts, schedules: &schedules, settings: &Settings::ALL, subjects: fast, relations: &[] };
        builder.add(&recipes(weights), &axes)?;
        let axes = Axes {
            prompts: &[ramp(8)],
            schedules: &single_shot,
            settings: &Settings::ALL,
            subjects: fast,
            relations: &Relation::ALL,
        };
        builder.add(&own_recipes(weights), &axes)?;
    }
    let stretched: Vec<Recipe> =
        recipes(WeightType::F32).into_iter().filter(|recipe| recipe.model().contains("rope")).collect();
    for (recipes, len) in [(stretched, BEYOND_CONTEXT), (long_recipes(), BEYOND_4096)] {
        let axes = Axes {
            prompts: &[ramp(len)],
            schedules: &single_shot,
            settings: &[Settings::Strict],
            subjects: fast,
            relations: &[],
        };
        builder.add(&recipes, &axes)?;
    }
    // Devices, and beside them the CPUs that they are held against.
    let all: Vec<SubjectId> = fast.iter().chain(subjects.devices).cloned().collect();
    for weights in DEVICE_WEIGHTS {
        let axes = Axes {
            prompts: &[ramp(8)],
            schedules: &|_| Schedule::OF_EVERY_RUN.to_vec(),
            settings: &[Settings::Default],
            subjects: &all,
            relations: &[],
        };
        builder.add(&own_recipes(weights), &axes)?;
    }
    Ok(builder.finish())
}

/// Every architecture with a context beyond 4096, F32.
fn long_recipes() -> Vec<Recipe> {
    let long = |architecture: Architecture| format!("{}+context=8192/f32", architecture.name()).parse();
    Architecture::ALL.into_iter().filter_map(|architecture| long(architecture).ok()).collect()
}

fn full(subjects: &[SubjectId], folder: &Path, keep: &Filter) -> Result<Plan, Error> {
    let mut builder = Builder { plan: Plan::default(), folder, keep };
    let prompts = [ramp(8), ramp(40)];
    let axes = Axes { prompts: &prompts, schedules: &schedules, settings: &Settings::ALL, subjects, relations: &Relation::ALL };
    for weights in Recipe::WEIGHTS {
        builder.add(&recipes(weights), &axes)?;
    }
    Ok(builder.finish())
}

/// A sample in which every model meets every weight type, every way of feeding and every relation, and each of these the others.
fn pairwise(seed: u64, subjects: &[SubjectId], folder: &Path, keep: &Filter) -> Result<Plan, Error> {
    let models = recipes(WeightType::F32).len();
    let feeds: Vec<(usize, Schedule)> =
        [8, 40].into_iter().flat_map(|len| schedules(&ramp(len)).into_iter().map(move |schedule| (len, schedule))).collect();
    let levels = [models, Recipe::WEIGHTS.len(), feeds.len(), Settings::ALL.len(), Relation::ALL.len()];
    let mut builder = Builder { plan: Plan::default(), folder, keep };
    let all: Vec<Vec<Recipe>> = Recipe::WEIGHTS.into_iter().map(recipes).collect();
    for row in covering::rows(&levels, seed) {
        let [model, weights, feed, settings, relation] = row[..] else { continue };
        let (len, schedule) = feeds[feed];
        let axes = Axes {
            prompts: &[ramp(len)],
            schedules: &|_| vec![schedule],
            settings: &[Settings::ALL[settings]],
            subjects,
            relations: &[Relation::ALL[relation]],
        };
        builder.add(&all[weights][model..=model], &axes)?;
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_one_in_every_weight_type() {
        for weights in Recipe::WEIGHTS {
            let all = recipes(weights);
            assert_eq!(all.len(), Architecture::ALL.len() + MODELS.len());
            for recipe in all {
                assert_eq!(recipe.to_string().parse(), Ok(recipe));
            }
        }
        assert_eq!(long_recipes().len(), Architecture::ALL.len());
    }
}
