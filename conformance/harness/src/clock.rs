//! What a run cost: times and memory, which stand beside the Record.

use crate::{
    event::{Event, Listener},
    worker::cpu_time,
};
use machine::Error;
use record::Timings;
use std::time::{Duration, Instant};

/// Measures a run from when it is made.
pub struct Clock {
    started: Instant,
    cpu: Duration,
    timings: Timings,
}

impl Default for Clock {
    fn default() -> Self {
        Self { started: Instant::now(), cpu: cpu_time(), timings: Timings::default() }
    }
}

impl Clock {
    /// What the run cost, once it has ended.
    pub fn timings(mut self) -> Timings {
        self.timings.seconds = self.started.elapsed().as_secs_f64();
        self.timings.harness_cpu_seconds = cpu_time().saturating_sub(self.cpu).as_secs_f64();
        let ours = self.timings.harness_cpu_seconds + self.timings.transcript_cpu_seconds;
        // Where no runtime did anything there is nothing to be over, and infinity is no number in JSON.
        let of_runtimes = self.timings.runtime_cpu_seconds;
        self.timings.overhead = if of_runtimes > 0.0 { ours / of_runtimes } else { 0.0 };
        self.timings
    }
}

impl Listener for Clock {
    fn hear(&mut self, event: &mut Event<'_>) -> Result<(), Error> {
        match event {
            Event::Executed(done) => {
                self.timings.cases.insert(done.executed.case.to_string(), done.seconds);
            }
            Event::Ended { subject, settings, worker } => {
                let peak = self.timings.peak_memory.entry(format!("{subject} {settings}")).or_default();
                *peak = worker.peak_memory.max(*peak);
                if subject.runtime() != "reference" {
                    self.timings.runtime_cpu_seconds += worker.cpu.runtime;
                    self.timings.transcript_cpu_seconds += worker.cpu.transcript;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
