//! Everything that fuzzing found, replayed in processes of their own: it must still end the way its sidecar says. And the seeds, which end
//! no process.

use crate::support::GGAUGE;
use fuzzing::{
    TARGETS,
    regressions::{self, Class, Engine, Promoted, Promotion, Regression},
};
use harness::worker::launch::WorkerLimits;
use rayon::prelude::*;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora").join(name)
}

fn shipped() -> Vec<Regression> {
    regressions::all(&folder("regressions")).unwrap()
}

/// The entries of `FINDINGS.md`: ids, and the texts below them.
fn entries(text: &str) -> Vec<(String, String)> {
    let entries = text.split("\n### ").skip(1);
    entries.map(|entry| (entry.split_whitespace().next().unwrap_or_default().to_owned(), entry.to_owned())).collect()
}

/// Time enough for a machine that is busy with other tests.
const PATIENT: WorkerLimits = WorkerLimits { time: Duration::from_mins(2), memory: 2 << 30 };

#[test]
fn every_regression_still_ends_as_its_sidecar_says() {
    let all = shipped();
    assert!(!all.is_empty(), "there is no regression to replay");
    let engine = Engine::Ordinary(GGAUGE.into());
    let wrong: Vec<String> =
        all.par_iter().filter_map(|regression| regressions::check(regression, &engine, PATIENT).unwrap()).collect();
    assert!(wrong.is_empty(), "{} of {} regressions:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

/// What a row says of a finding covers the input that shows it; otherwise fuzzing would stop at it again and again.
#[test]
fn fuzzing_goes_on_past_every_regression() {
    let engine = Engine::PassingOver(GGAUGE.into());
    shipped().par_iter().for_each(|regression| {
        let ending = regressions::run(&engine, &regression.target, &[&regression.input], PATIENT).unwrap();
        assert_eq!(ending.class, Class::Passes, "{} is not passed over: {}", regression.name(), ending.words);
    });
}

#[test]
fn regressions_and_findings_belong_together() {
    let text = fs::read_to_string(folder("regressions").join("FINDINGS.md")).unwrap();
    let entries = entries(&text);
    let ids: BTreeSet<&str> = entries.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), entries.len(), "an id stands twice");
    let all = shipped();
    for regression in &all {
        let finding = regression.sidecar.finding.as_str();
        assert!(ids.contains(finding), "{}: there is no entry {finding} in corpora/regressions/FINDINGS.md", regression.name());
        assert!(!regression.sidecar.place.is_empty() && !regression.sidecar.version.is_empty(), "{}", regression.name());
        let is_silent = regression.sidecar.says.is_empty();
        let may_be_silent = matches!(regression.sidecar.class, Class::Passes | Class::TimesOut | Class::ExceedsMemory);
        assert!(!is_silent || may_be_silent, "{}: nothing says which finding it is", regression.name());
        let seen_by_none = regression.sidecar.class == Class::Passes && regression.sidecar.sanitizer.is_empty();
        assert!(!seen_by_none, "{}: neither an ordinary build nor a sanitizer sees it", regression.name());
    }
    for (id, entry) in &entries {
        for label in ["shows", "severity", "cause", "effect", "upstream"] {
            let line = entry.lines().find_map(|line| line.strip_prefix(&format!("- {label}: ")));
            assert!(line.is_some_and(|line| !line.trim().is_empty()), "{id} has no line `- {label}: ...`");
        }
        let shown = all.iter().any(|regression| regression.sidecar.finding == *id);
        assert!(shown, "{id} is shown by no input: put the smallest one beside the others, or delete the entry");
    }
}

#[test]
fn rows_that_pass_over_findings_are_of_entries() {
    let mut ids: BTreeSet<String> = BTreeSet::new();
    for file in ["corpora/regressions/FINDINGS.md", "corpora/vectors/FINDINGS.md", "conformance/policy/FINDINGS.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)).unwrap();
        ids.extend(entries(&text).into_iter().map(|(id, _)| id));
    }
    for known in fuzzing::known::KNOWN {
        assert!(ids.contains(known.id), "{} is in no FINDINGS.md", known.id);
        let says_nothing = matches!(known.by, fuzzing::known::By::Words([]));
        assert!(!says_nothing, "{} would pass over everything", known.id);
    }
}

