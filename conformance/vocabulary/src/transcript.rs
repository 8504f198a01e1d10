//! Transcripts: the logits of one evaluation, on disk as safetensors.
//!
//! Two tensors: `logits`, F32 of shape `[positions, vocabulary]`, and `positions`, I64 of shape `[positions]`, which says which
//! position of the prompt each row belongs to. Both ends work row by row, so memory does not grow with the prompt, and reads
//! are positioned rather than mapped: a worker that truncates a mapped file would take the harness down with it.

mod header;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use header::{annotate, longest};
pub use reader::Reader;
pub use writer::{Likeliest, Writer};

#[cfg(target_endian = "big")]
compile_error!("transcripts are little-endian and are read and written without conversion");
