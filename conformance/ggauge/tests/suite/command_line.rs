//! The command as people use it: what bad input is answered with, and what is left behind.

use crate::support::{GGAUGE, assert_golden, fake_subject, ggauge, stderr, stdout};
use gguf::{Draft, WeightType};
use rstest::rstest;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The F32 tiny model as bytes.
fn model() -> Vec<u8> {
    "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap()
}

fn architecture(name: &str) -> Vec<u8> {
    let mut draft = Draft::new();
    draft.str("general.architecture", name).tensor("token_embd.weight", &[2, 3], WeightType::F32, vec![0; 24]);
    draft.finish()
}

/// The tiny model with the type of its first tensor set to an id that no codec has.
fn unknown_weight_type() -> Vec<u8> {
    let mut bytes = model();
    let name = b"token_embd.weight";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    // After the name: dimension count, two dimensions, type.
    bytes[at + 4 + 16..at + 4 + 20].copy_from_slice(&99u32.to_le_bytes());
    bytes
}

fn cut(fraction: f64) -> Vec<u8> {
    let bytes = model();
    bytes[..(bytes.len() as f64 * fraction) as usize].to_vec()
}

/// stderr without the parts that differ from run to run.
fn clean(text: &str, folder: &Path) -> String {
    text.replace(&folder.display().to_string(), "FOLDER")
}

#[rstest]
#[case::empty("empty", vec![])]
#[case::three_bytes("three-bytes", b"GGU".to_vec())]
#[case::not_gguf("not-gguf", b"PK\x03\x04 and then some more bytes of a zip archive".to_vec())]
#[case::cut_at_1("cut-at-1-percent", cut(0.01))]
#[case::cut_at_50("cut-at-50-percent", cut(0.5))]
#[case::cut_at_99("cut-at-99-percent", cut(0.99))]
#[case::weight_type("unknown-weight-type", unknown_weight_type())]
fn a_broken_model_is_named_with_its_place(#[case] name: &str, #[case] bytes: Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.gguf"));
    fs::write(&path, bytes).unwrap();
    let output = ggauge(folder.path(), &["run", path.to_str().unwrap(), "--offline"]);
    let message = clean(&stderr(&output), folder.path());
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(stdout(&output), "");
    assert_golden(&format!("error-{name}"), &message);
}

#[rstest]
#[case::missing("missing", &["run", "FOLDER/no-such.gguf"])]
#[case::directory("directory", &["run", "FOLDER"])]
#[case::token_beyond("token-beyond-vocabulary", &["run", "llama/f32@0", "--tokens", "1,320"])]
#[case::filter("filter-without-match", &["run", "llama/f32@0", "--filter", "no-such-case"])]
#[case::bad_filter("filter-invalid", &["run", "llama/f32@0", "--filter", "a["])]
#[case::expectations("expectations-missing", &["run", "llama/f32@0", "--expectations", "FOLDER/none.toml"])]
#[case::fetch("fetch-unknown", &["fetch", "llama-7b"])]
fn bad_arguments_are_answered_with_the_next_step(#[case] name: &str, #[case] arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<String> = arguments.iter().map(|a| a.replace("FOLDER", &folder.path().display().to_string())).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = ggauge(folder.path(), &arguments);
    let message = clean(&stderr(&output), folder.path());
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_golden(&format!("error-{name}"), &message);
}

#[test]
fn a_prompt_beyond_the_context_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ids = vec!["5"; 513].join(",");
    let output = ggauge(folder.path(), &["run", "llama/f32@0", "--tokens", &ids]);
    assert_eq!(output.status.code(), Some(2));
    assert_golden("error-prompt-beyond-context", &stderr(&output));
}

#[test]
fn an_empty_prompt_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = ggauge(folder.path(), &["run", "llama/f32@0", "--tokens", ""]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--tokens"), "{}", stderr(&output));
}

/// Every subject says in its own words that it does not know the architecture; nothing is judged.
#[test]
fn an_unknown_architecture_is_unsupported_by_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unknown.gguf");
    fs::write(&path, architecture("quux")).unwrap();
    let output =
        ggauge(folder.path(), &["run", path.to_str().unwrap(), "--subject", "llama-cpp@cpu", "--subject", "candle@cpu"]);
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(4), "{table}{}", stderr(&output));
    assert!(table.contains("unknown model architecture: 'quux'"), "{table}");
    assert!(table.contains("candle does not load architecture `quux`"), "{table}");
}

/// A folder that everybody may use, with a copy of the executable: root may read everything, so it has to become nobody.
fn as_nobody(folder: &Path) -> Command {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.join("ggauge");
    fs::copy(GGAUGE, &program).unwrap();
    let mut command = Command::new(program);
    if rustix::process::getuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

#[test]
fn an_unreadable_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.gguf");
    fs::write(&path, model()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let output = as_nobody(folder.path())
        .args(["run", path.to_str().unwrap()])
        .env("GGAUGE_CACHE", folder.path().join("cache"))
        .output();
    let output = output.unwrap();
    let message = clean(&stderr(&output), folder.path());
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_golden("error-unreadable", &message);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o555)).unwrap();
    let output = as_nobody(folder.path()).args(["run", "llama/f32@0"]).env("GGAUGE_CACHE", &cache).output().unwrap();
    let message = clean(&stderr(&output), folder.path());
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert_golden("error-cache-read-only", &message);
}

