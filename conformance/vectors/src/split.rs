//! Split models: files that are one, and files that say they are.

use crate::{Builder, Group, VectorFile, bases, parts};
use gguf::{Draft, Rule, Value};

/// One file of the tiny Llama, with its tensors `from..to`.
fn shard(number: u16, count: u16, tensors: i32, from: usize, to: usize) -> Draft<'static> {
    let mut draft = if number == 0 { bases::llama() } else { Draft::new() };
    draft.tensors.clear();
    for (name, dimensions) in &bases::LLAMA_TENSORS[from..to] {
        bases::numbered(&mut draft, name, dimensions);
    }
    draft.value("split.no", Value::U16(number)).value("split.count", Value::U16(count));
    draft.value("split.tensors.count", Value::I32(tensors));
    draft
}

fn files(shards: &[Draft<'_>]) -> Vec<VectorFile> {
    let name = |index: usize| format!("model-{:05}-of-{:05}.gguf", index + 1, shards.len());
    shards.iter().enumerate().map(|(index, shard)| parts::file(&name(index), &shard.finish())).collect()
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new("split", "Split models: several files, numbered by name and by key, that make up one.");
    group.note("Split", "The first file is given to the reader; the others lie beside it under their names.");

    let wrong = &[Rule::SplitShards];
    let tensors = bases::LLAMA_TENSORS.len() as i32;
    let two = [shard(0, 2, tensors, 0, 5), shard(1, 2, tensors, 5, 11)];
    group.add("two-files", &[], &["Split"], "A model in two files.", files(&two));
    let three = [shard(0, 3, tensors, 0, 2), shard(1, 3, tensors, 2, 8), shard(2, 3, tensors, 8, 11)];
    group.add("three-files", &[], &["Split"], "A model in three files.", files(&three));
    let metadata_first = [shard(0, 2, tensors, 0, 0), shard(1, 2, tensors, 0, 11)];
    group.add("metadata-alone-first", &[], &["Split"], "A first file with metadata and no tensor.", files(&metadata_first));

    let mut missing = files(&two);
    missing.truncate(1);
    group.add("second-file-missing", wrong, &["Split"], "The second of two files is not there.", missing);
    let mut middle = files(&three);
    middle.remove(1);
    group.add("middle-file-missing", wrong, &["Split"], "The second of three files is not there.", middle);
    let swapped = [shard(1, 2, tensors, 0, 5), shard(0, 2, tensors, 5, 11)];
    group.add(
        "numbers-swapped",
        wrong,
        &["Split", "Ambiguous"],
        "Names and keys number the files differently.",
        files(&swapped),
    );
    let same = [shard(0, 2, tensors, 0, 5), shard(0, 2, tensors, 5, 11)];
    group.add("same-number-twice", wrong, &["Split"], "Both files say that they are the first.", files(&same));
    let counts = [shard(0, 2, tensors, 0, 5), shard(1, 3, tensors, 5, 11)];
    group.add("counts-differ", wrong, &["Split"], "The files disagree on how many they are.", files(&counts));
    for (name, tensors, boundary) in
        [("one-tensor-more", tensors + 1, true), ("one-tensor-less", tensors - 1, true), ("no-tensors", 0, false)]
    {
        let shards = [shard(0, 2, tensors, 0, 5), shard(1, 2, tensors, 5, 11)];
        let flags: &[&str] = if boundary { &["Split", "Boundary"] } else { &["Split"] };
        group.add(
            &format!("counted-{name}"),
            wrong,
            flags,
            "The number of tensors is not that of the files together.",
            files(&shards),
        );
    }
    let twice = [shard(0, 2, tensors + 1, 0, 6), shard(1, 2, tensors + 1, 5, 11)];
    group.add("tensor-in-two-files", wrong, &["Split", "Ambiguous"], "A tensor in both files.", files(&twice));

    for (name, number, count, tensors, boundary) in [
        ("number-is-the-count", Value::U16(1), Value::U16(1), Value::I32(11), true),
        ("number-beyond-the-count", Value::U16(7), Value::U16(2), Value::I32(11), false),
        ("count-zero", Value::U16(0), Value::U16(0), Value::I32(11), true),
        ("number-of-u32", Value::U32(0), Value::U16(1), Value::I32(11), false),
        ("count-of-u32", Value::U16(0), Value::U32(1), Value::I32(11), false),
        ("tensors-of-u32", Value::U16(0), Value::U16(1), Value::U32(11), false),
        ("tensors-negative", Value::U16(0), Value::U16(1), Value::I32(-1), false),
    ] {
        let mut draft = bases::llama();
        draft.value("split.no", number).value("split.count", count).value("split.tensors.count", tensors);
        let flags: &[&str] = if boundary { &["Split", "Boundary"] } else { &["Split"] };
        group.draft(&format!("keys-{name}"), &[Rule::SplitKeys], flags, "Keys of a split model that make no sense.", &draft);
    }
    for (name, number) in [("u32", Value::U32(1)), ("string", Value::String(b"1"))] {
        let mut second = shard(1, 2, tensors, 5, 11);
        second.remove_key("split.no").value("split.no", number);
        let comment = "The second file's number has another type.";
        let files = files(&[shard(0, 2, tensors, 0, 5), second]);
        group.add(&format!("second-file-number-of-{name}"), &[Rule::SplitKeys], &["Split"], comment, files);
    }
    let mut alone = bases::llama();
    alone.value("split.no", Value::U16(0)).value("split.count", Value::U16(1)).value("split.tensors.count", Value::I32(11));
    group.draft("one-of-one", &[], &["Split", "Boundary"], "A split model of one file.", &alone);
    let mut partly = bases::llama();
    partly.value("split.count", Value::U16(1));
    group.draft("keys-count-alone", &[Rule::SplitKeys], &["Split"], "The count without the number.", &partly);
    group.finish()
}
