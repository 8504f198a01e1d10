//! Figures in texts: what README and the other texts of a checkout say in numbers, against what its code, goldens and Records give.
//!
//! The functions here put figures into sentences and passages of [`texts::Texts`], in memory: a test asks that this changes nothing, and the
//! program `figures`, which `scripts/figures` runs, writes what it does change. What no test can repeat is held another way: the matrix and the
//! faults by what they follow from ([`runs::Runs`]), an hour of fuzzing or another machine by naming the run ([`texts::MEASUREMENTS`]).
#![forbid(unsafe_code)]

pub mod checkout;
mod files;
pub mod main_job;
mod prose;
pub mod runs;
pub mod texts;
mod tokenizers;
mod upgrades;
mod vectors;
