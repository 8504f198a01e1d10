//! The harness's side: starts a worker, watches its time and memory, and turns whatever becomes of it into an [`Outcome`].

use crate::{
    answer::bad_transcript,
    subjects,
    worker::{crowd::Share, environment},
};
use machine::{Error, cache::Stamp, external, family, interrupt};
use printable::{LONGEST_WORDS, cut};
use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};
use vocabulary::{
    BadAnswer, Contents, Continuation, Description, Outcome, Rejection, Schedule, Settings, SubjectId, Tuning,
    protocol::{self, Request, Response},
    transcript::{self, Reader},
};

/// How often a silent worker is looked at.
const WATCH: Duration = Duration::from_millis(20);
/// A worker that writes more than this to stderr is stopped before it fills the disk.
const LONGEST_STDERR: u64 = 64 << 20;

/// What a case may take. Both are enforced by the harness: address-space limits do not suit GPUs and sanitizers.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time for one request.
    pub time: Duration,
    /// What the worker and all that it started occupy, in bytes.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_mins(10), memory: 8 << 30 }
    }
}

/// How to start the worker of a subject.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The subject.
    pub subject: SubjectId,
    /// Its settings.
    pub settings: Settings,
    /// What it is started with beyond them.
    pub tuning: Tuning,
    /// The `ggauge` executable.
    pub program: PathBuf,
    /// A shell command to run instead of `ggauge worker`, for subjects that are not ours.
    pub command: Option<String>,
}

impl Launch {
    fn command(&self, share: Option<&Share>) -> Command {
        let mut command = match &self.command {
            None => {
                let mut command = external::worker(&self.program);
                command.args(["worker", &self.subject.to_string(), "--settings", self.settings.name()]);
                let Tuning { threads, batch, micro_batch } = self.tuning;
                for (option, value) in [("--threads", threads), ("--batch", batch), ("--micro-batch", micro_batch)] {
                    command.args(value.into_iter().flat_map(|value| [option.to_owned(), value.to_string()]));
                }
                command
            }
            Some(line) if cfg!(target_os = "linux") => {
                // Where the user is, as the line itself.
                let mut command = external::ours(&self.program);
                command.args(["attend", line]);
                command
            }
            Some(line) => external::shell(line),
        };
        environment::clean(&mut command);
        for (name, value) in subjects::environment(&self.subject, self.settings, self.tuning) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // Nobody has a share where the user's own variables say it.
        if let (Some(name), Some(share)) = (self.spinning_threads(|_| false), share) {
            command.env(name, share.threads.to_string());
        }
        // The subject's name is there for workers that serve several.
        command.env("GGAUGE_SUBJECT", self.subject.to_string()).env("GGAUGE_SETTINGS", self.settings.name());
        // A group of its own: a Ctrl-C reaches the harness alone, which then ends the whole group.
        command.process_group(0);
        command
    }
}

impl Launch {
    /// The variable for the threads of a subject of ours that gets its share of the machine.
    fn spinning_threads(&self, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
        if self.command.is_some() { None } else { subjects::spinning_threads(&self.subject, self.tuning, is_set) }
    }

    /// What a worker that starts now gets of the machine, where it is one to be told.
    fn share(&self, is_set: impl Fn(&str) -> bool) -> Option<Share> {
        self.spinning_threads(is_set).map(|_| Share::now())
    }
}

/// What a request came to: an answer, or the worker's end.
type Answer = Result<Response, Outcome>;

/// A worker process, restarted whenever it is needed and not there.
pub struct Worker {
    launch: Launch,
    limits: Limits,
    stderr: PathBuf,
    running: Option<Running>,
    /// Bytes in the log when the current wait began.
    logged: u64,
    /// The model that the running process holds, and what its load was answered with.
    loaded: Option<(PathBuf, Result<u64, Outcome>)>,
    /// Loads that took all the time or memory there is, which no other case has to wait for again; `None` is the start itself.
    hopeless: HashMap<Option<FileState>, Outcome>,
    /// The transcript that is being written, and the most bytes that it can have.
    writing: Option<(PathBuf, u64)>,
    watch: family::Watch,
    /// Of the running worker, where its threads are told how many they may be.
    share: Option<Share>,
    /// What the subject said of itself when it last started.
    pub description: Description,
    /// The most that it and all that it started were seen to occupy, in bytes.
    pub peak_memory: u64,
    /// CPU time that the worker spent in the runtime, and on writing transcripts.
    pub cpu: CpuTime,
    /// How many processes were started.
    pub starts: u64,
}

