//! Llama: pre-norm, grouped-query attention with adjacent-pair rotary embedding, `SwiGLU`, untied output.

use crate::model::{Model, VOCABULARY_SIZE};

pub(crate) fn describe(model: &mut Model) {
    let (layers, width, heads, kv_heads, hidden) = (2, model.width, 4, 2, 2 * model.width);
    let head = width / heads;
    model.u32("block_count", layers);
    model.u32("context_length", 512);
    model.u32("embedding_length", width);
    model.u32("feed_forward_length", hidden);
    model.u32("attention.head_count", heads);
    model.u32("attention.head_count_kv", kv_heads);
    model.f32("attention.layer_norm_rms_epsilon", 1e-5);
    model.u32("rope.dimension_count", head);
    model.f32("rope.freq_base", 10_000.0);
    model.u32("vocab_size", VOCABULARY_SIZE);
    model.vocabulary();

    model.matrix("token_embd", width, VOCABULARY_SIZE, (width as f32).sqrt());
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        model.norm(&name("attn_norm"), width, 1.0);
        // Queries and keys of standard deviation 1.6 give attention logits of standard deviation 2.5.
        model.matrix(&name("attn_q"), width, width, 1.6);
        model.matrix(&name("attn_k"), width, head * kv_heads, 1.6);
        model.matrix(&name("attn_v"), width, head * kv_heads, 1.0);
        model.matrix(&name("attn_output"), width, width, 1.0);
        model.norm(&name("ffn_norm"), width, 1.0);
        model.matrix(&name("ffn_gate"), width, hidden, 1.5);
        model.matrix(&name("ffn_up"), width, hidden, 1.0);
        model.matrix(&name("ffn_down"), hidden, width, 1.0);
    }
    model.norm("output_norm", width, 1.0);
    model.matrix("output", width, VOCABULARY_SIZE, 2.0);
}
