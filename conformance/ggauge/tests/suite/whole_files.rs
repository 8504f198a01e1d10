//! A model is all of its files, its header comes first, and a hash is taken once.

use crate::support::{GGAUGE, ggauge, id, ramp, settle, stderr, stdout, wait_until_it_listens};
use gguf::{Draft, File, Value};
use harness::worker::pool::Workers;
use indicatif::ProgressBar;
use machine::{cache::Cache, files::Stamp};
use rstest::{Context, rstest};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};
use studies::determinism;
use supply::models::Model;
use vocabulary::Settings;

/// The tiny model of a recipe, split into three files, of which the first has keys and no tensor.
fn split(recipe: &str, folder: &Path) -> [PathBuf; 3] {
    let bytes = recipe.parse::<smith::Recipe>().unwrap().build().unwrap();
    let mut first = Draft { tail: None, ..Draft::from(&File::strict(&bytes).unwrap()) };
    first.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    let total = first.tensors.len();
    let mut parts = [first, Draft::new(), Draft::new()];
    parts[2].tensors = parts[0].tensors.split_off(total / 2);
    parts[1].tensors = std::mem::take(&mut parts[0].tensors);
    let paths = [1, 2, 3].map(|number| folder.join(format!("tiny-0000{number}-of-00003.gguf")));
    for (number, (mut part, path)) in parts.into_iter().zip(&paths).enumerate() {
        part.value("split.no", Value::U16(number as u16)).value("split.count", Value::U16(3));
        part.value("split.tensors.count", Value::I32(total as i32));
        fs::write(path, part.finish()).unwrap();
    }
    paths
}

