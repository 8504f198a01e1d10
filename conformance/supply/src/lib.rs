//! What comes from outside, and is pinned: models, prompts, releases of runtimes and builds with them.
#![forbid(unsafe_code)]

pub mod adapters;
pub mod builds;
pub mod files;
pub mod fingerprint;
pub mod models;
pub mod prompts;
pub mod releases;
pub mod vocabularies;
pub mod weights;
