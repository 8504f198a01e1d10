//! Workers that misbehave, each in its own way: every one gives its own outcome, and the next request starts afresh.

use crate::support::{GGAUGE, fake_worker, id, policy, ramp, run, short_limits, stderr, tiny};
use harness::{
    answer::outcome_of,
    worker::{launch::Launch, pool::Workers, process::Worker},
};
use record::Record;
use rstest::rstest;
use smith::Recipe;
use std::{process::Command, thread, time::Duration};
use vocabulary::{Check, Judgement, Outcome, Schedule, Settings, Tuning, Upshot, Verdict};

#[rstest]
#[case("exit", "exited (code 7)", "")]
#[case("abort", "aborted", "")]
#[case("segfault", "crashed (signal 11)", "")]
#[case("hang", "timed out (2 s)", "")]
#[case("eat-memory", "out of memory (512 MiB)", "")]
#[case("garbage", "protocol error (garbage)", "debugging print")]
#[case("endless-line", "protocol error (too long)", "stdout")]
#[case("truncated", "protocol error (transcript)", "truncated")]
#[case("wrong-shape", "protocol error (wrong shape)", "rows of 319 logits, where the vocabulary has 320")]
#[case("first-only", "protocol error (wrong shape)", "position 7, the last of a call, is missing")]
#[case("old-protocol", "protocol error (unexpected)", "expected hello with protocol 1")]
#[case("honest", "8 positions", "")]
fn a_worker_that_misbehaves_has_its_own_outcome(#[case] behaviour: &str, #[case] summary: &str, #[case] detail: &str) {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("llama/f32@0", folder.path());
    let mut worker = fake_worker(behaviour, folder.path());
    let transcript = folder.path().join("t.safetensors");
    for _ in 0..2 {
        let answer =
            worker.evaluate(&model.path, model.vocabulary_size, &Recipe::ramp(8), Schedule::SingleShot, &transcript).unwrap();
        let outcome = outcome_of(&answer);
        assert_eq!(outcome.summary(), summary, "{outcome:?}");
        assert!(outcome.detail().unwrap_or_default().contains(detail), "{outcome:?}");
    }
    // Those that ended, or had to be ended, were started again for the second request.
    let survives = ["truncated", "wrong-shape", "first-only", "honest"].contains(&behaviour);
    assert_eq!(worker.starts, if survives { 1 } else { 2 });
}

#[test]
fn a_line_that_nobody_asked_for_is_not_taken_as_the_next_answer() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("llama/f32@0", folder.path());
    let mut worker = fake_worker("chatty", folder.path());
    let transcript = folder.path().join("t.safetensors");
    let mut evaluate = || {
        let answer =
            worker.evaluate(&model.path, model.vocabulary_size, &Recipe::ramp(8), Schedule::SingleShot, &transcript).unwrap();
        let outcome = outcome_of(&answer);
        thread::sleep(Duration::from_millis(200));
        outcome
    };
    assert_eq!(evaluate(), Outcome::Completed { positions: 8 });
    let outcome = evaluate();
    assert!(outcome.detail().unwrap_or_default().contains("before it was asked: and by the way"), "{outcome:?}");
    assert_eq!(evaluate(), Outcome::Completed { positions: 8 }, "a new worker answers again");
}

/// What becomes of its transcript once a worker has answered concerns that worker at most: nobody reads without end, gives up the run,
/// or says that there was nothing to compare.
#[rstest]
#[case::endless("then-zeros")]
#[case::waiting("then-pipe")]
#[case::huge("then-long")]
#[case::gone("then-gone")]
#[case::shrunk("then-short")]
fn a_transcript_that_changes_after_the_answer(#[case] behaviour: &str) {
    let folder = tempfile::tempdir().unwrap();
    let of = |behaviour| {
        run(folder.path(), &["llama/f32@0"], &["fake@cpu"], &[("fake@cpu", behaviour)], Settings::Strict, &policy(""))
    };
    let (honest, record) = (of("honest"), of(behaviour));
    assert_eq!(record.cases.len(), honest.cases.len());
    for ((case, comparison), honest) in record.cases.iter().zip(&record.comparisons).zip(&honest.cases) {
        let reason = comparison.reason.clone().unwrap_or_default();
        match comparison.judgement {
            // It was open before anything was done to it.
            Judgement::Pass => assert_eq!(case.logits, honest.logits),
            // Seen before it was opened, or when it is read.
            Judgement::Fail => assert!(reason.contains("protocol error"), "{reason}"),
            other => panic!("{other:?}: {reason}"),
        }
    }
}

