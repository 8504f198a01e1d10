//! What the runs came to that take longer than a test may: the matrix and the seeded faults.
//!
//! No test repeats them. They are held by what they follow from: [`Runs::stale`].

use crate::{
    files::read,
    main_job::PLAIN,
    prose::in_digits,
    texts::{README, Texts},
};
use harness::plan::{Filter, Group, Plan};
use machine::{Error, files::digest};
use policy::{Expectations, Tolerances};
use record::{
    Record,
    faults::{FaultTried, Noticed},
};
use report::matrix_picture;
use serde::{Deserialize, Serialize};
use std::path::Path;
use studies::{faults::trial, matrix};
use vocabulary::{Judgement, SubjectId, locked};

/// What the matrix and the faults came to.
const RUNS: &str = "golden/figures.toml";
const PICTURE: &str = ".github/matrix.svg";

/// What the two runs came to that take longer than a test may: the matrix and the seeded faults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Runs {
    /// The matrix, as `ggauge matrix` runs it.
    pub matrix: MatrixRun,
    /// The faults, as `ggauge faults` tries them.
    pub faults: FaultsRun,
}

/// What the matrix came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MatrixRun {
    /// What it follows from ([`basis`]).
    pub basis: String,
    /// Cells that pass.
    pub pass: usize,
    /// Cells that fail as expected.
    pub expected_fail: usize,
    /// Cells that somebody does not support.
    pub unsupported: usize,
    /// sha256 of its picture.
    pub picture: String,
}

/// What the faults came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultsRun {
    /// What it follows from ([`basis`]).
    pub basis: String,
    /// Faults that were tried.
    pub tried: usize,
    /// Those that can be noticed.
    pub faults: usize,
    /// Those that are noticed or refused.
    pub noticed: usize,
}

impl Runs {
    /// What the last run of `scripts/figures` left.
    ///
    /// # Errors
    /// Where it left nothing.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let runs = toml::from_str(&read(&root.join(RUNS))?);
        runs.map_err(|error| Error::input(RUNS, error, "write it again with `scripts/figures matrix faults`"))
    }

    /// Puts what they came to into texts.
    ///
    /// # Errors
    /// Where a text does not have it.
    pub(crate) fn put(&self, texts: &mut Texts) -> Result<(), Error> {
        let MatrixRun { pass, expected_fail, unsupported, .. } = self.matrix;
        let figures = [pass + expected_fail + unsupported, pass, expected_fail, unsupported].map(in_digits);
        texts.sentence(README, "Of {} cells, {} pass, {} fail as expected and {} are unsupported,", &figures)?;
        let FaultsRun { faults, noticed, .. } = self.faults;
        let sentence = "And of {} faults put into the reference one at a time, the matrix notices {}.";
        texts.sentence(README, sentence, &[faults, noticed].map(in_digits))
    }

    fn keep(&self, texts: &mut Texts) -> Result<(), Error> {
        let head = "# Written by `scripts/figures` and never by hand: what runs came to that take longer than a test may. `basis` is a digest of what\n\
                    # they follow from; a test says when that has changed, or a figure or the picture is not what was written with it.\n\n";
        let toml = toml::to_string(self).map_err(|error| Error::input(RUNS, error, "report this as a bug"))?;
        texts.file(RUNS, format!("{head}{toml}"));
        self.put(texts)
    }

    /// What is not what it was when the runs were made, in words.
    ///
    /// # Errors
    /// Where the plan cannot be made.
    pub fn stale(&self, root: &Path) -> Result<Vec<String>, Error> {
        let plan = Planned::of(root)?;
        let mut stale = Vec::new();
        for (part, basis) in [("matrix", &self.matrix.basis), ("faults", &self.faults.basis)] {
            if *basis != plan.basis {
                let what = "limits, expectations, models, cells, runtimes or the reference";
                stale.push(format!("{RUNS}, {part}: since it was run, {what} changed\nnext: scripts/figures {part}"));
            }
        }
        let MatrixRun { pass, expected_fail, unsupported, .. } = self.matrix;
        if pass + expected_fail + unsupported != plan.cells {
            stale.push(format!("{RUNS}, matrix: there are {} cells\nnext: scripts/figures matrix", plan.cells));
        }
        if digest(read(&root.join(PICTURE))?.as_bytes()) != self.matrix.picture {
            stale.push(format!("{PICTURE} is not the picture of that run\nnext: scripts/figures matrix"));
        }
        let tried = trial::count()?;
        if tried != self.faults.tried {
            stale.push(format!("{RUNS}, faults: there are {tried} to try\nnext: scripts/figures faults"));
        }
        Ok(stale)
    }
}

/// The matrix as it is planned.
struct Planned {
    basis: String,
    cells: usize,
}

impl Planned {
    /// Of the subjects that README's figures are of: the CPUs, and the Vulkan device that every machine has.
    fn of(root: &Path) -> Result<Self, Error> {
        let subject = |runtime: &str, device: &str| {
            SubjectId::new(runtime, device).map_err(|why| Error::input(runtime, why, "report this as a bug"))
        };
        let fast = [subject("llama-cpp", "cpu")?, subject("candle", "cpu")?];
        let devices = [subject("llama-cpp", "vulkan0")?];
        let subjects = matrix::Subjects { fast: &fast, devices: &devices };
        let plan = matrix::plan(matrix::Extent::EveryChange, &subjects, Path::new(""), &Filter::All)?;
        let of_group = |group: &Group| group.subjects.len() + group.pairs().len() + group.trials.len();
        let cells = plan.groups.iter().map(of_group).sum();
        let basis = basis(&plan, &Tolerances::shipped()?, &Expectations::shipped()?, &read(&root.join("Cargo.lock"))?);
        Ok(Self { basis, cells })
    }
}

