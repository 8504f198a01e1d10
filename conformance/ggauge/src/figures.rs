//! Figures in texts: what README and the other texts of a checkout say in numbers, against what its code, goldens and Records give.
//!
//! A *sentence* is some words of a text with holes for figures. A *passage* is what stands between `<!-- NAME -->` and `<!-- /NAME -->`. The
//! functions here put figures into holes and passages of [`Texts`], in memory: a test asks that this changes nothing, and the program
//! `figures`, which `scripts/figures` runs, writes what it does change. What no test can repeat is held another way: the matrix and the faults
//! by what they follow from ([`Runs`]), an hour of fuzzing or another machine by naming the run ([`MEASUREMENTS`]).

use harness::plan::{Filter, Group, Plan};
use machine::{Error, cache, files, small};
use policy::{Expectations, Tolerances};
use printable::{LONGEST_WORDS, cut, short};
use record::{ComparisonRecord, Record};
use report::{Style, matrix_picture, picture};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::{Path, PathBuf},
};
use studies::{
    calibrate,
    faults::{self, survey::Row as FaultRow},
    matrix, readers,
    survey::{self, Cell, Did, Finding, Row},
    survey_picture,
    tokenizers::Collection,
};
use supply::{models::Manifest, prompts};
use vocabulary::{Check, Judgement, Measurement, Oracle, Relation, SubjectId, Upshot, Verdict, locked};

const README: &str = "README.md";
const CHANGELOG: &str = "CHANGELOG.md";
const CONTRIBUTING: &str = "CONTRIBUTING.md";
const GOLDENS: &str = "golden/README.md";
/// What the matrix and the faults came to.
const RUNS: &str = "golden/figures.toml";
/// Figures that come from runs which no test can repeat.
pub const MEASUREMENTS: &str = "conformance/policy/measurements.toml";

/// Texts with figures in them, as they are and as they should be.
pub struct Texts {
    root: PathBuf,
    texts: BTreeMap<String, Text>,
}

#[derive(Default)]
struct Text {
    now: String,
    /// Where figures stand in it, and what should stand there.
    figures: Vec<(Range<usize>, String)>,
    /// Where words stand that are known to be so.
    known: Vec<Range<usize>>,
}

impl Text {
    fn should_be(&self) -> String {
        let mut figures = self.figures.clone();
        figures.sort_by_key(|(range, _)| range.start);
        let (mut out, mut end) = (String::new(), 0);
        for (range, figure) in figures {
            out += self.now.get(end..range.start).unwrap_or_default();
            out += &figure;
            end = range.end;
        }
        out + self.now.get(end..).unwrap_or_default()
    }
}

