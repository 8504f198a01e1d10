//! What comes from outside, and is pinned: models, prompts, releases of runtimes and builds with them.
#![forbid(unsafe_code)]

pub mod adapters;
pub mod argument;
pub mod builds;
pub mod exact;
pub mod files;
pub mod fingerprint;
pub mod manifests;
pub mod models;
pub mod package_index;
pub mod prompts;
pub mod releases;
pub mod sources;
pub mod vocabularies;
pub mod weights;
