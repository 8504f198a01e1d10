//! `OLMo` 2: nothing normed on its way in, everything on its way out; queries and keys normed over all heads.

use crate::{
    model::{Model, SHARP},
    parameter::{BIASES, EPSILON, Parameter, ROTATION, WINDOW},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[
    &[EPSILON, BIASES, WINDOW],
    ROTATION,
    &[Parameter::new("pattern", 0.0, "every this many layers one is global; 0: no such key, which means 4")],
];
/// Without windows, as `OLMo` 2 is; `OLMo` 3 has them.
pub(super) const DEFAULTS: &[(&str, f64)] =
    &[("epsilon", 1e-6), ("rope-base", 500_000.0), ("kv-heads", 4.0), ("window", 0.0)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    if model.is_on("window") {
        model.key_u32("attention.sliding_window", model.count("window"));
    }
    if model.is_on("pattern") {
        model.key_u32("attention.sliding_window_pattern", model.count("pattern"));
    }
    model.vocabulary();
    model.embedding(1.0);
    model.layers(|model, _| {
        let width = model.width();
        model.attention(1.0);
        model.norm("attn_q_norm", model.count("heads") * model.head(), SHARP);
        model.norm("attn_k_norm", model.count("kv-heads") * model.head(), SHARP);
        model.norm("post_attention_norm", width, 1.0);
        model.gated();
        model.norm("post_ffw_norm", width, 1.0);
    });
    model.output();
}