/// A full disk, as a limit on the size of files: tiny models fit, a transcript of 500 positions does not.
#[test]
fn a_full_disk_is_an_error_that_says_so_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<String> = (0..500).map(|i| (i % 300).to_string()).collect();
    let script = format!("ulimit -f 550; exec {GGAUGE} run llama/q4_0@0 --subject candle@cpu --tokens {}", ids.join(","));
    let output = Command::new("bash").args(["-c", &script]).env("GGAUGE_CACHE", folder.path()).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{message}{}", stdout(&output));
    assert!(message.contains("the transcript of") && message.contains("File too large"), "{message}");
    assert!(message.contains("next: free some space"), "{message}");
    assert_eq!(fs::read_dir(folder.path().join("scratch")).unwrap().count(), 0, "scratch files are left");
}

fn wait_for(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        if let Ok(text) = fs::read_to_string(path)
            && !text.is_empty()
        {
            return text;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{} was never written", path.display());
}

/// Ctrl-C while a worker hangs: exit code 130, the worker is gone, the scratch folder too.
#[test]
fn an_interrupt_ends_the_workers_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let worker = format!("fake@cpu=exec {} hang --pid {}", fake_subject().display(), pid.display());
    let mut child = Command::new(GGAUGE)
        .args(["run", "llama/f32@0", "--worker", &worker])
        .env("GGAUGE_CACHE", folder.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let worker = PathBuf::from(format!("/proc/{}", wait_for(&pid)));
    // Give it time to get to the case that hangs.
    thread::sleep(Duration::from_millis(1500));
    assert!(worker.exists());
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let started = Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(10));
    // Dead, and taken away by whoever is the parent of those whose parent has ended.
    while worker.exists() && started.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!worker.exists(), "the worker is still there");
    assert_eq!(fs::read_dir(folder.path().join("scratch")).unwrap().count(), 0, "scratch files are left");
}

#[test]
fn help_names_every_exit_code() {
    use ggauge::exit;
    let help = stdout(&ggauge(Path::new("/"), &["--help"]));
    for code in [exit::SUCCESS, exit::FAILED, exit::BAD_INPUT, exit::HARNESS, exit::NOTHING_JUDGED, exit::INTERRUPTED] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{code} "))), "{code} is not in --help");
    }
}

#[test]
fn subjects_are_listed_with_reasons_for_those_that_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = ggauge(folder.path(), &["subjects", "--json"]);
    let list: Vec<record::SubjectRecord> = serde_json::from_slice(&output.stdout).unwrap();
    let find = |name: &str| list.iter().find(|subject| subject.subject.to_string() == name).unwrap();
    for name in ["llama-cpp@cpu", "candle@cpu", "reference@f64"] {
        let subject = find(name);
        assert_eq!(subject.unavailable, None, "{name}");
        assert!(!subject.description.runtime.is_empty() && !subject.description.device.is_empty(), "{subject:?}");
    }
    for name in ["llama-cpp@vulkan0", "llama-cpp@cuda0", "llama-cpp@metal", "candle@cuda0", "candle@metal"] {
        let subject = find(name);
        assert!(subject.unavailable.is_some() || !subject.description.runtime.is_empty(), "{subject:?}");
    }
}

/// Two runs of the same thing give the same Record, to the byte; what differs lies beside it.
#[test]
fn two_runs_give_the_same_record() {
    let record = || {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("record");
        let arguments =
            ["run", "llama/q4_k@0", "gemma3/f32@0", "--subject", "llama-cpp@cpu", "--subject", "candle@cpu", "--record"];
        let output = ggauge(folder.path(), &[&arguments[..], &[out.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
        assert!(out.join("timings.json").exists() && out.join("logs").exists());
        fs::read(out.join("record.json")).unwrap()
    };
    let first = record();
    assert!(first.len() > 1000);
    assert_eq!(first, record());
}

/// The table of a run with everything in it that a table can have.
#[test]
fn the_report_reads_well() {
    let folder = tempfile::tempdir().unwrap();
    let worker = format!("fake@cpu=exec {} top-logit", fake_subject().display());
    let subjects = ["--subject", "llama-cpp@cpu", "--subject", "candle@cpu", "--subject", "candle@metal"];
    let arguments = ["run", "llama/f32@0", "gemma3/q4_0@0", "--worker", &worker, "--settings", "strict"];
    let output = ggauge(folder.path(), &[&arguments[..], &subjects].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    // Digits differ between processors; words and layout do not.
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d\.\d+e[-+]?\d+|\b\d+\.\d+\b", "[n]");
    settings.add_filter(r"\d+/\d+ \(\d+\)", "[n]/[n] ([n])");
    settings.add_filter(r"at position \d+", "at position [n]");
    settings.add_filter(r" +", " ");
    settings.add_filter(r"─+", "─");
    let report = stdout(&output).replace(&fake_subject().display().to_string(), "FAKE-SUBJECT");
    settings.bind(|| assert_golden("report", &report));
}
