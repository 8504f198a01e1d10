//! An upgrade of a runtime as a release: the same cases with both builds, what changed and why, what it costs, and a verdict.
//!
//! Each side is a build of ggauge with that release of the runtime ([`supply::builds`]), used as a worker: the harness, the reference and the
//! policy are this ggauge's for both.

use crate::{determinism, matrix};
use harness::{
    plan::{Filter, Plan},
    progress::{self, Progress},
    reproduce,
    rig::{Policy, Rig},
    run,
    worker::pool::Workers,
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache, small};
use policy::{Expectations, Tolerances};
use printable::{Form, Page, Sheet};
use record::{
    Record,
    changes::{self, Change, Comparison},
};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Instant,
};
use supply::{
    manifests::Manifest,
    models::{self, Model},
    prompts::{self, Prompt},
    releases::{Release, order},
};
use vocabulary::{Oracle, Outcome, Schedule, Settings, SubjectId, Upshot};

const CAUSES: &str = include_str!("../../policy/changes.toml");

/// Rounds in which the speeds of both sides are measured, one after the other.
const ROUNDS: usize = 5;
/// Tokens that are decoded for a speed.
const DECODED: u32 = 32;
/// A speed below this part of what it was is a reason to look, where it was lower in every round.
const SLOWER: f64 = 0.9;
/// Memory or load time above this part of what it was, likewise.
const MORE: f64 = 1.15;
/// A case that moved by more than this part of its limit, although it stays within.
const DRIFTED: f64 = 0.5;

/// A release and the program that has it.
pub struct Side {
    /// The release.
    pub release: Release,
    /// A ggauge that was built with it.
    pub program: PathBuf,
}

/// What is run with both sides.
pub struct Cases<'a> {
    /// The subject, such as `candle@cpu`.
    pub subject: &'a SubjectId,
    /// Real models, each with its prompts.
    pub models: &'a [(Model, Vec<Prompt>)],
    /// Which cases.
    pub filter: &'a Filter,
}

/// What is known to have caused changes between releases: `conformance/policy/changes.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cause {
    /// The runtime.
    pub runtime: String,
    /// The release that has the change, by the version of its leading crate.
    pub release: String,
    /// Globs over the ids of the cases that it changes.
    pub cases: Vec<String>,
    /// True where it can take a case out of its limits, or away. Others, such as another order of sums, explain no such case.
    #[serde(default)]
    pub breaks: bool,
    /// How far evidence reaches: the change upstream, with file and line or commit.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Causes {
    #[serde(default)]
    change: Vec<Cause>,
}

impl Cause {
    /// The causes that ship with ggauge.
    ///
    /// # Errors
    /// Where the file is wrong.
    pub fn shipped() -> Result<Vec<Self>, Error> {
        let what = "conformance/policy/changes.toml";
        let causes: Causes = toml::from_str(CAUSES).map_err(|error| Error::input(what, error, "correct the file"))?;
        if let Some(empty) = causes.change.iter().find(|cause| cause.reason.trim().is_empty() || cause.cases.is_empty()) {
            let why = format!("a change of {} {} has no cases or no reason", empty.runtime, empty.release);
            return Err(Error::input(what, why, "say which cases it changed, and why"));
        }
        Ok(causes.change)
    }

    /// True where it lies between two releases, in either direction.
    fn lies_between(&self, before: &Release, after: &Release) -> bool {
        let (a, b) = (order(&before.version), order(&after.version));
        let (older, newer) = if a <= b { (a, b) } else { (b, a) };
        let own = order(&self.release);
        self.runtime == after.runtime && older < own && own <= newer
    }
}

/// What a cause explains in one upgrade.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Why, or nothing where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many comparisons changed in each way.
    pub totals: BTreeMap<Change, usize>,
    /// One of them.
    pub example: String,
}

/// A number of both sides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Median before.
    pub before: f64,
    /// Median after.
    pub after: f64,
    /// Median of the rounds' ratios, after over before.
    pub ratio: f64,
    /// The smallest and the largest of them.
    pub spread: (f64, f64),
}

impl Ratio {
    fn of(rounds: &[(f64, f64)]) -> Option<Self> {
        let rounds: Vec<_> = rounds.iter().copied().filter(|(a, b)| *a > 0.0 && *b > 0.0).collect();
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let ratios: Vec<f64> = rounds.iter().map(|(a, b)| b / a).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        Some(Self {
            before: median(rounds.iter().map(|(a, _)| *a).collect())?,
            after: median(rounds.iter().map(|(_, b)| *b).collect())?,
            ratio: median(ratios)?,
            spread: (least, most),
        })
    }
}

