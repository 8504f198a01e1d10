//! The pinned models, downloaded by `ggauge fetch`. Ignored by default, because they need those files and minutes, not seconds;
//! `scripts/test` fetches them and runs these too.

use crate::{
    figures::ROOT,
    goldens::assert_outputs,
    support::{GGAUGE, id, stderr, stdout},
};
use figures::main_job::wrong_of_the_main_job;
use indicatif::ProgressBar;
use machine::cache::Cache;
use record::{ComparisonRecord, Record};
use std::{fs, path::Path, process::Command};
use supply::{manifests::Manifest, models::Model, prompts};
use vocabulary::{Check, Judgement, Oracle, Schedule, Settings, Verdict};

/// Runs `ggauge run` with the user's own cache, where the models and the reference's transcripts are.
fn run(arguments: &[&str]) -> (i32, String, Record, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("record");
    let output = Command::new(GGAUGE).arg("run").args(arguments).args(["--offline", "--record"]).arg(&out).output().unwrap();
    let json = fs::read(out.join("record.json")).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    (output.status.code().unwrap(), stdout(&output), serde_json::from_slice(&json).unwrap(), json)
}

fn measured(verdict: Option<&Verdict>, check: Check) -> f64 {
    match verdict {
        Some(Verdict::Measured { checks, .. }) => checks.iter().find(|m| m.check == check).unwrap().measured,
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "needs the downloaded models: ggauge fetch"]
fn the_main_job_judges_both_models_names_candle_and_gives_yesterdays_answers() {
    let (code, table, record, first) = run(&[]);
    assert_eq!(code, 0, "{table}");
    let as_they_are = || record.models.iter().filter(|model| !model.exact);
    assert_eq!((record.models.len(), as_they_are().count()), (4, 2), "each has an exact form");
    for comparison in &record.comparisons {
        let candles_gemma = comparison.model == "gemma-3-270m" && comparison.candidate == id("candle@cpu");
        // In every schedule and settings, against the truth and against llama.cpp.
        let expected = if candles_gemma { Judgement::ExpectedFail } else { Judgement::Pass };
        assert_eq!(comparison.judgement, expected, "{}", comparison.id);
        if comparison.judgement == Judgement::ExpectedFail {
            assert_eq!(comparison.blame, [id("candle@cpu")], "{}", comparison.id);
        }
    }
    let prompts = prompts::all().unwrap();
    let short = prompts.values().filter(|prompt| prompt.short).count();
    for model in &record.models {
        let of = |oracle: Oracle, subject: &str| {
            let is_it =
                |c: &&ComparisonRecord| c.model == model.name && c.weights == model.weights && c.candidate == id(subject);
            record.comparisons.iter().filter(is_it).filter(|c| c.oracle == oracle).count()
        };
        for subject in ["llama-cpp@cpu", "candle@cpu"] {
            // Of an exact form only short prompts are fed token by token.
            let cases = prompts.len() + if model.exact { short } else { prompts.len() };
            assert_eq!(of(Oracle::Reference, subject), cases, "{subject} on {} {}", model.name, model.weights);
        }
        assert_eq!(of(Oracle::Together, "llama-cpp@cpu"), if model.exact { 1 } else { 2 }, "{}", model.weights);
        let has_vulkan = of(Oracle::Reference, "llama-cpp@vulkan0") > 0;
        assert_eq!(has_vulkan, cfg!(feature = "vulkan") && !model.exact, "{} {}", model.name, model.weights);
    }
    // README shows this run.
    let wrong = wrong_of_the_main_job(Path::new(ROOT), &record).unwrap();
    assert!(wrong.is_empty(), "{}\nnext: scripts/figures main-job", wrong.join("\n"));
    // The same again is the same to the byte.
    let folder = tempfile::tempdir().unwrap();
    let outputs = folder.path().join("outputs");
    let (_, _, _, second) = run(&["--outputs", outputs.to_str().unwrap()]);
    assert!(first == second, "two runs gave two Records");
    assert_outputs(&outputs, &record.subjects);
}

#[test]
#[ignore = "needs the downloaded models: ggauge fetch"]
fn without_the_expectation_gemma_on_candle_fails_and_candle_is_named() {
    let arguments =
        ["gemma-3-270m", "--no-expectations", "--subject", "llama-cpp@cpu", "--subject", "candle@cpu", "--filter", "/no-bos/"];
    let (code, table, record, _) = run(&arguments);
    assert_eq!(code, 1);
    let failed: Vec<_> = record.comparisons.iter().filter(|c| c.judgement == Judgement::Fail).collect();
    for settings in [Settings::Default, Settings::Strict] {
        let by = |oracle: Oracle| {
            let of_both = failed.iter().filter(|c| c.oracle == oracle && c.settings == settings);
            of_both.map(|c| c.schedule).collect::<Vec<_>>()
        };
        assert_eq!(by(Oracle::Reference), Schedule::OF_EVERY_RUN, "candle against the reference, {settings}");
        assert_eq!(by(Oracle::Differential), Schedule::OF_EVERY_RUN, "candle against llama.cpp, {settings}");
    }
    assert!(failed.iter().all(|c| c.blame == [id("candle@cpu")]));
    assert!(table.contains("wrong against the exact reference: candle@cpu"), "{table}");
    assert!(table.contains("next: ggauge run gemma-3-270m"), "{table}");
}

/// Without rounded activations candle agrees with the reference on a real model: both are right, and what is left of the
/// differences elsewhere is rounding.
#[test]
#[ignore = "needs the downloaded models: ggauge fetch"]
fn smollm2_without_rounding_agrees_with_the_reference() {
    let arguments =
        ["smollm2-135m-instruct", "--settings", "strict", "--subject", "candle@cpu", "--filter", "/prose/token-by-token/"];
    let (code, table, record, _) = run(&arguments);
    assert_eq!(code, 0, "{table}");
    let comparison = &record.comparisons[0];
    assert_eq!(comparison.settings, Settings::Strict);
    let nmse = measured(comparison.verdict.as_ref(), Check::Nmse);
    assert!(nmse < 1e-9, "{nmse:e}");
}

#[test]
#[ignore = "needs the downloaded models: ggauge fetch"]
fn prompts_are_what_the_models_tokenizers_make_of_their_texts() {
    let cache = Cache::find().unwrap();
    for manifest in Manifest::all().unwrap() {
        let path = manifest.fetch(&cache, true, &ProgressBar::hidden()).unwrap();
        let model = Model::open(&path, Some(&manifest.name), None, &cache, &ProgressBar::hidden()).unwrap();
        for (name, prompt) in prompts::all().unwrap() {
            let text = if prompt.text.is_empty() {
                Vec::new()
            } else {
                let output = Command::new(GGAUGE).args(["tokenize", &manifest.name, &prompt.text]).output().unwrap();
                serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
            };
            assert_eq!(prompt.tokens[&manifest.name], prompt.assemble(model.bos, text), "{name} for {}", manifest.name);
        }
    }
}

/// A corrupt file and one cut short are noticed; without a network that is an error, not a model.
#[test]
#[ignore = "needs the downloaded models: ggauge fetch"]
fn a_corrupt_download_is_noticed_and_redone() {
    let manifest = Manifest::all().unwrap().into_iter().find(|manifest| manifest.name.starts_with("smollm2")).unwrap();
    let good = manifest.path(&Cache::find().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let path = manifest.path(&cache);
    cache.models().unwrap();
    fs::copy(good, &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    flipped[50_000_000] ^= 1;
    for broken in [&flipped[..], &bytes[..bytes.len() / 2]] {
        fs::write(&path, broken).unwrap();
        let error = manifest.fetch(&cache, true, &ProgressBar::hidden()).unwrap_err();
        assert!(error.to_string().contains("incomplete or corrupt"), "{error}");
    }
    let fetched = manifest.fetch(&cache, false, &ProgressBar::hidden()).unwrap();
    assert!(fs::read(fetched).unwrap() == bytes);
}
