//! Models that somebody gives: as they are, in the settings that are asked for, and in their exact form, as exactly as the runtimes can compute.

use harness::{
    emulated::Emulated,
    plan::{Filter, Plan, Product},
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache};
use reference::architectures;
use std::collections::BTreeSet;
use supply::{exact, models::Model, prompts::Prompt};
use vocabulary::{Schedule, Settings, SubjectId};

/// What an exact form may take where nothing is said, in MiB: of a model of 250 million weights all, of one of 7 billion a layer.
pub const EXACT_MEMORY: u64 = 2048;

/// Models with their prompts.
#[derive(Debug, Default)]
pub struct GivenModels {
    /// As they are.
    models: Vec<(Model, Vec<Prompt>)>,
    /// Their exact forms.
    exact: Vec<(Model, Vec<Prompt>)>,
    /// Why the others have none.
    pub without_exact: Vec<String>,
}

/// What is asked of models.
pub struct Asked<'a> {
    /// How prompts are fed.
    pub schedules: &'a [Schedule],
    /// How exactly the runtimes compute on the models as they are.
    pub settings: &'a [Settings],
    /// The subjects.
    pub subjects: &'a [SubjectId],
    /// Those of them that are emulated.
    pub emulated: &'a Emulated,
    /// Which cases are kept.
    pub filter: &'a Filter,
}

/// A prompt for a model that may have fewer tokens: those beyond come round again.
fn within(prompt: &Prompt, model: &Model) -> Prompt {
    let token = |&token: &u32| (u64::from(token) % model.vocabulary_size.max(1)) as u32;
    Prompt { tokens: prompt.tokens.iter().map(token).collect(), ..prompt.clone() }
}

impl GivenModels {
    /// Models as they are.
    pub fn of(models: Vec<(Model, Vec<Prompt>)>) -> Self {
        Self { models, ..Self::default() }
    }

    /// Adds the exact forms, each of at most so many bytes; none where that is 0, and none of an architecture that there is no truth of.
    ///
    /// # Errors
    /// Where one cannot be written, or the user interrupted.
    pub fn with_exact_forms(mut self, bytes: u64, cache: &Cache, progress: &ProgressBar) -> Result<Self, Error> {
        let has_truth = |model: &Model| architectures::known().any(|known| known == model.architecture);
        for (model, prompts) in self.models.iter().filter(|(model, _)| bytes > 0 && !model.is_tiny() && has_truth(model)) {
            match exact::of(model, bytes, cache, progress)? {
                Ok(exact) => {
                    let prompts = prompts.iter().map(|prompt| within(prompt, &exact)).collect();
                    self.exact.push((exact, prompts));
                }
                Err(why) => self.without_exact.push(format!("{} {}: {why}", model.name, model.weights)),
            }
        }
        Ok(self)
    }

    /// The models as they are, with their prompts.
    pub fn models(&self) -> &[(Model, Vec<Prompt>)] {
        &self.models
    }

    /// The settings that subjects are started in, where these are asked for.
    pub fn settings(&self, asked: &[Settings]) -> Vec<Settings> {
        let strict = (!self.exact.is_empty()).then_some(Settings::Strict);
        let all: BTreeSet<Settings> = asked.iter().copied().chain(strict).collect();
        all.into_iter().collect()
    }

    /// Everything that is done with the models, and with their exact forms.
    ///
    /// An exact form is run in strict settings, on CPUs, which compute in f32 then; a GPU multiplies in half precision there too. Its decoding reads four
    /// bytes a weight and token, so only short prompts are fed token by token.
    pub fn plan(self, asked: &Asked<'_>) -> Plan {
        let as_they_are = self.models.len();
        let (models, prompts): (Vec<Model>, Vec<Vec<Prompt>>) = self.models.into_iter().chain(self.exact).unzip();
        let all: Vec<usize> = (0..models.len()).collect();
        let (given, exact) = all.split_at(as_they_are);
        let mut plan = Plan::of(models);
        let product = Product {
            models: given,
            prompts: &|model| prompts.get(model).cloned().unwrap_or_default(),
            schedules: &|_| asked.schedules.to_vec(),
            settings: asked.settings,
            subjects: asked.subjects,
            relations: &[],
            runs: &|_, subject, prompt| asked.emulated.gets(subject, prompt),
        };
        plan.add(&product, asked.filter);
        let fits = |schedule: Schedule, prompt: &Prompt| prompt.short || schedule != Schedule::TokenByToken;
        let product = Product {
            models: exact,
            schedules: &|prompt| asked.schedules.iter().copied().filter(|&schedule| fits(schedule, prompt)).collect(),
            settings: &[Settings::Strict],
            runs: &|_, subject, _| subject.device_kind() == "cpu",
            ..product
        };
        plan.add(&product, asked.filter);
        plan
    }
}
