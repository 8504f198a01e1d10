//! The reader: what is read back, where findings point, and that nothing in a file makes it panic.

use gguf::{Array, Draft, File, Finding, Mode, Rule, Split, Value, ValueType, WeightType};
use rstest::rstest;

fn small() -> Vec<u8> {
    let mut draft = Draft::new();
    draft
        .str("general.architecture", "vector")
        .u32("general.quantization_version", 2)
        .f32("vector.rope.freq_base", 1e4)
        .strings("tokenizer.ggml.tokens", &["<s>", "a", "b"])
        .tensor("token_embd.weight", &[32, 3], WeightType::Q4_0, vec![7; 3 * 18])
        .tensor("output_norm.weight", &[32], WeightType::F32, vec![0; 128]);
    draft.finish()
}

#[test]
fn what_was_written_is_read_back() {
    let bytes = small();
    let file = File::strict(&bytes).unwrap();
    assert_eq!((file.version(), file.alignment()), (3, 32));
    assert_eq!(file.architecture().unwrap(), "vector");
    assert_eq!(file.metadata().u64("general.quantization_version").unwrap(), Some(2));
    let tokens = file.metadata().array("tokenizer.ggml.tokens").unwrap().unwrap();
    let tokens: Vec<_> = tokens.values().collect();
    assert_eq!(tokens, [Value::String(b"<s>"), Value::String(b"a"), Value::String(b"b")]);
    assert_eq!(file.vocabulary_size(), Some(3));
    assert_eq!(file.dominant_weight_type(), Some(WeightType::F32));
    let tensor = file.tensor("token_embd.weight").unwrap();
    assert_eq!((tensor.row_len(), tensor.rows()), (32, 3));
    assert_eq!(file.data(tensor), vec![7; 54]);
    assert_eq!(file.tensor("output_norm.weight").unwrap().offset, file.data_offset() + 64);
}

fn flat(value: Value<'_>) -> String {
    match value {
        Value::Array(array) => format!("[{}]", array.values().map(flat).collect::<Vec<_>>().join(",")),
        value => value.summary(),
    }
}

#[test]
fn every_version_has_the_same_contents() {
    let bytes = small();
    let mut draft = Draft::from(&File::strict(&bytes).unwrap());
    let mut nested = Vec::new();
    for inner in [&["x", "yz"][..], &[]] {
        nested.extend(ValueType::String.id().to_le_bytes());
        nested.extend((inner.len() as u64).to_le_bytes());
        for text in inner {
            nested.extend((text.len() as u64).to_le_bytes());
            nested.extend(text.as_bytes());
        }
    }
    draft.array("nested", ValueType::Array.id(), 2, &nested);
    let bytes = draft.finish();
    draft.break_rule(Rule::VersionOne).unwrap();
    let old = draft.finish();
    assert!(old.len() < bytes.len());
    let (new, old) = (File::lenient(&bytes).unwrap(), File::lenient(&old).unwrap());
    assert_eq!((new.version(), old.version()), (3, 1));
    let contents =
        |file: &File<'_>| file.metadata().iter().map(|(key, value)| (key.to_string(), flat(value))).collect::<Vec<_>>();
    assert_eq!(contents(&new), contents(&old));
    assert_eq!(contents(&new).last().unwrap().1, "[[`x`,`yz`],[]]");
    for (a, b) in new.tensors().iter().zip(old.tensors()) {
        assert_eq!((a.name, a.dimensions, new.data(a)), (b.name, b.dimensions, old.data(b)));
    }
}

#[test]
fn empty_tensors_are_written_back_wherever_they_are() {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector").tensor("a", &[8], WeightType::F32, vec![1; 32]);
    draft.tensor("b", &[0], WeightType::F32, vec![]);
    draft.tensors[1].offset = Some(64);
    draft.tail = Some(vec![0; 64].into());
    let full = draft.finish();
    draft.tensors.remove(0);
    for bytes in [full, draft.finish()] {
        assert_eq!(Draft::from(&File::strict(&bytes).unwrap()).finish(), bytes);
    }
}

