//! Known divergences of tokenizers: `tokenizers.toml`, every row of which has a reason, and still shows the way it says.

use globset::{Glob, GlobMatcher};
use machine::Error;
use record::tokenizers::{Ended, TokenizerComparison};
use serde::Deserialize;
use vocabulary::{Class, SubjectId};

const DIVERGENCES: &str = include_str!("../tokenizers.toml");

/// What a subject's ids are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Against {
    /// The ids that stand beside the texts.
    Expected,
    /// The ids of the other subject, on the prompts of `corpora/prompts`.
    Other,
}

/// A row as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    vocabulary: String,
    subject: SubjectId,
    against: Option<Against>,
    class: Class,
    reason: String,
    issue: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    #[serde(default)]
    divergence: Vec<Row>,
}

/// A known divergence: a tokenizer that gives other ids than it should.
#[derive(Debug, Clone)]
pub struct Divergence {
    /// The vocabularies.
    vocabulary: GlobMatcher,
    /// The subject that is wrong.
    subject: SubjectId,
    /// Where it shows; everywhere where it is not given.
    against: Option<Against>,
    /// How it shows.
    class: Class,
    /// Why, down to the place in the runtime's source.
    pub reason: String,
    /// The upstream issue, where there is one.
    pub issue: Option<String>,
}

impl TryFrom<Row> for Divergence {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        let Row { vocabulary, subject, against, class, reason, issue } = row;
        if reason.trim().is_empty() {
            return Err("has no reason".into());
        }
        let vocabulary = Glob::new(&vocabulary).map_err(|error| format!("has a pattern that is none: {error}"))?;
        Ok(Self { vocabulary: vocabulary.compile_matcher(), subject, against, class, reason, issue })
    }
}

impl Divergence {
    fn is_about(&self, comparison: &TokenizerComparison) -> bool {
        let against = if comparison.other.is_some() { Against::Other } else { Against::Expected };
        let subjects = [Some(&comparison.subject), comparison.other.as_ref()];
        self.against.is_none_or(|only| only == against)
            && subjects.contains(&Some(&self.subject))
            && self.vocabulary.is_match(&comparison.vocabulary)
    }

    /// True when what came out is what this row expects: other ids, or no ids for the reason it names.
    pub fn is_met_by(&self, comparison: &TokenizerComparison) -> bool {
        match &comparison.outcome {
            None => self.class == Class::Diverges && comparison.exact < comparison.texts,
            Some(Ended { subject, outcome, .. }) => *subject == self.subject && Some(self.class) == Class::of(outcome),
        }
    }
}

/// All known divergences of tokenizers.
#[derive(Debug, Clone, Default)]
pub struct Divergences {
    rows: Vec<Divergence>,
    source: String,
}

impl Divergences {
    /// The divergences that ship with ggauge.
    ///
    /// # Errors
    /// Where the file is wrong.
    pub fn shipped() -> Result<Self, Error> {
        Self::parse(DIVERGENCES, "conformance/policy/tokenizers.toml")
    }

    /// Parses and checks the rows.
    ///
    /// # Errors
    /// For unknown fields, missing or empty reasons, and patterns that are not globs.
    pub fn parse(text: &str, source: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::input(source, why, "correct the file; its first lines say what a row must have");
        let parsed: Rows = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let row = |(index, row): (usize, Row)| {
            Divergence::try_from(row).map_err(|why| wrong(format!("divergence {} {why}", index + 1)))
        };
        let rows = parsed.divergence.into_iter().enumerate().map(row).collect::<Result<_, _>>()?;
        Ok(Self { rows, source: source.into() })
    }

    /// Refuses rows that match none of the vocabularies there are, or none of the subjects that are compared: they would be stale without
    /// anybody noticing.
    ///
    /// # Errors
    /// Names the first such row.
    pub fn check_all_match(&self, vocabularies: &[String], subjects: &[SubjectId]) -> Result<(), Error> {
        for (index, row) in self.rows.iter().enumerate() {
            let wrong =
                |why: &str, next: &str| Err(Error::input(&self.source, format!("divergence {} {why}", index + 1), next));
            if !subjects.contains(&row.subject) {
                let next = "correct the file; its first lines say what a row must have";
                return wrong(&format!("is of {}, whose tokenizer is not compared", row.subject), next);
            }
            if !vocabularies.iter().any(|name| row.vocabulary.is_match(name)) {
                return wrong("matches no vocabulary", "delete the row, or correct its pattern");
            }
        }
        Ok(())
    }

    /// The row for a comparison.
    ///
    /// # Errors
    /// Where there are two: which of them holds must not depend on their order.
    pub fn find(&self, comparison: &TokenizerComparison) -> Result<Option<&Divergence>, Error> {
        let mut rows = self.rows.iter().filter(|row| row.is_about(comparison));
        let first = rows.next();
        if rows.next().is_some() {
            let why = format!("two divergences match {comparison}");
            return Err(Error::input(&self.source, why, "make the pattern of one of them narrower"));
        }
        Ok(first)
    }
}
