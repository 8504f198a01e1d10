//! Does a runtime compute what a GGUF model means? The library asks from a product's own tests what the `ggauge` command asks from a terminal.
//!
//! A [`Gauge`] runs one model file on some subjects, holds their logits against an exact reference, and leaves a [`Record`]:
//!
//! ```no_run
//! # fn main() -> Result<(), ggauge::Error> {
//! ggauge::Gauge::of("models/ours.gguf").on(["llama-cpp@cpu", "candle@cpu"]).run()?.assert_passes();
//! # Ok(())
//! # }
//! ```
//!
//! Runtimes are no part of this library. Every subject runs in a process of its own, started as `PROGRAM worker SUBJECT --settings SETTINGS` in the
//! root folder and with a part of the environment, where the program is the one that [`Gauge::program`] was given, that `GGAUGE_PROGRAM` names, or `ggauge` on the `PATH`. So the library builds without llama.cpp and candle:
//!
//! ```toml
//! [dev-dependencies]
//! ggauge = { version = "0.1", default-features = false }
//! ```
//!
//! A product with a runtime of its own puts that behind [`Subject`] and [`Session`], and [`serve()`] makes a worker of it in a binary of three lines;
//! `conformance/judge-your-model` is such a product, whole. What those traits' methods are written in is in [`subject`].
//!
//! What is not listed here is no API and changes without notice.
#![forbid(unsafe_code)]
// Only `main` prints, and only what is printable.
#![warn(clippy::print_stdout, clippy::print_stderr)]

#[doc(hidden)]
pub mod exit;
mod gauge;
#[doc(hidden)]
pub mod prompts;
#[doc(hidden)]
pub mod runtimes;
mod serve;

pub use gauge::{Gauge, Gauged};
pub use machine::Error;
pub use record::Record;
pub use serve::serve;
pub use vocabulary::{Judgement, Refusal, Session, Settings, Subject, SubjectId};

/// What the methods of [`Subject`] and [`Session`] that have to be written are written in.
pub mod subject {
    pub use vocabulary::{Description, RejectionClass, transcript::Writer};
}
