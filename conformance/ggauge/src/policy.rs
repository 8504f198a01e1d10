//! Policy: what a correct runtime may differ by, and which divergences are known.
//!
//! `tolerances.toml` is written by `ggauge calibrate` and never edited; `expectations.toml` is written by hand, every row with a
//! reason. Neither is ever looked at by a worker.

use crate::{
    Error,
    models::Model,
    oracle::{Limits, Scale},
    relation::Relation,
    small, subjects,
};
use globset::{Glob, GlobMatcher};
use reference::Rounding;
use serde::{Deserialize, Serialize};
use std::path::Path;
use vocabulary::{Case, Check, Measurement, Outcome, Schedule, SubjectId, Verdict};

const TOLERANCES: &str = include_str!("../../policy/tolerances.toml");
const EXPECTATIONS: &str = include_str!("../../policy/expectations.toml");

/// Standard deviations of the difference of two logits that the top two must be apart for a disagreement to count.
pub(crate) const MARGIN_DEVIATIONS: f64 = 6.0;

/// The calibrated limits: for each rounding and kind of device, how many times the noise scale a correct runtime may reach.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tolerances {
    /// The command that wrote the file.
    pub generated_by: String,
    /// What the numbers were measured with.
    pub measured_with: Vec<String>,
    /// At least one row.
    pub tolerance: Vec<Tolerance>,
}

/// What a model's matrices hold. It decides what the noise is made of: the order of f32 sums, activations in half precision, or
/// activations in blocks of codes; a multiplier that is fit for one would be far too wide for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// F32 only.
    Single,
    /// F32 only, in a model whose GELU goes through a table of f16 by f16: far more noise than the order of sums makes.
    Table,
    /// F16 or BF16, and nothing quantised.
    Half,
    /// At least one matrix is quantised.
    Quantized,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::Single, Self::Table, Self::Half, Self::Quantized];

    /// The family of a model's weights.
    pub fn of(files: &gguf::Split<'_>) -> Self {
        let any = |is: fn(gguf::WeightType) -> bool| files.tensors().any(|tensor| is(tensor.weight_type));
        if any(gguf::WeightType::is_quantized) {
            Self::Quantized
        } else if any(|weight_type| matches!(weight_type, gguf::WeightType::F16 | gguf::WeightType::BF16)) {
            Self::Half
        } else {
            Self::Single
        }
    }
}

/// What limits are chosen by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Key {
    /// The rounding, by the name it has in `reference@...`: it follows from subject, settings and schedule.
    pub rounding: String,
    /// The kind of device, such as `cpu`.
    pub device: String,
    /// The family of the model's weights.
    pub weights: Family,
}

impl Key {
    /// The key of a subject that rounds so, on a model of an architecture with weights of a family.
    pub fn new(subject: &SubjectId, rounding: Rounding, architecture: &str, weights: Family) -> Self {
        let through_table = rounding.has_table() && reference::architectures::has_gelu(architecture);
        let weights = if through_table && weights == Family::Single { Family::Table } else { weights };
        // Where the output matrix is left on the CPU, the noise is the CPU's, and so is the multiplier.
        if rounding.has_output_on_cpu() {
            return Self { rounding: Rounding::LLAMA_CPP_STRICT.name(), device: "cpu".into(), weights };
        }
        Self { rounding: rounding.name(), device: subjects::device_kind(subject).to_owned(), weights }
    }
}

/// Multipliers for one key, with the data they come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tolerance {
    /// What this row is for.
    #[serde(flatten)]
    pub key: Key,
    /// Limit on the worst NMSE, in units of the noise scale's.
    pub nmse: Multiplier,
    /// The same for the mean KL.
    pub kl_mean: Multiplier,
    /// The same for the worst KL.
    pub kl_max: Multiplier,
}

/// A multiplier and the sample it was taken from.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Multiplier {
    /// `max * margin`.
    pub multiplier: f64,
    /// Number of measured ratios.
    pub sample: u64,
    /// Their median.
    pub median: f64,
    /// Their 99th percentile.
    pub p99: f64,
    /// Their largest.
    pub max: f64,
    /// Factor from the largest to the limit.
    pub margin: f64,
}

impl Tolerances {
    /// The limits that ship with ggauge.
    ///
    /// # Errors
    /// Where the file is wrong or has no row.
    pub fn shipped() -> Result<Self, Error> {
        Self::parse(TOLERANCES, "conformance/policy/tolerances.toml")
    }

