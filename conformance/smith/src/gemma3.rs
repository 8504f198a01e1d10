//! Gemma 3: norms before and after each block, normed queries and keys, five sliding layers to a global one, `GeGLU`, output
//! tied to the embedding.

use crate::model::{Model, VOCABULARY_SIZE};

pub(crate) fn describe(model: &mut Model) {
    // Six layers, because the sixth is the first with global attention.
    let (layers, width, heads, kv_heads, hidden) = (6, model.width, 4, 2, model.width);
    let head = width / heads;
    model.u32("block_count", layers);
    model.u32("context_length", 512);
    model.u32("embedding_length", width);
    model.u32("feed_forward_length", hidden);
    model.u32("attention.head_count", heads);
    model.u32("attention.head_count_kv", kv_heads);
    model.u32("attention.key_length", head);
    model.u32("attention.value_length", head);
    model.u32("attention.sliding_window", 16);
    model.f32("attention.layer_norm_rms_epsilon", 1e-6);
    model.f32("rope.freq_base", 1_000_000.0);
    model.vocabulary();

    // The embedding is multiplied by the root of the width on its way in, and is the output matrix on its way out.
    model.matrix("token_embd", width, VOCABULARY_SIZE, 2.0);
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        model.norm(&name("attn_norm"), width, 1.0);
        model.matrix(&name("attn_q"), width, width, 1.0);
        model.matrix(&name("attn_k"), width, head * kv_heads, 1.0);
        model.matrix(&name("attn_v"), width, head * kv_heads, 1.0);
        // Queries and keys are normed, so it is these gains that set the attention logits' standard deviation to 2.5.
        model.norm(&name("attn_q_norm"), head, 1.6);
        model.norm(&name("attn_k_norm"), head, 1.6);
        model.matrix(&name("attn_output"), width, width, 1.0);
        model.norm(&name("post_attention_norm"), width, 1.0);
        model.norm(&name("ffn_norm"), width, 1.0);
        model.matrix(&name("ffn_gate"), width, hidden, 1.5);
        model.matrix(&name("ffn_up"), width, hidden, 1.0);
        model.matrix(&name("ffn_down"), hidden, width, 1.0);
        // Twice the attention block's share of the stream, so that an error in the activation cannot hide behind rounded activations.
        model.norm(&name("post_ffw_norm"), width, 2.0);
    }
    model.norm("output_norm", width, 1.0);
}
