//! Running a plan: cases go to warm workers, transcripts to the oracles, judgements into the Record.

use crate::{
    Error,
    blame::{Side, settle, settle_pair, words},
    cache::{self, Cache},
    files::Files,
    golden::{self, Gave, Golden},
    interrupt,
    models::{InUse, Model},
    oracle::{self, Incomparable, Limits, Scale},
    page::Page,
    plan::{Group, Plan},
    policy::{Expectation, Expectations, Key, Tolerances},
    printable::{hex, quoted},
    prompts::Prompt,
    record::{CaseRecord, ComparisonRecord, Judgement, Oracle, Record, SCHEMA, SubjectRecord, Timings},
    relation::Relation,
    subjects,
    truths::{Origin, Truths},
    weights,
    worker::{
        cpu_time,
        process::{self, Launch, Worker, bad_transcript, outcome_of},
    },
};
use indicatif::{ProgressBar, ProgressStyle};
use reference::{ReferenceSubject, Rounding};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use vocabulary::{
    Case, Check, Description, Measurement, Outcome, Refusal, Schedule, Settings, Subject, SubjectId, Tuning, Verdict,
    transcript::{Reader, Writer},
};

/// Workers by subject and settings, started when they are first needed and kept warm.
pub struct Workers {
    program: PathBuf,
    commands: BTreeMap<SubjectId, String>,
    limits: process::Limits,
    scratch: PathBuf,
    running: BTreeMap<(SubjectId, Settings, Tuning), Worker>,
}

impl Workers {
    /// Workers that are started as `program worker`, except those in `commands`; logs and transcripts go into `scratch`.
    pub fn new(program: PathBuf, commands: BTreeMap<SubjectId, String>, limits: process::Limits, scratch: PathBuf) -> Self {
        Self { program, commands, limits, scratch, running: BTreeMap::new() }
    }

    /// Workers that are all started as `program worker`, with the limits that nobody asked to change.
    pub fn plain(program: PathBuf, scratch: &Path) -> Self {
        Self::new(program, BTreeMap::new(), process::Limits::default(), scratch.into())
    }

    /// The worker of a subject.
    pub fn get(&mut self, subject: &SubjectId, settings: Settings) -> &mut Worker {
        self.tuned(subject, settings, Tuning::default())
    }

    /// The worker of a subject that is started with something beyond its settings.
    pub fn tuned(&mut self, subject: &SubjectId, settings: Settings, tuning: Tuning) -> &mut Worker {
        let number = self.running.len();
        self.running.entry((subject.clone(), settings, tuning)).or_insert_with(|| {
            let launch = Launch {
                subject: subject.clone(),
                settings,
                tuning,
                program: self.program.clone(),
                command: self.commands.get(subject).cloned(),
            };
            let mark = if tuning == Tuning::default() { String::new() } else { format!("-{number}") };
            Worker::new(launch, self.limits, self.scratch.join(format!("{subject}-{settings}{mark}.log")))
        })
    }

    /// True for a subject that ggauge starts itself, so that it can be started in more than one way.
    fn is_ours(&self, subject: &SubjectId) -> bool {
        !self.commands.contains_key(subject)
    }

    /// Starts a subject and asks what it is. A subject that cannot run here says so when it is first asked to load; one whose
    /// worker crashes is not unavailable, and its cases will fail.
    ///
    /// # Errors
    /// Where no process can be started.
    pub fn describe(&mut self, subject: &SubjectId, settings: Settings, probe: &Path) -> Result<SubjectRecord, Error> {
        let worker = self.get(subject, settings);
        let unavailable = match worker.load(probe)? {
            Err(Outcome::Unsupported { reason }) => Some(reason),
            _ => None,
        };
        let description = worker.description.clone();
        Ok(SubjectRecord { subject: subject.clone(), settings, description, unavailable })
    }

    /// The logs of all workers, by subject and settings.
    pub fn logs(&self) -> Vec<(String, PathBuf)> {
        let logs = self.running.values().map(Worker::stderr).filter(|path| path.exists());
        logs.filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), path.to_owned()))).collect()
    }
}

/// Everything that judging needs beside the plan.
pub struct Policy {
    /// The calibrated limits.
    pub tolerances: Tolerances,
    /// The known divergences.
    pub expectations: Expectations,
}

