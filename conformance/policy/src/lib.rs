//! What is allowed and what is known: calibrated limits and expected divergences. Neither is ever looked at by a worker.
//!
//! The files stand beside this crate's sources; their rows name runtimes, and this code names none.
#![forbid(unsafe_code)]

pub mod advice;
pub mod changes;
mod expectations;
mod patterns;
mod readers;
mod tokenizers;
mod tolerances;

pub use expectations::{Expectation, Expectations, Experiment};
pub use patterns::Pattern;
pub use readers::KnownDeviations;
pub use tokenizers::{Divergence, Divergences};
pub use tolerances::{Key, MARGIN_DEVIATIONS, Multiplier, Tolerance, Tolerances};
