//! The flow: a plan's cases are executed by workers, judged, and go into the Record.

use crate::{
    allowance,
    answer::{Answer, bad_transcript, outcome_of},
    event::{Done, Event},
    judge::{Changed, Executed, ExecutedGroup, Judge, Trial, together},
    plan::{Group, Plan},
    relation::{self, Change},
    rig::{self, Rig},
    subjects,
    truth::{Truth, kept::Truths},
};
use machine::{Error, cache::Cache, files, interrupt};
use policy::Tolerances;
use printable::hex;
use record::{CaseRecord, ComparisonRecord, ModelRecord, Record, SCHEMA, SubjectRecord};
use sha2::{Digest, Sha256};
use std::{fs, io, time::Instant};
use supply::models::{InUse, Model};
use tempfile::TempDir;
use vocabulary::{Case, Limits, Noise, Relation, Schedule, SubjectId, Tuning, transcript::Reader};

/// Runs a plan. `subjects` goes into the Record as it is; `reproduce` gives the command that runs a case again, from its model, the case, and the
/// filter that keeps it.
///
/// # Errors
/// Where the harness itself cannot go on, or a listener says so. What happens to a worker is an outcome, not an error.
pub fn run(
    rig: &mut Rig<'_>,
    plan: &Plan,
    subjects: Vec<SubjectRecord>,
    reproduce: &dyn Fn(&ModelRecord, &Case, &str) -> String,
) -> Result<Record, Error> {
    let cache = rig.cache;
    // At both ends, and after an error as well: the run before may have been killed.
    cache.prune();
    let result = run_all(rig, plan, subjects, reproduce);
    cache.prune();
    result
}

/// Judges what only all cases of a run on models that somebody gives tell: divergences that do not show in each, and all positions of all prompts
/// together, where there are enough of them.
pub fn judge_together(record: &mut Record, tolerances: &Tolerances, reproduce: &dyn Fn(&ModelRecord, &Case, &str) -> String) {
    together::pass_where_it_shows_elsewhere(record);
    let limit = |model: &ModelRecord, comparison: &ComparisonRecord| {
        let ComparisonRecord { candidate, settings, schedule, .. } = comparison;
        let of_subject = |subject: &&SubjectRecord| subject.subject == *candidate && subject.settings == *settings;
        let software = record.subjects.iter().find(of_subject).is_some_and(|subject| subject.description.software);
        let rounding = allowance::rounding(candidate, *settings, *schedule, model, software);
        allowance::together(tolerances, candidate, rounding, model)
    };
    let judged = together::judge(record, limit, reproduce);
    record.comparisons.extend(judged);
}

fn run_all(
    rig: &mut Rig<'_>,
    plan: &Plan,
    subjects: Vec<SubjectRecord>,
    reproduce: &dyn Fn(&ModelRecord, &Case, &str) -> String,
) -> Result<Record, Error> {
    let things = plan.groups.iter().map(|group| (group.subjects.len() + group.trials.len()) as u64).sum();
    rig.tell(Event::Planned(things))?;
    let mut record = Record {
        schema: SCHEMA,
        ggauge: env!("CARGO_PKG_VERSION").into(),
        reference: reference::FINGERPRINT.into(),
        models: plan.models.iter().map(|model| model.record().clone()).collect(),
        subjects,
        cases: Vec::new(),
        comparisons: Vec::new(),
    };
    let expectations = &rig.policy.expectations;
    // Two rows that match equally well are an error of the policy, and no reason to lose a night's work.
    for (case, model) in plan.cases() {
        expectations.find(&case, &model.architecture)?;
    }
    let judge = Judge { expectations, reproduce };
    let cache: &Cache = rig.cache;
    let mut flow = Flow { truth: Truth::new(Truths::of(cache)), in_use: InUse::default(), rig };
    let mut made = None;
    for group in &plan.groups {
        interrupt::check()?;
        let model = &plan.models[group.model];
        if made != Some(group.model) {
            // A matrix has hundreds of tiny models, and each is made again in milliseconds.
            if let Some(before) = made.map(|index: usize| &plan.models[index]).filter(|before| before.is_tiny()) {
                let _ = fs::remove_file(&before.path);
            }
            flow.in_use = model.ensure()?;
            made = Some(group.model);
        }
        flow.run_group(model, group, &judge, &mut record)?;
    }
    let Rig { workers, listeners, .. } = flow.rig;
    for (subject, settings, worker) in workers.all() {
        rig::tell(listeners, &mut Event::Ended { subject, settings, worker })?;
    }
    Ok(record)
}

