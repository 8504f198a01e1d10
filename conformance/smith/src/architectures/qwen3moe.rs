//! Qwen 3 with experts: a width of their own, weights of the chosen divided by their sum.

use crate::{
    model::Model,
    parameter::{BIASES, EPSILON, EXPERTS, HEAD, Parameter, ROTATION, TIED},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[
    &[HEAD, EPSILON, TIED, BIASES],
    ROTATION,
    EXPERTS,
    &[Parameter::new("expert-hidden", 0.0, "width of an expert; 0: that of a block's least stream")],
];
pub(super) const DEFAULTS: &[(&str, f64)] =
    &[("epsilon", 1e-6), ("rope-base", 1_000_000.0), ("head", 64.0), ("experts", 4.0)];

pub(super) fn describe(model: &mut Model) {
    let hidden = model.expert_hidden();
    model.keys();
    model.key_epsilon();
    model.key_u32("expert_count", model.count("experts"));
    model.key_u32("expert_used_count", model.count("experts-used"));
    model.key_u32("expert_feed_forward_length", hidden);
    model.vocabulary();
    model.embedding_or_output();
    model.layers(|model, _| {
        model.norm("attn_norm", model.width(), 1.0);
        model.attention(1.0);
        model.head_norms();
        model.norm("ffn_norm", model.width(), 1.0);
        model.experts(hidden);
    });
    model.output();
}
