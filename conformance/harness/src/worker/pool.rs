//! The workers of a run, warm.

use crate::worker::{
    launch::{Launch, WorkerLimits},
    process::Worker,
};
use machine::Error;
use record::SubjectRecord;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use vocabulary::{Description, Outcome, Settings, SubjectId, Tuning};

/// Workers by subject and settings, started when they are first needed and kept warm.
pub struct Workers {
    program: PathBuf,
    commands: BTreeMap<SubjectId, String>,
    limits: WorkerLimits,
    scratch: PathBuf,
    running: BTreeMap<(SubjectId, Settings, Tuning), Worker>,
}

impl Workers {
    /// Workers that are started as `program worker`, except those in `commands`; logs and transcripts go into `scratch`.
    pub fn new(program: PathBuf, commands: BTreeMap<SubjectId, String>, limits: WorkerLimits, scratch: PathBuf) -> Self {
        Self { program, commands, limits, scratch, running: BTreeMap::new() }
    }

    /// Workers that are all started as `program worker`, with the limits that nobody asked to change.
    pub fn plain(program: PathBuf, scratch: &Path) -> Self {
        Self::new(program, BTreeMap::new(), WorkerLimits::default(), scratch.into())
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
    pub fn is_ours(&self, subject: &SubjectId) -> bool {
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

    /// Every worker that was started, with its subject and settings.
    pub fn all(&self) -> impl Iterator<Item = (&SubjectId, Settings, &Worker)> {
        self.running.iter().map(|((subject, settings, _), worker)| (subject, *settings, worker))
    }

    /// The logs of all workers, by subject and settings.
    pub fn logs(&self) -> Vec<(String, PathBuf)> {
        let logs = self.running.values().map(Worker::stderr).filter(|path| path.exists());
        logs.filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), path.to_owned()))).collect()
    }
}

/// What a subject is when nothing has been asked of it: for subjects that this build does not have.
pub fn unavailable(subject: SubjectId, settings: Settings, reason: String) -> SubjectRecord {
    SubjectRecord { subject, settings, description: Description::default(), unavailable: Some(reason) }
}
