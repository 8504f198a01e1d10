//! Is a subject deterministic? Measured, to the bit: the same prompt again in one process, in another process, with other numbers of threads,
//! and in calls and batches of other shapes.
//!
//! None of these may move a result by more than rounding does, which the matrix judges. Whether they move it at all is a property that
//! people promise to others, so it is measured, recorded and compared between releases, and not judged.

use harness::{answer::bad_transcript, judge::oracle, progress, subjects as known, worker::pool::Workers};
use indicatif::ProgressBar;
use machine::{Error, interrupt};
use printable::{Form, Page, Sheet};
use serde::{Deserialize, Serialize};
use std::path::Path;
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Check, Outcome, Schedule, Settings, SubjectId, Tuning, Verdict, transcript::Reader};

/// Numbers of threads that are tried.
const THREADS: [u32; 3] = [1, 2, 3];
/// Tokens of a small batch: smaller than any prompt here, and no divisor of its length.
const SMALL: u32 = 3;

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// Nothing, in the same process.
    InAProcess,
    /// Nothing, in another process.
    AcrossProcesses,
    /// The number of threads.
    AcrossThreads,
    /// How many tokens are computed together.
    AcrossBatches,
}

impl Aspect {
    /// Every aspect, in the order of tables.
    pub const ALL: [Self; 4] = [Self::InAProcess, Self::AcrossProcesses, Self::AcrossThreads, Self::AcrossBatches];

    /// The words reports use.
    pub fn words(self) -> &'static str {
        match self {
            Self::InAProcess => "in a process",
            Self::AcrossProcesses => "across processes",
            Self::AcrossThreads => "across threads",
            Self::AcrossBatches => "across batches",
        }
    }

    /// The ways in which it is varied.
    fn variants(self, len: usize) -> Vec<Variant> {
        let same = Variant { schedule: Schedule::SingleShot, tuning: Tuning::default(), restart: false };
        match self {
            Self::InAProcess => vec![same],
            Self::AcrossProcesses => vec![Variant { restart: true, ..same }],
            Self::AcrossThreads => {
                THREADS.map(|threads| Variant { tuning: Tuning { threads: Some(threads), ..Tuning::default() }, ..same }).into()
            }
            Self::AcrossBatches => vec![
                Variant { schedule: Schedule::TokenByToken, ..same },
                Variant { schedule: Schedule::Split(len as u32 / 2), ..same },
                Variant { tuning: Tuning { batch: Some(SMALL), ..Tuning::default() }, ..same },
                Variant { tuning: Tuning { micro_batch: Some(SMALL), ..Tuning::default() }, ..same },
            ],
        }
    }
}

#[derive(Clone, Copy)]
struct Variant {
    schedule: Schedule,
    tuning: Tuning,
    restart: bool,
}

/// What was found of one aspect of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Finding {
    /// The subject.
    pub subject: SubjectId,
    /// Its settings.
    pub settings: Settings,
    /// What was varied.
    pub aspect: Aspect,
    /// Comparisons made: models times variants.
    pub compared: usize,
    /// How many of them were the same to the bit.
    pub same: usize,
    /// The largest NMSE of those that were not.
    #[serde(with = "vocabulary::number")]
    pub worst_nmse: f64,
    /// Variants that the subject does not have, or models that it does not run, in its words; the first of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unsupported: Option<String>,
    /// What became of a worker that gave nothing; the first of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
}

impl Finding {
    /// True where everything that was compared is the same to the bit.
    pub fn holds(&self) -> bool {
        self.compared > 0 && self.same == self.compared
    }

    /// The finding in a cell of a table.
    pub fn words(&self) -> String {
        match self {
            Self { compared: 0, unsupported: Some(_), .. } => "unsupported".into(),
            Self { compared: 0, .. } => "nothing to compare".into(),
            Self { .. } if self.holds() => "same bits".into(),
            Self { compared, same, worst_nmse, .. } => {
                format!("{} of {compared} differ, NMSE up to {}", compared - same, printable::short(*worst_nmse))
            }
        }
    }
}