/// One run in progress.
pub struct Run<'a> {
    workers: &'a mut Workers,
    /// The command that this is a run of: `run` or `matrix`.
    command: &'a str,
    /// Arguments that reproduce a case, beyond model, settings and filter.
    arguments: &'a str,
    cache: &'a Cache,
    scratch: &'a Path,
    policy: &'a Policy,
    progress: &'a ProgressBar,
    outputs: Option<Outputs>,
    /// Exact transcripts that nothing can be held against, by their origin, and why.
    broken_truths: BTreeMap<String, String>,
    timings: Timings,
    truths: Truths<'a>,
    /// The files of the model whose cases are run.
    in_use: InUse,
}

/// A folder for the texts that goldens are made of.
struct Outputs {
    folder: PathBuf,
    /// Of the model that was run last, by its sha256.
    card: Option<(String, golden::Card)>,
}

impl Outputs {
    fn write(&mut self, case: &Case, model: &Model, prompt: &Prompt, gave: Gave<'_>, worker: &mut Worker) -> Result<(), Error> {
        let card = match self.card.take().filter(|(sha256, _)| *sha256 == model.sha256) {
            Some(known) => known,
            None => (model.sha256.clone(), golden::Card::of(model)?),
        };
        // Text that is read needs a vocabulary, and one schedule of feeding the prompt is enough for it.
        let room = model.context_length.unwrap_or(u64::MAX).saturating_sub(prompt.tokens.len() as u64);
        let count = u64::from(golden::CONTINUED).min(room) as u32;
        let continuation = if gave.answer.is_ok() && !model.is_tiny() && case.schedule == Schedule::SingleShot && count > 0 {
            worker.continue_greedily(&model.path, model.vocabulary_size, &prompt.tokens, count)?.ok()
        } else {
            None
        };
        let golden = Golden::of(case, &card.1, prompt, Gave { continuation: continuation.as_ref(), ..gave });
        self.card = Some(card);
        cache::write_whole(&self.folder.join(format!("{case}.toml")), golden.text().as_bytes())
    }
}

/// A case that was run: its logits or what else became of it, and what it is allowed.
struct Ran {
    case: Case,
    answer: Result<Reader, Outcome>,
    /// Where the logits were written. They are read through what was opened then, as something else may lie there now.
    path: PathBuf,
    limits: Option<Limits>,
    noise: Result<Scale, String>,
}

impl Ran {
    /// What a pair is judged by before any number is looked at.
    fn side<'s>(&'s self, outcome: &'s Outcome, alone: &'s BTreeMap<SubjectId, ComparisonRecord>) -> Side<'s> {
        let subject = &self.case.subject;
        let alone = alone.get(subject).map(|alone| (alone.judgement, alone.reason.as_deref().unwrap_or_default()));
        Side { subject, outcome, alone }
    }
}

impl<'a> Run<'a> {
    /// Begins a run.
    pub fn new(
        workers: &'a mut Workers,
        command: &'a str,
        arguments: &'a str,
        cache: &'a Cache,
        scratch: &'a Path,
        policy: &'a Policy,
        progress: &'a ProgressBar,
    ) -> Self {
        Self {
            workers,
            command,
            arguments,
            cache,
            scratch,
            policy,
            progress,
            outputs: None,
            broken_truths: BTreeMap::new(),
            timings: Timings::default(),
            truths: Truths::of(cache, |words| progress.suspend(|| Page::of(format_args!("ggauge: {words}")).say())),
            in_use: InUse::default(),
        }
    }

    /// Writes a text for each case into a folder, in files named by the cases' ids: what goldens are made of.
    #[must_use]
    pub fn with_outputs(mut self, folder: PathBuf) -> Self {
        self.outputs = Some(Outputs { folder, card: None });
        self
    }

    /// Runs the whole plan. `subjects` goes into the Record as it is.
    ///
    /// # Errors
    /// Where the harness itself cannot go on. What happens to a worker is an outcome, not an error.
    pub fn execute(self, plan: Plan, subjects: Vec<SubjectRecord>) -> Result<(Record, Timings), Error> {
        let cache = self.cache;
        // At both ends, and after an error as well: the run before may have been killed.
        cache.prune();
        let result = self.execute_all(plan, subjects);
        cache.prune();
        result
    }

