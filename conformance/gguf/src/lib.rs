//! The GGUF format: a safe reader with precise errors, a writer, and exact block codecs.
//!
//! This crate knows bytes and nothing of inference: no FFI, no `unsafe`, no I/O. A [`File`] borrows from a byte slice, which
//! callers map or read as they like. Source for the layout: the GGUF specification, `docs/gguf.md` in the ggml repository.
//!
//! - [`File`]: header, metadata and tensor table, with every count and length checked against the bytes that are there.
//! - [`codec`]: the exact value of every quantised block.
//! - [`Writer`]: a valid file from metadata and tensors.
#![forbid(unsafe_code)]

pub mod codec;
mod error;
mod metadata;
mod reader;
mod tensor;
mod writer;

pub use error::{Error, Problem};
pub use metadata::{Array, Metadata, Value, ValueType};
pub use reader::File;
pub use tensor::{Tensor, WeightType};
pub use writer::Writer;

/// The four bytes every GGUF file begins with.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// Alignment of tensor data, in bytes, where `general.alignment` does not say otherwise.
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// The most dimensions a tensor can have.
pub const MAX_DIMENSIONS: usize = 4;
