//! Models: files given by path, pinned ones, and tiny ones made from a recipe.

use crate::{
    argument::ModelArgument,
    files::{Files, is_vocabulary},
};
use gguf::{File, ShardName, Split, WeightType};
use indicatif::ProgressBar;
use machine::{
    Error,
    cache::Cache,
    files::{self, Stamp},
};
use printable::{LONGEST_WORDS, cut};
use record::ModelRecord;
use smith::Recipe;
use std::{
    ops::Deref,
    path::{Path, PathBuf},
    time::SystemTime,
};
use vocabulary::Family;

/// A model that is there, or a tiny one that is made when it is needed; it reads as what is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    record: ModelRecord,
    /// Where the file is, of a split model the first.
    pub path: PathBuf,
    /// How many files it is split into; 1 where it is not. A runtime that minds says so.
    pub shards: usize,
    /// The recipe of a tiny model.
    pub recipe: Option<Recipe>,
    /// Its files as they were before they were hashed; none of a tiny model.
    files: Vec<(PathBuf, Stamp)>,
}

impl Deref for Model {
    type Target = ModelRecord;

    fn deref(&self) -> &ModelRecord {
        &self.record
    }
}

/// The files of a model while it is used. Whatever is computed from them is kept, and judged, as that of the bytes that were hashed.
#[derive(Debug, Default)]
pub struct InUse {
    files: Vec<(PathBuf, Stamp)>,
    /// The sha256 of them.
    sha256: String,
    /// They were written just now: a change in the same tick of the clock would not show in a stamp.
    is_fresh: bool,
    /// They lie in a folder of ours, where nobody maps a file to write to it.
    is_ours: bool,
}

/// True where a change of the file after `now` would show in its stamp. When it was written is for everybody to say; when it changed is not.
fn is_old(stamp: &Stamp, now: SystemTime) -> bool {
    Stamp { modified: stamp.changed, ..*stamp }.is_settled(now)
}

impl InUse {
    /// Sees that the files are still what they were. A link to one, other permissions and `touch` change the times alone, and then the bytes decide.
    ///
    /// # Errors
    /// Where one is another file now, or has other bytes.
    pub fn check(&mut self) -> Result<(), Error> {
        let changed = |path: &Path| {
            let next = "run the same command again once nothing writes to it; nothing that was computed from it since goes into the \
                        cache or a Record";
            Err(Error::input(path.display(), "the file changed while it was in use", next))
        };
        // A change after this moment shows in the stamps of the next look, once they are old enough.
        let now = SystemTime::now();
        let mut doubted = self.is_fresh.then(|| self.files.first().map(|(path, _)| path.clone())).flatten();
        for (path, before) in &mut self.files {
            let stamp = if self.is_ours { Stamp::of_ours(path) } else { Stamp::of(path) };
            match stamp {
                Ok(stamp) if stamp == *before => {}
                Ok(stamp) if stamp.differs_in_times_only(before) => {
                    *before = stamp;
                    self.is_fresh = true;
                    doubted = Some(path.clone());
                }
                _ => return changed(path),
            }
        }
        let Some(doubted) = doubted else { return Ok(()) };
        let paths: Vec<&Path> = self.files.iter().map(|(path, _)| path.as_path()).collect();
        match files::sha256_of(&paths, &ProgressBar::hidden()) {
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Ok(found) if found == self.sha256 => {}
            _ => return changed(&doubted),
        }
        self.is_fresh = !self.files.iter().all(|(_, stamp)| is_old(stamp, now));
        Ok(())
    }
}

impl Model {
    /// Reads the header of a file, of a split model those of all, and hashes them once that is right.
    ///
    /// # Errors
    /// Where a file cannot be read or is not a valid GGUF model, with field and byte offset.
    pub fn open(
        path: &Path,
        name: Option<&str>,
        weights: Option<&str>,
        cache: &Cache,
        progress: &ProgressBar,
    ) -> Result<Self, Error> {
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let files = Files::open(path)?;
        let paths: Vec<&Path> = files.paths().collect();
        let stamped = |path: &&Path| match Stamp::of(path) {
            Ok(stamp) => Ok((path.to_path_buf(), stamp)),
            Err(error) => Err(Error::file(*path, &error)),
        };
        let stamps = paths.iter().map(stamped).collect::<Result<Vec<_>, _>>()?;
        let model = Self::read(&files.read()?, path, name, weights)?;
        let sha256 = cache.sha256(&paths, progress)?;
        Ok(Self { record: ModelRecord { sha256, ..model.record }, files: stamps, ..model })
    }

