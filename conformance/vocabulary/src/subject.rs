//! The two traits behind which every runtime sits: a subject that loads, and a session that evaluates.

use crate::{Contents, Rejection, RejectionClass, Schedule, Stage, transcript};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

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

/// The version of a package in the text of a `Cargo.lock`, so that a subject reports what it was really built with; `(local)` stands
/// behind it where the package came from a folder.
pub fn locked(lock: &str, package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let entries = lock.split("[[package]]").map(|entry| entry.lines().map(str::trim).collect::<Vec<_>>());
    let versions = entries.filter(|lines| lines.contains(&name.as_str())).map(|lines| {
        let of = |key: &str| lines.iter().find_map(|line| line.strip_prefix(key)).map(|value| value.trim_matches('"'));
        let version = of("version = ").unwrap_or("unknown");
        if of("source = ").is_some() { version.to_owned() } else { format!("{version} (local)") }
    });
    let versions: Vec<String> = versions.collect();
    if versions.is_empty() { "unknown".into() } else { versions.join(" and ") }
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

/// What a prompt goes on with when the likeliest token is always taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// For each, the lead of its logit over the next likeliest token's.
    pub margins: Vec<f32>,
    /// Time for the prompt, in one call.
    pub prefill: Duration,
    /// Time for the tokens after the first, one call each.
    pub decode: Duration,
}

/// Continues a prompt by `count` tokens, always with the likeliest one; of several that are equally likely the first. Stops before
/// a token that nothing is likelier than: where no logit is a number.
///
/// # Errors
/// As [`evaluate`]; the context has to have room for all of it.
pub fn continue_greedily(session: &mut dyn Session, tokens: &[u32], count: usize) -> Result<Continuation, Refusal> {
    let mut out = transcript::Writer::discarding(session.vocabulary_size());
    check_tokens(session, tokens)?;
    session.begin(tokens.len() + count)?;
    let started = Instant::now();
    session.feed(tokens, 0, &mut out)?;
    let mut continuation =
        Continuation { tokens: Vec::new(), margins: Vec::new(), prefill: started.elapsed(), decode: Duration::ZERO };
    let started = Instant::now();
    while continuation.tokens.len() < count {
        let Some(next) = out.likeliest().filter(|next| next.logit.is_finite()) else { break };
        continuation.tokens.push(next.token);
        continuation.margins.push(next.logit - next.second);
        if continuation.tokens.len() < count {
            session.feed(&[next.token], tokens.len() + continuation.tokens.len() - 1, &mut out)?;
        }
    }
    continuation.decode = started.elapsed();
    Ok(continuation)
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
    let vocabulary_size = session.vocabulary_size();
    check_tokens(session, tokens)?;
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

/// Refuses an empty prompt, and ids that the vocabulary does not have.
fn check_tokens(session: &dyn Session, tokens: &[u32]) -> Result<(), Refusal> {
    let wrong = |message: String| Err(Refusal::evaluate(RejectionClass::OutOfRange, message));
    if tokens.is_empty() {
        return wrong("the prompt is empty".into());
    }
    let vocabulary_size = session.vocabulary_size();
    match tokens.iter().find(|&&token| token as usize >= vocabulary_size) {
        Some(token) => wrong(format!("token id {token} is outside the vocabulary of {vocabulary_size}")),
        None => Ok(()),
    }
}