#[test]
fn texts_of_numbers_are_short() {
    for (value, text) in [
        (Value::F64(f64::from_bits(1)), "5e-324"),
        (Value::F64(f64::MAX), "1.7976931348623157e308"),
        (Value::F64(1e15), "1000000000000000"),
        (Value::F32(1e-5), "0.00001"),
    ] {
        assert_eq!(value.summary(), text);
    }
}

#[test]
fn every_truncation_is_an_error_and_no_panic() {
    let bytes = small();
    for len in 0..bytes.len() {
        assert!(File::lenient(&bytes[..len]).is_err(), "{len} bytes were accepted");
    }
}

#[test]
fn every_flipped_byte_is_read_or_refused_without_panic() {
    let bytes = small();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] ^= flip;
            assert!(File::strict(&broken).is_err() || File::lenient(&broken).is_ok(), "strict accepts what lenient does not");
            if let Ok(file) = File::lenient(&broken) {
                for tensor in file.tensors() {
                    let mut out = vec![0.0; tensor.elements() as usize];
                    gguf::codec::decode(tensor.weight_type, file.data(tensor), &mut out).unwrap();
                }
            }
        }
    }
}

fn patched(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = small();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

#[rstest]
#[case::empty(vec![], "the magic bytes at byte 0: found 0 bytes left in the file, expected at least 4 (rule truncated)")]
#[case::magic(patched(0, b"GGML"), "the magic bytes at byte 0: found `GGML`, expected `GGUF` (rule magic)")]
#[case::version(patched(4, &9u32.to_le_bytes()), "the version at byte 4: found 9, expected 2 or 3 (rule version)")]
#[case::big_endian(
    patched(4, &3u32.to_be_bytes()),
    "the version at byte 4: found 3, read as big-endian, expected a little-endian 2 or 3 (rule big-endian)"
)]
#[case::tensor_count(
    patched(8, &u64::MAX.to_le_bytes()),
    "the tensor count at byte 8: found 18446744073709551615, expected at most 22, as 528 bytes are left and each takes 24 or more (rule tensor-count)"
)]
#[case::key_length(
    patched(24, &(1u64 << 60).to_le_bytes()),
    "key 0 length at byte 24: found 1152921504606846976 bytes, expected at most 512, which are left in the file (rule string-length)"
)]
#[case::key(patched(32, &[0xff]), r"key 0 at byte 24: found `\xffeneral.architecture`, expected printable ASCII (rule key-charset)")]
#[case::value_type(
    patched(32 + 20, &13u32.to_le_bytes()),
    "key `general.architecture` type at byte 52: found 13, expected one of 0 (uint8) to 12 (float64) (rule value-type)"
)]
fn a_finding_names_rule_place_and_both_values(#[case] bytes: Vec<u8>, #[case] message: &str) {
    assert_eq!(File::strict(&bytes).unwrap_err().to_string(), message);
}

fn with_tensor(dimensions: &[u64], weight_type: WeightType, data: usize) -> Vec<u8> {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector").u32("general.quantization_version", 2);
    draft.tensor("t", dimensions, weight_type, vec![0; data]);
    draft.finish()
}

#[rstest]
#[case::partial_block(with_tensor(&[31], WeightType::Q4_0, 18), Rule::RowSize)]
#[case::elements(with_tensor(&[1024, 1024, 1 << 44], WeightType::F32, 32), Rule::ElementCount)]
#[case::bytes(with_tensor(&[1024, 1024, (1 << 42) + 1], WeightType::F32, 32), Rule::TensorSize)]
#[case::overflow_hidden_by_zero(with_tensor(&[1 << 40, 1 << 40, 0], WeightType::F32, 0), Rule::ElementCount)]
#[case::outside(with_tensor(&[64], WeightType::F32, 128), Rule::DataBounds)]
fn impossible_tensors_are_refused_in_both_modes(#[case] bytes: Vec<u8>, #[case] rule: Rule) {
    assert_eq!(File::strict(&bytes).unwrap_err().rule, rule);
    assert_eq!(File::lenient(&bytes).unwrap_err().rule, rule);
}

