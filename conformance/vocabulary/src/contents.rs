//! What a reader found in a GGUF file, in words that readers in every language can say.
//!
//! Everything but names is optional, because many readers forget part of what they read; what a reader does not tell is not
//! compared. Numbers travel as text: a 64-bit integer does not survive every JSON library.

use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Write},
    str::FromStr,
};

/// The header, the metadata and the tensor table of a file, as one reader understood them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// The format version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Where the data section begins, in bytes from the start of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_offset: Option<String>,
    /// Keys and values. The order does not matter; a key that the reader gives twice stands twice.
    pub metadata: Vec<KeyValue>,
    /// The tensor table. The order does not matter.
    pub tensors: Vec<TensorEntry>,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyValue {
    /// The key; bytes that are not UTF-8 are written as [`escape`] does.
    pub key: String,
    /// The value, where the reader gives it.
    pub value: ReadValue,
}

/// A value as a reader gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReadValue {
    /// A number or a truth value.
    Number {
        /// The type's name in the specification, such as `u32` or `bool`, where the reader keeps it.
        #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
        value_type: Option<String>,
        /// Decimal digits, `true`, `false`, `nan`, `inf` or `-inf`. Floating-point numbers have enough digits to read back equal.
        text: String,
    },
    /// A text, as [`escape`] writes it.
    Text {
        /// The text.
        text: String,
    },
    /// An array.
    Array {
        /// The elements' type, where the reader keeps it: `u32`, `string`, `array`.
        #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
        element_type: Option<String>,
        /// The elements.
        values: Vec<ReadValue>,
    },
    /// The reader keeps no value that it can give.
    Untold {},
}

/// A row of the tensor table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
    /// The name; bytes that are not UTF-8 are written as [`escape`] does.
    pub name: String,
    /// Dimensions in the order of the file, as decimal digits. Trailing ones do not matter: some readers pad with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<Vec<String>>,
    /// The id of the tensor's type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_id: Option<u32>,
    /// Offset of the data within the data section, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
}

/// Longest text that travels whole, in bytes; of a longer one [`escape`] gives the length and a hash.
pub const LONGEST_TEXT: usize = 4096;