/// A run in progress.
struct Flow<'r, 'a> {
    rig: &'r mut Rig<'a>,
    truth: Truth<'a>,
    /// The files of the model whose cases are run.
    in_use: InUse,
}

/// What a case is allowed: the noise of its rounding, or why that is not known, and the limits made from it.
struct Allowance {
    noise: Result<Noise, String>,
    limits: Option<Limits>,
}

impl Flow<'_, '_> {
    fn run_group(&mut self, model: &Model, group: &Group, judge: &Judge<'_>, record: &mut Record) -> Result<(), Error> {
        let exact = self.truth.exact(self.rig, &mut self.in_use, model, &group.prompt)?;
        let mut executed = Vec::new();
        for (index, subject) in group.subjects.iter().enumerate() {
            let (case, logits) = self.execute(model, group, subject, index, &exact)?;
            record.cases.push(CaseRecord { id: case.case.to_string(), outcome: outcome_of(&case.answer), logits });
            executed.push(case);
            self.rig.tell(Event::Done)?;
        }
        let mut trials = Vec::new();
        // What they gave is there until the whole group is judged: a changed model for each trial, and these models are tiny.
        let mut folders = Vec::new();
        for (subject, relation) in &group.trials {
            let Some(case) = executed.iter().find(|executed| executed.case.subject == *subject) else { continue };
            self.rig.tell(Event::Begun(&group.trial(model, subject, *relation)))?;
            let (changed, folder) = match case.answer {
                Ok(_) => self.execute_changed(model, group, case, *relation, &exact)?,
                Err(_) => (Err("there is nothing to hold it against".into()), None),
            };
            folders.extend(folder);
            trials.push(Trial { subject: subject.clone(), relation: *relation, changed });
            self.rig.tell(Event::Done)?;
        }
        let pairs = group.pairs();
        let all = ExecutedGroup { model: model.record(), exact: &exact, executed: &executed, pairs: &pairs, trials: &trials };
        record.comparisons.extend(judge.judge(&all)?);
        for index in 0..group.subjects.len() {
            // Judged, so no longer needed; one that was never written is no loss.
            let _ = fs::remove_file(self.rig.scratch.join(transcript_name(index)));
        }
        // Judged by what the file was when it was hashed: of one that is another now, nothing is said.
        self.in_use.check()
    }

    /// Executes a case, and gives the sha256 of its transcript beside it.
    #[expect(clippy::too_many_arguments, reason = "a case is a model, a group and a subject, each of which lives elsewhere")]
    fn execute(
        &mut self,
        model: &Model,
        group: &Group,
        subject: &SubjectId,
        index: usize,
        exact: &Answer<Reader>,
    ) -> Result<(Executed, Option<String>), Error> {
        let case = group.case(model, subject);
        self.rig.tell(Event::Begun(&case.to_string()))?;
        let path = self.rig.scratch.join(transcript_name(index));
        let started = Instant::now();
        let worker = self.rig.workers.get(subject, group.settings);
        let answer = match subjects::minds_shards(subject, model.shards) {
            Some(outcome) => Err(outcome),
            None => worker.evaluate(&model.path, model.vocabulary_size, &group.prompt.tokens, group.schedule, &path)?,
        };
        let seconds = started.elapsed().as_secs_f64();
        let (answer, logits) = match answer.map(|transcript| (sha256_of(&transcript), transcript)) {
            Ok((Ok(sha256), transcript)) => (Ok(transcript), Some(sha256)),
            Ok((Err(error), _)) => {
                interrupt::check()?;
                (Err(bad_transcript(error.to_string())), None)
            }
            Err(outcome) => (Err(outcome), None),
        };
        let Allowance { noise, limits } = match (exact, &answer) {
            (Ok(exact), Ok(_)) => self.allowance(model, group, subject, group.schedule, exact)?,
            _ => Allowance { noise: Err("there is nothing to compare".into()), limits: None },
        };
        let executed = Executed { case, answer, noise, limits };
        let Rig { workers, listeners, .. } = &mut *self.rig;
        let worker = workers.get(subject, group.settings);
        let done = Done { executed: &executed, model, prompt: &group.prompt, worker, seconds };
        rig::tell(listeners, &mut Event::Executed(done))?;
        Ok((executed, logits))
    }

