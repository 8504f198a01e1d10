//! The integration tests of the harness, in one binary: each links both runtimes, and one link is enough.

#![allow(clippy::disallowed_methods, reason = "tests start ggauge where users would")]

mod codecs;
mod command_line;
mod converters;
mod exact;
mod figures;
mod findings;
mod goldens;
mod hostile_words;
mod house;
mod inspect;
#[cfg(feature = "vulkan")]
mod isolation;
mod judging;
mod limits;
mod matrix;
mod pins;
mod real_models;
mod regressions;
mod scripts;
mod shared_cache;
mod started_programs;
mod supervision;
mod support;
mod survey;
mod tokenizers;
mod upgrades;
mod weights;
mod whole_files;
mod workers;