/// What an upgrade does to speed and memory on one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// The model.
    pub model: String,
    /// Tokens of a prompt in one call, a second.
    pub prefill: Option<Ratio>,
    /// Tokens one by one, a second.
    pub decode: Option<Ratio>,
    /// Seconds that a load takes.
    pub load: Option<Ratio>,
    /// MiB that the worker occupies at most, without the files it has mapped.
    pub memory: Option<Ratio>,
}

/// What to do about an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing that anybody needs to look at.
    Safe,
    /// Somebody should look at the reasons.
    Review,
    /// Something that worked does not.
    Breaking,
}

impl Verdict {
    /// The word reports use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Review => "review",
            Self::Breaking => "breaking",
        }
    }
}

/// The report of an upgrade.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Before.
    pub before: Release,
    /// After.
    pub after: Release,
    /// What to do about it.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<String>,
    /// Architecture and weight type that run now and did not.
    pub gained: Vec<String>,
    /// Those that ran and do not.
    pub lost: Vec<String>,
    /// The cases.
    pub comparison: Comparison,
    /// What caused the changes, as far as it is known; the worst first, and of those the largest.
    pub causes: Vec<Explained>,
    /// Speed and memory.
    pub speed: Vec<Speed>,
    /// Determinism before.
    pub determinism_before: Vec<determinism::Finding>,
    /// Determinism after.
    pub determinism_after: Vec<determinism::Finding>,
}

/// The pinned models, or those that are asked for, with their prompts.
///
/// # Errors
/// Where one of them cannot be had.
pub fn real_models(
    names: &[String],
    cache: &Cache,
    scratch: &Path,
    offline: bool,
    progress: &ProgressBar,
) -> Result<Vec<(Model, Vec<Prompt>)>, Error> {
    let names =
        if names.is_empty() { Manifest::all()?.into_iter().map(|manifest| manifest.name).collect() } else { names.to_vec() };
    let mut all = Vec::new();
    for name in &names {
        let model = models::resolve(name, cache, scratch, offline, progress)?;
        // Both sides must be fed the same ids, whatever their tokenizers say.
        let prompts = prompts::of_model(&model, |_| Ok(None))?;
        prompts.iter().try_for_each(|prompt| prompts::check(prompt, &model))?;
        all.push((model, prompts));
    }
    Ok(all)
}

/// Runs the cases with one side. Nothing is expected to fail: what is known to be wrong in one release need not be in another.
///
/// # Errors
/// Where the harness itself cannot go on.
pub fn run(side: &Side, cases: &Cases<'_>, cache: &Cache, scratch: &Path, progress: &ProgressBar) -> Result<Record, Error> {
    let policy = Policy { tolerances: Tolerances::shipped()?, expectations: Expectations::default() };
    let mut workers = workers(side, scratch);
    let probe = Model::make(&smith::Recipe::new(smith::Architecture::Llama, gguf::WeightType::F32, 0), scratch)?;
    let subjects = [cases.subject.clone()];
    let mut records = Vec::new();
    for settings in Settings::ALL {
        records.push(workers.describe(cases.subject, settings, &probe.path)?);
    }
    let (models, prompts): (Vec<_>, Vec<_>) = cases.models.iter().cloned().unzip();
    let everything = |_: &Model, _: &SubjectId, _: &Prompt| true;
    let real = Plan::new(models, &prompts, &Schedule::OF_EVERY_RUN, &[Settings::Default], &subjects, everything, cases.filter);
    let chosen = matrix::Subjects { fast: &subjects, devices: &[] };
    let tiny = matrix::plan(matrix::Extent::EveryChange, &chosen, scratch, cases.filter)?;
    let mut bar = Progress(progress);
    let mut rig = Rig { workers: &mut workers, cache, scratch, policy: &policy, listeners: vec![&mut bar] };
    let mut whole = run::run(&mut rig, &real, records.clone(), &reproduce::run(""))?;
    let record = run::run(&mut rig, &tiny, records, &reproduce::matrix(""))?;
    whole.models.extend(record.models);
    whole.cases.extend(record.cases);
    whole.comparisons.extend(record.comparisons);
    Ok(whole)
}

fn workers(side: &Side, scratch: &Path) -> Workers {
    Workers::plain(side.program.clone(), scratch)
}

