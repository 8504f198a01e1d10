//! Where ggauge keeps what it can make again: models, reference transcripts, scratch files, and the last Records.
//!
//! Several runs, users and containers may have one cache. What they make at the same time has a random name until it is whole, and is then renamed;
//! what only one of them may do at a time is done under a lock of the file system, which ends with its process, wherever that is.

use crate::{Error, interrupt, small};
use indicatif::{HumanBytes, ProgressBar};
use printable::Page;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Once,
    thread,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

/// Reference transcripts beyond this many bytes are dropped, the least recently used first.
const TRANSCRIPTS_LIMIT: u64 = 4 << 30;
/// The folder of what is remembered of files that were hashed.
const HASHES: &str = "hashes";
/// MiB that are hashed before anybody is told: what takes no time needs no words.
const STEPS_UNTIL_SAID: u32 = 64;

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
        self.folder("models")
    }

    /// Reference transcripts and noise scales.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn reference(&self) -> Result<PathBuf, Error> {
        self.folder("reference")
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
        let Ok(entries) =
            self.reference().and_then(|folder| fs::read_dir(&folder).map_err(|error| Error::file(folder, &error)))
        else {
            return;
        };
        let of = |entry: fs::DirEntry| -> io::Result<(SystemTime, u64, PathBuf)> {
            let metadata = entry.metadata()?;
            Ok((metadata.modified()?, metadata.len(), entry.path()))
        };
        let mut files: Vec<_> = entries.flatten().filter_map(|entry| of(entry).ok()).collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if total <= TRANSCRIPTS_LIMIT {
                break;
            }
            let _ = fs::remove_file(path);
            total -= len;
        }
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

/// A temporary folder that goes when the value is dropped, with all that is in it. Until then nobody takes it for one that was left behind.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    /// Held as long as the process lives. It knows nothing of processes: one container does not see those of another.
    _alive: File,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The file in a temporary folder that its owner holds a lock on.
const ALIVE: &str = "alive";
/// A folder without that file was made by a process that ended at once, or by an older ggauge; or it was made just now.
const ABANDONED: Duration = Duration::from_hours(24);

/// A temporary folder in `parent`. Those of processes that were killed before they could tidy up are removed on the way.
///
/// # Errors
/// Where the folder cannot be made.
pub fn temporary(parent: &Path, what: &str) -> Result<Scratch, Error> {
    let prefix = format!("{what}-");
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && entry.file_name().to_string_lossy().starts_with(&prefix) {
            remove_abandoned(&entry.path());
        }
    }
    let make = || -> io::Result<Scratch> {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(&prefix).permissions(private).tempdir_in(parent)?;
        interrupt::removes(folder.path().into());
        // Locked before it has its name, so that nobody finds it without a lock. A file system without locks has nobody who finds it.
        let lock = folder.path().join("lock");
        let alive = File::create_new(&lock)?;
        let _ = alive.try_lock();
        fs::rename(&lock, folder.path().join(ALIVE))?;
        Ok(Scratch { folder, _alive: alive })
    };
    make().map_err(|error| Error::file(parent, &error))
}

