//! How many cores others leave to us of those that we may use: what a runtime needs to know whose threads spin while they wait for each other.
//! Two such runs beside each other spend most of their time waiting for threads that the other keeps from running.
//!
//! What we may use is a set of CPUs, of each of which the system says how long it was busy, or a quota of a control group, which says how much
//! time its processes used. What goes on elsewhere on the machine is no matter.

use machine::family;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// What is said of the machine is no newer than this: shorter times say little, as the system counts in hundredths of a second.
const WINDOW: Duration = Duration::from_secs(1);
/// How long is looked at a part of a machine before the first worker starts: who runs at a moment is told of whole machines alone.
const FIRST_LOOK: Duration = Duration::from_millis(100);
/// How long cores must be fewer, or more, before a worker is started again for it: that costs it a load.
const FEWER_FOR: Duration = Duration::from_secs(3);
const MORE_FOR: Duration = Duration::from_secs(8);
/// Where control groups are, in their second version: those of the first count and limit in several trees, and say nothing here.
const GROUPS: &str = "/sys/fs/cgroup";

/// The counters of what we may use at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// Seconds of all these cores in which something ran, or the host let nothing run.
    busy: f64,
    /// Seconds of CPU time of this process and all that it started.
    ours: f64,
    cores: f64,
    /// These are all cores of the machine.
    whole: bool,
}

