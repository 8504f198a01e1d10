//! What is put into texts from the checkout alone: its lists, its goldens, its runs and its measurements.

use crate::{
    files::{golden_cases, names, read},
    prose::{capital, find, in_digits, in_words, no_prose},
    runs::Runs,
    texts::{CHANGELOG, CONTRIBUTING, GOLDENS, MEASUREMENTS, README, SOURCE, Texts},
    tokenizers::of_the_tokenizers,
    upgrades::of_the_upgrades,
    vectors::of_the_vectors,
};
use machine::Error;
use printable::LONGEST_WORDS;
use record::{ComparisonRecord, Record};
use serde::Deserialize;
use std::{collections::BTreeSet, ops::Range, path::Path};
use studies::calibration;
use supply::{manifests::Manifest, prompts, vocabularies::Collection};
use vocabulary::{Oracle, Verdict, locked};

/// Numbers that something is defined by and nobody counts or measures.
const DEFINITIONS: [(&str, &str); 3] = [
    (CHANGELOG, "On a bare Debian 12 or 13, shown by"),
    (CHANGELOG, "reading of versions 1, 2 and 3 and of split models,"),
    (GOLDENS, "that 99 of 100 cases of correct runtimes stay below,"),
];

/// A figure that comes from a run which no test can repeat: another machine, an hour, a release that is gone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Measured {
    /// The text it stands in.
    pub file: String,
    /// Its words, once in that text.
    pub text: String,
    /// What was run, and on what.
    pub run: String,
    /// When, as `2026-11-26`.
    pub date: String,
    /// The commit of this repository that brought the figure.
    pub commit: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeasuredFile {
    measured: Vec<Measured>,
}

/// What is put into texts from the checkout alone: its lists, its goldens, [`Runs`] and [`MEASUREMENTS`].
///
/// # Errors
/// Where a text has not what figures are put into, or a file is not what it should be.
pub fn of_the_checkout(texts: &mut Texts) -> Result<(), Error> {
    of_the_vectors(texts)?;
    of_the_tokenizers(texts)?;
    of_the_code(texts)?;
    of_the_upgrades(texts)?;
    Runs::read(&texts.root)?.put(texts)?;
    for Measured { file, text, .. } in measurements(&texts.root)? {
        texts.words(&file, &text, MEASUREMENTS)?;
    }
    DEFINITIONS.into_iter().try_for_each(|(path, words)| texts.words(path, words, SOURCE))
}

/// The rows of [`MEASUREMENTS`].
///
/// # Errors
/// Where the file is wrong.
pub fn measurements(root: &Path) -> Result<Vec<Measured>, Error> {
    let file: Result<MeasuredFile, _> = toml::from_str(&read(&root.join(MEASUREMENTS))?);
    Ok(file.map_err(|error| Error::input(MEASUREMENTS, error, "correct it; its first lines say what a row has"))?.measured)
}

/// How many checks a case is judged by, from a Record.
///
/// # Errors
/// Where README does not say it.
pub fn of_the_checks(texts: &mut Texts, record: &Record) -> Result<(), Error> {
    let checks = |comparison: &ComparisonRecord| match &comparison.verdict {
        Some(Verdict::Measured { checks, .. }) if comparison.oracle == Oracle::Reference => Some(checks.len()),
        _ => None,
    };
    let checks = record.comparisons.iter().filter_map(checks).max().unwrap_or(0);
    texts.sentence(README, "- **{} checks**: finite,", &[capital(&in_words(checks))])
}

/// What the code's own lists give.
fn of_the_code(texts: &mut Texts) -> Result<(), Error> {
    let architectures = in_words(smith::Architecture::ALL.len());
    let weights = in_words(smith::Recipe::WEIGHTS.len());
    for (path, sentence) in [
        (README, "everywhere, for the {} architectures of the matrix;"),
        (README, "The first release in the making: {} architectures have an exact reference"),
        (CHANGELOG, "`reference`: the forward pass of {} architectures in f64,"),
        ("conformance/policy/FINDINGS.md", "which llama.cpp agrees with on all {} architectures"),
    ] {
        texts.sentence(path, sentence, std::slice::from_ref(&architectures))?;
    }
    for (path, sentence) in [
        (README, "The matrix has {} architectures, their variants, {} weight types and"),
        (CHANGELOG, "tiny models of {} architectures in {} weight types"),
    ] {
        texts.sentence(path, sentence, &[architectures.clone(), weights.clone()])?;
    }
    let source = read(&texts.root.join("conformance/gguf/src/architecture.rs"))?;
    let of_rules = source.split("const ARCHITECTURES:").nth(1).map_or(0, |list| list.matches("name: \"").count());
    texts.sentence(CHANGELOG, "keys, tensors and tokenizers of {} architectures;", &[in_words(of_rules)])?;
    of_the_fuzzing(texts)?;
    of_the_policy(texts)?;
    of_the_corpora(texts)?;
    of_the_versions(texts)
}

