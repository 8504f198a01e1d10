//! Who may depend on whom: the table of `CONTRIBUTING.md`, the manifests and the sources say the same; runtimes come in through their layers.

use super::source::{Source, crates, paths, text};
use std::collections::{BTreeMap, BTreeSet};

type Names = BTreeSet<String>;

/// What each crate may depend on, of ours, from the rows `| crate | what it is | may depend on |`.
fn table(contributing: &str) -> BTreeMap<String, Names> {
    let in_quotes = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = contributing.lines().skip_while(|line| !line.starts_with("| crate | ")).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let [name, _, allowed] = cells[..] else { return None };
        Some((in_quotes(name).first()?.strip_prefix("conformance/")?.to_owned(), in_quotes(allowed).into_iter().collect()))
    };
    rows.filter_map(row).collect()
}

/// The dependencies of a manifest, but for those of its tests alone.
fn dependencies(manifest: &str) -> Names {
    let manifest: toml::Table = manifest.parse().unwrap();
    let of = |kind: &str| manifest.get(kind).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys).cloned();
    of("dependencies").chain(of("build-dependencies")).collect()
}

/// A package's name as code has it.
fn in_code(package: &str) -> String {
    package.replace('-', "_")
}

/// Where paths in the sources begin.
fn named(sources: &[Source]) -> Names {
    let heads = |source: &Source| {
        let paths = paths(&source.tokens());
        paths.into_iter().filter_map(|path| path.parts.into_iter().find(|part| !part.is_empty()))
    };
    sources.iter().flat_map(heads).map(|head| in_code(&head)).collect()
}

/// A crate against its row.
fn held(name: &str, allowed: Option<&Names>, manifest: &Names, named: &Names, ours: &Names) -> Vec<String> {
    let Some(allowed) = allowed else { return vec![format!("{name} has no row in CONTRIBUTING.md")] };
    let is_used = |other: &&String| named.contains(&in_code(other));
    let depends: Names = manifest.intersection(ours).cloned().collect();
    let not_allowed = depends.difference(allowed).map(|other| format!("{name} depends on {other}, which it may not"));
    let not_needed = allowed.difference(&depends).map(|other| format!("{name} may depend on {other}, and does not"));
    let not_used = manifest
        .iter()
        .filter(|other| !is_used(other))
        .map(|other| format!("{name} depends on {other}, and nothing in it names that"));
    not_allowed.chain(not_needed).chain(not_used).collect()
}

#[test]
fn crates_depend_on_what_contributing_says_and_use_it() {
    let ours: Names = crates().into_iter().collect();
    let table = table(&text("CONTRIBUTING.md"));
    let mut wrong: Vec<String> =
        table.keys().filter(|name| !ours.contains(*name)).map(|name| format!("{name} is no crate")).collect();
    for name in &ours {
        let manifest = dependencies(&text(&format!("conformance/{name}/Cargo.toml")));
        let mut sources = Source::of_crate(name);
        if name == "reference" {
            sources.push(Source::new("build.rs", &text("conformance/reference/build.rs")));
        }
        wrong.extend(held(name, table.get(name), &manifest, &named(&sources), &ours));
    }
    assert!(wrong.is_empty(), "against the table in CONTRIBUTING.md:\n{}", wrong.join("\n"));
}

#[test]
fn a_dependency_too_many_is_noticed_on_every_side() {
    let set = |names: &[&str]| -> Names { names.iter().map(|&name| name.to_owned()).collect() };
    let contributing =
        "| crate | what it is | may depend on |\n|---|---|---|\n| `conformance/b` | a room | `a` |\n\n| other | table | `x` |";
    let table = table(contributing);
    assert_eq!(table, [("b".to_owned(), set(&["a"]))].into());
    let ours = set(&["a", "b", "c"]);
    let uses = |text: &str| named(&[Source::new("lib.rs", text)]);
    let held = |depends: &[&str], text: &str| held("b", table.get("b"), &set(depends), &uses(text), &ours);
    assert_eq!(held(&["a", "serde-json"], "use a::A; use serde_json::Value;"), [""; 0]);
    assert_eq!(held(&["a", "c"], "use a::A; use c::C;"), ["b depends on c, which it may not"]);
    assert_eq!(held(&[], ""), ["b may depend on a, and does not"]);
    assert_eq!(held(&["a"], "// a::A\nfn f() {}"), ["b depends on a, and nothing in it names that"]);
    assert_eq!(super::imports::held("c", table.get("c"), &set(&[]), &set(&[]), &ours), ["c has no row in CONTRIBUTING.md"]);
}

/// What of others is a runtime, and the one crate of ours that may be built on it.
const RUNTIMES: [(&str, &[&str]); 2] =
    [("subject-llama-cpp", &["llama-cpp-2", "llama-cpp-sys-2"]), ("subject-candle", &["candle-core", "candle-transformers"])];

/// Packages of ours in a lock file that a runtime is a dependency of, in tests too, and that are not its layer.
fn beside_the_layers(lock: &str) -> Vec<String> {
    let lock: toml::Table = toml::from_str(lock).unwrap();
    let mut wrong = Vec::new();
    for package in lock["package"].as_array().unwrap().iter().filter(|package| package.get("source").is_none()) {
        let name = package["name"].as_str().unwrap();
        let depends = package.get("dependencies").and_then(toml::Value::as_array);
        // A version or a source can stand behind the name.
        let names: Names =
            depends.into_iter().flatten().filter_map(|text| Some(text.as_str()?.split(' ').next()?.to_owned())).collect();
        for (layer, packages) in RUNTIMES.into_iter().filter(|(layer, _)| *layer != name) {
            let taken = packages.iter().filter(|package| names.contains(**package));
            wrong.extend(taken.map(|package| format!("{name} depends on {package}, which is for {layer}")));
        }
    }
    wrong
}

#[test]
fn runtimes_come_in_through_their_layers_alone() {
    let lock = text("Cargo.lock");
    for (layer, packages) in RUNTIMES {
        let manifest = dependencies(&text(&format!("conformance/{layer}/Cargo.toml")));
        assert!(packages.iter().all(|package| manifest.contains(*package)), "{layer} has the runtime");
    }
    // The tests of codecs ask the runtimes' own tables, which no layer has.
    let tests = [
        "ggauge depends on llama-cpp-sys-2, which is for subject-llama-cpp",
        "ggauge depends on candle-core, which is for subject-candle",
    ];
    let manifest = dependencies(&text("conformance/ggauge/Cargo.toml"));
    assert!(!manifest.contains("candle-core") && !manifest.contains("llama-cpp-sys-2"), "in tests alone");
    let wrong: Vec<_> = beside_the_layers(&lock).into_iter().filter(|line| !tests.contains(&line.as_str())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_runtime_beside_its_layer_is_noticed() {
    let package = |name: &str, source: &str| {
        format!("[[package]]\nname = \"{name}\"\n{source}dependencies = [\n \"candle-core 0.11.1\",\n]\n")
    };
    let theirs = package("candle-nn", "source = \"registry\"\n");
    assert_eq!(beside_the_layers(&(package("subject-candle", "") + &theirs)), [""; 0]);
    assert_eq!(beside_the_layers(&package("report", "")), ["report depends on candle-core, which is for subject-candle"]);
}
