//! What the reference computed, kept in the cache: its logits on a prompt, and how far a rounding moves them.
//!
//! Runtimes are blamed by it, for as long as it lies there. So it says what it was made from and carries a checksum, and is believed only where both are
//! right. The checksum is against damage, not against people (who can write into the cache can write a checksum too), and is looked at in every run:
//! CRC-32, which finds every flipped bit and runs as fast as memory.

use crate::judge::oracle::NOISE_VERSION;
use machine::{
    Error,
    cache::Cache,
    files::{self, Stamp},
    interrupt, small,
};
use reference::Rounding;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};
use supply::{models::Model, prompts::Prompt};
use vocabulary::{
    Noise, Scale,
    transcript::{self, Reader},
};

/// Raised when what is kept, or how, changes: files of another version lie under other names, until they are pruned.
const VERSION: u32 = 2;
/// After so many new bytes the cache is pruned within a run.
const BETWEEN_PRUNES: u64 = 256 << 20;

/// What a result of the reference is made from: the reference itself, a model, a prompt and a rounding.
pub struct Origin<'a> {
    model: &'a Model,
    prompt: &'a Prompt,
    /// Of all of it.
    digest: String,
}

impl<'a> Origin<'a> {
    /// The origin of a result.
    pub fn of(model: &'a Model, prompt: &'a Prompt, rounding: Rounding) -> Self {
        let mut key = Sha256::new();
        key.update(VERSION.to_le_bytes());
        key.update(reference::FINGERPRINT);
        key.update(NOISE_VERSION.to_le_bytes());
        key.update(&model.sha256);
        key.update(rounding.name());
        for token in &prompt.tokens {
            key.update(token.to_le_bytes());
        }
        Self { model, prompt, digest: printable::hex(&key.finalize()) }
    }

    /// What tells it from every other.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Where the result lies, or will lie.
    fn path(&self, cache: &Cache, extension: &str) -> Result<PathBuf, Error> {
        let name = self.digest.get(..32).unwrap_or(&self.digest);
        Ok(cache.reference()?.join(format!("{name}.{extension}")))
    }

    /// Why a transcript is not one of this model on this prompt.
    fn disagrees_with(&self, reader: &Reader) -> Option<String> {
        let (rows, width) = (self.prompt.tokens.len() as u64, self.model.vocabulary_size);
        if reader.vocabulary_size() as u64 != width {
            return Some(format!("it has rows of {} logits, where the vocabulary has {width}", reader.vocabulary_size()));
        }
        let is_whole = reader.positions().iter().copied().eq(0..rows);
        (!is_whole).then(|| format!("it has not the {rows} positions of the prompt, one after the other"))
    }
}

/// Noise as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    made_from: String,
    crc32: u32,
    noise: Noise,
}

impl Kept {
    fn of(origin: &Origin<'_>, noise: Noise) -> Self {
        let Scale { nmse, kl_mean, kl_max, rms } = noise.scale;
        let numbers: Vec<_> = [nmse, kl_mean, kl_max, rms].iter().chain(&noise.nmse).map(|x| x.to_le_bytes()).collect();
        Self { made_from: origin.digest.clone(), crc32: crc32fast::hash(numbers.as_flattened()), noise }
    }
}

/// The kept results of one run.
pub struct Truths<'a> {
    cache: &'a Cache,
    /// What was found right in this run is not read again while it stays the same.
    checked: BTreeMap<PathBuf, Stamp>,
    /// Bytes since the cache was last pruned.
    added: u64,
    /// What was damaged, in words, for somebody to tell the user.
    pub damaged: Vec<String>,
}

impl<'a> Truths<'a> {
    /// Those of a cache.
    pub fn of(cache: &'a Cache) -> Self {
        Self { cache, checked: BTreeMap::new(), added: 0, damaged: Vec::new() }
    }

    /// The exact logits, where they are kept. The file is open from here on: another run may prune it.
    ///
    /// # Errors
    /// Where the cache has no folder, and where the user interrupted.
    pub fn find(&mut self, origin: &Origin<'_>) -> Result<Option<Reader>, Error> {
        let path = origin.path(self.cache, "safetensors")?;
        if fs::symlink_metadata(&path).is_err() {
            return Ok(None);
        }
        match self.check(&path, origin) {
            Ok(reader) => Ok(Some(reader)),
            Err(why) => {
                interrupt::check()?;
                if fs::symlink_metadata(&path).is_err() {
                    // Another run has pruned it just now.
                    return Ok(None);
                }
                self.drop_damaged(&path, &why);
                Ok(None)
            }
        }
    }

