//! The GGUF format: a safe reader with named rules, a writer that can also write what is wrong, and exact block codecs.
//!
//! This crate knows bytes and nothing of inference: no FFI, no `unsafe`, no I/O. A [`File`] borrows from a byte slice, which
//! callers map or read as they like. Source for the layout: the GGUF specification, `docs/gguf.md` in the ggml repository.
//!
//! - [`File`]: header, metadata and tensor table. [`File::strict`] takes what the specification allows; [`File::lenient`] takes
//!   what the runtimes take, and lists what it let pass.
//! - [`Rule`]: every rule, with an id, a meaning and a severity. A breach is a [`Finding`]: rule, byte offset, field, both values.
//! - [`Split`]: the files of a split model as one.
//! - [`Draft`]: a file to be written, every field of which can be set, also to what is wrong; [`Draft::break_rule`] breaks one
//!   rule and no other.
//! - [`codec`]: the exact value of every quantised block.
#![forbid(unsafe_code)]

mod architecture;
mod breakage;
pub mod codec;
mod conformity;
mod cursor;
mod draft;
mod file;
mod layout;
mod metadata;
mod reader;
mod rules;
mod split;
mod tensor;
mod tokenizer;
mod values;

pub use breakage::CannotBreak;
pub use draft::{Draft, DraftKey, DraftTensor};
pub use file::File;
pub use metadata::Metadata;
pub use rules::{Finding, Mode, Rule, Severity, Stance, Tolerated};
pub use split::{ShardName, Split};
pub use tensor::{Dimensions, Tensor, WeightType};
pub use tokenizer::token_texts;
pub use values::{Array, Value, ValueType};

/// The four bytes every GGUF file begins with.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// Alignment of tensor data, in bytes, where `general.alignment` does not say otherwise.
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// The most dimensions a tensor can have.
pub const MAX_DIMENSIONS: usize = 4;
/// The most arrays within each other that are read.
pub const MAX_ARRAY_DEPTH: usize = 64;
