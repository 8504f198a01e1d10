//! What fuzzing found, kept: smallest inputs with a sidecar each in `corpora/regressions/`, replayed in processes of their own, and how a new
//! one gets there.
//!
//! A sidecar says how an ordinary build ends on its input, and in which words. A finding that only a sanitizer sees passes there, and its
//! sidecar says so; replaying it then shows no more than that it did not become worse.

mod cause;
mod check;
mod engine;
mod promote;
mod replay;
mod sidecar;

pub use cause::cause;
pub use check::check;
pub use engine::{Ending, Engine, LIMITS, PANICKED, run};
pub use promote::{Promoted, Promotion, promote};
pub use replay::{replay, write_files};
pub use sidecar::{Class, Regression, Sidecar, all, unnamed};
