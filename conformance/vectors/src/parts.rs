//! The bytes of a vector as a list of parts that people and programs can read: text where it is text, runs as runs.

use crate::VectorFile;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Part {
    /// ASCII text, as its own bytes.
    Text(String),
    /// Bytes in hexadecimal digits.
    Hex(String),
    /// So many bytes of 0. Long ones are best written as a hole.
    Zeros(u64),
    /// The same bytes, given in hexadecimal digits, so many times.
    Repeat(String, u64),
}

/// Shortest run that is worth a part of its own.
const RUN: usize = 12;
/// Shortest text that is worth a part of its own.
const TEXT: usize = 4;

impl Part {
    /// Its length, in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Hex(digits) => digits.len() as u64 / 2,
            Self::Zeros(len) => *len,
            Self::Repeat(digits, times) => (digits.len() as u64 / 2).saturating_mul(*times),
        }
    }

    /// True when it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the part's bytes. Long runs of zeros are better left out, as a hole.
    ///
    /// # Errors
    /// Where `out` fails, or the digits are none.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Text(text) => out.write_all(text.as_bytes()),
            Self::Hex(digits) => out.write_all(&from_hex(digits)?),
            Self::Repeat(digits, times) => {
                let bytes = from_hex(digits)?;
                (0..*times).try_for_each(|_| out.write_all(&bytes))
            }
            Self::Zeros(len) => io::copy(&mut io::repeat(0).take(*len), out).map(drop),
        }
    }
}

fn from_hex(digits: &str) -> io::Result<Vec<u8>> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("`{digits}` is not hexadecimal")));
    }
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("`{digits}` is not hexadecimal")))
}

/// All bytes of a file, which must be small enough to hold. `None` where a part is malformed, or the file is larger than `most`.
pub fn bytes_of(file: &VectorFile, most: u64) -> Option<Vec<u8>> {
    if file.parts.iter().map(Part::len).fold(0, u64::saturating_add) > most {
        return None;
    }
    let mut out = Vec::new();
    file.parts.iter().try_for_each(|part| part.write(&mut out)).ok()?;
    Some(out)
}

/// A file from its bytes.
pub(crate) fn file(name: &str, bytes: &[u8]) -> VectorFile {
    of_parts(name, split(bytes))
}

/// A file from its parts.
pub(crate) fn of_parts(name: &str, parts: Vec<Part>) -> VectorFile {
    VectorFile { name: name.into(), size: parts.iter().map(Part::len).sum(), parts }
}

/// Bytes as parts: runs, then texts, and hexadecimal digits for the rest.
pub(crate) fn split(bytes: &[u8]) -> Vec<Part> {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take_while(|&&byte| byte == first).count();
        let text = rest.iter().take_while(|byte| is_text(byte)).count();
        let (part, len) = if run >= RUN && first == 0 {
            (Some(Part::Zeros(run as u64)), run)
        } else if run >= RUN {
            (Some(Part::Repeat(format!("{first:02x}"), run as u64)), run)
        } else if text >= TEXT {
            // A text ends where a run begins, so that both stay readable.
            let end =
                (1..text).find(|&at| rest[at..].iter().take_while(|&&byte| byte == rest[at]).count() >= RUN).unwrap_or(text);
            (std::str::from_utf8(&rest[..end]).ok().map(|text| Part::Text(text.into())), end)
        } else {
            (None, 1)
        };
        match part {
            Some(part) => {
                flush(&mut plain, &mut parts);
                parts.push(part);
            }
            None => plain.extend(&rest[..len]),
        }
        rest = &rest[len..];
    }
    flush(&mut plain, &mut parts);
    parts
}

fn flush(plain: &mut Vec<u8>, parts: &mut Vec<Part>) {
    if !plain.is_empty() {
        parts.push(Part::Hex(plain.iter().map(|byte| format!("{byte:02x}")).collect()));
        plain.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_bytes_and_show_what_is_in_them() {
        let bytes = b"GGUF\x03\0\0\0general.name\xff\0\0\0\0\0\0\0\0\0\0\0\0\0kkkkkkkkkkkkkkkk";
        let file = file("a", bytes);
        assert_eq!(bytes_of(&file, 1000).unwrap(), bytes);
        assert_eq!(file.size, bytes.len() as u64);
        assert_eq!(
            file.parts,
            [
                Part::Text("GGUF".into()),
                Part::Hex("03000000".into()),
                Part::Text("general.name".into()),
                Part::Hex("ff".into()),
                Part::Zeros(13),
                Part::Repeat("6b".into(), 16),
            ]
        );
    }

    #[test]
    fn what_is_malformed_or_too_large_has_no_bytes() {
        for parts in [
            vec![Part::Hex("0g".into())],
            vec![Part::Hex("012".into())],
            vec![Part::Zeros(1 << 40)],
            vec![Part::Zeros(u64::MAX), Part::Zeros(u64::MAX)],
        ] {
            assert_eq!(bytes_of(&VectorFile { name: "a".into(), size: 0, parts }, 1 << 20), None);
        }
    }
}