impl Texts {
    /// The texts of the checkout in `root`.
    pub fn of(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), texts: BTreeMap::new() }
    }

    fn text(&mut self, path: &str) -> Result<&mut Text, Error> {
        if !self.texts.contains_key(path) {
            let now = read(&self.root.join(path))?;
            self.texts.insert(path.into(), Text { now, ..Text::default() });
        }
        Ok(self.texts.entry(path.into()).or_default())
    }

    /// Puts figures into the holes `{}` of a sentence that a text has once, whatever its lines are broken at.
    ///
    /// # Errors
    /// Where the text does not have it, or more than once.
    pub fn sentence(&mut self, path: &str, sentence: &str, figures: &[String]) -> Result<(), Error> {
        let text = self.text(path)?;
        let mut found = find(&text.now, sentence);
        match (found.pop(), found.len()) {
            (Some(holes), 0) if holes.len() == figures.len() => {
                text.figures.extend(holes.into_iter().zip(figures.iter().cloned()));
                Ok(())
            }
            (found, more) => {
                let times = more + usize::from(found.is_some());
                let why = format!("it says `{sentence}` {times} times, and should once: figures are put there");
                Err(Error::input(path, why, "correct the text, or what conformance/ggauge/src/figures.rs puts into it"))
            }
        }
    }

    /// Asks that a text has these words once; what they say is known to `source`.
    fn words(&mut self, path: &str, words: &str, source: &str) -> Result<(), Error> {
        let text = self.text(path)?;
        let every_word: Vec<Range<usize>> = places(&text.now);
        let wanted: Vec<&str> = words.split_whitespace().collect();
        let stands = |window: &&[Range<usize>]| {
            window.iter().zip(&wanted).all(|(range, word)| text.now.get(range.clone()) == Some(word))
        };
        let found: Vec<_> = every_word.windows(wanted.len().max(1)).filter(stands).collect();
        if let [[first, .., last]] = found[..] {
            text.known.push(first.start..last.end);
            return Ok(());
        }
        let why = format!("it says `{words}` {} times, and should once, as {source} has it", found.len());
        Err(Error::input(path, why, format!("measure it again and name the run in {MEASUREMENTS}, or take it out of both")))
    }

    /// What stands in a passage now, with what its opening says beyond the name.
    ///
    /// # Errors
    /// Where the text has no such passage.
    pub fn passage(&mut self, path: &str, name: &str) -> Result<(String, String), Error> {
        let (_, note, content) = self.find_passage(path, name)?;
        Ok((note, content))
    }

    fn find_passage(&mut self, path: &str, name: &str) -> Result<(Range<usize>, String, String), Error> {
        let text = self.text(path)?;
        let (opening, closing) = (format!("<!-- {name} "), format!("<!-- /{name} -->"));
        let found = || {
            let start = text.now.find(&opening)?;
            let rest = text.now.get(start + opening.len()..)?;
            let (note, rest) = rest.split_once("-->\n")?;
            let (content, _) = rest.split_once(&closing)?;
            let end = start + opening.len() + note.len() + "-->\n".len() + content.len() + closing.len();
            Some((start..end, note.trim().to_owned(), content.to_owned()))
        };
        let next = "put it back where the figures are to stand, or take it out of conformance/ggauge/src/figures.rs";
        found().ok_or_else(|| Error::input(path, format!("it has no passage `{opening}-->` to `{closing}`"), next))
    }

    /// Puts `content` into a passage, and `note` beside its name.
    ///
    /// # Errors
    /// As [`Texts::passage`].
    pub fn put(&mut self, path: &str, name: &str, note: &str, content: &str) -> Result<(), Error> {
        let (range, ..) = self.find_passage(path, name)?;
        let note = if note.is_empty() { String::new() } else { format!("{note} ") };
        let content = format!("<!-- {name} {note}-->\n{content}<!-- /{name} -->");
        self.text(path)?.figures.push((range, content));
        Ok(())
    }

    /// Makes a whole file what it should be; it may not be there yet.
    pub fn file(&mut self, path: &str, content: String) {
        let now = small::read_text(&self.root.join(path)).unwrap_or_default();
        let figures = vec![(0..now.len(), content)];
        self.texts.insert(path.into(), Text { now, figures, ..Text::default() });
    }

    /// What is not as it should be: file, line, what stands there and what should.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (path, text) in &self.texts {
            for (range, figure) in &text.figures {
                let now = text.now.get(range.clone()).unwrap_or_default();
                if now != figure {
                    let same = now.lines().zip(figure.lines()).take_while(|(a, b)| a == b).count();
                    let line = text.now.get(..range.start).unwrap_or_default().matches('\n').count() + 1 + same;
                    let of =
                        |text: &str| text.lines().nth(same).map_or_else(String::new, |line| cut(line.trim(), 160).into_owned());
                    wrong.push(format!("{path}:{line} has `{}`, and should have `{}`", of(now), of(figure)));
                }
            }
        }
        wrong
    }

    /// Writes what is not as it should be, and gives the paths.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self) -> Result<Vec<PathBuf>, Error> {
        let mut written = Vec::new();
        for (path, text) in &self.texts {
            let should_be = text.should_be();
            if should_be != text.now {
                let path = self.root.join(path);
                files::write_whole(&path, should_be.as_bytes())?;
                written.push(path);
            }
        }
        Ok(written)
    }

    /// Figures in the prose of README and its like, as `path:line: word`, that nothing here puts there: numbers in digits, and in words from
    /// four on. Code, the targets of links, names such as Gemma 3 and numbers of lists are none.
    pub fn unheld(&self) -> Vec<String> {
        let mut unheld = Vec::new();
        for (path, text) in
            self.texts.iter().filter(|(path, _)| [README, CHANGELOG, CONTRIBUTING, GOLDENS].contains(&path.as_str()))
        {
            let mut prose = text.now.clone().into_bytes();
            for range in
                text.figures.iter().map(|(range, _)| range.clone()).chain(text.known.clone()).chain(no_prose(&text.now))
            {
                prose.get_mut(range).into_iter().flatten().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
            }
            for (number, line) in String::from_utf8_lossy(&prose).lines().enumerate() {
                let mut before = "";
                for word in line.split(|c: char| c.is_whitespace() || "/()[]".contains(c)) {
                    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
                    let spelled = NUMBERS.iter().skip(4).any(|number| word.eq_ignore_ascii_case(number));
                    let digits = word.starts_with(|c: char| c.is_ascii_digit())
                        && word.chars().all(|c| c.is_ascii_digit() || ",.e-".contains(c))
                        && !NAMES.contains(&before);
                    // `1. First`, `2. Then`.
                    let item = line.trim_start().strip_prefix(word).is_some_and(|rest| rest.starts_with(". "));
                    if spelled || digits && !item {
                        unheld.push(format!("{path}:{}: {word}", number + 1));
                    }
                    before = if word.is_empty() { before } else { word };
                }
            }
        }
        unheld
    }
}

