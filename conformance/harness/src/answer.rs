//! What a subject answered to a case: logits, or what else became of it.

use printable::{LONGEST_WORDS, cut};
use vocabulary::{BadAnswer, Outcome, transcript::Reader};

/// What a subject's answer is whose transcript cannot be read.
pub fn bad_transcript(why: impl Into<String>) -> Outcome {
    let detail = cut(&why.into(), LONGEST_WORDS).into_owned();
    Outcome::ProtocolError(BadAnswer::Transcript { detail })
}

/// What an evaluation came to, where its transcript is not looked at.
pub fn outcome_of(answer: &Result<Reader, Outcome>) -> Outcome {
    match answer {
        Ok(transcript) => Outcome::Completed { positions: transcript.positions().len() as u64 },
        Err(outcome) => outcome.clone(),
    }
}