/// Measures what is deterministic with one side, on the matrix's models.
///
/// # Errors
/// Where the harness itself cannot go on.
pub fn determinism(
    side: &Side,
    subject: &SubjectId,
    scratch: &Path,
    progress: &ProgressBar,
) -> Result<Vec<determinism::Finding>, Error> {
    let subjects = Settings::ALL.map(|settings| (subject.clone(), settings));
    determinism::measure(&mut workers(side, scratch), &determinism::tiny_models(scratch)?, &subjects, scratch, progress)
}

/// Measures speed and memory of both sides, round by round one after the other, so that a machine that is busy for a while is so for both.
///
/// # Errors
/// Where the harness itself cannot go on.
pub fn speed(sides: [&Side; 2], cases: &Cases<'_>, scratch: &Path, progress: &ProgressBar) -> Result<Vec<Speed>, Error> {
    let mut all = Vec::new();
    progress::count(progress, (cases.models.len() * ROUNDS * 2) as u64);
    progress.set_position(0);
    for (model, prompts) in cases.models {
        let Some(prompt) = prompts.iter().max_by_key(|prompt| prompt.tokens.len()) else { continue };
        let mut rounds: [Vec<[f64; 4]>; 2] = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            // Who goes first has the caches cold.
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for index in order {
                progress.set_message(format!("speed of {} on {}", sides[index].release, model.name));
                progress.inc(1);
                rounds[index].push(measure(sides[index], cases.subject, model, prompt, scratch)?);
            }
        }
        let [before, after] = rounds;
        let of = |what: usize| {
            let pairs: Vec<(f64, f64)> = before.iter().zip(&after).map(|(a, b)| (a[what], b[what])).collect();
            Ratio::of(&pairs)
        };
        all.push(Speed { model: model.name.clone(), prefill: of(0), decode: of(1), load: of(2), memory: of(3) });
    }
    Ok(all)
}

/// Prefill and decode in tokens a second, load in seconds, memory in MiB; 0 for what the side does not give.
fn measure(side: &Side, subject: &SubjectId, model: &Model, prompt: &Prompt, scratch: &Path) -> Result<[f64; 4], Error> {
    let mut workers = workers(side, scratch);
    let worker = workers.get(subject, Settings::Default);
    if worker.start()?.is_err() {
        return Ok([0.0; 4]);
    }
    let started = Instant::now();
    if worker.load(&model.path)?.is_err() {
        return Ok([0.0; 4]);
    }
    let load = started.elapsed().as_secs_f64();
    let Ok(continuation) = worker.continue_greedily(&model.path, model.vocabulary_size, &prompt.tokens, DECODED)? else {
        return Ok([0.0, 0.0, load, 0.0]);
    };
    let a_second = |tokens: usize, seconds: f64| if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
    let decoded = continuation.tokens.len().saturating_sub(1);
    Ok([
        a_second(prompt.tokens.len(), continuation.prefill.as_secs_f64()),
        a_second(decoded, continuation.decode.as_secs_f64()),
        load,
        worker.peak_memory as f64 / f64::from(1 << 20),
    ])
}

/// Puts together what was found out.
///
/// # Errors
/// Where the known causes are wrong.
pub fn report(
    releases: [&Release; 2],
    records: [&Record; 2],
    speed: Vec<Speed>,
    determinism: [Vec<determinism::Finding>; 2],
) -> Result<Report, Error> {
    let comparison = changes::compare(records[0], records[1]);
    let [before, after] = releases.map(Clone::clone);
    let causes = explain(&comparison, &Cause::shipped()?, &before, &after)?;
    let [ran, runs] = records.map(|record| running(record, &comparison));
    let gained = runs.difference(&ran).cloned().collect();
    let lost = ran.difference(&runs).cloned().collect();
    let [determinism_before, determinism_after] = determinism;
    let mut report = Report {
        before,
        after,
        verdict: Verdict::Safe,
        reasons: Vec::new(),
        gained,
        lost,
        comparison,
        causes,
        speed,
        determinism_before,
        determinism_after,
    };
    report.judge();
    Ok(report)
}

/// The architectures and weight types of which a Record has a case that gave logits, right or wrong.
fn running(record: &Record, comparison: &Comparison) -> BTreeSet<String> {
    let completed = record.cases.iter().filter(|case| matches!(case.outcome, Outcome::Completed { .. }));
    let completed: BTreeSet<&str> = completed.map(|case| case.id.as_str()).collect();
    let own: BTreeSet<&str> = record.comparisons.iter().map(|comparison| comparison.id.as_str()).collect();
    let rows = comparison.rows.iter().filter(|row| row.oracle == Oracle::Reference);
    let rows = rows.filter(|row| completed.contains(row.id.as_str()) && own.contains(row.id.as_str()));
    rows.map(|row| format!("{} {}", row.architecture, row.weights)).collect()
}

