//! Transcripts: the logits of one evaluation, on disk as safetensors.
//!
//! Two tensors: `logits`, F32 of shape `[positions, vocabulary]`, and `positions`, I64 of shape `[positions]`, which says which
//! position of the prompt each row belongs to. Both ends work row by row, so memory does not grow with the prompt, and reads
//! are positioned rather than mapped: a worker that truncates a mapped file would take the harness down with it.

use rustix::{fs::OFlags, io::Errno};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

#[cfg(target_endian = "big")]
compile_error!("transcripts are little-endian and are read and written without conversion");

/// Space kept for the header, which is written last: a transcript that was cut short has none.
const HEADER: usize = 1024;
/// No header is longer; ours take a few hundred bytes.
const LONGEST_HEADER: u64 = 1 << 16;
/// No prompt is longer. A sparse file can claim any number of rows, and their positions are held in memory.
const MOST_ROWS: usize = 1 << 24;

/// The most bytes that a transcript of all logits of a prompt can have.
pub const fn longest(tokens: u64, vocabulary_size: u64) -> u64 {
    let row = vocabulary_size.saturating_mul(4).saturating_add(8);
    tokens.saturating_mul(row).saturating_add(8 + LONGEST_HEADER)
}

/// Writes a transcript, row by row or in parts of rows.
pub struct Writer {
    /// None for rows that nobody wants.
    file: Option<File>,
    path: PathBuf,
    vocabulary_size: usize,
    positions: Vec<i64>,
    written: Vec<usize>,
    /// Of the last row, where rows are not kept.
    likeliest: Option<Likeliest>,
    cpu: Duration,
    clock: fn() -> Duration,
}

/// The likeliest token after a position, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeliest {
    /// The position.
    pub position: usize,
    /// The token; the first of several that are equally likely.
    pub token: u32,
    /// Its logit.
    pub logit: f32,
    /// The next largest logit.
    pub second: f32,
}

impl Writer {
    /// Begins a transcript of rows of `vocabulary_size`; an existing file is replaced. `clock` measures the CPU time of writing.
    ///
    /// # Errors
    /// Where the file cannot be created.
    pub fn create(path: &Path, vocabulary_size: usize, clock: fn() -> Duration) -> io::Result<Self> {
        Ok(Self {
            file: Some(File::create(path)?),
            path: path.into(),
            vocabulary_size,
            positions: Vec::new(),
            written: Vec::new(),
            likeliest: None,
            cpu: Duration::ZERO,
            clock,
        })
    }

    /// Takes rows and keeps of the last one what is likeliest: for prompts that only leave their traces in a session, and for
    /// continuing one.
    pub fn discarding(vocabulary_size: usize) -> Self {
        Self {
            file: None,
            path: PathBuf::new(),
            vocabulary_size,
            positions: Vec::new(),
            written: Vec::new(),
            likeliest: None,
            cpu: Duration::ZERO,
            clock: || Duration::ZERO,
        }
    }

    /// True where the row of every position is wanted, and not only what is likeliest after the last one of a call.
    pub fn wants_every_row(&self) -> bool {
        self.file.is_some()
    }

    /// What is likeliest after the last row, where rows are not kept.
    pub fn likeliest(&self) -> Option<Likeliest> {
        self.likeliest
    }

