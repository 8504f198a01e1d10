//! The reader against files with something wrong in them: kind, field and offset of the error.

use gguf::{File, Problem, Value, WeightType, Writer};
use rstest::rstest;

fn small() -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .str("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .f32("llama.rope.freq_base", 1e4)
        .strings("tokenizer.ggml.tokens", &["<s>", "a", "b"])
        .tensor("token_embd.weight", &[32, 3], WeightType::Q4_0, vec![7; 3 * 18])
        .tensor("output_norm.weight", &[32], WeightType::F32, vec![0; 128]);
    writer.finish()
}

#[test]
fn what_the_writer_wrote_is_read_back() {
    let bytes = small();
    let file = File::parse(&bytes).unwrap();
    assert_eq!((file.version(), file.alignment()), (3, 32));
    assert_eq!(file.architecture().unwrap(), "llama");
    assert_eq!(file.metadata().u64("llama.block_count").unwrap(), Some(2));
    let tokens = file.metadata().array("tokenizer.ggml.tokens").unwrap().unwrap();
    let tokens: Vec<_> = tokens.values().collect();
    assert_eq!(tokens, [Value::String(b"<s>"), Value::String(b"a"), Value::String(b"b")]);
    assert_eq!(file.vocabulary_size(), Some(3));
    assert_eq!(file.dominant_weight_type(), Some(WeightType::F32));
    let tensor = file.tensor("token_embd.weight").unwrap();
    assert_eq!((tensor.row_len(), tensor.rows()), (32, 3));
    assert_eq!(file.data(tensor), vec![7; 54]);
}

#[test]
fn every_truncation_is_an_error_and_no_panic() {
    let bytes = small();
    for len in 0..bytes.len() {
        assert!(File::parse(&bytes[..len]).is_err(), "{len} bytes were accepted");
    }
}

#[test]
fn every_flipped_byte_is_read_or_refused_without_panic() {
    let bytes = small();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] ^= flip;
            if let Ok(file) = File::parse(&broken) {
                for tensor in file.tensors() {
                    let mut out = vec![0.0; (tensor.row_len() * tensor.rows()) as usize];
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
#[case::magic(patched(0, b"GGML"), 0, Problem::NotGguf { found: *b"GGML" })]
#[case::version(patched(4, &9u32.to_le_bytes()), 4, Problem::Version(9))]
#[case::big_endian(patched(4, &3u32.to_be_bytes()), 4, Problem::BigEndian { version: 3 })]
#[case::tensor_count(patched(8, &u64::MAX.to_le_bytes()), 8, Problem::Truncated { needed: u64::MAX, available: small().len() as u64 - 16 })]
#[case::key_length(patched(24, &(1u64 << 60).to_le_bytes()), 32, Problem::Truncated { needed: 1 << 60, available: small().len() as u64 - 32 })]
#[case::key_utf8(patched(32, &[0xff]), 24, Problem::Utf8)]
#[case::value_type(patched(32 + 20, &13u32.to_le_bytes()), 52, Problem::ValueType(13))]
#[case::empty(vec![], 0, Problem::Truncated { needed: 4, available: 0 })]
fn a_broken_header_names_the_place(#[case] bytes: Vec<u8>, #[case] offset: u64, #[case] problem: Problem) {
    let error = File::parse(&bytes).unwrap_err();
    assert_eq!((error.offset, &error.problem), (offset, &problem), "{error}");
}

fn with_tensor(dimensions: &[u64], weight_type: WeightType, data: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.str("general.architecture", "llama").tensor("t", dimensions, weight_type, vec![0; data]);
    writer.finish()
}

#[rstest]
#[case::partial_block(with_tensor(&[31], WeightType::Q4_0, 18), "rows of 31 elements cannot be q4_0 blocks of 32, in tensor `t` size at byte 69")]
#[case::overflow(with_tensor(&[1024, 1024, (1 << 42) + 1], WeightType::F32, 32), "the tensor's size overflows, in tensor `t` size at byte 69")]
#[case::overflow_hidden_by_zero(with_tensor(&[1 << 40, 1 << 40, 0], WeightType::F32, 0), "the tensor's size overflows, in tensor `t` size at byte 69")]
#[case::outside(with_tensor(&[64], WeightType::F32, 128), "tensor data ends at byte 384, but the file has 256: it is truncated, or its header is wrong, in tensor `t` offset at byte 94")]
fn a_broken_tensor_names_the_place(#[case] bytes: Vec<u8>, #[case] message: &str) {
    assert_eq!(File::parse(&bytes).unwrap_err().to_string(), message);
}

#[test]
fn names_that_occur_twice_are_refused() {
    let mut writer = Writer::new();
    writer.u32("a", 1).u32("b", 2).u32("a", 3);
    let error = File::parse(&writer.finish()).unwrap_err();
    assert_eq!(error.problem, Problem::Duplicate("a".into()));
    let mut writer = Writer::new();
    writer.tensor("t", &[1], WeightType::F32, vec![0; 4]).tensor("t", &[1], WeightType::F32, vec![0; 4]);
    assert_eq!(File::parse(&writer.finish()).unwrap_err().problem, Problem::Duplicate("t".into()));
}
