//! The logits of random valid models: every CPU subject, in a worker of its own, against the reference within its limits.

use crate::{
    catalogue::PROGRAM,
    generators::recipes::RecipeCase,
    known::{self, By},
    statistics,
};
use gguf::WeightType;
use harness::{
    plan::{Filter, Plan},
    reproduce,
    rig::{Policy, Rig},
    run, subjects,
    worker::{launch::WorkerLimits, pool::Workers},
};
use machine::{Error, cache::Cache, scratch::Scratch};
use policy::{Expectations, Tolerances};
use smith::Recipe;
use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, time::Duration};
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Case, Judgement, Schedule, SubjectId};

/// What the logits of one input are judged with, kept from input to input: warm workers above all.
struct Harness {
    workers: Workers,
    policy: Policy,
    cache: Cache,
    scratch: Scratch,
}

impl Harness {
    fn new() -> Result<Self, Error> {
        // The reference's transcripts of models that nobody will see again are not for the user's cache.
        let scratch = Cache::find()?.scratch()?;
        let cache = Cache::at(scratch.path());
        let program = std::env::var_os(PROGRAM).map(PathBuf::from).or_else(|| std::env::current_exe().ok()).unwrap_or_default();
        let limits = WorkerLimits { time: Duration::from_mins(1), memory: 2 << 30 };
        let workers = Workers::new(program, BTreeMap::new(), limits, scratch.path().into());
        let policy = Policy { tolerances: Tolerances::shipped()?, expectations: Expectations::shipped()? };
        Ok(Self { workers, policy, cache, scratch })
    }

    /// True where a known divergence is about this architecture with one of these numbers, or fed in some such way. The policy's rows are
    /// for the matrix's models and schedules; a fuzzer draws others, in which the same fault shows.
    fn is_known(&self, drawn: &RecipeCase, subject: &SubjectId) -> bool {
        let architecture = drawn.recipe.architecture;
        let own = drawn.recipe.model();
        let numbers: Vec<&str> = own.split('+').skip(1).filter_map(|part| part.split('=').next()).collect();
        let shares = |recipe: &Recipe| {
            let model = recipe.model();
            let mut parts = model.split('+').skip(1).filter_map(|part| part.split('=').next());
            recipe.architecture == architecture && parts.all(|name| numbers.contains(&name))
        };
        let models = studies::matrix::recipes(WeightType::F32).into_iter().filter(shares).map(|recipe| recipe.model());
        let schedules = [drawn.schedule, Schedule::SingleShot, Schedule::Split(3), Schedule::Split(20)];
        let is_known = models.chain([own.clone()]).any(|model| {
            let may_be = |schedule: &&Schedule| {
                **schedule == drawn.schedule || drawn.schedule.chunks_into_cache() && schedule.chunks_into_cache()
            };
            schedules.iter().filter(may_be).any(|&schedule| {
                // The matrix's prompts: some faults show beyond a window alone.
                ["ramp-8", "ramp-40"].iter().any(|prompt| {
                    let case = Case {
                        model: model.clone(),
                        weights: drawn.recipe.weights.to_string(),
                        prompt: (*prompt).into(),
                        schedule,
                        settings: drawn.settings,
                        subject: subject.clone(),
                    };
                    self.policy.expectations.find(&case, architecture.name()).is_ok_and(|row| row.is_some())
                })
            })
        });
        if is_known && known::passing_over() {
            statistics::count("of a known divergence");
            return true;
        }
        subject.runtime() == "candle" && known::leave_out(|by| matches!(by, By::JudgeCandle(has) if has(&numbers)))
    }

    /// Runs a case on every CPU subject, and gives what failed in words.
    fn judge(&mut self, drawn: &RecipeCase) -> Result<Vec<String>, Error> {
        let model = Model::make(&drawn.recipe, self.scratch.path())?;
        let (path, prompt) =
            (model.path.clone(), Prompt { name: format!("ramp-{}", drawn.len), tokens: Recipe::ramp(drawn.len), short: true });
        let (prompts, schedules, settings) = ([vec![prompt]], [drawn.schedule], [drawn.settings]);
        let subjects = [subjects::LLAMA_CPP_CPU.clone(), subjects::CANDLE_CPU.clone()];
        let plan = Plan::new(vec![model], &prompts, &schedules, &settings, &subjects, |_, _, _| true, &Filter::All);
        let Self { workers, cache, scratch, policy, .. } = self;
        let mut rig = Rig { workers, cache, scratch: scratch.path(), policy, listeners: Vec::new() };
        let executed = run::run(&mut rig, &plan, Vec::new(), &reproduce::run(""));
        let _ = std::fs::remove_file(path);
        if let Ok(folder) = self.cache.reference() {
            let _ = std::fs::remove_dir_all(folder);
        }
        let record = executed?;
        let mut failed = Vec::new();
        for comparison in &record.comparisons {
            statistics::count(match comparison.judgement {
                Judgement::Pass => "pass",
                Judgement::Fail => "fail",
                Judgement::ExpectedFail => "expected fail",
                // A known divergence that these numbers happen to hide is no finding here; the matrix watches over those.
                Judgement::UnexpectedPass => "hidden divergence",
                Judgement::Unsupported => "unsupported",
                Judgement::Vacuous => "vacuous",
            });
            // Two subjects that differ are told by what each is against the reference.
            let against_truth = comparison.against == subjects::exact_reference();
            if comparison.judgement == Judgement::Fail && against_truth && !self.is_known(drawn, &comparison.candidate) {
                let words = comparison.reason.clone().unwrap_or_default();
                let verdict = comparison.verdict.as_ref().map(|verdict| format!("{verdict:?}")).unwrap_or_default();
                failed.push(format!(
                    "{} disagrees with the reference: {} {words} {verdict}",
                    comparison.candidate, comparison.id
                ));
            }
        }
        Ok(failed)
    }
}

thread_local! {
    static HARNESS: RefCell<Option<Harness>> = const { RefCell::new(None) };
}

/// Runs a case.
///
/// # Panics
/// Where a subject does not keep to its limits, and that is no known divergence; and where the harness itself cannot go on.
pub fn check(case: &RecipeCase) {
    let failed = HARNESS.with_borrow_mut(|harness| {
        let harness = match harness {
            Some(harness) => harness,
            none => none.insert(Harness::new()?),
        };
        harness.judge(case)
    });
    match failed {
        Ok(failed) => failed.iter().for_each(|words| known::report(words)),
        Err(error) => panic!("the harness cannot judge {}: {error}", case.recipe),
    }
}
