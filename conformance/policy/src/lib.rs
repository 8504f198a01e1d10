//! What is allowed and what is known: calibrated limits, expected divergences of numbers, tokenizers and readers, causes of changes between releases,
//! and what is advised about an upgrade. None of it is ever looked at by a worker.
//!
//! The files stand beside this crate's sources; their rows name runtimes, and this code names none.
#![forbid(unsafe_code)]

pub mod advice;
pub mod changes;
mod expectations;
mod patterns;
mod readers;
mod tokenizers;
pub mod tolerances;

pub use expectations::{Expectation, Expectations, Experiment};
pub use patterns::Pattern;
pub use readers::KnownDeviations;
pub use tokenizers::{Divergence, Divergences};
pub use tolerances::{Key, MARGIN_DEVIATIONS, Multiplier, Tolerance, Tolerances};