/// What a number follows in a name.
const NAMES: [&str; 9] = ["Debian", "Ubuntu", "Gemma", "Phi", "Qwen", "LFM", "SmolLM", "Llama", "License"];
/// Numbers that something is defined by and nobody counts or measures.
const DEFINITIONS: [(&str, &str); 3] = [
    (CHANGELOG, "On a bare Debian 12 or 13, shown by"),
    (CHANGELOG, "reading of versions 1, 2 and 3 and of split models,"),
    (GOLDENS, "that 99 of 100 cases of correct runtimes stay below,"),
];
const NUMBERS: [&str; 21] = [
    "none",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

/// A number as prose has it: in words up to twenty.
fn in_words(number: usize) -> String {
    NUMBERS.get(number).map_or_else(|| in_digits(number), ToString::to_string)
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A number with a comma before each three digits.
fn in_digits(number: usize) -> String {
    let digits = number.to_string();
    let comma = |(place, digit): (usize, char)| {
        let comma = place > 0 && (digits.len() - place).is_multiple_of(3);
        [comma.then_some(','), Some(digit)]
    };
    digits.chars().enumerate().flat_map(comma).flatten().collect()
}

/// Where a text is code, a comment, or the target of a link.
fn no_prose(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut place = 0;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        let delimiters = [("```", "```"), ("`", "`"), ("<!--", "-->"), ("](", ")"), ("https://", " ")];
        let line_start = place == 0 || text.as_bytes().get(place - 1) == Some(&b'\n');
        let len = if line_start && rest.starts_with("    ") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some((opening, closing)) = delimiters.iter().find(|(opening, _)| rest.starts_with(opening)) {
            let inner = rest.get(opening.len()..).unwrap_or_default();
            inner.find(closing).map_or(rest.len(), |end| opening.len() + end + closing.len())
        } else {
            place += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        found.push(place..place + len.max(1));
        place += len.max(1);
    }
    found
}

/// Where the words of a text stand.
fn places(text: &str) -> Vec<Range<usize>> {
    // They are slices of the text.
    let place = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().map(|word| place(word)..place(word) + word.len()).collect()
}

/// Every place where a text has the words of a sentence, as the places of its holes.
fn find(text: &str, sentence: &str) -> Vec<Vec<Range<usize>>> {
    let words = places(text);
    let wanted: Vec<&str> = sentence.split_whitespace().collect();
    let hole = |range: &Range<usize>, wanted: &str| -> Option<Option<Range<usize>>> {
        let word = text.get(range.clone())?;
        let Some((before, after)) = wanted.split_once("{}") else { return (word == wanted).then_some(None) };
        let inner = word.strip_prefix(before)?.strip_suffix(after)?;
        let start = range.start + before.len();
        (!inner.is_empty()).then(|| Some(start..start + inner.len()))
    };
    let windows = words.windows(wanted.len().max(1));
    let matching = windows
        .filter_map(|window| window.iter().zip(&wanted).map(|(range, wanted)| hole(range, wanted)).collect::<Option<Vec<_>>>());
    matching.map(|holes| holes.into_iter().flatten().collect()).collect()
}

fn read(path: &Path) -> Result<String, Error> {
    small::read_text(path).map_err(|error| Error::input(path.display(), error, "give the root of a whole checkout"))
}

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
    DEFINITIONS.into_iter().try_for_each(|(path, words)| texts.words(path, words, "conformance/ggauge/src/figures.rs"))
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
    for (path, sentence) in [
        (CHANGELOG, "keys, tensors and tokenizers of {} architectures;"),
        (CONTRIBUTING, "the checks of {} architectures in our reader"),
    ] {
        texts.sentence(path, sentence, &[in_words(of_rules)])?;
    }
    #[cfg(feature = "fuzzing")]
    {
        let targets = in_words(crate::fuzz::targets().len());
        texts.sentence(README, "{} targets: our reader,", &[capital(&targets)])?;
        texts.sentence(CHANGELOG, "Fuzzing: {} targets over headers,", &[targets])?;
    }
    let planted = names(&texts.root.join("fuzz/planted"), ".patch").len();
    texts.sentence(README, "{} planted bugs, an alignment", &[capital(&in_words(planted))])?;
    let script = read(&texts.root.join("scripts/fuzz"))?;
    let minutes = script.split("limit=${minutes:-").nth(1).and_then(|rest| rest.split('}').next()?.parse().ok());
    texts.sentence(CONTRIBUTING, "within {} minutes. A new one is a patch there,", &[in_words(minutes.unwrap_or(0))])?;
    texts.sentence(CHANGELOG, "cut at {} characters, saying how much is left out.", &[in_digits(LONGEST_WORDS)])?;
    let tests = read(&texts.root.join("conformance/ggauge/tests/suite/findings.rs"))?;
    let longest = tests.split("const LONGEST: usize = ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    texts.sentence(CONTRIBUTING, "and at most {} characters that stand on the line;", &[longest.to_owned()])?;
    let mut entries = 0;
    for path in ["conformance/policy/FINDINGS.md", "corpora/regressions/FINDINGS.md", "corpora/vectors/FINDINGS.md"] {
        entries += texts.text(path)?.now.matches("\n### ").count();
    }
    texts.sentence(CHANGELOG, "opens the pinned sources and looks: {} entries,", &[in_digits(entries)])?;
    let seed = calibrate::FIRST_SEED.to_string();
    texts.sentence(CONTRIBUTING, "seeds ({} and up; tests use seeds below {}), pooled,", &[seed.clone(), seed])?;
    texts.sentence(CHANGELOG, "Records have schema {}:", &[record::SCHEMA.to_string()])?;
    let deviations = in_words(policy::MARGIN_DEVIATIONS as usize);
    texts.sentence(GOLDENS, "{} standard deviations of the difference between two correct builds.", &[deviations])?;
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
    texts.sentence(GOLDENS, "for the {} of the real models and some of the {} of tiny ones:", &[real, tiny])?;
    of_the_versions(texts)
}

/// Names of the files in a folder that end so, in order.
fn names(folder: &Path, end: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(end).map(str::to_owned)).collect()
}

/// The cases that have goldens.
fn golden_cases(folder: &Path) -> Vec<String> {
    let mut cases = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for path in fs::read_dir(&inner).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if let Some(case) = path.strip_prefix(folder).ok().and_then(Path::to_str) {
                cases.extend(case.strip_suffix(".snap").map(str::to_owned));
            }
        }
    }
    cases
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