    /// What the headers of files say of which the first is, or will be, at `path`.
    fn read(files: &Split<'_>, path: &Path, name: Option<&str>, weights: Option<&str>) -> Result<Self, Error> {
        let shown = &path.display();
        let broken = |error: gguf::Finding| {
            Error::input(shown, error, "download or convert the file again; its header or its length is wrong")
        };
        let Some(first) = files.files().first() else {
            return Err(Error::input(shown, "a model of no file", "give the path of a GGUF model file"));
        };
        let architecture = first.architecture().map_err(broken)?;
        let metadata = first.metadata();
        let context_length = metadata.u64(&format!("{architecture}.context_length")).map_err(broken)?;
        let bos = metadata.u64("tokenizer.ggml.bos_token_id").map_err(broken)?;
        let Some(vocabulary_size) = files.vocabulary_size() else {
            let (why, next) = if is_vocabulary(files) {
                (
                    "it is only a vocabulary, without a tensor",
                    "give a model; `ggauge tokenize` and `ggauge inspect` take this file",
                )
            } else {
                let next = "give the path of a GGUF model file; `ggauge run` without a path takes the pinned models";
                ("it has no tensor `token_embd.weight`, so it is not a language model", next)
            };
            return Err(Error::input(shown, why, next));
        };
        let tensor = |name: &str| files.tensor(name).map(|(_, tensor)| tensor);
        let dominant = || files.dominant_weight_type().map_or("empty", WeightType::name);
        let record = ModelRecord {
            name: name.map_or_else(|| fit_for_id(&stem(path, files.files().len())), str::to_owned),
            weights: weights.map_or_else(|| dominant().into(), str::to_owned),
            architecture: cut(architecture, LONGEST_WORDS).into_owned(),
            family: family(files),
            output_bytes: tensor("output.weight").or(tensor("token_embd.weight")).map_or(0, |tensor| tensor.size),
            sha256: String::new(),
            vocabulary_size,
            context_length,
            bos: bos.and_then(|id| u32::try_from(id).ok()).filter(|&id| u64::from(id) < vocabulary_size),
            exact: false,
            argument: name.map_or_else(|| path.display().to_string(), str::to_owned),
        };
        Ok(Self { record, path: path.into(), shards: files.files().len(), recipe: None, files: Vec::new() })
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
        let wrong =
            |finding: gguf::Finding| Error::input(recipe, finding, "report this: every recipe should make a valid file");
        let file = File::lenient(&bytes).map_err(wrong)?;
        let model = Self::read(&file.into(), &path, Some(&name), Some(recipe.weights.name()))?;
        let record = ModelRecord { argument: recipe.to_string(), sha256: files::digest(&bytes), ..model.record };
        Ok(Self { record, recipe: Some(recipe.clone()), ..model })
    }

    /// Writes the file of a planned model, where it is not there or is another, and gives what tells later whether it still is what it was.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn ensure(&self) -> Result<InUse, Error> {
        let Some(recipe) = &self.recipe else {
            let now = SystemTime::now();
            let is_fresh = !self.files.iter().all(|(_, stamp)| is_old(stamp, now));
            return Ok(InUse { files: self.files.clone(), sha256: self.sha256.clone(), is_fresh, is_ours: false });
        };
        if !files::sha256(&self.path).is_ok_and(|found| found == self.sha256) {
            files::write_whole(&self.path, &build(recipe)?)?;
        }
        let stamp = Stamp::of_ours(&self.path).map_err(|error| Error::file(&self.path, &error))?;
        let files = vec![(self.path.clone(), stamp)];
        Ok(InUse { files, sha256: self.sha256.clone(), is_fresh: true, is_ours: true })
    }

    /// What is told of it.
    pub fn record(&self) -> &ModelRecord {
        &self.record
    }

    /// The same as a form of another model: with that one's name, and what a user gets it with. `weights` is what ids say of it.
    #[must_use]
    pub(crate) fn into_exact_form_of(self, model: &Self, weights: String) -> Self {
        let (name, argument) = (model.name.clone(), model.argument.clone());
        Self { record: ModelRecord { name, weights, argument, exact: true, ..self.record }, ..self }
    }

    /// True for a model made from a recipe.
    pub fn is_tiny(&self) -> bool {
        self.recipe.is_some()
    }
}

/// The family of a model's weights.
fn family(files: &Split<'_>) -> Family {
    let any = |is: fn(WeightType) -> bool| files.tensors().any(|tensor| is(tensor.weight_type));
    if any(WeightType::is_quantized) {
        Family::Quantized
    } else if any(|weight_type| matches!(weight_type, WeightType::F16 | WeightType::BF16)) {
        Family::Half
    } else {
        Family::Single
    }
}

/// The file of a recipe.
///
/// # Errors
/// Where its numbers fit no model.
pub fn build(recipe: &Recipe) -> Result<Vec<u8>, Error> {
    recipe.build().map_err(|error| Error::input(recipe, error.why, "`ggauge smith` lists what recipes can change"))
}

/// What a model is called by its file's name: of a split model what all names have in common.
fn stem(path: &Path, shards: usize) -> String {
    let name = path.file_name().and_then(|name| ShardName::parse(name.to_str()?)).filter(|_| shards > 1);
    let stem = || path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    name.map_or_else(stem, |name| name.prefix).to_lowercase()
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
    match ModelArgument::find(argument)? {
        ModelArgument::Pinned(manifest) => {
            let path = manifest.fetch(cache, offline, progress)?;
            Model::open(&path, Some(&manifest.name), Some(&manifest.weights), cache, progress)
        }
        ModelArgument::Recipe(recipe) => Model::make(&recipe, scratch),
        ModelArgument::File(path) => Model::open(&path, None, None, cache, progress),
    }
}

/// Finds the file with the vocabulary behind an argument, as [`resolve`]; it needs no tensor.
///
/// # Errors
/// Where there is no such file, or it has no vocabulary.
pub fn resolve_vocabulary(
    argument: &str,
    cache: &Cache,
    scratch: &Path,
    offline: bool,
    progress: &ProgressBar,
) -> Result<PathBuf, Error> {
    let path = match ModelArgument::find(argument)? {
        ModelArgument::Pinned(manifest) => manifest.fetch(cache, offline, progress)?,
        ModelArgument::Recipe(recipe) => Model::make(&recipe, scratch)?.path,
        ModelArgument::File(path) => std::path::absolute(&path).unwrap_or(path),
    };
    Files::open(&path)?.read()?;
    Ok(path)
}
