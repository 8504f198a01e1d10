//! Seeded faults: the suite's own test. One thing is broken at a time, in a file or in one step of the reference's pass, and the
//! matrix must notice it at the calibrated limits. What runtimes are known to do wrong stands here too, so that an expectation can
//! be confirmed: the reference with that fault gives the runtime's numbers.
//!
//! To add a fault to a step, add it to [`Step`](steps::Step) and to the table of steps in `of_model.rs`; to a file, to `files.rs`.

pub mod experiments;
pub mod files;
mod known;
mod of_model;
pub mod steps;
pub mod trial;

use gguf::File;
use reference::{Rounding, Rows, Weights, architectures};
use std::borrow::Cow;
use steps::{Faulty, Step};
use vocabulary::{Refusal, RejectionClass, Schedule};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Its name: what is broken, and how.
    pub name: String,
    /// What is wrong, in words.
    pub meaning: String,
    /// Where it is.
    pub kind: Kind,
}

/// Where a fault is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// In what is read of the file.
    File(files::Edit),
    /// In a step of the pass.
    Step(Step),
}

/// The logits of a prompt, computed with faults; one row a position.
///
/// # Errors
/// Where the model, as the faults leave it, is none: an implementation with such a fault would refuse the file.
pub fn evaluate(
    model: &[u8],
    faults: &[Fault],
    tokens: &[u32],
    schedule: Schedule,
    rounding: Rounding,
) -> Result<Rows, Refusal> {
    let mut bytes = Cow::Borrowed(model);
    let mut steps = Vec::new();
    for fault in faults {
        match &fault.kind {
            Kind::File(edit) => bytes = Cow::Owned(files::apply(&bytes, edit).map_err(malformed)?),
            Kind::Step(step) => steps.push(*step),
        }
    }
    let file = File::lenient(&bytes).map_err(malformed)?;
    let loaded = architectures::load(&Weights::new(file)?)?;
    let stale = steps.contains(&Step::StaleCache) && schedule == Schedule::AfterClear;
    // What was not forgotten stands before the prompt.
    let mut all: Vec<u32> = if stale { tokens.iter().rev().copied().collect() } else { Vec::new() };
    let before = all.len();
    all.extend(tokens);
    let operations = Faulty { rounding, steps, calls: schedule.calls(tokens.len()), before };
    let mut logits = loaded.logits(&all, &operations);
    logits.data.drain(..before * logits.width);
    Ok(logits)
}

fn malformed(finding: gguf::Finding) -> Refusal {
    Refusal::load(RejectionClass::Malformed, finding.to_string())
}

/// Rows as transcripts have them: f32, with their positions.
pub fn transcript(rows: &Rows) -> Vec<(u64, Vec<f32>)> {
    rows.iter().enumerate().map(|(position, row)| (position as u64, row.iter().map(|&x| x as f32).collect())).collect()
}

/// Why there is nothing, in words.
fn words(refusal: Refusal) -> String {
    match refusal {
        Refusal::Rejected(rejection) => rejection.message,
        Refusal::Unsupported(reason) => reason,
        Refusal::Transcript(error) => error.to_string(),
    }
}
