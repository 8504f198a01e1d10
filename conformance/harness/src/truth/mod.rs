//! The truth of a prompt, and the noise of a rounding: what the reference gives, computed once and kept.

pub mod kept;

use crate::{
    answer::Answer,
    event::Event,
    judge::oracle::{self, Incomparable},
    rig::Rig,
    subjects,
};
use indicatif::ProgressBar;
use kept::{Origin, Truths};
use machine::Error;
use reference::Rounding;
use std::{collections::BTreeMap, fs, path::Path, time::Duration};
use subject_reference::ReferenceSubject;
use supply::{
    files::Files,
    models::{InUse, Model},
    prompts::Prompt,
    weights,
};
use vocabulary::{
    Noise, Outcome, Refusal, Schedule, Settings, Subject,
    transcript::{Reader, Writer},
};

/// What the reference gives in one run.
pub struct Truth<'a> {
    kept: Truths<'a>,
    /// Exact transcripts that nothing can be held against, by their origin, and why.
    broken: BTreeMap<String, String>,
}

impl<'a> Truth<'a> {
    /// What is kept in a cache, and what is computed beyond that.
    pub fn new(kept: Truths<'a>) -> Self {
        Self { kept, broken: BTreeMap::new() }
    }

    /// Says what was damaged in the cache.
    fn tell(&mut self, rig: &mut Rig<'_>) -> Result<(), Error> {
        self.kept.damaged.drain(..).try_for_each(|words| rig.tell(Event::Told(&words)))
    }

    /// The reference's transcript of a prompt, from the cache or computed now; or what else became of it. The reference has no cache of keys and
    /// values, so one transcript serves every schedule.
    ///
    /// # Errors
    /// Where the harness cannot go on.
    pub fn exact(
        &mut self,
        rig: &mut Rig<'_>,
        in_use: &mut InUse,
        model: &Model,
        prompt: &Prompt,
    ) -> Result<Answer<Reader>, Error> {
        let origin = Origin::of(model, prompt, Rounding::EXACT);
        let kept = self.kept.find(&origin);
        self.tell(rig)?;
        if let Some(kept) = kept? {
            return Ok(Ok(kept));
        }
        let made = rig.scratch.join("truth.safetensors");
        match reference(rig, model, prompt, Rounding::EXACT, &made) {
            Ok(Ok(_)) => {
                in_use.check()?;
                self.kept.keep(&origin, &made).map(Ok)
            }
            other => {
                let _ = fs::remove_file(&made);
                other
            }
        }
    }

    /// How far a rounding moves the reference on a prompt, from the cache or computed now; or why that is not known. Where a runtime or a driver
    /// may round further, at least as far as that moves it.
    ///
    /// # Errors
    /// Where the harness cannot go on.
    #[expect(clippy::too_many_arguments, reason = "noise is of a model, a prompt and a rounding, and is computed with the rig")]
    pub fn noise(
        &mut self,
        rig: &mut Rig<'_>,
        in_use: &mut InUse,
        (model, prompt): (&Model, &Prompt),
        rounding: Rounding,
        exact: &Reader,
    ) -> Result<Result<Noise, String>, Error> {
        let noise = self.noise_of(rig, in_use, (model, prompt), rounding, exact)?;
        let (Ok(_), Some(floor)) = (&noise, rounding.floor()) else { return Ok(noise) };
        let floor = self.noise_of(rig, in_use, (model, prompt), floor, exact)?;
        Ok(floor.and_then(|floor| Ok(noise?.at_least(&floor))))
    }

    #[expect(clippy::too_many_arguments, reason = "noise is of a model, a prompt and a rounding, and is computed with the rig")]
    fn noise_of(
        &mut self,
        rig: &mut Rig<'_>,
        in_use: &mut InUse,
        (model, prompt): (&Model, &Prompt),
        rounding: Rounding,
        exact: &Reader,
    ) -> Result<Result<Noise, String>, Error> {
        let of_truth = Origin::of(model, prompt, Rounding::EXACT);
        if let Some(why) = self.broken.get(of_truth.digest()) {
            return Ok(Err(why.clone()));
        }
        let origin = Origin::of(model, prompt, rounding);
        let kept = self.kept.find_noise(&origin);
        self.tell(rig)?;
        if let Some(noise) = kept? {
            return Ok(Ok(noise));
        }
        let rounded = rig.scratch.join("noise.safetensors");
        let not_known = |why: &str| Ok(Err(format!("the noise of {} is not known: {why}", rounding.name())));
        let noise = match reference(rig, model, prompt, rounding, &rounded)? {
            Ok(transcript) => oracle::compare(&transcript, exact).map(|comparison| comparison.noise()),
            Err(outcome) => return not_known(&outcome.words()),
        };
        let _ = fs::remove_file(&rounded);
        let noise = match noise {
            Ok(noise) if noise.is_finite() => noise,
            Ok(_) => return Ok(Err(format!("the noise of {} is not finite", rounding.name()))),
            // The truth is what it is: of weights that are no numbers there is no other.
            Err(Incomparable::TruthBroken { position }) => {
                rig.tell(Event::Begun(&format!("looking at the weights of {}", model.name)))?;
                let why = match odd_weights(model)? {
                    Some(why) => why,
                    None => format!("the reference itself is constant or not finite at position {position}"),
                };
                self.broken.insert(of_truth.digest().into(), why.clone());
                return Ok(Err(why));
            }
            Err(why) => return not_known(&why.to_string()),
        };
        in_use.check()?;
        self.kept.keep_noise(&origin, &noise)?;
        Ok(Ok(noise))
    }
}

/// Why no logits of a model mean anything, where its weights are the reason.
fn odd_weights(model: &Model) -> Result<Option<String>, Error> {
    let files = Files::open(&model.path)?;
    weights::reason(&files.read()?, &ProgressBar::hidden())
}

/// Runs the reference.
fn reference(
    rig: &mut Rig<'_>,
    model: &Model,
    prompt: &Prompt,
    rounding: Rounding,
    out: &Path,
) -> Result<Answer<Reader>, Error> {
    if model.is_tiny() {
        // Our own code on our own file needs no process of its own, and in a matrix these are most of the work.
        return reference_here(model, prompt, rounding, out);
    }
    let subject = subjects::reference_with(rounding);
    rig.tell(Event::Begun(&format!("{subject} on {} of {}", prompt.name, model.name)))?;
    // It has one way to compute; these settings are the ones its worker was started with to be described.
    let worker = rig.workers.get(&subject, Settings::Default);
    worker.evaluate(&model.path, model.vocabulary_size, &prompt.tokens, Schedule::SingleShot, out)
}

/// Runs the reference in this process.
fn reference_here(model: &Model, prompt: &Prompt, rounding: Rounding, out: &Path) -> Result<Answer<Reader>, Error> {
    let failed = |why: String| Error::transcript(subjects::reference_with(rounding), why);
    let run = || {
        let subject = ReferenceSubject { rounding };
        let mut session = subject.load(&model.path)?;
        let mut transcript = Writer::create(out, session.vocabulary_size(), || Duration::ZERO)?;
        vocabulary::evaluate(session.as_mut(), &prompt.tokens, Schedule::SingleShot, &mut transcript)?;
        transcript.finish()?;
        Ok(())
    };
    match run() {
        Ok(()) => Reader::open(out).map(Ok).map_err(failed),
        Err(Refusal::Rejected(rejection)) => Ok(Err(Outcome::Rejected(rejection))),
        Err(Refusal::Unsupported(reason)) => Ok(Err(Outcome::Unsupported { reason })),
        Err(Refusal::Transcript(error)) => Err(failed(error.to_string())),
    }
}
