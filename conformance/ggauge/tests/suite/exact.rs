//! The exact form of a model that somebody gives: made by `run`, judged in strict settings, and far sharper than the model as it is.

use crate::support::{ggauge, id, stderr, stdout};
use record::Record;
use std::{fs, path::Path};
use vocabulary::{Judgement, Oracle, Settings, Verdict};

/// A tiny model as a file that somebody gives.
fn given(folder: &Path, recipe: &str) -> String {
    let path = folder.join("given.gguf");
    fs::write(&path, recipe.parse::<smith::Recipe>().unwrap().build().unwrap()).unwrap();
    path.to_str().unwrap().into()
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, Record) {
    let output =
        ggauge(folder, &[&["run", "--json", "--subject", "llama-cpp@cpu", "--subject", "candle@cpu"], arguments].concat());
    let record = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}{}", stdout(&output), stderr(&output)));
    (output.status.code(), record)
}

#[test]
fn every_architecture_is_judged_in_its_exact_form_too() {
    for architecture in reference::architectures::known() {
        let folder = tempfile::tempdir().unwrap();
        let (code, record) = run(folder.path(), &[&given(folder.path(), &format!("{architecture}/q4_0"))]);
        let model =
            record.models.iter().find(|model| model.exact).unwrap_or_else(|| panic!("{architecture} has no exact form"));
        let found = record.comparisons.iter().filter(|c| c.weights == model.weights && c.oracle == Oracle::Reference);
        let of_llama_cpp: Vec<_> = found.filter(|c| c.candidate == id("llama-cpp@cpu")).collect();
        assert!(!of_llama_cpp.is_empty(), "{architecture}");
        for comparison in of_llama_cpp {
            assert_eq!((comparison.judgement, comparison.settings), (Judgement::Pass, Settings::Strict), "{}", comparison.id);
            assert!(comparison.reproduce.contains("--settings strict"), "{}", comparison.reproduce);
        }
        assert_eq!(code, Some(0), "{architecture}: {:?}", record.comparisons.iter().find(|c| c.judgement.is_bad()));
    }
}

#[test]
fn its_limits_are_far_below_those_of_the_model_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (_, record) = run(folder.path(), &[&given(folder.path(), "llama/q4_0")]);
    let largest = |exact: bool| {
        let of = |c: &&record::ComparisonRecord| c.oracle == Oracle::Reference && c.weights.ends_with("-exact") == exact;
        let limit = |c: &record::ComparisonRecord| match &c.verdict {
            Some(Verdict::Measured { checks, .. }) => checks.iter().find(|m| m.check == vocabulary::Check::Nmse).unwrap().limit,
            other => panic!("{other:?}"),
        };
        record.comparisons.iter().filter(of).map(limit).fold(0.0, f64::max)
    };
    let (exact, as_it_is) = (largest(true), largest(false));
    assert!(exact > 0.0 && exact < 1e-9 && as_it_is > 1e5 * exact, "{exact:e} {as_it_is:e}");
}

#[test]
fn none_is_made_where_none_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (code, record) = run(folder.path(), &[&given(folder.path(), "llama/q4_0"), "--exact-memory", "0"]);
    assert_eq!((code, record.models.len()), (Some(0), 1));
    assert!(record.comparisons.iter().all(|c| c.settings == Settings::Default));
    // What is run again is run the same way.
    assert!(
        record.comparisons.iter().all(|c| c.reproduce.contains(" --exact-memory 0")),
        "{}",
        record.comparisons[0].reproduce
    );
}