/// A prompt larger than a pipe holds, to a worker that never reads.
#[test]
fn a_worker_that_never_reads_times_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = fake_worker("deaf", folder.path());
    let text = "long ".repeat(100_000);
    let outcome = worker.tokenize(folder.path(), &text).unwrap().unwrap_err();
    assert_eq!(outcome, Outcome::TimedOut { limit_milliseconds: 2000 });
}

#[test]
fn a_worker_killed_half_way_is_a_crash_and_the_next_case_runs() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("llama/f32@0", folder.path());
    let mut worker = fake_worker("hang", folder.path());
    worker.start().unwrap().unwrap();
    let process = rustix::process::Pid::from_raw(worker.process_id().unwrap().cast_signed()).unwrap();
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    });
    let transcript = folder.path().join("t.safetensors");
    let answer = worker.evaluate(&model.path, model.vocabulary_size, &[1], Schedule::SingleShot, &transcript).unwrap();
    killer.join().unwrap();
    assert_eq!(answer.unwrap_err(), Outcome::Crashed { signal: 9 });
    assert!(worker.start().unwrap().is_ok());
}

/// The six falsifications, on the F32 tiny model at its normal limits: each fails by the check that should see it, and a
/// constant, to which softmax is blind, passes.
#[rstest]
#[case::top_logit("top-logit", Some(Check::Nmse))]
#[case::shifted("shifted", Some(Check::Nmse))]
#[case::constant("constant", None)]
#[case::zeros("zeros", Some(Check::Constant))]
#[case::nan("nan", Some(Check::Finite))]
#[case::swapped("swapped", Some(Check::Nmse))]
#[case::honest("honest", None)]
fn falsified_logits_fail_by_the_check_that_should(#[case] behaviour: &str, #[case] failing: Option<Check>) {
    let folder = tempfile::tempdir().unwrap();
    for recipe in ["llama/f32@0", "gemma3/f32@0"] {
        let record = run(folder.path(), &[recipe], &["fake@cpu"], &[("fake@cpu", behaviour)], Settings::Strict, &policy(""));
        assert_eq!(record.comparisons.len(), 2, "both schedules against the reference");
        for comparison in &record.comparisons {
            let verdict = comparison.verdict.as_ref().unwrap();
            assert!(matches!(verdict, Verdict::Measured { positions: 8, .. }), "{verdict:?}");
            let decisive = verdict.decisive().unwrap();
            match failing {
                None => assert!(verdict.holds(), "{behaviour}: {decisive:?}"),
                Some(check) => {
                    assert_eq!((decisive.check, decisive.holds()), (check, false), "{behaviour}: {verdict:?}");
                    assert_eq!(comparison.blame, [id("fake@cpu")]);
                }
            }
        }
    }
}

#[test]
fn the_run_goes_on_around_a_worker_that_aborts() {
    let folder = tempfile::tempdir().unwrap();
    let record = run(
        folder.path(),
        &["llama/f32@0", "llama/q8_0@0"],
        &["llama-cpp@cpu", "candle@cpu", "fake@cpu"],
        &[("fake@cpu", "abort")],
        Settings::Default,
        &policy(""),
    );
    let of = |subject: &str| record.cases.iter().filter(|case| case.id.ends_with(subject)).collect::<Vec<_>>();
    assert_eq!(of("fake@cpu").len(), 4);
    assert!(of("fake@cpu").iter().all(|case| case.outcome == Outcome::Aborted));
    for subject in ["llama-cpp@cpu", "candle@cpu"] {
        assert_eq!(of(subject).len(), 4);
        assert!(of(subject).iter().all(|case| matches!(case.outcome, Outcome::Completed { .. })), "{subject}");
    }
    assert_eq!(record.upshot(), Upshot::Bad);
    // One accepts, the other aborts: a divergence, and the reference says whose.
    let pair = record.comparisons.iter().find(|c| c.id.ends_with("llama-cpp@cpu~fake@cpu")).unwrap();
    assert_eq!(pair.blame, [id("fake@cpu")]);
}

