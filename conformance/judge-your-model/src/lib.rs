//! An example: a product with a runtime of its own, as small as one can be, and what it takes to have that judged in its own tests.
//!
//! [`StandIn`] stands in for the runtime. It is behind the traits `Subject` and `Session` here; `src/bin/stand-in-worker.rs` makes a worker of it, and
//! `tests/agrees.rs` is the test. In a product of your own, copy these three and put your runtime in place of `llama.rs`.
#![forbid(unsafe_code)]

mod llama;

use ggauge::{
    Refusal, Session, Subject,
    subject::{Description, RejectionClass, Writer},
};
use llama::{Cache, Llama};
use std::{fs, path::Path};

/// The name that subjects of this runtime have: `stand-in@cpu`.
pub const NAME: &str = "stand-in";

/// Which elements of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationPairs {
    /// Each with its neighbour, as GGUF files of Llama have them.
    Neighbours,
    /// Each with one of the other half, as the files have them that Llama's were converted from: a mistake that many a runtime began with.
    Halves,
}

/// A runtime for Llama models of F32 weights.
#[derive(Debug, Clone, Copy)]
pub struct StandIn {
    /// How it rotates.
    pub pairs: RotationPairs,
}

impl Subject for StandIn {
    fn describe(&self) -> Description {
        Description { runtime: format!("stand-in {}", env!("CARGO_PKG_VERSION")), ..Description::default() }
    }

    fn load(&self, model: &Path) -> Result<Box<dyn Session + '_>, Refusal> {
        let bytes = fs::read(model).map_err(|error| Refusal::load(RejectionClass::Unreadable, error.to_string()))?;
        let llama = Llama::read(&bytes, self.pairs)?;
        Ok(Box::new(Conversation { llama, cache: Cache::default() }))
    }
}

/// A model with what it was fed so far.
struct Conversation {
    llama: Llama,
    cache: Cache,
}

impl Session for Conversation {
    fn vocabulary_size(&self) -> usize {
        self.llama.vocabulary_size()
    }

    fn begin(&mut self, len: usize) -> Result<(), Refusal> {
        self.cache = Cache::default();
        let context = self.llama.context_length;
        if len > context {
            let message = format!("a prompt of {len} tokens, where the model's context is {context}");
            return Err(Refusal::evaluate(RejectionClass::OutOfRange, message));
        }
        Ok(())
    }

    fn feed(&mut self, tokens: &[u32], first: usize, out: &mut Writer) -> Result<(), Refusal> {
        for (index, &token) in tokens.iter().enumerate() {
            out.row(first + index, &self.llama.logits(&mut self.cache, token as usize))?;
        }
        Ok(())
    }
}
