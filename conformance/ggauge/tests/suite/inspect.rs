//! `ggauge inspect` and `ggauge rules`: what they print, and that nothing in a file can do harm to a terminal.

use crate::support::{assert_golden, ggauge, stderr, stdout};
use gguf::{Draft, File, Rule, Value, WeightType};
use indicatif::ProgressBar;
use machine::cache::Cache;
use report::layout::Layout;
use rstest::rstest;
use smith::Recipe;
use std::{
    fs,
    path::{Path, PathBuf},
};
use studies::inspection::{self, Reads};
use supply::{sources::Source, weights::WeightRule};

/// The tiny model of a recipe, with some rules broken.
fn broken(rules: &[Rule]) -> Vec<u8> {
    let bytes = "llama/q4_0@0".parse::<Recipe>().unwrap().build().unwrap();
    let mut draft = Draft::from(&File::strict(&bytes).unwrap());
    for &rule in rules {
        draft.break_rule(rule).unwrap();
    }
    draft.finish()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().into()
}

/// The tiny model as two files, of which the second says that there are `count`.
fn write_pair(folder: &Path, count: u16) -> [PathBuf; 2] {
    let bytes = "llama/q4_0@0".parse::<Recipe>().unwrap().build().unwrap();
    let whole = Draft::from(&File::strict(&bytes).unwrap());
    let mut first = Draft { tail: None, ..whole };
    first.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    let mut second = Draft::new();
    second.str("general.architecture", "llama").u32("general.quantization_version", 2);
    second.tensors = first.tensors.split_off(12);
    let total = (first.tensors.len() + second.tensors.len()) as i32;
    for (number, count, draft) in [(0, 2, &mut first), (1, count, &mut second)] {
        draft.value("split.no", Value::U16(number)).value("split.count", Value::U16(count));
        draft.value("split.tensors.count", Value::I32(total));
    }
    let path = |number| folder.join(format!("tiny-0000{number}-of-00002.gguf"));
    fs::write(path(1), first.finish()).unwrap();
    fs::write(path(2), second.finish()).unwrap();
    [path(1), path(2)]
}

/// A file of no known architecture with the tensors given as name and type, each of 32 elements.
fn of_tensors<N: AsRef<str>>(tensors: impl IntoIterator<Item = (N, WeightType)>) -> Vec<u8> {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector").u32("general.quantization_version", 2);
    for (name, weight_type) in tensors {
        draft.tensor(name.as_ref(), &[32], weight_type, vec![1; weight_type.row_bytes(32).unwrap() as usize]);
    }
    draft.finish()
}

#[test]
fn a_valid_file_reads_well() {
    let folder = tempfile::tempdir().unwrap();
    let output = ggauge(folder.path(), &["inspect", "llama/q4_0@0"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_golden("inspect-valid", &stdout(&output));
}

#[test]
fn findings_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let rules = [Rule::KeyDuplicate, Rule::StringNul, Rule::SpecialToken, Rule::FinalPadding];
    let path = write(folder.path(), "broken.gguf", &broken(&rules));
    let output = ggauge(folder.path(), &["inspect", &path]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_golden("inspect-findings", &stdout(&output));
}

#[test]
fn an_acceptable_file_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "acceptable.gguf", &broken(&[Rule::KeySnakeCase]));
    let output = ggauge(folder.path(), &["inspect", &path]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("acceptable, with 1 finding: ") && text.contains("key-snake-case (acceptable), once"), "{text}");
}

#[rstest]
#[case::refused("inspect-refused", &["inspect", "FOLDER/refused.gguf"])]
#[case::missing("inspect-missing", &["inspect", "FOLDER/no-such.gguf"])]
#[case::not_fetched("inspect-not-fetched", &["inspect", "gemma-3-270m"])]
#[case::rule("rules-unknown", &["rules", "no-such-rule"])]
fn wrong_input_is_answered_with_the_next_step(#[case] name: &str, #[case] arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "refused.gguf", &broken(&[Rule::KeyCount]));
    let root = folder.path().to_str().unwrap();
    let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace("FOLDER", root)).collect();
    let output = ggauge(folder.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert_golden(&format!("error-{name}"), &stderr(&output).replace(root, "FOLDER"));
}

