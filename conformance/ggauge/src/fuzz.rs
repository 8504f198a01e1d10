//! Not an API: every fuzz target by name: those of the crate `fuzzing`, and the two that need the harness. `fuzz/` is their glue to an engine.

use fuzzing::{
    Target,
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
use machine::{cache::Cache, scratch::Scratch};
use policy::{Divergences, Expectations, Tolerances};
use smith::{Architecture, Parameter, Recipe};
use std::{cell::RefCell, collections::BTreeMap, fmt, path::PathBuf, str::FromStr, time::Duration};
use supply::{models::Model, prompts::Prompt};
use vocabulary::{
    Case, Judgement, Schedule, Settings, SubjectId,
    protocol::{Request, Response},
};

/// Every target, from the cheapest to the dearest.
pub fn targets() -> &'static [Target] {
    &fuzzing::TARGETS
}

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    fuzzing::target(name)
}

/// The function of a target, by its name.
pub fn function(name: &str) -> Option<fn(&[u8])> {
    match name {
        "protocol" => Some(protocol),
        "logits_differential" => Some(logits_differential),
        _ => fuzzing::function(name),
    }
}

/// What people and workers write, on any bytes: no panic, and what was read is written so that it reads back equal.
///
/// # Panics
/// Where it is not so.
pub fn protocol(input: &[u8]) {
    let Some((&kind, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match kind % 8 {
        0 => json::<Request>(text),
        1 => json::<Response>(text),
        2 => reads_back::<Recipe>(text),
        3 => {
            if let Ok(expectations) = Expectations::parse(text, "fuzz") {
                statistics::count("expectations");
                assert!(!expectations.rows().iter().any(|row| row.reason.is_empty()), "a row without a reason was accepted");
            }
        }
        4 => {
            if let Ok(tolerances) = Tolerances::parse(text, "fuzz") {
                statistics::count("tolerances");
                assert!(!tolerances.tolerance.is_empty(), "limits without a row were accepted");
            }
        }
        5 => reads_back::<SubjectId>(text),
        6 => reads_back::<Schedule>(text),
        _ => statistics::count(if Divergences::parse(text, "fuzz").is_ok() { "divergences" } else { "refused" }),
    }
}

fn json<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + fmt::Debug>(text: &str) {
    let Ok(read) = serde_json::from_str::<T>(text) else { return };
    statistics::count("read");
    let written =
        serde_json::to_string(&read).unwrap_or_else(|error| panic!("{read:?} was read and cannot be written: {error}"));
    assert!(!written.contains('\n'), "{read:?} does not fit a line");
    let again = serde_json::from_str::<T>(&written);
    // By their text: a number that is none is not equal to itself.
    let same = again.as_ref().is_ok_and(|again| format!("{again:?}") == format!("{read:?}"));
    assert!(same, "{read:?} reads back as {again:?}");
}

fn reads_back<T: FromStr<Err: fmt::Debug> + fmt::Display>(text: &str) {
    let Ok(read) = text.parse::<T>() else { return };
    statistics::count("read");
    let written = read.to_string();
    match written.parse::<T>() {
        Ok(again) => assert_eq!(again.to_string(), written, "`{text}` reads back as something else"),
        Err(error) => panic!("`{text}` was read, and written as `{written}` it cannot be: {error:?}"),
    }
}

/// Values that a count or a switch is drawn from. What does not fit the other numbers is no recipe, and costs nothing.
const COUNTS: [u32; 14] = [0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 128];
/// Factors on the default of a number that need not be whole: far from it, models compute what nobody's do, and noise is all there is.
const FACTORS: [f64; 8] = [0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 4.0, 10.0];
/// Values where that default is 0.
const REALS: [f64; 4] = [0.5, 2.0, 5.0, 500.0];
/// The most hyper-parameters that differ from their defaults.
const CHANGES: usize = 3;
/// The longest prompt: beyond the windows that recipes have.
const LONGEST_PROMPT: usize = 24;

/// A model, how it is run, and on what.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// The model.
    pub recipe: Recipe,
    /// How its prompt is fed.
    pub schedule: Schedule,
    /// How exactly the runtimes compute.
    pub settings: Settings,
    /// The prompt's length.
    pub len: usize,
}

/// The case that an input stands for; `None` where its numbers do not fit each other. Zeros are the first architecture as it is.
pub fn drawn(input: &[u8]) -> Option<Drawn> {
    let byte = |at: usize| usize::from(input.get(at).copied().unwrap_or(0));
    let architecture = *Architecture::ALL.get(byte(0) % Architecture::ALL.len())?;
    // Half of them exact, because there the limits are close.
    let weights = match byte(1) {
        0..128 => WeightType::F32,
        number => *Recipe::WEIGHTS.get(number % Recipe::WEIGHTS.len())?,
    };
    let len = 1 + byte(2) % LONGEST_PROMPT;
    let schedules = Schedule::all(len);
    let schedule = *schedules.get(byte(3) % schedules.len())?;
    let settings = if byte(4) & 1 == 0 { Settings::Strict } else { Settings::Default };
    // Seeds of tests, and none that limits were measured with.
    let seed = byte(5);
    let parameters: Vec<Parameter> = architecture.parameters().collect();
    let mut text = architecture.name().to_owned();
    let mut have = Vec::new();
    for change in 0..CHANGES.min(byte(6) % (CHANGES + 1)) {
        let parameter = parameters.get(byte(7 + 2 * change) % parameters.len())?;
        let number = byte(8 + 2 * change);
        if have.contains(&parameter.name) {
            continue;
        }
        have.push(parameter.name);
        let value = match parameter.words.get(number % parameter.words.len().max(1)) {
            Some(word) => (*word).to_owned(),
            None if !parameter.is_real => COUNTS.get(number % COUNTS.len())?.to_string(),
            None if parameter.default == 0.0 => REALS.get(number % REALS.len())?.to_string(),
            None => (parameter.default * FACTORS.get(number % FACTORS.len())?).to_string(),
        };
        text = format!("{text}+{}={value}", parameter.name);
    }
    let recipe = format!("{text}/{weights}@{seed}").parse().ok()?;
    Some(Drawn { recipe, schedule, settings, len })
}

/// The variable that names the executable of the workers, where the process is not `ggauge` itself.
pub const PROGRAM: &str = "GGAUGE_FUZZ_PROGRAM";

/// What the logits of one input are judged with, kept from input to input: warm workers above all.
struct Harness {
    workers: Workers,
    policy: Policy,
    cache: Cache,
    scratch: Scratch,
}

impl Harness {
    fn new() -> Result<Self, machine::Error> {
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
    fn is_known(&self, drawn: &Drawn, subject: &SubjectId) -> bool {
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
    fn judge(&mut self, drawn: &Drawn) -> Result<Vec<String>, machine::Error> {
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

/// Random valid recipes through every CPU subject, each in a worker of its own, against the reference within its limits.
///
/// # Panics
/// Where a subject does not keep to them, and that is no known divergence; and where the harness itself cannot go on.
pub fn logits_differential(input: &[u8]) {
    let Some(drawn) = drawn(input) else {
        statistics::count("no recipe");
        return;
    };
    let failed = HARNESS.with_borrow_mut(|harness| {
        let harness = match harness {
            Some(harness) => harness,
            none => none.insert(Harness::new()?),
        };
        harness.judge(&drawn)
    });
    match failed {
        Ok(failed) => failed.iter().for_each(|words| known::report(words)),
        Err(error) => panic!("the harness cannot judge {}: {error}", drawn.recipe),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_the_catalogue_has_a_function() {
        for target in targets() {
            assert!(function(target.name).is_some(), "{} is in the catalogue and has no function", target.name);
        }
    }

    #[test]
    fn zeros_and_nothing_are_a_model_as_it_is_and_many_inputs_are_recipes() {
        for input in [&[][..], &[0; 16]] {
            assert_eq!(drawn(input).unwrap().recipe, "llama/f32@0".parse().unwrap());
        }
        // A fixed stream of bytes (a linear congruential generator).
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let drawn = (0..1000).filter(|_| drawn(&std::array::from_fn::<u8, 16, _>(|_| next())).is_some()).count();
        assert!(drawn > 300, "{drawn} of 1000 inputs are recipes");
    }
}
