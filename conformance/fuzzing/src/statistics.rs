//! How many inputs came how far. Counted in the process, and written where the variable `GGAUGE_FUZZ_STATISTICS` names a folder: one file a
//! process, `NAME -> COUNT` as JSON, which `scripts/fuzz` adds up. An input that ends the process loses what was counted in the last
//! seconds.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The variable that names the folder.
pub const FOLDER: &str = "GGAUGE_FUZZ_STATISTICS";
/// How often counts are written.
const OFTEN: Duration = Duration::from_secs(2);
/// Counts between two looks at the clock.
const BETWEEN: u64 = 16;

thread_local! {
    static COUNTS: RefCell<Counts> = RefCell::new(Counts::new());
}

struct Counts {
    /// A few names, each a constant: looking through them is quicker than a map.
    counts: Vec<(&'static str, u64)>,
    since_look: u64,
    /// When they were written last.
    written: Option<Instant>,
    file: Option<PathBuf>,
}

impl Counts {
    fn new() -> Self {
        let file = std::env::var_os(FOLDER).map(|folder| PathBuf::from(folder).join(format!("{}.json", std::process::id())));
        // So that a process that soon ends has written something.
        Self { counts: Vec::new(), since_look: BETWEEN - 1, written: None, file }
    }

    fn write(&mut self) {
        let Some(file) = &self.file else { return };
        let all: BTreeMap<_, _> = self.counts.iter().copied().collect();
        // Statistics that cannot be written are no reason to stop fuzzing.
        let _ = fs::write(file, serde_json::to_vec(&all).unwrap_or_default());
        self.written = Some(Instant::now());
    }
}

/// Counts something.
pub fn count(name: &'static str) {
    COUNTS.with_borrow_mut(|counts| {
        match counts.counts.iter_mut().find(|(known, _)| std::ptr::eq(*known, name) || *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.counts.push((name, 1)),
        }
        counts.since_look += 1;
        if counts.since_look >= BETWEEN {
            counts.since_look = 0;
            if counts.written.is_none_or(|written| written.elapsed() >= OFTEN) {
                counts.write();
            }
        }
    });
}

/// Writes what this thread has counted so far, for a process that is about to end.
pub fn write() {
    COUNTS.with_borrow_mut(Counts::write);
}

/// What this thread has counted so far.
pub fn counted() -> BTreeMap<&'static str, u64> {
    COUNTS.with_borrow(|counts| counts.counts.iter().copied().collect())
}
