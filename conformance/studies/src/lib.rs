//! Questions that are built on the flow, one module a question.
#![forbid(unsafe_code)]

pub mod calibration;
mod covering;
pub mod determinism;
pub mod faults;
pub mod given;
pub mod goldens;
pub mod inspection;
pub mod matrix;
pub mod names;
pub mod readers;
pub mod tokenizers;
pub mod upgrade;
pub mod vector_files;