    /// Executes a case once more under a change that must not matter. The folder has what it gave.
    #[expect(clippy::too_many_arguments, reason = "a case is a model, a group and a subject, each of which lives elsewhere")]
    fn execute_changed(
        &mut self,
        model: &Model,
        group: &Group,
        before: &Executed,
        relation: Relation,
        exact: &Answer<Reader>,
    ) -> Result<(Result<Changed, String>, Option<TempDir>), Error> {
        let subject = &before.case.subject;
        let bytes = fs::read(&model.path).map_err(|error| Error::file(&model.path, &error))?;
        let Change { files, tuning, schedule } = relation::change(relation, &bytes, group.prompt.tokens.len(), group.schedule)
            .map_err(|finding| Error::input(&model.argument, finding, "give a valid file"))?;
        if tuning != Tuning::default() && !self.rig.workers.is_ours(subject) {
            return Ok((Err("a subject of the user's is started in one way only".into()), None));
        }
        // A folder of its own, because a worker that has loaded a path does not load it again.
        let scratch = self.rig.scratch;
        let folder = tempfile::tempdir_in(scratch).map_err(|error| Error::file(scratch, &error))?;
        for (name, bytes) in &files {
            files::write_whole(&folder.path().join(name), bytes)?;
        }
        let path = files.first().map_or_else(|| model.path.clone(), |(name, _)| folder.path().join(name));
        let transcript = folder.path().join("changed.safetensors");
        let worker = self.rig.workers.tuned(subject, group.settings, tuning);
        let answer = worker.evaluate(&path, model.vocabulary_size, &group.prompt.tokens, schedule, &transcript)?;
        let limits = match (exact, relation.is_exact()) {
            (Ok(exact), false) => {
                let changed = self.allowance(model, group, subject, schedule, exact)?.limits;
                before.limits.zip(changed).map(|(a, b)| Limits::of_pair(&a, &b))
            }
            _ => None,
        };
        Ok((Ok(Changed { schedule, answer, limits }), Some(folder)))
    }

    /// What a subject is allowed on a prompt that is fed by `schedule`.
    #[expect(clippy::too_many_arguments, reason = "a case is a model, a group and a subject, each of which lives elsewhere")]
    fn allowance(
        &mut self,
        model: &Model,
        group: &Group,
        subject: &SubjectId,
        schedule: Schedule,
        exact: &Reader,
    ) -> Result<Allowance, Error> {
        let software = self.rig.workers.get(subject, group.settings).description.software;
        let rounding = allowance::rounding(subject, group.settings, schedule, model, software);
        let noise = self.truth.noise(self.rig, &mut self.in_use, (model, &group.prompt), rounding, exact)?;
        let tolerances = &self.rig.policy.tolerances;
        let limits_of = |noise: &Noise| allowance::limits(tolerances, subject, rounding, model, &noise.scale);
        let limits = noise.as_ref().ok().and_then(limits_of);
        Ok(Allowance { noise, limits })
    }
}

/// The file that a group's subject writes into.
fn transcript_name(index: usize) -> String {
    format!("{index}.safetensors")
}

/// The sha256 of a transcript's file as it was when it was opened; ends early where the user asks to stop.
fn sha256_of(transcript: &Reader) -> io::Result<String> {
    let mut hash = Sha256::new();
    transcript.each_piece_of_file(|piece| {
        if interrupt::requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        hash.update(piece);
        Ok(())
    })?;
    Ok(hex(&hash.finalize()))
}
