//! Phi 3: Llama with fused tensors, and with divisors of the frequencies for short prompts and for long ones.

use crate::{
    model::{Model, SHARP},
    parameter::{EPSILON, Parameter, ROTATED, ROTATION, TIED, WINDOW},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[
    &[ROTATED, EPSILON, TIED, WINDOW],
    ROTATION,
    &[
        Parameter::real("short-factor", 0.0, "largest divisor of the frequencies in short prompts; 0: no such tensor"),
        Parameter::real("long-factor", 0.0, "the same in prompts longer than rope-context; 0: no such tensor"),
    ],
];
/// All of a head rotates, as in Phi 3; no window, because llama.cpp has switched Phi's off.
pub(super) const DEFAULTS: &[(&str, f64)] = &[("rotated", 1.0), ("window", 0.0)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    if model.is_on("window") {
        model.key_u32("attention.sliding_window", model.count("window"));
    }
    if model.is_on("long-factor") && model.count("rope-scaling") == 0 {
        model.key_u32("rope.scaling.original_context_length", model.count("rope-context"));
    }
    model.vocabulary();
    model.embedding_or_output();
    for (name, parameter) in [("rope_factors_long", "long-factor"), ("rope_factors_short", "short-factor")] {
        if model.is_on(parameter) {
            model.factors(name, model.real(parameter) as f32);
        }
    }
    model.layers(|model, _| {
        model.norm("attn_norm", model.width(), 1.0);
        model.fused_attention(SHARP);
        model.norm("ffn_norm", model.width(), 1.0);
        model.gated_in_one();
    });
    model.output();
}