    fn execute_all(mut self, plan: Plan, subjects: Vec<SubjectRecord>) -> Result<(Record, Timings), Error> {
        let started = (Instant::now(), cpu_time());
        let cases = plan.groups.iter().map(|group| (group.subjects.len() + group.trials.len()) as u64).sum();
        count(self.progress, cases);
        let mut record = Record {
            schema: SCHEMA,
            ggauge: env!("CARGO_PKG_VERSION").into(),
            reference: reference::FINGERPRINT.into(),
            models: plan.models.clone(),
            subjects,
            cases: Vec::new(),
            comparisons: Vec::new(),
        };
        // Two rows that match equally well are an error of the policy, and no reason to lose a night's work.
        for (case, model) in plan.cases() {
            self.policy.expectations.find(&case, &model.architecture)?;
        }
        let mut made = None;
        for group in &plan.groups {
            interrupt::check()?;
            let model = &plan.models[group.model];
            if made != Some(group.model) {
                // A matrix has hundreds of tiny models, and each is made again in milliseconds.
                if let Some(before) = made.map(|index: usize| &plan.models[index]).filter(|before| before.is_tiny()) {
                    let _ = fs::remove_file(&before.path);
                }
                self.in_use = model.ensure()?;
                made = Some(group.model);
            }
            self.run_group(model, group, &mut record)?;
        }
        for ((subject, settings, _), worker) in &self.workers.running {
            let peak = self.timings.peak_memory.entry(format!("{subject} {settings}")).or_default();
            *peak = worker.peak_memory.max(*peak);
            if subject.runtime() != "reference" {
                self.timings.runtime_cpu_seconds += worker.cpu.runtime;
                self.timings.transcript_cpu_seconds += worker.cpu.transcript;
            }
        }
        self.timings.seconds = started.0.elapsed().as_secs_f64();
        self.timings.harness_cpu_seconds = cpu_time().saturating_sub(started.1).as_secs_f64();
        let ours = self.timings.harness_cpu_seconds + self.timings.transcript_cpu_seconds;
        self.timings.overhead = ours / self.timings.runtime_cpu_seconds;
        Ok((record, self.timings))
    }

    fn run_group(&mut self, model: &Model, group: &Group, record: &mut Record) -> Result<(), Error> {
        let exact = self.exact(model, &group.prompt)?;
        let mut ran = Vec::new();
        for (index, subject) in group.subjects.iter().enumerate() {
            let case = group.case(model, subject);
            self.progress.set_message(case.to_string());
            let path = self.scratch.join(format!("{index}.safetensors"));
            let started = Instant::now();
            let worker = self.workers.get(subject, group.settings);
            let answer = match subjects::minds_shards(subject, model.shards) {
                Some(outcome) => Err(outcome),
                None => worker.evaluate(&model.path, model.vocabulary_size, &group.prompt.tokens, group.schedule, &path)?,
            };
            self.timings.cases.insert(case.to_string(), started.elapsed().as_secs_f64());
            let (answer, logits) = match answer.map(|transcript| (sha256_of(&transcript), transcript)) {
                Ok((Ok(sha256), transcript)) => (Ok(transcript), Some(sha256)),
                Ok((Err(error), _)) => {
                    interrupt::check()?;
                    (Err(bad_transcript(error.to_string())), None)
                }
                Err(outcome) => (Err(outcome), None),
            };
            let (noise, limits) = match (&exact, &answer) {
                (Ok(exact), Ok(_)) => self.allowance(model, group, subject, group.schedule, exact)?,
                _ => (Err("there is nothing to compare".into()), None),
            };
            record.cases.push(CaseRecord { id: case.to_string(), outcome: outcome_of(&answer), logits });
            if let Some(outputs) = &mut self.outputs {
                let worker = self.workers.get(subject, group.settings);
                let noise = noise.as_ref().ok().zip(limits.as_ref()).map(|(scale, limits)| golden::Noise::of(scale, limits));
                let gave = Gave { answer: &answer, noise, continuation: None };
                outputs.write(&case, model, &group.prompt, gave, worker)?;
            }
            ran.push(Ran { case, answer, path, limits, noise });
            self.progress.inc(1);
        }
        let mut alone = BTreeMap::new();
        for candidate in &ran {
            let comparison = self.against_reference(model, candidate, &exact)?;
            alone.insert(candidate.case.subject.clone(), comparison.clone());
            record.comparisons.push(comparison);
        }
        for (a, b) in group.pairs() {
            let find = |id: &SubjectId| ran.iter().find(|ran| ran.case.subject == *id);
            if let (Some(a), Some(b)) = (find(&a), find(&b)) {
                record.comparisons.push(self.against_each_other(model, a, b, &alone));
            }
        }
        for (subject, relation) in &group.trials {
            if let Some(ran) = ran.iter().find(|ran| ran.case.subject == *subject) {
                self.progress.set_message(group.trial(model, subject, *relation));
                let comparison = self.against_itself(model, group, ran, *relation, &exact)?;
                record.comparisons.push(comparison);
                self.progress.inc(1);
            }
        }
        for ran in ran {
            // Judged, so no longer needed; one that was never written is no loss.
            let _ = fs::remove_file(ran.path);
        }
        // Judged by what the file was when it was hashed: of one that is another now, nothing is said.
        self.in_use.check()
    }

