//! The files that a model is made of: one, or all of a split model, told apart from what only looks like it.

use gguf::{File, Finding, Mode, Rule, ShardName, Split, Tolerated};
use machine::{Error, MappedFile, map_model};
use std::{fmt, path::Path};

/// The key that every model has, and of a split one its first file alone.
const ARCHITECTURE: &str = "general.architecture";

/// Why a file is not what its name and its keys together say, though it may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misplaced {
    /// Several files one behind the other.
    Glued {
        /// Where the second begins.
        at: u64,
    },
    /// A file of a split model under a name by which the others cannot be found.
    Renamed {
        /// Its number by its keys, counted from 1.
        number: u64,
        /// How many files its keys say there are.
        count: u64,
    },
    /// A whole model under the name of a file of a split one.
    Whole {
        /// The name.
        name: ShardName,
    },
}

impl Misplaced {
    /// What is wrong with the place of a file of this name, where something is.
    pub fn find(file: &File<'_>, name: &str) -> Option<Self> {
        if let Some(at) = file.glued() {
            return Some(Self::Glued { at });
        }
        let by_keys = file.place_in_split().filter(|&(_, count)| count > 1);
        match (ShardName::parse(name).filter(|name| name.count > 1), by_keys) {
            (None, None) => None,
            (Some(name), None) => Some(Self::Whole { name }).filter(|_| !speaks_of_split(file)),
            // That files disagree on how many they are is told of all of them together.
            (Some(name), Some((number, _))) if number + 1 == u64::from(name.number) => None,
            (_, Some((number, count))) => Some(Self::Renamed { number: number + 1, count }),
        }
    }

    /// What to do about it.
    pub fn next(&self) -> String {
        match self {
            Self::Glued { .. } => "put them together with llama.cpp's `llama-gguf-split --merge`, not with `cat`".into(),
            Self::Renamed { number, count } => {
                format!("give it its name back, PREFIX-{number:05}-of-{count:05}.gguf, beside the other files")
            }
            Self::Whole { name } => format!("give it a name without `-{:05}-of-`", name.number),
        }
    }

    /// The same as a finding about a file.
    pub fn finding(&self) -> Finding {
        let offset = match self {
            Self::Glued { at } => *at,
            _ => 0,
        };
        let expected = match self {
            Self::Glued { .. } => "one file, or each on its own",
            Self::Renamed { .. } => "a name that says so",
            Self::Whole { .. } => "a name of its own",
        };
        let (field, found) = ("the file as a whole".into(), self.to_string());
        Finding { rule: Rule::SplitShards, offset, field, found, expected: expected.into() }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Refuses a file that is not what its name and its keys together say.
fn check(path: &Path, file: &File<'_>) -> Result<(), Error> {
    let name = name_of(path);
    if let Some(misplaced) = Misplaced::find(file, &name) {
        return Err(Error::input(path.display(), format!("it is {misplaced}"), misplaced.next()));
    }
    // A whole model can be read whatever its keys say of a split.
    let is_part = ShardName::parse(&name).is_some_and(|name| name.count > 1) || file.metadata().get(ARCHITECTURE).is_none();
    let of_split = |tolerated: &&Tolerated| tolerated.finding.rule == Rule::SplitKeys;
    match file.tolerated().iter().find(of_split).filter(|_| is_part && speaks_of_split(file)) {
        Some(tolerated) => {
            let next = "split the model again with llama.cpp's `llama-gguf-split`, which writes the keys";
            Err(Error::input(path.display(), &tolerated.finding, next))
        }
        None => Ok(()),
    }
}

/// Keys of a split model that make no sense are no whole model either.
fn speaks_of_split(file: &File<'_>) -> bool {
    ["split.no", "split.count", "split.tensors.count"].iter().any(|key| file.metadata().get(key).is_some())
        && file.place_in_split().is_none()
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glued { at } => write!(f, "several GGUF files glued together, of which the second begins at byte {at}"),
            Self::Renamed { number, count } => {
                write!(f, "file {number} of {count} of a split model under a name that says otherwise")
            }
            Self::Whole { name } => {
                write!(f, "a whole model under the name of file {} of {} of a split one", name.number, name.count)
            }
        }
    }
}

/// The mapped files of a model, in order.
pub struct Files {
    mapped: Vec<(std::path::PathBuf, MappedFile)>,
}

impl Files {
    /// Finds the files of the model of which `path` names the first.
    ///
    /// # Errors
    /// Where one cannot be read, is missing, or `path` is another than the first; each in words of its own.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let next = "give the path of a GGUF model file; `ggauge run` without a path takes the pinned models";
        let name = name_of(path);
        let first = MappedFile::open(path).map_err(|error| Error::input(path.display(), error, next))?;
        // What is no GGUF file at all is said where it is read.
        if let Ok(file) = File::lenient(&first) {
            check(path, &file)?;
            if let Some((number, count)) = file.place_in_split().filter(|&(number, _)| number > 0) {
                let of_split = ShardName::parse(&name).and_then(|name| name.siblings().next());
                let first = of_split.map_or_else(|| "the first".into(), |name| path.with_file_name(name).display().to_string());
                let why = format!("it is file {} of {count} of a split model, and the first has its keys", number + 1);
                return Err(Error::input(path.display(), why, format!("give the first: {first}")));
            }
        }
        let mapped = map_model(path).map_err(|(missing, error)| {
            let (why, next) = if missing == path {
                (error.to_string(), next.to_owned())
            } else {
                let beside = missing.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let next = "put all files of the split model into one folder, under the names that they came with";
                (format!("it is the first file of a split model, and of {beside} the system says: {error}"), next.to_owned())
            };
            Error::input(path.display(), why, next)
        })?;
        for (path, mapped) in mapped.iter().skip(1) {
            if let Ok(file) = File::lenient(mapped) {
                check(path, &file)?;
            }
        }
        Ok(Self { mapped })
    }

    /// Their paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.mapped.iter().map(|(path, _)| path.as_path())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.mapped.len()
    }

    /// True where there is none, which [`Files::open`] never gives.
    pub fn is_empty(&self) -> bool {
        self.mapped.is_empty()
    }

    /// Their headers, read as one as leniently as the runtimes do.
    ///
    /// # Errors
    /// Where one of them breaks a rule after which there is nothing to read on, or they do not belong together.
    pub fn read(&self) -> Result<Split<'_>, Error> {
        let next = "download or convert the file again; its header or its length is wrong";
        let mut files = Vec::new();
        for (path, mapped) in &self.mapped {
            files.push(File::lenient(mapped).map_err(|error| Error::input(path.display(), error, next))?);
        }
        let first = || self.mapped.first().map(|(path, _)| path.display().to_string()).unwrap_or_default();
        match <[File<'_>; 1]>::try_from(files) {
            Ok([file]) => Ok(file.into()),
            Err(files) => Split::join(files, Mode::Lenient).map_err(|error| {
                let of_several = "put the files of one split model together, all of the same download or the same split";
                let next = if error.rule == Rule::SplitShards { of_several } else { next };
                Error::input(first(), error, next)
            }),
        }
    }
}

/// True for files without a tensor that hold the words of a vocabulary: what llama.cpp's own `ggml-vocab-*.gguf` are.
pub fn is_vocabulary(files: &Split<'_>) -> bool {
    let words = |file: &File<'_>| matches!(file.metadata().array("tokenizer.ggml.tokens"), Ok(Some(_)));
    files.tensors().next().is_none() && files.files().first().is_some_and(words)
}