    /// Adds the row of one position.
    ///
    /// # Errors
    /// Where the row has the wrong length or cannot be written.
    pub fn row(&mut self, position: usize, logits: &[f32]) -> io::Result<()> {
        if logits.len() != self.vocabulary_size {
            let message = format!("a row of {} logits, where the vocabulary has {}", logits.len(), self.vocabulary_size);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.part(position, 0, logits)
    }

    /// Adds the logits of consecutive tokens of one position, the first being `first_token`.
    ///
    /// # Errors
    /// Where they lie outside the vocabulary or cannot be written.
    pub fn part(&mut self, position: usize, first_token: usize, logits: &[f32]) -> io::Result<()> {
        let started = (self.clock)();
        if first_token + logits.len() > self.vocabulary_size {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "logits outside the vocabulary"));
        }
        if self.file.is_none() {
            self.look_at(position, first_token, logits);
            return Ok(());
        }
        // Positions mostly come in order, so the last one is looked at first.
        let row = match self.positions.iter().rposition(|&known| known == position as i64) {
            Some(row) => row,
            None => {
                self.positions.push(position as i64);
                self.written.push(0);
                self.positions.len() - 1
            }
        };
        let at = HEADER + (row * self.vocabulary_size + first_token) * size_of::<f32>();
        self.write_at(bytemuck::cast_slice(logits), at)?;
        self.written[row] += logits.len();
        self.cpu += (self.clock)().saturating_sub(started);
        Ok(())
    }

    fn look_at(&mut self, position: usize, first_token: usize, logits: &[f32]) {
        let nothing = Likeliest { position, token: 0, logit: f32::NEG_INFINITY, second: f32::NEG_INFINITY };
        let mut best = self.likeliest.filter(|likeliest| likeliest.position == position).unwrap_or(nothing);
        for (token, &logit) in (first_token as u32..).zip(logits) {
            if logit > best.logit {
                best = Likeliest { token, logit, second: best.logit, ..best };
            } else if logit > best.second {
                best.second = logit;
            }
        }
        self.likeliest = Some(best);
    }

    /// Writes the header, which makes the transcript complete; gives the CPU time spent on the file.
    ///
    /// # Errors
    /// Where a row is incomplete or the file cannot be written.
    pub fn finish(mut self) -> io::Result<Duration> {
        let started = (self.clock)();
        if self.written.iter().any(|&count| count != self.vocabulary_size) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a row of the transcript is incomplete"));
        }
        let rows = self.positions.len();
        let logits_bytes = rows * self.vocabulary_size * size_of::<f32>();
        let positions: Vec<u8> = self.positions.iter().flat_map(|position| position.to_le_bytes()).collect();
        self.write_at(&positions, HEADER + logits_bytes)?;
        let tensor = |dtype, shape, start, end| TensorInfo { dtype, shape, data_offsets: (start, end) };
        let tensors = vec![
            ("logits".to_owned(), tensor(Dtype::F32, vec![rows, self.vocabulary_size], 0, logits_bytes)),
            ("positions".to_owned(), tensor(Dtype::I64, vec![rows], logits_bytes, logits_bytes + positions.len())),
        ];
        let metadata = Metadata::new(None, tensors).map_err(io::Error::other)?;
        let mut header = serde_json::to_vec(&metadata)?;
        header.resize(HEADER - 8, b' ');
        let mut prefix = (header.len() as u64).to_le_bytes().to_vec();
        prefix.append(&mut header);
        self.write_at(&prefix, 0)?;
        self.cpu += (self.clock)().saturating_sub(started);
        Ok(self.cpu)
    }

    fn write_at(&self, bytes: &[u8], at: usize) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write_all_at(bytes, at as u64)
            .map_err(|error| io::Error::new(error.kind(), format!("failed to write {}: {error}", self.path.display())))
    }
}

/// The name of what [`annotate`] adds, among a safetensors file's own metadata.
const NOTE: &str = "note";

/// Adds a note to a complete transcript, in the room that [`Writer`] leaves in its header. A second note takes the first one's place.
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
fn open(path: &Path) -> Result<(File, Metadata, u64), String> {
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

fn read(file: &File, len: u64, at: u64) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, at).map(|()| bytes).map_err(|error| format!("the transcript is truncated: {error}"))
}

/// A complete transcript, read by row. The file stays open: what becomes of its name changes nothing.
#[derive(Debug)]
pub struct Reader {
    file: File,
    positions: Vec<u64>,
    vocabulary_size: usize,
    logits_at: u64,
    data_at: u64,
    len: u64,
    note: Option<String>,
}

