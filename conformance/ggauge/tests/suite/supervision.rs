//! What workers start, occupy, write and are told, and that nothing of it outlives the harness.
#![cfg(target_os = "linux")]

use crate::support::{GGAUGE, fake_subject, fake_worker, id, short_limits, stderr, tiny};
use harness::{
    answer::outcome_of,
    worker::{
        launch::{Launch, WorkerLimits},
        process::Worker,
    },
};
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use smith::Recipe;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use vocabulary::{BadAnswer, Outcome, Schedule, Settings, Tuning};

/// Longer than anything here takes on a busy machine, and shorter than what would go on.
const PATIENCE: Duration = Duration::from_mins(1);

fn plain() -> Launch {
    Launch {
        subject: id("fake@cpu"),
        settings: Settings::Strict,
        tuning: Tuning::default(),
        program: GGAUGE.into(),
        command: None,
    }
}

fn worker_of(command: String, limits: WorkerLimits, folder: &Path) -> Worker {
    let launch = Launch { command: Some(command), ..plain() };
    Worker::new(launch, limits, folder.join("stderr.log"))
}

fn evaluate(worker: &mut Worker, folder: &Path) -> Outcome {
    let model = tiny("llama/f32@0", folder);
    let transcript = folder.join("t.safetensors");
    let tokens = Recipe::ramp(8);
    outcome_of(&worker.evaluate(&model.path, model.vocabulary_size, &tokens, Schedule::SingleShot, &transcript).unwrap())
}

/// The text that somebody writes into a file.
fn wait_for(path: &Path) -> String {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        match fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => return text.trim().to_owned(),
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
    panic!("{} was never written", path.display());
}

/// True once a process is gone, or only waits to be taken away by whoever adopted it.
fn ends(process: &str) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let Ok(line) = fs::read_to_string(format!("/proc/{process}/stat")) else { return true };
        if line.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])) {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Shell words that put a process into a session of its own, and its number into a file.
fn leaves(pid: &Path) -> String {
    format!("setsid sleep 1017 </dev/null >/dev/null 2>&1 & echo $! >{}", pid.display())
}

fn ggauge_run(folder: &Path, worker: &str) -> Command {
    let mut command = Command::new(GGAUGE);
    command.args(["run", "llama/f32@0", "--tokens", "1,2,3", "--worker", worker]).env("GGAUGE_CACHE", folder);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn scratch_files(folder: &Path) -> usize {
    fs::read_dir(folder.join("scratch")).map_or(0, Iterator::count)
}

#[rstest]
#[case::child_process("child-eats-memory")]
#[case::shared_pages("share-memory")]
fn memory_counts_wherever_a_worker_has_it(#[case] behaviour: &str) {
    let folder = tempfile::tempdir().unwrap();
    let limits = WorkerLimits { time: PATIENCE, ..short_limits() };
    let mut worker = worker_of(format!("exec {} {behaviour}", fake_subject().display()), limits, folder.path());
    assert_eq!(evaluate(&mut worker, folder.path()), Outcome::OutOfMemory { limit_bytes: 512 << 20 });
    assert!(worker.peak_memory > 512 << 20, "{}", worker.peak_memory);
}

/// A shell that does not become the worker is its parent.
#[test]
fn memory_of_a_shells_child_counts() {
    let folder = tempfile::tempdir().unwrap();
    let limits = WorkerLimits { time: PATIENCE, ..short_limits() };
    let mut worker = worker_of(format!("{} eat-memory; true", fake_subject().display()), limits, folder.path());
    assert_eq!(evaluate(&mut worker, folder.path()), Outcome::OutOfMemory { limit_bytes: 512 << 20 });
}

/// Nobody looks at a worker that is asked nothing, and one that answers at once is not waited for.
#[test]
fn memory_that_grows_between_answers_counts() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("llama/f32@0", folder.path());
    let limits = WorkerLimits { time: PATIENCE, ..short_limits() };
    let mut worker = worker_of(format!("exec {} hoard", fake_subject().display()), limits, folder.path());
    let mut outcomes = (0..14).map(|_| {
        thread::sleep(Duration::from_millis(200));
        worker.tokenize(&model.path, "text").unwrap().unwrap_err()
    });
    let other = outcomes.find(|outcome| !matches!(outcome, Outcome::Unsupported { .. }));
    assert_eq!(other, Some(Outcome::OutOfMemory { limit_bytes: 512 << 20 }));
    assert_eq!(worker.process_id(), None, "it goes on");
}

#[test]
fn what_a_worker_put_into_another_session_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let mut worker =
        worker_of(format!("{}; exec {} honest", leaves(&pid), fake_subject().display()), short_limits(), folder.path());
    assert_eq!(evaluate(&mut worker, folder.path()), Outcome::Completed { positions: 8 });
    let process = wait_for(&pid);
    worker.stop();
    assert!(ends(&process), "the process in another session goes on");
}

