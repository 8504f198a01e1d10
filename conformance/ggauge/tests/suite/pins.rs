//! Versions that stand in the source are those in `Cargo.lock`, and corpora are what they say they are.

use std::collections::BTreeSet;
use supply::{manifests::Manifest, prompts};

const LOCK: &str = include_str!("../../../../Cargo.lock");

fn locked(package: &str) -> String {
    let lock: toml::Table = toml::from_str(LOCK).unwrap();
    let packages = lock["package"].as_array().unwrap();
    let found: Vec<_> = packages.iter().filter(|p| p["name"].as_str() == Some(package)).collect();
    assert_eq!(found.len(), 1, "{package} is locked once");
    found[0]["version"].as_str().unwrap().to_owned()
}

#[test]
fn runtimes_report_the_versions_that_are_locked() {
    for package in ["llama-cpp-2", "llama-cpp-sys-2", "candle-core", "candle-transformers"] {
        assert_eq!(vocabulary::locked(LOCK, package), locked(package));
    }
    assert_eq!(vocabulary::locked(LOCK, "gguf"), "0.1.0 (local) and 0.1.2", "ours and the other");
    assert_eq!(vocabulary::locked(LOCK, "nothing"), "unknown");
}

#[test]
fn every_prompt_has_ids_for_every_pinned_model_and_one_has_no_bos() {
    let models: BTreeSet<_> = Manifest::all().unwrap().into_iter().map(|manifest| manifest.name).collect();
    assert!(models.len() >= 2);
    let prompts = prompts::all().unwrap();
    assert!(prompts.len() >= 8);
    for (name, prompt) in &prompts {
        let keys: BTreeSet<_> = prompt.tokens.keys().cloned().collect();
        assert_eq!(keys, models, "{name}");
        for tokens in prompt.tokens.values() {
            assert_eq!(prompt.length.unwrap_or(tokens.len()), tokens.len(), "{name}");
        }
    }
    assert_eq!(prompts.values().filter(|prompt| !prompt.bos).count(), 1);
    assert!(prompts.values().any(|prompt| prompt.short));
    assert!(prompts.values().flat_map(|prompt| prompt.tokens.values()).any(|tokens| tokens.len() == 200));
    assert!(prompts.values().flat_map(|prompt| prompt.tokens.values()).any(|tokens| tokens.len() == 1));
}

#[test]
fn manifests_pin_everything() {
    for manifest in Manifest::all().unwrap() {
        let hashes = manifest.package.iter().map(|package| &package.sha256).chain([&manifest.sha256]);
        for hash in hashes {
            assert!(hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{}", manifest.name);
        }
        assert!(manifest.package.iter().all(|package| package.requirement.contains("==")), "{}", manifest.name);
    }
}