#[test]
fn who_only_looks_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    for (file, code) in [("gemma-3-270m", 2), ("llama/q4_0@0", 0)] {
        let output = ggauge(&cache, &["inspect", file]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(!cache.exists(), "{file}");
    }
}

/// Whichever file is named, the model is read as one.
#[test]
fn a_split_model_is_one_model() {
    let folder = tempfile::tempdir().unwrap();
    let pair = write_pair(folder.path(), 2);
    let [first, second] = pair.map(|path| ggauge(folder.path(), &["inspect", path.to_str().unwrap()]));
    assert_eq!(first.status.code(), Some(0), "{}{}", stdout(&first), stderr(&first));
    assert_eq!(stdout(&first), stdout(&second));
    assert_golden("inspect-split", &stdout(&first));
}

#[test]
fn a_missing_sibling_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = write_pair(folder.path(), 2);
    fs::remove_file(&first).unwrap();
    let output = ggauge(folder.path(), &["inspect", "--json", second.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = &json["findings"][0];
    assert_eq!((&finding["rule"], &finding["field"]), (&"split-shards".into(), &"file `tiny-00001-of-00002.gguf`".into()));
    assert_eq!((&json["files"][0]["file"], &json["verdict"]), (&2.into(), &"invalid".into()));
}

#[test]
fn files_that_do_not_fit_together_are_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let [first, _] = write_pair(folder.path(), 3);
    let output = ggauge(folder.path(), &["inspect", first.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("split-shards (invalid), once") && text.contains("split.count 3"), "{text}");
}

#[test]
fn json_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "broken.gguf", &broken(&[Rule::KeyDuplicate]));
    let output = ggauge(folder.path(), &["inspect", "--json", &path]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let key = |name: &str| json["metadata"].as_array().unwrap().iter().find(|key| key["key"] == name).unwrap().clone();
    let tokens = key("tokenizer.ggml.tokens");
    assert_eq!(tokens["type"], "array");
    assert_eq!((&tokens["value"]["type"], &tokens["value"]["length"]), (&"string".into(), &320.into()));
    assert_eq!(tokens["value"]["values"].as_array().unwrap().len(), 64);
    // As it was written, and not the f64 that an f32 is equal to.
    assert_eq!(key("llama.attention.layer_norm_rms_epsilon")["value"], 1e-5);
    assert_eq!(json["tensors"].as_array().unwrap().len(), 21);
    assert_eq!(json["tensors"][0]["dimensions"], serde_json::json!([64, 320]));
    let finding = &json["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["severity"], &finding["times"]),
        (&"key-duplicate".into(), &"invalid".into(), &1.into())
    );
    for name in ["file", "offset", "field", "found", "expected"] {
        assert!(!finding[name].is_null(), "{name}");
    }
}

/// What a terminal would obey, or show as something else: escape sequences in both spellings, other controls, and a character
/// that turns the direction of text.
const HOSTILE: &str = "\x1b[31m\u{9b}2J\x07\r\n\u{202e}\x7f\t\"";

#[test]
fn hostile_text_is_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let mut draft = Draft::new();
    draft.str("general.architecture", HOSTILE).str(HOSTILE, HOSTILE).strings("list", &[HOSTILE]);
    draft.value(b"not utf-8 \xff\x9b", Value::String(b"\xff\x9b"));
    draft.tensor(HOSTILE, &[1], WeightType::F32, vec![0; 4]);
    let path = write(folder.path(), &format!("{}.gguf", HOSTILE.replace('/', "")), &draft.finish());
    for flags in [&[][..], &["--all"], &["--json"]] {
        let output = ggauge(folder.path(), &[&["inspect", &path][..], flags].concat());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let text = stdout(&output);
        let raw: Vec<char> = text.chars().filter(|&c| c != '\n' && (c.is_control() || c == '\u{202e}')).collect();
        assert!(raw.is_empty(), "{raw:?} in {text}");
        if flags == ["--json"] {
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&json["architecture"], &json["tensors"][0]["name"]), (&HOSTILE.into(), &HOSTILE.into()));
            assert_eq!(json["metadata"][3]["value"], serde_json::json!({ "hex": "ff9b" }));
        } else {
            assert!(text.contains(r"\u{1b}[31m\u{9b}2J"), "{text}");
        }
    }
}

