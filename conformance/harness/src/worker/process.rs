//! The harness's side of a worker: starts it where it is needed, asks it, and turns whatever becomes of it into an [`Outcome`].

use crate::{
    answer::Answer,
    worker::{
        crowd::Share,
        launch::{Launch, WorkerLimits},
        running::{Running, Writing},
        transcripts,
    },
};
use machine::{Error, files::Stamp};
use printable::{LONGEST_WORDS, cut};
use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};
use vocabulary::{
    BadAnswer, Contents, Continuation, Description, Outcome, Schedule,
    protocol::{self, Request, Response},
    transcript::{self, Reader},
};

/// A worker process, restarted whenever it is needed and not there.
pub struct Worker {
    launch: Launch,
    limits: WorkerLimits,
    stderr: PathBuf,
    running: Option<Running>,
    /// The model that the running process holds, and what its load was answered with.
    loaded: Option<(PathBuf, Answer<u64>)>,
    /// Loads that took all the time or memory there is, which no other case has to wait for again; `None` is the start itself.
    hopeless: HashMap<Option<FileState>, Outcome>,
    writing: Option<Writing>,
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

impl Worker {
    /// A worker that starts when it is first asked something. Its stderr goes to `stderr`.
    pub fn new(launch: Launch, limits: WorkerLimits, stderr: PathBuf) -> Self {
        Self {
            launch,
            limits,
            stderr,
            running: None,
            loaded: None,
            hopeless: HashMap::new(),
            writing: None,
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
        self.running.as_ref().map(Running::id)
    }

    /// Starts the worker if it is not running, and gives what became of that.
    ///
    /// # Errors
    /// Where no process can be started, or the user interrupted.
    pub fn start(&mut self) -> Result<Answer<()>, Error> {
        if self.running.is_some() {
            return Ok(Ok(()));
        }
        if let Some(outcome) = self.hopeless.get(&None) {
            return Ok(Err(outcome.clone()));
        }
        let stderr = File::options().create(true).append(true).open(&self.stderr);
        let stderr = stderr.map_err(|error| Error::file(&self.stderr, &error))?;
        self.share = self.launch.share(|name| env::var_os(name).is_some());
        let mut command = self.launch.command(self.share.as_ref());
        command.stderr(stderr);
        let started = Running::start(command, self.limits, self.stderr.clone());
        self.running = Some(started.map_err(|error| Error::Harness {
            what: format!("the worker of {}", self.launch.subject),
            why: error.to_string(),
            next: "check that the ggauge executable is where it was (a library takes the program that GGAUGE_PROGRAM names), and that more \
                   processes can be started"
                .into(),
        })?);
        self.starts += 1;
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
    pub fn load(&mut self, model: &Path) -> Result<Answer<u64>, Error> {
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
    fn load_with(&mut self, model: &Path, vocabulary_size: u64) -> Result<Answer<()>, Error> {
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
    #[expect(clippy::too_many_arguments, reason = "what is evaluated, how, and where to")]
    pub fn evaluate(
        &mut self,
        model: &Path,
        vocabulary_size: u64,
        tokens: &[u32],
        schedule: Schedule,
        transcript: &Path,
    ) -> Result<Answer<Reader>, Error> {
        if self.share.as_mut().is_some_and(Share::is_outdated) {
            self.stop();
        }
        if let Err(outcome) = self.load_with(model, vocabulary_size)? {
            return Ok(Err(outcome));
        }
        // A worker that writes nothing must not be judged by what lay there before.
        let _ = fs::remove_file(transcript);
        let request = Request::Evaluate { tokens: tokens.into(), schedule, transcript: transcript.into() };
        let most = transcript::longest(tokens.len() as u64, vocabulary_size);
        self.writing = Some((transcript.into(), most));
        let answer = self.ask(&request);
        self.writing = None;
        // It may have answered before anybody looked.
        let bytes = fs::metadata(transcript).map_or(0, |metadata| metadata.len());
        if bytes > most {
            self.stop();
            // Nobody reads it, and it may fill the disk.
            let _ = fs::remove_file(transcript);
            return answer.map(|_| Err(transcripts::too_long(most, bytes)));
        }
        match answer? {
            Ok(Response::Evaluated { cpu_seconds, transcript_cpu_seconds }) => {
                self.cpu.runtime += cpu_seconds - transcript_cpu_seconds;
                self.cpu.transcript += transcript_cpu_seconds;
                Ok(transcripts::check(transcript, vocabulary_size, tokens.len(), schedule))
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
    ) -> Result<Answer<Continuation>, Error> {
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
    pub fn tokenize(&mut self, model: &Path, text: &str) -> Result<Answer<Vec<u32>>, Error> {
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
    pub fn read(&mut self, file: &Path) -> Result<Answer<Contents>, Error> {
        Ok(match self.ask(&Request::Read { file: file.into() })? {
            Ok(Response::Contents { contents }) => Ok(contents),
            Ok(other) => Err(self.refusal(other, "contents")?),
            Err(outcome) => Err(outcome),
        })
    }

    fn ask(&mut self, request: &Request) -> Result<Answer<Response>, Error> {
        if let Err(outcome) = self.start()? {
            return Ok(Err(outcome));
        }
        let mut line = serde_json::to_vec(request).map_err(|error| Error::Harness {
            what: format!("the request to {}", self.launch.subject),
            why: error.to_string(),
            next: "give a model path that is valid UTF-8".into(),
        })?;
        line.push(b'\n');
        if let Some(Err(outcome)) = self.running.as_mut().map(|running| running.ask(line)) {
            self.stop();
            return Ok(Err(outcome));
        }
        self.wait()
    }

    /// Waits for an answer. After anything else the worker is gone.
    fn wait(&mut self) -> Result<Answer<Response>, Error> {
        let Some(running) = &mut self.running else {
            return Ok(Err(Outcome::Exited { code: 0 }));
        };
        let answer = running.answer(self.writing.as_ref());
        self.peak_memory = self.peak_memory.max(running.peak_memory());
        if !matches!(answer, Ok(Ok(_))) {
            self.stop();
        }
        answer
    }

    /// Ends the worker, if it is running. The next request starts a new one.
    pub fn stop(&mut self) {
        self.loaded = None;
        self.share = None;
        self.running = None;
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
