//! The `ggauge` command, as far as it is more than arguments.
#![forbid(unsafe_code)]
// Only `main` prints, and only what is printable.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod exit;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
#[cfg(feature = "fuzzing")]
pub mod regressions;
pub mod runtimes;
