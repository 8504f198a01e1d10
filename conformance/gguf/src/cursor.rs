//! A position in the bytes, every step of which is checked against what is left.

use crate::{Finding, Rule};

/// Where reading has come to, and how wide lengths are: 4 bytes in version 1, 8 since.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    pub(crate) wide: bool,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// Bytes that a length or count takes.
    pub(crate) fn length_bytes(&self) -> u64 {
        if self.wide { 8 } else { 4 }
    }

    /// A finding about the field that begins `back` bytes before this position.
    #[cold]
    #[expect(clippy::too_many_arguments, reason = "what a finding has, and where")]
    pub(crate) fn finding(&self, rule: Rule, back: usize, field: &str, found: String, expected: String) -> Finding {
        Finding { rule, offset: self.at.saturating_sub(back) as u64, field: field.into(), found, expected }
    }

    #[cold]
    pub(crate) fn too_short(&self, back: usize, field: &str, needed: u64) -> Finding {
        let left = self.rest().len();
        self.finding(Rule::Truncated, back, field, format!("{left} bytes left in the file"), format!("at least {needed}"))
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize, field: impl Fn() -> String) -> Result<&'a [u8], Finding> {
        match self.rest().get(..len) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => Err(self.too_short(0, &field(), len as u64)),
        }
    }

    #[inline]
    fn number<const N: usize>(&mut self, field: impl Fn() -> String) -> Result<[u8; N], Finding> {
        match self.rest().first_chunk() {
            Some(number) => {
                self.at += N;
                Ok(*number)
            }
            None => Err(self.too_short(0, &field(), N as u64)),
        }
    }

    #[inline]
    pub(crate) fn u32(&mut self, field: impl Fn() -> String) -> Result<u32, Finding> {
        self.number(field).map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self, field: impl Fn() -> String) -> Result<u64, Finding> {
        self.number(field).map(u64::from_le_bytes)
    }

    /// A length, count or dimension, as wide as the version has it.
    #[inline]
    pub(crate) fn length(&mut self, field: impl Fn() -> String) -> Result<u64, Finding> {
        if self.wide { self.u64(field) } else { self.u32(field).map(u64::from) }
    }

    /// A count of things that take at least `least` bytes each, which must be able to be in the rest of the file.
    pub(crate) fn count(&mut self, rule: Rule, least: u64, field: impl Fn() -> String) -> Result<u64, Finding> {
        let count = self.length(&field)?;
        let left = self.rest().len() as u64;
        let most = left / least.max(1);
        if count <= most {
            return Ok(count);
        }
        let back = self.length_bytes() as usize;
        let expected = format!("at most {most}, as {left} bytes are left and each takes {least} or more");
        Err(self.finding(rule, back, &field(), count.to_string(), expected))
    }

    /// The bytes of a length-prefixed string.
    #[inline]
    pub(crate) fn string(&mut self, field: impl Fn() -> String) -> Result<&'a [u8], Finding> {
        let len = self.length(&field)?;
        match usize::try_from(len).ok().and_then(|len| self.rest().get(..len)) {
            Some(text) => {
                self.at += text.len();
                Ok(text)
            }
            None => {
                let left = self.rest().len();
                let back = self.length_bytes() as usize;
                let (found, expected) = (format!("{len} bytes"), format!("at most {left}, which are left in the file"));
                Err(self.finding(Rule::StringLength, back, &format!("{} length", field()), found, expected))
            }
        }
    }
}