#[test]
fn seeds_end_no_process() {
    let mut count = 0;
    for target in &TARGETS {
        let mut inputs: Vec<PathBuf> = Vec::new();
        if let Ok(folder) = fs::read_dir(folder("seeds").join(target.name)) {
            inputs.extend(folder.map(|entry| entry.unwrap().path()));
        }
        assert!(!inputs.is_empty(), "{} has no seed", target.name);
        inputs.sort();
        // Each starts two runtimes; a few of them do for a test.
        if target.name == "logits_differential" {
            inputs.truncate(4);
        }
        count += inputs.len();
        let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
        // A hang is a finding, not a test that goes on for ever.
        let ending = regressions::run(&Engine::PassingOver(GGAUGE.into()), target.name, &inputs, PATIENT).unwrap();
        assert_eq!(ending.class, Class::Passes, "a seed of {} ends its process: {}", target.name, ending.words);
    }
    assert!(count > 100, "{count} seeds");
}

/// The others are held to the same where they stand.
#[test]
fn targets_with_workers_compare_something() {
    for target in TARGETS.iter().filter(|target| target.workers) {
        let mut seeds: Vec<PathBuf> =
            fs::read_dir(folder("seeds").join(target.name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        seeds.sort();
        seeds.truncate(2);
        let counts = tempfile::tempdir().unwrap();
        let mut replay = std::process::Command::new(GGAUGE);
        replay.args(["replay", target.name, "--pass-over-known"]).args(seeds);
        let output = replay.env(fuzzing::statistics::FOLDER, counts.path()).output().unwrap();
        assert!(output.status.success(), "{}: {output:?}", target.name);
        let file = fs::read_dir(counts.path()).unwrap().next().unwrap().unwrap().path();
        let counted = fs::read_to_string(file).unwrap();
        for name in target.compares {
            assert!(counted.contains(&format!("\"{name}\":")), "{} never counted `{name}`, but {counted}", target.name);
        }
    }
}

/// The lines of each hunk of a patch: what stands in the file before, with the file's path.
fn hunks(patch: &str) -> Vec<(String, String)> {
    let mut path = String::new();
    let mut hunks = Vec::new();
    for part in patch.split("\n@@ ").flat_map(|part| part.split("\ndiff ")) {
        if let Some(line) = part.lines().find_map(|line| line.strip_prefix("--- a/")) {
            line.clone_into(&mut path);
            continue;
        }
        // An editor may have taken the space away that stands before an empty line.
        let lines = part.lines().skip(1).filter(|line| !line.starts_with('+')).map(|line| line.get(1..).unwrap_or(""));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        if !path.is_empty() {
            hunks.push((path.clone(), text));
        }
    }
    hunks
}

#[test]
fn bugs_to_plant_fit_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut count = 0;
    for entry in fs::read_dir(root.join("fuzz/planted")).unwrap() {
        let path = entry.unwrap().path();
        let patch = fs::read_to_string(&path).unwrap();
        let label = |name: &str| patch.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let target = label("target: ").unwrap_or_default();
        assert!(fuzzing::target(target).is_some(), "{}: there is no target `{target}`", path.display());
        assert!(label("says: ").is_some_and(|words| !words.is_empty()), "{}: how it is recognised", path.display());
        let hunks = hunks(&patch);
        assert!(!hunks.is_empty(), "{} changes nothing", path.display());
        for (file, before) in hunks {
            let text = fs::read_to_string(root.join(&file)).unwrap();
            assert_eq!(text.matches(&before).count(), 1, "{}: {file} does not have this any more:\n{before}", path.display());
        }
        count += 1;
    }
    assert!(count >= 4, "{count} bugs");
}

#[test]
fn an_unexpected_pass_is_noticed_and_so_is_another_end() {
    let scratch = tempfile::tempdir().unwrap();
    let input = scratch.path().join("input.bin");
    // Nothing: every reader refuses it and goes on.
    fs::write(&input, b"").unwrap();
    let mut regression = shipped().swap_remove(0);
    regression.target = "header_ours".into();
    regression.input = input;
    (regression.sidecar.class, regression.sidecar.says) = (Class::Aborts, "GGML_ASSERT".into());
    let engine = Engine::Ordinary(GGAUGE.into());
    let words = regressions::check(&regression, &engine, PATIENT).unwrap().unwrap();
    assert!(words.contains("unexpected pass"), "{words}");
    regression.sidecar.class = Class::Passes;
    regression.sidecar.says = "something that nobody says".into();
    let words = regressions::check(&regression, &engine, PATIENT).unwrap().unwrap();
    assert!(words.contains("something that nobody says"), "{words}");
}

/// What has no words is told by its signal, and is kept where a fuzzer does not see it.
#[test]
fn a_crash_without_words_is_promoted_as_what_it_is() {
    let found = shipped().into_iter().find(|regression| regression.sidecar.finding == "LCPP-F12").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("regressions");
    let (ordinary, blind) = (Engine::Ordinary(GGAUGE.into()), Engine::Sanitized("true".into()));
    let promotion = Promotion {
        artifact: &found.input,
        target: &found.target,
        ordinary: &ordinary,
        sanitized: Some(&blind),
        folder: &into,
        tries: 4,
        limits: PATIENT,
    };
    let Promoted::New { cause, .. } = regressions::promote(&promotion).unwrap() else { panic!("it was not kept") };
    assert!(cause.starts_with("SIGSEGV "), "{cause}");
    let all = regressions::all(&into).unwrap();
    assert_eq!((all[0].sidecar.class, all[0].sidecar.says.as_str()), (Class::Crashes, "SIGSEGV"));
}

#[test]
fn promoting_makes_an_input_smaller_and_keeps_a_cause_once() {
    // A finding that an ordinary build shows in words, with bytes around it that nobody needs.
    let found = shipped().into_iter().find(|regression| regression.sidecar.finding == "LCPP-F08");
    let Some(found) = found else {
        panic!("LCPP-F08 has no input any more: take another that says something and ends in a whole letter")
    };
    let scratch = tempfile::tempdir().unwrap();
    let artifact = scratch.path().join("crash");
    let smallest = fs::read(&found.input).unwrap();
    fs::write(&artifact, [&smallest[..], &[0xa5; 40]].concat()).unwrap();
    let into = scratch.path().join("regressions");
    let ordinary = Engine::Ordinary(GGAUGE.into());
    let promotion = Promotion {
        artifact: &artifact,
        target: &found.target,
        ordinary: &ordinary,
        sanitized: None,
        folder: &into,
        tries: 40,
        limits: PATIENT,
    };
    let Promoted::New { input, sizes: (before, after), .. } = regressions::promote(&promotion).unwrap() else {
        panic!("{} is no finding any more", found.name());
    };
    assert!(after < before, "{before} bytes became {after}");
    assert_eq!(fs::read(&input).unwrap().len(), after);
    assert!(matches!(regressions::promote(&promotion).unwrap(), Promoted::Known(_)), "the same cause was kept twice");
    // A fuzzer that sees nothing takes nothing away from what an ordinary build shows.
    let blind = Engine::Sanitized("true".into());
    let promotion = Promotion { sanitized: Some(&blind), ..promotion };
    assert!(matches!(regressions::promote(&promotion).unwrap(), Promoted::Known(_)), "an ordinary build's finding was lost");
    let all = regressions::all(&into).unwrap();
    assert_eq!((all.len(), all[0].sidecar.class), (1, found.sidecar.class));
}

/// In the folder of a user, who names the input alone.
#[test]
fn an_input_that_nothing_names_the_target_of_is_named_itself() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("crash"), "words").unwrap();
    let output = std::process::Command::new(GGAUGE).args(["promote", "crash"]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("ggauge: crash: neither --target nor "), "{said}");
    assert!(said.contains("next: give --target, one of "), "{said}");
}