impl Sample {
    fn take() -> Option<Self> {
        let a_second = rustix::param::clock_ticks_per_second() as f64;
        let cpus = allowed_cpus(&fs::read_to_string("/proc/self/status").ok()?)?;
        let (ticks, cpus, whole) = ticks_of_cpus(&fs::read_to_string("/proc/stat").ok()?, &cpus)?;
        let (busy, cores, whole) = match quota(Path::new(GROUPS), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
        {
            Some((group, cores)) if cores < cpus as f64 => {
                (seconds_of_group(&fs::read_to_string(group.join("cpu.stat")).ok()?)?, cores, false)
            }
            // A quota of another kind, which does not say what is left of it.
            _ if all_cores() < cpus => return None,
            _ => (ticks as f64 / a_second, cpus as f64, whole),
        };
        let own = std::process::id();
        let ours = std::iter::once(own).chain(family::descendants(own)).map(cpu_ticks).sum::<u64>() as f64 / a_second;
        Some(Self { at: Instant::now(), busy, ours, cores, whole })
    }

    /// Cores that nothing but us used since another sample.
    fn left_since(&self, before: &Self) -> f64 {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let others = (self.busy - before.busy) - (self.ours - before.ours).max(0.0);
        self.cores - (others / seconds).max(0.0)
    }
}

/// The CPUs that a process may run on, from its `status`.
fn allowed_cpus(status: &str) -> Option<BTreeSet<u32>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cpus = BTreeSet::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

/// How long these CPUs were busy, in ticks, from `/proc/stat`; how many of them there are, as one may be allowed what is not there; and whether
/// there are no others.
fn ticks_of_cpus(stat: &str, cpus: &BTreeSet<u32>) -> Option<(u64, usize, bool)> {
    let (mut busy, mut found, mut others) = (0, 0, 0);
    // The first line, whose CPU has no number, is the sum.
    for (cpu, ticks) in stat.lines().filter_map(|line| line.strip_prefix("cpu")?.split_once(' ')) {
        match cpu.parse() {
            Ok(number) if cpus.contains(&number) => found += 1,
            Ok(_) => {
                others += 1;
                continue;
            }
            Err(_) => continue,
        }
        let ticks: Vec<u64> = ticks.split_whitespace().map_while(|ticks| ticks.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        busy += [0, 1, 2, 5, 6, 7].iter().filter_map(|&field| ticks.get(field)).sum::<u64>();
    }
    (found > 0).then_some((busy, found, others == 0))
}

/// The control group whose quota binds a process, and the cores that this is: of its own, from `/proc/self/cgroup`, and those around it, the one
/// with the least.
fn quota(root: &Path, own: &str) -> Option<(PathBuf, f64)> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = root.join(own);
    let cores = |group: &Path| {
        let text = fs::read_to_string(group.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        // `max` is none.
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
    };
    let groups = group.ancestors().take_while(|group| group.starts_with(root));
    groups.filter_map(|group| Some((group.to_owned(), cores(group)?))).min_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// CPU time that the processes of a control group have used, in seconds, from its `cpu.stat`.
fn seconds_of_group(stat: &str) -> Option<f64> {
    let microseconds = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(microseconds.trim().parse::<f64>().ok()? / 1e6)
}

/// CPU time of a process and of those of its children that have ended.
fn cpu_ticks(id: u32) -> u64 {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = line.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// What was found last, and the sample that the next finding is made from.
static LAST: Mutex<Option<(Sample, f64)>> = Mutex::new(None);

/// Cores that we may use: as many as we have CPUs or our quota gives, whichever is less.
fn all_cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Cores that are left to us, at least one; all that we may use where the system does not tell.
pub fn cores_left() -> u32 {
    let all = all_cores() as f64;
    let left = || {
        let mut last = LAST.lock().ok()?;
        let left = match last.as_ref() {
            Some((before, left)) if before.at.elapsed() < WINDOW => *left,
            before => {
                let mut now = Sample::take()?;
                let left = match before {
                    Some((before, _)) => now.left_since(before),
                    None if now.whole => now.cores - running()?,
                    None => {
                        let before = now;
                        thread::sleep(FIRST_LOOK);
                        now = Sample::take()?;
                        now.left_since(&before)
                    }
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
pub struct Share {
    /// Threads of the running worker.
    pub threads: u32,
    other_since: Option<Instant>,
}

impl Share {
    /// What a worker that starts now may have.
    pub fn now() -> Self {
        Self::of(cores_left())
    }

    /// So many threads.
    pub fn of(threads: u32) -> Self {
        Self { threads, other_since: None }
    }

    /// True once the machine has been another for so long that starting again pays. Small changes do not: on a machine with many cores
    /// there is always one.
    pub fn is_outdated(&mut self) -> bool {
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
        let before = Sample { at, busy: 100.0, ours: 10.0, cores: 4.0, whole: true };
        let of = |busy: f64, ours: f64| Sample {
            at: at + Duration::from_secs(2),
            busy: 100.0 + busy,
            ours: 10.0 + ours,
            cores: 4.0,
            whole: true,
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
        let mut share = Share::of(2);
        assert!(!share.differs_for(1, start));
        assert!(!share.differs_for(2, after(2)), "it was for a moment");
        assert!(!share.differs_for(1, after(3)));
        assert!(share.differs_for(1, after(6)));
        let mut share = Share::of(64);
        assert!(!share.differs_for(50, start) && !share.differs_for(50, after(60)), "one more or less is no reason");
        let mut share = Share::of(1);
        assert!(!share.differs_for(2, start) && share.differs_for(2, after(9)));
    }

    const STAT: &str = "cpu  660 0 60 9000 9 6 6 9 5 0\ncpu0 100 0 10 100 1 1 1 3 0 0\ncpu1 10 0 10 700 1 1 1 3 0 0\n\
                        cpu10 500 0 10 7000 1 1 1 3 0 0\nintr 1 2\nctxt 9\n";

    #[test]
    fn only_cpus_that_we_may_use_count() {
        let of = |list: &str| allowed_cpus(&format!("Name:\tggauge\nCpus_allowed:\tffff\nCpus_allowed_list:\t{list}\n"));
        assert_eq!(of("0-2,8,10-11").unwrap().into_iter().collect::<Vec<_>>(), [0, 1, 2, 8, 10, 11]);
        assert_eq!(of("x"), None);
        assert_eq!(allowed_cpus("Name:\tggauge\n"), None);
        let ticks = |cpus: &[u32]| ticks_of_cpus(STAT, &cpus.iter().copied().collect());
        assert_eq!(ticks(&[0]), Some((115, 1, false)));
        assert_eq!(ticks(&[0, 1]), Some((140, 2, false)), "the third is busy, which is no matter");
        assert_eq!(ticks(&[0, 1, 10]), Some((655, 3, true)));
        assert_eq!(ticks(&[0, 1, 2, 3, 10]), Some((655, 3, true)), "two are not there");
        assert_eq!(ticks(&[2]), None);
    }

    /// Two runs side by side on two CPUs of an idle machine with many, and one run alone on two of its own where all others are busy.
    #[test]
    fn a_part_of_a_machine_is_shared_by_who_runs_there() {
        let at = Instant::now();
        let of = |busy: f64, ours: f64, after: u64| {
            let at = at + Duration::from_secs(after);
            Sample { at, busy, ours, cores: 2.0, whole: false }
        };
        assert_eq!(of(2.0, 1.0, 1).left_since(&of(0.0, 0.0, 0)), 1.0);
        assert_eq!(of(2.0, 2.0, 1).left_since(&of(0.0, 0.0, 0)), 2.0);
    }

    #[test]
    fn the_least_quota_around_us_binds() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, cpu_max: &str| {
            fs::create_dir_all(root.path().join(path)).unwrap();
            fs::write(root.path().join(path).join("cpu.max"), cpu_max).unwrap();
        };
        let of = |own: &str| {
            quota(root.path(), own).map(|(group, cores)| (group.strip_prefix(root.path()).unwrap().to_owned(), cores))
        };
        group("a", "200000 100000\n");
        group("a/b", "max 100000\n");
        group("a/b/c", "400000 100000\n");
        assert_eq!(of("1:cpu:/elsewhere\n0::/a/b/c\n"), Some(("a".into(), 2.0)));
        assert_eq!(of("0::/a/b\n"), Some(("a".into(), 2.0)));
        assert_eq!(of("0::/\n"), None);
        assert_eq!(of("0::/other\n"), None);
        assert_eq!(of("1:cpu:/a\n"), None, "groups of the first version");
        // A container sees its own group as the root.
        group("", "150000 100000\n");
        assert_eq!(of("0::/\n"), Some(("".into(), 1.5)));
        assert_eq!(of("0::/a/b/c\n"), Some(("".into(), 1.5)));
        assert_eq!(seconds_of_group("usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"), Some(2.5));
        assert_eq!(seconds_of_group("nr_periods 0\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells() {
        let cpus = allowed_cpus(&fs::read_to_string("/proc/self/status").unwrap()).unwrap();
        match Sample::take() {
            Some(sample) => assert!(sample.cores > 0.0 && sample.busy > 0.0, "{sample:?}"),
            None => assert!(all_cores() < cpus.len(), "there is no quota, and yet nothing is told"),
        }
        assert!(running().is_some());
        assert!((1..=all_cores() as u32).contains(&cores_left()));
    }
}
