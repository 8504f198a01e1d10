//! The data section: alignment, offsets, overlap, padding, the end of the file.

use crate::{Builder, Group, bases};
use gguf::{Draft, Rule, Value, WeightType};
use std::borrow::Cow;

/// Three tensors of different sizes, none of which is a multiple of the alignment.
fn three() -> Draft<'static> {
    let mut draft = bases::bare();
    for (name, len) in [("a", 3u8), ("b", 10), ("c", 5)] {
        draft.tensor(name, &[u64::from(len)], WeightType::F32, vec![len; usize::from(len) * 4]);
    }
    draft
}

fn aligned(alignment: u32) -> Draft<'static> {
    let mut draft = three();
    draft.u32("general.alignment", alignment);
    draft.alignment = u64::from(alignment);
    draft
}

fn placed(places: [u64; 3]) -> Draft<'static> {
    let mut draft = three();
    for (tensor, place) in draft.tensors.iter_mut().zip(places) {
        tensor.place = Some(place);
    }
    draft
}

fn offset(offset: u64) -> Draft<'static> {
    let mut draft = three();
    bases::change_last(&mut draft, |last| last.offset = Some(offset));
    draft
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new("layout", "The data section: alignment, offsets, overlap, padding, the end of the file.");
    group.note(
        "Alignment",
        "Where the data section begins depends on `general.alignment`: a reader that takes another value reads other weights.",
    );
    group.note("Offset", "Offsets that are out of order, out of place or out of the file.");
    group.note("Padding", "Bytes that belong to no tensor.");

    for alignment in [8, 16, 32, 64, 128, 256, 512] {
        group.draft(
            &format!("alignment-{alignment}"),
            &[],
            &["Alignment"],
            "An alignment that is a power of two.",
            &aligned(alignment),
        );
    }
    for alignment in [24, 40, 96] {
        group.draft(
            &format!("alignment-{alignment}"),
            &[Rule::AlignmentPowerOfTwo],
            &["Alignment"],
            "A multiple of 8 that is no power of two.",
            &aligned(alignment),
        );
    }
    for alignment in [1, 2, 4, 7, 9, 12, 33] {
        let flags: &[&str] = if [7, 9].contains(&alignment) { &["Alignment", "Boundary"] } else { &["Alignment"] };
        group.draft(
            &format!("alignment-{alignment}"),
            &[Rule::AlignmentValue],
            flags,
            "Not a multiple of 8.",
            &aligned(alignment),
        );
    }
    let mut zero = three();
    zero.u32("general.alignment", 0);
    group.draft(
        "alignment-0",
        &[Rule::AlignmentValue],
        &["Alignment", "Boundary"],
        "An alignment of 0, by which some readers divide.",
        &zero,
    );
    for alignment in [1u32 << 20, 1 << 30, 1 << 31] {
        let mut draft = three();
        draft.u32("general.alignment", alignment);
        // Only the table follows the alignment: the data stays where it is.
        for (index, tensor) in draft.tensors.iter_mut().enumerate() {
            tensor.offset = Some(index as u64 * u64::from(alignment));
        }
        let comment = "A large alignment: the data section would begin beyond the end of the file.";
        group.draft(&format!("alignment-{alignment}"), &[Rule::DataBounds], &["Alignment"], comment, &draft);
    }
    for (name, value) in [
        ("u8", Value::U8(32)),
        ("i8", Value::I8(32)),
        ("u16", Value::U16(32)),
        ("i16", Value::I16(32)),
        ("i32", Value::I32(32)),
        ("u64", Value::U64(32)),
        ("i64", Value::I64(32)),
        ("f32", Value::F32(32.0)),
        ("f64", Value::F64(32.0)),
        ("bool", Value::Bool(true)),
        ("string", Value::String(b"32")),
    ] {
        let mut draft = three();
        draft.value("general.alignment", value);
        let rules: &[Rule] = &[Rule::AlignmentType];
        if name == "bool" {
            // A boolean is 1 to a reader that converts, and offsets then have another multiple.
            group.draft(
                &format!("alignment-type-{name}"),
                rules,
                &["Alignment", "Ambiguous"],
                "An alignment of the wrong type.",
                &draft,
            );
        } else {
            group.draft(
                &format!("alignment-type-{name}"),
                rules,
                &["Alignment"],
                "An alignment of the wrong type, with the default's value.",
                &draft,
            );
        }
    }
    let mut other = three();
    other.value("general.alignment", Value::U64(64));
    other.alignment = 64;
    group.draft(
        "alignment-type-u64-of-64",
        &[Rule::AlignmentType],
        &["Alignment", "Ambiguous"],
        "An alignment of the wrong type with another value than the default: readers that ignore it look for the data elsewhere.",
        &other,
    );

    for (name, places) in [
        ("in-order", [0, 32, 96]),
        ("reversed", [96, 32, 0]),
        ("swapped", [0, 64, 32]),
        ("with-gap", [0, 32, 128]),
        ("beginning-with-gap", [32, 64, 128]),
    ] {
        let rules: &[Rule] = if name == "in-order" { &[] } else { &[Rule::TensorOrder] };
        group.draft(&format!("order-{name}"), rules, &["Offset"], "Three tensors of 12, 40 and 20 bytes.", &placed(places));
    }
    for by in [1, 4, 8, 16, 31] {
        let flags: &[&str] = if [1, 31].contains(&by) { &["Offset", "Boundary"] } else { &["Offset"] };
        group.draft(
            &format!("offset-off-by-{by}"),
            &[Rule::OffsetAlignment],
            flags,
            "An offset that is not a multiple of the alignment.",
            &placed([0, 32, 96 + by]),
        );
    }
    for (name, places, comment) in [
        ("same-place", [0, 32, 32], "Two tensors in one place."),
        ("within", [0, 32, 64], "A tensor that begins within the one before."),
        ("first-and-last", [0, 32, 0], "The last tensor in the place of the first."),
        ("all", [0, 0, 0], "Three tensors in one place."),
    ] {
        group.draft(&format!("overlap-{name}"), &[Rule::TensorOverlap], &["Offset", "Ambiguous"], comment, &placed(places));
    }
    for (name, value) in [
        ("at-end", 128u64),
        ("beyond-end", 1 << 20),
        ("2-31", 1 << 31),
        ("2-32", 1 << 32),
        ("2-63", 1 << 63),
        ("wraps-before-the-data", u64::MAX - 31),
        ("wraps-into-the-header", u64::MAX - 127),
    ] {
        group.draft(
            &format!("offset-{name}"),
            &[Rule::DataBounds],
            &["Offset"],
            "A tensor that is not in the file.",
            &offset(value),
        );
    }
    for (cut, rule) in [(1, Rule::DataBounds), (20, Rule::DataBounds)] {
        let mut draft = three();
        let flags: &[&str] = if cut == 1 { &["Offset", "Boundary"] } else { &["Offset"] };
        draft.tail = Some(Cow::Borrowed(&[]));
        let mut bytes = draft.finish();
        bytes.truncate(bytes.len() - cut);
        group.bytes(&format!("data-cut-by-{cut}"), &[rule], flags, "The file ends before the last tensor does.", &bytes);
    }
    let mut header = three().finish();
    header.truncate(header.len() - 128);
    group.bytes("no-data-section", &[Rule::DataBounds], &["Offset"], "The file ends where the data should begin.", &header);

    let mut unpadded = three();
    unpadded.tail = Some(Cow::Borrowed(&[]));
    group.draft(
        "end-unpadded",
        &[Rule::FinalPadding],
        &["Padding", "Boundary"],
        "The file ends with the last tensor's last byte, without padding.",
        &unpadded,
    );
    for (name, tail, rules) in [
        ("zeros-one-more", vec![0; 13], &[Rule::FinalPadding][..]),
        ("zeros-4096", vec![0; 4096], &[Rule::FinalPadding]),
        ("text-after-padding", [&[0; 12][..], b"trailing"].concat(), &[Rule::FinalPadding]),
        ("not-zero", [&[0; 11][..], b"\x01"].concat(), &[Rule::Padding]),
    ] {
        let mut draft = three();
        draft.tail = Some(Cow::Owned(tail));
        group.draft(&format!("end-{name}"), rules, &["Padding"], "Bytes after the last tensor.", &draft);
    }
    let mut another = three().finish();
    another.extend(three().finish());
    group.bytes(
        "end-another-file",
        &[Rule::FinalPadding],
        &["Padding", "Ambiguous"],
        "A whole second GGUF file after the first.",
        &another,
    );

    let table = three();
    let mut bytes = table.finish();
    let first = bytes.len() - 128 - 1;
    bytes[first] = 1;
    group.bytes("padding-before-data", &[Rule::Padding], &["Padding"], "A byte that is not 0 before the data section.", &bytes);
    let mut bytes = table.finish();
    let between = bytes.len() - 128 + 12;
    bytes[between] = 1;
    group.bytes("padding-between-tensors", &[Rule::Padding], &["Padding"], "A byte that is not 0 between two tensors.", &bytes);
    let mut zero_size = bases::bare();
    zero_size.tensor("a", &[0], WeightType::F32, vec![]).tensor("b", &[8], WeightType::F32, vec![1; 32]);
    group.draft(
        "empty-tensor-in-one-place-with-another",
        &[Rule::DimensionZero],
        &["Offset"],
        "A tensor without data shares its offset with the next: no byte belongs to both.",
        &zero_size,
    );
    group.finish()
}
