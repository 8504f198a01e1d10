//! A position in the bytes, every step of which is checked against what is left.

use crate::{
    Finding, MAX_ARRAY_DEPTH, Rule, ValueType,
    metadata::{Array, Value},
    rules::{Findings, shown},
};

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
    pub(crate) fn finding(&self, rule: Rule, back: usize, field: &str, found: String, expected: String) -> Finding {
        Finding { rule, offset: self.at.saturating_sub(back) as u64, field: field.into(), found, expected }
    }

    #[cold]
    fn too_short(&self, back: usize, field: &str, needed: u64) -> Finding {
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

    #[inline]
    pub(crate) fn value_type(&mut self, field: impl Fn() -> String) -> Result<ValueType, Finding> {
        let id = self.u32(&field)?;
        ValueType::from_id(id).ok_or_else(|| {
            let expected = "one of 0 (uint8) to 12 (float64)".into();
            self.finding(Rule::ValueType, 4, &format!("{} type", field()), id.to_string(), expected)
        })
    }

    /// A value that is not an array.
    #[inline]
    pub(crate) fn scalar(
        &mut self,
        value_type: ValueType,
        findings: &mut Findings,
        field: impl Fn() -> String,
    ) -> Result<Value<'a>, Finding> {
        if value_type == ValueType::String {
            let text = self.checked_string(findings, &field)?;
            if text.contains(&0) {
                findings.report(Rule::StringNul, || {
                    self.finding(Rule::StringNul, text.len(), &field(), shown(text), "a text without NUL".into())
                })?;
            }
            return Ok(Value::String(text));
        }
        let bytes = self.take(value_type.size().unwrap_or(0) as usize, &field)?;
        if value_type == ValueType::Bool {
            self.check_booleans(bytes, findings, &field)?;
        }
        let truncated = || self.too_short(bytes.len(), &field(), bytes.len() as u64);
        Value::from_bytes(value_type, bytes).ok_or_else(truncated)
    }

    #[inline]
    fn checked_string(&mut self, findings: &mut Findings, field: impl Fn() -> String) -> Result<&'a [u8], Finding> {
        let text = self.string(&field)?;
        // Most strings are short and ASCII; the full check is for the rest.
        if !text.is_ascii() && std::str::from_utf8(text).is_err() {
            findings.report(Rule::StringUtf8, || {
                self.finding(Rule::StringUtf8, text.len(), &field(), shown(text), "valid UTF-8".into())
            })?;
        }
        Ok(text)
    }

    fn check_booleans(&self, bytes: &[u8], findings: &mut Findings, field: impl Fn() -> String) -> Result<(), Finding> {
        // All at once, which is done many at a time; nearly always there is nothing to find.
        if bytes.iter().fold(0, |all, byte| all | byte) <= 1 {
            return Ok(());
        }
        for (index, &byte) in bytes.iter().enumerate().filter(|&(_, &byte)| byte > 1) {
            findings.report(Rule::Boolean, || {
                self.finding(Rule::Boolean, bytes.len() - index, &field(), byte.to_string(), "0 or 1".into())
            })?;
        }
        Ok(())
    }

    /// Element type and length of an array, checked against what is left.
    fn array_head(&mut self, field: impl Fn() -> String) -> Result<(ValueType, u64), Finding> {
        let element_type = self.value_type(|| format!("{} element", field()))?;
        let least = match element_type {
            ValueType::String => self.length_bytes(),
            // Type and length.
            ValueType::Array => 4 + self.length_bytes(),
            sized => sized.size().unwrap_or(1),
        };
        let len = self.count(Rule::ArrayLength, least, || format!("{} array length", field()))?;
        Ok((element_type, len))
    }

    /// An array, with every length in it checked. Walks nested arrays with a list of its own rather than by recursion.
    pub(crate) fn array(&mut self, findings: &mut Findings, field: impl Fn() -> String) -> Result<Array<'a>, Finding> {
        let (element_type, len) = self.array_head(&field)?;
        let start = self.at;
        if element_type == ValueType::Array {
            findings.report(Rule::ArrayNested, || {
                let back = 4 + self.length_bytes() as usize;
                self.finding(Rule::ArrayNested, back, &field(), "an array of arrays".into(), "an array of values".into())
            })?;
            // Elements still to come in each array that is open.
            let mut open = vec![(element_type, len)];
            while let Some((element_type, left)) = open.last_mut() {
                if *element_type != ValueType::Array {
                    let (element_type, len) = (*element_type, *left);
                    self.elements(element_type, len, findings, &field)?;
                    open.pop();
                } else if *left == 0 {
                    open.pop();
                } else {
                    *left -= 1;
                    let depth = open.len() + 1;
                    if depth > MAX_ARRAY_DEPTH {
                        let found = format!("arrays {depth} deep");
                        return Err(self.finding(Rule::ArrayDepth, 0, &field(), found, format!("at most {MAX_ARRAY_DEPTH}")));
                    }
                    open.push(self.array_head(&field)?);
                }
            }
        } else {
            self.elements(element_type, len, findings, &field)?;
        }
        let bytes = self.bytes.get(start..self.at).unwrap_or(&[]);
        Ok(Array { element_type, len, bytes, wide: self.wide })
    }

    /// The elements of an array that is not one of arrays.
    fn elements(
        &mut self,
        element_type: ValueType,
        len: u64,
        findings: &mut Findings,
        field: impl Fn() -> String,
    ) -> Result<(), Finding> {
        if element_type == ValueType::String {
            for index in 0..len {
                self.checked_string(findings, || format!("{} element {index}", field()))?;
            }
            return Ok(());
        }
        // The head was checked, so the product fits.
        let bytes = self.take((len * element_type.size().unwrap_or(0)) as usize, &field)?;
        if element_type == ValueType::Bool {
            self.check_booleans(bytes, findings, &field)?;
        }
        Ok(())
    }
}