/// What the readers do with the vectors, as the goldens have it, which tests hold against the readers.
fn of_the_vectors(texts: &mut Texts) -> Result<(), Error> {
    let rows = rows_of_goldens(&texts.root.join("golden/vectors"))?;
    let coverage = survey::coverage(&rows, &Finding::shipped()?, true, &[]);
    let table = survey::report(&rows, &coverage, &[], false);
    texts.put(README, "vectors", "", &fenced(&table))?;
    let of_models: Vec<Row> = rows.iter().filter(|row| row.vector.starts_with("rules/model/")).cloned().collect();
    texts.file(".github/vectors.svg", survey_picture::svg(&of_models)?);
    let columns = readers::columns();
    texts.sentence(README, "![{} columns of readers against", &[capital(&in_words(columns.len()))])?;
    let megabytes = in_digits((survey::LIMITS.memory >> 20) as usize);
    texts.sentence(README, "or took more than {} MiB.", std::slice::from_ref(&megabytes))?;
    texts.sentence("corpora/vectors/FINDINGS.md", "more than {} MiB or a minute.", &[megabytes])?;
    texts.sentence(README, "{} [test vectors](corpora/vectors) that break one rule each,", &[in_digits(rows.len())])?;
    texts.sentence(CHANGELOG, "- {} test vectors for GGUF readers in", &[in_digits(rows.len())])?;
    let runtimes: BTreeSet<&str> = columns.iter().map(|column| column.subject.runtime()).collect();
    let here = cache::Cache::at(Path::new("/nonexistent"));
    let foreign = columns.iter().filter(|column| readers::command(&column.subject, &here).is_some()).count();
    let figures = [in_words(runtimes.len()), in_words(foreign)];
    texts.sentence(CHANGELOG, "ends or hangs, for {} readers, {} of them in", &figures)?;
    texts.sentence("corpora/vectors/README.md", "what {} readers do with them", &figures[..1])
}

