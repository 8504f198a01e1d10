//! A CPU subject is on the CPU: in a build with Vulkan, llama.cpp would offer a visible GPU to large batches whatever
//! `n_gpu_layers` says. The worker's log names every buffer of every backend in use.
use crate::support::{GGAUGE, id, tiny};
use harness::{
    answer::outcome_of,
    worker::{
        launch::{Launch, WorkerLimits},
        process::Worker,
    },
};
use smith::Recipe;
use std::{fs, time::Duration};
use vocabulary::{Outcome, Schedule, Settings};

/// Runs 200 tokens, more than llama.cpp's threshold of 32 for offloading a batch, and gives the worker's log.
fn log_of(subject: &str, command: Option<String>, settings: Settings) -> String {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("llama/q4_0@0", folder.path());
    let launch =
        Launch { subject: id(subject), settings, tuning: vocabulary::Tuning::default(), program: GGAUGE.into(), command };
    let limits = WorkerLimits { time: Duration::from_mins(5), memory: 4 << 30 };
    let mut worker = Worker::new(launch, limits, folder.path().join("log"));
    let transcript = folder.path().join("t.safetensors");
    let answer =
        worker.evaluate(&model.path, model.vocabulary_size, &Recipe::ramp(200), Schedule::SingleShot, &transcript).unwrap();
    assert_eq!(outcome_of(&answer), Outcome::Completed { positions: 200 }, "{subject}");
    fs::read_to_string(worker.stderr()).unwrap()
}

fn gpu_buffers(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("buffer size") && line.contains("Vulkan")).collect()
}

#[test]
fn the_cpu_subject_uses_no_gpu_backend_even_where_one_is_visible() {
    for settings in Settings::ALL {
        // The harness hides the devices; here they are shown on purpose, so that the subject's own precautions are what holds.
        let command = format!("GGML_VK_VISIBLE_DEVICES=0 exec {GGAUGE} worker llama-cpp@cpu --settings {settings}");
        let log = log_of("llama-cpp@cpu", Some(command), settings);
        assert!(log.lines().any(|line| line.contains("CPU compute buffer size")), "the log has changed:\n{log}");
        assert!(log.contains("Found 1 Vulkan devices"), "the device was not visible, so this proves nothing:\n{log}");
        assert_eq!(gpu_buffers(&log), Vec::<&str>::new());
    }
}

#[test]
fn the_vulkan_subject_does_use_it() {
    let log = log_of("llama-cpp@vulkan0", None, Settings::Default);
    assert!(!gpu_buffers(&log).is_empty(), "{log}");
}
