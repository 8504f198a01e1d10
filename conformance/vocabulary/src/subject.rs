//! The two traits behind which every runtime sits: a subject that loads, and a session that evaluates.

use crate::{Contents, Rejection, RejectionClass, Schedule, Stage, transcript};
use serde::{Deserialize, Serialize};
use std::{io, path::Path};

/// What a subject says of itself. Kept in every Record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Description {
    /// The runtime and its version, such as `candle-core 0.11.1`.
    pub runtime: String,
    /// The device, as its driver names it.
    pub device: String,
    /// The driver or backend and its version, where there is one.
    pub driver: String,
    /// Instruction sets and backends in use, as the runtime reports them.
    pub features: Vec<String>,
    /// True for a device that is emulated on the CPU: correct, and slow.
    pub software: bool,
}

/// Why a subject gave no logits.
#[derive(Debug)]
pub enum Refusal {
    /// It refuses this input.
    Rejected(Rejection),
    /// It cannot do this at all; its own words.
    Unsupported(String),
    /// The transcript could not be written: the harness's trouble, not the subject's.
    Transcript(io::Error),
}

impl Refusal {
    /// A rejected load.
    pub fn load(class: RejectionClass, message: impl Into<String>) -> Self {
        Self::Rejected(Rejection { stage: Stage::Load, class, message: message.into() })
    }

    /// A rejected header.
    pub fn read(class: RejectionClass, message: impl Into<String>) -> Self {
        Self::Rejected(Rejection { stage: Stage::Read, class, message: message.into() })
    }

    /// A rejected evaluation.
    pub fn evaluate(class: RejectionClass, message: impl Into<String>) -> Self {
        Self::Rejected(Rejection { stage: Stage::Evaluate, class, message: message.into() })
    }
}

impl From<io::Error> for Refusal {
    /// A row that does not fit the vocabulary is the subject's doing; everything else is the disk's.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput => Self::evaluate(RejectionClass::Other, error.to_string()),
            _ => Self::Transcript(error),
        }
    }
}

/// A runtime on a device, under fixed settings.
pub trait Subject {
    /// What it is: versions, device, features.
    fn describe(&self) -> Description;

    /// Loads a GGUF file.
    ///
    /// # Errors
    /// [`Refusal`], with the runtime's own words.
    /// [`Refusal::Unsupported`] where the subject only reads headers.
    fn load(&self, model: &Path) -> Result<Box<dyn Session + '_>, Refusal> {
        let _ = model;
        Err(Refusal::Unsupported("this subject does not run models".into()))
    }

    /// Reads the header, metadata and tensor table of a GGUF file, with whatever checks the runtime itself makes on them.
    ///
    /// # Errors
    /// [`Refusal`], with the reader's own words; [`Refusal::Unsupported`] where the runtime has no way to read a header alone.
    fn read(&self, file: &Path) -> Result<Contents, Refusal> {
        let _ = file;
        Err(Refusal::Unsupported("this subject does not read headers alone".into()))
    }

    /// Turns text into token ids with the model's own vocabulary, special tokens parsed and none added.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where the runtime has no tokenizer for this file.
    fn tokenize(&self, model: &Path, text: &str) -> Result<Vec<u32>, Refusal> {
        let _ = (model, text);
        Err(Refusal::Unsupported("this subject does not tokenize".into()))
    }
}

/// A loaded model that evaluates one prompt after another.
pub trait Session {
    /// Number of logits in a row.
    fn vocabulary_size(&self) -> usize;

    /// Forgets everything fed so far and makes room for a prompt of `len` tokens, which begins at position 0.
    ///
    /// # Errors
    /// Where the model's context is shorter, or the runtime cannot start over.
    fn begin(&mut self, len: usize) -> Result<(), Refusal>;

    /// Feeds `tokens`, the first at position `first`, and writes the rows of every position it can give to `out`.
    ///
    /// # Errors
    /// [`Refusal`]; afterwards only [`Session::begin`] is allowed.
    fn feed(&mut self, tokens: &[u32], first: usize, out: &mut transcript::Writer) -> Result<(), Refusal>;

    /// Forgets everything fed so far by the runtime's own public way, and keeps the session.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where the runtime has none.
    fn clear(&mut self) -> Result<(), Refusal> {
        Err(Refusal::Unsupported("this runtime has no public way to clear a session".into()))
    }

    /// Feeds `sequences`, all equally long and from position 0, in one call of the runtime, and writes the rows of the one at `judged`.
    /// Called instead of [`Session::begin`].
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where the runtime takes one sequence at a time.
    fn feed_together(&mut self, sequences: &[Vec<u32>], judged: usize, out: &mut transcript::Writer) -> Result<(), Refusal> {
        let _ = (sequences, judged, out);
        Err(Refusal::Unsupported("this runtime takes one sequence at a time".into()))
    }
}

/// Runs a whole prompt through `session` by `schedule`, beginning afresh.
///
/// # Errors
/// As the session's own, and a rejection for an empty prompt and for ids that the vocabulary does not have, so that no runtime
/// is asked to look up what is not there.
pub fn evaluate(
    session: &mut dyn Session,
    tokens: &[u32],
    schedule: Schedule,
    out: &mut transcript::Writer,
) -> Result<(), Refusal> {
    if tokens.is_empty() {
        return Err(Refusal::evaluate(RejectionClass::OutOfRange, "the prompt is empty"));
    }
    let vocabulary_size = session.vocabulary_size();
    if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocabulary_size) {
        let message = format!("token id {token} is outside the vocabulary of {vocabulary_size}");
        return Err(Refusal::evaluate(RejectionClass::OutOfRange, message));
    }
    if let Schedule::Split(at) = schedule
        && at as usize >= tokens.len()
    {
        let message = format!("a prompt of {} tokens cannot be split at position {at}", tokens.len());
        return Err(Refusal::evaluate(RejectionClass::OutOfRange, message));
    }
    // Prompts of other tokens in the same places: whatever of them stays behind, or comes over, is wrong.
    let reversed: Vec<u32> = tokens.iter().rev().copied().collect();
    if schedule == Schedule::Together {
        let mut rotated = tokens.to_vec();
        rotated.rotate_left(tokens.len() / 2);
        return session.feed_together(&[reversed, tokens.to_vec(), rotated], 1, out);
    }
    session.begin(tokens.len())?;
    if schedule == Schedule::AfterClear {
        session.feed(&reversed, 0, &mut transcript::Writer::discarding(vocabulary_size))?;
        session.clear()?;
    }
    for call in schedule.calls(tokens.len()) {
        session.feed(&tokens[call.clone()], call.start, out)?;
    }
    Ok(())
}
