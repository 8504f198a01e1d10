//! Questions that are built on the flow, one module a question.
#![forbid(unsafe_code)]

pub mod calibrate;
pub mod determinism;
pub mod faults;
pub mod goldens;
pub mod inspection;
pub mod matrix;
pub mod readers;
pub mod survey;
pub mod survey_picture;
pub mod tokenizers;
pub mod upgrade;