/// What fuzzing is done with.
fn of_the_fuzzing(texts: &mut Texts) -> Result<(), Error> {
    let targets = in_words(names(&texts.root.join("fuzz/fuzz_targets"), ".rs").len());
    texts.sentence(README, "{} targets: our reader,", &[capital(&targets)])?;
    texts.sentence(CHANGELOG, "Fuzzing: {} targets over headers,", &[targets])?;
    let planted = names(&texts.root.join("fuzz/planted"), ".patch").len();
    texts.sentence(README, "{} planted bugs, an alignment", &[capital(&in_words(planted))])?;
    let planted = read(&texts.root.join("conformance/fuzz-driver/src/planted.rs"))?;
    let minutes = planted.split("MINUTES: u64 = ").nth(1).and_then(|rest| rest.split(';').next()?.parse().ok());
    texts.sentence(CONTRIBUTING, "within {} minutes. A new one is a patch there,", &[in_words(minutes.unwrap_or(0))])
}

/// What the code and its policy say of limits, findings and Records.
fn of_the_policy(texts: &mut Texts) -> Result<(), Error> {
    texts.sentence(CHANGELOG, "cut at {} characters, saying how much is left out.", &[in_digits(LONGEST_WORDS)])?;
    let tests = read(&texts.root.join("conformance/ggauge/tests/suite/findings.rs"))?;
    let longest = tests.split("const LONGEST: usize = ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    texts.sentence(CONTRIBUTING, "and at most {} characters that stand on the line;", &[longest.to_owned()])?;
    let mut entries = 0;
    for path in ["conformance/policy/FINDINGS.md", "corpora/regressions/FINDINGS.md", "corpora/vectors/FINDINGS.md"] {
        entries += texts.text(path)?.now.matches("\n### ").count();
    }
    texts.sentence(CHANGELOG, "opens the pinned sources and looks: {} entries,", &[in_digits(entries)])?;
    let seed = calibration::FIRST_SEED.to_string();
    texts.sentence(CONTRIBUTING, "seeds ({} and up; tests use seeds below {}), pooled,", &[seed.clone(), seed])?;
    texts.sentence(CHANGELOG, "Records have schema {}:", &[record::SCHEMA.to_string()])?;
    let deviations = in_words(policy::MARGIN_DEVIATIONS as usize);
    texts.sentence(GOLDENS, "{} standard deviations of the difference between two correct builds.", &[deviations])
}

/// What there is of models, prompts, vocabularies and goldens.
fn of_the_corpora(texts: &mut Texts) -> Result<(), Error> {
    let (models, prompts) = (Manifest::all()?.len(), prompts::all()?.len());
    texts.sentence(CHANGELOG, "- {} pinned models, {} prompts,", &[capital(&in_words(models)), in_words(prompts)])?;
    let collections = Collection::all()?;
    let vocabularies: Vec<_> = collections.iter().flat_map(|collection| &collection.vocabulary).collect();
    let with_ids = vocabularies.iter().filter(|vocabulary| vocabulary.tokens.is_some()).count();
    let sentence = "against {} vocabularies of llama.cpp's own tests, of which {} come with texts";
    texts.sentence(README, sentence, &[in_digits(vocabularies.len()), in_digits(with_ids)])?;

    let outputs = golden_cases(&texts.root.join("golden/outputs"));
    let real: BTreeSet<String> = Manifest::all()?.into_iter().map(|manifest| manifest.name).collect();
    let of_one = outputs.iter().filter(|case| case.ends_with("/candle@cpu"));
    let (of_real, of_tiny): (Vec<&String>, Vec<&String>) =
        of_one.partition(|case| case.split('/').next().is_some_and(|model| real.contains(model)));
    let (real, tiny) = (in_digits(of_real.len()), in_digits(of_tiny.len()));
    texts.sentence(GOLDENS, "for the {} of the real models and some of the {} of tiny ones:", &[real, tiny])
}

/// The versions that are locked, wherever README and the findings name one.
fn of_the_versions(texts: &mut Texts) -> Result<(), Error> {
    let lock = read(&texts.root.join("Cargo.lock"))?;
    let (candle, llama_cpp) = (locked(&lock, "candle-transformers"), locked(&lock, "llama-cpp-sys-2"));
    let text = texts.text(README)?;
    let is_code = no_prose(&text.now);
    let in_prose = |hole: &Range<usize>| !is_code.iter().any(|code| code.contains(&hole.start));
    for (name, version) in [("candle", &candle), ("llama.cpp", &llama_cpp)] {
        for hole in find(&text.now, &format!("{name} {{}}")).into_iter().flatten().filter(&in_prose) {
            let word = text.now.get(hole.clone()).unwrap_or_default();
            let is_version = word.starts_with(|c: char| c.is_ascii_digit()) && word.matches('.').count() == 2;
            if is_version && !text.figures.iter().any(|(range, _)| *range == hole) {
                text.figures.push((hole, version.clone()));
            }
        }
    }
    for (path, sentence) in [
        ("conformance/policy/FINDINGS.md", "Versions: candle-core and candle-transformers {}; llama-cpp-sys-2 {}."),
        ("corpora/regressions/FINDINGS.md", "candle-core and candle-transformers {}. Places are"),
        ("corpora/vectors/FINDINGS.md", "Versions: llama-cpp-sys-2 {}, candle-core and candle-transformers {},"),
    ] {
        let figures = match path {
            "corpora/regressions/FINDINGS.md" => vec![candle.clone()],
            "corpora/vectors/FINDINGS.md" => vec![llama_cpp.clone(), candle.clone()],
            _ => vec![candle.clone(), llama_cpp.clone()],
        };
        texts.sentence(path, sentence, &figures)?;
    }
    texts.sentence("corpora/regressions/FINDINGS.md", "Versions: llama-cpp-sys-2 {},", &[llama_cpp])
}
