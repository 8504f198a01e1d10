//! Is a subject deterministic? Measured, to the bit: the same prompt again in one process, in another process, with other numbers of threads,
//! and in calls and batches of other shapes.
//!
//! None of these may move a result by more than rounding does, which the matrix judges. Whether they move it at all is a property that
//! people promise to others, so it is measured, recorded and compared between releases, and not judged.

use harness::{answer::bad_transcript, judge::oracle, progress, subjects as known, worker::pool::Workers};
use indicatif::ProgressBar;
use machine::{Error, interrupt};
use record::determinism::{Aspect, AspectMeasured};
use std::path::Path;
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Outcome, Schedule, Settings, SubjectId, Tuning, transcript::Reader};

/// Numbers of threads that are tried.
const THREADS: [u32; 3] = [1, 2, 3];
/// Tokens of a small batch: smaller than any prompt here, and no divisor of its length.
const SMALL: u32 = 3;

#[derive(Clone, Copy)]
struct Variant {
    schedule: Schedule,
    tuning: Tuning,
    restart: bool,
}

/// The ways in which an aspect is varied.
fn variants(aspect: Aspect, len: usize) -> Vec<Variant> {
    let same = Variant { schedule: Schedule::SingleShot, tuning: Tuning::default(), restart: false };
    let tuned = |tuning| Variant { tuning, ..same };
    let plain = Tuning::default();
    match aspect {
        Aspect::InAProcess => vec![same],
        Aspect::AcrossProcesses => vec![Variant { restart: true, ..same }],
        Aspect::AcrossThreads => THREADS.map(|threads| tuned(Tuning { threads: Some(threads), ..plain })).into(),
        Aspect::AcrossBatches => vec![
            Variant { schedule: Schedule::TokenByToken, ..same },
            Variant { schedule: Schedule::Split(len as u32 / 2), ..same },
            tuned(Tuning { batch: Some(SMALL), ..plain }),
            tuned(Tuning { micro_batch: Some(SMALL), ..plain }),
        ],
    }
}

/// Measures every aspect of subjects on models, each with its prompt.
///
/// # Errors
/// Where the harness itself cannot go on.
pub fn measure(
    workers: &mut Workers,
    models: &[(Model, Prompt)],
    subjects: &[(SubjectId, Settings)],
    scratch: &Path,
    progress: &ProgressBar,
) -> Result<Vec<AspectMeasured>, Error> {
    let of_subject = |(subject, settings): &(SubjectId, Settings)| {
        Aspect::ALL.map(|aspect| AspectMeasured::nothing(subject, *settings, aspect))
    };
    let mut all: Vec<[AspectMeasured; Aspect::ALL.len()]> = subjects.iter().map(of_subject).collect();
    progress::count(progress, (models.len() * subjects.len()) as u64);
    for (model, prompt) in models {
        let mut in_use = model.ensure()?;
        for ((subject, settings), measured) in subjects.iter().zip(&mut all) {
            interrupt::check()?;
            progress.set_message(format!("{subject} {settings} on {}", model.name));
            progress.inc(1);
            vary(workers, (model, prompt), (subject, *settings), scratch, measured)?;
        }
        in_use.check()?;
    }
    Ok(all.into_iter().flatten().collect())
}

/// Every aspect of one subject on one model: each variant is held against what the subject gave when nothing was varied.
fn vary(
    workers: &mut Workers,
    (model, prompt): (&Model, &Prompt),
    (subject, settings): (&SubjectId, Settings),
    scratch: &Path,
    all: &mut [AspectMeasured],
) -> Result<(), Error> {
    let (first, second) = (scratch.join("first.safetensors"), scratch.join("second.safetensors"));
    let size = model.vocabulary_size;
    let answer = match known::minds_shards(subject, model.shards) {
        Some(outcome) => Err(outcome),
        None => {
            let worker = workers.get(subject, settings);
            worker.evaluate(&model.path, size, &prompt.tokens, Schedule::SingleShot, &first)?
        }
    };
    for measured in all {
        let Some(against) = note(measured, answer.as_ref()) else { continue };
        for variant in variants(measured.aspect, prompt.tokens.len()) {
            let worker = workers.tuned(subject, settings, variant.tuning);
            if variant.restart {
                worker.stop();
            }
            let answer = worker.evaluate(&model.path, size, &prompt.tokens, variant.schedule, &second)?;
            let Some(candidate) = note(measured, answer.as_ref()) else { continue };
            match hold_against(candidate, against) {
                Err(why) => _ = note(measured, Err(&bad_transcript(why))),
                Ok(nmse) => measured.count(nmse),
            }
        }
    }
    Ok(())
}

/// The logits, where there are some; otherwise it is noted why not.
fn note<'a>(measured: &mut AspectMeasured, answer: Result<&'a Reader, &Outcome>) -> Option<&'a Reader> {
    match answer {
        Ok(transcript) => return Some(transcript),
        Err(Outcome::Unsupported { reason }) => _ = measured.unsupported.get_or_insert_with(|| reason.clone()),
        Err(other) => _ = measured.failed.get_or_insert_with(|| other.summary()),
    }
    None
}

/// None where every logit of the positions that both have is the same to the bit, or else the largest NMSE of a position.
fn hold_against(candidate: &Reader, against: &Reader) -> Result<Option<f64>, String> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    if candidate.vocabulary_size() != against.vocabulary_size() {
        return Err("rows of another length".into());
    }
    let (mut same, mut shared) = (true, 0);
    for (row, position) in candidate.positions().iter().enumerate() {
        let Some(other) = against.positions().iter().position(|known| known == position) else { continue };
        let read = candidate.read_row(row, &mut a).and_then(|()| against.read_row(other, &mut b));
        read.map_err(|error| format!("a transcript could not be read: {error}"))?;
        shared += 1;
        same &= a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits());
    }
    if shared == 0 {
        return Err("the two have no position in common".into());
    }
    if same {
        return Ok(None);
    }
    Ok(Some(oracle::compare(candidate, against)?.scale().nmse))
}

/// The matrix's own models, F32 and quantised, with a prompt that is longer than any window of theirs. They are made when they are needed.
///
/// # Errors
/// Where one of them cannot be planned.
pub fn tiny_models(folder: &Path) -> Result<Vec<(Model, Prompt)>, Error> {
    let recipes = crate::matrix::FEW_WEIGHTS.into_iter().flat_map(crate::matrix::own_recipes);
    let with_prompt = |recipe: smith::Recipe| {
        let prompt = supply::prompts::of_tiny_models().pop();
        Ok((Model::planned(&recipe, folder)?, prompt.ok_or_else(|| Error::input(&recipe, "it has no prompt", "report this"))?))
    };
    recipes.map(with_prompt).collect()
}