fn run(cache: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = ggauge(cache, &[&["run", "--json", "--offline", "--tokens", "1,2,3,4,5,6,7,8"][..], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
}

/// Split or whole, a model's numbers are the same: the reference and llama.cpp read all files, and candle says that it does not.
#[test]
fn a_split_model_runs_from_its_first_file() {
    let folder = tempfile::tempdir().unwrap();
    let paths = split("llama/q4_0@0", folder.path());
    let whole = folder.path().join("whole.gguf");
    fs::write(&whole, "llama/q4_0@0".parse::<smith::Recipe>().unwrap().build().unwrap()).unwrap();
    let of_split = run(folder.path(), &[paths[0].to_str().unwrap(), "--subject", "llama-cpp@cpu", "--subject", "candle@cpu"]);
    let of_whole = run(folder.path(), &[whole.to_str().unwrap(), "--subject", "llama-cpp@cpu", "--subject", "candle@cpu"]);
    let model = &of_split["models"][0];
    let together: Vec<u8> = paths.iter().flat_map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(model["sha256"].as_str().unwrap(), machine::files::digest(&together));
    assert_eq!(model["name"], "tiny");
    for what in ["architecture", "family", "output_bytes", "vocabulary_size", "weights"] {
        assert_eq!(model[what], of_whole["models"][0][what], "{what}");
    }
    let mut counts = (0, 0, 0);
    for comparison in of_split["comparisons"].as_array().unwrap() {
        let id = comparison["id"].as_str().unwrap();
        if id.contains("-exact/") {
            // Which is one file, so that candle runs it too.
            assert_eq!(comparison["judgement"], "pass", "{comparison}");
            counts.2 += 1;
        } else if id.contains("candle") {
            assert_eq!(comparison["judgement"], "unsupported", "{comparison}");
            assert!(comparison["reason"].as_str().unwrap().contains("candle's quantised models read one file"), "{comparison}");
            counts.0 += 1;
        } else {
            assert_eq!(comparison["judgement"], "pass", "{comparison}");
            let same = |other: &&serde_json::Value| other["id"].as_str().unwrap() == id.replace("tiny/", "whole/");
            let other = of_whole["comparisons"].as_array().unwrap().iter().find(same).unwrap();
            assert_eq!(comparison["noise"], other["noise"], "the reference has the same weights");
            counts.1 += 1;
        }
    }
    assert_eq!(counts, (4, 2, 6));
}

/// Determinism is measured on split models too, of who runs them.
#[test]
fn determinism_of_a_split_model_is_measured_or_unsupported_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let [path, ..] = split("llama/q4_0@0", folder.path());
    let bar = ProgressBar::hidden();
    let model = Model::open(&path, None, None, &Cache::at(folder.path()), &bar).unwrap();
    let mut workers = Workers::plain(GGAUGE.into(), folder.path());
    let subjects = ["llama-cpp@cpu", "candle@cpu"].map(|subject| (id(subject), Settings::Default));
    let findings = determinism::measure(&mut workers, &[(model, ramp(8))], &subjects, folder.path(), &bar).unwrap();
    assert_eq!(findings.len(), 8);
    for finding in findings {
        if finding.subject == id("candle@cpu") {
            assert_eq!((finding.words().as_str(), finding.failed), ("unsupported", None));
            assert!(finding.unsupported.unwrap().contains("candle's quantised models read one file"));
        } else {
            assert!(finding.compared > 0 && finding.failed.is_none(), "{finding:?}");
        }
    }
}

/// The file of a split model with another number in its keys.
fn with_split_number(path: &Path, number: Value<'_>) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let mut draft = Draft { tail: None, ..Draft::from(&File::strict(&bytes).unwrap()) };
    draft.keys.retain(|key| key.key.as_ref() != b"split.no");
    draft.value("split.no", number);
    draft.finish()
}

/// What is no first file of a whole split model is told as what it is, by every command that takes a file.
#[rstest]
#[case::second_file("it is file 2 of 3 of a split model", "tiny-00001-of-00003.gguf")]
#[case::renamed(
    "it is file 1 of 3 of a split model under a name that says otherwise",
    "give it its name back, PREFIX-00001-of-00003.gguf"
)]
#[case::other_number("it is file 3 of 3 of a split model under a name that says otherwise", "PREFIX-00003-of-00003.gguf")]
#[case::glued("several GGUF files glued together, of which the second begins at byte ", "llama-gguf-split --merge")]
#[case::glued_as_the_first(
    "several GGUF files glued together, of which the second begins at byte ",
    "llama-gguf-split --merge"
)]
#[case::missing("tiny-00002-of-00003.gguf the system says: No such file", "put all files of the split model into one folder")]
#[case::glued_second("several GGUF files glued together, of which the second begins at byte ", "llama-gguf-split --merge")]
#[case::swapped("it is file 3 of 3 of a split model under a name that says otherwise", "PREFIX-00003-of-00003.gguf")]
#[case::whole_second("it is a whole model under the name of file 2 of 3 of a split one", "give it a name without `-00002-of-`")]
#[case::foreign("split.tensors.count ", "put the files of one split model together")]
#[case::number_is_a_text("split.no", "split the model again with llama.cpp's `llama-gguf-split`")]
#[case::number_of_the_second_is_a_text("split.no", "split the model again with llama.cpp's `llama-gguf-split`")]
#[case::whole("it is a whole model under the name of file 1 of 3 of a split one", "give it a name without `-00001-of-`")]
fn files_of_a_split_model_have_their_own_words(#[context] context: Context, #[case] why: &str, #[case] next: &str) {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, third] = split("llama/f32@0", folder.path());
    let glued: Vec<u8> = [&first, &second, &third].into_iter().flat_map(|path| fs::read(path).unwrap()).collect();
    let case = context.description.unwrap();
    let path = match case {
        "second_file" => second,
        "renamed" => {
            let path = folder.path().join("model.gguf");
            fs::rename(first, &path).unwrap();
            path
        }
        "other_number" => {
            fs::rename(third, &second).unwrap();
            second
        }
        "glued" => {
            let path = folder.path().join("model.gguf");
            fs::write(&path, glued).unwrap();
            path
        }
        "glued_second" => {
            let two: Vec<u8> = [&second, &third].into_iter().flat_map(|path| fs::read(path).unwrap()).collect();
            fs::write(&second, two).unwrap();
            first
        }
        "swapped" => {
            let of_second = fs::read(&second).unwrap();
            fs::rename(&third, &second).unwrap();
            fs::write(&third, of_second).unwrap();
            first
        }
        "whole_second" => {
            fs::write(&second, "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap()).unwrap();
            first
        }
        "foreign" => {
            let other = with_split_number(&first, Value::U16(1));
            fs::write(&second, other).unwrap();
            first
        }
        "number_is_a_text" => {
            let bytes = with_split_number(&second, Value::String(b"1"));
            fs::write(&second, bytes).unwrap();
            second
        }
        "number_of_the_second_is_a_text" => {
            let bytes = with_split_number(&second, Value::String(b"1"));
            fs::write(&second, bytes).unwrap();
            first
        }
        "glued_as_the_first" => {
            fs::write(&first, glued).unwrap();
            first
        }
        "missing" => {
            fs::remove_file(second).unwrap();
            first
        }
        "whole" => {
            fs::write(&first, "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap()).unwrap();
            fs::remove_file(second).unwrap();
            first
        }
        other => panic!("{other}"),
    };
    let path = path.to_str().unwrap();
    for arguments in [&["run", "--offline", path][..], &["tokenize", path, "text"]] {
        let output = ggauge(folder.path(), arguments);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(why) && message.contains(next), "{arguments:?}: {message}");
    }
    // Any file stands for all here, so a second one is none of these.
    let output = ggauge(folder.path(), &["inspect", path]);
    let text = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    let (code, words) = match case {
        "second_file" => (0, "valid: no rule of the format is broken"),
        "missing" => (1, "`tiny-00002-of-00003.gguf`: found no such file"),
        _ => (1, why.strip_prefix("it is ").unwrap_or(why)),
    };
    assert_eq!(output.status.code(), Some(code), "{text}");
    let rule = if words == "split.no" { "split-keys (invalid)" } else { "split-shards (invalid)" };
    assert!(text.contains(words) && (code == 0 || text.contains(rule)), "{text}");
}

#[test]
fn a_file_that_is_only_a_vocabulary_is_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap();
    let mut draft = Draft { tail: None, ..Draft::from(&File::strict(&bytes).unwrap()) };
    draft.tensors.clear();
    let path = folder.path().join("vocabulary.gguf");
    fs::write(&path, draft.finish()).unwrap();
    let path = path.to_str().unwrap();
    let [alone, with_weights] = [path, "llama/f32@0"].map(|model| ggauge(folder.path(), &["tokenize", model, "ab"]));
    assert!(alone.status.success(), "{}", stderr(&alone));
    assert!(stdout(&alone).starts_with('[') && stdout(&alone) == stdout(&with_weights), "{}", stdout(&alone));
    let output = ggauge(folder.path(), &["inspect", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("only a vocabulary, of which no tensor is asked"), "{}", stdout(&output));
    let output = ggauge(folder.path(), &["run", path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("it is only a vocabulary") && stderr(&output).contains("`ggauge tokenize`"),
        "{}",
        stderr(&output)
    );
}

/// A sparse file of 4 TiB, whose first bytes are these.
fn huge(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(4 << 40).unwrap();
}

/// Of a file that is wrong the header says so, and of 4 TiB nothing is read. `inspect` reads the weights that the header has.
#[test]
fn a_wrong_file_is_refused_before_it_is_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.gguf");
    let mut draft = Draft::new();
    draft.u32("general.quantization_version", 2);
    huge(&path, &draft.finish());
    let started = Instant::now();
    let output = ggauge(folder.path(), &["run", "--offline", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("general.architecture"), "{}", stderr(&output));
    huge(&path, &"llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap());
    let output = ggauge(folder.path(), &["inspect", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    // Reading 4 TiB takes an hour.
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
}

/// Whoever has to hash 4 TiB can be told to stop; so can whoever looks at 2 TiB of weights.
#[rstest]
#[case::run("run")]
#[case::inspect("inspect")]
fn long_reading_is_interrupted_at_once(#[case] command: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.gguf");
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector");
    draft.tensor("token_embd.weight", &[1 << 19, 1 << 20], gguf::WeightType::F32, Vec::new());
    huge(&path, &draft.finish());
    let mut child = Command::new(GGAUGE)
        .args([command, path.to_str().unwrap()])
        .env("GGAUGE_CACHE", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_it_listens(&child);
    assert!(child.try_wait().unwrap().is_none(), "{command} ended before it could be interrupted");
    let interrupted = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(interrupted.elapsed() < Duration::from_secs(10), "{:?}", interrupted.elapsed());
}

/// Whoever waits for a large file to be hashed is told so; a small one is not worth a word.
#[rstest]
#[case::large(65 << 20, "hashing large.gguf: 64.00 MiB of 65.00 MiB")]
#[case::small(1 << 20, "")]
fn long_hashing_is_told(#[case] bytes: u64, #[case] message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.gguf");
    fs::File::create(&path).unwrap().set_len(bytes).unwrap();
    let bar = ProgressBar::hidden();
    Cache::at(folder.path()).sha256(&[&path], &bar).unwrap();
    assert_eq!(bar.message(), message);
}

/// Makes a note of a hash say another, which it gives.
fn remember_otherwise(note: &Path) -> String {
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(note).unwrap()).unwrap();
    let stamps: Vec<Stamp> = serde_json::from_value(kept["stamps"].clone()).unwrap();
    let sha256 = "ab".repeat(32);
    let crc32 = crc32fast::hash(&serde_json::to_vec(&(&stamps, &sha256)).unwrap());
    fs::write(note, serde_json::json!({ "stamps": stamps, "sha256": sha256, "crc32": crc32 }).to_string()).unwrap();
    sha256
}

/// A hash is remembered while nothing about the file changes, and not where a change could have left no trace.
#[test]
fn a_hash_is_taken_once_and_again_after_any_change() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let path = folder.path().join("file");
    let bar = ProgressBar::hidden();
    let notes = || fs::read_dir(folder.path().join("hashes")).map_or(0, Iterator::count);
    let hash = |path: &Path| cache.sha256(&[path], &bar).unwrap();
    let write = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
    write(b"one");
    // As if it were written right now, however busy the machine is.
    fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() + Duration::from_mins(1)).unwrap();
    assert_eq!(hash(&path), machine::files::digest(b"one"));
    assert_eq!(notes(), 0, "what was just written may change again within the same tick of the clock");
    write(b"two");
    assert_eq!(hash(&path), machine::files::digest(b"two"));
    settle(&path);
    assert_eq!(hash(&path), machine::files::digest(b"two"));
    assert_eq!(notes(), 1);
    // That it is remembered shows where the note says something else.
    let note = fs::read_dir(folder.path().join("hashes")).unwrap().next().unwrap().unwrap().path();
    let remembered = remember_otherwise(&note);
    assert_eq!(hash(&path), remembered);
    // A link leads to the same file; a copy is another.
    let (link, copy) = (folder.path().join("link"), folder.path().join("copy"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    fs::copy(&path, &copy).unwrap();
    assert_eq!((hash(&link), hash(&copy)), (remembered, machine::files::digest(b"two")));
    // Other bytes of the same length, with the time of before: only the time of the change itself tells.
    let before = Stamp::of(&path).unwrap();
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(1)).unwrap();
    file.write_all(b"X").unwrap();
    file.set_modified(times).unwrap();
    drop(file);
    assert_eq!(Stamp::of(&path).unwrap().modified, before.modified);
    assert_eq!(hash(&path), machine::files::digest(b"tXo"));
    // And who wants to know for sure forgets first.
    settle(&path);
    assert_eq!(hash(&path), machine::files::digest(b"tXo"));
    let remembered = remember_otherwise(&note);
    assert_eq!(hash(&path), remembered);
    cache.forget(&[&path]);
    assert_eq!(hash(&path), machine::files::digest(b"tXo"));
}
