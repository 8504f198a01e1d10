//! Child processes that are watched: what one takes of time and memory, with all that it started, and what it writes is bounded, and the user's
//! Ctrl-C ends it. Whatever becomes of the watching, nothing of a child outlives it.

use crate::{Error, family, interrupt};
use std::{
    fs,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// How long the last words of a program that has ended may take: a process that it left behind can hold its output open for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The most that a child and all that it started may take. What has no bound is not looked at.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Time since the start, or since [`Watched::begin`].
    pub time: Option<Duration>,
    /// Bytes that they occupy. Only Linux tells; elsewhere memory is not bounded.
    pub memory: Option<u64>,
    /// Files that they write into, and the most bytes that each may have.
    pub files: Vec<(PathBuf, u64)>,
}

/// What was exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excess {
    /// [`Bounds::time`].
    Time,
    /// [`Bounds::memory`].
    Memory,
    /// One of [`Bounds::files`].
    File {
        /// Which.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that it may have.
        most: u64,
    },
}

/// How a child came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status where the system gave it within reason.
    ByItself(Option<ExitStatus>),
    /// It was ended, because of this.
    Stopped(Excess),
}

impl End {
    /// True where it ended by itself and says that it did what it should.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::ByItself(Some(status)) if status.success())
    }
}

/// A child process. It ends with this value, and with it everything that it started.
#[derive(Debug)]
pub struct Watched {
    child: Child,
    bounds: Bounds,
    since: Instant,
    memory: family::Watch,
    peak_memory: u64,
    /// How long it may tidy up once it was told to end; where there is no such time, it is not told.
    notice: Option<Duration>,
    /// Its number may be somebody else's by now.
    is_gone: bool,
}

impl Watched {
    /// Starts a child.
    ///
    /// # Errors
    /// Where the system cannot.
    pub fn start(mut command: Command, bounds: Bounds) -> io::Result<Self> {
        // A group of its own: a Ctrl-C reaches us alone, and then we end the whole group.
        let child = command.process_group(0).spawn()?;
        let (since, memory) = (Instant::now(), family::Watch::default());
        Ok(Self { child, bounds, since, memory, peak_memory: 0, notice: None, is_gone: false })
    }

    /// The same child, which is told to end before it is ended, and may take so long to tidy up.
    #[must_use]
    pub fn with_notice(mut self, notice: Duration) -> Self {
        self.notice = Some(notice);
        self
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its stdin, where that is a pipe; once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its stdout, where that is a pipe; once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its stderr, where that is a pipe; once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// The most that it and all that it started were seen to occupy, in bytes; zero as long as memory has no bound.
    pub fn peak_memory(&self) -> u64 {
        self.peak_memory
    }

    /// Other bounds hold from now on, and time counts from now: the child is asked something.
    pub fn begin(&mut self, bounds: Bounds) {
        (self.bounds, self.since) = (bounds, Instant::now());
    }

    /// True once it has ended.
    pub fn has_ended(&self) -> bool {
        self.is_gone || family::has_ended(&self.child)
    }

    /// What is exceeded now.
    pub fn excess(&mut self) -> Option<Excess> {
        if self.exceeds_memory() {
            return Some(Excess::Memory);
        }
        for (path, most) in &self.bounds.files {
            let (most, bytes) = (*most, fs::metadata(path).map_or(0, |metadata| metadata.len()));
            if bytes > most {
                return Some(Excess::File { path: path.clone(), bytes, most });
            }
        }
        self.bounds.time.is_some_and(|time| self.since.elapsed() >= time).then_some(Excess::Time)
    }

    /// True where memory is exceeded, as far as it is looked at: not where it was a moment ago, so that whoever is asked thousands of short
    /// questions need not pay for a look each.
    pub fn exceeds_memory_at_times(&mut self) -> bool {
        self.memory.is_due() && self.exceeds_memory()
    }

    fn exceeds_memory(&mut self) -> bool {
        let Some(most) = self.bounds.memory.filter(|_| !self.is_gone) else { return false };
        let bytes = self.memory.occupied(self.child.id(), most);
        self.peak_memory = self.peak_memory.max(bytes);
        bytes > most
    }

    /// Looks at it every so often until it has ended, or exceeds something and is ended for it.
    ///
    /// # Errors
    /// Where the user interrupted.
    pub fn until_its_end(self, every: Duration) -> Result<End, Error> {
        self.until_its_end_telling(every, |_| ())
    }

    /// The same. At every look, `tell` hears how long it has been running.
    ///
    /// # Errors
    /// Where the user interrupted.
    pub fn until_its_end_telling(mut self, every: Duration, tell: impl Fn(Duration)) -> Result<End, Error> {
        let started = Instant::now();
        while !self.has_ended() {
            interrupt::check()?;
            if let Some(excess) = self.excess() {
                return Ok(End::Stopped(excess));
            }
            tell(started.elapsed());
            thread::sleep(every);
        }
        Ok(End::ByItself(self.end()))
    }

    /// Gives it so long to end by itself, then ends it. Its status, where it ended by itself and the system says how.
    pub fn end_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.wait(patience);
        let by_itself = self.has_ended();
        self.end().filter(|_| by_itself)
    }