/// Its end is seen although something that it left behind holds its stdout open.
#[test]
fn a_worker_that_leaves_a_process_behind_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let command = format!("setsid sleep 1017 & echo $! >{}; exit 3", pid.display());
    let mut worker = worker_of(command, WorkerLimits { time: PATIENCE, ..short_limits() }, folder.path());
    assert_eq!(evaluate(&mut worker, folder.path()), Outcome::Exited { code: 3 });
    assert!(ends(&wait_for(&pid)), "the process in another session goes on");
}

/// Nobody can tidy up after SIGKILL: the worker itself must notice.
#[test]
fn a_foreign_worker_ends_with_a_harness_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let [own, other] = ["own", "other"].map(|name| folder.path().join(name));
    let worker = format!("fake@cpu={}; exec {} hang --pid {}", leaves(&other), fake_subject().display(), own.display());
    let mut child = ggauge_run(folder.path(), &worker).spawn().unwrap();
    let processes = [wait_for(&own), wait_for(&other)];
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    for process in processes {
        assert!(ends(&process), "a process goes on without the harness");
    }
}

/// As Ctrl-C, unless we were told to outlive the terminal.
#[rstest]
#[case::closed("default", true)]
#[case::nohup("ignore", false)]
fn a_closed_terminal_interrupts(#[case] disposition: &str, #[case] ends_by_it: bool) {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let worker = format!("fake@cpu=exec {} hang --pid {}", fake_subject().display(), pid.display());
    let run = ggauge_run(folder.path(), &worker);
    let mut command = Command::new("env");
    command.arg(format!("--{disposition}-signal=HUP")).arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let process = wait_for(&pid);
    signal(&child, Signal::HUP);
    if !ends_by_it {
        thread::sleep(Duration::from_secs(1));
        assert!(child.try_wait().unwrap().is_none(), "it ended although it was told to go on");
        signal(&child, Signal::INT);
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(ends(&process), "the worker goes on");
    assert_eq!(scratch_files(folder.path()), 0, "scratch files are left");
}

/// A terabyte of zeros takes minutes to hash, in the harness itself.
#[test]
fn an_interrupt_is_obeyed_while_the_harness_itself_works() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("llama/f32@0", folder.path());
    let large = folder.path().join("large.gguf");
    fs::copy(&model.path, &large).unwrap();
    fs::File::options().write(true).open(&large).unwrap().set_len(1 << 40).unwrap();
    let mut command = Command::new(GGAUGE);
    command.args(["run", large.to_str().unwrap(), "--tokens", "1"]).env("GGAUGE_CACHE", folder.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while scratch_files(folder.path()) == 0 && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::INT);
    let started = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(scratch_files(folder.path()), 0, "scratch files are left");
}

#[test]
fn a_vocabulary_that_is_not_the_models_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = fake_worker("too-wide", folder.path());
    let outcome = evaluate(&mut worker, folder.path());
    assert_eq!(worker.process_id(), None, "it goes on");
    let Outcome::ProtocolError(BadAnswer::WrongShape { detail }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(detail, "it says that the vocabulary has 8589934592 tokens, where the file has 320");
}

