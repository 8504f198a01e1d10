//! What people see of a Record: tables, totals, pictures, and what to do next. Knows no runtime, no policy, and no network.
#![forbid(unsafe_code)]

pub mod changes;
mod grid;
pub mod matrix_picture;
pub mod matrix_report;
pub mod picture;
mod report;
pub mod survey_picture;

pub use report::*;
