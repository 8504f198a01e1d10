//! Keys that no module in `architectures/` asks for: which of them say nothing, and at which values the others do.
//!
//! A converter writes what a configuration holds, and llama.cpp's own writer (`llama-model-saver.cpp`) every number that it has
//! a field for, whether a graph uses it or not. A reference that refused such files would judge next to nothing; one that
//! passed over whatever it does not know would not be exact. So a key says nothing where that follows from what llama.cpp
//! reads: `load_hparams` of `llama-model.cpp` for every architecture, `load_arch_hparams` of `src/models/*.cpp` for each. What
//! neither reads cannot change its numbers.
//!
//! Of what neither reads, a clamp, a cap, a scale or a window would still change a graph like ours in the hands of a runtime
//! that honours it: a file with one means another model than the one computed here. Such a key is taken at the values at which
//! it changes nothing, and at the default that llama.cpp's writer puts into every file. Any other value is refused, and so is a
//! key that stands nowhere here.
//!
//! What holds for one architecture alone, or depends on a model's other numbers, its module says by [`crate::Weights::neutral`].

use gguf::Value;
use std::{borrow::Cow, fmt};

/// At which values a key says nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Neutral {
    /// At all.
    Any,
    /// At these numbers, to the precision of an f32. Of an array each element is one of them.
    Numbers(Cow<'static, [f64]>),
    /// At this truth value.
    Flag(bool),
}

impl Neutral {
    /// True where `value` says nothing.
    pub(crate) fn has(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::Numbers(_), Value::Array(array)) => array.values().all(|element| self.has(element)),
            (Self::Numbers(numbers), value) => {
                let given = value.as_f64().or_else(|| integer(value));
                given.is_some_and(|given| numbers.iter().any(|number| (given - number).abs() <= 1e-6 * number.abs()))
            }
            (Self::Flag(flag), Value::Bool(given)) => *flag == given,
            (Self::Flag(_), _) => false,
        }
    }
}

impl fmt::Display for Neutral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Numbers(numbers) => f.write_str(&numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" or ")),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// An integer of any kind, or a truth value as the number that arrays of them stand for.
fn integer(value: Value<'_>) -> Option<f64> {
    match value {
        Value::I8(v) => Some(v.into()),
        Value::I16(v) => Some(v.into()),
        Value::I32(v) => Some(v.into()),
        Value::I64(v) => Some(v as f64),
        Value::Bool(v) => Some(v.into()),
        other => other.as_u64().map(|v| v as f64),
    }
}

/// At which values a key, without the architecture's name, says nothing in every architecture that does not ask for it; `None`
/// for a key of which nobody here has heard.
pub(crate) fn of(key: &str, experts: bool) -> Option<Neutral> {
    if matches(SAYS_NOTHING, key) || (!experts && matches(OF_EXPERTS, key)) {
        return Some(Neutral::Any);
    }
    if let Some((_, flag)) = FLAGS.iter().find(|(name, _)| *name == key) {
        return Some(Neutral::Flag(*flag));
    }
    NUMBERS.iter().find(|(name, _)| *name == key).map(|(_, numbers)| Neutral::Numbers(Cow::Borrowed(numbers)))
}

/// A name that ends in `*` stands for all that begin with the rest.
pub(crate) fn matches(names: &[&str], key: &str) -> bool {
    names.iter().any(|name| name.strip_suffix('*').map_or(*name == key, |beginning| key.starts_with(beginning)))
}

/// What says nothing, whatever it says.
const SAYS_NOTHING: &[&str] = &[
    // Where the file is from. llama.cpp has a name for it and reads it nowhere.
    "tensor_data_layout",
    // Of norms: an architecture asks for the one that it has.
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.group_norm_epsilon",
    "attention.group_norm_groups",
    // Of what a model gives other than logits: llama.cpp pools, classifies and widens only where embeddings are asked for.
    "embedding_length_out",
    "features_length",
    "pooling_type",
    "classifier.*",
    "dense_2_*",
    "dense_3_*",
    // Of stretching that does not happen: YaRN, and architectures with factors for long prompts, ask for the context before it.
    // The flag llama.cpp reads for every architecture, and Granite alone acts on it.
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    // Of sliding layers, where there are none: `attention.sliding_window` is a number below.
    "attention.sliding_window_pattern",
    "rope.freq_base_swa",
    // Of parts with tensors of their own. A file with the part has those too, and a tensor that nothing asks for is refused.
    "activation.*",
    "attention.compress_*",
    "attention.decay_lora_rank",
    "attention.gate_lora_rank",
    "attention.iclr_lora_rank",
    "attention.indexer.*",
    "attention.kv_lora_rank",
    "attention.kv_lora_rank_swa",
    "attention.output_group_count",
    "attention.output_lora_rank",
    "attention.q_lora_rank",
    "attention.recurrent_layers",
    "attention.relative_buckets_count",
    "attention.value_residual_mix_lora_rank",
    "attn_res.*",
    "convnext.*",
    "decoder_block_count",
    "decoder_start_token_id",
    "full_attention_interval",
    "hash_layer_count",
    "hyper_connection.*",
    "kda.*",
    "posnet.*",
    "rescale_every_n_layers",
    "shortconv.l_cache",
    "ssm.*",
    "time_decay_extra_dim",
    "time_mix_extra_dim",
    "token_shift_count",
    "wkv.*",
    "xielu.*",
    // Of experts, and read by none of ours: llama.cpp's graphs divide by the sum of the chosen whatever the first says, of
    // which its writer says false; the others are of groups, which are refused by their count.
    "expert_weights_norm",
    "expert_group_used_count",
    "expert_group_scale",
    "experts_per_group",
];