#[rstest]
#[case::and_goes_on("flood")]
#[case::and_answers("flood-and-answer")]
fn a_transcript_that_is_too_long_is_refused_and_removed(#[case] behaviour: &str) {
    let folder = tempfile::tempdir().unwrap();
    let limits = WorkerLimits { time: PATIENCE, ..short_limits() };
    let mut worker = worker_of(format!("exec {} {behaviour}", fake_subject().display()), limits, folder.path());
    let outcome = evaluate(&mut worker, folder.path());
    let Outcome::ProtocolError(BadAnswer::TooLong { detail }) = outcome else { panic!("{outcome:?}") };
    assert!(detail.starts_with("a transcript of 68719476736 bytes, where all logits"), "{detail}");
    assert!(!folder.path().join("t.safetensors").exists());
}

#[test]
fn a_load_that_took_all_the_time_is_not_waited_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = fake_worker("hang-at-load", folder.path());
    for _ in 0..3 {
        assert_eq!(evaluate(&mut worker, folder.path()), Outcome::TimedOut { limit_milliseconds: 2000 });
    }
    assert_eq!(worker.starts, 1, "it was waited for again");
    let log = fs::read_to_string(worker.stderr()).unwrap();
    assert!(log.contains("timed out (2 s); not tried again in this run"), "{log}");
    // Another file under that name is another load.
    let model = tiny("llama/f32@0", folder.path());
    fs::write(&model.path, smith::Recipe::build(&"llama/q8_0@0".parse().unwrap()).unwrap()).unwrap();
    assert!(matches!(worker.load(&model.path).unwrap(), Err(Outcome::TimedOut { .. })));
    assert_eq!(worker.starts, 2);
}

#[test]
fn no_secret_reaches_a_worker() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("environment");
    let worker = format!("fake@cpu=env >{}; exec {} honest", told.display(), fake_subject().display());
    let mut run = ggauge_run(folder.path(), &worker);
    run.env("HF_TOKEN", "hf_secret")
        .env("AWS_SECRET_ACCESS_KEY", "aws_secret")
        .env("MY_OWN", "mine")
        .env("GGAUGE_OWN", "passed");
    let output = run.env("OMP_NUM_THREADS", "1").output().unwrap();
    let environment = fs::read_to_string(told).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    for passed in ["GGAUGE_OWN=passed", "OMP_NUM_THREADS=1", "GGAUGE_SUBJECT=fake@cpu"] {
        assert!(environment.lines().any(|line| line == passed), "{passed} is missing:\n{environment}");
    }
    for kept in ["secret", "MY_OWN"] {
        assert!(!environment.contains(kept), "{kept} is there:\n{environment}");
    }
}

/// That the variable that a share is told by is the one which candle reads.
#[test]
fn candle_has_as_many_threads_that_spin_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("llama/q4_0", folder.path());
    let threads_of = |told: u32| {
        let command = format!("RAYON_NUM_THREADS=1 CANDLE_NUM_THREADS={told} exec {GGAUGE} worker candle@cpu");
        let launch = Launch { subject: id("candle@cpu"), settings: Settings::Default, command: Some(command), ..plain() };
        let mut worker = Worker::new(launch, WorkerLimits::default(), folder.path().join("stderr.log"));
        let transcript = folder.path().join("t.safetensors");
        let outcome = worker.evaluate(&model.path, model.vocabulary_size, &Recipe::ramp(8), Schedule::SingleShot, &transcript);
        assert!(matches!(outcome, Ok(Ok(_))), "{outcome:?}");
        let attendant = worker.process_id().unwrap();
        let child = fs::read_to_string(format!("/proc/{attendant}/task/{attendant}/children")).unwrap();
        fs::read_dir(format!("/proc/{}/task", child.trim())).unwrap().count()
    };
    let alone = threads_of(1);
    assert_eq!([threads_of(2), threads_of(4)], [alone + 1, alone + 3]);
}

/// A core file would be as large as the process.
#[test]
fn workers_leave_no_core_files() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("limits");
    let command = format!("ulimit -c >{}; exec {} honest", told.display(), fake_subject().display());
    let mut worker = worker_of(command, short_limits(), folder.path());
    worker.start().unwrap().unwrap();
    assert_eq!(wait_for(&told), "0");
}