#[test]
fn contents_that_fit_no_answer_are_unsupported_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.gguf");
    let mut draft = gguf::Draft::new();
    draft.str("general.architecture", "vector").i32s("vector.key", &vec![7; 200_000]);
    std::fs::write(&path, draft.finish()).unwrap();
    let launch = Launch {
        subject: id("ggauge@strict"),
        settings: Settings::Default,
        tuning: Tuning::default(),
        program: GGAUGE.into(),
        command: None,
    };
    let mut worker = Worker::new(launch, short_limits(), folder.path().join("stderr.log"));
    let Err(Outcome::Unsupported { reason }) = worker.read(&path).unwrap() else { panic!("an answer of 10 MB") };
    assert!(reason.contains("room for 4194304"), "{reason}");
}

/// How many of candle's threads spin while they wait changes with what else the machine does; no number may. Told by the user, as by the
/// harness, which tells one share where nobody told.
#[test]
fn candles_bits_do_not_depend_on_the_threads_that_spin() {
    let folder = tempfile::tempdir().unwrap();
    let logits = |threads: Option<&str>| {
        let mut command = Command::new(GGAUGE);
        command.args(["run", "llama/q4_0", "--json", "--tokens", "1,2,3,4,5,6,7,8", "--subject", "candle@cpu"]);
        command.env("GGAUGE_CACHE", folder.path()).env_remove("RAYON_NUM_THREADS").env_remove("CANDLE_NUM_THREADS");
        let output = command.envs(threads.map(|threads| ("CANDLE_NUM_THREADS", threads))).output().unwrap();
        let record: Record = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        record.cases.into_iter().map(|case| (case.id, case.logits.unwrap())).collect::<Vec<_>>()
    };
    let of_one = logits(Some("1"));
    assert_eq!(of_one.len(), 2, "{of_one:?}");
    for threads in [Some("2"), Some("3"), None] {
        assert_eq!(logits(threads), of_one, "{threads:?} threads");
    }
}

/// Every runtime continues a prompt as the reference does, and says by how much each token led.
#[rstest]
#[case("llama-cpp@cpu")]
#[case("candle@cpu")]
fn a_prompt_is_continued_with_the_likeliest_tokens(#[case] subject: &str) {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("llama/f32", folder.path());
    let mut workers = Workers::plain(GGAUGE.into(), folder.path());
    let prompt = ramp(8).tokens;
    let continuation = workers
        .get(&id(subject), Settings::Strict)
        .continue_greedily(&model.path, model.vocabulary_size, &prompt, 5)
        .unwrap()
        .unwrap();
    assert_eq!(continuation.tokens.len(), 5);
    // The same tokens, one prompt after the other.
    let transcript = folder.path().join("t.safetensors");
    let mut so_far = prompt;
    for (&token, &margin) in continuation.tokens.iter().zip(&continuation.margins) {
        let worker = workers.get(&id("reference@f64"), Settings::Strict);
        let answer = worker.evaluate(&model.path, model.vocabulary_size, &so_far, Schedule::SingleShot, &transcript).unwrap();
        let (reader, mut row) = (answer.unwrap(), Vec::new());
        reader.read_row(so_far.len() - 1, &mut row).unwrap();
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        assert_eq!(token as usize, order[0]);
        assert!((margin - (row[order[0]] - row[order[1]])).abs() < 1e-4, "{margin}");
        so_far.push(token);
    }
}
