//! The catalogue against what else names a target: functions, glue, `fuzz/Cargo.toml`, and the fleets' script.

use fuzzing::{TARGETS, catalogue::Needs, function};
use serde::Deserialize;
use std::{collections::BTreeSet, fs, path::Path};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

#[test]
fn targets_have_names_of_their_own() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
}

#[cfg(all(feature = "llama-cpp", feature = "candle", feature = "harness"))]
#[test]
fn every_target_has_its_function() {
    for target in &TARGETS {
        assert!(function(target.name).is_some(), "{} is in the catalogue and has no function", target.name);
    }
    assert!(function("no_target").is_none());
}

/// `fuzz/Cargo.toml`, as far as it names targets.
#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Bin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Bin {
    name: String,
    path: String,
    #[serde(default)]
    required_features: Vec<String>,
}

#[test]
fn programs_to_fuzz_are_those_of_the_catalogue() {
    let bins = toml::from_str::<Manifest>(&read("fuzz/Cargo.toml")).unwrap().bin;
    let names: Vec<&str> = bins.iter().map(|bin| bin.name.as_str()).collect();
    assert_eq!(names, TARGETS.map(|target| target.name));
    for (bin, target) in bins.iter().zip(&TARGETS) {
        assert_eq!(bin.path, format!("fuzz_targets/{}.rs", target.name));
        assert_eq!(bin.required_features, Vec::from_iter(target.needs.feature()), "features of {}", target.name);
    }
    let files = fs::read_dir(Path::new(ROOT).join("fuzz/fuzz_targets")).unwrap();
    let files: BTreeSet<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, TARGETS.iter().map(|target| format!("{}.rs", target.name)).collect());
}

#[test]
fn glue_calls_the_target_of_its_name() {
    for target in &TARGETS {
        let call = format!("|data: &[u8]| fuzzing::{}(data)", target.name);
        let glue = read(&format!("fuzz/fuzz_targets/{}.rs", target.name));
        assert!(glue.contains(&call), "fuzz/fuzz_targets/{}.rs does not say `{call}`", target.name);
    }
}

/// A build without overflow checks is made without llama.cpp.
#[test]
fn what_is_built_wrapping_needs_no_llama_cpp() {
    for target in TARGETS.iter().filter(|target| target.wraps) {
        assert!(matches!(target.needs, Needs::Nothing | Needs::Candle), "{}", target.name);
    }
}

#[test]
fn the_script_for_fleets_asks_the_catalogue() {
    let script = read(".clusterfuzzlite/build.sh");
    assert!(script.contains("scripts/fuzz --list --facts"), "it does not ask for the targets");
    for target in &TARGETS {
        assert!(!script.contains(target.name), "it names {} itself", target.name);
    }
}
