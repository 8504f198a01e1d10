//! What a model file is made of, as digests: so that a changed model shows as what was changed in it.

use printable::short_digest;
use serde::{Deserialize, Serialize};

/// Digests of the parts of a model, as people read them, as [`short_digest`] gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fingerprint {
    /// Of the whole file: all 64 digits.
    pub file: String,
    /// Of the keys that say how the graph is computed: those of the architecture, and its name.
    pub hyper_parameters: String,
    /// Of the tokenizer's keys.
    pub tokenizer: String,
    /// Of the chat template.
    pub chat_template: String,
    /// Of the tensors: names, types, dimensions and data.
    pub weights: String,
}

/// A part of a model that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChange {
    /// Which part.
    pub part: &'static str,
    /// What its digest was.
    pub old: String,
    /// What it is.
    pub new: String,
}

impl Fingerprint {
    /// Where this differs from an older one.
    pub fn changes(&self, old: &Self) -> Vec<PartChange> {
        let change = |part, old: &str, new: &str| PartChange { part, old: old.into(), new: new.into() };
        let changes: Vec<PartChange> = [
            ("the hyper-parameters of the model", &old.hyper_parameters, &self.hyper_parameters),
            ("the tokenizer of the model", &old.tokenizer, &self.tokenizer),
            ("the chat template of the model", &old.chat_template, &self.chat_template),
            ("the weights of the model", &old.weights, &self.weights),
        ]
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(part, old, new)| change(part, old, new))
        .collect();
        if changes.is_empty() && old.file != self.file {
            let part = "the model's file, but neither its hyper-parameters, tokenizer, chat template nor weights";
            return vec![change(part, short_digest(&old.file), short_digest(&self.file))];
        }
        changes
    }
}

/// A key or a tensor, and what of it people compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartDigest {
    /// The name, escaped.
    pub name: String,
    /// Its value where it is short, or else its type and size.
    pub what: String,
    /// Its digest, as [`short_digest`] gives it.
    pub digest: String,
}

/// Everything that a fingerprint is made of, by section, each in the order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelDigests {
    /// What it makes together.
    pub fingerprint: Fingerprint,
    /// Keys that say how the graph is computed.
    pub hyper_parameters: Vec<PartDigest>,
    /// Keys about the model, which are part of no digest but the file's.
    pub about: Vec<PartDigest>,
    /// Keys of the tokenizer.
    pub tokenizer: Vec<PartDigest>,
    /// The chat template.
    pub chat_template: Vec<PartDigest>,
    /// The tensors.
    pub weights: Vec<PartDigest>,
}
