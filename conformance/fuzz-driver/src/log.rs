//! What libFuzzer writes, as far as the driver reads it.

use regex::Regex;
use std::sync::LazyLock;

/// The last line but statistics that a run in fork mode has written: all that it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Status {
    /// Inputs that were tried.
    pub(crate) runs: u64,
    /// Edges of the program that were reached.
    pub(crate) edges: u64,
    /// Features, which are finer than edges.
    pub(crate) features: u64,
    /// Inputs that are kept.
    pub(crate) corpus: u64,
    /// Processes that ran out of memory.
    pub(crate) ooms: u64,
    /// Inputs that took too long.
    pub(crate) timeouts: u64,
    /// Processes that crashed, or whose sanitizer or panic ended them.
    pub(crate) crashes: u64,
    /// How long it ran, in seconds.
    pub(crate) seconds: u64,
}

static STATUS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let number = "([0-9]+)";
    let line = format!(
        "(?m)^#{number}: cov: {number} ft: {number} corp: {number} exec/s:? {number} oom/timeout/crash: {number}/{number}/{number} time: {number}s"
    );
    Regex::new(&line).ok()
});

/// The last status in a log, where it has one.
pub(crate) fn status(log: &str) -> Option<Status> {
    let found = STATUS.as_ref()?.captures_iter(log).last()?;
    // A number that does not fit is none that an engine wrote.
    let number = |at: usize| found.get(at).and_then(|digits| digits.as_str().parse().ok());
    Some(Status {
        runs: number(1)?,
        edges: number(2)?,
        features: number(3)?,
        corpus: number(4)?,
        ooms: number(6)?,
        timeouts: number(7)?,
        crashes: number(8)?,
        seconds: number(9)?,
    })
}

/// The last status line as it stands there.
pub(crate) fn status_line(log: &str) -> Option<&str> {
    let found = STATUS.as_ref()?.find_iter(log).last()?;
    log.get(found.start()..)?.lines().next()
}

/// How many inputs a run without fork mode has tried, where it came to its end.
pub(crate) fn executions(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
INFO: Seed: 1
#2312: cov: 1432 ft: 2203 corp: 92 exec/s: 1156 oom/timeout/crash: 0/0/0 time: 3s job: 1 dft_time: 0
INFO: log from the inner process:
  #9: cov: 9 ft: 9 corp: 9 exec/s: 9 oom/timeout/crash: 9/9/9 time: 9s job: 9
#81234: cov: 1501 ft: 2412 corp: 110 exec/s 2031 oom/timeout/crash: 1/2/3 time: 12s job: 4 dft_time: 0
ERROR: a text with \x1b[2J and \"#1: cov: 1\"
#99999: cov: 99999999999999999999999 ft
";

    #[test]
    fn the_last_status_counts() {
        let status = status(LOG).unwrap();
        let read =
            Status { runs: 81234, edges: 1501, features: 2412, corpus: 110, ooms: 1, timeouts: 2, crashes: 3, seconds: 12 };
        assert_eq!(status, read);
        assert!(
            status_line(LOG).unwrap().starts_with("#81234: cov: 1501 ") && status_line(LOG).unwrap().ends_with("dft_time: 0")
        );
    }

    #[test]
    fn a_log_of_an_engine_that_did_not_start_has_none() {
        assert_eq!(status("==1==ERROR: AddressSanitizer failed to allocate\n"), None);
        assert_eq!((status(""), status_line("#1: cov: x ft: 2"), executions("")), (None, None, None));
    }

    #[test]
    fn executions_are_told_at_the_end() {
        let log = "Done 1500 runs in 9 second(s)\nstat::number_of_executed_units: 1500\nstat::peak_rss_mb: 80\n";
        assert_eq!(executions(log), Some(1500));
    }
}