/// Measures every aspect of subjects on models, each with its prompt.
///
/// # Errors
/// Where the harness itself cannot go on.
pub fn measure(
    workers: &mut Workers,
    models: &[(Model, Prompt)],
    subjects: &[(SubjectId, Settings)],
    scratch: &Path,
    progress: &ProgressBar,
) -> Result<Vec<Finding>, Error> {
    let mut findings: Vec<Finding> = subjects
        .iter()
        .flat_map(|(subject, settings)| {
            Aspect::ALL.map(|aspect| Finding {
                subject: subject.clone(),
                settings: *settings,
                aspect,
                compared: 0,
                same: 0,
                worst_nmse: 0.0,
                unsupported: None,
                failed: None,
            })
        })
        .collect();
    progress::count(progress, (models.len() * subjects.len()) as u64);
    let (first, second) = (scratch.join("first.safetensors"), scratch.join("second.safetensors"));
    for (model, prompt) in models {
        let mut in_use = model.ensure()?;
        for (subject, settings) in subjects {
            interrupt::check()?;
            progress.set_message(format!("{subject} {settings} on {}", model.name));
            progress.inc(1);
            let worker = workers.get(subject, *settings);
            let size = model.vocabulary_size;
            let answer = match known::minds_shards(subject, model.shards) {
                Some(outcome) => Err(outcome),
                None => worker.evaluate(&model.path, size, &prompt.tokens, Schedule::SingleShot, &first)?,
            };
            for finding in findings.iter_mut().filter(|f| f.subject == *subject && f.settings == *settings) {
                let Some(against) = note(finding, answer.as_ref()) else { continue };
                for variant in finding.aspect.variants(prompt.tokens.len()) {
                    let worker = workers.tuned(subject, *settings, variant.tuning);
                    if variant.restart {
                        worker.stop();
                    }
                    let answer = worker.evaluate(&model.path, size, &prompt.tokens, variant.schedule, &second)?;
                    let Some(candidate) = note(finding, answer.as_ref()) else { continue };
                    match hold_against(candidate, against) {
                        Err(why) => _ = note(finding, Err(&bad_transcript(why))),
                        Ok(measured) => {
                            finding.compared += 1;
                            match measured {
                                None => finding.same += 1,
                                // NaN is worse than any number, and stays.
                                Some(nmse) if nmse.is_nan() || nmse > finding.worst_nmse => finding.worst_nmse = nmse,
                                Some(_) => {}
                            }
                        }
                    }
                }
            }
        }
        in_use.check()?;
    }
    Ok(findings)
}

/// The logits, where there are some; otherwise it is noted why not.
fn note<'a>(finding: &mut Finding, answer: Result<&'a Reader, &Outcome>) -> Option<&'a Reader> {
    match answer {
        Ok(transcript) => return Some(transcript),
        Err(Outcome::Unsupported { reason }) => _ = finding.unsupported.get_or_insert_with(|| reason.clone()),
        Err(other) => _ = finding.failed.get_or_insert_with(|| other.summary()),
    }
    None
}

/// None where every logit of the positions that both have is the same to the bit, or else the largest NMSE of a position.
fn hold_against(candidate: &Reader, against: &Reader) -> Result<Option<f64>, String> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    if candidate.vocabulary_size() != against.vocabulary_size() {
        return Err("rows of another length".into());
    }
    let (mut same, mut shared) = (true, 0);
    for (row, position) in candidate.positions().iter().enumerate() {
        let Some(other) = against.positions().iter().position(|known| known == position) else { continue };
        let read = candidate.read_row(row, &mut a).and_then(|()| against.read_row(other, &mut b));
        read.map_err(|error| format!("a transcript could not be read: {error}"))?;
        shared += 1;
        same &= a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits());
    }
    if shared == 0 {
        return Err("the two have no position in common".into());
    }
    if same {
        return Ok(None);
    }
    let most = f64::MAX;
    let everything = vocabulary::Limits { nmse: most, kl_mean: most, kl_max: most, margin: most, drift: most };
    let verdict = oracle::compare(candidate, against)?.verdict(&everything);
    let Verdict::Measured { checks, .. } = verdict else { return Ok(Some(f64::NAN)) };
    Ok(checks.iter().find(|measurement| measurement.check == Check::Nmse).map(|measurement| measurement.measured))
}

/// The findings as a table: a row for each subject and settings, a column for each aspect.
pub fn report(findings: &[Finding], form: Form) -> Page {
    let mut sheet = Sheet::new(std::iter::once("subject").chain(Aspect::ALL.map(Aspect::words)));
    let mut subjects: Vec<(&SubjectId, Settings)> = findings.iter().map(|f| (&f.subject, f.settings)).collect();
    subjects.dedup();
    for (subject, settings) in subjects {
        let cell = |aspect| {
            let found = findings.iter().find(|f| f.subject == *subject && f.settings == settings && f.aspect == aspect);
            found.map_or_else(String::new, Finding::words)
        };
        sheet.row(std::iter::once(format!("{subject} {settings}")).chain(Aspect::ALL.map(cell)));
    }
    let mut page = Page::new(form);
    page.sheet(&sheet);
    page
}

/// The matrix's own models, F32 and quantised, with a prompt that is longer than any window of theirs. They are made when they are needed.
///
/// # Errors
/// Where one of them cannot be planned.
pub fn tiny_models(folder: &Path) -> Result<Vec<(Model, Prompt)>, Error> {
    let recipes = crate::matrix::FEW_WEIGHTS.into_iter().flat_map(crate::matrix::own_recipes);
    let with_prompt = |recipe: smith::Recipe| {
        let prompt = supply::prompts::of_tiny_models().pop();
        Ok((Model::planned(&recipe, folder)?, prompt.ok_or_else(|| Error::input(&recipe, "it has no prompt", "report this"))?))
    };
    recipes.map(with_prompt).collect()
}
