//! Gemma 2: as Gemma 3 without norms of queries and keys, with soft caps on scores and logits, and with every other layer sliding.

use crate::{
    model::{Model, SHARP},
    parameter::{BIASES, EPSILON, HEAD, Parameter, ROTATION},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[
    &[HEAD, EPSILON, BIASES],
    ROTATION,
    &[
        Parameter::new("window", 16.0, "positions that a sliding layer sees; 0: no such key, which means 4096"),
        Parameter::new("pattern", 0.0, "every this many layers one is global; 0: no such key, which means 2"),
        Parameter::real("score-cap", 5.0, "soft cap of the attention scores; 0: no such key, which means 50"),
        Parameter::real("logit-cap", 5.0, "soft cap of the logits; 0: no such key, which means 30"),
    ],
];
/// An epsilon that shows through the noise of GELU by a table.
pub(super) const DEFAULTS: &[(&str, f64)] = &[("epsilon", 1e-3)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    for (key, parameter) in [("attention.sliding_window", "window"), ("attention.sliding_window_pattern", "pattern")] {
        if model.is_on(parameter) {
            model.key_u32(key, model.count(parameter));
        }
    }
    // Caps of the size of what they cap: those of the real models, 50 and 30, would hardly bend the numbers of a tiny one.
    for (key, parameter) in [("attn_logit_softcapping", "score-cap"), ("final_logit_softcapping", "logit-cap")] {
        if model.is_on(parameter) {
            model.key_f32(key, model.real(parameter));
        }
    }
    model.vocabulary();
    model.embedding(2.0 / (model.width() as f32).sqrt());
    model.layers(|model, _| {
        let width = model.width();
        model.norm("attn_norm", width, 1.0);
        model.attention(SHARP);
        model.norm("post_attention_norm", width, 1.0);
        model.norm("ffn_norm", width, 1.0);
        model.gated();
        model.norm("post_ffw_norm", width, 2.0);
    });
    model.norm("output_norm", model.width(), 1.0);
}
