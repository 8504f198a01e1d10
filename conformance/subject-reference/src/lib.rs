//! The reference as a subject like any other: `reference@f64`, and its rounded forms.
#![forbid(unsafe_code)]

use gguf::File;
use machine::{MappedFile, map_model};
use reference::{FINGERPRINT, Rounding, Weights, architectures, layers::Model, operations::Operations, refused};
use std::path::Path;
use vocabulary::{Description, Refusal, RejectionClass, Session, Subject, transcript};

/// Logits that are computed together before they are written: enough to keep the cores busy, few enough to stay small.
const TOKENS_AT_A_TIME: usize = 4096;

/// The reference under one [`Rounding`].
#[derive(Debug, Clone, Copy)]
pub struct ReferenceSubject {
    /// The rounding; [`Rounding::EXACT`] for the truth.
    pub rounding: Rounding,
}

impl ReferenceSubject {
    /// `f64`, or the name of a rounding.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] for a name that no rounding has.
    pub fn new(rounding: &str) -> Result<Self, Refusal> {
        Ok(Self { rounding: rounding.parse().map_err(Refusal::Unsupported)? })
    }
}

impl Subject for ReferenceSubject {
    fn describe(&self) -> Description {
        Description {
            runtime: format!("ggauge reference {} ({})", env!("CARGO_PKG_VERSION"), FINGERPRINT),
            device: "CPU, 64-bit floating point".into(),
            driver: format!("rounding: {}", self.rounding.name()),
            features: Vec::new(),
            software: false,
        }
    }

    fn load(&self, model: &Path) -> Result<Box<dyn Session + '_>, Refusal> {
        let files = map_model(model).map_err(|(path, error)| {
            // Of the file that was asked for the harness knows the name.
            let message = if path == model { error.to_string() } else { format!("{}: {error}", path.display()) };
            Refusal::load(RejectionClass::Unreadable, message)
        })?;
        let files: Vec<MappedFile> = files.into_iter().map(|(_, mapped)| mapped).collect();
        // Loading reads little more than norm gains, so a file that cannot be run is refused at once.
        let vocabulary_size = with_model(&files, |model| Ok(model.output.rows))?;
        Ok(Box::new(ReferenceSession { files, vocabulary_size, rounding: self.rounding }))
    }
}

struct ReferenceSession {
    files: Vec<MappedFile>,
    vocabulary_size: usize,
    rounding: Rounding,
}

fn with_model<T>(files: &[MappedFile], use_it: impl FnOnce(&Model<'_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
    let parsed = files.iter().map(|file| File::lenient(file)).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    use_it(&architectures::load(&Weights::of(parsed)?)?)
}

impl Session for ReferenceSession {
    fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    fn begin(&mut self, _len: usize) -> Result<(), Refusal> {
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    fn feed_together(&mut self, sequences: &[Vec<u32>], judged: usize, out: &mut transcript::Writer) -> Result<(), Refusal> {
        self.feed(sequences.get(judged).map_or(&[], Vec::as_slice), 0, out)
    }

    fn feed(&mut self, tokens: &[u32], first: usize, out: &mut transcript::Writer) -> Result<(), Refusal> {
        if first != 0 {
            // It has no cache: what a position's logits are does not depend on how the prompt was cut.
            return Err(Refusal::Unsupported("the reference evaluates a prompt as a whole".into()));
        }
        with_model(&self.files, |model| {
            let context = model.context_length;
            if tokens.len() > context {
                let message = format!("a prompt of {} tokens, where the model's context is {context}", tokens.len());
                return Err(Refusal::evaluate(RejectionClass::OutOfRange, message));
            }
            let of_output = self.rounding.of_output();
            let hidden = model.output.rounded(&model.hidden(tokens, &self.rounding), &of_output);
            for start in (0..self.vocabulary_size).step_by(TOKENS_AT_A_TIME) {
                let count = TOKENS_AT_A_TIME.min(self.vocabulary_size - start);
                let logits = model.output.multiply_part(start, count, &hidden, of_output.addition());
                for (position, row) in logits.iter().enumerate() {
                    // The one rounding of the exact pass: transcripts hold f32, which adds 1e-15 to an NMSE.
                    let row: Vec<f32> =
                        row.iter().enumerate().map(|(i, &x)| self.rounding.logit(&model.finish, start + i, x) as f32).collect();
                    out.part(position, start, &row)?;
                }
            }
            Ok(())
        })
    }
}
