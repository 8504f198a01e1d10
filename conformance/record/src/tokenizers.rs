//! What runtimes' tokenizers made of texts: for each vocabulary, each subject's ids held against those expected and against another's.

use serde::{Deserialize, Serialize};
use std::fmt;
use vocabulary::{Judgement, Outcome, SubjectId, Upshot};

/// A token and its text in the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The id.
    pub id: u32,
    /// The text; none where the vocabulary has no such id.
    pub text: Option<String>,
}

/// The first place where two lists of ids differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDifference {
    /// The text.
    pub text: String,
    /// Index of the first token that differs.
    pub position: usize,
    /// The token that should stand there, or the other subject's; none where its list has ended.
    pub expected: Option<Token>,
    /// The subject's token; none where its list has ended.
    pub got: Option<Token>,
}

/// A worker that gave no ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The subject.
    pub subject: SubjectId,
    /// The text that it was asked for.
    pub text: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// A subject's ids on one vocabulary, held against those expected or against another subject's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenizerComparison {
    /// The vocabulary's name.
    pub vocabulary: String,
    /// The subject.
    pub subject: SubjectId,
    /// The other subject; none where the ids are held against those expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<SubjectId>,
    /// Number of texts.
    pub texts: usize,
    /// Texts with equal ids.
    pub exact: usize,
    /// The first text with other ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<TokenDifference>,
    /// What became of the first worker that gave no ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Ended>,
    /// What it comes to.
    pub judgement: Judgement,
    /// Why it is not a pass, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The upstream issue, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
}

impl fmt::Display for TokenizerComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.other {
            None => write!(f, "{} on {}", self.subject, self.vocabulary),
            Some(other) => write!(f, "{} ~ {other} on {}", self.subject, self.vocabulary),
        }
    }
}

/// A vocabulary that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VocabularyRecord {
    /// Its name.
    pub name: String,
    /// `tokenizer.ggml.model` and `tokenizer.ggml.pre`.
    pub kind: String,
    /// Texts for which the ids are known; 0 where only the runtimes are compared.
    pub expected: usize,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenizerRecord {
    /// The vocabularies, in the order of the run.
    pub vocabularies: Vec<VocabularyRecord>,
    /// The comparisons, in the same order.
    pub comparisons: Vec<TokenizerComparison>,
}

impl TokenizerRecord {
    /// What it comes to.
    pub fn upshot(&self) -> Upshot {
        let mut judgements = self.comparisons.iter().map(|comparison| comparison.judgement);
        if judgements.clone().any(Judgement::is_bad) {
            Upshot::Bad
        } else if judgements.any(Judgement::is_judged) {
            Upshot::Good
        } else {
            Upshot::NothingJudged
        }
    }
}
