//! A run's outputs, as the texts that goldens are made of.

use crate::goldens::golden::{CaseAnswer, Golden, GoldenModel, GoldenNoise};
use harness::{
    event::{Done, Event, Listener},
    judge::Executed,
};
use machine::{Error, files};
use std::path::PathBuf;
use vocabulary::Schedule;

/// Tokens that a prompt is continued by, for people to read.
const CONTINUED: u32 = 32;

/// A folder for the texts that goldens are made of: it hears a run and writes one for each case, in files named by the cases' ids.
pub struct Outputs {
    folder: PathBuf,
    /// The model that was run last.
    model: Option<GoldenModel>,
}

impl Outputs {
    /// Into this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, model: None }
    }

    fn write(&mut self, done: &mut Done<'_>) -> Result<(), Error> {
        let Done { executed, model, prompt, worker, .. } = done;
        let Executed { case, answer, noise, limits } = executed;
        let read = match self.model.take().filter(|read| read.is_of(model)) {
            Some(read) => read,
            None => GoldenModel::of(model)?,
        };
        // Text that is read needs a vocabulary, and one schedule of feeding the prompt is enough for it.
        let room = model.context_length.unwrap_or(u64::MAX).saturating_sub(prompt.tokens.len() as u64);
        let count = u64::from(CONTINUED).min(room) as u32;
        let continuation = if answer.is_ok() && !model.is_tiny() && case.schedule == Schedule::SingleShot && count > 0 {
            worker.continue_greedily(&model.path, model.vocabulary_size, &prompt.tokens, count)?.ok()
        } else {
            None
        };
        let noise = noise.as_ref().ok().zip(limits.as_ref()).map(|(noise, limits)| GoldenNoise::of(&noise.scale, limits));
        let golden = Golden::of(case, &read, prompt, CaseAnswer { answer, noise, continuation: continuation.as_ref() });
        self.model = Some(read);
        files::write_whole(&self.folder.join(format!("{case}.toml")), golden.text().as_bytes())
    }
}

impl Listener for Outputs {
    fn hear(&mut self, event: &mut Event<'_>) -> Result<(), Error> {
        match event {
            // Goldens are the answers that users get, and nobody runs an exact form for its answers.
            Event::Executed(done) if !done.model.exact => self.write(done),
            _ => Ok(()),
        }
    }
}
