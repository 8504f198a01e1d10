//! The plan: which cases are run, and which are held against which. Nothing here runs anything.

use crate::subjects::LLAMA_CPP_CPU;
use globset::{GlobBuilder, GlobMatcher};
use machine::Error;
use std::collections::BTreeMap;
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Case, Relation, Schedule, Settings, SubjectId};

/// Subjects that are run together on one prompt and compared.
#[derive(Debug, Clone)]
pub struct Group {
    /// Index into [`Plan::models`].
    pub model: usize,
    /// The prompt.
    pub prompt: Prompt,
    /// How it is fed.
    pub schedule: Schedule,
    /// How exactly the runtimes compute.
    pub settings: Settings,
    /// The subjects, without the reference, which is part of every group.
    pub subjects: Vec<SubjectId>,
    /// Subjects that are held against themselves under a change that must not matter.
    pub trials: Vec<(SubjectId, Relation)>,
}

/// Everything one run does, in order.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The models.
    pub models: Vec<Model>,
    /// The groups, in the order they were added, and within a product by model, settings, prompt and schedule.
    pub groups: Vec<Group>,
    /// Where the group of a model, settings, prompt and schedule is.
    places: BTreeMap<(usize, Settings, String, Schedule), usize>,
}

/// Combinations of models, settings, prompts, schedules and subjects.
pub struct Product<'a> {
    /// Models, as indices into [`Plan::models`].
    pub models: &'a [usize],
    /// The prompts of each of these models.
    pub prompts: &'a dyn Fn(usize) -> Vec<Prompt>,
    /// The schedules of a prompt.
    pub schedules: &'a dyn Fn(&Prompt) -> Vec<Schedule>,
    /// How exactly the runtimes compute.
    pub settings: &'a [Settings],
    /// The subjects.
    pub subjects: &'a [SubjectId],
    /// Relations under which each subject is held against itself.
    pub relations: &'a [Relation],
    /// Whether a subject is run on a prompt at all.
    pub runs: &'a dyn Fn(&Model, &SubjectId, &Prompt) -> bool,
}

/// Which case ids to keep: a text that occurs in them, or a glob over the whole id in which `*` also matches `/`.
#[derive(Debug, Clone)]
pub enum Filter {
    /// Keeps everything.
    All,
    /// Keeps ids with this text.
    Part(String),
    /// Keeps ids that match.
    Glob(GlobMatcher),
}

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    /// Where it is not a valid glob.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if !text.contains(['*', '?', '[', '{']) {
            return Ok(Self::Part(text.into()));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).build();
        let next = "give a part of a case id, or a glob such as '*/q4_0/*/candle@cpu'";
        Ok(Self::Glob(glob.map_err(|error| Error::input(format!("filter `{text}`"), error, next))?.compile_matcher()))
    }

    /// True when the id is kept.
    pub fn keeps(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Part(part) => id.contains(part.as_str()),
            Self::Glob(glob) => glob.is_match(id),
        }
    }
}

impl Group {
    /// The case of one of the group's subjects.
    pub fn case(&self, model: &Model, subject: &SubjectId) -> Case {
        Case {
            model: model.name.clone(),
            weights: model.weights.clone(),
            prompt: self.prompt.name.clone(),
            schedule: self.schedule,
            settings: self.settings,
            subject: subject.clone(),
        }
    }

    /// The id of a trial: that of its case, and the relation.
    pub fn trial(&self, model: &Model, subject: &SubjectId, relation: Relation) -> String {
        format!("{}~{}", self.case(model, subject), relation.name())
    }

    /// Which subjects are held against each other: a device against the same runtime's CPU, everything else against
    /// llama.cpp's CPU.
    pub fn pairs(&self) -> Vec<(SubjectId, SubjectId)> {
        let cpu = |runtime: &str| self.subjects.iter().find(|s| s.runtime() == runtime && s.device_kind() == "cpu");
        let partner = |subject: &SubjectId| {
            let own = cpu(subject.runtime()).filter(|own| *own != subject);
            own.or_else(|| cpu(LLAMA_CPP_CPU.runtime()).filter(|own| *own != subject)).cloned()
        };
        let pairs = self.subjects.iter().filter_map(|subject| {
            // llama.cpp's CPU is what others are held against; with itself it makes no pair.
            if *subject == *LLAMA_CPP_CPU { None } else { Some((partner(subject)?, subject.clone())) }
        });
        pairs.collect()
    }
}

impl Plan {
    /// A plan for `models` with nothing to do yet.
    pub fn of(models: Vec<Model>) -> Self {
        Self { models, ..Self::default() }
    }

    /// Every schedule of every run for all of `models`; `prompts` are theirs.
    #[expect(clippy::too_many_arguments, reason = "the axes of a plan, each of which is another type")]
    pub fn new(
        models: Vec<Model>,
        prompts: &[Vec<Prompt>],
        schedules: &[Schedule],
        settings: &[Settings],
        subjects: &[SubjectId],
        runs: impl Fn(&Model, &SubjectId, &Prompt) -> bool,
        keep: &Filter,
    ) -> Self {
        let all: Vec<usize> = (0..models.len()).collect();
        let mut plan = Self::of(models);
        let product = Product {
            models: &all,
            prompts: &|model| prompts.get(model).cloned().unwrap_or_default(),
            schedules: &|_| schedules.to_vec(),
            settings,
            subjects,
            relations: &[],
            runs: &runs,
        };
        plan.add(&product, keep);
        plan
    }