/// What says nothing of a model without experts. Counts of the chosen are below: without experts, llama.cpp ends on one.
const OF_EXPERTS: &[&str] = &[
    "leading_dense_block_count",
    "expert_feed_forward_length",
    "expert_shared_feed_forward_length",
    "expert_chunk_feed_forward_length",
    "expert_latent_length",
    "expert_shared_count",
    "expert_gating_func",
    "expert_weights_scale",
    "interleave_moe_layer_step",
    "moe_every_n_layers",
    "moe_latent_size",
    "router_logit_softcapping",
];

/// Truth values that say nothing.
const FLAGS: &[(&str, bool)] =
    &[("attention.causal", true), ("hrm.prefix_lm", false), ("swin_norm", false), ("use_parallel_residual", false)];

/// Numbers that say nothing: none, the factor 1, or the default of a field, which llama.cpp's writer gives every model.
const NUMBERS: &[(&str, &[f64])] = &[
    // Scales. llama.cpp takes a 0 for none.
    ("embedding_scale", &[0.0, 1.0]),
    ("residual_scale", &[0.0, 1.0]),
    ("logit_scale", &[0.0, 1.0]),
    ("attention.scale", &[0.0]),
    ("attention.output_scale", &[0.0, 1.0]),
    ("attention.value_scale", &[0.0, 1.0]),
    ("attention.temperature_length", &[0.0]),
    ("attention.temperature_scale", &[0.0]),
    // Clamps, caps and slopes. The caps' defaults stand in every file of llama.cpp's writer, capped or not.
    ("attention.clamp_kqv", &[0.0]),
    ("attention.max_alibi_bias", &[0.0]),
    ("attn_logit_softcapping", &[0.0, 50.0]),
    ("final_logit_softcapping", &[0.0, 30.0]),
    ("router_logit_softcapping", &[0.0, 30.0]),
    ("swiglu_clamp_exp", &[0.0]),
    ("swiglu_clamp_shexp", &[0.0]),
    // Windows, heads and layers.
    ("attention.sliding_window", &[0.0]),
    ("attention.shared_kv_layers", &[0.0]),
    ("attention.key_length_mla", &[0.0]),
    ("attention.value_length_mla", &[0.0]),
    ("attention.key_length_mla_swa", &[0.0]),
    ("attention.value_length_mla_swa", &[0.0]),
    ("embedding_length_per_layer_input", &[0.0]),
    ("nextn_predict_layers", &[0.0]),
    ("n_deepstack_layers", &[0.0]),
    // The input that each layer takes besides: -1 is none.
    ("deepstack_mapping", &[-1.0]),
    ("hrm.layers_per_stack", &[0.0]),
    ("hrm.h_cycles", &[0.0]),
    ("hrm.l_cycles", &[0.0]),
    ("num_loops", &[0.0, 1.0]),
    // Rotation. YaRN's numbers are those of its authors, which llama.cpp takes where an architecture does not read them, as
    // none of ours does; -1 is its word for that.
    ("attention.rope_pattern", &[1.0]),
    ("rope.dimension_sections", &[0.0]),
    ("rope.scaling.alpha", &[0.0]),
    ("rope.scaling.yarn_log_multiplier", &[0.0]),
    ("rope.scaling.yarn_ext_factor", &[-1.0, 1.0]),
    ("rope.scaling.yarn_attn_factor", &[1.0]),
    ("rope.scaling.yarn_beta_fast", &[32.0]),
    ("rope.scaling.yarn_beta_slow", &[1.0]),
    // Experts.
    ("expert_count", &[0.0]),
    ("expert_used_count", &[0.0]),
    ("expert_group_count", &[0.0]),
    ("leading_dense_block_count", &[0.0]),
    ("expert_feed_forward_length", &[0.0]),
    ("expert_shared_feed_forward_length", &[0.0]),
    ("expert_chunk_feed_forward_length", &[0.0]),
    ("expert_latent_length", &[0.0]),
    ("expert_shared_count", &[0.0]),
    // 0 is unset, 1 softmax.
    ("expert_gating_func", &[0.0, 1.0]),
    ("expert_weights_scale", &[0.0, 1.0]),
    ("interleave_moe_layer_step", &[0.0, 1.0]),
    ("moe_every_n_layers", &[0.0, 1.0]),
    ("moe_latent_size", &[0.0]),
];

#[cfg(test)]
mod tests;
