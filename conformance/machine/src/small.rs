//! Small files that users or others give, read as a whole: Records, expectations, goldens, inputs. A name can lead to a device that never ends or to
//! a pipe that nobody writes to, and then neither memory nor patience is enough; so only regular files are read, and none that is large.

use indicatif::HumanBytes;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// No file is read that has more. The Record of the matrix, the largest that ggauge writes, has some 40 MB.
const MOST: u64 = 256 << 20;

/// The bytes of a regular file, or of the one that a link leads to.
///
/// # Errors
/// Where it cannot be read, is something else than a regular file, or is too large.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, MOST)
}

/// The text of such a file.
///
/// # Errors
/// As [`read`], and where it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe waits for its other end otherwise. Of a regular file it changes nothing.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {}", HumanBytes(most)));
    if metadata.len() > most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may grow meanwhile, and what a kernel makes up has no size at all.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::fs;

    #[test]
    fn only_small_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (folder.path().join("file"), folder.path().join("link"), folder.path().join("pipe"));
        fs::write(&file, "words").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!((read_text(&file).unwrap(), read(&link).unwrap()), ("words".into(), b"words".to_vec()));
        let words = |path: &Path, most| read_at_most(path, most).unwrap_err().to_string();
        assert_eq!(words(&pipe, MOST), "it is not a regular file");
        assert_eq!(words(Path::new("/dev/zero"), MOST), "it is not a regular file");
        assert_eq!(words(folder.path(), MOST), "it is a directory");
        assert_eq!(read_at_most(&file, 5).unwrap(), b"words");
        assert_eq!(words(&file, 4), "it has more than 4 B");
        // It says that it has no bytes.
        #[cfg(target_os = "linux")]
        assert_eq!(words(Path::new("/proc/self/maps"), 4), "it has more than 4 B");
        assert_eq!(read(&folder.path().join("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(&file, [0xff]).unwrap();
        assert_eq!(read_text(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
