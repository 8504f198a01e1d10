//! Temporary folders: gone with the value that stands for them, and with the next that is made where a process was killed.

use crate::{Error, interrupt, lock};
use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};
use tempfile::TempDir;

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
    let lock = lock::open(&folder.join(ALIVE), false);
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
