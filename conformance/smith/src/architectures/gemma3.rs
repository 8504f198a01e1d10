//! Gemma 3: norms before and after each block, normed queries and keys, five sliding layers to a global one, `GeGLU`, output
//! tied to the embedding.

use crate::{
    model::Model,
    parameter::{BIASES, EPSILON, HEAD, Parameter, ROTATION, TIED, WINDOW},
};

pub(super) const PARAMETERS: &[&[Parameter]] = &[
    &[HEAD, EPSILON, TIED, BIASES, WINDOW],
    ROTATION,
    &[
        Parameter::new("pattern", 0.0, "every this many layers one is global; 0: no such key, which means 6"),
        Parameter::real("sliding-rope-base", 0.0, "base of the frequencies of sliding layers; 0: no such key, which means 10000"),
        Parameter::real("logit-cap", 0.0, "soft cap of the logits; 0: none"),
    ],
];
/// Six layers, because the sixth is the first with global attention; an epsilon that shows through the noise of GELU by a table.
pub(super) const DEFAULTS: &[(&str, f64)] =
    &[("layers", 6.0), ("epsilon", 1e-3), ("rope-base", 1_000_000.0), ("tied", 1.0)];

pub(super) fn describe(model: &mut Model) {
    model.keys();
    model.key_epsilon();
    if model.is_on("window") {
        model.key_u32("attention.sliding_window", model.count("window"));
    }
    if model.is_on("pattern") {
        model.key_u32("attention.sliding_window_pattern", model.count("pattern"));
    }
    if model.is_on("sliding-rope-base") {
        model.key_f32("rope.freq_base_swa", model.real("sliding-rope-base"));
    }
    if model.is_on("logit-cap") {
        model.key_f32("final_logit_softcapping", model.real("logit-cap"));
    }
    model.vocabulary();
    // The embedding is multiplied by the root of the width on its way in, and is the output matrix on its way out.
    model.embedding(2.0 / (model.width() as f32).sqrt());
    model.layers(|model, _| {
        let width = model.width();
        model.norm("attn_norm", width, 1.0);
        model.attention(1.0);
        model.head_norms();
        model.norm("post_attention_norm", width, 1.0);
        model.norm("ffn_norm", width, 1.0);
        model.gated();
        // Twice the attention block's share of the stream, so that an error in the activation cannot hide behind rounded activations.
        model.norm("post_ffw_norm", width, 2.0);
    });
    model.output();
}
