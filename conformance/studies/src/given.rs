//! Models that somebody gives: as they are, in the settings that are asked for, and in their exact form, as exactly as the runtimes can compute.

use crate::names::ModelNames;
use harness::{
    emulated::Emulated,
    plan::{Filter, Plan, Product},
    subjects,
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache};
use reference::architectures;
use std::collections::BTreeSet;
use supply::{exact, models::Model, prompts::Prompt};
use vocabulary::{Case, Schedule, Settings, SubjectId};

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

/// True for a subject of ours on a CPU. A GPU multiplies in half precision in strict settings too, and a runtime that somebody brings may know no such
/// settings.
fn runs_exact_forms(subject: &SubjectId) -> bool {
    subject.device_kind() == "cpu" && subjects::known().contains(subject)
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

    /// Adds the exact forms, each of at most so many bytes, none where that is 0: of models that there is a truth of, and as far as a case is kept of one
    /// of these subjects.
    ///
    /// # Errors
    /// Where a model changes meanwhile, or the user interrupted.
    pub fn with_exact_forms(
        mut self,
        bytes: u64,
        (subjects, filter): (&[SubjectId], &Filter),
        cache: &Cache,
        progress: &ProgressBar,
    ) -> Result<Self, Error> {
        let subjects: Vec<SubjectId> = subjects.iter().filter(|subject| runs_exact_forms(subject)).cloned().collect();
        let has_truth = |model: &Model| architectures::known().any(|known| known == model.architecture);
        for (model, prompts) in self.models.iter().filter(|(model, _)| bytes > 0 && !model.is_tiny() && has_truth(model)) {
            let is_wanted = |weights: &str| {
                let names = ModelNames { model: &model.name, weights, architecture: &model.architecture };
                let of = |prompt: &Prompt| names.cases(&prompt.name, &Schedule::OF_EVERY_RUN, &subjects);
                let is_kept = |(case, _): (Case, &str)| case.settings == Settings::Strict && filter.keeps(&case.to_string());
                prompts.iter().flat_map(of).any(is_kept)
            };
            match exact::of(model, bytes, is_wanted, cache, progress)? {
                Ok(exact) => {
                    let prompts = prompts.iter().map(|prompt| within(prompt, &exact)).collect();
                    self.exact.push((exact, prompts));
                }
                Err(why) => self.without_exact.push(format!("{} {}: {why}", model.name, model.weights)),
            }
        }
        Ok(self)
    }

    /// The models as they are and in their exact form, with their prompts.
    pub fn all(&self) -> impl Iterator<Item = &(Model, Vec<Prompt>)> {
        self.models.iter().chain(&self.exact)
    }

    /// The settings that subjects are started in, where these are asked for.
    pub fn settings(&self, asked: &[Settings]) -> Vec<Settings> {
        let strict = (!self.exact.is_empty()).then_some(Settings::Strict);
        let all: BTreeSet<Settings> = asked.iter().copied().chain(strict).collect();
        all.into_iter().collect()
    }

    /// Everything that is done with the models, and with their exact forms.
    ///
    /// An exact form is run in strict settings. Its decoding reads four bytes a weight and token, so only short prompts are fed token by token.
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
            runs: &|_, subject, _| runs_exact_forms(subject),
            ..product
        };
        plan.add(&product, asked.filter);
        plan
    }
}
