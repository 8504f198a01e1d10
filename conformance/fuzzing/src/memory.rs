//! Files that are in memory alone, for functions that want a path.

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::{
    cell::RefCell,
    ffi::CString,
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    os::fd::AsRawFd,
    path::PathBuf,
};

thread_local! {
    /// The files of this thread, used again for every input: making one costs more than reading a header.
    static FILES: RefCell<Vec<File>> = const { RefCell::new(Vec::new()) };
}

/// Puts `bytes` into the file number `slot` of this thread, and gives its path, which is good until the next call with that number.
///
/// # Panics
/// Where the system gives no such file: there is nothing to fuzz with then.
pub(crate) fn file(slot: usize, bytes: &[u8]) -> PathBuf {
    let write = || -> io::Result<PathBuf> {
        FILES.with_borrow_mut(|files| {
            while files.len() <= slot {
                files.push(File::from(memfd_create("fuzzing", MemfdFlags::CLOEXEC)?));
            }
            let file = files.get_mut(slot).ok_or(io::ErrorKind::NotFound)?;
            ftruncate(&*file, 0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(bytes)?;
            // By this path it is opened anew each time, with a position of its own.
            Ok(format!("/proc/self/fd/{}", file.as_raw_fd()).into())
        })
    };
    write().unwrap_or_else(|error| panic!("failed to put {} bytes into a file in memory: {error}", bytes.len()))
}

/// The same path as C takes it.
pub(crate) fn c_path(slot: usize, bytes: &[u8]) -> CString {
    let path = file(slot, bytes);
    CString::new(path.into_os_string().into_encoded_bytes()).unwrap_or_default()
}
