//! Known divergences: `expectations.toml`, every row of which has a reason, and still fails the way it says.

use crate::patterns::{Compiled, FIELDS, Pattern, values};
use machine::{Error, small};
use serde::Deserialize;
use std::path::Path;
use vocabulary::{Case, Check, Class, Measurement, Outcome, Relation, Schedule, SubjectId, Verdict};

const EXPECTATIONS: &str = include_str!("../expectations.toml");

/// What confirms the cause of a divergence: the reference with faults gives the subject's numbers, in strict settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Experiment {
    /// The smallest recipe that shows it.
    pub recipe: String,
    /// Tokens of the prompt.
    pub tokens: usize,
    /// How it is fed.
    pub schedule: Schedule,
    /// The subject that is wrong.
    pub subject: SubjectId,
    /// Names of faults, as `ggauge faults --verbose` has them.
    pub faults: Vec<String>,
}

/// A row as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    model: Option<String>,
    architecture: Option<String>,
    weights: Option<String>,
    prompt: Option<String>,
    schedule: Option<String>,
    settings: Option<String>,
    subject: Option<String>,
    relation: Option<String>,
    #[serde(default)]
    or: Vec<Pattern>,
    class: Class,
    #[serde(default)]
    may_hide: Vec<Pattern>,
    reason: String,
    finding: Option<String>,
    issue: Option<String>,
    experiment: Option<Experiment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    #[serde(default)]
    expectation: Vec<Row>,
}

/// A known divergence.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The cases it is about.
    patterns: Vec<Compiled>,
    /// Cases in which it can be smaller than the noise.
    may_hide: Vec<Compiled>,
    /// How it shows.
    pub class: Class,
    /// Why, down to the place in the runtime's source.
    pub reason: String,
    /// Its entry in `FINDINGS.md`.
    pub finding: Option<String>,
    /// The upstream issue, where there is one.
    pub issue: Option<String>,
    /// What confirms the reason.
    pub experiment: Option<Experiment>,
}

impl TryFrom<Row> for Expectation {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        if row.reason.trim().is_empty() {
            return Err(" has no reason".into());
        }
        let Row { model, architecture, weights, prompt, schedule, settings, subject, relation, mut or, may_hide, .. } = row;
        or.insert(0, Pattern { model, architecture, weights, prompt, schedule, settings, subject, relation });
        if or.iter().chain(&may_hide).any(|pattern| pattern.fields().into_iter().flatten().next().is_none()) {
            return Err(" would match every case".into());
        }
        let compile = |patterns: &[Pattern]| patterns.iter().map(Pattern::compile).collect::<Result<Vec<_>, _>>();
        let invalid = |error: globset::Error| format!(": {error}");
        Ok(Self {
            patterns: compile(&or).map_err(invalid)?,
            may_hide: compile(&may_hide).map_err(invalid)?,
            class: row.class,
            reason: row.reason,
            finding: row.finding,
            issue: row.issue,
            experiment: row.experiment,
        })
    }
}

impl Expectation {
    /// True where a case may pass, because the divergence can be smaller than the case's noise.
    pub fn may_hide(&self, case: &Case, architecture: &str) -> bool {
        let values = values(case, architecture, None);
        self.may_hide.iter().any(|pattern| pattern.specificity(&values).is_some())
    }

    /// True when what came out is what this row expects.
    pub fn is_met_by(&self, outcome: &Outcome, verdict: Option<&Verdict>) -> bool {
        match (self.class, outcome) {
            // A divergence is of finite numbers: an expected one must not excuse NaN or rows of one value.
            (Class::Diverges, Outcome::Completed { .. }) => verdict.is_some_and(|verdict| {
                let sane = |check: &Measurement| check.holds() || !matches!(check.check, Check::Finite | Check::Constant);
                matches!(verdict, Verdict::Measured { checks, .. } if checks.iter().all(sane)) && !verdict.holds()
            }),
            (class, outcome) => Class::of(outcome) == Some(class),
        }
    }
}

/// All known divergences.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    rows: Vec<Expectation>,
    source: String,
}

