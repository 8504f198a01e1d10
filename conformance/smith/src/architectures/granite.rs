//! Granite 3: Llama with scales of its own on embeddings, residuals, attention and logits.

use crate::{
    model::Model,
    parameter::{BIASES, EPSILON, HEAD, Parameter, ROTATION, TIED},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[
    &[HEAD, EPSILON, TIED, BIASES],
    ROTATION,
    &[
        Parameter::real("embedding-scale", 3.0, "factor on embeddings; 0: no such key"),
        Parameter::real("residual-scale", 0.5, "factor on what is added to the stream; 0: no such key"),
        Parameter::real("attention-scale", 0.2, "factor on scores; 0: no such key, which means one over the root of the head"),
        Parameter::real("logit-scale", 2.0, "divisor of logits"),
        Parameter::new("rotates", 1.0, "0: no layer rotates (rope.scaling.finetuned is false)"),
    ],
];
pub(super) const DEFAULTS: &[(&str, f64)] = &[];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    for (key, parameter) in [
        ("embedding_scale", "embedding-scale"),
        ("residual_scale", "residual-scale"),
        ("attention.scale", "attention-scale"),
        ("logit_scale", "logit-scale"),
    ] {
        if model.is_on(parameter) {
            model.key_f32(key, model.real(parameter));
        }
    }
    if !model.is_on("rotates") {
        model.key_bool("rope.scaling.finetuned", false);
    }
    model.vocabulary();
    model.embedding_or_output();
    model.llama_layers();
    model.output();
}
