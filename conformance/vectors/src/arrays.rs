//! Arrays: element types, lengths, nesting.

use crate::{Builder, Group, Part, bases, parts};
use gguf::{Draft, Rule, ValueType};

/// The bytes of an array value.
fn array(element_id: u32, len: u64, elements: &[u8]) -> Vec<u8> {
    let mut value = element_id.to_le_bytes().to_vec();
    value.extend(len.to_le_bytes());
    value.extend(elements);
    value
}

fn with_array(value: &[u8]) -> Draft<'static> {
    bases::with_raw(ValueType::Array.id(), value)
}

fn string(text: &str) -> Vec<u8> {
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text.as_bytes());
    out
}

/// Arrays within each other, around `inner`.
fn nested(depth: usize, inner: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 1..depth {
        value.extend(ValueType::Array.id().to_le_bytes());
        value.extend(1u64.to_le_bytes());
    }
    value.extend(inner);
    value
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new("arrays", "Arrays: element types, lengths, nesting.");
    group.note("HugeCount", "A length that no file can meet. A reader that allocates before it looks exhausts memory, or multiplies until it wraps.");
    group.note("Nested", "Arrays within arrays: allowed, rare, and a way to exhaust the stack of a reader that recurses.");
    group.note("UnknownType", "An element type that does not exist.");
    group.note("Utf8", "Bytes that are not UTF-8 in an element.");

    for element in ValueType::ALL.iter().copied().filter(|&element| element != ValueType::Array) {
        let (name, id) = (element.name(), element.id());
        let one = match element {
            ValueType::String => string("ab"),
            ValueType::Bool => vec![1],
            sized => (1..=sized.size().unwrap_or(1) as u8).collect(),
        };
        group.draft(
            &format!("{name}-empty"),
            &[],
            &["Boundary"],
            "An array without elements.",
            &with_array(&array(id, 0, &[])),
        );
        group.draft(
            &format!("{name}-three"),
            &[],
            &[],
            "An array of three elements.",
            &with_array(&array(id, 3, &one.repeat(3))),
        );
        let least = element.size().unwrap_or(8) as usize;
        let one_too_many = with_array(&array(id, 3, &vec![0; least * 3 - 1]));
        let comment = "One element more than there are bytes for, and the file ends.";
        group.draft(&format!("{name}-one-more-than-is-left"), &[Rule::ArrayLength], &["Boundary"], comment, &one_too_many);
    }
    for (name, count) in crate::header::counts() {
        for element in [ValueType::U8, ValueType::U64, ValueType::String] {
            let draft = with_array(&array(element.id(), count, &[0; 16]));
            let comment = "A length that the file cannot meet. Times the element's size, it can wrap to something small.";
            group.draft(&format!("{}-length-{name}", element.name()), &[Rule::ArrayLength], &["HugeCount"], comment, &draft);
        }
    }
    let wrapping = with_array(&array(ValueType::U64.id(), (1 << 61) + 2, &[0; 16]));
    group.draft(
        "uint64-length-wraps-to-16-bytes",
        &[Rule::ArrayLength],
        &["HugeCount", "Ambiguous"],
        "A length that, times 8, wraps to the 16 bytes that are there.",
        &wrapping,
    );

    for id in [13u32, 255, 1 << 31, u32::MAX] {
        for len in [0, 1] {
            let comment = "An element type that does not exist. Without elements a reader can overlook it.";
            let draft = with_array(&array(id, len, &[0; 8]));
            // The bytes of an element that is not read are not in the file.
            let draft = if len == 0 { with_array(&array(id, 0, &[])) } else { draft };
            group.draft(&format!("unknown-type-{id}-length-{len}"), &[Rule::ValueType], &["UnknownType"], comment, &draft);
        }
    }
    for byte in [2u8, 255] {
        let draft = with_array(&array(ValueType::Bool.id(), 3, &[0, 1, byte]));
        group.draft(
            &format!("bool-of-{byte}"),
            &[Rule::Boolean],
            &["Ambiguous"],
            "Booleans, the last of which is neither 0 nor 1.",
            &draft,
        );
    }
    let mut elements = string("good");
    elements.extend(2u64.to_le_bytes());
    elements.extend(b"b\xff");
    let draft = with_array(&array(ValueType::String.id(), 2, &elements));
    group.draft(
        "string-not-utf-8",
        &[Rule::StringUtf8],
        &["Utf8", "Ambiguous"],
        "Strings, the second of which is not UTF-8.",
        &draft,
    );
    let draft = with_array(&array(ValueType::String.id(), 2, &[string("a"), string("b\0")].concat()));
    group.draft(
        "string-with-nul",
        &[],
        &["Ambiguous"],
        "Strings, the second of which ends in NUL, as tokens for the byte 0 do.",
        &draft,
    );
    let mut elements = string("a");
    elements.extend(100u64.to_le_bytes());
    elements.extend(b"bcd");
    let draft = with_array(&array(ValueType::String.id(), 2, &elements));
    group.draft(
        "string-element-longer-than-file",
        &[Rule::StringLength],
        &[],
        "Strings, the second of which is longer than the file.",
        &draft,
    );

    let leaf = array(ValueType::U8.id(), 2, &[1, 2]);
    for depth in [2, 3, 4, 5, 16, 63, 64] {
        let flags: &[&str] = if [64].contains(&depth) { &["Nested", "Boundary"] } else { &["Nested"] };
        let draft = with_array(&nested(depth, &leaf));
        group.draft(&format!("nested-{depth}"), &[Rule::ArrayNested], flags, "Arrays within arrays, this many deep.", &draft);
    }
    for depth in [65, 66, 200] {
        let flags: &[&str] = if depth == 65 { &["Nested", "Boundary"] } else { &["Nested"] };
        let draft = with_array(&nested(depth, &leaf));
        group.draft(&format!("nested-{depth}"), &[Rule::ArrayDepth], flags, "Arrays within arrays, too deep.", &draft);
    }
    let level = [&ValueType::Array.id().to_le_bytes()[..], &1u64.to_le_bytes()].concat();
    let mut parts = parts::split(&with_array(&[]).finish());
    parts.push(Part::Repeat(level.iter().map(|byte| format!("{byte:02x}")).collect(), 100_000));
    parts.extend(parts::split(&leaf));
    let comment =
        "A hundred thousand arrays within each other: 1.2 MB that exhaust the stack of a reader that recurses without a limit.";
    group.add("nested-100000", &[Rule::ArrayDepth], &["Nested"], comment, vec![parts::of_parts("model.gguf", parts)]);
    let unpaired = array(
        ValueType::Array.id(),
        3,
        &[leaf.clone(), array(ValueType::U32.id(), 1, &7u32.to_le_bytes()), array(ValueType::String.id(), 1, &string("x"))]
            .concat(),
    );
    group.draft(
        "nested-of-three-types",
        &[Rule::ArrayNested],
        &["Nested", "Ambiguous"],
        "An array of three arrays, each of another element type.",
        &with_array(&unpaired),
    );
    let empty = array(ValueType::Array.id(), 0, &[]);
    group.draft("nested-empty", &[Rule::ArrayNested], &["Nested", "Boundary"], "An array of no arrays.", &with_array(&empty));
    let unknown = array(ValueType::Array.id(), 1, &array(99, 0, &[]));
    group.draft(
        "nested-unknown-type",
        &[Rule::ValueType],
        &["Nested", "UnknownType"],
        "An array of an array of a type that does not exist.",
        &with_array(&unknown),
    );
    let lying = array(ValueType::Array.id(), 1, &array(ValueType::U8.id(), 1 << 40, &[1, 2]));
    group.draft(
        "nested-length",
        &[Rule::ArrayLength],
        &["Nested", "HugeCount"],
        "An inner array that is longer than the file.",
        &with_array(&lying),
    );
    let many = array(ValueType::Array.id(), 64, &array(ValueType::U8.id(), 0, &[]).repeat(64));
    group.draft("nested-64-empty", &[Rule::ArrayNested], &["Nested"], "An array of 64 empty arrays.", &with_array(&many));
    group.finish()
}
