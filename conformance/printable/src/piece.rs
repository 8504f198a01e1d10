//! A part of a line, fit to be printed.

use crate::words::{cut, line, no_command};
use std::fmt::Display;

/// Characters of a cell in a table.
const LONGEST_CELL: usize = 400;

/// A part of a line that is fit to be printed, our own colours included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece(String);

impl Piece {
    /// Words on one line.
    pub fn new(words: impl Display) -> Self {
        Self(no_command(line(&cut(&words.to_string(), LONGEST_CELL))))
    }

    /// Words in a colour.
    pub fn painted(words: &str, paint: impl FnOnce(console::StyledObject<String>) -> console::StyledObject<String>) -> Self {
        Self(paint(console::style(line(words)).force_styling(true)).to_string())
    }

    /// Pieces with a comma between them.
    pub fn list(pieces: &[Self]) -> Self {
        Self(pieces.iter().map(Self::as_str).collect::<Vec<_>>().join(", "))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This piece, and words behind it.
    #[must_use]
    pub fn and(self, words: impl Display) -> Self {
        Self(self.0 + &Self::new(words).0)
    }
}

impl<T: Display> From<T> for Piece {
    fn from(words: T) -> Self {
        Self::new(words)
    }
}
