//! Keys: their lengths, their characters, and keys that stand twice.

use crate::{Builder, Group, bases};
use gguf::{Rule, Value, ValueType};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new("keys", "Keys of the metadata: lengths, characters, duplicates.");
    group.note("Charset", "A character that a key must not have. Readers replace it, cut the key at it, or keep it.");
    group.note("Style", "Printable ASCII that is not lower_snake_case.");

    let with_key = |key: &[u8]| {
        let mut draft = bases::bare();
        draft.key(key, ValueType::U8.id(), [1]);
        draft
    };
    for (len, rules) in
        [(0, &[Rule::KeyEmpty][..]), (1, &[]), (255, &[]), (256, &[]), (65535, &[]), (65536, &[Rule::KeyLength])]
    {
        let flags: &[&str] = if [0, 1, 65535, 65536].contains(&len) { &["Boundary"] } else { &[] };
        group.draft(&format!("length-{len}"), rules, flags, "A key of this many bytes.", &with_key(&vec![b'k'; len]));
    }
    for (name, key) in [
        ("hyphen", &b"command-r.block_count"[..]),
        ("upper-case", b"vector.Key"),
        ("space", b"vector.my key"),
        ("leading-dot", b".vector"),
        ("trailing-dot", b"vector."),
        ("two-dots", b"vector..key"),
        ("slash", b"vector/key"),
        ("quote", b"vector.\"key\""),
        ("tilde", b"vector.~"),
    ] {
        let flags: &[&str] = if ["space", "tilde"].contains(&name) { &["Style", "Boundary"] } else { &["Style"] };
        group.draft(
            &format!("style-{name}"),
            &[Rule::KeySnakeCase],
            flags,
            "A key that is not lower_snake_case.",
            &with_key(key),
        );
    }
    for (name, key) in [("digits", &b"0.1.2"[..]), ("underscore", b"_._"), ("many-segments", b"a.b.c.d.e.f.g.h")] {
        group.draft(&format!("style-{name}"), &[], &["Style"], "Unusual, and lower_snake_case.", &with_key(key));
    }
    for (name, key) in [
        ("nul-at-the-end", &b"vector.key\0"[..]),
        ("nul-in-the-middle", b"vector\0.key"),
        ("nul-at-the-beginning", b"\0vector.key"),
        ("only-nul", b"\0"),
        ("newline", b"vector.key\n"),
        ("unit-separator", b"vector.\x1fkey"),
        ("delete", b"vector.\x7fkey"),
        ("latin-1", b"vector.k\xe9y"),
        ("utf-8", b"vector.k\xc3\xa9y"),
        ("overlong", b"vector.\xc0\x80key"),
        ("surrogate", b"vector.\xed\xa0\x80key"),
        ("byte-ff", b"vector.\xff"),
        ("byte-order-mark", b"\xef\xbb\xbfvector.key"),
    ] {
        let flags: &[&str] = match name {
            "unit-separator" | "delete" => &["Charset", "Boundary"],
            "newline" | "latin-1" | "utf-8" => &["Charset"],
            _ => &["Charset", "Ambiguous"],
        };
        group.draft(
            &format!("charset-{name}"),
            &[Rule::KeyCharset],
            flags,
            "A key that is not printable ASCII.",
            &with_key(key),
        );
    }

    let twice = &[Rule::KeyDuplicate];
    let mut same = bases::bare();
    same.u32("vector.key", 1).u32("vector.key", 1);
    group.draft("twice-same-value", twice, &[], "A key twice, with one value.", &same);
    let mut values = bases::bare();
    values.u32("vector.key", 1).u32("vector.key", 2);
    group.draft("twice-two-values", twice, &["Ambiguous"], "A key twice, with two values.", &values);
    let mut types = bases::bare();
    types.u32("vector.key", 1).str("vector.key", "1");
    group.draft("twice-two-types", twice, &["Ambiguous"], "A key twice, with two types.", &types);
    let mut thrice = bases::bare();
    thrice.u32("vector.key", 1).u32("vector.other", 2).u32("vector.key", 3).u32("vector.key", 4);
    group.draft("thrice", twice, &["Ambiguous"], "A key three times, with another between them.", &thrice);
    let mut architecture = bases::bare();
    architecture.str("general.architecture", "other");
    group.draft("twice-architecture", twice, &["Ambiguous"], "Two architectures.", &architecture);
    let mut template = bases::bare();
    template.str("tokenizer.chat_template", "{{ harmless }}").str("tokenizer.chat_template", "{{ harmful }}");
    group.draft(
        "twice-chat-template",
        twice,
        &["Ambiguous"],
        "Two chat templates: a scanner may read one, and the runtime run the other.",
        &template,
    );
    let mut alignment = bases::format();
    alignment.u32("general.alignment", 64).u32("general.alignment", 32);
    group.draft(
        "twice-alignment",
        twice,
        &["Ambiguous"],
        "Two alignments: the data section begins in one of two places.",
        &alignment,
    );
    let mut prefix = bases::bare();
    prefix.u32("vector.key", 1).u32("vector.key1", 2).value("vector.ke", Value::U32(3));
    group.draft("prefixes-of-each-other", &[], &[], "Keys that begin alike are not duplicates.", &prefix);
    let mut cased = bases::bare();
    cased.u32("vector.key", 1).u32("vector.KEY", 2);
    group.draft("differ-in-case", &[Rule::KeySnakeCase], &["Style"], "Keys that differ in case are two keys.", &cased);

    for key in ["version", "tensor_count", "kv_count", "__proto__", "constructor"] {
        let mut draft = bases::bare();
        draft.u32(key, 7);
        let comment = "A key that readers with one map for everything take for a field of the header, or of their language.";
        group.draft(&format!("named-{}", key.replace('_', "-").trim_matches('-')), &[], &["Ambiguous"], comment, &draft);
    }
    for key in ["general.architecture", "general.alignment"] {
        let mut draft = bases::format();
        match key {
            "general.alignment" => draft.u32("general.alignment\0x", 64),
            _ => draft.str("general.architecture\0x", "other"),
        };
        // It stands before the real one.
        draft.keys.rotate_right(1);
        let name = format!("charset-nul-hides-{}", key.replace('.', "-"));
        let comment = "A key that is a well-known one to a reader that stops at NUL.";
        group.draft(&name, &[Rule::KeyCharset], &["Charset", "Ambiguous"], comment, &draft);
    }
    for (name, length) in [
        ("one-more-than-is-left", None),
        ("2-31", Some(1u64 << 31)),
        ("2-32", Some(1 << 32)),
        ("2-63", Some(1 << 63)),
        ("2-64-less-1", Some(u64::MAX)),
    ] {
        let mut draft = bases::bare();
        draft.key("vector.key", ValueType::U8.id(), [1]);
        // What is left after the length: the key, the type and the value.
        let left = "vector.key".len() as u64 + 4 + 1;
        if let Some(last) = draft.keys.last_mut() {
            last.length = Some(length.unwrap_or(left + 1));
        }
        let flags: &[&str] = if length.is_none() { &["Boundary"] } else { &[] };
        group.draft(
            &format!("key-longer-than-file-{name}"),
            &[Rule::StringLength],
            flags,
            "The length of a key is not in the file.",
            &draft,
        );
    }
    let mut all = bases::bare();
    // What would be the type and the value are letters, fit for a key.
    all.key("vector.key", u32::from_le_bytes(*b"_and"), *b"s");
    if let Some(last) = all.keys.last_mut() {
        last.length = Some("vector.key".len() as u64 + 4 + 1);
    }
    group.draft(
        "key-takes-the-rest-of-the-file",
        &[Rule::Truncated],
        &["Boundary"],
        "A key that takes all that is left, so that no type comes after it.",
        &all,
    );
    group.finish()
}
