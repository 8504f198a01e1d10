//! The tensor table: names, dimensions, types.

use crate::{Builder, Group, bases};
use gguf::{Draft, Rule, WeightType};

/// Ids of ggml's types that were removed, with the names that they had (`ggml.h`).
const REMOVED: [(u32, &str); 8] = [
    (4, "q4_2"),
    (5, "q4_3"),
    (31, "q4_0_4_4"),
    (32, "q4_0_4_8"),
    (33, "q4_0_8_8"),
    (36, "iq4_nl_4_4"),
    (37, "iq4_nl_4_8"),
    (38, "iq4_nl_8_8"),
];

/// A file with one tensor.
fn with_tensor(name: &[u8], dimensions: &[u64], weight_type: WeightType) -> Draft<'static> {
    let mut draft = bases::bare();
    draft.u32("general.quantization_version", 2);
    let elements: u64 = dimensions.iter().product();
    let blocks = elements.div_ceil(weight_type.block_len() as u64);
    draft.tensor("", dimensions, weight_type, vec![0; blocks as usize * weight_type.block_bytes()]);
    bases::change_last(&mut draft, |last| last.name = name.to_vec().into());
    draft
}

/// A file with one tensor whose dimensions are not those of its data.
fn shaped(dimensions: &[u64], weight_type: WeightType) -> Draft<'static> {
    let mut draft = with_tensor(b"t", &[weight_type.block_len() as u64], weight_type);
    bases::change_last(&mut draft, |last| last.dimensions = dimensions.into());
    draft
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new("tensors", "The tensor table: names, dimensions, types.");
    group.note(
        "Overflow",
        "Sizes whose product or sum does not fit 64 bits. A reader that multiplies without looking gets a small number.",
    );
    group.note("RemovedType", "A tensor type that ggml once had.");
    group.note("UnknownType", "A tensor type that ggml does not have.");
    group.note(
        "WeightType",
        "One tensor of each type, of the least size that it can have, and of one that is no whole number of blocks.",
    );
    group.note("Charset", "A name with bytes that readers show, cut or replace differently.");

    let f32 = WeightType::F32;
    for (len, rules) in [
        (0, &[Rule::TensorNameEmpty][..]),
        (1, &[]),
        (63, &[]),
        (64, &[]),
        (65, &[Rule::TensorNameLength]),
        (255, &[Rule::TensorNameLength]),
        (256, &[Rule::TensorNameLength]),
    ] {
        let flags: &[&str] = if [0, 1, 63, 64, 65].contains(&len) { &["Boundary"] } else { &[] };
        let comment =
            "A tensor's name of this many bytes. The specification has 64; llama.cpp keeps room for a NUL, and so for 63.";
        group.draft(&format!("name-length-{len}"), rules, flags, comment, &with_tensor(&vec![b't'; len], &[8], f32));
    }
    for (name, bytes, rule) in [
        ("byte-ff", &b"t\xff"[..], Rule::TensorNameUtf8),
        ("latin-1", b"t\xe9", Rule::TensorNameUtf8),
        ("overlong", b"t\xc0\x80", Rule::TensorNameUtf8),
        ("nul-at-the-end", b"t\0", Rule::TensorNameNul),
        ("nul-in-the-middle", b"t\0u", Rule::TensorNameNul),
        ("only-nul", b"\0", Rule::TensorNameNul),
    ] {
        group.draft(
            &format!("name-{name}"),
            &[rule],
            &["Charset", "Ambiguous"],
            "A name that is not the same to every reader.",
            &with_tensor(bytes, &[8], f32),
        );
    }
    for (name, bytes) in [
        ("utf-8", "t\u{e9}".as_bytes()),
        ("space", b"a tensor"),
        ("slash", b"a/b"),
        ("upper-case", b"Tensor"),
        ("newline", b"t\n"),
    ] {
        group.draft(
            &format!("name-{name}"),
            &[],
            &["Charset"],
            "Unusual, and allowed: names are any UTF-8.",
            &with_tensor(bytes, &[8], f32),
        );
    }
    let mut cut = bases::bare();
    cut.tensor("a\0b", &[8], f32, vec![0; 32]).tensor("a\0c", &[8], f32, vec![0; 32]);
    group.draft(
        "name-two-that-are-one-before-nul",
        &[Rule::TensorNameNul],
        &["Charset", "Ambiguous"],
        "Two names that are one to a reader that stops at NUL.",
        &cut,
    );
    for (name, second) in [("same-shape", &[8u64][..]), ("other-shape", &[4, 2])] {
        let mut draft = bases::bare();
        draft.tensor("t", &[8], f32, vec![1; 32]).tensor("t", second, f32, vec![2; 32]);
        group.draft(
            &format!("twice-{name}"),
            &[Rule::TensorDuplicate],
            &["Ambiguous"],
            "A tensor twice: some readers take the first, some the last.",
            &draft,
        );
    }
    let mut apart = bases::bare();
    for name in ["t", "u", "t"] {
        apart.tensor(name, &[8], f32, vec![1; 32]);
    }
    group.draft("twice-apart", &[Rule::TensorDuplicate], &["Ambiguous"], "A tensor twice, with another between them.", &apart);

    for len in [1, 2, 3, 4] {
        let dimensions = &[2; 4][..len];
        group.draft(
            &format!("dimensions-{len}"),
            &[],
            &["Boundary"],
            "So many dimensions.",
            &with_tensor(b"t", dimensions, f32),
        );
    }
    for len in [5, 6, 255] {
        let flags: &[&str] = if len == 5 { &["Boundary"] } else { &[] };
        group.draft(
            &format!("dimensions-{len}"),
            &[Rule::DimensionCount],
            flags,
            "More dimensions than there can be.",
            &with_tensor(b"t", &vec![1; len], f32),
        );
    }
    for (name, count) in [("2-31", 1u32 << 31), ("2-32-less-1", u32::MAX), ("1000000", 1_000_000)] {
        let mut draft = with_tensor(b"t", &[8], f32);
        bases::change_last(&mut draft, |last| last.dimension_count = Some(count));
        group.draft(
            &format!("dimensions-{name}"),
            &[Rule::DimensionCount],
            &[],
            "A number of dimensions that the file cannot meet.",
            &draft,
        );
    }
    group.draft(
        "dimensions-0",
        &[Rule::DimensionCountZero],
        &["Boundary"],
        "No dimension: one element.",
        &with_tensor(b"t", &[], f32),
    );
    for (name, dimensions) in
        [("only", &[0u64][..]), ("first", &[0, 4]), ("last", &[4, 0]), ("middle", &[4, 0, 4]), ("all", &[0, 0, 0, 0])]
    {
        group.draft(
            &format!("dimension-zero-{name}"),
            &[Rule::DimensionZero],
            &[],
            "A dimension of 0: a tensor without data.",
            &with_tensor(b"t", dimensions, f32),
        );
    }

    let i8 = WeightType::I8;
    let largest = i64::MAX as u64;
    for (name, dimensions, weight_type, rule, boundary) in [
        ("elements-largest", &[largest][..], i8, Rule::TensorSize, true),
        ("elements-largest-aligned", &[largest - 31], i8, Rule::DataBounds, true),
        ("elements-one-more", &[1 << 63], i8, Rule::ElementCount, true),
        ("elements-2-64-less-1", &[u64::MAX], i8, Rule::ElementCount, false),
        ("elements-product-2-63", &[1 << 32, 1 << 31], i8, Rule::ElementCount, true),
        ("elements-product-2-62", &[1 << 31, 1 << 31], i8, Rule::DataBounds, true),
        ("elements-product-wraps-to-zero", &[1 << 32, 1 << 32], f32, Rule::ElementCount, false),
        ("elements-product-wraps-to-2-35", &[1 << 32, (1 << 32) + 8], f32, Rule::ElementCount, false),
        ("elements-product-of-four", &[1 << 16, 1 << 16, 1 << 16, 1 << 16], f32, Rule::ElementCount, false),
        ("elements-hidden-by-zero", &[1 << 40, 1 << 40, 0], f32, Rule::ElementCount, false),
        ("bytes-2-63", &[1 << 61], f32, Rule::TensorSize, true),
        ("bytes-2-62", &[1 << 60], f32, Rule::DataBounds, true),
        ("bytes-wrap-to-zero", &[1 << 62], f32, Rule::TensorSize, false),
        ("bytes-wrap-to-32", &[(1 << 62) + 8], f32, Rule::TensorSize, false),
        ("elements-product-of-odd-2", &[(1 << 62) - 1, 2], i8, Rule::TensorSize, false),
        ("elements-zero-between", &[1 << 62, 0, 1 << 62], i8, Rule::ElementCount, false),
        ("bytes-of-blocks-2-62", &[1 << 62], WeightType::Q8_K, Rule::DataBounds, false),
        ("bytes-of-blocks", &[(1 << 63) - 256], WeightType::Q8_K, Rule::TensorSize, false),
    ] {
        let flags: &[&str] = if boundary { &["Overflow", "Boundary"] } else { &["Overflow"] };
        // A zero among the dimensions is acceptable, and the overflow behind it is not.
        group.draft(name, &[rule], flags, "A size at the edge of what 64 bits can hold.", &shaped(dimensions, weight_type));
    }

    for &weight_type in WeightType::ALL {
        let block = weight_type.block_len() as u64;
        let draft = with_tensor(b"t", &[block, 2], weight_type);
        group.draft(&format!("type-{weight_type}"), &[], &["WeightType"], "Two rows of one block each.", &draft);
        if weight_type.is_quantized() {
            let half = with_tensor(b"t", &[block / 2, 2], weight_type);
            let comment = "One block over two rows: the elements are a whole number of blocks, a row is not.";
            group.draft(
                &format!("type-{weight_type}-half-rows"),
                &[Rule::RowSize],
                &["WeightType", "Ambiguous"],
                comment,
                &half,
            );
            let odd = shaped(&[block + 1], weight_type);
            let comment = "A row of one element more than a block.";
            group.draft(&format!("type-{weight_type}-one-more"), &[Rule::RowSize], &["WeightType", "Boundary"], comment, &odd);
        }
    }
    for (id, name) in REMOVED {
        let mut draft = with_tensor(b"t", &[32], f32);
        bases::change_last(&mut draft, |last| last.type_id = id);
        group.draft(
            &format!("type-removed-{name}"),
            &[Rule::TensorType],
            &["RemovedType"],
            "A type that ggml removed: its size is 0 in ggml's table, by which some readers divide.",
            &draft,
        );
    }
    for id in [43u32, 44, 255, 1 << 16, i32::MAX as u32, 1 << 31, u32::MAX] {
        let mut draft = with_tensor(b"t", &[32], f32);
        bases::change_last(&mut draft, |last| last.type_id = id);
        let flags: &[&str] = if id == 43 { &["UnknownType", "Boundary"] } else { &["UnknownType"] };
        group.draft(&format!("type-unknown-{id}"), &[Rule::TensorType], flags, "A type that ggml does not have.", &draft);
    }
    group.finish()
}
