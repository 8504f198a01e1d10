//! Records against Records, and releases against releases. What a real upgrade finds is not tested here: it needs builds that take
//! minutes.

use crate::support::{assert_golden, fake_subject, ggauge, id, policy, run, stderr, stdout};
use ggauge::exit;
use harness::worker::{launch::WorkerLimits, pool::Workers};
use indicatif::ProgressBar;
use policy::changes::Cause;
use printable::Form;
use record::{
    Record, Timings,
    changes::{self, Change},
    determinism::Aspect,
    upgrade::{RECORDS, REPORT, Ratio, Speed, UpgradeAdvice, UpgradeMeasured, UpgradeReport},
};
use report::upgrade::{UNEXPLAINED, show};
use rstest::rstest;
use std::{collections::BTreeMap, fs, path::Path};
use studies::{determinism, upgrade};
use supply::releases;
use vocabulary::{Judgement, Settings, Upshot};

/// The Record of a fake subject that behaves so, on two tiny models.
fn record_of(behaviour: &str) -> Record {
    let folder = tempfile::tempdir().unwrap();
    let commands = [("fake@cpu", behaviour)];
    run(folder.path(), &["llama/f32", "qwen2/q4_0"], &["fake@cpu"], &commands, Settings::Strict, &policy(""))
}

#[test]
fn the_same_again_is_identical() {
    let comparison = changes::compare(&record_of("honest"), &record_of("honest"));
    assert_eq!(comparison.totals, BTreeMap::from([(Change::Identical, 4)]));
    assert!(comparison.notes.is_empty(), "{:?}", comparison.notes);
    assert_eq!(comparison.upshot(), Upshot::Good);
}

#[rstest]
#[case::worse("honest", "top-logit", Change::Broken, Upshot::Bad)]
#[case::better("top-logit", "honest", Change::Fixed, Upshot::Good)]
#[case::wrong_in_another_way("top-logit", "shifted", Change::Changed, Upshot::Good)]
#[case::ends("honest", "abort", Change::Broken, Upshot::Bad)]
#[case::ends_as_before("abort", "abort", Change::Identical, Upshot::Good)]
#[case::ends_in_another_way("abort", "exit", Change::Changed, Upshot::Good)]
fn what_changed_is_told_apart(#[case] before: &str, #[case] after: &str, #[case] change: Change, #[case] upshot: Upshot) {
    let comparison = changes::compare(&record_of(before), &record_of(after));
    assert_eq!(comparison.totals, BTreeMap::from([(change, 4)]), "{before} to {after}");
    assert_eq!(comparison.upshot(), upshot);
}

/// A Record to which everything that can happen to a case happened.
fn changed(before: &Record) -> Record {
    let mut after = before.clone();
    after.subjects.clear();
    // Other bits, nearer to the limit.
    after.cases[0].logits = Some("0".repeat(64));
    if let Some(vocabulary::Verdict::Measured { checks, .. }) = &mut after.comparisons[0].verdict {
        for check in checks {
            check.measured += 0.25 * check.limit;
        }
    }
    after.comparisons[1].judgement = Judgement::Unsupported;
    after.comparisons[1].reason = Some("there is no kernel for it".into());
    let mut new = after.comparisons.pop().unwrap();
    new.id = "another/f32/ramp-8/single-shot/strict/fake@cpu".into();
    after.comparisons.push(new);
    after.models[0].sha256 = "1".repeat(64);
    after
}

#[test]
fn a_comparison_says_what_moved_and_what_is_not_there() {
    let before = record_of("honest");
    let comparison = changes::compare(&before, &changed(&before));
    let expected = [(Change::Within, 1), (Change::Gone, 2), (Change::New, 1), (Change::Identical, 1)];
    assert_eq!(comparison.totals, BTreeMap::from(expected));
    let moved = comparison.of(Change::Within);
    assert!((moved[0].drift() - 0.25).abs() < 1e-9, "{moved:?}");
    assert!(comparison.notes.iter().any(|note| note.starts_with("model llama f32")), "{:?}", comparison.notes);
    let sides = |form| report::changes::report(&comparison, form, false);
    assert_golden("compare-text", &sides(Form::Text));
    assert_golden("compare-markdown", &sides(Form::Markdown));
}

