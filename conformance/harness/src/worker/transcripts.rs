//! What a worker wrote as its transcript, before anybody takes it for one.

use crate::answer::{Answer, bad_transcript};
use std::path::Path;
use vocabulary::{
    BadAnswer, Outcome, Schedule,
    transcript::{self, Reader},
};

/// What becomes of a transcript of so many bytes, which are more than it may have.
pub(super) fn too_long(most: u64, bytes: u64) -> Outcome {
    let detail = format!("a transcript of {bytes} bytes, where all logits of the prompt take no more than {most}");
    Outcome::ProtocolError(BadAnswer::TooLong { detail })
}

/// Opens the transcript of a prompt of `tokens` tokens: whole, of the vocabulary's width, with positions of the prompt, each once, and the last
/// one of every call of the schedule.
pub(super) fn check(path: &Path, vocabulary_size: u64, tokens: usize, schedule: Schedule) -> Answer<Reader> {
    let reader = Reader::open(path).map_err(bad_transcript)?;
    // The file that is open need not be the one that was looked at before.
    let most = transcript::longest(tokens as u64, vocabulary_size);
    if reader.file_size() > most {
        return Err(too_long(most, reader.file_size()));
    }
    let wrong = |detail: String| Err(Outcome::ProtocolError(BadAnswer::WrongShape { detail }));
    if reader.vocabulary_size() as u64 != vocabulary_size {
        return wrong(format!("rows of {} logits, where the vocabulary has {vocabulary_size}", reader.vocabulary_size()));
    }
    let mut positions = reader.positions().to_vec();
    positions.sort_unstable();
    positions.dedup();
    if positions.len() != reader.positions().len() {
        return wrong("a position stands twice".into());
    }
    if let Some(&last) = positions.last()
        && last >= tokens as u64
    {
        return wrong(format!("position {last}, where the prompt has {tokens} tokens"));
    }
    // Every call ends in a position whose logits a subject can give; a transcript without one of them compares less than it says.
    let missing =
        schedule.calls(tokens).into_iter().map(|call| call.end as u64 - 1).find(|last| positions.binary_search(last).is_err());
    match missing {
        Some(position) => wrong(format!("position {position}, the last of a call, is missing")),
        None => Ok(reader),
    }
}
