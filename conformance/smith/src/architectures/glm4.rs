//! GLM 4: norms before and after each block, biases, half of each head rotates, gate and up in one tensor.

use crate::{
    model::{Model, SHARP},
    parameter::{BIASES, EPSILON, HEAD, Parameter, ROTATED, ROTATION, TIED},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[&[HEAD, ROTATED, EPSILON, TIED, BIASES], ROTATION];
pub(super) const DEFAULTS: &[(&str, f64)] = &[("biases", 1.0)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    model.vocabulary();
    model.embedding_or_output();
    model.layers(|model, _| {
        let width = model.width();
        model.norm("attn_norm", width, 1.0);
        model.attention(SHARP);
        model.norm("post_attention_norm", width, 1.0);
        model.norm("ffn_norm", width, 1.0);
        model.gated_in_one();
        model.norm("post_ffw_norm", width, 1.0);
    });
    model.output();
}
