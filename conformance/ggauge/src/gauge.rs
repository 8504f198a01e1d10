//! A model file that is run on subjects and judged, from somebody's own tests.

use crate::prompts;
use harness::{
    emulated::Emulated,
    plan::Filter,
    reproduce,
    rig::{Policy, Rig},
    run, subjects,
    worker::pool::Workers,
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache};
use policy::{Expectations, Tolerances};
use printable::quoted;
use record::{Record, SubjectRecord};
use report::Style;
use std::{
    fmt,
    path::{Path, PathBuf},
};
use studies::given::{Asked, EXACT_MEMORY, GivenModels};
use supply::models::Model;
use vocabulary::{Schedule, Settings, SubjectId, Upshot};

/// The variable that names the program which serves workers.
const PROGRAM: &str = "GGAUGE_PROGRAM";

/// A model file, and what it is to be run on.
///
/// ```no_run
/// use ggauge::{Gauge, Settings};
///
/// # fn main() -> Result<(), ggauge::Error> {
/// let gauged = Gauge::of("models/ours.gguf").on(["llama-cpp@cpu"]).settings(Settings::Strict).run()?;
/// for comparison in &gauged.record.comparisons {
///     println!("{}: {}", comparison.id, comparison.judgement.words());
/// }
/// gauged.assert_passes();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Gauge {
    model: PathBuf,
    subjects: Vec<String>,
    settings: Settings,
    program: Option<PathBuf>,
}

impl Gauge {
    /// Of a GGUF file, of a split model the first one. In tests a relative path begins at the package's folder.
    pub fn of(model: impl AsRef<Path>) -> Self {
        Self { model: model.as_ref().into(), subjects: Vec::new(), settings: Settings::Default, program: None }
    }

    /// Adds subjects, each as `RUNTIME@DEVICE`: `llama-cpp@cpu`, `candle@cuda0`, or what the program serves beside those. The exact reference is
    /// part of every run.
    #[must_use]
    pub fn on<S: ToString>(mut self, subjects: impl IntoIterator<Item = S>) -> Self {
        self.subjects.extend(subjects.into_iter().map(|subject| subject.to_string()));
        self
    }

    /// How exactly runtimes are asked to compute; [`Settings::Default`], what users get, where nothing is said.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The program that serves the workers, in place of the one that `GGAUGE_PROGRAM` names, or `ggauge` on the `PATH`: another build of ggauge, or a
    /// binary of [`serve`](crate::serve()), such as `env!("CARGO_BIN_EXE_worker")`. A name without a folder is looked up on the `PATH`.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Runs every prompt, fed at once and token by token, on every subject, and judges what they give by the limits and known divergences that ship
    /// with ggauge. Prompts are texts where llama.cpp is there to tokenize them, and ramps of token ids where it is not.
    ///
    /// It takes from seconds to minutes. A prompt's truth is computed once, and kept in the folder that `GGAUGE_CACHE` names, or else `ggauge` in the
    /// user's cache folder.
    ///
    /// # Errors
    /// Where the model is no GGUF file, a subject is no `RUNTIME@DEVICE`, the program cannot be started, or the disk is full. What a runtime does, a crash
    /// included, is no error: it is in the [`Record`].
    pub fn run(&self) -> Result<Gauged, Error> {
        let subjects = self.subjects()?;
        let cache = Cache::find()?;
        let scratch = cache.scratch()?;
        let model = Model::open(&self.model, None, None, &cache, &ProgressBar::hidden())?;
        let program = self.started_program();
        let mut workers = Workers::plain(program.clone(), scratch.path());
        let prompts = prompts::of(&model, &mut workers)?;
        let has_ramps = prompts.iter().any(|prompt| prompt.name.starts_with("ramp-"));
        let described = |subject| workers.describe(subject, self.settings, &model.path);
        let records = subjects.iter().map(described).collect::<Result<Vec<SubjectRecord>, _>>()?;
        let emulated = Emulated::among(&records);
        let given = GivenModels::of(vec![(model, prompts)]);
        let given = given.with_exact_forms(EXACT_MEMORY << 20, (&subjects, &Filter::All), &cache, &ProgressBar::hidden())?;
        let plan = given.plan(&Asked {
            schedules: &Schedule::OF_EVERY_RUN,
            settings: &[self.settings],
            subjects: &subjects,
            emulated: &emulated,
            filter: &Filter::All,
        });
        let policy = Policy { tolerances: Tolerances::shipped()?, expectations: Expectations::shipped()? };
        let mut rig =
            Rig { workers: &mut workers, cache: &cache, scratch: scratch.path(), policy: &policy, listeners: Vec::new() };
        let again = again(&subjects, &program, has_ramps);
        let again = reproduce::run(&again);
        let mut record = run::run(&mut rig, &plan, records, &again)?;
        run::judge_together(&mut record, &policy.tolerances, &again);
        Ok(Gauged { record, subjects })
    }

