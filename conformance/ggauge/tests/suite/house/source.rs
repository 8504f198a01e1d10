//! Rust files as the house's rules read them: their tokens, without comments, texts and tests.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The root of the checkout.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A text of the checkout.
pub(super) fn text(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder whose names end so, as paths from the root, in order.
pub(super) fn files_below(folder: &str, ending: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(path),
                _ if path.ends_with(ending) => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The names of the folders in `conformance/` that are packages.
pub(super) fn crates() -> Vec<String> {
    let has_manifest = |name: &String| root().join(format!("conformance/{name}/Cargo.toml")).exists();
    let entries = fs::read_dir(root().join("conformance")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(has_manifest);
    names.sort();
    names
}

/// A file of a crate.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Its path below the crate's `src/`, such as `worker/pool.rs`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// A made-up one.
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The files below `src/` of a crate, without those that are tests: `tests.rs`, which their parents have under `#[cfg(test)]`.
    pub(super) fn of_crate(name: &str) -> Vec<Self> {
        let folder = format!("conformance/{name}/src");
        let files = files_below(&folder, ".rs").into_iter().filter(|path| !path.ends_with("/tests.rs"));
        files.map(|path| Self::new(&path[folder.len() + 1..], &text(&path))).collect()
    }

    /// Its tokens; what stands under `#[cfg(test)]` is left out at every depth.
    pub(super) fn tokens(&self) -> Vec<TokenTree> {
        let stream: TokenStream = self.text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.path));
        without_tests(stream)
    }
}

/// The tokens of a group.
pub(super) fn inside(group: &Group) -> Vec<TokenTree> {
    without_tests(group.stream())
}

/// Leaves out each item under `#[cfg(test)]`: up to its `;` or its braces.
fn without_tests(stream: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_test =
            is_punct(&token, '#') && tokens.peek().is_some_and(|next| next.to_string().replace(' ', "") == "[cfg(test)]");
        if !is_test {
            kept.push(token);
            continue;
        }
        for skipped in tokens.by_ref().skip(1) {
            let is_body = matches!(&skipped, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            if is_body || is_punct(&skipped, ';') {
                break;
            }
        }
    }
    kept
}

pub(super) fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

pub(super) fn is_word(token: Option<&TokenTree>, wanted: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(word)) if word == wanted)
}

/// True where `::` stands at this place.
fn has_colons(tokens: &[TokenTree], at: usize) -> bool {
    tokens.get(at..at + 2).is_some_and(|pair| pair.iter().all(|token| is_punct(token, ':')))
}

/// A path of several parts, as `crate::worker::pool::Workers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) parts: Vec<String>,
    /// The modules within its file that it stands in.
    pub(super) inline: usize,
    /// It is given on: `pub use`.
    pub(super) given_on: bool,
}

/// Every path of several parts among the tokens, one for each leaf of a `use` with braces.
pub(super) fn paths(tokens: &[TokenTree]) -> Vec<Named> {
    let mut found = Vec::new();
    gather(tokens, 0, &mut found);
    found
}

fn gather(tokens: &[TokenTree], inline: usize, found: &mut Vec<Named>) {
    let mut at = 0;
    let mut given_on = false;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(word) if word == "use" => {
                given_on = is_public(tokens, at);
                at += 1;
            }
            TokenTree::Ident(_) if has_colons(tokens, at + 1) => {
                let mut leaves = Vec::new();
                // `::name` is another crate's, whatever modules there are.
                let begun = if at >= 2 && has_colons(tokens, at - 2) { vec![String::new()] } else { Vec::new() };
                at = path(tokens, at, begun, &mut leaves);
                found.extend(leaves.into_iter().map(|parts| Named { parts, inline, given_on }));
                given_on = false;
            }
            TokenTree::Group(group) => {
                let is_module = at >= 2 && is_word(tokens.get(at - 2), "mod");
                gather(&inside(group), inline + usize::from(is_module), found);
                at += 1;
            }
            _ => {
                given_on &= !is_punct(token, ';');
                at += 1;
            }
        }
    }
}

/// True where `pub` or `pub(...)` stands before this place.
fn is_public(tokens: &[TokenTree], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    let restricted = matches!(before(1), Some(TokenTree::Group(_))) && is_word(before(2), "pub");
    is_word(before(1), "pub") || restricted
}

/// Reads the path that begins at `at`, and gives where it ends.
fn path(tokens: &[TokenTree], mut at: usize, mut parts: Vec<String>, leaves: &mut Vec<Vec<String>>) -> usize {
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(word)) => parts.push(word.to_string()),
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => parts.push("*".into()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner = inside(group);
                for branch in inner.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
                    path(branch, 0, parts.clone(), leaves);
                }
                return at + 1;
            }
            // `::<`: the path is over.
            _ => break,
        }
        at += 1;
        if !has_colons(tokens, at) {
            break;
        }
        at += 2;
    }
    // `module::{self}` names the module.
    if parts.len() > 1 && parts.last().is_some_and(|last| last == "self") {
        parts.pop();
    }
    leaves.push(parts);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        paths(&Source::new("a.rs", text).tokens()).iter().map(|named| named.parts.join("::")).collect()
    }

    #[test]
    fn another_crate_is_not_a_module_of_its_name() {
        assert_eq!(of("use ::reference::Rounding;"), ["::reference::Rounding"]);
    }

    #[test]
    fn paths_are_read_from_uses_code_and_macros_and_not_from_texts_and_tests() {
        assert_eq!(of("use crate::{a, b::{self, c}, d::*};"), ["crate::a", "crate::b", "crate::b::c", "crate::d::*"]);
        assert_eq!(of("fn f() { assert!(crate::a::<u8>::b(x.len())); }"), ["crate::a"]);
        assert_eq!(of("// crate::a::b\nconst A: &str = \"crate::a::b\"; #[cfg(test)] mod tests { use crate::x::Y; }"), [""; 0]);
        let inline = paths(&Source::new("a.rs", "mod inner { use super::a; }").tokens());
        assert_eq!(inline, [Named { parts: vec!["super".into(), "a".into()], inline: 1, given_on: false }]);
        assert!(paths(&Source::new("a.rs", "pub(crate) use b::C;").tokens())[0].given_on);
    }
}
