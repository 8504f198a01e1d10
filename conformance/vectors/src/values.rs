//! Values that are not arrays: every type with its edges, types that do not exist, booleans, strings.

use crate::{Builder, Group, bases};
use gguf::{Rule, Value, ValueType};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new(
        "values",
        "Metadata values other than arrays: every type and its edges, types that do not exist, booleans, strings.",
    );
    group.note("Extreme", "The least or largest value of a type, or one that a text format such as JSON cannot say.");
    group.note("UnknownType", "A value type that does not exist: its size is not known, so nothing after it can be read.");
    group.note("Truncated", "The file ends within the value.");
    group.note("Utf8", "Bytes that are not UTF-8, or text that decoders change.");

    for (name, value) in [
        ("u8-least", Value::U8(0)),
        ("u8-largest", Value::U8(u8::MAX)),
        ("i8-least", Value::I8(i8::MIN)),
        ("i8-largest", Value::I8(i8::MAX)),
        ("u16-largest", Value::U16(u16::MAX)),
        ("i16-least", Value::I16(i16::MIN)),
        ("u32-largest", Value::U32(u32::MAX)),
        ("i32-least", Value::I32(i32::MIN)),
        ("u64-largest", Value::U64(u64::MAX)),
        ("u64-beyond-2-53", Value::U64((1 << 53) + 1)),
        ("i64-least", Value::I64(i64::MIN)),
        ("i64-largest", Value::I64(i64::MAX)),
        ("i64-beyond-2-53", Value::I64(-(1 << 53) - 1)),
        ("f32-nan", Value::F32(f32::NAN)),
        ("f32-infinite", Value::F32(f32::INFINITY)),
        ("f32-negative-infinite", Value::F32(f32::NEG_INFINITY)),
        ("f32-negative-zero", Value::F32(-0.0)),
        ("f32-subnormal", Value::F32(f32::from_bits(1))),
        ("f32-largest", Value::F32(f32::MAX)),
        ("f64-nan", Value::F64(f64::NAN)),
        ("f64-infinite", Value::F64(f64::INFINITY)),
        ("f64-subnormal", Value::F64(f64::from_bits(1))),
        ("f64-largest", Value::F64(f64::MAX)),
    ] {
        group.draft(&format!("edge-{name}"), &[], &["Extreme"], "A value at an edge of its type.", &bases::with_value(value));
    }
    for (name, value) in [
        ("u8", Value::U8(7)),
        ("i8", Value::I8(-7)),
        ("u16", Value::U16(700)),
        ("i16", Value::I16(-700)),
        ("u32", Value::U32(70000)),
        ("i32", Value::I32(-70000)),
        ("f32", Value::F32(0.1)),
        ("bool", Value::Bool(true)),
        ("string", Value::String(b"text")),
        ("u64", Value::U64(1 << 40)),
        ("i64", Value::I64(-(1 << 40))),
        ("f64", Value::F64(0.1)),
    ] {
        group.draft(&format!("type-{name}"), &[], &[], "A plain value of this type.", &bases::with_value(value));
        if let Some(size) = value.value_type().size() {
            let cut = bases::with_raw(value.value_type().id(), &vec![0; size as usize - 1]);
            let comment = "The value lacks its last byte, and the file ends.";
            group.draft(&format!("cut-{name}"), &[Rule::Truncated], &["Truncated"], comment, &cut);
        }
    }
    for id in [13u32, 14, 255, 1 << 16, i32::MAX as u32, 1 << 31, u32::MAX] {
        let flags: &[&str] = if id == 13 { &["UnknownType", "Boundary"] } else { &["UnknownType"] };
        let draft = bases::with_raw(id, &[0; 8]);
        group.draft(&format!("unknown-type-{id}"), &[Rule::ValueType], flags, "A value type that does not exist.", &draft);
    }
    for byte in [0u8, 2, 127, 128, 255] {
        let rules: &[Rule] = if byte > 1 { &[Rule::Boolean] } else { &[] };
        let flags: &[&str] = match byte {
            2 => &["Boundary", "Ambiguous"],
            0 => &[],
            _ => &["Ambiguous"],
        };
        let comment = "A boolean of this byte. Any but 0 and 1 is true to some readers, an error to others, and itself to readers that compare.";
        group.draft(&format!("bool-{byte}"), rules, flags, comment, &bases::with_raw(ValueType::Bool.id(), &[byte]));
    }

    let text = |bytes: &[u8]| bases::with_value(Value::String(bytes));
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("ascii", b"plain"),
        ("two-bytes", "\u{e9}".as_bytes()),
        ("three-bytes", "\u{2581}".as_bytes()),
        ("four-bytes", "\u{1f600}".as_bytes()),
        ("last-code-point", "\u{10ffff}".as_bytes()),
        ("replacement-character", "\u{fffd}".as_bytes()),
        ("byte-order-mark", "\u{feff}a".as_bytes()),
        ("backslash", b"a\\x00"),
        ("newline", b"a\nb\r\n"),
        ("right-to-left", "\u{202e}gpj.exe".as_bytes()),
    ] {
        group.draft(&format!("string-{name}"), &[], &["Utf8"], "Valid UTF-8.", &text(bytes));
    }
    for (name, bytes) in [
        ("byte-ff", &b"a\xffb"[..]),
        ("lone-continuation", b"\x80"),
        ("cut-sequence", b"a\xe2\x82"),
        ("overlong-slash", b"\xc0\xaf"),
        ("overlong-nul", b"\xc0\x80"),
        ("surrogate", b"\xed\xa0\x80"),
        ("beyond-unicode", b"\xf4\x90\x80\x80"),
        ("latin-1", b"caf\xe9"),
    ] {
        group.draft(&format!("string-{name}"), &[Rule::StringUtf8], &["Utf8", "Ambiguous"], "Not UTF-8.", &text(bytes));
    }
    for (name, bytes) in
        [("at-the-end", &b"text\0"[..]), ("many-at-the-end", b"text\0\0\0\0"), ("in-the-middle", b"te\0xt"), ("only", b"\0")]
    {
        let comment = "A NUL in a string: readers strip it, cut there, or keep it.";
        group.draft(&format!("string-nul-{name}"), &[Rule::StringNul], &["Ambiguous"], comment, &text(bytes));
    }
    for (name, length) in [
        ("one-more-than-is-left", 5u64),
        ("2-30", 1 << 30),
        ("2-31", 1 << 31),
        ("2-32-and-4", (1 << 32) + 4),
        ("2-63", 1 << 63),
        ("2-64-less-8", u64::MAX - 7),
        ("2-64-less-1", u64::MAX),
    ] {
        let flags: &[&str] = if length == 5 { &["Boundary"] } else { &[] };
        let mut value = length.to_le_bytes().to_vec();
        value.extend(b"text");
        let draft = bases::with_raw(ValueType::String.id(), &value);
        group.draft(
            &format!("string-longer-than-file-{name}"),
            &[Rule::StringLength],
            flags,
            "The length of a string is not in the file.",
            &draft,
        );
    }
    group.finish()
}