    /// The noise that a subject is allowed on a prompt that is fed by `schedule`, and the limits made from it.
    fn allowance(
        &mut self,
        model: &Model,
        group: &Group,
        subject: &SubjectId,
        schedule: Schedule,
        exact: &Reader,
    ) -> Result<(Result<Scale, String>, Option<Limits>), Error> {
        let software = self.workers.get(subject, group.settings).description.software;
        let rounding = subjects::rounding_on(subject, group.settings, schedule, model.output_bytes, software);
        let mut noise = self.noise(model, &group.prompt, rounding, exact)?;
        if let (Ok(scale), Some(floor)) = (&noise, rounding.floor()) {
            noise = self.noise(model, &group.prompt, floor, exact)?.map(|floor| scale.at_least(floor));
        }
        let key = Key::new(subject, rounding, &model.architecture, model.family);
        let limits = noise.as_ref().ok().and_then(|scale| self.policy.tolerances.limits(&key, scale));
        Ok((noise, limits))
    }

    /// The reference's transcript of a prompt, from the cache or computed now. The reference has no cache of keys and values, so
    /// one transcript serves every schedule.
    fn exact(&mut self, model: &Model, prompt: &Prompt) -> Result<Result<Reader, Outcome>, Error> {
        let origin = Origin::of(model, prompt, Rounding::EXACT);
        if let Some(kept) = self.truths.find(&origin)? {
            return Ok(Ok(kept));
        }
        let made = self.scratch.join("truth.safetensors");
        match self.reference(model, prompt, Rounding::EXACT, &made) {
            Ok(Ok(_)) => {
                self.in_use.check()?;
                self.truths.keep(&origin, &made).map(Ok)
            }
            other => {
                let _ = fs::remove_file(&made);
                other
            }
        }
    }

    fn reference(
        &mut self,
        model: &Model,
        prompt: &Prompt,
        rounding: Rounding,
        out: &Path,
    ) -> Result<Result<Reader, Outcome>, Error> {
        if model.is_tiny() {
            // Our own code on our own file needs no process of its own, and in a matrix these are most of the work.
            return reference_here(model, prompt, rounding, out);
        }
        let subject = subjects::reference_with(rounding);
        self.progress.set_message(format!("{subject} on {} of {}", prompt.name, model.name));
        // It has one way to compute; these settings are the ones its worker was started with to be described.
        let worker = self.workers.get(&subject, Settings::Default);
        worker.evaluate(&model.path, model.vocabulary_size, &prompt.tokens, Schedule::SingleShot, out)
    }