    /// Reads limits; `what` names the text in errors.
    ///
    /// # Errors
    /// As [`Tolerances::shipped`].
    pub fn parse(text: &str, what: &str) -> Result<Self, Error> {
        let next = "write it again with `ggauge calibrate`";
        let parsed: Self = toml::from_str(text).map_err(|error| Error::input(what, error, next))?;
        if parsed.tolerance.is_empty() {
            return Err(Error::input(what, "it has no [[tolerance]], so nothing would be checked", next));
        }
        let all = parsed.tolerance.iter().flat_map(|row| [row.nmse, row.kl_mean, row.kl_max]);
        if all.into_iter().any(|multiplier| !(multiplier.multiplier.is_finite() && multiplier.multiplier > 0.0)) {
            return Err(Error::input(what, "a multiplier is not a positive number", next));
        }
        Ok(parsed)
    }

    /// These limits with the rows of `newer` in place of their own, as far as it has them.
    #[must_use]
    pub fn updated_by(mut self, newer: Self) -> Self {
        self.tolerance.retain(|row| !newer.tolerance.iter().any(|other| other.key == row.key));
        self.tolerance.extend(newer.tolerance);
        self.tolerance.sort_by(|a, b| a.key.cmp(&b.key));
        self.generated_by = format!("{}; {}", self.generated_by, newer.generated_by);
        self.measured_with.extend(newer.measured_with);
        self.measured_with.sort();
        self.measured_with.dedup();
        self
    }

    /// The limits for a case whose noise is `scale`; `None` where nothing has been calibrated.
    pub fn limits(&self, key: &Key, scale: &Scale) -> Option<Limits> {
        let row = self.tolerance.iter().find(|row| row.key == *key)?;
        let nmse = row.nmse.multiplier;
        Some(Limits {
            nmse: nmse * scale.nmse,
            kl_mean: row.kl_mean.multiplier * scale.kl_mean,
            kl_max: row.kl_max.multiplier * scale.kl_max,
            // The error that the NMSE limit allows a logit, times the root of 2 for the difference of two.
            margin: MARGIN_DEVIATIONS * (2.0 * nmse).sqrt() * scale.rms,
            // Tighter: what 99 of 100 cases of correct runtimes err by, and not what none may.
            drift: MARGIN_DEVIATIONS * (2.0 * row.nmse.p99).sqrt() * scale.rms,
        })
    }
}

/// How a known divergence shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The numbers are outside their limits.
    Diverges,
    /// The subject refuses what it should take.
    Rejects,
    /// The worker ends by a signal or exits.
    Crashes,
    /// The worker aborts.
    Aborts,
    /// The case takes longer than its limit.
    TimesOut,
    /// The worker takes more memory than its limit.
    ExceedsMemory,
}

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
    fn fields(&self) -> [&Option<String>; FIELDS] {
        let Self { model, architecture, weights, prompt, schedule, settings, subject, relation } = self;
        [model, architecture, weights, prompt, schedule, settings, subject, relation]
    }

    fn compile(&self) -> Result<Compiled, globset::Error> {
        let compile = |pattern: &String| Ok((pattern.clone(), Glob::new(pattern)?.compile_matcher()));
        let fields = self.fields().map(|field| field.as_ref().map(compile).transpose());
        Ok(Compiled { fields: fields.into_iter().collect::<Result<_, _>>()? })
    }
}

/// A pattern that is ready to be matched.
#[derive(Debug, Clone)]
struct Compiled {
    fields: Vec<Option<(String, GlobMatcher)>>,
}

impl Compiled {
    fn is_about_relation(&self) -> bool {
        self.fields.last().is_some_and(Option::is_some)
    }

    /// How specific a match is, or `None` where it does not match: a literal field counts more than any number of wildcards.
    fn specificity(&self, values: &[String; FIELDS]) -> Option<usize> {
        let mut total = 0;
        for (field, value) in self.fields.iter().zip(values) {
            let Some((pattern, glob)) = field else { continue };
            if !glob.is_match(value) {
                return None;
            }
            total += if pattern == value { 8 } else { 1 };
        }
        Some(total)
    }
}

/// Number of fields of a pattern.
const FIELDS: usize = 8;

/// What the fields of a pattern are held against.
fn values(case: &Case, architecture: &str, relation: Option<Relation>) -> [String; FIELDS] {
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

/// A known divergence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expectation {
    model: Option<String>,
    architecture: Option<String>,
    weights: Option<String>,
    prompt: Option<String>,
    schedule: Option<String>,
    settings: Option<String>,
    subject: Option<String>,
    relation: Option<String>,
    /// Other cases with the same cause.
    #[serde(default)]
    or: Vec<Pattern>,
    /// How it shows.
    pub class: Class,
    /// Cases in which it can be smaller than the noise: there it may pass.
    #[serde(default)]
    may_hide: Vec<Pattern>,
    /// Why, down to the place in the runtime's source.
    pub reason: String,
    /// Its entry in `FINDINGS.md`.
    pub finding: Option<String>,
    /// The upstream issue, where there is one.
    pub issue: Option<String>,
    /// What confirms the reason.
    pub experiment: Option<Experiment>,
}

