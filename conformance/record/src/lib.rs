//! What was found: the Record of a run, the folder it lies in, and two of them held against each other. Nothing here decides or draws.
#![forbid(unsafe_code)]

pub mod changes;
pub mod determinism;
pub mod faults;
pub mod fingerprint;
mod folder;
pub mod goldens;
pub mod inspection;
pub mod readers;
pub mod release;
mod run;
pub mod tokenizers;
pub mod upgrade;

pub use folder::{Folder, read};
pub use run::{CaseRecord, ComparisonRecord, ModelRecord, Record, SCHEMA, SubjectRecord, Timings};