    /// How far a rounding moves the reference on a prompt, from the cache or computed now; or why that is not known.
    fn noise(
        &mut self,
        model: &Model,
        prompt: &Prompt,
        rounding: Rounding,
        exact: &Reader,
    ) -> Result<Result<Scale, String>, Error> {
        let of_truth = Origin::of(model, prompt, Rounding::EXACT);
        if let Some(why) = self.broken_truths.get(of_truth.digest()) {
            return Ok(Err(why.clone()));
        }
        let origin = Origin::of(model, prompt, rounding);
        if let Some(scale) = self.truths.find_scale(&origin)? {
            return Ok(Ok(scale));
        }
        let rounded = self.scratch.join("noise.safetensors");
        let answer = self.reference(model, prompt, rounding, &rounded)?;
        let scale = match answer {
            Ok(transcript) => oracle::compare(&transcript, exact).map(|comparison| comparison.scale()),
            Err(outcome) => return Ok(Err(format!("the noise of {} is not known: {}", rounding.name(), words(&outcome)))),
        };
        let _ = fs::remove_file(&rounded);
        let scale = match scale {
            Ok(scale) if scale.is_finite() => scale,
            Ok(_) => return Ok(Err(format!("the noise of {} is not finite", rounding.name()))),
            // The truth is what it is: of weights that are no numbers there is no other.
            Err(Incomparable::TruthBroken { position }) => {
                let why = match self.odd_weights(model)? {
                    Some(why) => why,
                    None => format!("the reference itself is constant or not finite at position {position}"),
                };
                self.broken_truths.insert(of_truth.digest().into(), why.clone());
                return Ok(Err(why));
            }
            Err(why) => return Ok(Err(format!("the noise of {} is not known: {why}", rounding.name()))),
        };
        self.in_use.check()?;
        self.truths.keep_scale(&origin, scale)?;
        Ok(Ok(scale))
    }

    /// Why no logits of a model mean anything, where its weights are the reason.
    fn odd_weights(&self, model: &Model) -> Result<Option<String>, Error> {
        let files = Files::open(&model.path)?;
        weights::reason(&files.read()?, self.progress)
    }

    fn against_reference(&self, model: &Model, ran: &Ran, exact: &Result<Reader, Outcome>) -> Result<ComparisonRecord, Error> {
        let subject = ran.case.subject.clone();
        let mut comparison = self.comparison(model, &ran.case, Oracle::Reference, subject, subjects::exact_reference());
        comparison.noise = ran.noise.clone().ok();
        let expectation = self.policy.expectations.find(&ran.case, &model.architecture)?;
        let mut outcome = outcome_of(&ran.answer);
        let mut measured = None;
        if let (Ok(exact), Ok(transcript), Some(_)) = (exact, &ran.answer, &ran.limits) {
            measured = Some(oracle::compare(transcript, exact));
        }
        if let Some(Err(Incomparable::Candidate(why))) = &measured {
            outcome = bad_transcript(why);
        }
        let settled = settle(&outcome, exact.as_ref().map(|_| ()));
        let (judgement, reason) = match (settled, measured, &ran.limits) {
            (Some(settled), ..) => {
                if settled.judgement == Judgement::Fail {
                    comparison.verdict = Some(not_completed());
                }
                if settled.blamed {
                    comparison.blame = vec![ran.case.subject.clone()];
                }
                (settled.judgement, Some(settled.reason))
            }
            (None, _, None) if ran.noise.is_err() => (Judgement::Vacuous, ran.noise.clone().err()),
            (None, Some(measured), Some(limits)) => match measured {
                Ok(measured) => {
                    let verdict = measured.verdict(limits);
                    let judgement = if verdict.holds() { Judgement::Pass } else { Judgement::Fail };
                    comparison.verdict = Some(verdict);
                    if judgement == Judgement::Fail {
                        comparison.blame = vec![ran.case.subject.clone()];
                    }
                    (judgement, None)
                }
                Err(why) => {
                    let reason = String::from(why);
                    comparison.verdict = Some(Verdict::Vacuous { reason: reason.clone() });
                    (Judgement::Vacuous, Some(reason))
                }
            },
            (None, ..) => {
                let words = format!("no limits are calibrated for {} in {} settings", ran.case.subject, ran.case.settings);
                (Judgement::Unsupported, Some(words))
            }
        };
        (comparison.judgement, comparison.reason) = (judgement, reason);
        if let Some(expectation) = expectation {
            let met = expectation.is_met_by(&outcome, comparison.verdict.as_ref());
            if comparison.judgement == Judgement::Pass && expectation.may_hide(&ran.case, &model.architecture) {
                comparison.reason = Some(format!("smaller than the noise here: {}", expectation.reason.trim()));
            } else {
                apply(&mut comparison, expectation, met);
            }
        }
        Ok(comparison)
    }

