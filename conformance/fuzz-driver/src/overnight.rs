//! A night: all targets share the time in rounds, more of it for those that found something new in the round before.

use crate::{
    build,
    desk::Desk,
    engine,
    flavour::Flavour,
    report, seeds,
    words::{print, say},
};
use fuzzing::Target;
use machine::files;
use std::time::Instant;

/// Seconds of a round's slice are at least these.
const SHORTEST: u64 = 10;

/// Fuzzes all targets, and ends with a report.
///
/// # Errors
/// Where something cannot be built or written, and where the user interrupts.
pub(crate) fn run(desk: &Desk, targets: &[&'static Target], seconds: u64, jobs: u32) -> anyhow::Result<()> {
    build::all(desk, Flavour::Checked)?;
    seeds::of_vocabularies(desk)?;
    let started = Instant::now();
    let left = || seconds.saturating_sub(started.elapsed().as_secs());
    let mut shares = Shares::new(targets.len());
    let rounds = rounds(seconds, targets.len());
    for round in 0..rounds {
        if left() <= 15 {
            break;
        }
        let slices = shares.slices(left() / (rounds - round));
        for ((number, &target), slice) in targets.iter().enumerate().zip(slices) {
            if left() <= SHORTEST {
                break;
            }
            let status = engine::slice(desk, target, slice, jobs, Flavour::Checked)?;
            // Features, which are finer than edges.
            shares.found(number, status.map_or(0, |status| status.features));
        }
    }
    for target in targets {
        engine::merge(desk, target)?;
    }
    let report = report::all(&desk.state);
    let path = desk.state.folder().join("report.txt");
    files::write_whole(&path, report.as_bytes())?;
    print(&report)?;
    say(format!("the report is in {}", path.display()));
    Ok(())
}

/// Rounds of at least half a minute a target.
fn rounds(seconds: u64, targets: usize) -> u64 {
    (seconds / (60 * targets.max(1) as u64)).clamp(2, 12)
}

/// How a round's time is shared.
#[derive(Debug)]
struct Shares {
    /// For each target its weight, and the features that it had reached when it was looked at last.
    targets: Vec<(u64, u64)>,
}

impl Shares {
    /// At first, everybody has the same.
    fn new(targets: usize) -> Self {
        Self { targets: vec![(2, 0); targets] }
    }

    /// Seconds of each target in a round of so many.
    fn slices(&self, seconds: u64) -> Vec<u64> {
        let total: u64 = self.targets.iter().map(|(weight, _)| weight).sum();
        self.targets.iter().map(|(weight, _)| (seconds * weight / total.max(1)).max(SHORTEST)).collect()
    }

    /// A target has reached so many features: more than before earns it more time in the next round.
    fn found(&mut self, number: usize, features: u64) {
        if let Some((weight, before)) = self.targets.get_mut(number) {
            *weight = if features > *before { 3 } else { 1 };
            *before = features;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_leave_each_target_half_a_minute() {
        assert_eq!(rounds(8 * 3600, 11), 12);
        assert_eq!(rounds(3600, 11), 5);
        assert_eq!((rounds(60, 11), rounds(60, 0)), (2, 2));
    }

    #[test]
    fn who_finds_something_gets_more_time() {
        let mut shares = Shares::new(3);
        assert_eq!(shares.slices(300), [100, 100, 100]);
        shares.found(0, 50);
        shares.found(1, 0);
        shares.found(2, 7);
        assert_eq!(shares.slices(700), [300, 100, 300]);
        // What it had reached already is nothing new.
        shares.found(0, 50);
        shares.found(2, 8);
        assert_eq!(shares.slices(500), [100, 100, 300]);
        assert_eq!(shares.slices(5), [10, 10, 10]);
    }
}
