//! The words every crate of ggauge shares.
//!
//! A [`Case`] is one model and one prompt, fed to one [`SubjectId`] by one [`Schedule`] under one [`Settings`]. A worker runs it
//! and answers with an [`Outcome`]; where that is completed, the logits lie in a [`transcript`] file. An oracle turns outcomes
//! into a [`Verdict`]. Subjects implement [`Subject`] and [`Session`]; what a GGUF
//! reader found in a file is its [`Contents`]. Harness and worker speak [`protocol`].
//!
//! Nothing here runs a model or decides anything.
#![forbid(unsafe_code)]

mod case;
mod contents;
mod judgement;
mod limits;
mod model;
mod outcome;
pub mod protocol;
mod reached;
mod relation;
mod subject;
pub mod transcript;
mod verdict;

pub use case::{Case, Schedule, Settings, SubjectId, Tuning};
pub use contents::{Contents, KeyValue, LONGEST_TEXT, ReadValue, TensorEntry, escape};
pub use judgement::{Class, Judgement, Oracle, Upshot};
pub use limits::{Limits, Noise, OverNoise, Scale};
pub use model::Family;
pub use outcome::{BadAnswer, Outcome, Rejection, RejectionClass, Stage};
pub use reached::Reached;
pub use relation::{Relation, SMALL_BATCH};
pub use subject::{Continuation, Description, Refusal, Session, Subject, continue_greedily, evaluate, locked};
pub use verdict::{Check, Measurement, Verdict, number, numbers};
