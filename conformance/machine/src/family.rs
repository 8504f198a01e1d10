//! A process and everything that it started, wherever that has gone: what it occupies, and how it ends.
//!
//! Linux tells the children of a process, and those whose parent ended are found by a worker that adopts them ([`attend`]). Elsewhere
//! a family is its process group, and nobody tells what it occupies.
//!
//! [`attend`]: crate::attend

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process, kill_process_group, setrlimit, waitid,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, ExitStatus},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

/// How long a process may take to be gone once it was killed: one that hangs in a driver may never be.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a process may take to notice that what it started has ended.
const REAPING: Duration = Duration::from_secs(1);
/// How often a family's other members are looked for at most.
const LOOK: Duration = Duration::from_millis(20);

/// Files of a process by which Linux tells its children, where the kernel was built to.
static CHILDREN_ARE_TOLD: LazyLock<bool> = LazyLock::new(|| Path::new("/proc/thread-self/children").exists());

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Everything that a process started and that is still there, the older generations first.
pub fn descendants(root: u32) -> Vec<u32> {
    let parents = if *CHILDREN_ARE_TOLD { None } else { Some(by_parent()) };
    let mut found = vec![root];
    let mut known = BTreeSet::from([root]);
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = match &parents {
            Some(parents) => parents.get(&parent).cloned().unwrap_or_default(),
            None => children(parent),
        };
        found.extend(children.into_iter().filter(|child| known.insert(*child)));
        next += 1;
    }
    found.split_off(1)
}

/// The children of a process: each of its threads has its own.
fn children(parent: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let told = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    told.flat_map(|ids| ids.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
}

/// The children of every process of this machine.
fn by_parent() -> BTreeMap<u32, Vec<u32>> {
    let mut parents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some((_, parent)) = state(id) {
            parents.entry(parent).or_default().push(id);
        }
    }
    parents
}

/// The letter of a process' state, and its parent.
fn state(id: u32) -> Option<(char, u32)> {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it may hold anything, also parentheses.
    let mut fields = line.get(line.rfind(')')? + 1..)?.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_alive(id: u32) -> bool {
    state(id).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Ends everything that a process started, the older generations first: their children are then looked for again. `reap` takes away
/// those that have ended, where they are our own.
pub fn end_descendants(root: u32, reap: impl Fn()) {
    let started = Instant::now();
    loop {
        reap();
        let found = descendants(root);
        let mut alive = found.clone();
        alive.retain(|&id| is_alive(id));
        let patience = if alive.is_empty() { REAPING } else { PATIENCE };
        if found.is_empty() || started.elapsed() > patience {
            return;
        }
        for id in alive.into_iter().filter_map(pid) {
            let _ = kill_process(id, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// True once a child has ended. It is not taken away: as long as it lies there, its number and that of its group are nobody else's.
pub fn has_ended(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    pid(child.id()).is_none_or(|id| !matches!(waitid(WaitId::Pid(id), options), Ok(None)))
}

/// Tells a child that has a group of its own, and that group, to end.
pub fn tell_to_end(child: &Child) {
    if let Some(group) = pid(child.id()) {
        let _ = kill_process_group(group, Signal::TERM);
    }
}

/// Ends a child that has a group of its own, and everything that it started; says how the child ended, where it did within reason.
pub fn kill(child: &mut Child) -> Option<ExitStatus> {
    if let Some(root) = pid(child.id()) {
        if !has_ended(child) {
            end_descendants(child.id(), || ());
        }
        let _ = kill_process_group(root, Signal::KILL);
    }
    let _ = child.kill();
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) if started.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(1)),
            ended => return ended.ok().flatten(),
        }
    }
}

/// What a family occupies, looked at again and again.
#[derive(Debug, Default)]
pub struct Watch {
    others: Vec<u32>,
    /// When the others are looked for again.
    next: Option<Instant>,
    /// What was left when memory that several share was last counted once: for how much of the sum, and when again.
    shared: Option<(u64, Instant)>,
}

impl Watch {
    /// False where somebody looked a moment ago.
    pub fn is_due(&self) -> bool {
        self.next.is_none_or(|next| Instant::now() >= next)
    }

    /// Bytes that a process and its descendants occupy, without the files that they have mapped: those pages are the system's to take
    /// back. What only `limit` is asked about is exact there; below it, memory that several share may count more than once. Zero where the
    /// system does not tell.
    pub fn occupied(&mut self, root: u32, limit: u64) -> u64 {
        let started = Instant::now();
        if self.is_due() {
            self.others = if cfg!(target_os = "linux") { descendants(root) } else { Vec::new() };
            // Whatever this costs on a machine with many threads or processes, it is no more than a hundredth of the time.
            self.next = Some(Instant::now() + LOOK.max(started.elapsed() * 100));
        }
        let family = || std::iter::once(root).chain(self.others.iter().copied());
        let sum = family().map(occupied).sum::<u64>();
        if sum <= limit || self.others.is_empty() {
            return sum;
        }
        // Too much, or the same pages counted for several: the system can tell, which takes long.
        match self.shared {
            Some((bytes, next)) if started < next => bytes,
            _ => {
                let bytes = family().map(|id| share(id).unwrap_or_else(|| occupied(id))).sum();
                self.shared = Some((bytes, Instant::now() + LOOK.max(started.elapsed() * 20)));
                bytes
            }
        }
    }
}

/// Adds up fields of a file of `/proc` that are given in kB; `None` where the first of them is missing, which a kernel that is too old
/// for it may well have others of.
fn kilobytes(text: &str, fields: &[&str]) -> Option<u64> {
    let of = |field: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        value.split_whitespace().next()?.parse::<u64>().ok().map(|value| value.saturating_mul(1024))
    };
    let (first, others) = fields.split_first()?;
    Some(of(first)? + others.iter().filter_map(|field| of(field)).sum::<u64>())
}

/// What a process occupies: memory of its own, memory that it shares with others, and what was moved to disk of the former.
fn occupied(id: u32) -> u64 {
    occupied_by(&fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default())
}

fn occupied_by(status: &str) -> u64 {
    // A kernel that does not tell them apart counts mapped files, too.
    let apart = kilobytes(status, &["RssAnon", "RssShmem", "VmSwap"]);
    apart.or_else(|| kilobytes(status, &["VmRSS", "VmSwap"])).unwrap_or(0)
}

/// The same with its share of what it shares.
fn share(id: u32) -> Option<u64> {
    share_in(&fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?)
}

fn share_in(rollup: &str) -> Option<u64> {
    // Linux 4.14 to 5.3 counts mapped files, too.
    kilobytes(rollup, &["Pss_Anon", "Pss_Shmem", "SwapPss"]).or_else(|| kilobytes(rollup, &["Pss", "SwapPss"]))
}

/// Makes this process, and all that it will start, leave no core file: one is as large as the process was.
///
/// # Errors
/// Where the system refuses.
pub fn without_core_files() -> std::io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum })?)
}