/// What a report says of changes that no cause explains.
pub const UNEXPLAINED: &str = "no cause is known; conformance/policy/changes.toml takes it";

/// The names of the Records in the folder of an upgrade, before and after.
pub const RECORDS: [&str; 2] = ["before.json", "after.json"];
/// The name of the report there, for machines.
pub const REPORT: &str = "report.json";

/// What a report has of what was measured, beside the two Records.
#[derive(Deserialize)]
struct Measured {
    before: Release,
    after: Release,
    speed: Vec<Speed>,
    determinism_before: Vec<determinism::Finding>,
    determinism_after: Vec<determinism::Finding>,
}

/// The report of an upgrade whose folder is there, with the causes that are known now. Runs nothing.
///
/// # Errors
/// Where one of its files is missing or is none, or the known causes are wrong.
pub fn again(folder: &Path) -> Result<Report, Error> {
    let [before, after] = RECORDS.map(|name| record::read(&folder.join(name)));
    let path = folder.join(REPORT);
    let next = "give the folder that `ggauge upgrade RELEASE --record FOLDER` wrote";
    let json = small::read(&path).map_err(|error| Error::input(path.display(), error, next))?;
    let measured: Measured = serde_json::from_slice(&json).map_err(|error| Error::input(path.display(), error, next))?;
    let Measured { before: old, after: new, speed, determinism_before, determinism_after } = measured;
    report([&old, &new], [&before?, &after?], speed, [determinism_before, determinism_after])
}