impl Expectation {
    /// The cases it is about, each pattern on its own.
    fn patterns(&self) -> Vec<Pattern> {
        let Self { model, architecture, weights, prompt, schedule, settings, subject, relation, or, .. } = self.clone();
        let mut all = vec![Pattern { model, architecture, weights, prompt, schedule, settings, subject, relation }];
        all.extend(or);
        all
    }

    /// True where a case may pass, because the divergence can be smaller than the case's noise.
    pub fn may_hide(&self, case: &Case, architecture: &str) -> bool {
        let values = values(case, architecture, None);
        self.may_hide.iter().any(|pattern| pattern.compile().is_ok_and(|pattern| pattern.specificity(&values).is_some()))
    }

    /// True when what came out is what this row expects.
    pub fn is_met_by(&self, outcome: &Outcome, verdict: Option<&Verdict>) -> bool {
        match (self.class, outcome) {
            // A divergence is of finite numbers: an expected one must not excuse NaN or rows of one value.
            (Class::Diverges, Outcome::Completed { .. }) => verdict.is_some_and(|verdict| {
                let sane = |check: &Measurement| check.holds() || !matches!(check.check, Check::Finite | Check::Constant);
                matches!(verdict, Verdict::Measured { checks, .. } if checks.iter().all(sane)) && !verdict.holds()
            }),
            (Class::Rejects, Outcome::Rejected(_))
            | (Class::Crashes, Outcome::Crashed { .. } | Outcome::Exited { .. })
            | (Class::Aborts, Outcome::Aborted)
            | (Class::TimesOut, Outcome::TimedOut { .. })
            | (Class::ExceedsMemory, Outcome::OutOfMemory { .. }) => true,
            _ => false,
        }
    }
}

/// All known divergences.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    #[serde(default)]
    expectation: Vec<Expectation>,
    /// The patterns of each row.
    #[serde(skip)]
    compiled: Vec<Vec<Compiled>>,
    #[serde(skip)]
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
        let mut parsed: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        for (index, row) in parsed.expectation.iter().enumerate() {
            if row.reason.trim().is_empty() {
                return Err(wrong(format!("expectation {} has no reason", index + 1)));
            }
            for pattern in row.patterns().iter().chain(&row.may_hide) {
                let given: Vec<_> = pattern.fields().into_iter().flatten().collect();
                if given.is_empty() {
                    return Err(wrong(format!("expectation {} would match every case", index + 1)));
                }
            }
            let invalid = |error: globset::Error| wrong(format!("expectation {}: {error}", index + 1));
            let compile = |patterns: &[Pattern]| patterns.iter().map(Pattern::compile).collect::<Result<Vec<_>, _>>();
            compile(&row.may_hide).map_err(invalid)?;
            parsed.compiled.push(compile(&row.patterns()).map_err(invalid)?);
        }
        parsed.source = source.into();
        Ok(parsed)
    }

    /// The rows, in the order of the file.
    pub fn rows(&self) -> &[Expectation] {
        &self.expectation
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
        let best = |patterns: &Vec<Compiled>| {
            patterns.iter().filter(|pattern| counts(pattern)).filter_map(|pattern| pattern.specificity(values)).max()
        };
        let rows = self.expectation.iter().zip(&self.compiled).enumerate();
        let mut matches: Vec<(usize, usize, &Expectation)> =
            rows.filter_map(|(index, (row, patterns))| Some((best(patterns)?, index, row))).collect();
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
    pub fn check_all_match(&self, cases: &[(Case, &Model)]) -> Result<(), Error> {
        let of_case = |(case, model): &(Case, &Model)| values(case, &model.architecture, None);
        let cases: Vec<[String; FIELDS]> = cases.iter().map(of_case).collect();
        for (index, (row, patterns)) in self.expectation.iter().zip(&self.compiled).enumerate() {
            let hiding = row.may_hide.iter().filter_map(|pattern| pattern.compile().ok());
            for pattern in patterns.iter().cloned().chain(hiding) {
                // Any case can be run under any relation.
                let matches = |values: &[String; FIELDS]| {
                    let mut values = values.clone();
                    if pattern.is_about_relation() {
                        return Relation::ALL.into_iter().any(|relation| {
                            relation.name().clone_into(&mut values[FIELDS - 1]);
                            pattern.specificity(&values).is_some()
                        });
                    }
                    pattern.specificity(&values).is_some()
                };
                if !cases.iter().any(matches) {
                    let reason = row.reason.lines().next().unwrap_or_default();
                    let given: Vec<&str> = pattern.fields.iter().flatten().map(|(text, _)| text.as_str()).collect();
                    let why = format!("expectation {} matches no case with {} ({reason})", index + 1, given.join(", "));
                    return Err(Error::input(&self.source, why, "delete the row, or correct its patterns"));
                }
            }
        }
        Ok(())
    }
}
