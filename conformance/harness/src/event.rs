//! What a run tells while it goes on. Listeners hear it and cannot steer it, unless by an error, which ends the run.

use crate::{judge::Executed, worker::process::Worker};
use machine::Error;
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Settings, SubjectId};

/// What a run tells.
pub enum Event<'a> {
    /// So many cases and trials are planned.
    Planned(u64),
    /// Work on this begins.
    Begun(&'a str),
    /// A case was executed, and not judged yet.
    Executed(Done<'a>),
    /// One of what was planned is done.
    Done,
    /// Something that the user should know.
    Told(&'a str),
    /// The run has come to its end, and this is a worker of it.
    Ended {
        /// Its subject.
        subject: &'a SubjectId,
        /// Its settings.
        settings: Settings,
        /// The worker.
        worker: &'a Worker,
    },
}

/// A case that was executed.
pub struct Done<'a> {
    /// What it gave.
    pub executed: &'a Executed,
    /// Its model.
    pub model: &'a Model,
    /// Its prompt.
    pub prompt: &'a Prompt,
    /// The worker that executed it, to be asked for more.
    pub worker: &'a mut Worker,
    /// Wall-clock seconds that it took.
    pub seconds: f64,
}

/// Hears what a run tells.
pub trait Listener {
    /// Hears an event.
    ///
    /// # Errors
    /// Where what is to be done about it fails; the run ends.
    fn hear(&mut self, event: &mut Event<'_>) -> Result<(), Error>;
}
