//! Weights that are no numbers: `inspect` finds them, and `run` names them as the reason that nothing can be judged.

use crate::support::{ggauge, policy, run_models, stderr, stdout};
use gguf::{Draft, File, WeightType};
use indicatif::ProgressBar;
use machine::cache::Cache;
use rstest::rstest;
use std::{fs, path::Path};
use supply::models::Model;
use vocabulary::{Judgement, Outcome, Settings};

const NAN: [u8; 4] = f32::NAN.to_le_bytes();
const INFINITY: [u8; 4] = f32::NEG_INFINITY.to_le_bytes();

/// The F32 tiny Llama, with weights of a tensor replaced.
fn with_weights(folder: &Path, tensor: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let bytes = "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap();
    let mut draft = Draft::from(&File::strict(&bytes).unwrap());
    let found = draft.tensors.iter_mut().find(|found| found.name.as_ref() == tensor.as_bytes()).unwrap();
    change(found.data.to_mut());
    let path = folder.join("odd.gguf");
    fs::write(&path, draft.finish()).unwrap();
    path.to_str().unwrap().into()
}

fn put(data: &mut [u8], value: [u8; 4], indices: &[usize]) {
    for index in indices {
        data[index * 4..][..4].copy_from_slice(&value);
    }
}

#[rstest]
#[case::nan(NAN, "weight-nan", "NaN at index 17 (and 2 more)")]
#[case::infinity(INFINITY, "weight-infinite", "infinity at index 17 (and 2 more)")]
fn inspect_finds_what_is_no_number(#[case] value: [u8; 4], #[case] rule: &str, #[case] found: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = with_weights(folder.path(), "blk.0.ffn_down.weight", |data| put(data, value, &[17, 18, 40]));
    let output = ggauge(folder.path(), &["inspect", &path]);
    let text = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("not every weight is a number (rule {rule})")), "{text}");
    assert!(text.contains(&format!("{rule} (invalid), 3 times tensor `blk.0.ffn_down.weight` at byte ")), "{text}");
    assert!(text.contains(&format!("found {found}, expected a finite number")), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&ggauge(folder.path(), &["inspect", "--json", &path]).stdout).unwrap();
    let finding = json["findings"].as_array().unwrap().iter().find(|finding| finding["rule"] == rule).unwrap();
    assert_eq!((finding["times"].as_u64(), json["verdict"].as_str()), (Some(3), Some("invalid")));
    let bytes = fs::read(&path).unwrap();
    assert_eq!(&bytes[finding["offset"].as_u64().unwrap() as usize..][..4], value);
    // Its header alone keeps every rule.
    let output = ggauge(folder.path(), &["inspect", "--header-only", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let output = ggauge(folder.path(), &["rules", rule]);
    assert!(output.status.success() && stdout(&output).contains("`ggauge inspect` does"), "{}", stdout(&output));
}

/// Of every weight type that has a scale which can be no number, in a large tensor and at its very end.
#[test]
fn a_scale_that_is_no_number_is_found_in_every_weight_type() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = 0;
    for &weight_type in WeightType::ALL {
        let (len, size) = (weight_type.block_len() as u64, weight_type.block_bytes());
        let mut data = vec![1; size * 40_000];
        let at = data.len() - size;
        data[at..].fill(0xff);
        let mut draft = Draft::new();
        draft.str("general.architecture", "vector").u32("general.quantization_version", 2);
        draft.tensor("odd", &[len * 40, 1000], weight_type, data);
        let path = folder.path().join("odd.gguf");
        fs::write(&path, draft.finish()).unwrap();
        let output = ggauge(folder.path(), &["inspect", "--json", path.to_str().unwrap()]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = json["findings"].as_array().unwrap();
        let odd: Vec<_> = findings.iter().filter(|finding| finding["rule"].as_str().unwrap().starts_with("weight-")).collect();
        let is_whole =
            matches!(weight_type, WeightType::I8 | WeightType::I16 | WeightType::I32 | WeightType::I64 | WeightType::NVFP4);
        assert_eq!(odd.is_empty(), is_whole, "{weight_type}: {findings:?}");
        found += odd.len();
        for finding in odd {
            let block = finding["offset"].as_u64().unwrap() as usize;
            let begins = json["tensors"][0]["offset"].as_u64().unwrap() as usize;
            assert_eq!(block - begins, at, "{weight_type}: {finding}");
        }
    }
    assert!(found >= WeightType::ALL.len() - 5);
}

/// A bias of zeros is told and harms nothing; that no rule of the format is broken stays true.
#[test]
fn a_tensor_of_zeros_is_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_weights(folder.path(), "blk.1.attn_k.weight", |data| data.fill(0));
    let output = ggauge(folder.path(), &["inspect", &path]);
    let text = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("valid, with 1 finding: no rule of the format is broken") && text.contains("weight-zero (note), once"),
        "{text}"
    );
    assert!(text.contains("tensor `blk.1.attn_k.weight` at byte ") && text.contains("found nothing but zeros in "), "{text}");
}

