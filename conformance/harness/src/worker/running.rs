//! A worker that runs: a request is written to it, and its answer awaited, while its time, its memory and what it writes are watched.

use crate::{
    answer::Answer,
    worker::{
        launch::WorkerLimits,
        lines::{self, Line, read_lines},
        transcripts::too_long,
    },
};
use machine::{
    Error, interrupt,
    watched::{Bounds, Excess, Watched},
};
use std::{
    fs,
    io::{self, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};
use vocabulary::{
    BadAnswer, Outcome,
    protocol::{self, Response},
};

/// How often a silent worker is looked at.
const WATCH: Duration = Duration::from_millis(20);
/// A worker that writes more than this to stderr is stopped before it fills the disk.
const LONGEST_STDERR: u64 = 64 << 20;
/// How long a worker may take to be gone once it has closed its stdout.
const DYING: Duration = Duration::from_secs(2);

/// A running worker. It ends with this value, and all that it started.
pub(super) struct Running {
    process: Watched,
    /// Lines for the worker's stdin. A thread writes them, because a worker that never reads would block whoever does; dropping
    /// this closes stdin.
    requests: Sender<Vec<u8>>,
    lines: Receiver<Line>,
    limits: WorkerLimits,
    stderr: PathBuf,
}

/// The transcript that is being written, and the most bytes that it can have.
pub(super) type Writing = (PathBuf, u64);

impl Running {
    /// Starts a worker whose stderr goes to the file `stderr`.
    ///
    /// # Errors
    /// Where no process can be started.
    pub(super) fn start(mut command: Command, limits: WorkerLimits, stderr: PathBuf) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Watched::start(command, limits.into())?;
        let (Some(mut stdin), Some(stdout)) = (process.take_stdin(), process.take_stdout()) else {
            unreachable!("both were asked to be pipes");
        };
        // Bounded: a worker that prints without being asked must not fill our memory.
        let (sender, lines) = mpsc::sync_channel(16);
        thread::spawn(move || read_lines(stdout, &sender));
        let (requests, queue) = mpsc::channel::<Vec<u8>>();
        thread::spawn(move || queue.iter().try_for_each(|line| stdin.write_all(&line).and_then(|()| stdin.flush())));
        Ok(Self { process, requests, lines, limits, stderr })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The most that it and all that it started were seen to occupy, in bytes.
    pub(super) fn peak_memory(&self) -> u64 {
        self.process.peak_memory()
    }

    /// Asks it something, unless it has said something before it was asked.
    pub(super) fn ask(&mut self, line: Vec<u8>) -> Answer<()> {
        // Whatever is there before the question was not an answer to it.
        if let Ok(Line::Text(line)) = self.lines.try_recv() {
            let detail = format!("a line before it was asked: {}", lines::beginning(&line));
            return Err(Outcome::ProtocolError(BadAnswer::Unexpected { detail }));
        }
        // A worker that has gone is noticed by whoever waits for the answer, where its end is told apart.
        let _ = self.requests.send(line);
        Ok(())
    }

    /// Waits for an answer. After anything else the worker is of no use any more.
    ///
    /// # Errors
    /// Where the user interrupted.
    pub(super) fn answer(&mut self, writing: Option<&Writing>) -> Result<Answer<Response>, Error> {
        // Here rather than where a request is sent, so that a worker that starts again after a flood is not blamed for it.
        let logged = fs::metadata(&self.stderr).map_or(0, |metadata| metadata.len());
        let files = std::iter::once((self.stderr.clone(), logged + LONGEST_STDERR)).chain(writing.cloned()).collect();
        self.process.begin(Bounds { files, ..self.limits.into() });
        let mut silent_since_its_end = false;
        loop {
            match self.lines.recv_timeout(WATCH) {
                // Thousands of short cases need not pay for a look each.
                Ok(Line::Text(_)) if self.process.exceeds_memory_at_times() => return Ok(Err(self.outcome(Excess::Memory))),
                Ok(Line::Text(line)) => return Ok(lines::response(&line).map_err(Outcome::ProtocolError)),
                Ok(Line::TooLong) => {
                    let detail = format!("a line on stdout of more than {} bytes", protocol::LONGEST_LINE);
                    return Ok(Err(Outcome::ProtocolError(BadAnswer::TooLong { detail })));
                }
                Ok(Line::End) | Err(RecvTimeoutError::Disconnected) => return Ok(Err(self.ended())),
                Err(RecvTimeoutError::Timeout) => {
                    interrupt::check()?;
                    // Something that it started may hold stdout open; its own last words were there before the second look.
                    if self.process.has_ended() && std::mem::replace(&mut silent_since_its_end, true) {
                        return Ok(Err(self.ended()));
                    }
                    if let Some(excess) = self.process.excess() {
                        return Ok(Err(self.outcome(excess)));
                    }
                }
            }
        }
    }

    fn outcome(&self, excess: Excess) -> Outcome {
        match excess {
            Excess::Memory => Outcome::OutOfMemory { limit_bytes: self.limits.memory },
            Excess::Time => Outcome::TimedOut { limit_milliseconds: self.limits.time.as_millis() as u64 },
            Excess::File { path, .. } if path == self.stderr => {
                let detail = format!("more than {LONGEST_STDERR} bytes on stderr in one request");
                Outcome::ProtocolError(BadAnswer::TooLong { detail })
            }
            Excess::File { most, bytes, .. } => too_long(most, bytes),
        }
    }

    /// Says how it ended, once it has closed its stdout.
    fn ended(&mut self) -> Outcome {
        match self.process.end_within(DYING) {
            Some(status) => end_of(status),
            None => {
                let detail = "stdout was closed while the process went on".into();
                Outcome::ProtocolError(BadAnswer::Unexpected { detail })
            }
        }
    }
}

fn end_of(status: ExitStatus) -> Outcome {
    const ABORT: i32 = signal_hook::consts::SIGABRT;
    match (status.code(), status.signal()) {
        // A worker started through a shell reports its signal as an exit code.
        (_, Some(ABORT)) | (Some(134), _) => Outcome::Aborted,
        (_, Some(signal)) => Outcome::Crashed { signal },
        (Some(code @ 129..=159), _) => Outcome::Crashed { signal: code - 128 },
        (code, None) => Outcome::Exited { code: code.unwrap_or(0) },
    }
}