    fn against_each_other(
        &self,
        model: &Model,
        a: &Ran,
        b: &Ran,
        alone: &BTreeMap<SubjectId, ComparisonRecord>,
    ) -> ComparisonRecord {
        let (subject, against) = (b.case.subject.clone(), a.case.subject.clone());
        let mut comparison = self.comparison(model, &b.case, Oracle::Differential, subject, against);
        let mut outcomes = [a, b].map(|side| outcome_of(&side.answer));
        let mut measured = None;
        if let (Ok(of_a), Ok(of_b), Some(limits_a), Some(limits_b)) = (&a.answer, &b.answer, a.limits, b.limits) {
            measured = Some((Limits::of_pair(&limits_a, &limits_b), oracle::compare(of_b, of_a)));
        }
        match &measured {
            Some((_, Err(Incomparable::Truth(why)))) => outcomes[0] = bad_transcript(why),
            Some((_, Err(Incomparable::Candidate(why)))) => outcomes[1] = bad_transcript(why),
            _ => {}
        }
        let [of_a, of_b] = &outcomes;
        let settled = settle_pair(&a.side(of_a, alone), &b.side(of_b, alone));
        let (judgement, reason) = match (settled, measured) {
            (Some(settled), _) => {
                if settled.judgement == Judgement::Fail {
                    comparison.verdict = Some(not_completed());
                }
                (settled.judgement, Some(settled.reason))
            }
            (None, Some((limits, Ok(measured)))) => {
                let verdict = measured.verdict(&limits);
                let judgement = if verdict.holds() { Judgement::Pass } else { Judgement::Fail };
                comparison.verdict = Some(verdict);
                (judgement, None)
            }
            (None, Some((_, Err(why)))) => {
                let reason = String::from(why);
                comparison.verdict = Some(Verdict::Vacuous { reason: reason.clone() });
                (Judgement::Vacuous, Some(reason))
            }
            (None, None) => {
                // Where nothing was compared with the truth, its reason is the reason here.
                let vacuous = |side: &Ran| alone.get(&side.case.subject).filter(|c| c.judgement == Judgement::Vacuous);
                let reason = [a, b].into_iter().find_map(|side| vacuous(side)?.reason.clone());
                (Judgement::Unsupported, Some(reason.unwrap_or_else(|| "there are no limits for both".into())))
            }
        };
        (comparison.judgement, comparison.reason) = (judgement, reason);
        if judgement == Judgement::Fail {
            // Two that differ say nothing about who is wrong; the reference does.
            let sides = [a, b].into_iter().filter_map(|side| alone.get(&side.case.subject));
            let wrong: Vec<_> =
                sides.filter(|side| matches!(side.judgement, Judgement::Fail | Judgement::ExpectedFail)).collect();
            comparison.blame = wrong.iter().flat_map(|side| side.blame.clone()).collect();
            if let [side, ..] = wrong[..]
                && wrong.iter().all(|side| side.judgement == Judgement::ExpectedFail)
            {
                comparison.judgement = Judgement::ExpectedFail;
                comparison.reason.clone_from(&side.reason);
                comparison.issue.clone_from(&side.issue);
            }
        }
        comparison
    }