#[test]
fn the_command_compares_folders_and_refuses_what_is_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let before = record_of("honest");
    for (name, record) in [("before", &before), ("after", &changed(&before))] {
        let left = record::Folder { record, timings: &Timings::default(), logs: &[], picture: "" };
        left.write(&place(name)).unwrap();
    }
    let compare = |a: &Path, b: &Path, more: &[&str]| {
        ggauge(folder.path(), &[&["compare", a.to_str().unwrap(), b.to_str().unwrap()], more].concat())
    };
    let output = compare(&place("before"), &place("before/record.json"), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("4 identical to the bit"), "{}", stdout(&output));
    let output = compare(&place("before"), &place("after"), &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["totals"]["gone"], 2);

    let mut old = serde_json::to_value(&before).unwrap();
    old["schema"] = 2.into();
    fs::write(place("old.json"), old.to_string()).unwrap();
    fs::write(place("other.json"), "{}").unwrap();
    for (file, words) in [("old.json", "schema 2"), ("other.json", "missing field"), ("nowhere", "No such file")] {
        let output = compare(&place("before"), &place(file), &[]);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(stderr(&output).contains(words) && stderr(&output).contains("next: "), "{}", stderr(&output));
    }
}

fn judged(before: &Record, after: &Record, speed: Vec<Speed>) -> UpgradeReport {
    let releases =
        ["0.10.2", "0.11.1"].map(|version| releases::find(&format!("candle@{version}").parse().unwrap(), &[]).unwrap().0);
    let records = [before.clone(), after.clone()];
    upgrade::report(UpgradeMeasured { releases, records, speed, determinism: [Vec::new(), Vec::new()] }).unwrap()
}

#[test]
fn an_upgrade_is_judged_by_what_it_breaks_and_what_it_costs() {
    let (honest, wrong) = (record_of("honest"), record_of("top-logit"));
    let report = judged(&honest, &honest, Vec::new());
    assert_eq!((report.advice, report.upshot()), (UpgradeAdvice::Safe, Upshot::Good));
    assert_eq!(judged(&honest, &wrong, Vec::new()).advice, UpgradeAdvice::Breaking);
    assert_eq!(judged(&honest, &wrong, Vec::new()).upshot(), Upshot::Bad);
    let report = judged(&wrong, &honest, Vec::new());
    assert_eq!(report.advice, UpgradeAdvice::Review, "{:?}", report.reasons);
    // What nobody explained is said to be so.
    assert!(report.causes.iter().any(|cause| cause.reason.is_none()), "{:?}", report.causes);
    let text = show(&report, Form::Text, false);
    assert!(text.contains(UNEXPLAINED), "{text}");
    // Nothing compared is no reason to feel safe.
    let mut nothing = honest.clone();
    nothing.comparisons.clear();
    assert_eq!(judged(&nothing, &nothing, Vec::new()).upshot(), Upshot::NothingJudged);
    let speed = |ratio: f64, spread: (f64, f64)| {
        let same = Some(Ratio { before: 10.0, after: 10.0, ratio: 1.0, spread: (1.0, 1.0) });
        let decode = Some(Ratio { before: 10.0, after: 10.0 * ratio, ratio, spread });
        vec![Speed { model: "m".into(), prefill: same, decode, load: same, memory: same }]
    };
    let mut gone = speed(1.0, (1.0, 1.0));
    gone[0].decode = None;
    assert_eq!(judged(&honest, &honest, gone).advice, UpgradeAdvice::Review);
    for (ratio, spread, advice) in [
        (0.5, (0.4, 0.6), UpgradeAdvice::Review),
        (0.95, (0.9, 0.99), UpgradeAdvice::Safe),
        (0.8, (0.5, 1.1), UpgradeAdvice::Safe),
        (2.0, (1.9, 2.1), UpgradeAdvice::Safe),
    ] {
        assert_eq!(judged(&honest, &honest, speed(ratio, spread)).advice, advice, "{ratio}");
    }
}

#[test]
fn what_is_gained_and_lost_is_told_by_architecture_and_weights() {
    let all = record_of("honest");
    let mut less = all.clone();
    less.comparisons.retain(|comparison| comparison.model != "qwen2");
    assert_eq!(judged(&all, &less, Vec::new()).lost, ["qwen2 q4_0"]);
    let gained = judged(&less, &all, Vec::new());
    assert_eq!((gained.gained, gained.advice), (vec!["qwen2 q4_0".to_owned()], UpgradeAdvice::Review));
    // What was refused or ended did not run, although it could be judged.
    assert_eq!(judged(&record_of("abort"), &all, Vec::new()).gained, ["llama f32", "qwen2 q4_0"]);
}

