//! Where ggauge keeps what it can make again: models, reference transcripts, scratch files, and the last Records.

use crate::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};
use tempfile::TempDir;

/// Reference transcripts beyond this many bytes are dropped, the least recently used first.
const TRANSCRIPTS_LIMIT: u64 = 4 << 30;

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
        fs::create_dir_all(&path).map_err(|error| Error::file(&path, &error))?;
        Ok(path)
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

    /// A temporary folder that goes when the value is dropped.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn scratch(&self) -> Result<TempDir, Error> {
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

/// A temporary folder in `parent`, named after this process. Those of processes that were killed before they could tidy up are
/// removed on the way.
///
/// # Errors
/// Where the folder cannot be made.
pub fn temporary(parent: &Path, what: &str) -> Result<TempDir, Error> {
    let prefix = format!("{what}-");
    let alive = |process: &str| !Path::new("/proc/self").exists() || Path::new("/proc").join(process).exists();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(&prefix).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| process.chars().all(|c| c.is_ascii_digit()) && !alive(process)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let own = format!("{prefix}{}-", std::process::id());
    tempfile::Builder::new().prefix(&own).tempdir_in(parent).map_err(|error| Error::file(parent, &error))
}

/// What tells, without reading it, that a file is no longer the one that it was: another file of this name, or other bytes in it.
/// A link counts as the file that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where there is no such file.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
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

/// The sha256 of a file, in hexadecimal.
///
/// # Errors
/// Where the file cannot be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            len => hash.update(&buffer[..len]),
        }
    }
}

/// True where the file is there and has this size and sha256.
pub fn holds(path: &Path, bytes: u64, sha256_of_it: &str) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == bytes) && sha256(path).is_ok_and(|found| found == sha256_of_it)
}

/// The sha256 of bytes, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file so that it is whole or not there: to a temporary file beside it, then renamed.
///
/// # Errors
/// Where it cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut file, bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| Error::file(path, &error))
}
