//! What GGUF readers made of the test vectors: a row a vector, a cell a reader, and what is known of those that do not conform.

use serde::Serialize;

/// What a reader is asked to do with a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Read the header, metadata and tensor table.
    Read,
    /// Load the model.
    Load,
}

/// What a vector states that a reader should do with it, in the word that the vector's file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stated {
    /// Accept it.
    Valid,
    /// Reject it.
    Invalid,
    /// Either.
    Acceptable,
}

impl Stated {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Acceptable => "acceptable",
        }
    }
}

/// What a reader did with a vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "did")]
pub enum Did {
    /// It took the file, and read what the others read, as far as it tells.
    Accepted,
    /// It took the file, and read something else than the first reader that took it.
    Differed {
        /// The first difference: the other reader's against this one's.
        difference: String,
    },
    /// It refused the file.
    Rejected {
        /// The class that its layer gives the refusal.
        class: String,
    },
    /// It said that it cannot do this at all.
    Unsupported,
    /// It ended without an answer, hung, or took too much.
    Failed {
        /// How: `aborted`, `crashed (signal 11)`, `timed out`, `out of memory`.
        how: String,
    },
}

impl Did {
    /// What it did, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Accepted => "accepts".into(),
            Self::Differed { difference } => format!("accepts, and reads something else: {difference}"),
            Self::Rejected { class } => format!("rejects ({class})"),
            Self::Unsupported => "unsupported".into(),
            Self::Failed { how } => how.clone(),
        }
    }
}

/// What one reader made of one vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VectorCell {
    /// Name of the column.
    pub reader: String,
    /// What the reader was asked.
    pub operation: Operation,
    /// What the reader did.
    #[serde(flatten)]
    pub did: Did,
    /// True where that is as it should be. Not in the JSON, which has all that it follows from.
    #[serde(skip)]
    pub conforms: bool,
    /// Its own words, or the end of its log where it ended. Not part of the golden.
    pub words: String,
}

/// A vector and its cells, in the order of the columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VectorRow {
    /// `group/name`.
    pub vector: String,
    /// What a reader should do.
    pub result: Stated,
    /// Ids of the rules that the vector breaks.
    pub rules: Vec<String>,
    /// The cells.
    pub cells: Vec<VectorCell>,
}

impl VectorRow {
    /// The cell of a reader.
    pub fn cell(&self, reader: &str) -> Option<&VectorCell> {
        self.cells.iter().find(|cell| cell.reader == reader)
    }
}

/// Rows held against the deviations that are known: those that none covers, and known ones that cover none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// `reader: vector: what it did`, for every deviation without a finding.
    pub unexplained: Vec<String>,
    /// Ids of findings that no deviation needs any more, of those whose readers and vectors were all surveyed.
    pub stale: Vec<String>,
    /// How many deviations there are.
    pub deviations: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_form() {
        let did = Did::Rejected { class: "malformed".into() };
        let cell =
            VectorCell { reader: "strict".into(), operation: Operation::Read, did, conforms: true, words: "no magic".into() };
        let row =
            VectorRow { vector: "rules/magic".into(), result: Stated::Invalid, rules: vec!["magic".into()], cells: vec![cell] };
        assert_eq!(
            serde_json::to_string(&row).unwrap(),
            r#"{"vector":"rules/magic","result":"invalid","rules":["magic"],"cells":[{"reader":"strict","operation":"read","did":"rejected","class":"malformed","words":"no magic"}]}"#
        );
    }
}
