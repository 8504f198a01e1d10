//! Rules of single files: how long one may be, how it begins, what its names are, and what the pure ones may not touch.

use super::source::{Source, crates, files_below, inside, is_punct, is_word, paths, text};
use proc_macro2::TokenTree;
use std::collections::{BTreeMap, BTreeSet};

/// A file has at most so many lines, or stands in [`LONG`].
const LINES: usize = 500;

/// Files that are longer, and why.
const LONG: [(&str, &str); 3] = [
    ("conformance/ggauge/tests/suite/findings.rs", "one check of citations, with the made-up citations that show it"),
    ("conformance/ggauge/tests/suite/hostile_words.rs", "one way through every command for the same hostile words"),
    ("conformance/ggauge/tests/suite/shared_cache.rs", "every way in which two of ggauge meet in one cache"),
];

/// Names of types that mean several things, and why that is right.
const TWICE: [(&str, &str); 4] = [
    ("Change", "of a relation, to a case; of two Records, to a comparison"),
    ("Class", "of a known divergence; of what a fuzzer found"),
    ("Group", "of cases that are planned, of those that are judged, of test vectors"),
    ("Model", "the reference's network, a file of weights, and what llama.cpp calls so"),
];

/// The most names that the public library has.
const NAMES: usize = 12;

/// Files that are too long without a reason, and reasons without such a file.
fn long(files: &BTreeMap<String, usize>, reasons: &[(&str, &str)]) -> Vec<String> {
    let reason = |path: &str| reasons.iter().find(|(known, reason)| *known == path && !reason.is_empty());
    let too_long = files.iter().filter(|(path, lines)| **lines > LINES && reason(path).is_none());
    let stale = reasons.iter().filter(|(path, _)| files.get(*path).is_none_or(|lines| *lines <= LINES));
    let stale = stale.map(|(path, _)| format!("{path} has a reason to be long, and is not"));
    too_long.map(|(path, lines)| format!("{path} has {lines} lines")).chain(stale).collect()
}

#[test]
fn files_are_short_or_have_a_reason() {
    let paths = ["conformance", "golden", "fuzz"].iter().flat_map(|folder| files_below(folder, ".rs"));
    let files = paths
        .map(|path| {
            let lines = text(&path).lines().count();
            (path, lines)
        })
        .collect();
    let wrong = long(&files, &LONG);
    assert!(wrong.is_empty(), "more than {LINES} lines, or a stale reason in `LONG`:\n{}", wrong.join("\n"));
}

#[test]
fn a_long_file_and_a_stale_reason_are_noticed() {
    let files = [("a.rs".to_owned(), 501), ("b.rs".to_owned(), 500)].into();
    assert_eq!(long(&files, &[]), ["a.rs has 501 lines"]);
    assert_eq!(long(&files, &[("a.rs", "a table")]), [""; 0]);
    assert_eq!(long(&files, &[("a.rs", "")]), ["a.rs has 501 lines"]);
    assert_eq!(long(&files, &[("a.rs", "a table"), ("b.rs", "a table")]), ["b.rs has a reason to be long, and is not"]);
}

/// True for a file that begins with what it is for.
fn says_what_it_is(text: &str) -> bool {
    text.lines().next().is_some_and(|first| first.strip_prefix("//! ").is_some_and(|words| !words.is_empty()))
}

#[test]
fn modules_begin_with_what_they_are_for() {
    let paths = ["conformance", "golden", "fuzz"].iter().flat_map(|folder| files_below(folder, ".rs"));
    let wrong: Vec<String> = paths.filter(|path| !says_what_it_is(&text(path))).collect();
    assert!(wrong.is_empty(), "without `//!` in the first line:\n{}", wrong.join("\n"));
    assert!(says_what_it_is("//! What.\n") && !says_what_it_is("use a;\n//! What.\n") && !says_what_it_is(""));
}

/// The types that are public where they stand.
fn types(tokens: &[TokenTree], found: &mut Vec<String>) {
    for (at, token) in tokens.iter().enumerate() {
        let is_type = ["struct", "enum", "trait", "union"].iter().any(|word| is_word(tokens.get(at + 1), word));
        if is_word(Some(token), "pub") && is_type {
            found.extend(tokens.get(at + 2).map(ToString::to_string));
        }
        // Within `mod` and macros, too.
        if let TokenTree::Group(group) = token {
            types(&inside(group), found);
        }
    }
}

/// Names of types that stand in several places, and reasons for names that do not.
fn twice(sources: &[(String, Source)], reasons: &[(&str, &str)]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, source) in sources {
        let mut found = Vec::new();
        types(&source.tokens(), &mut found);
        for found in found.into_iter().filter(|found| !found.starts_with('$')) {
            places.entry(found).or_default().push(format!("{name}/{}", source.path));
        }
    }
    let has_reason = |name: &str| reasons.iter().any(|(known, reason)| *known == name && !reason.is_empty());
    let several = places.iter().filter(|(name, places)| places.len() > 1 && !has_reason(name));
    let stale = reasons.iter().filter(|(name, _)| places.get(*name).is_none_or(|places| places.len() < 2));
    let stale = stale.map(|(name, _)| format!("{name} has a reason to mean several things, and does not"));
    several.map(|(name, places)| format!("{name}: {}", places.join(", "))).chain(stale).collect()
}

#[test]
fn a_public_type_has_a_name_of_its_own() {
    let of = |name: String| Source::of_crate(&name).into_iter().map(move |source| (name.clone(), source));
    let sources: Vec<(String, Source)> = crates().into_iter().flat_map(of).collect();
    let wrong = twice(&sources, &TWICE);
    assert!(wrong.is_empty(), "names that mean several things, or a stale reason in `TWICE`:\n{}", wrong.join("\n"));
}

