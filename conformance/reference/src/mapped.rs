//! A file mapped into memory: the one place in this crate that needs `unsafe`.

use std::{fs::File, io, ops::Deref, path::Path};

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub struct MappedFile(memmap2::Mmap);

impl MappedFile {
    /// Maps a regular file.
    ///
    /// # Errors
    /// Where it cannot be opened or mapped, or is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        if metadata.len() == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty"));
        }
        #[expect(
            unsafe_code,
            reason = "a mapping is only sound while nobody shortens the file; model files are not written to while they are \
                      tested, and the reference runs in a worker of its own, so that a SIGBUS ends that worker alone"
        )]
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
