//! Models that somebody gives: as they are, in the settings that are asked for, and in their exact form, as exactly as the runtimes can compute.

use harness::{
    emulated::Emulated,
    plan::{Filter, Plan, Product},
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache};
use supply::{
    exact,
    models::Model,
    prompts::Prompt,
};
use vocabulary::{Schedule, Settings, SubjectId};

/// What an exact form may take where nothing is said, in MiB: of a model of 250 million weights all, of one of 7 billion a layer.
pub const EXACT_MEMORY: u64 = 2048;

/// Models with their prompts, and what is asked of them.
pub struct Given<'a> {
    /// The models as they are.
    pub models: Vec<(Model, Vec<Prompt>)>,
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

/// The exact forms of models, each with its prompts; of a model without one, why.
///
/// # Errors
/// Where one cannot be written, or the user interrupted.
pub fn exact_forms(
    models: &[(Model, Vec<Prompt>)],
    bytes: u64,
    cache: &Cache,
    progress: &ProgressBar,
) -> Result<(Vec<(Model, Vec<Prompt>)>, Vec<String>), Error> {
    let (mut forms, mut without) = (Vec::new(), Vec::new());
    for (model, prompts) in models.iter().filter(|(model, _)| !model.is_tiny()) {
        match exact::of(model, bytes, cache, progress)? {
            Ok(exact) => {
                let prompts = prompts.iter().map(|prompt| within(prompt, &exact)).collect();
                forms.push((exact, prompts));
            }
            Err(why) => without.push(format!("{} {}: {why}", model.name, model.weights)),
        }
    }
    Ok((forms, without))
}

/// A prompt for a model that may have fewer tokens: those beyond come round again.
fn within(prompt: &Prompt, model: &Model) -> Prompt {
    let token = |&token: &u32| (u64::from(token) % model.vocabulary_size.max(1)) as u32;
    Prompt { tokens: prompt.tokens.iter().map(token).collect(), ..prompt.clone() }
}

impl Given<'_> {
    /// Everything that is done with the models, and with their exact forms.
    ///
    /// An exact form is run in strict settings, on CPUs, which compute in f32 then; a GPU multiplies in half precision there too. Its decoding reads four
    /// bytes a weight and token, so only short prompts are fed token by token.
    pub fn plan(self, exact: Vec<(Model, Vec<Prompt>)>) -> Plan {
        let Self { models, schedules, settings, subjects, emulated, filter } = self;
        let as_they_are = models.len();
        let (models, prompts): (Vec<Model>, Vec<Vec<Prompt>>) = models.into_iter().chain(exact).unzip();
        let all: Vec<usize> = (0..models.len()).collect();
        let (given, exact) = all.split_at(as_they_are);
        let prompts_of = |model: usize| prompts.get(model).cloned().unwrap_or_default();
        let mut plan = Plan::of(models);
        let product = Product {
            models: given,
            prompts: &prompts_of,
            schedules: &|_| schedules.to_vec(),
            settings,
            subjects,
            relations: &[],
            runs: &|_, subject, prompt| emulated.gets(subject, prompt),
        };
        plan.add(&product, filter);
        let of_exact = |prompt: &Prompt| {
            let fits = |schedule: &&Schedule| prompt.short || **schedule != Schedule::TokenByToken;
            schedules.iter().filter(fits).copied().collect()
        };
        let runs = |_: &Model, subject: &SubjectId, _: &Prompt| subject.device_kind() == "cpu";
        let product = Product { models: exact, schedules: &of_exact, settings: &[Settings::Strict], runs: &runs, ..product };
        plan.add(&product, filter);
        plan
    }
}
