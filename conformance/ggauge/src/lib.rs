//! The harness of ggauge as a library: what to run, running it in workers, judging it, and telling people.
//!
//! Data flows one way, and each module is one step of it:
//! [`models`] and [`prompts`] -> [`plan`] -> [`worker`] (one process a subject) -> [`run`] -> [`oracle`] -> [`policy`] ->
//! [`record`] -> [`report`]. No later step calls an earlier one; reports read only the Record.
//!
//! What others say reaches people through [`printable`] and [`page`] alone.
#![forbid(unsafe_code)]
// Only `main` prints, and only what is printable.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod blame;
pub mod builds;
pub mod cache;
pub mod calibrate;
pub mod compare;
pub mod determinism;
pub mod error;
pub mod external;
pub(crate) mod family;
pub mod faults;
pub mod figures;
pub mod files;
pub mod fingerprint;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod golden;
mod grid;
pub mod inspect;
pub mod interrupt;
pub mod matrix;
pub mod matrix_picture;
pub mod matrix_report;
pub mod models;
pub mod oracle;
pub mod page;
pub mod picture;
pub mod plan;
pub mod policy;
pub mod printable;
pub mod prompts;
pub mod readers;
pub mod record;
#[cfg(feature = "fuzzing")]
pub mod regressions;
pub mod relation;
pub mod releases;
pub mod report;
pub mod run;
pub mod small;
pub mod subjects;
pub mod survey;
pub mod survey_picture;
pub mod tables;
pub mod tokenizers;
pub mod truths;
pub mod upgrade;
pub mod weights;
pub mod worker;

pub use error::Error;
