//! The harness's share of the CPU time of a run on a real model: `SmolLM2` with the 200-token prompt, both CPU subjects, both
//! schedules. The budget is 10 % of the runtimes' own time; the reference is not counted, and comes from the cache.
//!
//! Needs the model: `ggauge fetch smollm2-135m-instruct`. Run it with `cargo bench --profile dev --bench overhead`, which shares the build of everything else.

#![allow(clippy::disallowed_methods, reason = "it measures the program where it is")]

use record::Timings;
use std::{fs, process::Command};

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    println!("run       wall s  runtimes s  harness s  transcripts s  overhead");
    for run in ["warm-up", "1", "2", "3"] {
        let status = Command::new(env!("CARGO_BIN_EXE_ggauge"))
            .args(["run", "smollm2-135m-instruct", "--offline", "--json", "--filter", "/long/"])
            .args(["--subject", "llama-cpp@cpu", "--subject", "candle@cpu", "--record"])
            .arg(folder.path())
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "the run failed; has the model been fetched?");
        let json = fs::read(folder.path().join("timings.json")).expect("the run wrote it");
        let t: Timings = serde_json::from_slice(&json).expect("it is valid");
        println!(
            "{run:8} {:7.2} {:11.2} {:10.3} {:14.3} {:8.1}%",
            t.seconds,
            t.runtime_cpu_seconds,
            t.harness_cpu_seconds,
            t.transcript_cpu_seconds,
            t.overhead * 100.0
        );
    }
}