    /// Adds the combinations of a product that `keep` keeps and that are not in the plan yet.
    pub fn add(&mut self, product: &Product<'_>, keep: &Filter) {
        for &model in product.models {
            for &settings in product.settings {
                for prompt in (product.prompts)(model) {
                    for schedule in (product.schedules)(&prompt) {
                        let empty = Group {
                            model,
                            prompt: prompt.clone(),
                            schedule,
                            settings,
                            subjects: Vec::new(),
                            trials: Vec::new(),
                        };
                        self.add_group(empty, product, keep);
                    }
                }
            }
        }
    }

    /// Adds a product's subjects and trials to the group like `empty`, or to `empty` itself where there is none.
    fn add_group(&mut self, empty: Group, product: &Product<'_>, keep: &Filter) {
        let Some(model) = self.models.get(empty.model) else { return };
        let key = (empty.model, empty.settings, empty.prompt.name.clone(), empty.schedule);
        let place = self.places.get(&key).copied();
        let mut new = empty;
        let group = place.and_then(|place| self.groups.get_mut(place)).unwrap_or(&mut new);
        for subject in product.subjects.iter().filter(|subject| (product.runs)(model, subject, &group.prompt)) {
            let kept = keep.keeps(&group.case(model, subject).to_string());
            let wanted = |relation: &&Relation| kept || keep.keeps(&group.trial(model, subject, **relation));
            let trials: Vec<_> = product
                .relations
                .iter()
                .filter(wanted)
                .filter(|relation| relation.applies(group.prompt.tokens.len(), group.schedule))
                .map(|&relation| (subject.clone(), relation))
                .collect();
            // A trial needs its case to be held against.
            if (kept || !trials.is_empty()) && !group.subjects.contains(subject) {
                group.subjects.push(subject.clone());
            }
            group.trials.extend(trials);
            group.trials.sort();
            group.trials.dedup();
        }
        if !new.subjects.is_empty() {
            self.places.insert(key, self.groups.len());
            self.groups.push(new);
        }
    }

    /// Finds groups where they are now.
    fn index(&mut self) {
        let key = |group: &Group| (group.model, group.settings, group.prompt.name.clone(), group.schedule);
        self.places = self.groups.iter().enumerate().map(|(place, group)| (key(group), place)).collect();
    }

    /// Puts the groups of a model next to each other, so that it is made and loaded once.
    pub fn sort(&mut self) {
        self.groups.sort_by_key(|group| (group.model, group.settings));
        self.index();
    }

    /// Keeps part `part` of `parts`, counted from 1: by model, so that each is made and loaded by one part alone.
    pub fn keep_part(&mut self, part: usize, parts: usize) {
        self.groups.retain(|group| group.model % parts == part - 1);
        self.index();
    }

    /// Every case with its model, in order.
    pub fn cases(&self) -> impl Iterator<Item = (Case, &Model)> {
        self.groups.iter().flat_map(|group| {
            let model = &self.models[group.model];
            group.subjects.iter().map(move |subject| (group.case(model, subject), model))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn group(subjects: &[&str]) -> Group {
        Group {
            model: 0,
            prompt: Prompt { name: "p".into(), tokens: vec![1], short: true },
            schedule: Schedule::SingleShot,
            settings: Settings::Strict,
            subjects: subjects.iter().map(|id| id.parse().unwrap()).collect(),
            trials: Vec::new(),
        }
    }

    #[test]
    fn devices_are_held_against_their_own_cpu_and_runtimes_against_llama_cpp() {
        let pairs = |ids: &[&str]| -> Vec<String> { group(ids).pairs().iter().map(|(a, b)| format!("{a} {b}")).collect() };
        assert_eq!(
            pairs(&["llama-cpp@cpu", "llama-cpp@vulkan0", "candle@cpu", "candle@cuda0", "mine@cpu"]),
            [
                "llama-cpp@cpu llama-cpp@vulkan0",
                "llama-cpp@cpu candle@cpu",
                "candle@cpu candle@cuda0",
                "llama-cpp@cpu mine@cpu"
            ]
        );
        assert!(pairs(&["candle@cpu"]).is_empty());
        assert!(pairs(&["llama-cpp@cpu"]).is_empty());
    }

    #[test]
    fn filters_take_parts_and_globs() {
        let id = "llama/q4_0/ramp-8/single-shot/strict/candle@cpu";
        for keeps in ["q4_0", "candle@cpu", "llama/*/candle@cpu", "*"] {
            assert!(Filter::parse(keeps).unwrap().keeps(id), "{keeps}");
        }
        for drops in ["q4_1", "gemma3/*", "*vulkan*"] {
            assert!(!Filter::parse(drops).unwrap().keeps(id), "{drops}");
        }
        assert!(Filter::parse("a[").is_err());
    }

    #[test]
    fn what_is_added_again_after_sorting_is_not_there_twice() {
        let tiny = |recipe: &str| Model::planned(&recipe.parse().unwrap(), Path::new("/")).unwrap();
        let mut plan = Plan::of(vec![tiny("llama/f32@2"), tiny("llama/f32@1")]);
        let prompt = Prompt { name: "ramp-8".into(), tokens: vec![0; 8], short: true };
        let subjects = ["candle@cpu".parse().unwrap()];
        let add = |plan: &mut Plan, models: &[usize]| {
            let product = Product {
                models,
                prompts: &|_| vec![prompt.clone()],
                schedules: &|_| Schedule::OF_EVERY_RUN.to_vec(),
                settings: &[Settings::Strict],
                subjects: &subjects,
                relations: &[],
                runs: &|_, _, _| true,
            };
            plan.add(&product, &Filter::All);
        };
        add(&mut plan, &[1, 0]);
        plan.sort();
        add(&mut plan, &[0, 1]);
        assert_eq!(plan.groups.len(), 4);
        plan.keep_part(1, 2);
        add(&mut plan, &[0]);
        assert_eq!(plan.groups.iter().map(|group| group.model).collect::<Vec<_>>(), [0, 0]);
    }
}
