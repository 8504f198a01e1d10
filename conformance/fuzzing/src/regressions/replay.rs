//! Inputs in this process: run on a target, or written as the files that they stand for.

use crate::{
    catalogue, known,
    regressions::{engine::ENDS_WITH_ITS_PARENT, sidecar::no_target},
    statistics, targets,
};
use machine::{Error, files, interrupt, small};
use rustix::process::Resource;
use std::path::{Path, PathBuf};

/// Bytes of addresses that a process may have which replays inputs: more than any of them needs, and less than an absurd claim.
const MOST_ADDRESSES: u64 = 64 << 30;

/// Runs a target on inputs in this process; what happens then is the caller's ending. Known findings are findings here, unless they are
/// to be passed over.
///
/// # Errors
/// Where there is no such target or an input cannot be read.
pub fn replay(target: &str, inputs: &[PathBuf], pass_over_known: bool) -> Result<(), Error> {
    let run = targets::function(target).ok_or_else(|| no_target(target, "take"))?;
    if !pass_over_known {
        known::stop_at_known();
    }
    #[cfg(target_os = "linux")]
    if std::env::var_os(ENDS_WITH_ITS_PARENT).is_some() {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
    // What a machine has, and how much it promises beyond that, must not decide how an input ends; and a dump of a debug build takes longer than
    // the input is given.
    for (resource, most) in [(Resource::As, MOST_ADDRESSES), (Resource::Core, 0)] {
        let mut limit = rustix::process::getrlimit(resource);
        limit.current = Some(limit.maximum.map_or(most, |maximum| maximum.min(most)));
        let _ = rustix::process::setrlimit(resource, limit);
    }
    for input in inputs {
        interrupt::check()?;
        let bytes = small::read(input).map_err(|error| Error::input(input.display(), error, "give a file with an input"))?;
        run(&bytes);
    }
    statistics::write();
    Ok(())
}

/// Writes the files that inputs stand for, so that they can be given to any program, and gives their paths.
///
/// # Errors
/// Where an input cannot be read, a file cannot be written, or a target's inputs stand for no files.
pub fn write_files(target: &str, inputs: &[PathBuf], folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut written = Vec::new();
    for input in inputs {
        let bytes = small::read(input).map_err(|error| Error::input(input.display(), error, "give a file with an input"))?;
        let files = catalogue::target(target).and_then(|target| crate::files(target, &bytes)).ok_or_else(|| {
            Error::input(target, "its inputs stand for no files", "take one of the targets header_*, round_trip and load_*")
        })?;
        let stem = input.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (name, file) in files {
            let path = folder.join(format!("{stem}-{name}"));
            files::write_whole(&path, &file)?;
            written.push(path);
        }
    }
    Ok(written)
}
