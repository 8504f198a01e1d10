//! Metamorphic relations: changes that must not change what a subject computes, to the bit or within its limits.
//!
//! To add one, give it a variant here, and say in the harness what it changes: the file, the worker, or how the prompt is fed.

use crate::Schedule;
use serde::{Deserialize, Serialize};

/// Tokens of a small batch.
pub const SMALL_BATCH: usize = 3;

/// A change that must not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Nothing is changed.
    Repeat,
    /// The tensors stand in reverse order, table and data.
    TensorOrder,
    /// The keys stand in reverse order.
    MetadataOrder,
    /// Data begins at multiples of 64 instead of 32.
    Alignment,
    /// The file says version 2, which differs from version 3 in nothing but big-endian files.
    Version,
    /// There are keys that no reader knows, of the architecture too.
    ExtraKeys,
    /// Another schedule: two halves, or token by token where it was two halves.
    Schedule,
    /// One thread.
    Threads,
    /// Calls of at most 3 tokens.
    Batch,
    /// Micro-batches of 3 tokens.
    MicroBatch,
    /// The model is split into two files.
    Shards,
}

impl Relation {
    /// Every relation.
    pub const ALL: [Self; 11] = [
        Self::Repeat,
        Self::TensorOrder,
        Self::MetadataOrder,
        Self::Alignment,
        Self::Version,
        Self::ExtraKeys,
        Self::Schedule,
        Self::Threads,
        Self::Batch,
        Self::MicroBatch,
        Self::Shards,
    ];

    /// The name in ids and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Repeat => "repeat",
            Self::TensorOrder => "tensor-order",
            Self::MetadataOrder => "metadata-order",
            Self::Alignment => "alignment",
            Self::Version => "version",
            Self::ExtraKeys => "extra-keys",
            Self::Schedule => "schedule",
            Self::Threads => "threads",
            Self::Batch => "batch",
            Self::MicroBatch => "micro-batch",
            Self::Shards => "shards",
        }
    }

    /// True where not a bit of the logits may change; otherwise they stay within what two correct computations may differ by.
    pub fn is_exact(self) -> bool {
        match self {
            Self::Repeat | Self::TensorOrder | Self::MetadataOrder | Self::Alignment | Self::Version | Self::ExtraKeys => true,
            Self::Schedule | Self::Threads | Self::Batch | Self::MicroBatch | Self::Shards => false,
        }
    }

    /// True where it changes anything about a prompt of `len` tokens that is fed by `schedule`.
    pub fn applies(self, len: usize, schedule: Schedule) -> bool {
        match self {
            Self::Batch | Self::MicroBatch => schedule.calls(len).iter().any(|call| call.len() > SMALL_BATCH),
            Self::Schedule => len > 1,
            _ => true,
        }
    }
}