/// Which cause each change has.
fn explain(comparison: &Comparison, causes: &[Cause], before: &Release, after: &Release) -> Result<Vec<Explained>, Error> {
    let mut known = Vec::new();
    for cause in causes.iter().filter(|cause| cause.lies_between(before, after)) {
        let filters = cause.cases.iter().map(|glob| Filter::parse(glob)).collect::<Result<Vec<_>, _>>()?;
        known.push((cause, filters));
    }
    let mut found: BTreeMap<Option<usize>, Explained> = BTreeMap::new();
    for row in comparison.rows.iter().filter(|row| row.change != Change::Identical) {
        let is_worse = matches!(row.change, Change::Broken | Change::Gone);
        let explains = |(cause, filters): &(&Cause, Vec<Filter>)| {
            (cause.breaks || !is_worse) && filters.iter().any(|filter| filter.keeps(&row.id))
        };
        let index = known.iter().position(explains);
        let reason = index.and_then(|index| known.get(index)).map(|(cause, _)| {
            format!("since {}: {}", cause.release, cause.reason.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        let entry =
            found.entry(index).or_insert_with(|| Explained { reason, totals: BTreeMap::new(), example: row.id.clone() });
        *entry.totals.entry(row.change).or_default() += 1;
    }
    let mut all: Vec<Explained> = found.into_values().collect();
    let total = |explained: &Explained| explained.totals.values().sum::<usize>();
    all.sort_by_key(|explained| (explained.totals.keys().min().copied(), Reverse(total(explained))));
    Ok(all)
}

impl Report {
    fn judge(&mut self) {
        let mut verdict = Verdict::Safe;
        let mut reasons = Vec::new();
        let mut because = |at_least: Verdict, reason: String| {
            verdict = verdict.max(at_least);
            reasons.push(reason);
        };
        let cases = |count: usize| if count == 1 { "1 case".to_owned() } else { format!("{count} cases") };
        for (change, at_least, words) in [
            (Change::Broken, Verdict::Breaking, "left their limits or end in another way"),
            (Change::Gone, Verdict::Breaking, "are not supported any more"),
            (Change::Changed, Verdict::Review, "were outside their limits and are so in another way"),
            (
                Change::Fixed,
                Verdict::Review,
                "were outside their limits and are within: look for expectations that are stale now",
            ),
            (Change::New, Verdict::Review, "are supported now"),
        ] {
            let count = self.comparison.count(change);
            if count > 0 {
                because(at_least, format!("{} {words}", cases(count)));
            }
        }
        let drifted = self.comparison.of(Change::Within).into_iter().filter(|row| row.drift() > DRIFTED).count();
        if drifted > 0 {
            because(Verdict::Review, format!("{} moved by more than half of their limit", cases(drifted)));
        }
        for speed in &self.speed {
            for (what, ratio, is_speed) in [
                ("prefill", speed.prefill, true),
                ("decode", speed.decode, true),
                ("load", speed.load, false),
                ("memory", speed.memory, false),
            ] {
                let Some(ratio) = ratio else {
                    because(Verdict::Review, format!("{what} of {} could not be measured on both sides", speed.model));
                    continue;
                };
                let worse = if is_speed {
                    ratio.ratio < SLOWER && ratio.spread.1 < 1.0
                } else {
                    ratio.ratio > MORE && ratio.spread.0 > 1.0
                };
                if worse {
                    let words = if is_speed { "of the speed" } else { "of what it was" };
                    because(Verdict::Review, format!("{what} of {} is {:.2} {words}", speed.model, ratio.ratio));
                }
            }
        }
        for new in &self.determinism_after {
            let same = |old: &&determinism::Finding| {
                old.aspect == new.aspect && old.settings == new.settings && old.subject == new.subject
            };
            if let Some(old) = self.determinism_before.iter().find(same)
                && old.holds()
                && !new.holds()
            {
                let words = format!("{} {} was the same to the bit {}", new.subject, new.settings, new.aspect.words());
                because(Verdict::Review, format!("{words}: {} now", new.words()));
            }
        }
        if self.comparison.rows.is_empty() {
            verdict = verdict.max(Verdict::Review);
            reasons.push("nothing was compared: no case is left, or neither side can run any".into());
        }
        if reasons.is_empty() {
            reasons.push("every case is the same to the bit or within its limits, and nothing is slower".into());
        }
        (self.verdict, self.reasons) = (verdict, reasons);
    }

    /// What it comes to: bad where it is breaking.
    pub fn upshot(&self) -> Upshot {
        if self.comparison.rows.is_empty() {
            Upshot::NothingJudged
        } else if self.verdict == Verdict::Breaking {
            Upshot::Bad
        } else {
            Upshot::Good
        }
    }

    /// The report in a form; `all` lists every change whole.
    pub fn show(&self, form: Form, all: bool) -> Page {
        let mut out = Page::new(form);
        let title =
            format!("{} {} to {}: {}", self.after.runtime, self.before.version, self.after.version, self.verdict.word());
        out.heading(1, title);
        for reason in &self.reasons {
            out.item(reason);
        }
        for (release, words) in [(&self.before, "before"), (&self.after, "after")] {
            let crates: Vec<String> = release.crates.iter().map(|(name, version)| format!("{name} {version}")).collect();
            let from = release.folder.as_ref().map_or_else(String::new, |folder| format!(" from {}", folder.display()));
            out.item(format_args!("{words}: {}{from}", crates.join(", ")));
        }
        out.blank();
        if !self.causes.is_empty() {
            out.heading(3, "what changed, and why");
            for Explained { reason, totals, example } in &self.causes {
                let counts: Vec<String> = totals.iter().map(|(change, count)| format!("{count} {}", change.words())).collect();
                let reason = reason.as_deref().unwrap_or(UNEXPLAINED);
                out.item(format_args!("{} (such as {example}): {reason}", counts.join(", ")));
            }
            out.blank();
        }
        for (words, list) in [("runs now", &self.gained), ("does not run any more", &self.lost)] {
            let mut by_weights: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (architecture, weights) in list.iter().filter_map(|both| both.split_once(' ')) {
                by_weights.entry(weights).or_default().push(architecture);
            }
            for (weights, architectures) in &by_weights {
                out.item(format_args!("{words}: {weights} in {}", architectures.join(", ")));
            }
            if !by_weights.is_empty() {
                out.blank();
            }
        }
        out.heading(3, "cases");
        out.append(&report::changes::report(&self.comparison, form, all));
        out.blank();
        if !self.speed.is_empty() {
            out.heading(3, "speed and memory, medians of interleaved runs");
            out.sheet(&self.speeds());
            out.blank();
        }
        out.heading(3, "determinism before");
        out.append(&determinism::report(&self.determinism_before, form));
        out.blank();
        out.heading(3, "determinism after");
        out.append(&determinism::report(&self.determinism_after, form));
        out
    }

    fn speeds(&self) -> Sheet {
        let mut sheet = Sheet::new(["model", "what", "before", "after", "ratio", "of single rounds"]);
        for speed in &self.speed {
            for (what, ratio) in [
                ("prefill, tokens/s", speed.prefill),
                ("decode, tokens/s", speed.decode),
                ("load, s", speed.load),
                ("memory, MiB", speed.memory),
            ] {
                let Some(Ratio { before, after, ratio, spread }) = ratio else { continue };
                let number = printable::short;
                let spread = format!("{:.2} to {:.2}", spread.0, spread.1);
                sheet.row([speed.model.clone(), what.into(), number(before), number(after), format!("{ratio:.2}"), spread]);
            }
        }
        sheet
    }
}
