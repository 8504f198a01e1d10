//! Llama and Mixtral: pre-norm, grouped-query attention with adjacent elements that rotate together, `SwiGLU` or experts.

use crate::{
    model::{Model, SHARP, VOCABULARY_SIZE},
    parameter::{BIASES, EPSILON, EXPERTS, HEAD, Parameter, ROTATION, TIED},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[
    &[HEAD, EPSILON, TIED, BIASES],
    ROTATION,
    EXPERTS,
    &[Parameter::real("rope-factors", 0.0, "largest divisor of the frequencies (tensor rope_freqs); 0: no such tensor")],
];
pub(super) const DEFAULTS: &[(&str, f64)] = &[];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    model.key_u32("vocab_size", VOCABULARY_SIZE);
    let experts = model.count("experts");
    if experts > 0 {
        model.key_u32("expert_count", experts);
        model.key_u32("expert_used_count", model.count("experts-used"));
    }
    model.vocabulary();
    model.embedding_or_output();
    if model.is_on("rope-factors") {
        model.factors("rope_freqs", model.real("rope-factors") as f32);
    }
    model.layers(|model, _| {
        model.norm("attn_norm", model.width(), 1.0);
        model.attention(SHARP);
        model.norm("ffn_norm", model.width(), 1.0);
        if experts > 0 {
            model.experts(model.hidden());
        } else {
            model.gated();
        }
    });
    model.output();
}
