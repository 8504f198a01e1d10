//! The first 24 bytes: magic, version, counts, and files that end in them.

use crate::{Builder, Group, bases};
use gguf::{Draft, Rule, ValueType, WeightType};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new("header", "The header: magic, version, counts, and files that end within it.");
    group.note("Truncated", "The file ends early. A reader that fills up with zeros takes a shorter file for another one.");
    group.note(
        "HugeCount",
        "A count that no file can meet. A reader that allocates before it looks exhausts memory, or multiplies until it wraps.",
    );
    group.note("BigEndian", "A file in big-endian byte order, as version 3 allows.");
    group.note("OldFormat", "One of the formats before GGUF, or another file altogether.");
    let valid = bases::format().finish();

    group.bytes("empty", &[Rule::Truncated], &["Truncated"], "No byte at all.", &[]);
    for len in [1, 3, 4, 5, 7, 8, 12, 15, 16, 20, 23, 24] {
        // From byte 16 on the tensor count is there, and what is not in the file is the tensors.
        let rule = if len < 16 { Rule::Truncated } else { Rule::TensorCount };
        group.bytes(
            &format!("first-{len}-bytes"),
            &[rule],
            &["Truncated"],
            "The file ends within its header, or right after it.",
            &valid[..len],
        );
    }

    for (name, magic) in [
        ("lower-case", *b"gguf"),
        ("reversed", *b"FUGG"),
        ("ggml", *b"lmgg"),
        ("ggjt", *b"tjgg"),
        ("zip", *b"PK\x03\x04"),
        ("zeros", [0; 4]),
    ] {
        let draft = Draft { magic, ..bases::format() };
        group.draft(&format!("magic-{name}"), &[Rule::Magic], &["OldFormat"], "Another magic than `GGUF`.", &draft);
    }
    for (version, rule) in [
        (0, Rule::Version),
        (4, Rule::Version),
        (5, Rule::Version),
        (255, Rule::Version),
        (0xffff, Rule::Version),
        (u32::MAX, Rule::Version),
        (0x8000_0003, Rule::Version),
    ] {
        let draft = Draft { version, ..bases::format() };
        let flags: &[&str] = if [0, 4].contains(&version) { &["Boundary"] } else { &[] };
        group.draft(&format!("version-{version}"), &[rule], flags, "A version that does not exist.", &draft);
    }
    let mut one = bases::format();
    one.break_rule(Rule::VersionOne).expect("its values read back");
    group.draft("version-1", &[Rule::VersionOne], &["Boundary"], "Version 1, with its 32-bit counts and lengths.", &one);
    for version in [1u32, 2, 3] {
        let mut bytes = valid.clone();
        bytes[4..8].copy_from_slice(&version.to_be_bytes());
        for at in [8, 16] {
            bytes[at..at + 8].reverse();
        }
        let comment = "A big-endian header before a little-endian rest: no machine writes this.";
        group.bytes(&format!("big-endian-version-{version}"), &[Rule::BigEndian], &["BigEndian"], comment, &bytes);
    }

    for version in [2, 3] {
        let comment = "A file that is big-endian throughout.";
        let bytes = big_endian(version);
        group.bytes(&format!("big-endian-throughout-version-{version}"), &[Rule::BigEndian], &["BigEndian"], comment, &bytes);
    }

    for (name, count) in counts() {
        let comment = "A count that the file cannot meet.";
        let tensors = Draft { tensor_count: Some(count), ..bases::format() };
        group.draft(&format!("tensor-count-{name}"), &[Rule::TensorCount], &["HugeCount"], comment, &tensors);
        let keys = Draft { key_count: Some(count), ..bases::format() };
        group.draft(&format!("key-count-{name}"), &[Rule::KeyCount], &["HugeCount"], comment, &keys);
    }
    let nothing = Draft { tensor_count: Some(0), ..bases::bare() };
    group.draft("no-tensors", &[], &[], "A key, and no tensor: a valid file, such as one of a vocabulary alone.", &nothing);
    group.draft(
        "no-keys-no-tensors",
        &[Rule::ArchitectureMissing],
        &["Boundary"],
        "A header whose counts are 0, and nothing else.",
        &Draft::new(),
    );
    group.finish()
}

/// A small file in big-endian byte order: the architecture and one tensor.
fn big_endian(version: u32) -> Vec<u8> {
    fn string(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u64).to_be_bytes());
        out.extend(text.as_bytes());
    }
    let mut out = b"GGUF".to_vec();
    out.extend(version.to_be_bytes());
    for count in [1u64, 1] {
        out.extend(count.to_be_bytes());
    }
    string(&mut out, "general.architecture");
    out.extend(ValueType::String.id().to_be_bytes());
    string(&mut out, "vector");
    string(&mut out, "t");
    for field in [1u32.to_be_bytes().as_slice(), &8u64.to_be_bytes(), &WeightType::F32.id().to_be_bytes(), &0u64.to_be_bytes()]
    {
        out.extend(field);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(1f32.to_be_bytes().repeat(8));
    out
}

/// Counts at which products and sums wrap.
pub(crate) fn counts() -> [(&'static str, u64); 6] {
    [
        ("2-31", 1 << 31),
        ("2-32", 1 << 32),
        ("2-60", 1 << 60),
        ("2-63-less-1", (1 << 63) - 1),
        ("2-63", 1 << 63),
        ("2-64-less-1", u64::MAX),
    ]
}