/// A file as it is; none has no stamp.
type FileState = (PathBuf, Option<Stamp>);

/// CPU time of evaluations, in seconds, as the workers measured it.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTime {
    /// In the runtime.
    pub runtime: f64,
    /// On transcripts.
    pub transcript: f64,
}

struct Running {
    child: Child,
    /// Lines for the worker's stdin. A thread writes them, because a worker that never reads would block whoever does; dropping
    /// this closes stdin.
    requests: Sender<Vec<u8>>,
    lines: Receiver<Line>,
}

/// What the reading thread saw on the worker's stdout.
enum Line {
    Text(String),
    TooLong,
    End,
}

impl Worker {
    /// A worker that starts when it is first asked something. Its stderr goes to `stderr`.
    pub fn new(launch: Launch, limits: Limits, stderr: PathBuf) -> Self {
        Self {
            launch,
            limits,
            stderr,
            running: None,
            logged: 0,
            loaded: None,
            hopeless: HashMap::new(),
            writing: None,
            watch: family::Watch::default(),
            share: None,
            description: Description::default(),
            peak_memory: 0,
            cpu: CpuTime::default(),
            starts: 0,
        }
    }

    /// The file with everything the worker wrote to stderr.
    pub fn stderr(&self) -> &Path {
        &self.stderr
    }

    /// The process id of the running worker.
    pub fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Starts the worker if it is not running, and gives what became of that.
    ///
    /// # Errors
    /// Where no process can be started, or the user interrupted.
    pub fn start(&mut self) -> Result<Result<(), Outcome>, Error> {
        if self.running.is_some() {
            return Ok(Ok(()));
        }
        if let Some(outcome) = self.hopeless.get(&None) {
            return Ok(Err(outcome.clone()));
        }
        let stderr = File::options().create(true).append(true).open(&self.stderr);
        let stderr = stderr.map_err(|error| Error::file(&self.stderr, &error))?;
        self.share = self.launch.share(|name| env::var_os(name).is_some());
        let spawned =
            self.launch.command(self.share.as_ref()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn();
        let mut child = spawned.map_err(|error| Error::Harness {
            what: format!("the worker of {}", self.launch.subject),
            why: error.to_string(),
            next: "check that the ggauge executable is where it was, and that more processes can be started".into(),
        })?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked to be pipes");
        };
        // Bounded: a worker that prints without being asked must not fill our memory.
        let (sender, lines) = mpsc::sync_channel(16);
        thread::spawn(move || read_lines(stdout, &sender));
        let (requests, queue) = mpsc::channel::<Vec<u8>>();
        thread::spawn(move || queue.iter().try_for_each(|line| stdin.write_all(&line).and_then(|()| stdin.flush())));
        self.running = Some(Running { child, requests, lines });
        self.starts += 1;
        self.watch = family::Watch::default();
        match self.wait()? {
            Ok(Response::Hello { protocol: protocol::VERSION, description }) => {
                self.description = description;
                Ok(Ok(()))
            }
            Ok(other) => Ok(Err(self.unexpected(&other, &format!("hello with protocol {}", protocol::VERSION)))),
            Err(outcome) => {
                self.remember(None, &outcome);
                Ok(Err(outcome))
            }
        }
    }

