//! Where ggauge keeps what it can make again: models, reference transcripts, scratch files, and the last Records.
//!
//! Several runs, users and containers may have one cache. What they make at the same time has a random name until it is whole, and is then renamed;
//! what only one of them may do at a time is done under a lock of the file system, which ends with its process, wherever that is.

use crate::{
    Error,
    files::{Hashed, Stamp, digest, sha256_of, write_whole},
    lock::{Alone, alone},
    scratch::{Scratch, temporary},
    small,
};
use indicatif::ProgressBar;
use printable::Page;
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, SystemTime},
};

/// Reference transcripts beyond this many bytes are dropped, the least recently used first.
const TRANSCRIPTS_LIMIT: u64 = 4 << 30;
/// Exact forms of models beyond this many bytes are dropped, the least recently used first.
const EXACT_LIMIT: u64 = 8 << 30;
/// How long an exact form lies unused before it may be dropped.
const EXACT_IDLE: Duration = Duration::from_hours(24);
/// The folder of downloaded models.
const MODELS: &str = "models";
/// The folder of what is remembered of files that were hashed.
const HASHES: &str = "hashes";

/// The cache folder: `GGAUGE_CACHE`, or `ggauge` in the user's own cache folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Finds the cache folder; it is made when something is put there.
    ///
    /// # Errors
    /// Where neither the variable nor a home folder says where it is.
    pub fn find() -> Result<Self, Error> {
        let of_user = || directories::BaseDirs::new().map(|folders| folders.cache_dir().join("ggauge"));
        let named = std::env::var_os("GGAUGE_CACHE").filter(|value| !value.is_empty());
        // Workers may change their folder, so every path they are given is absolute.
        let named = named.map(|value| std::path::absolute(&value).unwrap_or_else(|_| value.into()));
        let root = named.or_else(of_user).ok_or_else(|| Error::Harness {
            what: "the cache".into(),
            why: "there is no home folder".into(),
            next: "set GGAUGE_CACHE to a folder".into(),
        })?;
        Ok(Self { root })
    }

    /// A cache in a folder of its own, for tests.
    pub fn at(root: &Path) -> Self {
        Self { root: root.into() }
    }

    fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.root.join(name);
        let make = || -> io::Result<()> {
            if !self.root.exists() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
            }
            if !path.exists() {
                fs::create_dir_all(&path)?;
                // A cache that its owner opened to others is opened as a whole.
                fs::set_permissions(&path, fs::metadata(&self.root)?.permissions())?;
            }
            Ok(())
        };
        make().map_err(|error| Error::file(&path, &error))?;
        for folder in [&self.root, &path] {
            warn_of_others(folder);
        }
        Ok(path)
    }

    /// Waits until no other ggauge with this cache does what is named here, and keeps others waiting until the value is dropped.
    ///
    /// # Errors
    /// Where the lock cannot be made, and where the user interrupted.
    pub fn alone(&self, what: &str) -> Result<Alone, Error> {
        alone(&self.folder("locks")?.join(what))
    }

    /// Downloaded models.
    ///
    /// # Errors
    /// Where the folder cannot be made; the same for all folders here.
    pub fn models(&self) -> Result<PathBuf, Error> {
        self.folder(MODELS)
    }

    /// Where the file of a downloaded model is or will be. For those who only read: nothing is made.
    pub fn model(&self, file: &str) -> PathBuf {
        let folder = self.root.join(MODELS);
        for folder in [&self.root, &folder] {
            warn_of_others(folder);
        }
        folder.join(file)
    }

    /// Reference transcripts and noise scales.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn reference(&self) -> Result<PathBuf, Error> {
        self.folder("reference")
    }

    /// Exact forms of models, each `*.gguf` with a note `*.json` that is as old as its last use.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn exact(&self) -> Result<PathBuf, Error> {
        self.folder("exact")
    }

    /// Vocabularies with expected tokens.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn tokenizers(&self) -> Result<PathBuf, Error> {
        self.folder("tokenizers")
    }

    /// Environments of readers in other languages.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn readers(&self) -> Result<PathBuf, Error> {
        self.folder("readers")
    }

    /// Builds of ggauge with other releases of runtimes.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn builds(&self) -> Result<PathBuf, Error> {
        self.folder("builds")
    }

    /// The default place for Records.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn records(&self) -> Result<PathBuf, Error> {
        self.folder("records")
    }

    /// [`sha256_of`], remembered for as long as each of the files is the same by its [`Stamp`]: the next run of a large model does not
    /// read it only to learn its name.
    ///
    /// # Errors
    /// As [`sha256_of`], and where a file changes meanwhile.
    pub fn sha256(&self, files: &[impl AsRef<Path>], progress: &ProgressBar) -> Result<String, Error> {
        let stamps = || -> Result<Vec<Stamp>, Error> {
            let of = |path: &Path| Stamp::of(path).map_err(|error| Error::file(path, &error));
            files.iter().map(|file| of(file.as_ref())).collect()
        };
        let before = stamps()?;
        let note = self.note(&before);
        if let Ok(json) = small::read(&note) {
            match serde_json::from_slice::<Hashed>(&json).ok().filter(Hashed::is_whole) {
                Some(known) if known.stamps == before => return Ok(known.sha256),
                Some(_) => {}
                // Damaged, or of an older ggauge: hashed anew.
                None => drop(fs::remove_file(&note)),
            }
        }
        let now = SystemTime::now();
        let sha256 = sha256_of(files, progress)?;
        if stamps()? != before {
            let what = files.first().map(|file| file.as_ref().display().to_string()).unwrap_or_default();
            let next = "wait until nothing writes to it any more, and run the same command again";
            return Err(Error::input(what, "it changed while it was read", next));
        }
        if before.iter().all(|stamp| stamp.is_settled(now)) {
            // A cache that cannot be written costs the time of hashing again, and nothing else.
            let _ = self.folder(HASHES);
            let json = serde_json::to_vec(&Hashed::of(before, sha256.clone())).unwrap_or_default();
            let _ = write_whole(&note, &json);
        }
        Ok(sha256)
    }

    /// Forgets what [`Cache::sha256`] remembers of files, so that it reads them again: what a disk gives may have changed without a trace.
    pub fn forget(&self, files: &[impl AsRef<Path>]) {
        let stamps: io::Result<Vec<Stamp>> = files.iter().map(|file| Stamp::of(file.as_ref())).collect();
        if let Ok(stamps) = stamps {
            let _ = fs::remove_file(self.note(&stamps));
        }
    }

    /// Where the sha256 of files is remembered: one place for each set of files, whatever they hold at the time.
    fn note(&self, stamps: &[Stamp]) -> PathBuf {
        let places: Vec<String> = stamps.iter().map(|stamp| format!("{} {}\n", stamp.device, stamp.inode)).collect();
        self.root.join(HASHES).join(format!("{}.json", &digest(places.concat().as_bytes())[..32]))
    }

    /// A temporary folder that goes when the value is dropped.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn scratch(&self) -> Result<Scratch, Error> {
        temporary(&self.folder("scratch")?, "run")
    }

    /// Drops the reference transcripts beyond the limit that were not used for longest. What cannot be dropped stays: no run fails
    /// for the sake of tidiness, and another run may have dropped a file first.
    pub fn prune(&self) {
        let Ok(folder) = self.reference() else { return };
        drop_oldest(files_of(&folder).map(|file| (file, Vec::new())).collect(), TRANSCRIPTS_LIMIT);
    }

    /// Drops exact forms that were not used for longest, so that one of so many bytes stays within the limit, and what a run left behind that was killed
    /// while it wrote one. Nothing goes that was used within a day: another run may be at it.
    pub fn make_room_for_exact(&self, bytes: u64) {
        let Ok(folder) = self.exact() else { return };
        let is_idle = |file: &Found| file.modified.elapsed().is_ok_and(|age| age > EXACT_IDLE);
        let (notes, others): (Vec<_>, Vec<_>) =
            files_of(&folder).partition(|file| file.path.extension().is_some_and(|extension| extension == "json"));
        for file in others.into_iter().filter(is_idle) {
            if !file.path.with_extension("json").exists() {
                let _ = fs::remove_file(file.path);
            }
        }
        let with_form = |note: Found| {
            let form = note.path.with_extension("gguf");
            let len = note.len + fs::metadata(&form).map_or(0, |form| form.len());
            (Found { len, ..note }, vec![form])
        };
        let idle = notes.into_iter().filter(is_idle).map(with_form).collect();
        drop_oldest(idle, EXACT_LIMIT.saturating_sub(bytes));
    }
}

