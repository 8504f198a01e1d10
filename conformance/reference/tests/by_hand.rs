//! A model of one layer, worked by hand: every step in closed form, written without the crate's own operations.

use approx::assert_relative_eq;
use gguf::{Draft, File, WeightType};
use reference::{Rounding, Weights, architectures};

/// Width 2, one head, hidden size 1, three tokens. Matrices are given row by row, one row an output.
fn model(activation_gain: f32) -> Vec<u8> {
    let mut draft = Draft::new();
    draft
        .str("general.architecture", "llama")
        .u32("llama.block_count", 1)
        .u32("llama.context_length", 8)
        .u32("llama.embedding_length", 2)
        .u32("llama.feed_forward_length", 1)
        .u32("llama.attention.head_count", 1)
        .f32("llama.attention.layer_norm_rms_epsilon", 0.0);
    let mut tensor = |name: &str, dimensions: &[u64], values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        draft.tensor(name, dimensions, WeightType::F32, bytes);
    };
    tensor("token_embd.weight", &[2, 3], &[1.0, 1.0, 1.0, -1.0, 2.0, 0.0]);
    tensor("blk.0.attn_norm.weight", &[2], &[1.0, 1.0]);
    tensor("blk.0.attn_q.weight", &[2, 2], &[1.0, 0.0, 0.0, 0.0]);
    tensor("blk.0.attn_k.weight", &[2, 2], &[1.0, 0.0, 0.0, 0.0]);
    tensor("blk.0.attn_v.weight", &[2, 2], &[0.0, 1.0, 0.0, 0.0]);
    tensor("blk.0.attn_output.weight", &[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    tensor("blk.0.ffn_norm.weight", &[2], &[1.0, 1.0]);
    tensor("blk.0.ffn_gate.weight", &[2, 1], &[activation_gain, 0.0]);
    tensor("blk.0.ffn_up.weight", &[2, 1], &[0.0, 1.0]);
    tensor("blk.0.ffn_down.weight", &[1, 2], &[0.0, 1.0]);
    tensor("output_norm.weight", &[2], &[1.0, 1.0]);
    draft.finish()
}

fn rms(x: [f64; 2]) -> [f64; 2] {
    let scale = f64::midpoint(x[0] * x[0], x[1] * x[1]).sqrt();
    [x[0] / scale, x[1] / scale]
}

fn silu(x: f64) -> f64 {
    x * (1.0 / (1.0 + f64::exp(-x)))
}

#[test]
fn two_positions_of_one_layer() {
    let bytes = model(1.0);
    let weights = Weights::new(File::lenient(&bytes).unwrap()).unwrap();
    let model = architectures::load(&weights).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let hidden = model.hidden(&[0, 1], &Rounding::EXACT);

    // Position 0: token 0 is (1, 1), already normed. It attends to itself alone; its value is (1, 0).
    let after_attention = [1.0 + 1.0, 1.0];
    let x = rms(after_attention);
    let expected = rms([after_attention[0], after_attention[1] + silu(x[0]) * x[1]]);
    assert_relative_eq!(hidden.row(0)[0], expected[0], epsilon = 1e-14);
    assert_relative_eq!(hidden.row(0)[1], expected[1], epsilon = 1e-14);

    // Position 1: token 1 is (1, -1), already normed. Queries and keys are (1, 0) before they rotate, by 1 radian a position,
    // so the scores are cos(1) and 1 over sqrt(2); the values are (1, 0) and (-1, 0).
    let (far, near) = ((1f64.cos() / 2f64.sqrt()).exp(), (1.0 / 2f64.sqrt()).exp());
    let attended = (far - near) / (far + near);
    let after_attention = [1.0 + attended, -1.0];
    let x = rms(after_attention);
    let expected = rms([after_attention[0], after_attention[1] + silu(x[0]) * x[1]]);
    assert_relative_eq!(hidden.row(1)[0], expected[0], epsilon = 1e-14);
    assert_relative_eq!(hidden.row(1)[1], expected[1], epsilon = 1e-14);

    // The output is tied to the embedding: logits are products with its rows.
    let logits = model.output.multiply(&hidden, &Rounding::EXACT);
    assert_relative_eq!(logits.row(1)[2], 2.0 * expected[0], epsilon = 1e-14);
    assert_relative_eq!(logits.row(1)[1], expected[0] - expected[1], epsilon = 1e-14);
}

#[test]
fn a_changed_weight_changes_the_result() {
    let hidden = |bytes: &[u8]| {
        let weights = Weights::new(File::lenient(bytes).unwrap()).unwrap();
        architectures::load(&weights).unwrap_or_else(|refusal| panic!("{refusal:?}")).hidden(&[0], &Rounding::EXACT)
    };
    assert_ne!(hidden(&model(1.0)), hidden(&model(1.5)));
}

#[test]
fn what_the_specification_does_not_know_is_refused() {
    let mut draft = Draft::new();
    draft.str("general.architecture", "mamba");
    let bytes = draft.finish();
    let weights = Weights::new(File::lenient(&bytes).unwrap()).unwrap();
    let refusal = architectures::load(&weights).err().unwrap();
    assert!(matches!(refusal, vocabulary::Refusal::Unsupported(reason) if reason.contains("mamba")));
}

#[test]
fn a_tensor_of_another_shape_is_refused_in_words() {
    let bytes = model(1.0);
    let mut draft = Draft::from(&File::lenient(&bytes).unwrap());
    draft.u32("llama.feed_forward_length", 3);
    let bytes = draft.finish();
    let weights = Weights::new(File::lenient(&bytes).unwrap()).unwrap();
    let Some(vocabulary::Refusal::Rejected(rejection)) = architectures::load(&weights).err() else {
        panic!("the model was loaded");
    };
    assert_eq!(rejection.message, "tensor `blk.0.ffn_gate.weight` has dimensions 2 x 1, not 2 x 3");
}
