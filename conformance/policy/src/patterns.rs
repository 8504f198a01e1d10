//! Patterns of cases: which a row of policy is about, and which of two rows is the more specific.

use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use vocabulary::{Case, Relation};

/// Which cases a known divergence is about. Every field that is given must match; those that are not match everything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pattern {
    /// Pattern for the model's name.
    pub model: Option<String>,
    /// Pattern for the architecture.
    pub architecture: Option<String>,
    /// Pattern for the weight type.
    pub weights: Option<String>,
    /// Pattern for the prompt's name.
    pub prompt: Option<String>,
    /// Pattern for the schedule.
    pub schedule: Option<String>,
    /// Pattern for the settings.
    pub settings: Option<String>,
    /// Pattern for the subject that is wrong.
    pub subject: Option<String>,
    /// Pattern for the relation under which a subject is held against itself; without one, all of them and none match.
    pub relation: Option<String>,
}

impl Pattern {
    pub(crate) fn fields(&self) -> [&Option<String>; FIELDS] {
        let Self { model, architecture, weights, prompt, schedule, settings, subject, relation } = self;
        [model, architecture, weights, prompt, schedule, settings, subject, relation]
    }

    pub(crate) fn compile(&self) -> Result<Compiled, globset::Error> {
        let compile = |pattern: &String| Ok((pattern.clone(), Glob::new(pattern)?.compile_matcher()));
        let fields = self.fields().map(|field| field.as_ref().map(compile).transpose());
        Ok(Compiled { fields: fields.into_iter().collect::<Result<_, _>>()? })
    }
}

/// A pattern that is ready to be matched.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    fields: Vec<Option<(String, GlobMatcher)>>,
}

impl Compiled {
    pub(crate) fn is_about_relation(&self) -> bool {
        self.fields.last().is_some_and(Option::is_some)
    }

    /// How specific a match is, or `None` where it does not match: a literal field counts more than any number of wildcards.
    pub(crate) fn specificity(&self, values: &[String; FIELDS]) -> Option<usize> {
        let mut total = 0;
        for (field, value) in self.fields.iter().zip(values) {
            let Some((pattern, glob)) = field else { continue };
            if !glob.is_match(value) {
                return None;
            }
            total += if pattern == value { LITERAL } else { 1 };
        }
        Some(total)
    }

    /// The same fields about a relation.
    pub(crate) fn matches_under(&self, values: &[String; FIELDS], relation: Relation) -> bool {
        let mut values = values.clone();
        if let Some(last) = values.last_mut() {
            relation.name().clone_into(last);
        }
        self.specificity(&values).is_some()
    }

    /// The patterns that are given, as they were written.
    pub(crate) fn given(&self) -> Vec<&str> {
        self.fields.iter().flatten().map(|(text, _)| text.as_str()).collect()
    }
}

/// What a literal field counts: more than all others together could as wildcards.
const LITERAL: usize = FIELDS;

/// Number of fields of a pattern; the relation is the last.
pub(crate) const FIELDS: usize = 8;

/// What the fields of a pattern are held against.
pub(crate) fn values(case: &Case, architecture: &str, relation: Option<Relation>) -> [String; FIELDS] {
    [
        case.model.clone(),
        architecture.to_owned(),
        case.weights.clone(),
        case.prompt.clone(),
        case.schedule.to_string(),
        case.settings.to_string(),
        case.subject.to_string(),
        relation.map_or("none", Relation::name).to_owned(),
    ]
}