    /// Loads a model, unless the worker holds it already; gives the size of its vocabulary.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn load(&mut self, model: &Path) -> Result<Result<u64, Outcome>, Error> {
        if let Some((path, answer)) = &self.loaded
            && path == model
            && self.running.is_some()
        {
            return Ok(answer.clone());
        }
        let state = Some((model.to_owned(), Stamp::of(model).ok()));
        if let Some(outcome) = self.hopeless.get(&state) {
            return Ok(Err(outcome.clone()));
        }
        let answer = match self.ask(&Request::Load { model: model.into() })? {
            Ok(Response::Loaded { vocabulary_size }) => Ok(vocabulary_size),
            Ok(other) => Err(self.refusal(other, "loaded")?),
            Err(outcome) => Err(outcome),
        };
        self.loaded = self.running.is_some().then(|| (model.into(), answer.clone()));
        if let Err(outcome) = &answer {
            self.remember(state, outcome);
        }
        Ok(answer)
    }

    /// Keeps what became of a start or a load that took all the time or memory there is, and says so where people look: in the log.
    fn remember(&mut self, what: Option<FileState>, outcome: &Outcome) {
        if !matches!(outcome, Outcome::TimedOut { .. } | Outcome::OutOfMemory { .. }) {
            return;
        }
        let loading =
            what.as_ref().map_or_else(|| "starting".to_owned(), |(path, _)| format!("loading {:?}", path.to_string_lossy()));
        if let Ok(mut log) = File::options().append(true).open(&self.stderr) {
            let _ = writeln!(
                log,
                "ggauge: {loading}: {}; not tried again in this run, every case has this outcome",
                outcome.summary()
            );
        }
        self.hopeless.insert(what, outcome.clone());
    }

    /// Loads a model whose vocabulary has a known size. All that is read of a transcript is bounded by it.
    fn load_with(&mut self, model: &Path, vocabulary_size: u64) -> Result<Result<(), Outcome>, Error> {
        Ok(match self.load(model)? {
            Ok(claimed) if claimed != vocabulary_size => {
                self.stop();
                let detail = format!("it says that the vocabulary has {claimed} tokens, where the file has {vocabulary_size}");
                Err(Outcome::ProtocolError(BadAnswer::WrongShape { detail }))
            }
            answer => answer.map(|_| ()),
        })
    }

    /// Runs a prompt through a model whose vocabulary has `vocabulary_size` tokens, and gives the transcript, which is written to
    /// `transcript`: it is whole, has the vocabulary's width, and positions of the prompt, each once. Whoever wrote it can put
    /// anything else there afterwards, so it is read through this alone.
    ///
    /// # Errors
    /// As [`Worker::start`], and where the transcript cannot be written.
    pub fn evaluate(
        &mut self,
        model: &Path,
        vocabulary_size: u64,
        tokens: &[u32],
        schedule: Schedule,
        transcript: &Path,
    ) -> Result<Result<Reader, Outcome>, Error> {
        if self.share.as_mut().is_some_and(Share::is_outdated) {
            self.stop();
        }
        if let Err(outcome) = self.load_with(model, vocabulary_size)? {
            return Ok(Err(outcome));
        }
        // A worker that writes nothing must not be judged by what lay there before.
        let _ = fs::remove_file(transcript);
        let request = Request::Evaluate { tokens: tokens.into(), schedule, transcript: transcript.into() };
        self.writing = Some((transcript.into(), transcript::longest(tokens.len() as u64, vocabulary_size)));
        let answer = self.ask(&request);
        let too_long = self.too_long();
        self.writing = None;
        if let Some(outcome) = too_long {
            self.stop();
            // Nobody reads it, and it may fill the disk.
            let _ = fs::remove_file(transcript);
            return answer.map(|_| Err(outcome));
        }
        match answer? {
            Ok(Response::Evaluated { cpu_seconds, transcript_cpu_seconds }) => {
                self.cpu.runtime += cpu_seconds - transcript_cpu_seconds;
                self.cpu.transcript += transcript_cpu_seconds;
                Ok(check_transcript(transcript, vocabulary_size, tokens.len(), schedule))
            }
            Ok(other) => Ok(Err(self.refusal(other, "evaluated")?)),
            Err(outcome) => Ok(Err(outcome)),
        }
    }

    /// Continues a prompt by `count` tokens, always with the likeliest one.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn continue_greedily(
        &mut self,
        model: &Path,
        vocabulary_size: u64,
        tokens: &[u32],
        count: u32,
    ) -> Result<Result<Continuation, Outcome>, Error> {
        if let Err(outcome) = self.load_with(model, vocabulary_size)? {
            return Ok(Err(outcome));
        }
        Ok(match self.ask(&Request::Continue { tokens: tokens.into(), count })? {
            Ok(Response::Continued { tokens, margins, prefill_seconds, decode_seconds })
                if tokens.len() == margins.len() && tokens.len() <= count as usize =>
            {
                let time = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
                Ok(Continuation { tokens, margins, prefill: time(prefill_seconds), decode: time(decode_seconds) })
            }
            Ok(other) => Err(self.refusal(other, "continued, with a margin for each of no more tokens than were asked for")?),
            Err(outcome) => Err(outcome),
        })
    }

    /// Turns text into tokens with a model's vocabulary.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn tokenize(&mut self, model: &Path, text: &str) -> Result<Result<Vec<u32>, Outcome>, Error> {
        let request = Request::Tokenize { model: model.into(), text: text.into() };
        Ok(match self.ask(&request)? {
            Ok(Response::Tokenized { tokens }) => Ok(tokens),
            Ok(other) => Err(self.refusal(other, "tokenized")?),
            Err(outcome) => Err(outcome),
        })
    }

    /// What the subject reads in a file's header, metadata and tensor table.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn read(&mut self, file: &Path) -> Result<Result<Contents, Outcome>, Error> {
        Ok(match self.ask(&Request::Read { file: file.into() })? {
            Ok(Response::Contents { contents }) => Ok(contents),
            Ok(other) => Err(self.refusal(other, "contents")?),
            Err(outcome) => Err(outcome),
        })
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, Error> {
        if let Err(outcome) = self.start()? {
            return Ok(Err(outcome));
        }
        let mut line = serde_json::to_vec(request).map_err(|error| Error::Harness {
            what: format!("the request to {}", self.launch.subject),
            why: error.to_string(),
            next: "give a model path that is valid UTF-8".into(),
        })?;
        line.push(b'\n');
        if let Some(running) = &mut self.running {
            // Whatever is there before the question was not an answer to it.
            if let Ok(Line::Text(line)) = running.lines.try_recv() {
                self.stop();
                let detail = format!("a line before it was asked: {}", line.chars().take(200).collect::<String>());
                return Ok(Err(Outcome::ProtocolError(BadAnswer::Unexpected { detail })));
            }
            // A worker that has gone is noticed below, where its end is told apart.
            let _ = running.requests.send(line);
        }
        self.wait()
    }

    /// Waits for an answer, watching time, memory, stderr and the keyboard.
    fn wait(&mut self) -> Result<Answer, Error> {
        // Here rather than where a request is sent, so that a worker that starts again after a flood is not blamed for it.
        self.logged = self.log_size();
        let started = Instant::now();
        let mut silent_since_its_end = false;
        loop {
            let Some(running) = &mut self.running else {
                return Ok(Err(Outcome::Exited { code: 0 }));
            };
            let outcome = match running.lines.recv_timeout(WATCH) {
                Ok(Line::Text(line)) => {
                    // Thousands of short cases need not pay for a look each.
                    if self.watch.is_due() && self.watch_memory() > self.limits.memory {
                        Outcome::OutOfMemory { limit_bytes: self.limits.memory }
                    } else {
                        match serde_json::from_str(&line) {
                            Ok(response) => return Ok(Ok(shortened(response))),
                            Err(_) => {
                                let line = line.chars().take(200).collect();
                                Outcome::ProtocolError(BadAnswer::Garbage { line })
                            }
                        }
                    }
                }
                Ok(Line::TooLong) => {
                    let detail = format!("a line on stdout of more than {} bytes", protocol::LONGEST_LINE);
                    Outcome::ProtocolError(BadAnswer::TooLong { detail })
                }
                Ok(Line::End) | Err(RecvTimeoutError::Disconnected) => return Ok(Err(self.ended())),
                Err(RecvTimeoutError::Timeout) => {
                    if interrupt::requested() {
                        self.stop();
                        return Err(Error::Interrupted);
                    }
                    // Something that it started may hold stdout open; its own last words were there before the second look.
                    if family::has_ended(&running.child) && std::mem::replace(&mut silent_since_its_end, true) {
                        return Ok(Err(self.ended()));
                    }
                    if let Some(outcome) = self.over_limits(started) { outcome } else { continue }
                }
            };
            self.stop();
            return Ok(Err(outcome));
        }
    }

    fn over_limits(&mut self, started: Instant) -> Option<Outcome> {
        if self.watch_memory() > self.limits.memory {
            return Some(Outcome::OutOfMemory { limit_bytes: self.limits.memory });
        }
        if self.log_size() > self.logged + LONGEST_STDERR {
            let detail = format!("more than {LONGEST_STDERR} bytes on stderr in one request");
            return Some(Outcome::ProtocolError(BadAnswer::TooLong { detail }));
        }
        if let Some(outcome) = self.too_long() {
            return Some(outcome);
        }
        if started.elapsed() >= self.limits.time {
            return Some(Outcome::TimedOut { limit_milliseconds: self.limits.time.as_millis() as u64 });
        }
        None
    }

    fn log_size(&self) -> u64 {
        fs::metadata(&self.stderr).map_or(0, |metadata| metadata.len())
    }

    /// Where the transcript has more bytes than all the logits that were asked for.
    fn too_long(&self) -> Option<Outcome> {
        let (transcript, most) = self.writing.as_ref()?;
        longer_than(*most, fs::metadata(transcript).map_or(0, |metadata| metadata.len()))
    }

    /// Looks at what the worker and all that it started occupy. Only Linux tells it in files; elsewhere memory is not limited, and
    /// `subjects` says so.
    fn watch_memory(&mut self) -> u64 {
        let Some(id) = self.process_id() else { return 0 };
        let bytes = self.watch.occupied(id, self.limits.memory);
        self.peak_memory = self.peak_memory.max(bytes);
        bytes
    }

    /// Takes the ended worker away and says how it ended.
    fn ended(&mut self) -> Outcome {
        let Some(mut running) = self.running.take() else { return Outcome::Exited { code: 0 } };
        self.loaded = None;
        // Stdout is closed; give the process a moment to finish dying before it is made to.
        let patience = Instant::now() + Duration::from_secs(2);
        while !family::has_ended(&running.child) && Instant::now() < patience {
            thread::sleep(Duration::from_millis(2));
        }
        let by_itself = family::has_ended(&running.child);
        // What it started ends with it, before its number can be given to somebody else.
        match family::kill(&mut running.child) {
            Some(status) if by_itself => end_of(status),
            _ => {
                let detail = "stdout was closed while the process went on".into();
                Outcome::ProtocolError(BadAnswer::Unexpected { detail })
            }
        }
    }

    /// Ends the worker, if it is running. The next request starts a new one.
    pub fn stop(&mut self) {
        self.loaded = None;
        self.share = None;
        if let Some(mut running) = self.running.take() {
            family::kill(&mut running.child);
        }
    }

    /// The outcome of a refusal; anything else is out of turn.
    fn refusal(&mut self, response: Response, expected: &str) -> Result<Outcome, Error> {
        match response {
            Response::Rejected(rejection) => Ok(Outcome::Rejected(rejection)),
            Response::Unsupported { reason } => Ok(Outcome::Unsupported { reason }),
            Response::TranscriptFailed { message } => {
                self.stop();
                Err(Error::transcript(&self.launch.subject, message))
            }
            other => Ok(self.unexpected(&other, expected)),
        }
    }

    fn unexpected(&mut self, response: &Response, expected: &str) -> Outcome {
        self.stop();
        let found = serde_json::to_string(response).unwrap_or_default();
        let detail = cut(&format!("expected {expected}, got {found}"), LONGEST_WORDS).into_owned();
        Outcome::ProtocolError(BadAnswer::Unexpected { detail })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A worker's answer with words that are no longer than a Record has room for: our own workers see to that, others need not.
fn shortened(response: Response) -> Response {
    const MOST_FEATURES: usize = 200;
    let short = |words: String| cut(&words, LONGEST_WORDS).into_owned();
    match response {
        Response::Hello { protocol, description } => {
            let Description { runtime, device, driver, features, software } = description;
            let features = features.into_iter().take(MOST_FEATURES).map(short).collect();
            let description =
                Description { runtime: short(runtime), device: short(device), driver: short(driver), features, software };
            Response::Hello { protocol, description }
        }
        Response::Rejected(rejection) => Response::Rejected(Rejection { message: short(rejection.message), ..rejection }),
        Response::Unsupported { reason } => Response::Unsupported { reason: short(reason) },
        Response::TranscriptFailed { message } => Response::TranscriptFailed { message: short(message) },
        other => other,
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

fn read_lines(stdout: impl Read, sender: &mpsc::SyncSender<Line>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(protocol::LONGEST_LINE as u64).read_until(b'\n', &mut line);
        let message = match read {
            Ok(0) | Err(_) => Line::End,
            Ok(_) if line.ends_with(b"\n") => Line::Text(String::from_utf8_lossy(&line).into_owned()),
            Ok(len) if len >= protocol::LONGEST_LINE => Line::TooLong,
            // The last words of a process that ended in the middle of a line.
            Ok(_) => Line::End,
        };
        let last = !matches!(message, Line::Text(_));
        if sender.send(message).is_err() || last {
            return;
        }
    }
}

fn longer_than(most: u64, len: u64) -> Option<Outcome> {
    let detail = || format!("a transcript of {len} bytes, where all logits of the prompt take no more than {most}");
    (len > most).then(|| Outcome::ProtocolError(BadAnswer::TooLong { detail: detail() }))
}

fn check_transcript(path: &Path, vocabulary_size: u64, tokens: usize, schedule: Schedule) -> Result<Reader, Outcome> {
    let reader = Reader::open(path).map_err(bad_transcript)?;
    // The file that is open need not be the one that was looked at before.
    if let Some(outcome) = longer_than(transcript::longest(tokens as u64, vocabulary_size), reader.file_size()) {
        return Err(outcome);
    }
    let wrong = |detail: String| Err(Outcome::ProtocolError(BadAnswer::WrongShape { detail }));
    if reader.vocabulary_size() as u64 != vocabulary_size {
        return wrong(format!("rows of {} logits, where the vocabulary has {vocabulary_size}", reader.vocabulary_size()));
    }
    let mut positions = reader.positions().to_vec();
    positions.sort_unstable();
    positions.dedup();
    if positions.len() != reader.positions().len() {
        return wrong("a position stands twice".into());
    }
    if let Some(&last) = positions.last()
        && last >= tokens as u64
    {
        return wrong(format!("position {last}, where the prompt has {tokens} tokens"));
    }
    // Every call ends in a position whose logits a subject can give; a transcript without one of them compares less than it says.
    let missing =
        schedule.calls(tokens).into_iter().map(|call| call.end as u64 - 1).find(|last| positions.binary_search(last).is_err());
    match missing {
        Some(position) => wrong(format!("position {position}, the last of a call, is missing")),
        None => Ok(reader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::candle::{SPINNING_THREADS, THREADS};

    fn launch(subject: &str, threads: Option<u32>) -> Launch {
        Launch {
            subject: subject.parse().unwrap(),
            settings: Settings::Default,
            tuning: Tuning { threads, ..Tuning::default() },
            program: "ggauge".into(),
            command: None,
        }
    }

    /// What the command of a worker sets a variable to, whatever this process itself has been told.
    fn told(command: &Command, variable: &str) -> Option<String> {
        let value = command.get_envs().find(|(name, _)| *name == variable)?.1?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn candle_is_told_its_share_of_the_machine() {
        let launched =
            |subject: &str, threads| told(&launch(subject, None).command(Some(&Share::of(threads))), SPINNING_THREADS);
        assert_eq!(launched("candle@cpu", 1).as_deref(), Some("1"));
        assert_eq!(launched("candle@cpu", 3).as_deref(), Some("3"));
        // It has no threads that spin; this process' own variable goes by.
        assert_eq!(launched("llama-cpp@cpu", 3), env::var(SPINNING_THREADS).ok());
    }

    #[test]
    fn who_says_how_many_threads_there_are_wins() {
        let candle = launch("candle@cpu", None);
        assert!(candle.share(|_| false).is_some());
        for own in [SPINNING_THREADS, THREADS] {
            assert!(candle.share(|name| name == own).is_none(), "{own} is overwritten");
        }
        let tuned = launch("candle@cpu", Some(2));
        assert!(tuned.share(|_| false).is_none());
        let command = tuned.command(Some(&Share::of(1)));
        assert_eq!(told(&command, THREADS).as_deref(), Some("2"));
        assert_eq!(told(&command, SPINNING_THREADS), env::var(SPINNING_THREADS).ok());
        assert!(launch("llama-cpp@cpu", None).share(|_| false).is_none());
        let foreign = Launch { command: Some("exec mine".into()), ..candle };
        assert!(foreign.share(|_| false).is_none(), "a worker that is not ours has its own ways");
    }
}