/// Tensors upon each other make any number of weights of a small file: a scan of them would not end.
#[test]
fn weights_that_lie_upon_each_other_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector").tensor("a", &[1 << 20], WeightType::F32, vec![1; 4 << 20]);
    for number in 0..2000 {
        draft.tensor(&format!("b{number}"), &[1 << 20], WeightType::F32, Vec::new());
        draft.tensors.last_mut().unwrap().place = Some(0);
    }
    let path = folder.path().join("upon.gguf");
    fs::write(&path, draft.finish()).unwrap();
    let output = ggauge(folder.path(), &["inspect", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("no weight was looked at: tensors lie upon each other"), "{}", stdout(&output));
}

type Change<'a> = (&'a str, Option<([u8; 4], usize)>);

/// Each tensor counts once, whatever is wrong with it, and each kind of reason is named.
#[rstest]
#[case::two_in_one(
    &[("blk.0.ffn_down.weight", Some((NAN, 17))), ("blk.0.ffn_down.weight", Some((INFINITY, 18)))],
    "blk.0.ffn_down.weight holds NaN at index 17 and infinity at index 18"
)]
#[case::two_in_one_and_another(
    &[
        ("blk.0.ffn_down.weight", Some((NAN, 17))),
        ("blk.0.ffn_down.weight", Some((INFINITY, 18))),
        ("blk.1.ffn_down.weight", Some((NAN, 1))),
    ],
    "blk.0.ffn_down.weight holds NaN at index 17 and infinity at index 18, and 1 more tensor is like it"
)]
#[case::a_norm(&[("output_norm.weight", None)], "output_norm.weight holds nothing but zeros in 64 weights")]
#[case::unused(
    &[("token_embd.weight", Some((NAN, 5))), ("output.weight", None)],
    "token_embd.weight holds NaN at index 5; output.weight holds nothing but zeros in 20480 weights"
)]
#[case::nothing(&[], "")]
fn reasons_are_named_once(#[case] changes: &[Change<'_>], #[case] reason: &str) {
    let bytes = "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap();
    let mut draft = Draft::from(&File::strict(&bytes).unwrap());
    for (tensor, change) in changes {
        let found = draft.tensors.iter_mut().find(|found| found.name.as_ref() == tensor.as_bytes()).unwrap();
        let data = found.data.to_mut();
        match *change {
            Some((value, index)) => put(data, value, &[index]),
            None => data.fill(0),
        }
    }
    let bytes = draft.finish();
    let files = gguf::Split::from(File::lenient(&bytes).unwrap());
    let found = supply::weights::reason(&files, &ProgressBar::hidden()).unwrap();
    assert_eq!(found.unwrap_or_default(), reason);
}

/// What no runtime can be judged by is named, once, and the truth that took a while to compute stays in the cache.
#[rstest]
#[case::nan("blk.0.ffn_down.weight", Some(NAN), "blk.0.ffn_down.weight holds NaN at index 17 (and 2 more)")]
#[case::infinity("output_norm.weight", Some(INFINITY), "output_norm.weight holds infinity at index 17 (and 2 more)")]
#[case::zeros("output.weight", None, "output.weight holds nothing but zeros in ")]
fn run_names_odd_weights_as_the_reason(#[case] tensor: &str, #[case] value: Option<[u8; 4]>, #[case] reason: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = with_weights(folder.path(), tensor, |data| match value {
        Some(value) => put(data, value, &[17, 18, 40]),
        None => data.fill(0),
    });
    let cache = Cache::at(folder.path());
    let model = Model::open(Path::new(&path), None, None, &cache, &ProgressBar::hidden()).unwrap();
    let subjects = ["llama-cpp@cpu", "candle@cpu"];
    for _ in 0..2 {
        let record = run_models(folder.path(), vec![model.clone()], &subjects, &[], Settings::Default, &policy(""));
        // What the rules say that runtimes do: they load it.
        assert!(record.cases.iter().all(|case| matches!(case.outcome, Outcome::Completed { .. })), "{:?}", record.cases);
        for comparison in &record.comparisons {
            let judged = (comparison.judgement, comparison.oracle);
            assert!(matches!(judged.0, Judgement::Vacuous | Judgement::Unsupported), "{}: {judged:?}", comparison.id);
            assert!(
                comparison.reason.as_ref().is_some_and(|it| it.starts_with(reason)),
                "{}: {:?}",
                comparison.id,
                comparison.reason
            );
            assert!(comparison.blame.is_empty());
        }
        let style = report::Style { color: false, verbose: false };
        let text = report::findings(&record, style);
        assert_eq!(text.matches(reason).count(), 1, "{text}");
        let transcripts = fs::read_dir(cache.reference().unwrap()).unwrap().flatten();
        let kept = transcripts.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "safetensors")).count();
        assert_eq!(kept, 1, "the exact transcript stays");
    }
}