/// The survey that the goldens came from, but for words.
fn rows_of_goldens(folder: &Path) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for group in survey::groups()? {
        let mut columns: BTreeMap<String, Vec<Did>> = BTreeMap::new();
        let suffix = format!("{}.snap", group.group);
        let files = names(folder, &suffix);
        for prefix in &files {
            columns.extend(columns_of_golden(&folder.join(format!("{prefix}{suffix}")), group.tests.len())?);
        }
        for (index, vector) in group.tests.iter().enumerate() {
            let cell = |column: &readers::Column| {
                let did = columns.get(column.name)?.get(index)?.clone();
                Some(Cell { reader: column.name.into(), operation: column.operation, did, words: String::new() })
            };
            let cells = readers::columns().iter().filter_map(cell).collect();
            let (vector, result, rules) = (format!("{}/{}", group.group, vector.name), vector.result, vector.rules.clone());
            rows.push(Row { vector, result, rules, cells });
        }
    }
    Ok(rows)
}

/// What each reader of a golden did with each of its vectors.
fn columns_of_golden(path: &Path, vectors: usize) -> Result<BTreeMap<String, Vec<Did>>, Error> {
    let text = read(path)?;
    let wrong = |why: String| Error::input(path.display(), why, "review it with `cargo insta review`");
    let mut lines = text.lines().skip_while(|line| !line.starts_with("vector "));
    let header = lines.next().unwrap_or_default();
    // Two spaces and more are between columns.
    let mut starts: Vec<usize> = Vec::new();
    for (place, _) in header.match_indices(|c: char| !c.is_whitespace()) {
        if place == 0 || header.get(..place).is_some_and(|before| before.ends_with("  ")) {
            starts.push(place);
        }
    }
    let cells = |line: &str| -> Vec<String> {
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| line.get(start..end.min(line.len())).unwrap_or_default().trim().into())
            .collect()
    };
    let readers = cells(header);
    let mut columns: BTreeMap<String, Vec<Did>> = BTreeMap::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        for (reader, mark) in readers.iter().zip(cells(line)).skip(2) {
            let mark = mark.trim_end_matches('!').trim();
            let did = match mark {
                "yes" => Did::Accepted,
                "other" => Did::Differed { difference: String::new() },
                "no" => Did::Rejected { class: "malformed".into() },
                "-" => Did::Unsupported,
                mark => match mark.strip_prefix("no (").and_then(|rest| rest.strip_suffix(')')) {
                    Some(class) => Did::Rejected { class: class.into() },
                    None if !mark.is_empty() && mark == mark.to_uppercase() => Did::Failed { how: mark.to_lowercase() },
                    None => return Err(wrong(format!("`{mark}` is no mark: {line}"))),
                },
            };
            columns.entry(reader.clone()).or_default().push(did);
        }
    }
    match columns.values().find(|column| column.len() != vectors) {
        None => Ok(columns),
        Some(column) => Err(wrong(format!("it has {} vectors where corpora/vectors has {vectors}", column.len()))),
    }
}