#[test]
fn of_two_values_the_last_counts_and_both_are_listed() {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector").u32("a", 1).u32("b", 2).u32("a", 3);
    draft.tensor("t", &[1], WeightType::F32, vec![1; 4]).tensor("t", &[2], WeightType::F32, vec![2; 8]);
    let bytes = draft.finish();
    let file = File::lenient(&bytes).unwrap();
    assert_eq!(file.metadata().get("a"), Some(Value::U32(3)));
    assert_eq!(file.metadata().len(), 4);
    assert_eq!(file.tensor("t").unwrap().row_len(), 2);
    assert_eq!(file.metadata().get("aa"), None);
    let rules: Vec<_> = file.tolerated().iter().map(|tolerated| (tolerated.finding.rule, tolerated.times)).collect();
    assert_eq!(rules, [(Rule::KeyDuplicate, 1), (Rule::TensorDuplicate, 1)]);
}

#[test]
fn findings_of_one_rule_are_counted_and_not_kept() {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector");
    for index in 0..100 {
        draft.u32(&format!("Key{index}"), 0);
    }
    let bytes = draft.finish();
    let file = File::strict(&bytes).unwrap();
    let [tolerated] = file.tolerated() else { panic!("{:?}", file.tolerated()) };
    assert_eq!((tolerated.finding.rule, tolerated.times), (Rule::KeySnakeCase, 100));
    assert_eq!(tolerated.finding.found, "`Key0`");
}

/// A file of a split model, with one tensor.
fn shard(number: u16, count: u16, tensors: i32, tensor: &str) -> Vec<u8> {
    let mut draft = Draft::new();
    if number == 0 {
        draft.str("general.architecture", "vector");
    }
    draft.value("split.no", Value::U16(number)).value("split.count", Value::U16(count));
    draft.value("split.tensors.count", Value::I32(tensors)).tensor(tensor, &[8], WeightType::F32, vec![number as u8; 32]);
    draft.finish()
}

fn join(shards: &[Vec<u8>]) -> Result<(usize, u8), Finding> {
    let files = shards.iter().map(|bytes| File::strict(bytes)).collect::<Result<Vec<_>, _>>()?;
    let split = Split::join(files, Mode::Strict)?;
    let (index, tensor) = split.tensor("b").unwrap();
    Ok((index, split.files()[index].data(tensor)[0]))
}

#[test]
fn a_split_model_is_one_model() {
    assert_eq!(join(&[shard(0, 2, 2, "a"), shard(1, 2, 2, "b")]), Ok((1, 1)));
    let single = small();
    assert_eq!(Split::join(vec![File::strict(&single).unwrap()], Mode::Strict).unwrap().files().len(), 1);
}

#[rstest]
#[case::missing(&[shard(0, 2, 2, "a")], "found split.no 0 and split.count 2, expected 0 and 1")]
#[case::order(&[shard(1, 2, 2, "a"), shard(0, 2, 2, "b")], "file 1 of the split model")]
#[case::count(&[shard(0, 2, 3, "a"), shard(1, 2, 3, "b")], "expected 2, which the files hold together")]
#[case::twice(&[shard(0, 2, 2, "b"), shard(1, 2, 2, "b")], "tensor `b`")]
#[case::not_split(&[shard(0, 2, 3, "a"), small()], "no `split.*` keys")]
fn shards_that_do_not_fit_are_refused(#[case] shards: &[Vec<u8>], #[case] part: &str) {
    let finding = join(shards).unwrap_err();
    assert_eq!(finding.rule, Rule::SplitShards);
    assert!(finding.to_string().contains(part), "{finding}");
}

#[test]
fn arrays_of_arrays_are_walked_and_not_recursed_over() {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector");
    // 200 thousand levels: a reader that recurses dies of this.
    let mut value = Vec::new();
    for _ in 0..200_000 {
        value.extend(ValueType::Array.id().to_le_bytes());
        value.extend(1u64.to_le_bytes());
    }
    draft.key("deep", ValueType::Array.id(), value);
    assert_eq!(File::lenient(&draft.finish()).unwrap_err().rule, Rule::ArrayDepth);
    let depth = |value: Value<'_>| -> usize {
        let (mut depth, mut value) = (0, Some(value));
        while let Some(Value::Array(array)) = value {
            depth += 1;
            value = Array::values(array).next();
        }
        depth
    };
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector");
    draft.break_rule(Rule::ArrayNested).unwrap();
    let bytes = draft.finish();
    assert_eq!(depth(File::strict(&bytes).unwrap().metadata().get("vector.key").unwrap()), 2);
}
