//! What a subject answered.

use printable::{LONGEST_WORDS, cut};
use vocabulary::{BadAnswer, Outcome, transcript::Reader};

/// What a subject answered: what it was asked for, or what else became of the question.
pub type Answer<T> = Result<T, Outcome>;

/// What a subject's answer is whose transcript cannot be read.
pub fn bad_transcript(why: impl Into<String>) -> Outcome {
    let detail = cut(&why.into(), LONGEST_WORDS).into_owned();
    Outcome::ProtocolError(BadAnswer::Transcript { detail })
}

/// What an evaluation came to, where its transcript is not looked at.
pub fn outcome_of(answer: &Answer<Reader>) -> Outcome {
    match answer {
        Ok(transcript) => Outcome::Completed { positions: transcript.positions().len() as u64 },
        Err(outcome) => outcome.clone(),
    }
}