/// What the tokenizers give, as the golden has it.
fn of_the_tokenizers(texts: &mut Texts) -> Result<(), Error> {
    const GOLDEN: &str = "golden/harness/tokenizers.snap";
    let text = read(&texts.root.join(GOLDEN))?;
    // `llama-cpp@cpu  46 of 46  pass`, behind a vocabulary's name or none.
    let of = |subject: &str| -> Vec<(usize, usize)> {
        let lines = text
            .lines()
            .filter(|line| !line.contains(" ~ ") && line.contains("  "))
            .filter_map(|line| line.split_once(subject));
        let exact = lines.map(|(_, rest)| {
            let mut numbers = rest.split_whitespace().filter_map(|word| word.parse().ok());
            (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
        });
        exact.collect()
    };
    let table = |subject: &str| -> Vec<(usize, usize)> { of(&format!(" {subject}   ")) };
    let (llama_cpp, candle) = (table("llama-cpp@cpu"), table("candle@cpu"));
    let all: usize = llama_cpp.iter().map(|(_, all)| all).sum();
    if all == 0 || llama_cpp.iter().any(|(exact, all)| exact != all) || llama_cpp.len() != candle.len() {
        let next = "read it, and write into README.md and conformance/ggauge/src/figures.rs what is so now";
        return Err(Error::input(GOLDEN, "llama.cpp does not get every text right any more, as README.md says", next));
    }
    let taken: Vec<_> = candle.iter().filter(|(_, all)| *all > 0).collect();
    let right = taken.iter().filter(|(exact, all)| exact == all).count();
    let lock = read(&texts.root.join("Cargo.lock"))?;
    let sentence = "llama.cpp {} gets all {} texts right; candle {} those of {} vocabulary out of {} that it takes, and says of the other \
                    {} that it does not support them.";
    let figures = [in_digits(all), in_words(right), in_words(taken.len()), in_words(candle.len() - taken.len())];
    let [all, right, taken, others] = figures;
    let (llama_cpp, candle) = (locked(&lock, "llama-cpp-sys-2"), locked(&lock, "candle-core"));
    texts.sentence(README, sentence, &[llama_cpp, all, candle, right, taken, others])
}

/// What the two reports of upgrades say, which are goldens.
fn of_the_upgrades(texts: &mut Texts) -> Result<(), Error> {
    let mut heads = Vec::new();
    for (name, sentence) in [
        (
            "candle",
            "**candle** ([report](golden/upgrades/candle.md)), with {} cases the same to the bit and {} moved within their limits.",
        ),
        (
            "llama-cpp",
            "**llama.cpp** ([report](golden/upgrades/llama-cpp.md)), with {} cases the same to the bit and {} moved within their limits,",
        ),
    ] {
        let path = format!("golden/upgrades/{name}.md");
        let text = read(&texts.root.join(&path))?;
        let is_head = |line: &&str| !line.starts_with("- before: ");
        heads.push(text.trim_start_matches("# ").lines().take_while(is_head).collect::<Vec<_>>().join("\n"));
        let totals = text.lines().find(|line| line.contains(" identical to the bit, ")).unwrap_or_default();
        let count = |words: &str| {
            let part = totals.split(", ").find_map(|part| part.strip_suffix(words)).unwrap_or_default();
            part.trim()
                .parse::<usize>()
                .map_err(|_| Error::input(&path, format!("it has no total of{words}"), "write it again"))
        };
        let figures = [in_digits(count(" identical to the bit")?), in_digits(count(" within tolerance")?)];
        texts.sentence(README, sentence, &figures)?;
        if name == "candle" {
            of_the_upgrade_of_candle(texts, &text)?;
        }
    }
    texts.put(README, "upgrades", "", &fenced(&heads.join("\n\n")))
}

/// What README says of one upgrade in particular.
fn of_the_upgrade_of_candle(texts: &mut Texts, text: &str) -> Result<(), Error> {
    let part = |heading: &str| text.split("\n### ").find(|part| part.starts_with(heading)).unwrap_or_default();
    let broken: Vec<&str> = part("broken:").lines().filter(|line| line.contains("@cpu")).collect();
    let of_qwen3: Vec<&&str> = broken.iter().filter(|line| line.starts_with("| qwen3")).collect();
    let figures = [capital(&in_words(of_qwen3.len())), in_words(broken.len())];
    texts.sentence(README, "{} of the {} are Qwen 3:", &figures)?;
    let after = |line: &&&str| line.rsplit(" at ").next()?.split_whitespace().next()?.parse::<f64>().ok();
    let most = of_qwen3.iter().filter_map(after).fold(0.0, f64::max);
    texts.sentence(README, "by up to {} times. SmolLM 3", &[short(most)])?;
    let speed = part("speed").lines().find(|line| line.starts_with("| gemma-3-270m | decode"));
    let ratio = speed.and_then(|line| line.split(" | ").nth(4)?.parse::<f64>().ok()).unwrap_or(f64::NAN);
    texts.sentence(README, "Gemma 3 decodes {} times as fast,", &[format!("{ratio:.1}")])?;
    let positions = text.split("Softmax over fewer than ").nth(1).and_then(|rest| rest.split_whitespace().next());
    texts.sentence(README, "F32 models have other bits from {} positions on,", &[positions.unwrap_or_default().into()])
}

/// A text as a block of Markdown, without spaces at the ends of its lines.
fn fenced(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n"))
}

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

const PICTURE: &str = ".github/matrix.svg";

impl Runs {
    /// What the last run of `scripts/figures` left.
    ///
    /// # Errors
    /// Where it left nothing.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let runs = toml::from_str(&read(&root.join(RUNS))?);
        runs.map_err(|error| Error::input(RUNS, error, "write it again with `scripts/figures matrix faults`"))
    }

    fn put(&self, texts: &mut Texts) -> Result<(), Error> {
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
        if files::digest(read(&root.join(PICTURE))?.as_bytes()) != self.matrix.picture {
            stale.push(format!("{PICTURE} is not the picture of that run\nnext: scripts/figures matrix"));
        }
        let tried = faults::survey::count()?;
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
    files::digest(basis.join("\n").as_bytes())
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
        picture: files::digest(picture.as_bytes()),
    };
    texts.file(PICTURE, picture);
    runs.keep(texts)
}

