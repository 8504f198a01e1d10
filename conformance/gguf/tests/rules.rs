//! Every rule, broken alone: strict and lenient reading report exactly that one, at the place where it is broken.

use gguf::{Draft, File, Rule, Severity, Value, WeightType};
use rstest::rstest;

/// A file of no architecture that anybody knows.
fn format() -> Draft<'static> {
    let mut draft = Draft::new();
    draft
        .str("general.architecture", "vector")
        .u32("general.quantization_version", 2)
        .strings("tokenizer.ggml.tokens", &["<s>", "a", "b"])
        .f32s("tokenizer.ggml.scores", &[0.0, -1.0, -2.0])
        .i32s("tokenizer.ggml.token_type", &[3, 1, 1])
        .tensor("a", &[32, 3], WeightType::Q4_0, vec![7; 3 * 18])
        .tensor("b", &[32], WeightType::F32, vec![0; 128]);
    draft
}

/// A whole Llama of one layer.
fn model() -> Draft<'static> {
    let mut draft = Draft::new();
    draft
        .str("general.architecture", "llama")
        .u32("llama.context_length", 16)
        .u32("llama.embedding_length", 8)
        .u32("llama.block_count", 1)
        .u32("llama.feed_forward_length", 8)
        .u32("llama.attention.head_count", 2)
        .u32("llama.attention.head_count_kv", 1)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .u32("llama.rope.dimension_count", 4)
        .str("tokenizer.ggml.model", "llama")
        .strings("tokenizer.ggml.tokens", &["<unk>", "<s>", "</s>", "a"])
        .f32s("tokenizer.ggml.scores", &[0.0; 4])
        .i32s("tokenizer.ggml.token_type", &[2, 3, 3, 1])
        .u32("tokenizer.ggml.bos_token_id", 1);
    for (name, dimensions) in [
        ("token_embd.weight", &[8, 4][..]),
        ("blk.0.attn_norm.weight", &[8]),
        ("blk.0.attn_q.weight", &[8, 8]),
        ("blk.0.attn_k.weight", &[8, 4]),
        ("blk.0.attn_v.weight", &[8, 4]),
        ("blk.0.attn_output.weight", &[8, 8]),
        ("blk.0.ffn_norm.weight", &[8]),
        ("blk.0.ffn_gate.weight", &[8, 8]),
        ("blk.0.ffn_up.weight", &[8, 8]),
        ("blk.0.ffn_down.weight", &[8, 8]),
        ("output_norm.weight", &[8]),
    ] {
        draft.tensor(name, dimensions, WeightType::F32, vec![0; dimensions.iter().product::<u64>() as usize * 4]);
    }
    draft
}

/// The rules that a file breaks.
fn broken(bytes: &[u8]) -> Vec<Rule> {
    match File::lenient(bytes) {
        Ok(file) => file.tolerated().iter().map(|tolerated| tolerated.finding.rule).collect(),
        Err(finding) => vec![finding.rule],
    }
}

#[rstest]
#[case::format(format())]
#[case::model(model())]
fn the_bases_are_valid(#[case] draft: Draft<'_>) {
    let bytes = draft.finish();
    let file = File::strict(&bytes).unwrap();
    assert!(file.tolerated().is_empty(), "{:?}", file.tolerated());
    assert_eq!(Draft::from(&file).finish(), bytes);
}

/// Rules that a base has nothing to break with.
const NOT_BY_FORMAT: [Rule; 6] =
    [Rule::KeyMissing, Rule::KeyValue, Rule::TensorMissing, Rule::TensorShape, Rule::TensorUnexpected, Rule::SplitShards];
const NOT_BY_MODEL: [Rule; 2] = [Rule::QuantizationVersion, Rule::SplitShards];

#[rstest]
#[case::format(format(), &NOT_BY_FORMAT)]
#[case::model(model(), &NOT_BY_MODEL)]
fn every_rule_is_broken_alone_and_reported(#[case] base: Draft<'_>, #[case] not_here: &[Rule]) {
    for &rule in Rule::ALL {
        let mut draft = base.clone();
        let result = draft.break_rule(rule);
        assert_eq!(result.is_err(), not_here.contains(&rule), "{rule}: {result:?}");
        if result.is_err() {
            continue;
        }
        let bytes = draft.finish();
        assert_eq!(broken(&bytes), [rule], "{rule}");
        match (rule.severity(), File::strict(&bytes)) {
            (Severity::Acceptable, Ok(file)) => {
                assert_eq!(file.tolerated().len(), 1);
                assert_eq!(file.tolerated()[0].finding.rule, rule);
            }
            (Severity::Invalid | Severity::Unsupported, Err(finding)) => {
                assert_eq!(finding.rule, rule);
                assert!(finding.offset <= bytes.len() as u64);
            }
            (severity, result) => panic!("{rule} is {severity:?}, and strict reading gave {result:?}"),
        }
    }
}

#[test]
fn the_first_file_a_model_is_split_into_needs_no_tensor() {
    let mut draft = model();
    draft.tensors.truncate(3);
    draft.value("split.no", Value::U16(0)).value("split.count", Value::U16(2)).value("split.tensors.count", Value::I32(11));
    assert_eq!(broken(&draft.finish()), []);
}