fn remove_abandoned(folder: &Path) {
    let lock = open_lock(&folder.join(ALIVE), false);
    let abandoned = match &lock {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let age = fs::metadata(folder).and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
            age.is_ok_and(|age| age.is_ok_and(|age| age > ABANDONED))
        }
        Err(_) => false,
    };
    if abandoned {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Opens a file to lock it. A link is not followed: its name is known beforehand.
fn open_lock(path: &Path, create: bool) -> io::Result<File> {
    let open = |write: bool| {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        File::options().read(true).write(write).create(write && create).custom_flags(flags).open(path)
    };
    // Another user's lock can be held by whoever may read it.
    open(true).or_else(|error| if error.kind() == io::ErrorKind::PermissionDenied { open(false) } else { Err(error) })
}

/// Who waits longer is told for what.
const SILENCE: Duration = Duration::from_secs(1);

/// What nobody else does at the same time; until it is dropped.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "the lock goes with it")] File);

/// Waits until nobody else holds the lock at `path`, a file that is made where it is missing, or a folder.
///
/// # Errors
/// Where it cannot be locked, and where the user interrupted.
pub fn alone(path: &Path) -> Result<Alone, Error> {
    let failed = |error: io::Error| Error::file(path, &error);
    let lock = if path.is_dir() { File::open(path) } else { open_lock(path, true) }.map_err(failed)?;
    let begun = Instant::now();
    let mut said = false;
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => interrupt::check()?,
            // On a file system without locks nobody can be kept waiting.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(Alone(lock)),
        }
        if !said && begun.elapsed() > SILENCE {
            Page::of(format_args!("ggauge: waiting for another ggauge, which has locked {}", path.display())).say();
            said = true;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What tells, without reading it, that a file is no longer the one that it was: another file of this name, or other bytes in it.
/// A link counts as the file that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The file system.
    pub device: u64,
    /// The file's number there.
    pub inode: u64,
    /// Its size.
    pub size: u64,
    /// When its bytes were last written, in seconds since 1970 and nanoseconds.
    pub modified: (i64, i64),
    /// When anything about it last changed. Unlike `modified`, no program can set it back.
    pub changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the file at a path, as it is now.
    ///
    /// # Errors
    /// Where there is no such file, and where it cannot be opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        // Opening a pipe waits for its other end otherwise.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        // Somebody's shared mapping leaves no trace while the page that it writes to is dirty already. Once that is written out, the next write sets
        // the times. What cannot be written out, on a file system without a disk, stays as it is.
        let _ = file.sync_data();
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    /// As [`Stamp::of`], of a file that only programs write to that we started. That saves milliseconds, which is what a tiny model takes.
    ///
    /// # Errors
    /// Where there is no such file.
    pub fn of_ours(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }

    /// True where nothing but the times is another.
    pub fn differs_in_times_only(&self, other: &Self) -> bool {
        Self { modified: self.modified, changed: self.changed, ..*other } == *self
    }

    /// True where a change after `now` would show. File systems count time in ticks, and what is written within the tick of an earlier
    /// change leaves the same stamp (git's index has the same trouble, and calls it racy).
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        [self.modified, self.changed].into_iter().all(|(seconds, nanoseconds)| {
            // Some count in whole seconds, or in two of them.
            let tick = if nanoseconds == 0 { Duration::from_secs(3) } else { Duration::from_millis(100) };
            let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else { return false };
            Duration::new(seconds, nanoseconds).saturating_add(tick) < now
        })
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What is remembered of files that were hashed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hashed {
    stamps: Vec<Stamp>,
    sha256: String,
    /// Of all that stands above. Runtimes are blamed by what is found under the sha256, and it is not looked at again.
    crc32: u32,
}

impl Hashed {
    fn of(stamps: Vec<Stamp>, sha256: String) -> Self {
        let crc32 = crc32fast::hash(&serde_json::to_vec(&(&stamps, &sha256)).unwrap_or_default());
        Self { stamps, sha256, crc32 }
    }

    fn is_whole(&self) -> bool {
        let is_sha256 = self.sha256.len() == 64 && self.sha256.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        is_sha256 && Self::of(self.stamps.clone(), self.sha256.clone()).crc32 == self.crc32
    }
}

/// The sha256 of a file, in hexadecimal. Ends early where the user asks to stop.
///
/// # Errors
/// Where the file cannot be read, and [`Error::Interrupted`].
pub fn sha256(path: &Path) -> Result<String, Error> {
    sha256_of(&[path], &ProgressBar::hidden())
}

/// The sha256 of files one behind the other, in hexadecimal: what `cat FILES | sha256sum` prints. Says how far it is, and ends early where
/// the user asks to stop.
///
/// # Errors
/// Where a file cannot be read, and [`Error::Interrupted`].
pub fn sha256_of(paths: &[impl AsRef<Path>], progress: &ProgressBar) -> Result<String, Error> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut steps = 0u32;
    for path in paths.iter().map(AsRef::as_ref) {
        let failed = |error: io::Error| Error::file(path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let total = file.metadata().map_err(failed)?.len();
        let mut done = 0;
        loop {
            interrupt::check()?;
            let len = file.read(&mut buffer).map_err(failed)?;
            if len == 0 {
                break;
            }
            hash.update(&buffer[..len]);
            done += len as u64;
            steps += 1;
            if steps.is_multiple_of(STEPS_UNTIL_SAID) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                progress.set_message(format!(
                    "hashing {}: {} of {}",
                    printable::line(&name),
                    HumanBytes(done),
                    HumanBytes(total)
                ));
            }
        }
    }
    Ok(printable::hex(&hash.finalize()))
}

/// True where the file is there and has this size and sha256.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn holds(path: &Path, bytes: u64, sha256_of_it: &str) -> Result<bool, Error> {
    if !fs::metadata(path).is_ok_and(|metadata| metadata.len() == bytes) {
        return Ok(false);
    }
    match sha256(path) {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        found => Ok(found.is_ok_and(|found| found == sha256_of_it)),
    }
}

/// The sha256 of bytes, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    printable::hex(&Sha256::digest(bytes))
}

/// Writes a file so that it is whole or not there: to a temporary file beside it, then renamed.
///
/// # Errors
/// Where it cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = beside(folder)?;
        io::Write::write_all(&mut file, bytes)?;
        if let Ok(old) = fs::symlink_metadata(path)
            && old.is_file()
        {
            file.as_file().set_permissions(old.permissions())?;
        }
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| Error::file(path, &error))
}

/// A file of a random name in a folder, to be renamed there. Whoever may read what the user writes may read it.
///
/// # Errors
/// Where it cannot be made.
pub fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

/// Moves a file to where it stays, or copies it there where that is another disk: whole or not at all, either way.
///
/// # Errors
/// Where it cannot be moved.
pub fn adopt(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let mut file = beside(to.parent().unwrap_or(Path::new(".")))?;
            io::copy(&mut File::open(from)?, &mut file)?;
            file.persist(to)?;
            fs::remove_file(from)
        }
        other => other,
    }
}
