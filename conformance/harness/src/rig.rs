//! What travels together through a run.

use crate::{
    event::{Event, Listener},
    worker::pool::Workers,
};
use machine::{Error, cache::Cache};
use policy::{Expectations, Tolerances};
use std::path::Path;

/// What is judged by.
pub struct Policy {
    /// The calibrated limits.
    pub tolerances: Tolerances,
    /// The known divergences.
    pub expectations: Expectations,
}

/// What a run works with, and who listens.
pub struct Rig<'a> {
    /// Executes cases.
    pub workers: &'a mut Workers,
    /// Where the truth is kept.
    pub cache: &'a Cache,
    /// A folder for what is needed for a moment.
    pub scratch: &'a Path,
    /// What is judged by.
    pub policy: &'a Policy,
    /// They hear what happens, in this order.
    pub listeners: Vec<&'a mut dyn Listener>,
}

impl Rig<'_> {
    pub(crate) fn tell(&mut self, mut event: Event<'_>) -> Result<(), Error> {
        tell(&mut self.listeners, &mut event)
    }
}

pub(crate) fn tell(listeners: &mut [&mut dyn Listener], event: &mut Event<'_>) -> Result<(), Error> {
    listeners.iter_mut().try_for_each(|listener| listener.hear(event))
}
