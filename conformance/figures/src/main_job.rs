//! The main job's report and picture in README.

use crate::{
    files::read,
    prose::fenced,
    texts::{README, Texts},
};
use machine::{Error, files::digest};
use printable::short;
use record::{ComparisonRecord, Record};
use report::{Style, picture};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use vocabulary::{Check, Measurement, Oracle, Relation, Upshot, Verdict};

const MAIN_JOB: &str = "main-job";
const MAIN_JOB_PICTURE: &str = ".github/main-job.svg";
/// A report as a file has it.
pub(crate) const PLAIN: Style = Style { color: false, verbose: false };

/// The report without the subjects that one machine has not.
fn shown(record: &Record) -> String {
    format!("{}{}{}\n", report::table(record, PLAIN), report::findings(record, PLAIN), report::totals(record, PLAIN).as_str())
}

/// Says whether two Records are of the same bits: a digest of every case and its logits.
fn bits(record: &Record) -> String {
    let cases: Vec<String> =
        record.cases.iter().map(|case| format!("{} {:?} {:?}", case.id, case.outcome, case.logits)).collect();
    digest(cases.join("\n").as_bytes()).chars().take(16).collect()
}

/// What is put into texts from a Record of the main job: its report, its picture, and a digest of the logits that they were made from.
///
/// # Errors
/// Where something in the Record failed, or a text has no such passage.
pub fn of_the_main_job(texts: &mut Texts, record: &Record) -> Result<(), Error> {
    if record.upshot() != Upshot::Good {
        return Err(Error::input("the Record of the main job", report::totals(record, PLAIN).as_str(), "mend that first"));
    }
    texts.put(README, MAIN_JOB, &bits(record), &fenced(&shown(record)))?;
    texts.file(MAIN_JOB_PICTURE, picture::svg(record)?);
    Ok(())
}

/// What README's table and picture of the main job say otherwise than a Record of it.
///
/// Where the logits are the same to the bit, every digit must be. Another processor, compiler or driver sums in another order: what was
/// measured, and which prompt comes nearest to its limit, differ then, within limits that this Record was judged by. The rows, what each comes
/// to, how many prompts and positions it has and how many of those are judged do not, nor do the limits, which follow from the reference
/// alone: each limit that is printed must be one of a prompt of that row. Subjects that one of the two has not are left out.
///
/// # Errors
/// Where a file is missing or the text has no such passage.
pub fn wrong_of_the_main_job(root: &Path, record: &Record) -> Result<Vec<String>, Error> {
    let mut texts = Texts::of(root);
    let (note, now) = texts.passage(README, MAIN_JOB)?;
    if note == bits(record) {
        of_the_main_job(&mut texts, record)?;
        return Ok(texts.wrong());
    }
    let today = fenced(&shown(record));
    let mut wrong = Vec::new();
    let (there, here) = (Table::of(&now), Table::of(&today));
    let common = |table: &Table| -> BTreeSet<String> { table.rows.keys().map(|key| key.subject.clone()).collect() };
    let (of_there, of_here) = (common(&there), common(&here));
    let both: BTreeSet<&String> = of_there.intersection(&of_here).collect();
    if both.is_empty() {
        wrong.push(format!("{README}: the table of the main job has no subject of this machine"));
    }
    if there.models != here.models {
        wrong.push(format!("{README}: the models are {:?}, and should be {:?}", there.models, here.models));
    }
    let keys: BTreeSet<&Key> = there.rows.keys().chain(here.rows.keys()).filter(|key| both.contains(&key.subject)).collect();
    for key in keys {
        let (Some(there), Some(here)) = (there.rows.get(key), here.rows.get(key)) else {
            let where_ = if here.rows.contains_key(key) { "is missing" } else { "should not be there" };
            wrong.push(format!("{README}: the row {} {where_}", key.words()));
            continue;
        };
        if (&there.prompts, there.positions, there.judged) != (&here.prompts, here.positions, here.judged) {
            wrong.push(format!("{README}: the row {} counts other prompts or positions", key.words()));
        }
        for (check, limit) in [(Check::Nmse, &there.nmse), (Check::KlMax, &there.kl_max)] {
            let limits = key.limits(record, check);
            if !limits.contains(limit) {
                wrong
                    .push(format!("{README}: the row {} has a limit on {check} of {limit}; there are {limits:?}", key.words()));
            }
        }
    }
    if of_there == of_here {
        if there.totals != here.totals {
            wrong.push(format!("{README}: the totals are `{}`, and should be `{}`", there.totals, here.totals));
        }
        // Where the dots are depends on what was measured; whose they are, how many and of which colour does not.
        let without_places = |svg: &str| -> Vec<String> {
            svg.lines()
                .map(|line| line.split(' ').filter(|word| !word.starts_with("cx=")).collect::<Vec<_>>().join(" "))
                .collect()
        };
        if without_places(&read(&root.join(MAIN_JOB_PICTURE))?) != without_places(&picture::svg(record)?) {
            wrong.push(format!("{MAIN_JOB_PICTURE} has other rows, dots or colours"));
        }
    }
    Ok(wrong)
}

