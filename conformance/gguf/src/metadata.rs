//! Metadata: the key-value section, borrowed from the file.

use crate::{
    Finding, Mode, Rule,
    cursor::Cursor,
    rules::{Findings, shown},
};
use bstr::BStr;
use std::fmt;

/// The type tag of a metadata value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

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

/// One entry of the metadata section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) offset: u64,
    pub(crate) value: Value<'a>,
}

/// The metadata section: keys in file order, values by key. Of a key that stands twice the last value counts, as in readers that
/// keep a map.
#[derive(Debug, Clone, Default)]
pub struct Metadata<'a> {
    pub(crate) entries: Vec<Entry<'a>>,
    /// Indices into `entries`, sorted by key, then by place.
    pub(crate) by_key: Vec<usize>,
}

impl<'a> Metadata<'a> {
    /// Keys and values in the order of the file. Keys are bytes, because lenient reading takes keys that are not UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = (&'a BStr, Value<'a>)> + '_ {
        self.entries.iter().map(|entry| (BStr::new(entry.key), entry.value))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        let after = self.by_key.partition_point(|&index| self.entries[index].key <= key.as_bytes());
        let last = &self.entries[*self.by_key.get(after.checked_sub(1)?)?];
        (last.key == key.as_bytes()).then_some(last)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entry(key).map(|entry| entry.value)
    }

    /// The finding that a key has the wrong type.
    pub(crate) fn wrong_type(entry: &Entry<'_>, expected: &str) -> Finding {
        let found = format!("{} {}", entry.value.value_type().name(), entry.value.summary());
        Self::finding(Rule::KeyType, entry, found, expected)
    }

    /// A finding about the value of a key.
    pub(crate) fn finding(rule: Rule, entry: &Entry<'_>, found: String, expected: &str) -> Finding {
        Finding { rule, offset: entry.offset, field: format!("key {}", shown(entry.key)), found, expected: expected.into() }
    }

    /// The value of a key as `convert` reads it; `None` where there is no such key.
    fn optional<T>(
        &self,
        key: &str,
        expected: &'static str,
        convert: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, Finding> {
        let Some(entry) = self.entry(key) else {
            return Ok(None);
        };
        convert(entry.value).map(Some).ok_or_else(|| Self::wrong_type(entry, expected))
    }

    /// A count or size.
    ///
    /// # Errors
    /// Where the value is not a non-negative integer.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, Finding> {
        self.optional(key, "a non-negative integer", Value::as_u64)
    }

    /// A real number.
    ///
    /// # Errors
    /// Where the value is not a floating-point number.
    pub fn f64(&self, key: &str) -> Result<Option<f64>, Finding> {
        self.optional(key, "a floating-point number", Value::as_f64)
    }

    /// A text.
    ///
    /// # Errors
    /// Where the value is not a string of valid UTF-8.
    pub fn str(&self, key: &str) -> Result<Option<&'a str>, Finding> {
        self.optional(key, "a UTF-8 string", Value::as_str)
    }

    /// An array.
    ///
    /// # Errors
    /// Where the value is not an array.
    pub fn array(&self, key: &str) -> Result<Option<Array<'a>>, Finding> {
        self.optional(key, "an array", |value| match value {
            Value::Array(array) => Some(array),
            _ => None,
        })
    }

    /// The finding that a key must be there and is not.
    pub fn missing(&self, key: &str) -> Finding {
        let (rule, field) = (Rule::KeyMissing, format!("key `{key}`"));
        Finding { rule, offset: 0, field, found: "no such key".into(), expected: "a value".into() }
    }
}
