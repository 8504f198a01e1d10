//! Files as a whole: written so that they are whole or not there, hashed, and told apart without being read.

use crate::{Error, interrupt};
use indicatif::{HumanBytes, ProgressBar};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    time::{Duration, SystemTime},
};

/// MiB that are hashed before anybody is told: what takes no time needs no words.
const STEPS_UNTIL_SAID: u32 = 64;

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
pub(crate) struct Hashed {
    pub(crate) stamps: Vec<Stamp>,
    pub(crate) sha256: String,
    /// Of all that stands above. Runtimes are blamed by what is found under the sha256, and it is not looked at again.
    crc32: u32,
}

impl Hashed {
    pub(crate) fn of(stamps: Vec<Stamp>, sha256: String) -> Self {
        let crc32 = crc32fast::hash(&serde_json::to_vec(&(&stamps, &sha256)).unwrap_or_default());
        Self { stamps, sha256, crc32 }
    }

    pub(crate) fn is_whole(&self) -> bool {
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

/// True where the file is there and has this size and, as `hash` finds it, this sha256.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn holds(path: &Path, bytes: u64, sha256: &str, hash: impl FnOnce(&Path) -> Result<String, Error>) -> Result<bool, Error> {
    if !fs::metadata(path).is_ok_and(|metadata| metadata.len() == bytes) {
        return Ok(false);
    }
    match hash(path) {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        found => Ok(found.is_ok_and(|found| found == sha256)),
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