#[test]
fn a_second_meaning_is_noticed() {
    let sources =
        |b: &str| [("a".to_owned(), Source::new("lib.rs", "pub struct Limits;")), ("b".to_owned(), Source::new("lib.rs", b))];
    assert_eq!(twice(&sources("struct Limits; #[cfg(test)] pub enum Limits {}"), &[]), [""; 0]);
    assert_eq!(twice(&sources("mod c { pub enum Limits {} }"), &[]), ["Limits: a/lib.rs, b/lib.rs"]);
    assert_eq!(twice(&sources("pub enum Limits {}"), &[("Limits", "one of each kind")]), [""; 0]);
    assert_eq!(twice(&sources(""), &[("Limits", "why")]), ["Limits has a reason to mean several things, and does not"]);
}

/// The names that a library shows: what `lib.rs` gives on or declares as public, and the modules that it hides.
fn shown(lib: &Source) -> (BTreeSet<String>, Vec<String>) {
    let tokens = lib.tokens();
    let (mut names, mut hidden_modules) = (BTreeSet::new(), Vec::new());
    let items = tokens.split_inclusive(|token| {
        is_punct(token, ';') || matches!(token, TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace)
    });
    // A `use` with braces ends behind them.
    for item in items.filter(|item| item.len() > 1) {
        let Some(public) = item.iter().position(|token| is_word(Some(token), "pub")) else { continue };
        let is_hidden = item[..public].iter().any(|token| token.to_string().replace(' ', "") == "[doc(hidden)]");
        let word = |at: usize| item.get(public + at).map(ToString::to_string).unwrap_or_default();
        match (word(1).as_str(), is_hidden) {
            ("mod", true) => hidden_modules.push(word(2)),
            ("use", false) => names.extend(paths(&item[public + 1..]).iter().filter_map(|path| path.parts.last().cloned())),
            ("mod" | "fn" | "struct" | "enum" | "trait" | "const" | "static" | "type", false) => {
                names.insert(word(2));
            }
            _ => {}
        }
    }
    (names, hidden_modules)
}

/// What is wrong with the public library.
fn wrong_with_the_library(sources: &[Source]) -> Vec<String> {
    let find = |path: &str| sources.iter().find(|source| source.path == path);
    let (names, hidden) = shown(find("lib.rs").expect("a library"));
    let too_many = (names.len() > NAMES).then(|| format!("{} names: {names:?}", names.len()));
    let says_so = |module: &String| {
        let file = find(&format!("{module}.rs")).or_else(|| find(&format!("{module}/mod.rs")));
        file.is_some_and(|file| file.text.starts_with("//! Not an API: "))
    };
    let silent = hidden
        .iter()
        .filter(|module| !says_so(module))
        .map(|module| format!("{module} does not begin with `//! Not an API: `"));
    too_many.into_iter().chain(silent).collect()
}

#[test]
fn the_public_library_is_small_and_says_what_it_is_not() {
    let sources = Source::of_crate("ggauge");
    assert!(shown(sources.iter().find(|source| source.path == "lib.rs").unwrap()).0.contains("Gauge"), "the names were found");
    let wrong = wrong_with_the_library(&sources);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_name_too_many_is_noticed() {
    let library =
        |text: &str| wrong_with_the_library(&[Source::new("lib.rs", text), Source::new("exit.rs", "//! Exit codes.")]);
    assert_eq!(
        library("#[doc(hidden)] pub mod figures_; pub use a::{B, c::D}; pub mod e; mod f;").len(),
        1,
        "which is hidden and not there"
    );
    assert_eq!(library("#[doc(hidden)]\npub mod exit;"), ["exit does not begin with `//! Not an API: `"]);
    let many: String = (0..=NAMES).map(|number| format!("pub use a::B{number};")).collect();
    assert_eq!(library(&many).len(), 1);
    assert_eq!(shown(&Source::new("lib.rs", "pub use a::{B, C}; pub fn d() {} #[doc(hidden)] pub use e::F;")).0.len(), 3);
}

/// What judging may not touch; `clippy.toml` knows folders of crates only.
const TOUCHES: [&str; 7] =
    ["std::fs", "std::env", "std::process", "std::net", "std::thread", "std::time::Instant", "std::time::SystemTime"];

/// What of the operating system a file names.
fn touches(source: &Source) -> Vec<String> {
    let names = |path: &String| TOUCHES.iter().any(|touched| path == touched || path.starts_with(&format!("{touched}::")));
    let of_machine = |path: &String| path.starts_with("machine::") && !path.starts_with("machine::Error");
    let paths = paths(&source.tokens()).into_iter().map(|path| path.parts.join("::").trim_start_matches("::").to_owned());
    paths.filter(|path| names(path) || of_machine(path)).map(|path| format!("{} names {path}", source.path)).collect()
}

#[test]
fn judging_is_pure() {
    let sources = Source::of_crate("harness");
    let judge: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with("judge")).collect();
    assert!(!judge.is_empty());
    let wrong: Vec<String> = judge.into_iter().flat_map(touches).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_judge_that_looks_at_the_clock_is_noticed() {
    let of = |text: &str| touches(&Source::new("judge/mod.rs", text)).len();
    assert_eq!(of("use std::{fs::File, time::{Duration, Instant}, fmt}; use machine::Error;"), 2);
    assert_eq!(of("fn f() { let _ = std::env::var(\"HOME\"); }"), 1);
    assert_eq!(of("use std::{fmt, time::Duration}; use machine::Error;"), 0);
}
