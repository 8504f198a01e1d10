//! LFM 2: every other layer has a gated short convolution in place of attention; the last norm goes by another name.

use crate::{
    model::Model,
    parameter::{EPSILON, Parameter, ROTATION, TIED},
};

pub(super) const PARAMETERS: &[&[Parameter]] =
    &[&[EPSILON, TIED], ROTATION, &[Parameter::new("reach", 3.0, "positions that a convolution sees")]];
/// Three layers, so that there is a convolution before attention and one after.
pub(super) const DEFAULTS: &[(&str, f64)] = &[("layers", 3.0), ("rope-base", 1_000_000.0), ("tied", 1.0)];

pub(super) fn describe(model: &mut Model) {
    let has_attention = |layer: u64| layer % 2 == 1;
    let kv_heads = model.count("kv-heads") as i32;
    let by_layer = |layer| if has_attention(layer) { kv_heads } else { 0 };
    let by_layer: Vec<i32> = (0..model.count("layers")).map(by_layer).collect();
    model.keys_with_kv_heads(&by_layer);
    model.key_epsilon();
    model.key_u32("shortconv.l_cache", model.count("reach"));
    model.vocabulary();
    model.embedding_or_output();
    model.layers(|model, layer| {
        let width = model.width();
        model.norm("attn_norm", width, 1.0);
        if has_attention(layer) {
            model.attention(1.0);
            model.head_norms();
        } else {
            model.exact_matrix("shortconv.conv", model.count("reach"), width, 1.0);
            model.matrix("shortconv.in_proj", width, 3 * width, 1.0);
            model.matrix("shortconv.out_proj", width, width, 1.0);
        }
        model.norm("ffn_norm", width, 1.0);
        model.gated();
    });
    model.norm("token_embd_norm", model.width(), 1.0);
    model.output_matrix();
}
