//! Metadata: the key-value section, borrowed from the file.

use crate::{
    Finding, Rule,
    rules::shown,
    values::{Array, Value},
};
use bstr::BStr;

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