impl Reader {
    /// Opens a transcript and checks that it is whole: header, shapes, and every byte they speak of.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn open(path: &Path) -> Result<Self, String> {
        let (file, metadata, data_at) = open(path)?;
        let len = data_at + metadata.data_len() as u64;
        let tensor = |name: &str, dtype| match metadata.info(name) {
            Some(info) if info.dtype == dtype => Ok(info),
            Some(info) => Err(format!("tensor `{name}` is {:?}, not {dtype:?}", info.dtype)),
            None => Err(format!("tensor `{name}` is missing")),
        };
        let (logits, positions) = (tensor("logits", Dtype::F32)?, tensor("positions", Dtype::I64)?);
        let (&[rows, vocabulary_size], &[position_rows]) = (logits.shape.as_slice(), positions.shape.as_slice()) else {
            return Err(format!("shapes {:?} and {:?}, not [n, vocabulary] and [n]", logits.shape, positions.shape));
        };
        if rows > MOST_ROWS {
            return Err(format!("{rows} rows, where {MOST_ROWS} is the most"));
        }
        if rows != position_rows {
            return Err(format!("{rows} rows of logits, but {position_rows} positions"));
        }
        let bytes = read(&file, (rows * 8) as u64, data_at + positions.data_offsets.0 as u64)?;
        let positions = bytes.as_chunks::<8>().0.iter().map(|&number| {
            let number = i64::from_le_bytes(number);
            u64::try_from(number).map_err(|_| format!("position {number} is negative"))
        });
        let positions = positions.collect::<Result<_, _>>()?;
        let logits_at = data_at + logits.data_offsets.0 as u64;
        let note = metadata.metadata().as_ref().and_then(|notes| notes.get(NOTE)).cloned();
        Ok(Self { file, positions, vocabulary_size, logits_at, data_at, len, note })
    }

    /// The prompt position of each row.
    pub fn positions(&self) -> &[u64] {
        &self.positions
    }

    /// Number of logits in a row.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// What [`annotate`] added.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Size of the file when it was opened, in bytes: its header speaks of no more.
    pub fn file_size(&self) -> u64 {
        self.len
    }

    /// Gives every byte behind the header to `take`, in order and in pieces: what a checksum is made of. An error of `take` ends it.
    ///
    /// # Errors
    /// That of `take`, and where the file cannot be read or has shrunk since it was opened.
    pub fn each_piece(&self, take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.each_piece_from(self.data_at, take)
    }

    /// Gives every byte of the file to `take`, as [`Reader::each_piece`]; what was added since it was opened is no part of it.
    ///
    /// # Errors
    /// As [`Reader::each_piece`].
    pub fn each_piece_of_file(&self, take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.each_piece_from(0, take)
    }

    fn each_piece_from(&self, start: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut piece = vec![0; (self.len - start).min(1 << 20) as usize];
        let mut at = start;
        while at < self.len {
            piece.truncate((self.len - at).min(1 << 20) as usize);
            self.file.read_exact_at(&mut piece, at)?;
            take(&piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Reads a row into `row`.
    ///
    /// # Errors
    /// Where the file has shrunk since it was opened.
    pub fn read_row(&self, index: usize, row: &mut Vec<f32>) -> io::Result<()> {
        row.resize(self.vocabulary_size, 0.0);
        let at = self.logits_at + (index * self.vocabulary_size * size_of::<f32>()) as u64;
        self.file.read_exact_at(bytemuck::cast_slice_mut(row), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_clock() -> Duration {
        Duration::ZERO
    }

    #[test]
    fn rows_come_back_by_position() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let mut writer = Writer::create(&path, 3, no_clock).unwrap();
        writer.row(4, &[1.0, 2.0, 3.0]).unwrap();
        writer.part(2, 0, &[4.0]).unwrap();
        writer.part(2, 1, &[5.0, f32::NAN]).unwrap();
        writer.finish().unwrap();
        let reader = Reader::open(&path).unwrap();
        assert_eq!((reader.positions(), reader.vocabulary_size()), ([4, 2].as_slice(), 3));
        let mut row = Vec::new();
        reader.read_row(1, &mut row).unwrap();
        assert!(row[0] == 4.0 && row[1] == 5.0 && row[2].is_nan());
    }

    #[test]
    fn a_cut_transcript_is_refused_at_every_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let mut writer = Writer::create(&path, 2, no_clock).unwrap();
        writer.row(0, &[1.0, 2.0]).unwrap();
        writer.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(safetensors::SafeTensors::deserialize(&whole).is_ok(), "other readers must be able to read it");
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(Reader::open(&path).is_err(), "{len} bytes were accepted");
        }
    }

    #[test]
    fn of_rows_that_are_not_kept_the_last_ones_likeliest_token_is() {
        let mut writer = Writer::discarding(4);
        assert_eq!(writer.likeliest(), None);
        writer.row(7, &[9.0, 1.0, 2.0, 3.0]).unwrap();
        writer.part(8, 0, &[1.0, 5.0]).unwrap();
        writer.part(8, 2, &[5.0, f32::NAN]).unwrap();
        assert_eq!(writer.likeliest(), Some(Likeliest { position: 8, token: 1, logit: 5.0, second: 5.0 }));
        assert!(writer.row(9, &[0.0; 5]).is_err());
    }

    #[test]
    fn a_note_changes_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let mut writer = Writer::create(&path, 2, no_clock).unwrap();
        writer.row(0, &[1.0, 2.0]).unwrap();
        writer.finish().unwrap();
        let pieces = || {
            let mut bytes = Vec::new();
            let take = |piece: &[u8]| -> io::Result<()> {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            Reader::open(&path).unwrap().each_piece(take).unwrap();
            bytes
        };
        let before = pieces();
        assert_eq!((before.len(), Reader::open(&path).unwrap().note()), (2 * 4 + 8, None));
        annotate(&path, "first").unwrap();
        annotate(&path, "second \"quoted\"").unwrap();
        let reader = Reader::open(&path).unwrap();
        assert_eq!(
            (reader.note(), reader.positions(), reader.vocabulary_size()),
            (Some("second \"quoted\""), [0].as_slice(), 2)
        );
        assert_eq!(pieces(), before);
        assert!(
            safetensors::SafeTensors::deserialize(&std::fs::read(&path).unwrap()).is_ok(),
            "other readers must be able to read it"
        );
        assert!(annotate(&path, &"long".repeat(1000)).is_err(), "there is no room for it");
        assert_eq!(pieces(), before);
    }

    /// Whoever wrote it may write on.
    #[test]
    fn a_transcript_is_what_it_was_when_it_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let mut writer = Writer::create(&path, 2, no_clock).unwrap();
        writer.row(0, &[1.0, 2.0]).unwrap();
        writer.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let reader = Reader::open(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let pieces = || {
            let mut bytes = Vec::new();
            let take = |piece: &[u8]| -> io::Result<()> {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            reader.each_piece_of_file(take).map(|()| bytes)
        };
        file.set_len(64 << 30).unwrap();
        assert_eq!(pieces().unwrap(), whole);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(pieces().unwrap(), whole);
        file.set_len(whole.len() as u64 - 1).unwrap();
        assert_eq!(pieces().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, path) = (folder.path().join("whole"), folder.path().join("t.safetensors"));
        let mut writer = Writer::create(&whole, 2, no_clock).unwrap();
        writer.row(0, &[1.0, 2.0]).unwrap();
        writer.finish().unwrap();
        for target in [Path::new("/dev/zero"), &whole] {
            std::os::unix::fs::symlink(target, &path).unwrap();
            assert_eq!(Reader::open(&path).unwrap_err(), "the transcript is a link, not a regular file");
            std::fs::remove_file(&path).unwrap();
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(Reader::open(&path).unwrap_err(), "the transcript is not a regular file");
        assert_eq!(Reader::open(folder.path()).unwrap_err(), "the transcript is not a regular file");
        assert!(Reader::open(&folder.path().join("none")).unwrap_err().starts_with("the transcript cannot be opened"));
    }

    #[test]
    fn an_unfinished_transcript_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let mut writer = Writer::create(&path, 2, no_clock).unwrap();
        writer.row(0, &[1.0, 2.0]).unwrap();
        drop(writer);
        assert!(Reader::open(&path).is_err());
        let mut writer = Writer::create(&path, 2, no_clock).unwrap();
        writer.part(0, 0, &[1.0]).unwrap();
        assert!(writer.finish().is_err(), "half a row");
    }
}
