//! What people see of a Record: tables, totals, pictures, and what to do next. Knows no runtime, no policy, and no network.
#![forbid(unsafe_code)]

pub mod changes;
pub mod determinism;
pub mod digests;
pub mod faults;
pub mod goldens;
pub mod grid;
pub mod inspection;
mod layers;
pub mod layout;
pub mod matrix;
pub mod matrix_picture;
pub mod picture;
pub mod readers;
pub mod readers_picture;
pub mod rules;
mod run;
pub mod tokenizers;
pub mod upgrade;

pub use run::{Style, absent, findings, report, subjects, table, totals};