/// Which row of the main job's table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    model: String,
    compared: String,
    fed: String,
    judgement: String,
    /// The subject that is held against something.
    subject: String,
}

impl Key {
    fn words(&self) -> String {
        format!("`{} {} {} {}`", self.model, self.compared, self.fed, self.judgement)
    }

    /// The limits of this row's prompts, as they are printed.
    fn limits(&self, record: &Record, check: Check) -> BTreeSet<String> {
        let is_mine = |comparison: &&ComparisonRecord| {
            let judgement = self.judgement.split(':').next().unwrap_or_default();
            let compared = match comparison.oracle {
                Oracle::Reference => format!("{} {}", comparison.candidate, comparison.settings),
                Oracle::Differential => format!("{} ~ {}", comparison.against, comparison.candidate),
                Oracle::Metamorphic => format!("{} ~ {}", comparison.candidate, comparison.relation.map_or("", Relation::name)),
                Oracle::Together => format!("{} {}, all together", comparison.candidate, comparison.settings),
            };
            self.model == format!("{} {}", comparison.model, comparison.weights)
                && self.compared == compared
                && self.fed == comparison.schedule.to_string()
                && judgement == comparison.judgement.words()
        };
        let limit = |comparison: &ComparisonRecord| match &comparison.verdict {
            Some(Verdict::Measured { checks, .. }) => {
                checks.iter().find(|m: &&Measurement| m.check == check).map(|m| short(m.limit))
            }
            _ => None,
        };
        record.comparisons.iter().filter(is_mine).filter_map(limit).collect()
    }
}

/// A row of the main job's table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    prompts: String,
    positions: Option<usize>,
    judged: Option<usize>,
    nmse: String,
    kl_max: String,
}

/// The main job's report, as a text has it.
struct Table {
    models: Vec<String>,
    rows: BTreeMap<Key, Counted>,
    totals: String,
}

impl Table {
    fn of(text: &str) -> Self {
        let mut table = Self { models: Vec::new(), rows: BTreeMap::new(), totals: String::new() };
        let mut model = String::new();
        for line in text.lines().filter(|line| !line.starts_with("```") && !line.trim().is_empty()) {
            let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
            if let [compared, fed, prompts, nmse, kl_max, top_one, judgement] = cells[..]
                && let (Some((_, nmse)), Some((_, kl_max))) = (nmse.split_once(" / "), kl_max.split_once(" / "))
                && compared != "compared"
            {
                let subject = compared.rsplit(" ~ ").next().and_then(|name| name.split(' ').next()).unwrap_or_default();
                let number = |text: Option<&str>| text.and_then(|text| text.trim_end_matches(')').parse().ok());
                let key = Key {
                    model: model.clone(),
                    compared: compared.into(),
                    fed: fed.into(),
                    judgement: judgement.into(),
                    subject: subject.into(),
                };
                let counted = Counted {
                    prompts: prompts.into(),
                    positions: number(top_one.split(['/', ' ']).nth(1)),
                    judged: number(top_one.split('(').nth(1)),
                    nmse: nmse.into(),
                    kl_max: kl_max.into(),
                };
                table.rows.insert(key, counted);
            } else if line.contains(", sha256 ") {
                model = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
                table.models.push(line.trim().into());
            }
            table.totals = line.trim().into();
        }
        table
    }
}
