//! Lists that stand in several places say the same.

use super::source::{Source, files_below, inside, is_word, text};
use proc_macro2::TokenTree;
use std::collections::{BTreeMap, BTreeSet};

/// What is in one list and not in another, each by its name.
fn differences(lists: &BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    let all: BTreeSet<&String> = lists.values().flatten().collect();
    let lacks = |(place, list): (&&str, &BTreeSet<String>)| {
        let missing: Vec<&str> = all.iter().filter(|name| !list.contains(**name)).map(|name| name.as_str()).collect();
        (!missing.is_empty()).then(|| format!("{place} lacks {}", missing.join(", ")))
    };
    lists.iter().filter_map(lacks).collect()
}

/// The modules of a folder, without its door.
fn modules(folder: &str) -> BTreeSet<String> {
    let files = files_below(folder, ".rs")
        .into_iter()
        .filter_map(|path| Some(path.strip_prefix(folder)?.trim_start_matches('/').strip_suffix(".rs")?.to_owned()));
    files.filter(|name| name != "mod").collect()
}

/// The variants of an enum: in lower case, without those that are `#[command(hide = true)]`.
fn variants(source: &Source, wanted: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let tokens = source.tokens();
    let place = tokens.windows(2).position(|pair| is_word(pair.first(), "enum") && is_word(pair.last(), wanted));
    let Some(TokenTree::Group(body)) = place.and_then(|at| tokens.get(at + 2)) else { return Default::default() };
    let body = inside(body);
    let mut found = (BTreeSet::new(), BTreeSet::new());
    for variant in body.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')) {
        let Some(TokenTree::Ident(name)) = variant.iter().find(|token| matches!(token, TokenTree::Ident(_))) else { continue };
        let is_hidden = variant.iter().any(|token| token.to_string().contains("hide = true"));
        found.0.insert(name.to_string().to_lowercase());
        if is_hidden {
            found.1.insert(name.to_string().to_lowercase());
        }
    }
    found
}

const COMMANDS: &str = "conformance/ggauge/src/commands";

#[test]
fn commands_are_their_files_and_each_is_told_of() {
    let door = Source::new("commands/mod.rs", &text(&format!("{COMMANDS}/mod.rs")));
    let (commands, hidden) = variants(&door, "Command");
    // `ggauge worker` is started by the harness and by the library's users, whose documentation has it.
    let telling = ["README.md", "CONTRIBUTING.md", "conformance/ggauge/src/lib.rs"].map(text).concat();
    let is_told = |name: &&String| telling.contains(&format!("ggauge {name}")) || hidden.contains(*name);
    let told = commands.iter().filter(is_told).cloned().collect();
    let lists = [
        ("the enum of commands", commands.clone()),
        ("its folder", modules(COMMANDS)),
        ("README, CONTRIBUTING and lib.rs", told),
    ];
    let wrong = differences(&lists.into());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first text of each row of a table of architectures.
fn rows(source: &str, table: &str) -> BTreeSet<String> {
    let table = source.split(table).nth(1).and_then(|rest| rest.split("\n];").next()).unwrap_or_default();
    table.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn architectures_are_the_same_everywhere() {
    let gguf = text("conformance/gguf/src/architecture.rs");
    let lists = [
        ("conformance/reference/src/architectures", modules("conformance/reference/src/architectures")),
        ("conformance/smith/src/architectures", modules("conformance/smith/src/architectures")),
        ("conformance/gguf/src/architecture.rs", rows(&gguf, "pub(crate) const ARCHITECTURES: ")),
        ("what the reference knows", reference::architectures::known().map(str::to_owned).collect()),
        ("what the smith makes", smith::Architecture::ALL.into_iter().map(|known| known.name().to_owned()).collect()),
    ];
    let wrong = differences(&lists.into());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_place_that_lacks_something_is_noticed() {
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|&name| name.to_owned()).collect() };
    assert_eq!(differences(&[("a", set(&["x", "y"])), ("b", set(&["y", "x"]))].into()), [""; 0]);
    assert_eq!(differences(&[("a", set(&["x", "y"])), ("b", set(&["y", "z"]))].into()), ["a lacks z", "b lacks x"]);
    let door = Source::new(
        "mod.rs",
        "enum Command { Run(Box<run::A>), #[cfg(feature = \"f\")] Replay(replay::A), #[command(hide = true)] Attend(a::A) }",
    );
    assert_eq!(variants(&door, "Command"), (set(&["run", "replay", "attend"]), set(&["attend"])));
    assert_eq!(
        rows("const T: [R; 1] = [\n    R {\n        name: \"llama\",\n    },\n];\nconst U: X { name: \"no\" }", "const T: "),
        set(&["llama"])
    );
}
