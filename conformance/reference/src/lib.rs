//! The executable specification: an exact f64 forward pass per architecture, written for reading.
//!
//! Every weight has the value that [`gguf::codec`] gives it; everything after that is f64. The code in [`architectures`] is meant
//! to be read beside the papers it names, with the parts they are built of in [`layers`] and the definitions in [`operations`]: no
//! cache, no batching, no fusing; all positions of a prompt go through each layer together. Weights stay in the mapped file and are
//! decoded a few rows at a time, each against all positions. Nothing but `mapped` and `subject` opens a file.
//!
//! The only departure from exactness is [`Rounding`]: the same pass with activations rounded the way a runtime rounds them. How
//! far that moves the logits is the noise a correct runtime is allowed, and it owes nothing to any runtime's own numbers.
//!
//! To add an architecture, write a module in `architectures/` and list it there.
#![forbid(unsafe_code)]

pub mod architectures;
pub mod layers;
mod matrix;
mod neutral;
pub mod operations;
mod rounding;
mod rows;
mod weights;
pub use matrix::Matrix;
pub use rounding::Rounding;
pub use rows::{Addition, Rows};
pub use weights::{Weights, refused};

/// Identifies the sources that decide the reference's numbers: part of the key of every cached transcript.
pub const FINGERPRINT: &str = env!("REFERENCE_FINGERPRINT");