    /// Runs a case once more under a change that must not matter, and holds it against what it was.
    fn against_itself(
        &mut self,
        model: &Model,
        group: &Group,
        ran: &Ran,
        relation: Relation,
        exact: &Result<Reader, Outcome>,
    ) -> Result<ComparisonRecord, Error> {
        let subject = &ran.case.subject;
        let mut comparison = self.comparison(model, &ran.case, Oracle::Metamorphic, subject.clone(), subject.clone());
        comparison.relation = Some(relation);
        comparison.id = group.trial(model, subject, relation);
        comparison.reproduce = comparison.reproduce.replace(&ran.case.to_string(), &comparison.id);
        let unsupported = |mut comparison: ComparisonRecord, reason: String| {
            (comparison.judgement, comparison.reason) = (Judgement::Unsupported, Some(reason));
            Ok(comparison)
        };
        let against = match &ran.answer {
            Ok(transcript) => transcript,
            Err(outcome) => return unsupported(comparison, format!("nothing to hold it against: {}", words(outcome))),
        };
        let bytes = fs::read(&model.path).map_err(|error| Error::file(&model.path, &error))?;
        let change = relation
            .change(&bytes, group.prompt.tokens.len(), group.schedule)
            .map_err(|finding| Error::input(&model.argument, finding, "give a valid file"))?;
        if change.tuning != Tuning::default() && !self.workers.is_ours(subject) {
            return unsupported(comparison, "a subject of the user's is started in one way only".into());
        }
        // A folder of its own, because a worker that has loaded a path does not load it again; gone when this is judged.
        let folder = tempfile::tempdir_in(self.scratch).map_err(|error| Error::file(self.scratch, &error))?;
        for (name, bytes) in &change.files {
            cache::write_whole(&folder.path().join(name), bytes)?;
        }
        let path = change.files.first().map_or_else(|| model.path.clone(), |(name, _)| folder.path().join(name));
        let transcript = folder.path().join("changed.safetensors");
        let worker = self.workers.tuned(subject, group.settings, change.tuning);
        let answer = worker.evaluate(&path, model.vocabulary_size, &group.prompt.tokens, change.schedule, &transcript)?;
        let limits = match (exact, relation.is_exact()) {
            (Ok(exact), false) => {
                let (_, changed) = self.allowance(model, group, subject, change.schedule, exact)?;
                ran.limits.zip(changed).map(|(a, b)| Limits::of_pair(&a, &b))
            }
            _ => None,
        };
        let mut outcome = outcome_of(&answer);
        let compared = match (&answer, limits) {
            (Err(Outcome::Unsupported { reason }), _) => return unsupported(comparison, reason.clone()),
            (Err(_), _) => Ok(not_completed()),
            (Ok(transcript), _) if relation.is_exact() => oracle::identical(transcript, against),
            (Ok(_), None) => return unsupported(comparison, "there are no limits for it".into()),
            (Ok(transcript), Some(limits)) => oracle::compare(transcript, against).map(|measured| measured.verdict(&limits)),
        };
        let verdict = match compared {
            // Both were written by this subject.
            Err(Incomparable::Candidate(why) | Incomparable::Truth(why)) => {
                outcome = bad_transcript(why);
                Ok(not_completed())
            }
            other => other.map_err(String::from),
        };
        (comparison.judgement, comparison.reason) = match &verdict {
            Ok(verdict) if verdict.holds() => (Judgement::Pass, None),
            Ok(_) if matches!(outcome, Outcome::Completed { .. }) => (Judgement::Fail, None),
            Ok(_) => (Judgement::Fail, Some(words(&outcome))),
            Err(reason) => (Judgement::Vacuous, Some(reason.clone())),
        };
        comparison.verdict = verdict.ok();
        if comparison.judgement == Judgement::Fail {
            comparison.blame = vec![subject.clone()];
            let expectations = &self.policy.expectations;
            let about_relation = expectations.find_trial(&ran.case, &model.architecture, relation)?;
            // What is wrong in one schedule and not in another need not be equal. What is wrong in both is still the same.
            let changed = Case { schedule: change.schedule, ..ran.case.clone() };
            let about_schedule = if changed.schedule == ran.case.schedule {
                None
            } else {
                let before = expectations.find(&ran.case, &model.architecture)?;
                expectations.find(&changed, &model.architecture)?.or(before)
            };
            if let Some(expectation) = about_relation.or(about_schedule)
                && expectation.is_met_by(&outcome, comparison.verdict.as_ref())
            {
                apply(&mut comparison, expectation, true);
            }
        }
        Ok(comparison)
    }

