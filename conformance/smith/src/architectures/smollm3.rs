//! `SmolLM` 3: Llama with a fourth layer that does not rotate. Heads of 128, because candle can load no others.

use crate::{
    model::{Model, VOCABULARY_SIZE},
    parameter::{BIASES, EPSILON, HEAD, Parameter, ROTATION, TIED},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[&[HEAD, EPSILON, TIED, BIASES], ROTATION];
pub(super) const DEFAULTS: &[(&str, f64)] =
    &[("layers", 4.0), ("epsilon", 1e-6), ("rope-base", 2_000_000.0), ("head", 128.0), ("heads", 2.0), ("tied", 1.0)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    model.key_u32("vocab_size", VOCABULARY_SIZE);
    model.vocabulary();
    model.embedding_or_output();
    model.llama_layers();
    model.output();
}
