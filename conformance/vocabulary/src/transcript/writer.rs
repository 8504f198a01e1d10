//! Writing a transcript.

use super::header::HEADER;
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

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