/// What is put into texts from the rows that `ggauge faults --json` gives.
///
/// # Errors
/// Where they are not of every model.
pub fn of_the_faults(texts: &mut Texts, rows: &[FaultRow]) -> Result<(), Error> {
    let tried = faults::survey::count()?;
    if rows.len() != tried {
        let why = format!("they are {}, and there are {tried} to try", rows.len());
        return Err(Error::input("the faults", why, "give what `ggauge faults --json` prints without a filter"));
    }
    let (noticed, faults) = faults::report::totals(rows.iter());
    let mut runs = Runs::read(&texts.root).unwrap_or_default();
    runs.faults = FaultsRun { basis: Planned::of(&texts.root)?.basis, tried, faults, noticed };
    runs.keep(texts)
}

const MAIN_JOB: &str = "main-job";
const MAIN_JOB_PICTURE: &str = ".github/main-job.svg";
const PLAIN: Style = Style { color: false, verbose: false };

/// The report without the subjects that one machine has not.
fn shown(record: &Record) -> String {
    format!("{}{}{}\n", report::table(record, PLAIN), report::findings(record, PLAIN), report::totals(record, PLAIN).as_str())
}

/// Says whether two Records are of the same bits: a digest of every case and its logits.
fn bits(record: &Record) -> String {
    let cases: Vec<String> =
        record.cases.iter().map(|case| format!("{} {:?} {:?}", case.id, case.outcome, case.logits)).collect();
    files::digest(cases.join("\n").as_bytes()).chars().take(16).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_prose_has_them() {
        assert_eq!([in_digits(7), in_digits(694), in_digits(2965), in_digits(13_417_000)], ["7", "694", "2,965", "13,417,000"]);
        assert_eq!([in_words(13), in_words(28), capital(&in_words(11))], ["thirteen", "28", "Eleven"]);
    }

    #[test]
    fn a_run_follows_from_limits_expectations_cells_and_runtimes_and_not_from_words() {
        let plan = Plan::of(vec![supply::models::Model::named("llama", "f32", "llama")]);
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
        other.models[0] = supply::models::Model::planned(&"llama/f32@1".parse().unwrap(), Path::new("/")).unwrap();
        for after in [
            basis(&other, &tolerances, &row("diverges", "why"), &lock("1.0.0")),
            basis(&plan, &wider, &row("diverges", "why"), &lock("1.0.0")),
            basis(&plan, &tolerances, &row("aborts", "why"), &lock("1.0.0")),
            basis(&plan, &tolerances, &row("diverges", "why"), &lock("1.0.1")),
        ] {
            assert_ne!(before, after);
        }
    }

    #[test]
    fn sentences_are_found_across_lines() {
        let text = "Of 13,417\ncells, all pass. Of 2 cells, some pass.";
        let holes = find(text, "Of {} cells, all");
        assert_eq!(holes.len(), 1);
        assert_eq!(text.get(holes[0][0].clone()), Some("13,417"));
        assert_eq!(find(text, "Of {} cells,").len(), 2);
    }

    #[test]
    fn code_and_links_are_no_prose() {
        let text = "a `4 b` [five](six/7) <!-- 8 --> ```\n9\n``` c";
        let mut prose = text.to_owned();
        for range in no_prose(text).into_iter().rev() {
            prose.replace_range(range, "");
        }
        assert_eq!(prose, "a  [five   c");
    }
}
