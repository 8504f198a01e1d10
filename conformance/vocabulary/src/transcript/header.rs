//! The header of a transcript: the room for it, what may stand in it, and opening a file by it.

use rustix::{fs::OFlags, io::Errno};
use safetensors::tensor::{Metadata, TensorInfo};
use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

/// Space kept for the header, which is written last: a transcript that was cut short has none.
pub(super) const HEADER: usize = 1024;
/// No header is longer; ours take a few hundred bytes.
const LONGEST_HEADER: u64 = 1 << 16;

/// The most bytes that a transcript of all logits of a prompt can have.
pub const fn longest(tokens: u64, vocabulary_size: u64) -> u64 {
    let row = vocabulary_size.saturating_mul(4).saturating_add(8);
    tokens.saturating_mul(row).saturating_add(8 + LONGEST_HEADER)
}

/// The name of what [`annotate`] adds, among a safetensors file's own metadata.
pub(super) const NOTE: &str = "note";

/// Adds a note to a complete transcript, in the room that [`Writer`](super::Writer) leaves in its header. A second note takes the first one's place.
///
/// # Errors
/// Where it is no complete transcript, has no room, or cannot be written.
pub fn annotate(path: &Path, note: &str) -> io::Result<()> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let (file, metadata, data_at) = open(path).map_err(invalid)?;
    drop(file);
    let mut tensors: Vec<(String, TensorInfo)> =
        metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let notes = [(NOTE.to_owned(), note.to_owned())].into_iter().collect();
    let metadata = Metadata::new(Some(notes), tensors).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    let room = data_at as usize - 8;
    if header.len() > room {
        return Err(invalid(format!("a header of {} bytes, where there is room for {room}", header.len())));
    }
    header.resize(room, b' ');
    File::options().write(true).open(path)?.write_all_at(&header, 8)
}

/// Opens a transcript and reads its header; gives where the tensors begin as well.
pub(super) fn open(path: &Path) -> Result<(File, Metadata, u64), String> {
    // A link may lead anywhere, and opening a pipe would wait for its other end. What is open is looked at, and not its name, which
    // may be another file's by then.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(|error| {
        match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => "the transcript is a link, not a regular file".into(),
            _ => format!("the transcript cannot be opened: {error}"),
        }
    })?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("the transcript is not a regular file".into());
    }
    let size = metadata.len();
    let prefix = read(&file, 8, 0)?;
    let header_len = prefix.iter().rev().fold(0u64, |number, &byte| (number << 8) | u64::from(byte));
    if header_len > LONGEST_HEADER {
        return Err(format!("a safetensors header of {header_len} bytes, where {LONGEST_HEADER} is the most"));
    }
    let header = read(&file, header_len, 8)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| format!("not a safetensors header: {error}"))?;
    let data_at = 8 + header_len;
    if data_at.checked_add(metadata.data_len() as u64) != Some(size) {
        let expected = data_at.saturating_add(metadata.data_len() as u64);
        return Err(format!("the transcript is truncated: {size} bytes, where its header speaks of {expected}"));
    }
    Ok((file, metadata, data_at))
}

pub(super) fn read(file: &File, len: u64, at: u64) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, at).map(|()| bytes).map_err(|error| format!("the transcript is truncated: {error}"))
}