/// Somebody who has found a cause need not run everything again to have it in the report.
#[test]
fn a_report_is_written_again_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let records = [record_of("honest"), record_of("shifted")];
    let number = Some(Ratio { before: 10.5, after: 11.0, ratio: 1.1, spread: (1.0, 1.2) });
    let speed = Speed { model: "m".into(), prefill: number, decode: number, load: number, memory: None };
    let report = judged(&records[0], &records[1], vec![speed]);
    for (record, name) in records.iter().zip(RECORDS) {
        fs::write(folder.path().join(name), record.to_json().unwrap()).unwrap();
    }
    let arguments = ["upgrade", "--markdown", "--again", folder.path().to_str().unwrap()];
    let output = ggauge(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2), "without its numbers it is no folder of an upgrade");
    let mut left = serde_json::to_value(&report).unwrap();
    // What follows from the rest is found out anew.
    (left["causes"], left["reasons"]) = (serde_json::Value::Null, serde_json::Value::Null);
    fs::write(folder.path().join(REPORT), left.to_string()).unwrap();
    let output = ggauge(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(exit::of(report.upshot()).into()), "{}", stderr(&output));
    assert_eq!(stdout(&output), show(&report, Form::Markdown, false).to_string());
}

/// The examples are whole, and nothing in them is without a cause.
#[test]
fn the_upgrades_that_are_shown_are_explained() {
    let folder = Path::new(crate::support::GOLDEN).join("upgrades");
    for runtime in ["candle", "llama-cpp"] {
        let text = fs::read_to_string(folder.join(format!("{runtime}.md"))).unwrap();
        assert!(text.starts_with(&format!("# {runtime} ")), "{runtime}");
        assert!(text.contains("### what changed, and why") && text.contains("### speed and memory"), "{runtime}");
        assert!(!text.contains(UNEXPLAINED), "{runtime}: put the cause into conformance/policy/changes.toml");
    }
}

/// Every row is about cases that some upgrade can have, and releases that are known.
#[test]
fn known_changes_are_of_known_releases() {
    let known = releases::known().unwrap();
    for cause in Cause::shipped().unwrap() {
        assert!(known.iter().any(|release| release.runtime == cause.runtime), "{cause:?}");
        assert!(cause.reason.trim().len() > 20, "{cause:?}");
    }
}

#[rstest]
#[case(&["candle"], "is no release")]
#[case(&["mistral@1.0.0"], "no runtime of this name")]
#[case(&["candle", "--path", "/nonexistent"], "none of the folders")]
#[case(&["candle@0.11.1", "--with", "serde=1.0.0"], "has no crate of this name")]
#[case(&["candle@0.11.1", "--from", "../0.10.2"], "is no release")]
fn an_upgrade_to_nothing_is_refused(#[case] arguments: &[&str], #[case] words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = ggauge(folder.path(), &[&["upgrade", "--offline"], arguments].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains(words) && stderr(&output).contains("next: "), "{}", stderr(&output));
}

/// What each runtime keeps to the bit, and what it does not.
#[test]
fn determinism_is_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut workers = Workers::plain(crate::support::GGAUGE.into(), folder.path());
    // `ggauge determinism` takes them all.
    let mut models = determinism::tiny_models(folder.path()).unwrap();
    models.retain(|(model, _)| model.name == "llama");
    assert_eq!(models.len(), 2);
    let subjects: Vec<_> = ["llama-cpp@cpu", "candle@cpu"]
        .iter()
        .flat_map(|subject| Settings::ALL.map(|settings| (id(subject), settings)))
        .collect();
    let bar = ProgressBar::hidden();
    let findings = determinism::measure(&mut workers, &models, &subjects, folder.path(), &bar).unwrap();
    for finding in &findings {
        assert!(finding.compared > 0, "{finding:?}");
        let always = matches!(finding.aspect, Aspect::InAProcess | Aspect::AcrossProcesses);
        assert!(finding.holds() || !always, "{finding:?}");
        assert!(finding.holds() || finding.worst_nmse > 0.0, "{finding:?}");
    }
    assert!(findings.iter().all(|finding| finding.failed.is_none() || finding.subject == id("candle@cpu")), "{findings:#?}");
}

/// A subject that is not deterministic is found to be so.
#[test]
fn a_subject_that_changes_its_mind_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let command = format!("exec {} undecided", fake_subject().display());
    let commands = BTreeMap::from([(id("fake@cpu"), command)]);
    let mut workers = Workers::new(crate::support::GGAUGE.into(), commands, WorkerLimits::default(), folder.path().into());
    let models: Vec<_> = determinism::tiny_models(folder.path()).unwrap().into_iter().take(1).collect();
    let subjects = [(id("fake@cpu"), Settings::Strict)];
    let bar = ProgressBar::hidden();
    let findings = determinism::measure(&mut workers, &models, &subjects, folder.path(), &bar).unwrap();
    let in_a_process = findings.iter().find(|finding| finding.aspect == Aspect::InAProcess).unwrap();
    assert_eq!((in_a_process.compared, in_a_process.same), (1, 0), "{in_a_process:?}");
    assert!(in_a_process.words().contains("1 of 1 differ"), "{}", in_a_process.words());
}
