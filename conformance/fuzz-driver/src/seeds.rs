//! Writes seeds: those that are made from code into `corpora/seeds`, and the shrunk headers of real vocabularies into the cache: they are other
//! people's, and stay out of the repository.

use crate::{
    desk::Desk,
    state,
    words::{failed, print, say},
};
use anyhow::Context;
use fuzzing::seeds;
use printable::Page;
use std::{
    fs,
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

/// Writes the committed seeds anew.
///
/// # Errors
/// Where they cannot be written.
pub(crate) fn of_code(desk: &Desk) -> anyhow::Result<()> {
    let folder = desk.root.join("corpora/seeds");
    let seeds = seeds::all();
    let mut total = 0;
    for ((target, name), bytes) in &seeds {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)?;
        total += bytes.len();
    }
    print(&Page::of(format_args!("{} seeds of {total} bytes in {}", seeds.len(), folder.display())))
}

/// Makes seeds of the vocabularies that `ggauge fetch` got, where they are not there yet.
///
/// # Errors
/// Where a vocabulary cannot be read, or seeds cannot be written.
pub(crate) fn of_vocabularies(desk: &Desk) -> anyhow::Result<()> {
    let folder = desk.state.folder().join("vocabularies");
    let vocabularies: Vec<PathBuf> = files(&desk.cache.join("tokenizers"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .collect();
    if vocabularies.is_empty() {
        say("without the seeds of real vocabularies: `scripts/ggauge fetch` gets them");
        return Ok(());
    }
    if files(&folder).len() == vocabularies.len() {
        return Ok(());
    }
    let partial = desk.state.folder().join("vocabularies.partial");
    state::remove(&folder)?;
    state::remove(&partial)?;
    fs::create_dir_all(&partial)?;
    for path in &vocabularies {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let seed =
            seeds::shrunk(&bytes).ok_or_else(|| failed(format!("{} is no GGUF file that can be read", path.display())))?;
        fs::write(partial.join(path.file_stem().unwrap_or_default()), seed)?;
    }
    fs::rename(&partial, &folder)?;
    say(format!("{} seeds of vocabularies in {}", vocabularies.len(), folder.display()));
    Ok(())
}

/// Every file below a folder, in order; none where there is no folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}
