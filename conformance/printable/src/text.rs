//! Bytes that are meant to be a text.

use crate::words::{hex, line, no_command};
use serde::{Serialize, Serializer};
use std::fmt;

/// Characters of a key or a tensor's name in a table. The specification allows names of 64 bytes.
const LONGEST_NAME: usize = 64;

/// Bytes of a file that are meant to be a text: they need not be UTF-8. Displays with everything escaped that is not printable;
/// serialises as a text, or where it is none as `{"hex": "ff61"}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// These bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(bytes.as_ref().into())
    }

    /// The text where it is one.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The escaped text for a table.
    pub fn cut(&self) -> String {
        let escaped = no_command(self.to_string());
        match escaped.char_indices().nth(LONGEST_NAME) {
            Some((end, _)) => format!("{}...", &escaped[..end]),
            None => escaped,
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            // So that nobody takes what the file has for an escape of ours.
            f.write_str(&line(&chunk.valid().replace('\\', r"\\")))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_map([("hex", hex(&self.0))]),
        }
    }
}
