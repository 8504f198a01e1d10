//! Reading a transcript that is complete.

use super::header::{NOTE, open, read};
use safetensors::Dtype;
use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// No prompt is longer. A sparse file can claim any number of rows, and their positions are held in memory.
const MOST_ROWS: usize = 1 << 24;

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

    /// What [`annotate`](super::annotate) added.
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