    fn check(&mut self, path: &Path, origin: &Origin<'_>) -> Result<Reader, String> {
        let reader = Reader::open(path)?;
        if let Some(why) = origin.disagrees_with(&reader) {
            return Err(why);
        }
        let stamp = || reader.file().metadata().map(|metadata| Stamp::from(&metadata)).map_err(|error| error.to_string());
        if self.checked.get(path) != Some(&stamp()?) {
            let note = note(origin, &reader).map_err(|error| error.to_string())?;
            match reader.note() {
                Some(kept) if kept == note => {}
                Some(_) => return Err("its checksum is of other bytes, or it was made from something else".into()),
                None => return Err("it has no checksum".into()),
            }
        }
        // What was used last is dropped last.
        let _ = reader.file().set_modified(SystemTime::now());
        self.checked.insert(path.to_owned(), stamp()?);
        Ok(reader)
    }

    /// Keeps the exact logits, which were written to `made`.
    ///
    /// # Errors
    /// Where they are not of this model and prompt, or cannot be written; and where the user interrupted.
    pub fn keep(&mut self, origin: &Origin<'_>, made: &Path) -> Result<Reader, Error> {
        let path = origin.path(self.cache, "safetensors")?;
        let wrong = |why: String| Error::Harness {
            what: format!("the reference's transcript of {} on {}", origin.prompt.name, origin.model.name),
            why,
            next: "run the same command again; if it stays, report this as a bug".into(),
        };
        let reader = Reader::open(made).map_err(wrong)?;
        if let Some(why) = origin.disagrees_with(&reader) {
            return Err(wrong(why));
        }
        let written = note(origin, &reader).and_then(|note| transcript::annotate(made, &note)).and_then(|()| {
            // What a tiny model gives is computed faster than a disk is waited for; a file that a crash left half written has a wrong checksum.
            if !origin.model.is_tiny() {
                reader.file().sync_all()?;
            }
            files::adopt(made, &path)
        });
        interrupt::check()?;
        written.map_err(|error| Error::file(&path, &error))?;
        let metadata = reader.file().metadata().map_err(|error| Error::file(&path, &error))?;
        self.added += metadata.len();
        self.checked.insert(path, Stamp::from(&metadata));
        if self.added > BETWEEN_PRUNES {
            self.cache.prune();
            self.added = 0;
        }
        Ok(reader)
    }

    /// How far a rounding moves the reference, where that is kept.
    ///
    /// # Errors
    /// Where the cache has no folder.
    pub fn find_noise(&mut self, origin: &Origin<'_>) -> Result<Option<Noise>, Error> {
        let path = origin.path(self.cache, "json")?;
        let json = match small::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                self.drop_damaged(&path, &error.to_string());
                return Ok(None);
            }
        };
        let kept: Result<Kept, _> = serde_json::from_slice(&json);
        let why = match kept {
            Ok(kept) => {
                let again = Kept::of(origin, kept.noise);
                if kept.made_from == again.made_from && kept.crc32 == again.crc32 && again.noise.is_finite() {
                    return Ok(Some(again.noise));
                }
                "its checksum is of other numbers, or it was made from something else".into()
            }
            Err(error) => error.to_string(),
        };
        self.drop_damaged(&path, &why);
        Ok(None)
    }

    /// Keeps how far a rounding moves the reference.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_noise(&self, origin: &Origin<'_>, noise: &Noise) -> Result<(), Error> {
        let json = serde_json::to_vec(&Kept::of(origin, noise.clone())).unwrap_or_default();
        files::write_whole(&origin.path(self.cache, "json")?, &json)
    }

    fn drop_damaged(&mut self, path: &Path, why: &str) {
        self.damaged.push(format!("{}: {why}; it is dropped and computed anew", path.display()));
        let _ = fs::remove_file(path);
    }
}

/// What is written into a transcript: what it was made from, and the checksum of all it holds.
fn note(origin: &Origin<'_>, reader: &Reader) -> io::Result<String> {
    let mut checksum = crc32fast::Hasher::new();
    reader.each_piece(|piece| {
        checksum.update(piece);
        if interrupt::requested() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    })?;
    Ok(format!("made from {}, crc32 {:08x}", origin.digest, checksum.finalize()))
}