/// Bytes as text: valid UTF-8 as it is, every other byte as `\xNN`, a backslash doubled. Of more than [`LONGEST_TEXT`] bytes only
/// `<N bytes, fnv1a HASH>`, the 64-bit FNV-1a hash in hexadecimal digits, which is a few lines in every language.
///
/// Control characters stay: this is for comparing, and whatever is printed goes through the one place in `ggauge` that makes words printable.
pub fn escape(bytes: &[u8]) -> String {
    if bytes.len() > LONGEST_TEXT {
        let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
        return format!("<{} bytes, fnv1a {hash:016x}>", bytes.len());
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

impl Contents {
    /// The contents as an answer can carry them: without arrays that are nested too deep.
    #[must_use]
    pub fn shallow(self) -> Self {
        let shallow = |entry: KeyValue| KeyValue { value: entry.value.shallow(0), ..entry };
        Self { metadata: self.metadata.into_iter().map(shallow).collect(), ..self }
    }

    /// The first thing in which two readers differ, in words, or `None` where everything that both tell is the same.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if let (Some(a), Some(b)) = (self.version, other.version)
            && a != b
        {
            return Some(format!("version: {a} against {b}"));
        }
        if let (Some(a), Some(b)) = (&self.data_offset, &other.data_offset)
            && a != b
        {
            return Some(format!("start of the data section: {a} against {b}"));
        }
        difference_of_lists(
            "key",
            &self.metadata,
            &other.metadata,
            |entry| &entry.key,
            |a, b| a.value.difference(&b.value, None),
        )
        .or_else(|| difference_of_lists("tensor", &self.tensors, &other.tensors, |t| &t.name, TensorEntry::difference))
    }
}

fn difference_of_lists<T>(
    what: &str,
    ours: &[T],
    theirs: &[T],
    name: impl Fn(&T) -> &str,
    difference: impl Fn(&T, &T) -> Option<String>,
) -> Option<String> {
    // A stable sort: of things with one name, the first in the file comes first in both.
    let sorted = |list| {
        let mut sorted: Vec<&T> = Vec::new();
        sorted.extend(list);
        sorted.sort_by(|a, b| name(a).cmp(name(b)));
        sorted
    };
    let (ours, theirs) = (sorted(ours.iter()), sorted(theirs.iter()));
    let quoted = |item: &&T| format!("`{}`", name(item).escape_debug());
    let beyond = |these: &[&T], those: &[&T]| {
        // Of a name that stands twice here and once there, one is beyond.
        let mut left: Vec<&str> = those.iter().map(|item| name(item)).collect();
        let is_beyond = |item: &&&T| match left.iter().position(|other| *other == name(item)) {
            Some(at) => {
                left.swap_remove(at);
                false
            }
            None => true,
        };
        these.iter().filter(is_beyond).map(quoted).collect::<Vec<_>>().join(", ")
    };
    let (only_ours, only_theirs) = (beyond(&ours, &theirs), beyond(&theirs, &ours));
    if !only_ours.is_empty() || !only_theirs.is_empty() {
        return Some(format!("{what}s: [{only_ours}] against [{only_theirs}]"));
    }
    ours.iter().zip(&theirs).find_map(|(a, b)| Some(format!("{what} {}: {}", quoted(a), difference(a, b)?)))
}

/// Arrays within arrays that an answer carries; what lies deeper is untold, because JSON readers limit how deep they go.
const DEEPEST: usize = 16;

impl ReadValue {
    /// An integer or a truth value, of a type that the reader keeps.
    pub fn number(value_type: &str, value: impl ToString) -> Self {
        Self::Number { value_type: Some(value_type.into()), text: value.to_string() }
    }

    /// A floating-point number: the shortest digits that read back equal, always with a point or an exponent, so that nobody
    /// compares them as an integer. `{:?}` writes them so; only `NaN` is spelled differently here.
    pub fn float(value_type: &str, value: impl fmt::Debug) -> Self {
        Self::number(value_type, format!("{value:?}").to_lowercase())
    }

    /// A text from its bytes.
    pub fn text(bytes: &[u8]) -> Self {
        Self::Text { text: escape(bytes) }
    }

    /// The value without arrays that are nested too deep for an answer.
    fn shallow(self, depth: usize) -> Self {
        match self {
            Self::Array { .. } if depth == DEEPEST => Self::Untold {},
            Self::Array { element_type, values } => {
                let values = values.into_iter().map(|value| value.shallow(depth + 1)).collect();
                Self::Array { element_type, values }
            }
            value => value,
        }
    }

    /// The first difference; `element` is the type of both, where they are elements of an array whose type is known.
    fn difference(&self, other: &Self, element: Option<&str>) -> Option<String> {
        let types = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) if a != b => Some(format!("type {a} against {b}")),
            _ => None,
        };
        match (self, other) {
            (Self::Untold {}, _) | (_, Self::Untold {}) => None,
            (Self::Number { value_type: a_type, text: a }, Self::Number { value_type: b_type, text: b }) => {
                let known = a_type.as_deref().or(b_type.as_deref()).or(element);
                types(a_type, b_type).or_else(|| (!same_number(a, b, known)).then(|| format!("{a} against {b}")))
            }
            (Self::Text { text: a }, Self::Text { text: b }) => {
                (a != b).then(|| format!("{:?} against {:?}", shortened(a), shortened(b)))
            }
            (Self::Array { element_type: a_type, values: a }, Self::Array { element_type: b_type, values: b }) => {
                let known = a_type.as_deref().or(b_type.as_deref());
                types(a_type, b_type)
                    .or_else(|| (a.len() != b.len()).then(|| format!("{} elements against {}", a.len(), b.len())))
                    .or_else(|| {
                        let mut pairs = a.iter().zip(b).enumerate();
                        pairs.find_map(|(index, (a, b))| Some(format!("element {index}: {}", a.difference(b, known)?)))
                    })
            }
            (a, b) => Some(format!("{} against {}", a.kind(), b.kind())),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Number { .. } => "a number",
            Self::Text { .. } => "a text",
            Self::Array { .. } => "an array",
            Self::Untold {} => "nothing",
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Two texts as numbers of a type, where both are.
fn both<T: FromStr + Copy>(a: &str, b: &str, same: impl Fn(T, T) -> bool) -> bool {
    matches!((a.parse(), b.parse()), (Ok(a), Ok(b)) if same(a, b))
}

/// Two spellings of one number of a type, as far as either reader tells it. A reader that went through another type and lost something
/// has read another number.
fn same_number(a: &str, b: &str, value_type: Option<&str>) -> bool {
    let same_single = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let same_double = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    match value_type {
        Some("f32") => both(a, b, same_single),
        Some("f64") => both(a, b, same_double),
        Some("bool") => a == b,
        Some(_) => both(a, b, |a: i128, b: i128| a == b),
        // Nobody knows the type: integers as such, and what is exactly an f32 in either spelling.
        None => {
            let exact = |x: f64| f64::from(x as f32) == x;
            let single = |a: f64, b: f64| same_single(a as f32, b as f32) && (exact(a) || exact(b));
            match (a.parse::<i128>(), b.parse::<i128>()) {
                (Ok(a), Ok(b)) => a == b,
                _ => a == b || both(a, b, |a, b| same_double(a, b) || single(a, b)),
            }
        }
    }
}

impl TensorEntry {
    fn difference(&self, other: &Self) -> Option<String> {
        if let (Some(a), Some(b)) = (&self.dimensions, &other.dimensions)
            && without_ones(a) != without_ones(b)
        {
            return Some(format!("dimensions [{}] against [{}]", a.join(", "), b.join(", ")));
        }
        if let (Some(a), Some(b)) = (self.type_id, other.type_id)
            && a != b
        {
            return Some(format!("type {a} against {b}"));
        }
        match (&self.offset, &other.offset) {
            (Some(a), Some(b)) if a != b => Some(format!("offset {a} against {b}")),
            _ => None,
        }
    }
}

fn without_ones(dimensions: &[String]) -> &[String] {
    let end = dimensions.iter().rposition(|dimension| dimension != "1").map_or(0, |last| last + 1);
    dimensions.get(..end).unwrap_or(dimensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value_type: Option<&str>, text: &str) -> ReadValue {
        ReadValue::Number { value_type: value_type.map(str::to_owned), text: text.into() }
    }

    fn one_key(key: &str, value: ReadValue) -> Contents {
        Contents { metadata: vec![KeyValue { key: key.into(), value }], ..Contents::default() }
    }

    #[test]
    fn what_a_reader_does_not_tell_is_not_compared() {
        let typed = one_key("a", number(Some("f32"), "0.1"));
        let untyped = one_key("a", number(None, "0.10000000149011612"));
        assert_eq!(typed.difference(&untyped), None);
        assert_eq!(typed.difference(&one_key("a", ReadValue::Untold {})), None);
    }

    #[test]
    fn every_part_is_compared() {
        let with_tensor = |dimensions: &[&str], type_id, offset: &str| Contents {
            tensors: vec![TensorEntry {
                name: "t".into(),
                dimensions: Some(dimensions.iter().map(|&n| n.to_owned()).collect()),
                type_id: Some(type_id),
                offset: Some(offset.to_owned()),
            }],
            ..Contents::default()
        };
        let base = with_tensor(&["2", "3"], 0, "32");
        assert_eq!(base.difference(&with_tensor(&["2", "3", "1", "1"], 0, "32")), None);
        let array = |values| ReadValue::Array { element_type: Some("u8".into()), values };
        for (a, b, part) in [
            (base.clone(), with_tensor(&["3", "2"], 0, "32"), "dimensions [2, 3] against [3, 2]"),
            (base.clone(), with_tensor(&["2", "3"], 1, "32"), "type 0 against 1"),
            (base.clone(), with_tensor(&["2", "3"], 0, "64"), "offset 32 against 64"),
            (base, Contents::default(), "tensors: [`t`] against []"),
            (one_key("a", number(None, "1")), one_key("b", number(None, "1")), "keys: [`a`] against [`b`]"),
            (one_key("a", number(Some("u8"), "1")), one_key("a", number(Some("i8"), "1")), "type u8 against i8"),
            (one_key("a", number(None, "1")), one_key("a", number(None, "2")), "1 against 2"),
            (one_key("a", number(None, "0.1")), one_key("a", number(None, "0.10000001")), "against"),
            (
                one_key("a", ReadValue::Text { text: "x\0".into() }),
                one_key("a", ReadValue::Text { text: "x".into() }),
                "against",
            ),
            (one_key("a", array(vec![])), one_key("a", array(vec![number(None, "1")])), "0 elements against 1"),
            (one_key("a", array(vec![number(None, "2")])), one_key("a", array(vec![number(None, "1")])), "element 0: 2"),
            (one_key("a", array(vec![])), one_key("a", number(None, "1")), "an array against a number"),
            (
                Contents { version: Some(2), ..Contents::default() },
                Contents { version: Some(3), ..Contents::default() },
                "version",
            ),
        ] {
            let difference = a.difference(&b).unwrap_or_default();
            assert!(difference.contains(part), "{difference}");
            assert!(b.difference(&a).is_some());
        }
    }

    #[test]
    fn a_number_that_lost_something_on_the_way_is_another() {
        for (value_type, a, b, same) in [
            (Some("u64"), "9007199254740993", "9007199254740992", false),
            (Some("u64"), "9007199254740993", "9007199254740992.0", false),
            (Some("i64"), "-7", "-7", true),
            (Some("f64"), "0.1", "0.10000000149011612", false),
            (Some("f64"), "5e-324", "0.0", false),
            (Some("f32"), "0.1", "0.10000000149011612", true),
            (Some("f32"), "-0.0", "0.0", false),
            (Some("f32"), "nan", "nan", true),
            (Some("f32"), "inf", "-inf", false),
            (Some("bool"), "true", "1", false),
            (None, "0.1", "0.10000000149011612", true),
            (None, "-0.0", "0.0", false),
            (None, "9007199254740993", "9007199254740992", false),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(same_number(a, b, value_type), same, "{value_type:?}: {a} and {b}");
                let array = |element_type: Option<&str>, text| ReadValue::Array {
                    element_type: element_type.map(str::to_owned),
                    values: vec![number(None, text)],
                };
                // The type of an array's elements holds where one of two readers tells it.
                let difference = array(value_type, a).difference(&array(None, b), None);
                assert_eq!(difference.is_none(), same, "in an array, {value_type:?}: {a} and {b}");
            }
        }
    }

    #[test]
    fn bytes_that_are_not_text_stay_visible() {
        assert_eq!(escape(b"a\\b\xff\0"), "a\\\\b\\xff\0");
        assert_eq!(escape(&[b'a'; LONGEST_TEXT + 1]), "<4097 bytes, fnv1a 6d4cfc3a1e8adc8c>");
    }
}
