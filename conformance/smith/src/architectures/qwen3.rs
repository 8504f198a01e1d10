//! Qwen 3: Llama with normed queries and keys, whose gains set the attention logits.

use crate::{
    model::Model,
    parameter::{BIASES, EPSILON, HEAD, Parameter, ROTATION, TIED},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[&[HEAD, EPSILON, TIED, BIASES], ROTATION];
pub(super) const DEFAULTS: &[(&str, f64)] = &[("epsilon", 1e-6), ("rope-base", 1_000_000.0), ("head", 64.0)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    model.vocabulary();
    model.embedding_or_output();
    model.layers(|model, _| {
        model.norm("attn_norm", model.width(), 1.0);
        model.attention(1.0);
        model.head_norms();
        model.norm("ffn_norm", model.width(), 1.0);
        model.gated();
    });
    model.output();
}