    /// Waits until it has ended, and no longer than this.
    fn wait(&self, patience: Duration) {
        let patience = Instant::now() + patience;
        while !self.has_ended() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends what is left of it and of all that it started, before its number can be given to somebody else. Its status, the first time.
    fn end(&mut self) -> Option<ExitStatus> {
        if self.is_gone {
            return None;
        }
        if let Some(notice) = self.notice.filter(|_| !self.has_ended()) {
            family::tell_to_end(&self.child);
            self.wait(notice);
        }
        self.is_gone = true;
        family::kill(&mut self.child)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a program writes, read by a thread of its own so that the program does not wait for us.
#[derive(Debug)]
pub struct Captured {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl Captured {
    /// Begins to read; the first `most` bytes are kept.
    pub fn of(pipe: Option<impl Read + Send + 'static>, most: usize) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let ours = kept.clone();
        let reader = thread::spawn(move || {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = [0; 1 << 12];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(len) => {
                        let Ok(mut kept) = ours.lock() else { return };
                        let room = most.saturating_sub(kept.len()).min(len);
                        kept.extend(buffer.iter().take(room));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        });
        Self { kept, reader }
    }

    /// All that was written, once the program has ended.
    pub fn last(self) -> String {
        let ended = Instant::now();
        while !self.reader.is_finished() && ended.elapsed() < LAST_WORDS {
            thread::sleep(Duration::from_millis(1));
        }
        self.kept.lock().map_or_else(|_| String::new(), |kept| String::from_utf8_lossy(&kept).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external::shell;
    use std::process::Stdio;

    const OFTEN: Duration = Duration::from_millis(5);

    fn end(line: &str, bounds: Bounds) -> End {
        let mut command = shell(line);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Watched::start(command, bounds).unwrap().until_its_end(OFTEN).unwrap()
    }

    #[test]
    fn who_takes_no_more_than_it_may_ends_by_itself() {
        let bounds = Bounds { time: Some(Duration::from_mins(1)), memory: Some(1 << 30), files: Vec::new() };
        for bounds in [bounds, Bounds::default()] {
            let End::ByItself(Some(status)) = end("exit 3", bounds) else { panic!("it was stopped") };
            assert_eq!(status.code(), Some(3));
        }
    }

    #[test]
    fn whatever_is_exceeded_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flood");
        let time = Bounds { time: Some(Duration::from_millis(100)), ..Bounds::default() };
        assert_eq!(end("sleep 100", time), End::Stopped(Excess::Time));
        let files = Bounds { files: vec![(path.clone(), 10)], ..Bounds::default() };
        let flood = format!("echo 0123456789 >{}; sleep 100", path.display());
        assert_eq!(end(&flood, files), End::Stopped(Excess::File { path, bytes: 11, most: 10 }));
    }

    /// A shell's child, whose memory is not the shell's.
    #[cfg(target_os = "linux")]
    #[test]
    fn memory_of_all_that_it_started_counts() {
        let bounds = Bounds { memory: Some(32 << 20), time: Some(Duration::from_mins(1)), ..Bounds::default() };
        let line = "head -c 64000000 /dev/zero | tail -c 64000000 | (sleep 100; cat); true";
        assert_eq!(end(line, bounds), End::Stopped(Excess::Memory));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_ends_with_its_watcher() {
        let mut command = shell("sleep 100 & sleep 100; true");
        command.stdin(Stdio::null());
        let child = Watched::start(command, Bounds::default()).unwrap();
        let patience = Instant::now() + Duration::from_mins(1);
        while family::descendants(child.id()).len() < 2 && Instant::now() < patience {
            thread::sleep(OFTEN);
        }
        let all = [vec![child.id()], family::descendants(child.id())].concat();
        assert_eq!(all.len(), 3);
        drop(child);
        assert!(family::are_gone(&all), "{all:?}");
    }

    #[test]
    fn who_is_told_to_end_may_tidy_up_and_who_does_not_listen_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let tidied = folder.path().join("tidied");
        let bounds = Bounds { time: Some(Duration::from_millis(200)), ..Bounds::default() };
        let end = |line: &str| {
            let mut command = shell(line);
            command.stdin(Stdio::null());
            let child = Watched::start(command, bounds.clone()).unwrap().with_notice(Duration::from_millis(500));
            child.until_its_end(OFTEN).unwrap()
        };
        let tidies = format!("trap ': >{}; exit 0' TERM; while :; do sleep 0.01; done", tidied.display());
        assert_eq!(end(&tidies), End::Stopped(Excess::Time), "that it then ends by itself makes no difference");
        assert!(tidied.exists());
        let alive = folder.path().join("alive");
        let deaf = format!("trap '' TERM; (while :; do : >{}; sleep 0.01; done) & sleep 100", alive.display());
        assert_eq!(end(&deaf), End::Stopped(Excess::Time));
        fs::remove_file(&alive).unwrap();
        thread::sleep(Duration::from_millis(200));
        assert!(!alive.exists(), "what it started went on");
    }

    #[test]
    fn who_waits_is_told_how_long() {
        let told = std::cell::Cell::new(Duration::ZERO);
        let end =
            Watched::start(shell("sleep 0.3"), Bounds::default()).unwrap().until_its_end_telling(OFTEN, |time| told.set(time));
        assert!(end.unwrap().is_success());
        assert!(told.get() >= Duration::from_millis(200), "{told:?}");
    }

    #[test]
    fn time_counts_anew_when_something_is_asked() {
        let command = shell("sleep 100");
        let time = |milliseconds| Bounds { time: Some(Duration::from_millis(milliseconds)), ..Bounds::default() };
        let mut child = Watched::start(command, time(20)).unwrap();
        thread::sleep(Duration::from_millis(30));
        assert_eq!(child.excess(), Some(Excess::Time));
        child.begin(time(60_000));
        assert_eq!(child.excess(), None);
        assert_eq!(child.end_within(Duration::ZERO), None, "it did not end by itself");
        assert!(child.has_ended());
    }

    #[test]
    fn no_more_than_asked_for_is_kept() {
        let mut command = shell("echo 0123456789");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Watched::start(command, Bounds::default()).unwrap();
        let words = Captured::of(child.take_stdout(), 4);
        child.until_its_end(OFTEN).unwrap();
        assert_eq!(words.last(), "0123");
    }
}