/// A digest of what judgements follow from: limits, expectations, models, cases, runtimes and the reference. They count as they are understood:
/// a comment or a reason in other words makes no other run.
fn basis(plan: &Plan, tolerances: &Tolerances, expectations: &Expectations, lock: &str) -> String {
    let mut basis = vec![reference::FINGERPRINT.to_owned()];
    basis.extend(["llama-cpp-sys-2", "candle-core", "candle-transformers"].map(|package| locked(lock, package)));
    basis.push(format!("{:?}", tolerances.tolerance));
    for row in expectations.rows() {
        let mut row = row.clone();
        (row.reason, row.finding, row.issue) = (String::new(), None, None);
        basis.push(format!("{row:?}"));
    }
    basis.extend(plan.models.iter().map(|model| model.sha256.clone()));
    for Group { model, prompt, schedule, settings, subjects, trials } in &plan.groups {
        basis.push(format!("{model} {prompt:?} {schedule} {settings} {subjects:?} {trials:?}"));
    }
    digest(basis.join("\n").as_bytes())
}

/// What is put into texts from a Record of the whole matrix.
///
/// # Errors
/// Where the Record is not of the whole matrix, or something in it failed.
pub fn of_the_matrix(texts: &mut Texts, record: &Record) -> Result<(), Error> {
    let totals = record.totals();
    let of = |judgement: Judgement| totals.get(&judgement).copied().unwrap_or(0);
    let planned = Planned::of(&texts.root)?;
    let next = "run `ggauge matrix` as it is, on a machine with Vulkan, and give its Record";
    if record.comparisons.len() != planned.cells {
        let why = format!("it has {} cells, and the matrix has {}", record.comparisons.len(), planned.cells);
        return Err(Error::input("the Record of the matrix", why, next));
    }
    if record.reference != reference::FINGERPRINT {
        return Err(Error::input("the Record of the matrix", "it was made with another reference", next));
    }
    if record.comparisons.iter().any(|comparison| comparison.judgement.is_bad()) {
        return Err(Error::input("the Record of the matrix", report::totals(record, PLAIN).as_str(), "mend that first"));
    }
    let picture = matrix_picture::svg(record)?;
    let mut runs = Runs::read(&texts.root).unwrap_or_default();
    runs.matrix = MatrixRun {
        basis: planned.basis,
        pass: of(Judgement::Pass),
        expected_fail: of(Judgement::ExpectedFail),
        unsupported: of(Judgement::Unsupported),
        picture: digest(picture.as_bytes()),
    };
    texts.file(PICTURE, picture);
    runs.keep(texts)
}

/// What is put into texts from the rows that `ggauge faults --json` gives.
///
/// # Errors
/// Where they are not of every model.
pub fn of_the_faults(texts: &mut Texts, rows: &[FaultTried]) -> Result<(), Error> {
    let tried = trial::count()?;
    if rows.len() != tried {
        let why = format!("they are {}, and there are {tried} to try", rows.len());
        return Err(Error::input("the faults", why, "give what `ggauge faults --json` prints without a filter"));
    }
    let Noticed { noticed, all: faults } = Noticed::of(rows);
    let mut runs = Runs::read(&texts.root).unwrap_or_default();
    runs.faults = FaultsRun { basis: Planned::of(&texts.root)?.basis, tried, faults, noticed };
    runs.keep(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_follows_from_limits_expectations_cells_and_runtimes_and_not_from_words() {
        let tiny = |recipe: &str| supply::models::Model::planned(&recipe.parse().unwrap(), Path::new("/")).unwrap();
        let plan = Plan::of(vec![tiny("llama/f32")]);
        let tolerances = Tolerances::shipped().unwrap();
        let row = |class: &str, reason: &str| {
            let text = format!("[[expectation]]\nsubject = 'candle@cpu'\nclass = '{class}'\nreason = '{reason}'");
            Expectations::parse(&text, "test.toml").unwrap()
        };
        let lock =
            |version: &str| format!("[[package]]\nname = \"candle-core\"\nversion = \"{version}\"\nsource = \"registry\"");
        let before = basis(&plan, &tolerances, &row("diverges", "why"), &lock("1.0.0"));
        assert_eq!(before, basis(&plan, &tolerances, &row("diverges", "why, in other words"), &lock("1.0.0")));
        let mut wider = tolerances.clone();
        wider.tolerance[0].nmse.multiplier *= 1.01;
        let mut other = plan.clone();
        other.models[0] = tiny("llama/f32@1");
        for after in [
            basis(&other, &tolerances, &row("diverges", "why"), &lock("1.0.0")),
            basis(&plan, &wider, &row("diverges", "why"), &lock("1.0.0")),
            basis(&plan, &tolerances, &row("aborts", "why"), &lock("1.0.0")),
            basis(&plan, &tolerances, &row("diverges", "why"), &lock("1.0.1")),
        ] {
            assert_ne!(before, after);
        }
    }
}
