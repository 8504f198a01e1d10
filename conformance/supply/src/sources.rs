//! The files behind an argument of `ggauge inspect`, which may be broken or missing: a pinned model's, a recipe's, or those of a path.

use crate::{argument::ModelArgument, models::build};
use gguf::{File, ShardName};
use machine::{Error, MappedFile, cache::Cache, files};
use std::{io, ops::Deref, path::Path};

/// The bytes of one file.
enum Bytes {
    Mapped(MappedFile),
    Made(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped,
            Self::Made(bytes) => bytes,
        }
    }
}

/// One file of a model, which most often is the only one.
pub struct Shard {
    number: u32,
    name: String,
    /// What errors call it.
    shown: String,
    bytes: Bytes,
}

/// The files behind an argument.
pub struct Source {
    name: String,
    shards: Vec<Shard>,
    missing: Vec<String>,
}

impl Source {
    /// Finds the files behind an argument: a pinned model's name, a recipe, or a path. A file of a split model stands for all.
    /// Nothing is fetched.
    ///
    /// # Errors
    /// Where there is no such file, or it cannot be read.
    pub fn open(argument: &str, cache: &Cache) -> Result<Self, Error> {
        match ModelArgument::find(argument)? {
            ModelArgument::Pinned(manifest) => {
                let path = manifest.path(cache);
                if !path.exists() {
                    let next = format!("run `ggauge fetch {argument}` with a network");
                    return Err(Error::input(format!("model {argument}"), "it is not in the cache", next));
                }
                Self::of_one(argument.into(), manifest.file, &path)
            }
            ModelArgument::Recipe(recipe) => {
                let (name, bytes) = (recipe.to_string(), Bytes::Made(build(&recipe)?));
                let shards = vec![Shard { number: 1, name: name.clone(), shown: name.clone(), bytes }];
                Ok(Self { name, shards, missing: Vec::new() })
            }
            ModelArgument::File(path) => {
                let name = path.file_name().map_or_else(|| argument.into(), |name| name.to_string_lossy().into_owned());
                match ShardName::parse(&name) {
                    Some(shard) => Self::of_split(&path, &shard),
                    None => Self::of_one(name.clone(), name, &path),
                }
            }
        }
    }

    fn of_one(name: String, file: String, path: &Path) -> Result<Self, Error> {
        let shard = Shard::open(1, file, path).map_err(|error| unreadable(path, error))?;
        Ok(Self { name, shards: vec![shard], missing: Vec::new() })
    }

    fn of_split(path: &Path, name: &ShardName) -> Result<Self, Error> {
        let mut source = Self { name: name.prefix.clone(), shards: Vec::new(), missing: Vec::new() };
        for (number, sibling) in (1..).zip(name.siblings()) {
            let path = path.with_file_name(&sibling);
            match Shard::open(number, sibling.clone(), &path) {
                Ok(shard) => source.shards.push(shard),
                Err(error) if error.kind() == io::ErrorKind::NotFound => source.missing.push(sibling),
                Err(error) => return Err(unreadable(&path, error)),
            }
        }
        Ok(source)
    }

    /// The file's name, a split model's prefix, a pinned model's name, or a recipe.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files that are there, in order.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Names of the files of a split model that are not there.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl Shard {
    fn open(number: u32, name: String, path: &Path) -> io::Result<Self> {
        let bytes = Bytes::Mapped(MappedFile::open(path)?);
        Ok(Self { number, name, shown: path.display().to_string(), bytes })
    }

    /// Its number in a split model, counted from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its name, without folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sha256 of its bytes, in hexadecimal.
    pub fn sha256(&self) -> String {
        files::digest(&self.bytes)
    }

    /// What it holds, read as leniently as the runtimes do.
    ///
    /// # Errors
    /// Where it breaks a rule after which there is nothing to read on.
    pub fn read(&self) -> Result<File<'_>, Error> {
        File::lenient(&self.bytes).map_err(|finding| {
            let next =
                format!("download or convert the file again; `ggauge rules {}` says what the rule asks for", finding.rule);
            Error::input(&self.shown, finding, next)
        })
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::input(path.display(), error, "give the path of a GGUF file that you may read")
}