    /// A comparison that has not been judged yet.
    fn comparison(
        &self,
        model: &Model,
        case: &Case,
        oracle: Oracle,
        candidate: SubjectId,
        against: SubjectId,
    ) -> ComparisonRecord {
        let id = case.to_string();
        let prefix = id.strip_suffix(&candidate.to_string()).unwrap_or(&id).to_owned();
        let (id, filter) = match oracle {
            Oracle::Reference | Oracle::Metamorphic => (id.clone(), id),
            Oracle::Differential => (format!("{prefix}{against}~{candidate}"), format!("{prefix}{{{against},{candidate}}}")),
        };
        let Self { command, arguments, .. } = self;
        let reproduce = match *command {
            "matrix" => format!("ggauge matrix --filter '{filter}'{arguments}"),
            command => {
                let model = quoted(&model.argument);
                format!("ggauge {command} {model} --settings {} --filter '{filter}'{arguments}", case.settings)
            }
        };
        ComparisonRecord {
            id,
            oracle,
            model: case.model.clone(),
            weights: case.weights.clone(),
            prompt: case.prompt.clone(),
            schedule: case.schedule,
            settings: case.settings,
            candidate,
            against,
            relation: None,
            noise: None,
            verdict: None,
            judgement: Judgement::Vacuous,
            blame: Vec::new(),
            reason: None,
            issue: None,
            reproduce,
        }
    }
}

/// Runs the reference in this process.
fn reference_here(model: &Model, prompt: &Prompt, rounding: Rounding, out: &Path) -> Result<Result<Reader, Outcome>, Error> {
    let failed = |why: String| Error::transcript(&subjects::reference_with(rounding), why);
    let run = || {
        let subject = ReferenceSubject { rounding };
        let mut session = subject.load(&model.path)?;
        let mut transcript = Writer::create(out, session.vocabulary_size(), || Duration::ZERO)?;
        vocabulary::evaluate(session.as_mut(), &prompt.tokens, Schedule::SingleShot, &mut transcript)?;
        transcript.finish()?;
        Ok(())
    };
    match run() {
        Ok(()) => Reader::open(out).map(Ok).map_err(failed),
        Err(Refusal::Rejected(rejection)) => Ok(Err(Outcome::Rejected(rejection))),
        Err(Refusal::Unsupported(reason)) => Ok(Err(Outcome::Unsupported { reason })),
        Err(Refusal::Transcript(error)) => Err(failed(error.to_string())),
    }
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

/// The verdict of a case that gave no logits.
fn not_completed() -> Verdict {
    let check = Measurement { check: Check::Outcome, measured: 1.0, limit: 0.0, position: None };
    Verdict::Measured { checks: vec![check], positions: 0, top_one_judged: 0, top_one_equal: 0, slope: 0.0 }
}

/// Applies an expectation that matches: a failure that is as expected is one, anything else that was judged is not.
fn apply(comparison: &mut ComparisonRecord, expectation: &Expectation, met: bool) {
    let judgement = match (comparison.judgement, met) {
        (Judgement::Unsupported, _) => return,
        (_, true) => Judgement::ExpectedFail,
        (Judgement::Pass, false) => Judgement::UnexpectedPass,
        (other, false) => other,
    };
    comparison.judgement = judgement;
    if judgement != Judgement::Fail && judgement != Judgement::Vacuous {
        comparison.reason = Some(expectation.reason.trim().replace('\n', " "));
        comparison.issue.clone_from(&expectation.issue);
    }
}

/// What a subject is when nothing has been asked of it: for subjects that this build does not have.
pub fn unavailable(subject: SubjectId, settings: Settings, reason: String) -> SubjectRecord {
    SubjectRecord { subject, settings, description: Description::default(), unavailable: Some(reason) }
}

/// What shows on stderr how far the work is; silent where that is not a terminal. It has no bar before [`count`] says what that is part of.
pub fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {wide_msg}");
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// From here on there are so many things to do.
pub fn count(progress: &ProgressBar, things: u64) {
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed_precise} {wide_msg}");
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    progress.set_length(things);
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::{ProgressDrawTarget, TermLike};
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    /// All that is written to a terminal.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, words: &str) -> io::Result<()> {
            self.write_str(words)
        }

        fn write_str(&self, words: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(words);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_counted_before_it_is_known_how_much_there_is() {
        let (screen, bar) = (Screen::default(), progress_bar());
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        bar.set_message("hashing model.gguf: 64 MiB of 128 MiB");
        bar.force_draw();
        let shown = screen.0.lock().unwrap().clone();
        assert!(shown.contains("64 MiB of 128 MiB") && !shown.contains("0/0") && !shown.contains('\u{2588}'), "{shown}");
        count(&bar, 3);
        bar.inc(1);
        bar.force_draw();
        let shown = screen.0.lock().unwrap().clone();
        assert!(shown.contains("1/3") && !shown.contains("0/0"), "{shown}");
    }
}