    fn subjects(&self) -> Result<Vec<SubjectId>, Error> {
        let next = "give subjects as RUNTIME@DEVICE, such as llama-cpp@cpu";
        let mut subjects: Vec<SubjectId> = Vec::new();
        for text in &self.subjects {
            let subject = text.parse().map_err(|why| Error::input(format!("subject `{text}`"), why, next))?;
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
        if subjects.is_empty() {
            return Err(Error::input(self.model.display(), "it is to be run on no subject", next));
        }
        Ok(subjects)
    }

    fn started_program(&self) -> PathBuf {
        let named = || std::env::var_os(PROGRAM).filter(|named| !named.is_empty()).map(PathBuf::from);
        self.program.clone().or_else(named).unwrap_or_else(|| "ggauge".into())
    }
}

/// What `ggauge run` has to be told to have subjects that it does not have itself. Where prompts are ramps of ids, because the program has no tokenizer,
/// it is to take that program for one, and to get none either.
fn again(all: &[SubjectId], program: &Path, has_ramps: bool) -> String {
    let known = subjects::known();
    let mut foreign: Vec<&SubjectId> = all.iter().filter(|subject| !known.contains(subject)).collect();
    if has_ramps && !foreign.is_empty() {
        foreign.push(&subjects::LLAMA_CPP_CPU);
    }
    let told = |subject: &SubjectId| reproduce::worker(subject, &format!("{} worker {subject}", quoted(program)));
    foreign.into_iter().map(told).collect()
}

/// What a [`Gauge`] found. Displays as the text that `ggauge run` prints.
#[derive(Debug, Clone)]
pub struct Gauged {
    /// Everything that was found; the same for the same files, runtimes and machine.
    pub record: Record,
    /// The subjects that were asked for.
    subjects: Vec<SubjectId>,
}

impl Gauged {
    /// Panics unless everything that was judged is as it should be, and something was judged of each subject.
    ///
    /// # Panics
    /// With the whole report: what differs, by how much, which limit that is beyond, who is wrong, and behind `next:` the command that runs just that
    /// case again.
    #[track_caller]
    pub fn assert_passes(&self) {
        let is_judged = |subject: &&SubjectId| {
            self.record.comparisons.iter().any(|found| found.candidate == **subject && found.judgement.is_judged())
        };
        let silent = self.subjects.iter().find(|subject| !is_judged(subject));
        match self.record.upshot() {
            Upshot::Good if let Some(subject) = silent => {
                panic!(
                    "nothing was judged of {subject}\n\n{self}\nnext: `ggauge subjects` says what can run, and why the rest cannot"
                )
            }
            Upshot::Good => {}
            Upshot::Bad => panic!("not every subject computes what the model means\n\n{self}"),
            Upshot::NothingJudged => {
                panic!(
                    "nothing was judged: no subject can run this model here\n\n{self}\nnext: `ggauge subjects` says what can run, and why the rest cannot"
                )
            }
        }
    }
}

impl fmt::Display for Gauged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&report::report(&self.record, Style { color: false, verbose: false }), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_that_are_none_are_refused_before_anything_runs() {
        let refused = |subjects: &[&str]| Gauge::of("model.gguf").on(subjects).subjects().unwrap_err().to_string();
        assert!(refused(&[]).contains("on no subject"));
        assert!(refused(&["llama-cpp"]).contains("expected RUNTIME@DEVICE"));
        let twice = Gauge::of("model.gguf").on(["candle@cpu", "candle@cpu"]).subjects().unwrap();
        assert_eq!(twice.len(), 1);
    }

    #[test]
    fn a_case_of_somebody_elses_runtime_is_run_again_with_its_worker() {
        let ids = |texts: &[&str]| -> Vec<SubjectId> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        assert_eq!(again(&ids(&["llama-cpp@cpu"]), Path::new("ggauge"), true), "");
        let told = again(&ids(&["llama-cpp@cpu", "mine@cpu"]), Path::new("/a/worker"), false);
        assert_eq!(told, " --worker 'mine@cpu=/a/worker worker mine@cpu'");
        // It must not find a tokenizer that was not there.
        let told = again(&ids(&["mine@cpu"]), Path::new("/a/worker"), true);
        assert!(told.ends_with(" --worker 'llama-cpp@cpu=/a/worker worker llama-cpp@cpu'"), "{told}");
    }
}
