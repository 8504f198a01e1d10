//! What only one process does at a time: a lock of the file system, which ends with its process, wherever that is.

use crate::{Error, interrupt};
use printable::Page;
use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

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
    let lock = if path.is_dir() { File::open(path) } else { open(path, true) }.map_err(failed)?;
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

/// Opens a file to lock it. A link is not followed: its name is known beforehand.
pub(crate) fn open(path: &Path, create: bool) -> io::Result<File> {
    let opened = |write: bool| {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        File::options().read(true).write(write).create(write && create).custom_flags(flags).open(path)
    };
    // Another user's lock can be held by whoever may read it.
    opened(true).or_else(|error| if error.kind() == io::ErrorKind::PermissionDenied { opened(false) } else { Err(error) })
}
