//! How many cores the rest of the machine leaves to us: what a runtime needs to know whose threads spin while they wait for each other.
//! Two such runs beside each other spend most of their time waiting for threads that the other keeps from running.

use super::family;
use std::{
    fs,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// What is said of the machine is no newer than this: shorter times say little, as the system counts in hundredths of a second.
const WINDOW: Duration = Duration::from_secs(1);
/// How long cores must be fewer, or more, before a worker is started again for it: that costs it a load.
const FEWER_FOR: Duration = Duration::from_secs(3);
const MORE_FOR: Duration = Duration::from_secs(8);

/// The counters of the machine at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// Seconds of all cores in which something ran, or the host let nothing run.
    busy: f64,
    /// Seconds of CPU time of this process and all that it started.
    ours: f64,
    cores: f64,
}

impl Sample {
    fn take() -> Option<Self> {
        let a_second = rustix::param::clock_ticks_per_second() as f64;
        let text = fs::read_to_string("/proc/stat").ok()?;
        let cores = text.lines().filter(|line| line.strip_prefix("cpu").is_some_and(|rest| !rest.starts_with(' '))).count();
        let of_all = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<f64> = of_all.split_whitespace().filter_map(|ticks| ticks.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|&field| ticks.get(field)).sum::<f64>() / a_second;
        let own = std::process::id();
        let ours = std::iter::once(own).chain(family::descendants(own)).map(cpu_ticks).sum::<u64>() as f64 / a_second;
        Some(Self { at: Instant::now(), busy, ours, cores: cores as f64 })
    }

    /// Cores that nothing but us used since another sample.
    fn left_since(&self, before: &Self) -> f64 {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let others = (self.busy - before.busy) - (self.ours - before.ours).max(0.0);
        self.cores - (others / seconds).max(0.0)
    }
}

/// CPU time of a process and of those of its children that have ended.
fn cpu_ticks(id: u32) -> u64 {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = line.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// What was found last, and the sample that the next finding is made from.
static LAST: Mutex<Option<(Sample, f64)>> = Mutex::new(None);

/// Cores that are left to us, at least one; all of them where the system does not tell.
pub(crate) fn cores_left() -> u32 {
    let all = thread::available_parallelism().map_or(1, usize::from) as f64;
    let left = || {
        let mut last = LAST.lock().ok()?;
        let left = match last.as_ref() {
            Some((before, left)) if before.at.elapsed() < WINDOW => *left,
            before => {
                let now = Sample::take()?;
                let left = match before {
                    Some((before, _)) => now.left_since(before),
                    None => now.cores - running()?,
                };
                *last = Some((now, left));
                left
            }
        };
        Some(left)
    };
    left().unwrap_or(all).round().clamp(1.0, all) as u32
}

/// Threads of this machine that run or want to at this moment, but for this one.
fn running() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let (running, _) = text.split_whitespace().nth(3)?.split_once('/')?;
    Some((running.parse::<f64>().ok()? - 1.0).max(0.0))
}

/// A worker's share of the machine: the threads that it was started with, and since when another number would be better.
#[derive(Debug)]
pub(crate) struct Share {
    /// Threads of the running worker.
    pub threads: u32,
    other_since: Option<Instant>,
}

impl Share {
    /// What a worker that starts now may have.
    pub(crate) fn now() -> Self {
        Self { threads: cores_left(), other_since: None }
    }

    /// True once the machine has been another for so long that starting again pays. Small changes do not: on a machine with many cores
    /// there is always one.
    pub(crate) fn is_outdated(&mut self) -> bool {
        self.differs_for(cores_left(), Instant::now())
    }

    fn differs_for(&mut self, left: u32, now: Instant) -> bool {
        let (fewer, more) = (left * 2 <= self.threads, left >= self.threads * 2);
        if !fewer && !more {
            self.other_since = None;
            return false;
        }
        let since = *self.other_since.get_or_insert(now);
        now.duration_since(since) >= if fewer { FEWER_FOR } else { MORE_FOR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_use_is_not_left_and_what_we_use_is() {
        let at = Instant::now();
        let before = Sample { at, busy: 100.0, ours: 10.0, cores: 4.0 };
        let of = |busy: f64, ours: f64| Sample {
            at: at + Duration::from_secs(2),
            busy: 100.0 + busy,
            ours: 10.0 + ours,
            cores: 4.0,
        };
        assert_eq!(of(8.0, 8.0).left_since(&before), 4.0, "all of it is ours");
        assert_eq!(of(8.0, 4.0).left_since(&before), 2.0, "as much others as we");
        assert_eq!(of(0.0, 0.0).left_since(&before), 4.0, "nobody");
        // A worker that was taken away takes its counter along.
        assert_eq!(of(2.0, -5.0).left_since(&before), 3.0);
    }

    #[test]
    fn a_worker_is_started_again_only_where_the_machine_stays_another() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut share = Share { threads: 2, other_since: None };
        assert!(!share.differs_for(1, start));
        assert!(!share.differs_for(2, after(2)), "it was for a moment");
        assert!(!share.differs_for(1, after(3)));
        assert!(share.differs_for(1, after(6)));
        let mut share = Share { threads: 64, other_since: None };
        assert!(!share.differs_for(50, start) && !share.differs_for(50, after(60)), "one more or less is no reason");
        let mut share = Share { threads: 1, other_since: None };
        assert!(!share.differs_for(2, start) && share.differs_for(2, after(9)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells() {
        let sample = Sample::take().unwrap();
        assert!(sample.cores >= 1.0 && sample.busy > 0.0, "{sample:?}");
        assert!(running().is_some());
        assert!(cores_left() >= 1);
    }
}
