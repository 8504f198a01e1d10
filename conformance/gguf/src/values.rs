//! Metadata values: their types, and how they are read, every length within checked.

use crate::{
    Finding, MAX_ARRAY_DEPTH, Mode, Rule,
    cursor::Cursor,
    rules::{Findings, shown},
};
use std::fmt;
use strum::VariantArray;

/// The type tag of a metadata value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    /// All types, in the order of their ids.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The type with this id, if the format has one.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(id as usize).copied()
    }

    /// The id that stands in the file.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// The name the specification gives, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::F32 => "float32",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Array => "array",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F64 => "float64",
        }
    }

    /// Bytes of one value; `None` for strings and arrays, whose size is not fixed.
    pub fn size(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }
}

/// One metadata value. Strings are bytes: the format asks for UTF-8, but vocabularies in the wild break that.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(&'a [u8]),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl<'a> Value<'a> {
    /// A value of fixed size from its bytes; `None` for strings, arrays and other lengths.
    pub(crate) fn from_bytes(value_type: ValueType, bytes: &[u8]) -> Option<Self> {
        macro_rules! number {
            ($variant:ident, $number:ty) => {
                Self::$variant(<$number>::from_le_bytes(bytes.try_into().ok()?))
            };
        }
        Some(match value_type {
            ValueType::U8 => number!(U8, u8),
            ValueType::I8 => number!(I8, i8),
            ValueType::U16 => number!(U16, u16),
            ValueType::I16 => number!(I16, i16),
            ValueType::U32 => number!(U32, u32),
            ValueType::I32 => number!(I32, i32),
            ValueType::F32 => number!(F32, f32),
            ValueType::U64 => number!(U64, u64),
            ValueType::I64 => number!(I64, i64),
            ValueType::F64 => number!(F64, f64),
            ValueType::Bool => Self::Bool(*bytes.first()? != 0),
            ValueType::String | ValueType::Array => return None,
        })
    }

    /// The type tag.
    pub fn value_type(self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::String(_) => ValueType::String,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// Any integer that is not negative.
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Self::U8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::U64(v) => Some(v),
            Self::I8(v) => v.try_into().ok(),
            Self::I16(v) => v.try_into().ok(),
            Self::I32(v) => v.try_into().ok(),
            Self::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// Any floating-point number.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            _ => None,
        }
    }

    /// A string that is valid UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The value for people, shortened where it is long.
    pub fn summary(self) -> String {
        match self {
            Self::U8(v) => v.to_string(),
            Self::I8(v) => v.to_string(),
            Self::U16(v) => v.to_string(),
            Self::I16(v) => v.to_string(),
            Self::U32(v) => v.to_string(),
            Self::I32(v) => v.to_string(),
            Self::F32(v) => real(v),
            Self::Bool(v) => v.to_string(),
            Self::String(bytes) => shown(bytes),
            Self::U64(v) => v.to_string(),
            Self::I64(v) => v.to_string(),
            Self::F64(v) => real(v),
            Self::Array(array) => {
                const SHOWN: usize = 3;
                let mut parts: Vec<String> = array
                    .values()
                    .take(SHOWN)
                    .map(|value| match value {
                        Value::Array(inner) => format!("{} x {}", inner.len, inner.element_type.name()),
                        value => value.summary(),
                    })
                    .collect();
                if array.len > SHOWN as u64 {
                    parts.push("...".into());
                }
                format!("{} x {}: [{}]", array.len, array.element_type.name(), parts.join(", "))
            }
        }
    }
}

/// A number as short as it can be told: written out, the smallest has hundreds of zeros.
fn real(value: impl fmt::Display + fmt::LowerExp) -> String {
    const LONGEST: usize = 24;
    let plain = value.to_string();
    if plain.len() > LONGEST { format!("{value:e}") } else { plain }
}

/// An array value: its elements stay in the file until they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array<'a> {
    pub(crate) element_type: ValueType,
    pub(crate) len: u64,
    /// The elements' bytes, whose lengths have been checked.
    pub(crate) bytes: &'a [u8],
    /// Lengths within take 8 bytes, rather than the 4 of version 1.
    pub(crate) wide: bool,
}

impl<'a> Array<'a> {
    /// Type of the elements.
    pub fn element_type(self) -> ValueType {
        self.element_type
    }

    /// Number of elements.
    pub fn len(self) -> u64 {
        self.len
    }

    /// True when there is no element.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The first `count` elements; all where there are no more. Elements without a fixed size, texts and arrays, all stay.
    #[must_use]
    pub fn first(self, count: u64) -> Self {
        let size = self.element_type.size();
        let cut = size.and_then(|size| self.bytes.get(..usize::try_from(count.checked_mul(size)?).ok()?));
        cut.map_or(self, |bytes| Self { len: self.len.min(count), bytes, ..self })
    }

    /// One element of fixed size, without a walk over those before it.
    pub(crate) fn number(self, index: u64) -> Option<Value<'a>> {
        let size = self.element_type.size()?;
        let start = usize::try_from(index.checked_mul(size)?).ok()?;
        Value::from_bytes(self.element_type, self.bytes.get(start..)?.get(..size as usize)?)
    }

    /// The elements in order, each as a value. Arrays within are at most [`crate::MAX_ARRAY_DEPTH`] deep, so recursion is safe.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> {
        let mut cursor = Cursor { bytes: self.bytes, at: 0, wide: self.wide };
        // Reading has reported whatever there is to report.
        let mut findings = Findings::new(Mode::Lenient);
        let next = move || match self.element_type {
            ValueType::Array => cursor.array(&mut findings, String::new).ok().map(Value::Array),
            ValueType::String => cursor.string(String::new).ok().map(Value::String),
            sized => Value::from_bytes(sized, cursor.take(sized.size()? as usize, String::new).ok()?),
        };
        std::iter::from_fn(next).take(usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

impl<'a> Cursor<'a> {
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
