//! The flow, a module a step: a plan's cases are executed by workers, judged by what the reference gives, and go into the Record.
//!
//! [`subjects`], [`relation`] -> [`plan`] -> [`worker`] -> [`truth`], [`judge`] -> [`run`]. Judging is pure. What else is to be done with what was
//! executed hears the run's [`event`]s.
#![forbid(unsafe_code)]

pub mod allowance;
pub mod answer;
pub mod clock;
pub mod emulated;
pub mod event;
pub mod judge;
pub mod plan;
pub mod progress;
pub mod relation;
pub mod reproduce;
pub mod rig;
pub mod run;
pub mod subjects;
pub mod truth;
pub mod worker;