/// True once all of these are gone: what was killed may take a moment to be.
#[cfg(test)]
pub(crate) fn are_gone(ids: &[u32]) -> bool {
    let started = Instant::now();
    while ids.iter().any(|&id| is_alive(id)) {
        if started.elapsed() > Duration::from_secs(20) {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::process::CommandExt, process::Stdio};

    #[cfg(target_os = "linux")]
    #[test]
    fn both_ways_find_children_of_children() {
        let mut child =
            crate::external::shell("sh -c 'sleep 60; true'; true").stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let patience = Instant::now() + Duration::from_mins(1);
        while descendants(child.id()).len() < 2 && Instant::now() < patience {
            thread::sleep(Duration::from_millis(5));
        }
        let found = descendants(child.id());
        let parents = by_parent();
        assert_eq!(parents.get(&child.id()).unwrap(), &found[..1]);
        assert_eq!(parents.get(&found[0]).unwrap(), &found[1..]);
        kill(&mut child);
        assert!(are_gone(&found), "{found:?}");
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmRSS:\t  99 kB\nRssAnon:\t  12 kB\nRssFile:\t  7 kB\nRssShmem:\t  30 kB\n";
        assert_eq!(kilobytes(text, &["RssAnon", "RssShmem", "VmSwap"]), Some(42 << 10));
        assert_eq!(kilobytes("VmRSS:\t  99 kB\n", &["RssAnon"]), None);
    }

    #[test]
    fn kernels_that_tell_less_are_understood() {
        let [older, newer] = ["", "RssAnon:\t  12 kB\nRssFile:\t  50 kB\nRssShmem:\t  37 kB\n"];
        let status = |more: &str| format!("VmRSS:\t  99 kB\n{more}VmSwap:\t  1 kB\n");
        assert_eq!([older, newer].map(|more| occupied_by(&status(more))), [100 << 10, 50 << 10]);
        // A thread of the kernel's own has nothing of it.
        assert_eq!(occupied_by("Name:\tkthreadd\n"), 0);
        let newer = "Pss_Anon:\t  12 kB\nPss_File:\t  50 kB\nPss_Shmem:\t  37 kB\n";
        let rollup = |more: &str| format!("Rss:\t  200 kB\nPss:\t  99 kB\n{more}Swap:\t  5 kB\nSwapPss:\t  1 kB\n");
        assert_eq!([older, newer].map(|more| share_in(&rollup(more))), [Some(100 << 10), Some(50 << 10)]);
        assert_eq!(share_in(""), None);
    }
}
