//! Test vectors for GGUF readers, in the manner of Wycheproof: small files as data, each with a stated result, the rule that it is
//! about, and notes that explain why it exists.
//!
//! The vectors in `corpora/vectors/*.json` are written by this crate's program (`cargo run -p vectors`) and never by hand; a test
//! holds them against [`all`]. What a vector states is written down where it is made and does not come from our reader, which is
//! held to it like every other.
//!
//! To add a vector, add it to the module of its group; to add a group, add a module and its line in [`all`].
#![forbid(unsafe_code)]

mod advisories;
mod arrays;
mod bases;
mod header;
mod json;
mod keys;
mod layout;
mod models;
mod parts;
mod rules;
mod split;
mod tensors;
mod tokenizer;
mod values;

pub use parts::{Part, bytes_of};

use gguf::{Draft, Rule, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use strum::IntoStaticStr;

/// What a reader should do with a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Expected {
    /// Accept it.
    Valid,
    /// Reject it.
    Invalid,
    /// Either: the specification is silent, or well-known files and readers differ.
    Acceptable,
}

impl Expected {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A file of a vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorFile {
    /// The file's name. Readers are given the first file's; the others lie beside it.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Its bytes, one part after another.
    pub parts: Vec<Part>,
}

/// One vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vector {
    /// Number within the group, from 1. Numbers may change; names do not.
    pub tc_id: u32,
    /// Name within the group.
    pub name: String,
    /// What is in the file, and what goes wrong with readers that do not look.
    pub comment: String,
    /// What a reader should do.
    pub result: Expected,
    /// Ids of the rules that the file breaks: none where it is valid, exactly one where it is invalid.
    pub rules: Vec<String>,
    /// Flags, explained in the group's notes.
    pub flags: Vec<String>,
    /// The files; more than one for split models only.
    pub files: Vec<VectorFile>,
}

/// Why a flag exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Note {
    /// What vectors with this flag have in common.
    pub description: String,
    /// Where to read on: identifiers of advisories and issues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// For advisories: `exact` (a published proof of concept), `derived` (from the advisory's text or the fix), `unknown` (the field
    /// was not published, and the vector is a synthetic one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<String>,
}

/// A file of vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// What the vectors are for: `GGUF`.
    pub format: String,
    /// Version of the vectors' own format, as in `schema.json`.
    pub schema_version: u32,
    /// The group's name, which is the file's.
    pub group: String,
    /// What the group is about.
    pub header: String,
    /// How many vectors there are.
    pub number_of_tests: usize,
    /// Every flag, explained.
    pub notes: BTreeMap<String, Note>,
    /// The vectors.
    pub tests: Vec<Vector>,
}

/// Every group, in the order of a file: its header first.
pub fn all() -> Vec<Group> {
    vec![
        rules::group(),
        header::group(),
        keys::group(),
        values::group(),
        arrays::group(),
        tensors::group(),
        layout::group(),
        models::group(),
        tokenizer::group(),
        split::group(),
        advisories::group(),
    ]
}

/// A JSON schema of a group's file.
pub const SCHEMA: &str = include_str!("schema.json");

impl Group {
    /// The group as it is committed.
    ///
    /// # Panics
    /// Never: there is nothing in it that JSON cannot say.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, json::Folded::default());
        self.serialize(&mut serializer).expect("texts, numbers and lists");
        String::from_utf8(out).expect("JSON is UTF-8") + "\n"
    }
}

/// A group being filled.
struct Builder {
    group: Group,
}

#[expect(clippy::too_many_arguments, reason = "the columns of a vector")]
impl Builder {
    fn new(name: &str, header: &str) -> Self {
        let mut builder = Self {
            group: Group {
                format: "GGUF".into(),
                schema_version: 1,
                group: name.into(),
                header: header.into(),
                number_of_tests: 0,
                notes: BTreeMap::new(),
                tests: Vec::new(),
            },
        };
        builder.note("Boundary", "One of a pair: the last value that is inside a limit, or the first that is outside.");
        builder.note(
            "Ambiguous",
            "Readers that do not look take different things from this file: what was scanned is not what runs.",
        );
        builder
    }

    fn note(&mut self, flag: &str, description: &str) {
        let note = Note { description: description.into(), references: Vec::new(), provenance: None };
        self.group.notes.insert(flag.into(), note);
    }

    /// Adds a vector. `rules` are those it breaks, by which its result is known.
    fn add(&mut self, name: &str, rules: &[Rule], flags: &[&str], comment: &str, files: Vec<VectorFile>) {
        let result = if rules.is_empty() {
            Expected::Valid
        } else if rules.iter().any(|rule| rule.severity() == Severity::Invalid) {
            Expected::Invalid
        } else {
            Expected::Acceptable
        };
        self.group.tests.push(Vector {
            tc_id: self.group.tests.len() as u32 + 1,
            name: name.into(),
            comment: comment.into(),
            result,
            rules: rules.iter().map(|rule| rule.id().to_owned()).collect(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            files,
        });
    }

    /// Adds a vector of one file, given as its bytes.
    fn bytes(&mut self, name: &str, rules: &[Rule], flags: &[&str], comment: &str, bytes: &[u8]) {
        self.add(name, rules, flags, comment, vec![parts::file("model.gguf", bytes)]);
    }

    /// Adds a vector of one file, given as its draft.
    fn draft(&mut self, name: &str, rules: &[Rule], flags: &[&str], comment: &str, draft: &Draft<'_>) {
        self.bytes(name, rules, flags, comment, &draft.finish());
    }

    fn finish(mut self) -> Group {
        self.group.number_of_tests = self.group.tests.len();
        let used: Vec<&String> = self.group.tests.iter().flat_map(|vector| &vector.flags).collect();
        let notes = std::mem::take(&mut self.group.notes);
        let notes = notes.into_iter().filter(|(flag, _)| used.contains(&flag)).collect();
        Group { notes, ..self.group }
    }
}
