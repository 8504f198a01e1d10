//! Files mapped into memory: the one place in this crate that needs `unsafe`.

use gguf::ShardName;
use std::{
    fs::File,
    io,
    ops::Deref,
    path::{Path, PathBuf},
};

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub struct MappedFile(memmap2::Mmap);

impl MappedFile {
    /// Maps a regular file.
    ///
    /// # Errors
    /// Where it cannot be opened or mapped, or is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Looked at before it is opened: opening a pipe would wait for its other end.
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        if metadata.len() == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty"));
        }
        let file = File::open(path)?;
        #[expect(
            unsafe_code,
            reason = "a mapping is only sound while nobody shortens the file, and model files are not written to while they \
                      are tested; where it happens all the same, the process ends by SIGBUS"
        )]
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(map))
    }
}

/// The files of the model of which a path names the first: one, or where its name and its keys are those of a split model, all that lie
/// beside it.
///
/// # Errors
/// As [`MappedFile::open`], with the path that it is about.
pub fn map_model(path: &Path) -> Result<Vec<(PathBuf, MappedFile)>, (PathBuf, io::Error)> {
    let open = |path: PathBuf| match MappedFile::open(&path) {
        Ok(mapped) => Ok((path, mapped)),
        Err(error) => Err((path, error)),
    };
    let first = open(path.to_owned())?;
    let name = path.file_name().and_then(|name| ShardName::parse(name.to_str()?));
    let Some(name) = name.filter(|name| name.number == 1 && name.count > 1) else { return Ok(vec![first]) };
    // A whole model may have such a name as well.
    let place = gguf::File::lenient(&first.1).ok().and_then(|file| file.place_in_split());
    if place.is_none_or(|(_, count)| count < 2) {
        return Ok(vec![first]);
    }
    let others = name.siblings().skip(1).map(|sibling| open(path.with_file_name(sibling)));
    std::iter::once(Ok(first)).chain(others).collect()
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
