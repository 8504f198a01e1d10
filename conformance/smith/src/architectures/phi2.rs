//! Phi 2: layer norms, biases everywhere, one norm for attention and feed-forward part, half of each head rotates, GELU without a gate.

use crate::{
    model::{Model, SHARP, VOCABULARY_SIZE},
    parameter::{EPSILON, Parameter, ROTATED, ROTATION},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[&[ROTATED, EPSILON], ROTATION];
pub(super) const DEFAULTS: &[(&str, f64)] = &[("kv-heads", 4.0), ("epsilon", 1e-3)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_f32("attention.layer_norm_epsilon", model.real("epsilon"));
    model.vocabulary();
    model.embedding(1.0);
    model.layers(|model, _| {
        let (width, hidden) = (model.width(), model.hidden());
        model.norm("attn_norm", width, 1.0);
        model.bias("attn_norm", width, 0.5);
        model.fused_attention(SHARP);
        model.bias("attn_qkv", (model.count("heads") + 2 * model.count("kv-heads")) * model.head(), 0.5);
        model.bias("attn_output", width, 0.5);
        model.matrix("ffn_up", width, hidden, 1.5);
        model.bias("ffn_up", hidden, 0.5);
        model.matrix("ffn_down", hidden, width, 1.0);
        model.bias("ffn_down", width, 0.5);
    });
    model.norm("output_norm", model.width(), 1.0);
    model.bias("output_norm", model.width(), 0.5);
    model.matrix("output", model.width(), VOCABULARY_SIZE, 2.0);
    model.bias("output", VOCABULARY_SIZE, 1.0);
}
