//! Qwen 2: Llama with biases on queries, keys and values.

use crate::{
    model::Model,
    parameter::{BIASES, EPSILON, Parameter, ROTATION, TIED},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[&[EPSILON, TIED, BIASES], ROTATION];
pub(super) const DEFAULTS: &[(&str, f64)] = &[("epsilon", 1e-6), ("rope-base", 1_000_000.0), ("biases", 1.0)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    model.vocabulary();
    model.embedding_or_output();
    model.llama_layers();
    model.output();
}