#[test]
fn arrays_within_arrays_are_read_back_by_any_json_library() {
    let folder = tempfile::tempdir().unwrap();
    // As deep as a file may have them, and then one element.
    let (array, byte) = (9u32.to_le_bytes(), 0u32.to_le_bytes());
    let depth = 64;
    let mut value = Vec::new();
    for level in 1..=depth {
        value.extend(if level < depth { array } else { byte });
        value.extend(1u64.to_le_bytes());
    }
    value.push(7);
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector").key("vector.deep", 9, value);
    let path = write(folder.path(), "deep.gguf", &draft.finish());
    let output = ggauge(folder.path(), &["inspect", "--json", &path]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["metadata"][1]["value"]["values"][0]["type"], "array");
}

/// Of layers that are alike one is shown; of the others, what differs.
#[test]
fn layers_are_folded() {
    use WeightType::{F32, Q4_0, Q8_0};
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = vec![("token_embd.weight".to_owned(), F32)];
    for layer in 0..9 {
        let down = if layer % 4 == 3 { Q8_0 } else { Q4_0 };
        tensors.extend([(format!("blk.{layer}.attn_q.weight"), Q4_0), (format!("blk.{layer}.ffn_down.weight"), down)]);
        // The last one lacks a norm.
        tensors.extend((layer < 8).then(|| (format!("blk.{layer}.norm.weight"), F32)));
    }
    // Names that only look as if they had a layer.
    tensors.extend(
        ["blk.01.attn_q.weight", "blk.x.attn_q.weight", "myblk.0.a", "v.blk.0.a", "v.blk.1.a"].map(|n| (n.into(), F32)),
    );
    let path = write(folder.path(), "layers.gguf", &of_tensors(tensors));
    let folded = stdout(&ggauge(folder.path(), &["inspect", &path]));
    assert_golden("inspect-layers", &folded);
    let all = stdout(&ggauge(folder.path(), &["inspect", "--all", &path]));
    assert_eq!(all.lines().filter(|line| line.contains("blk.")).count(), 9 * 3 - 1 + 5, "{all}");
}

#[test]
fn a_long_table_is_cut_unless_all_of_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "long.gguf", &of_tensors((0..300).map(|n| (format!("t{n}"), WeightType::F32))));
    let cut = stdout(&ggauge(folder.path(), &["inspect", &path]));
    assert!(cut.contains(" t199 ") && !cut.contains(" t200 ") && cut.contains("and 100 more rows"), "{cut}");
    assert!(cut.contains("`--all` lists all 300 tensors"), "{cut}");
    let all = stdout(&ggauge(folder.path(), &["inspect", "--all", &path]));
    assert!(all.contains(" t299 ") && !all.contains("--all"), "{all}");
}

#[rstest]
fn tables_fit_the_terminal(#[values(60, 80, 132)] width: u16) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "broken.gguf", &broken(&[Rule::KeyDuplicate, Rule::TensorNameLength]));
    let source = Source::open(&path, &Cache::at(folder.path())).unwrap();
    let inspection = inspection::inspect(&source, Reads::Weights, &ProgressBar::hidden()).unwrap();
    for line in report::inspection::report(&inspection, Layout { width, all: true }).lines() {
        assert!(console::measure_text_width(line) <= usize::from(width), "{line}");
    }
}

#[test]
fn a_rule_is_told_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let output = ggauge(folder.path(), &["rules", "key-duplicate"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_golden("rules-key-duplicate", &stdout(&output));
}

#[test]
fn every_rule_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&ggauge(folder.path(), &["rules"]));
    let output = ggauge(folder.path(), &["rules", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let listed: Vec<&str> = json.as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    let of_weights = WeightRule::ALL.iter().map(|rule| rule.id());
    assert_eq!(listed, Rule::ALL.iter().map(|rule| rule.id()).chain(of_weights).collect::<Vec<_>>());
    for rule in Rule::ALL {
        assert!(text.contains(&format!("{rule} ({})\n    ", rule.severity().name())), "{rule}");
    }
    for runtime in ["llama.cpp", "candle"] {
        assert_eq!(json[0][runtime], "refuses the header");
    }
    let one = ggauge(folder.path(), &["rules", "--json", "magic"]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&one.stdout).unwrap(), json[0]);
}