impl Expectations {
    /// The expectations that ship with ggauge.
    ///
    /// # Errors
    /// Where the file is wrong.
    pub fn shipped() -> Result<Self, Error> {
        Self::parse(EXPECTATIONS, "conformance/policy/expectations.toml")
    }

    /// Expectations from a file of the user's.
    ///
    /// # Errors
    /// Where the file cannot be read or is wrong.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = small::read_text(path);
        let text = text.map_err(|error| Error::input(path.display(), error, "give the path of an expectations file"))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and checks the rows.
    ///
    /// # Errors
    /// For unknown fields, missing or empty reasons, patterns that are not globs, and rows without any pattern.
    pub fn parse(text: &str, source: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::input(source, why, "correct the file; CONTRIBUTING.md says what a row must have");
        let parsed: Rows = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let row = |(index, row): (usize, Row)| {
            Expectation::try_from(row).map_err(|why| wrong(format!("expectation {}{why}", index + 1)))
        };
        let rows = parsed.expectation.into_iter().enumerate().map(row).collect::<Result<_, _>>()?;
        Ok(Self { rows, source: source.into() })
    }

    /// The rows, in the order of the file.
    pub fn rows(&self) -> &[Expectation] {
        &self.rows
    }

    /// The most specific row that matches a case.
    ///
    /// # Errors
    /// Where two rows match equally well: which of them holds must not depend on their order.
    pub fn find(&self, case: &Case, architecture: &str) -> Result<Option<&Expectation>, Error> {
        self.best(case, &values(case, architecture, None), |_| true)
    }

    /// The most specific row about a relation that matches a case under it.
    ///
    /// # Errors
    /// As [`Expectations::find`].
    pub fn find_trial(&self, case: &Case, architecture: &str, relation: Relation) -> Result<Option<&Expectation>, Error> {
        self.best(case, &values(case, architecture, Some(relation)), Compiled::is_about_relation)
    }

    fn best(
        &self,
        case: &Case,
        values: &[String; FIELDS],
        counts: impl Fn(&Compiled) -> bool,
    ) -> Result<Option<&Expectation>, Error> {
        let best = |patterns: &[Compiled]| {
            patterns.iter().filter(|pattern| counts(pattern)).filter_map(|pattern| pattern.specificity(values)).max()
        };
        let rows = self.rows.iter().enumerate();
        let mut matches: Vec<(usize, usize, &Expectation)> =
            rows.filter_map(|(index, row)| Some((best(&row.patterns)?, index, row))).collect();
        matches.sort_by_key(|&(specificity, ..)| std::cmp::Reverse(specificity));
        if let [(first, a, _), (second, b, _), ..] = matches[..]
            && first == second
        {
            let why = format!("expectations {} and {} match {case} equally well", a.min(b) + 1, a.max(b) + 1);
            return Err(Error::input(&self.source, why, "make one of them more specific"));
        }
        Ok(matches.first().map(|&(.., row)| row))
    }

    /// Refuses rows that match none of `cases`: they would be stale without anybody noticing.
    ///
    /// # Errors
    /// Names the first such row.
    pub fn check_all_match(&self, cases: &[(Case, &str)]) -> Result<(), Error> {
        let of_case = |(case, architecture): &(Case, &str)| values(case, architecture, None);
        let cases: Vec<[String; FIELDS]> = cases.iter().map(of_case).collect();
        for (index, row) in self.rows.iter().enumerate() {
            for pattern in row.patterns.iter().chain(&row.may_hide) {
                let matches = |values: &[String; FIELDS]| {
                    // Any case can be run under any relation.
                    if pattern.is_about_relation() {
                        Relation::ALL.into_iter().any(|relation| pattern.matches_under(values, relation))
                    } else {
                        pattern.specificity(values).is_some()
                    }
                };
                if !cases.iter().any(matches) {
                    let reason = row.reason.lines().next().unwrap_or_default();
                    let why =
                        format!("expectation {} matches no case with {} ({reason})", index + 1, pattern.given().join(", "));
                    return Err(Error::input(&self.source, why, "delete the row, or correct its patterns"));
                }
            }
        }
        Ok(())
    }
}