/// A file of a folder, the oldest first in order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    modified: SystemTime,
    len: u64,
    path: PathBuf,
}

/// The files of a folder.
fn files_of(folder: &Path) -> impl Iterator<Item = Found> {
    let found = |entry: fs::DirEntry| -> io::Result<Found> {
        let metadata = entry.metadata()?;
        Ok(Found { modified: metadata.modified()?, len: metadata.len(), path: entry.path() })
    };
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(move |entry| found(entry).ok())
}

/// Drops the oldest files, each with those that belong to it and are counted in its length, until at most `limit` bytes are left.
fn drop_oldest(mut files: Vec<(Found, Vec<PathBuf>)>, limit: u64) {
    files.sort();
    let mut total: u64 = files.iter().map(|(file, _)| file.len).sum();
    for (file, with_it) in files {
        if total <= limit {
            break;
        }
        for path in with_it.into_iter().chain([file.path]) {
            let _ = fs::remove_file(path);
        }
        total -= file.len;
    }
}

/// Says once where others can write into the cache: what they leave there is run, and believed.
fn warn_of_others(folder: &Path) {
    static ONCE: Once = Once::new();
    let Ok(metadata) = fs::metadata(folder) else { return };
    let (mode, owner, group) = (metadata.mode(), metadata.uid(), metadata.gid());
    let mine = [0, rustix::process::geteuid().as_raw()].contains(&owner);
    // Many systems give each user a group of their own, of the same number.
    let open = mode & 0o002 != 0 || (mode & 0o020 != 0 && group != owner);
    if !mine || open {
        ONCE.call_once(|| {
            let mut page = Page::of(format_args!(
                "ggauge: others can write into the cache: {} belongs to user {owner} and has mode {:03o}. What they leave there is run, and \
                 believed",
                folder.display(),
                mode & 0o777
            ));
            page.next("", "`chmod go-w` it, or set GGAUGE_CACHE to a folder of your own");
            page.say();
        });
    }
}
