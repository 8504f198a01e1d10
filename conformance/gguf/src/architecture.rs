//! What each architecture asks of its file: keys with their types, possible numbers, and tensors whose shapes follow from them.
//!
//! Sources: the GGUF specification for `llama` and the general keys; for the others, which it does not have, the keys and tensors
//! that llama.cpp's models read (`src/models/*.cpp`). To add an architecture, add its row to [`ARCHITECTURES`].

use crate::{Value, ValueType};

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// uint32 or uint64.
    Count,
    /// A count, or an array of one for each layer: int32 or uint32.
    CountPerLayer,
    /// Which layers: every how many, or an array that says it of each layer: bool, int32 or uint32.
    Layers,
    /// float32.
    Real,
    /// A string.
    Text,
    /// A boolean.
    Flag,
}

impl Kind {
    pub(crate) fn takes(self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Count | Self::CountPerLayer | Self::Layers, Value::U32(_) | Value::U64(_))
            | (Self::Real, Value::F32(_))
            | (Self::Text, Value::String(_))
            | (Self::Flag, Value::Bool(_)) => true,
            (Self::CountPerLayer, Value::Array(array)) => {
                matches!(array.element_type(), ValueType::I32 | ValueType::U32)
            }
            (Self::Layers, Value::Array(array)) => {
                matches!(array.element_type(), ValueType::Bool | ValueType::I32 | ValueType::U32)
            }
            _ => false,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Count => "uint32 or uint64",
            Self::CountPerLayer => "uint32 or uint64, or an array of int32 or uint32",
            Self::Layers => "uint32 or uint64, or an array of bool, int32 or uint32",
            Self::Real => "float32",
            Self::Text => "string",
            Self::Flag => "bool",
        }
    }
}

/// Keys whose type does not depend on the architecture.
pub(crate) const GENERAL: &[(&str, Kind)] = &[
    ("general.name", Kind::Text),
    ("general.author", Kind::Text),
    ("general.version", Kind::Text),
    ("general.description", Kind::Text),
    ("general.license", Kind::Text),
    ("general.organization", Kind::Text),
    ("general.uuid", Kind::Text),
    ("general.source.url", Kind::Text),
    ("general.file_type", Kind::Count),
    ("general.quantization_version", Kind::Count),
    ("tokenizer.ggml.model", Kind::Text),
    ("tokenizer.ggml.pre", Kind::Text),
    ("tokenizer.ggml.add_bos_token", Kind::Flag),
    ("tokenizer.ggml.add_eos_token", Kind::Flag),
    ("tokenizer.huggingface.json", Kind::Text),
    ("tokenizer.chat_template", Kind::Text),
];

/// Keys under the architecture's name, with their types, that every architecture here may have.
pub(crate) const COMMON: &[(&str, Kind)] = &[
    ("context_length", Kind::Count),
    ("embedding_length", Kind::Count),
    ("block_count", Kind::Count),
    ("feed_forward_length", Kind::CountPerLayer),
    ("vocab_size", Kind::Count),
    ("expert_count", Kind::Count),
    ("expert_used_count", Kind::Count),
    ("expert_feed_forward_length", Kind::Count),
    ("attention.head_count", Kind::CountPerLayer),
    ("attention.head_count_kv", Kind::CountPerLayer),
    ("attention.key_length", Kind::Count),
    ("attention.value_length", Kind::Count),
    ("attention.sliding_window", Kind::Count),
    ("attention.sliding_window_pattern", Kind::Layers),
    ("attention.scale", Kind::Real),
    ("attention.layer_norm_epsilon", Kind::Real),
    ("attention.layer_norm_rms_epsilon", Kind::Real),
    ("rope.dimension_count", Kind::Count),
    ("rope.freq_base", Kind::Real),
    ("rope.freq_base_swa", Kind::Real),
    ("rope.scaling.type", Kind::Text),
    ("rope.scaling.factor", Kind::Real),
    ("rope.scaling.original_context_length", Kind::Count),
    ("rope.scaling.attn_factor", Kind::Real),
    ("rope.scaling.finetuned", Kind::Flag),
    ("tensor_data_layout", Kind::Text),
    ("use_parallel_residual", Kind::Flag),
    ("attention.max_alibi_bias", Kind::Real),
    ("attention.clamp_kqv", Kind::Real),
    ("attn_logit_softcapping", Kind::Real),
    ("final_logit_softcapping", Kind::Real),
    ("embedding_scale", Kind::Real),
    ("residual_scale", Kind::Real),
    ("logit_scale", Kind::Real),
    ("shortconv.l_cache", Kind::Count),
];

/// One dimension of a tensor, in terms of the architecture's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Width of the residual stream.
    Width,
    /// Three times the width: the two gates and the input of a short convolution.
    ThreeWidths,
    /// Tokens in the vocabulary.
    Vocabulary,
    /// Width of the feed-forward block.
    Hidden,
    /// Gate and input of the feed-forward block in one.
    TwoHidden,
    /// All query heads.
    Queries,
    /// All key heads.
    Keys,
    /// All value heads.
    Values,
    /// Queries, keys and values in one.
    Fused,
    /// The outputs of all heads.
    Heads,
    /// One query or key head.
    Head,
    /// Half of the rotated dimensions: one factor for each pair.
    Pairs,
    /// Number of experts.
    Experts,
    /// Width of an expert.
    ExpertHidden,
    /// Length of the short convolution.
    Kernel,
}

/// Which layers have a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// All.
    Required,
    /// None has to.
    Optional,
    /// Those with attention, unless queries, keys and values are one matrix.
    Split,
    /// Those with attention.
    Attention,
    /// Those with a short convolution instead.
    Convolution,
    /// All, in a model without experts.
    Dense,
    /// All, in a model with experts.
    Sparse,
}

use Need::{Attention, Convolution, Dense, Optional, Required, Sparse, Split};
use Size::{
    ExpertHidden, Experts, Fused, Head, Heads, Hidden, Kernel, Keys, Pairs, Queries, ThreeWidths, TwoHidden, Values,
    Vocabulary, Width,
};

/// Name, shape and need of a tensor. `*` stands for the number of the layer.
pub(crate) type Row = (&'static str, &'static [Size], Need);

/// What nearly every decoder has.
const DECODER: &[Row] = &[
    ("token_embd.weight", &[Width, Vocabulary], Required),
    ("blk.*.attn_q.weight", &[Width, Queries], Split),
    ("blk.*.attn_k.weight", &[Width, Keys], Split),
    ("blk.*.attn_v.weight", &[Width, Values], Split),
    ("blk.*.attn_q.bias", &[Queries], Optional),
    ("blk.*.attn_k.bias", &[Keys], Optional),
    ("blk.*.attn_v.bias", &[Values], Optional),
    ("blk.*.attn_qkv.weight", &[Width, Fused], Optional),
    ("blk.*.attn_qkv.bias", &[Fused], Optional),
    ("blk.*.attn_output.weight", &[Heads, Width], Attention),
    ("blk.*.attn_output.bias", &[Width], Optional),
    ("blk.*.ffn_down.weight", &[Hidden, Width], Dense),
    ("blk.*.ffn_down.bias", &[Width], Optional),
    ("blk.*.ffn_up.bias", &[Hidden], Optional),
];
/// The embedding stands in where there is none.
const OUTPUT: &[Row] = &[("output.weight", &[Width, Vocabulary], Optional), ("output.bias", &[Vocabulary], Optional)];
const ATTENTION_NORM: &[Row] = &[("blk.*.attn_norm.weight", &[Width], Required)];
const OUTPUT_NORM: &[Row] = &[("output_norm.weight", &[Width], Required)];
const FEED_FORWARD_NORM: &[Row] = &[("blk.*.ffn_norm.weight", &[Width], Required)];
const GATED: &[Row] = &[
    ("blk.*.ffn_gate.weight", &[Width, Hidden], Dense),
    ("blk.*.ffn_gate.bias", &[Hidden], Optional),
    ("blk.*.ffn_up.weight", &[Width, Hidden], Dense),
];
const GATED_IN_ONE: &[Row] = &[("blk.*.ffn_up.weight", &[Width, TwoHidden], Dense)];
const EXPERTS: &[Row] = &[
    ("blk.*.ffn_gate_inp.weight", &[Width, Experts], Sparse),
    ("blk.*.ffn_gate_exps.weight", &[Width, ExpertHidden, Experts], Sparse),
    ("blk.*.ffn_up_exps.weight", &[Width, ExpertHidden, Experts], Sparse),
    ("blk.*.ffn_down_exps.weight", &[ExpertHidden, Width, Experts], Sparse),
];
const HEAD_NORMS: &[Row] =
    &[("blk.*.attn_q_norm.weight", &[Head], Attention), ("blk.*.attn_k_norm.weight", &[Head], Attention)];
const POST_NORMS: &[Row] =
    &[("blk.*.post_attention_norm.weight", &[Width], Required), ("blk.*.post_ffw_norm.weight", &[Width], Required)];
const ROPE_FREQUENCIES: &[Row] = &[("rope_freqs.weight", &[Pairs], Optional)];
const ROPE_FACTORS: &[Row] =
    &[("rope_factors_long.weight", &[Pairs], Optional), ("rope_factors_short.weight", &[Pairs], Optional)];

/// An architecture: its name, the keys it must have beside the five that all must have, and its tensors.
pub(crate) struct Architecture {
    pub(crate) name: &'static str,
    pub(crate) required: &'static [&'static str],
    pub(crate) tensors: &'static [&'static [Row]],
}

impl Architecture {
    /// True where some tensor is needed in layers of this kind only, so that the architecture has such layers.
    pub(crate) fn has(&self, kind: Need) -> bool {
        self.tensors.iter().copied().flatten().any(|(.., need)| *need == kind)
    }
}

/// True for an architecture whose rules are here.
pub(crate) fn is_known(name: &str) -> bool {
    ARCHITECTURES.iter().any(|architecture| architecture.name == name)
}

/// Keys that every architecture here must have.
pub(crate) const REQUIRED: [&str; 5] =
    ["context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"];
const RMS: &str = "attention.layer_norm_rms_epsilon";

pub(crate) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "llama",
        required: &[RMS, "rope.dimension_count"],
        tensors: &[
            DECODER,
            OUTPUT,
            ATTENTION_NORM,
            OUTPUT_NORM,
            FEED_FORWARD_NORM,
            GATED,
            EXPERTS,
            ROPE_FREQUENCIES,
            ROPE_FACTORS,
        ],
    },
    Architecture {
        name: "qwen2",
        required: &[RMS],
        tensors: &[DECODER, OUTPUT, ATTENTION_NORM, OUTPUT_NORM, FEED_FORWARD_NORM, GATED],
    },
    Architecture {
        name: "qwen3",
        required: &[RMS],
        tensors: &[DECODER, OUTPUT, ATTENTION_NORM, OUTPUT_NORM, FEED_FORWARD_NORM, GATED, HEAD_NORMS],
    },
    Architecture {
        name: "qwen3moe",
        required: &[RMS, "expert_count", "expert_used_count", "expert_feed_forward_length"],
        tensors: &[DECODER, OUTPUT, ATTENTION_NORM, OUTPUT_NORM, FEED_FORWARD_NORM, HEAD_NORMS, EXPERTS],
    },
    Architecture {
        name: "gemma3",
        required: &[RMS],
        tensors: &[DECODER, OUTPUT, ATTENTION_NORM, OUTPUT_NORM, FEED_FORWARD_NORM, GATED, HEAD_NORMS, POST_NORMS],
    },
    Architecture {
        name: "phi2",
        required: &["attention.layer_norm_epsilon"],
        tensors: &[
            DECODER,
            OUTPUT,
            ATTENTION_NORM,
            OUTPUT_NORM,
            &[
                ("output_norm.bias", &[Width], Required),
                ("blk.*.attn_norm.bias", &[Width], Required),
                ("blk.*.ffn_up.weight", &[Width, Hidden], Required),
            ],
        ],
    },
    Architecture {
        name: "phi3",
        required: &[RMS],
        tensors: &[DECODER, OUTPUT, ATTENTION_NORM, OUTPUT_NORM, FEED_FORWARD_NORM, GATED_IN_ONE, ROPE_FACTORS],
    },
    Architecture {
        name: "glm4",
        required: &[RMS],
        tensors: &[DECODER, OUTPUT, ATTENTION_NORM, OUTPUT_NORM, FEED_FORWARD_NORM, GATED_IN_ONE, POST_NORMS],
    },
    Architecture {
        name: "lfm2",
        required: &[RMS, "shortconv.l_cache"],
        tensors: &[
            DECODER,
            OUTPUT,
            ATTENTION_NORM,
            FEED_FORWARD_NORM,
            GATED,
            HEAD_NORMS,
            &[
                ("token_embd_norm.weight", &[Width], Required),
                ("blk.*.shortconv.conv.weight", &[Kernel, Width], Convolution),
                ("blk.*.shortconv.in_proj.weight", &[Width, ThreeWidths], Convolution),
                ("blk.*.shortconv.out_proj.weight", &[Width, Width], Convolution),
            ],
        ],
    },
    Architecture {
        name: "smollm3",
        required: &[RMS],
        tensors: &[DECODER, OUTPUT, ATTENTION_NORM, OUTPUT_NORM, FEED_FORWARD_NORM, GATED],
    },
    // source: llama-cpp-sys-2 `llama.cpp/src/models/gemma2.cpp:37` `// same as tok_embd, duplicated to allow offloading`
    Architecture {
        name: "gemma2",
        required: &[RMS],
        tensors: &[DECODER, ATTENTION_NORM, OUTPUT_NORM, FEED_FORWARD_NORM, GATED, POST_NORMS],
    },
    // source: llama-cpp-sys-2 `llama.cpp/src/models/granite.cpp:7` `ml.get_key(LLM_KV_LOGIT_SCALE,                 hparams.f`
    Architecture {
        name: "granite",
        required: &[RMS, "logit_scale"],
        tensors: &[
            DECODER,
            OUTPUT,
            ATTENTION_NORM,
            OUTPUT_NORM,
            FEED_FORWARD_NORM,
            GATED,
            EXPERTS,
            ROPE_FREQUENCIES,
            ROPE_FACTORS,
        ],
    },
    // source: llama-cpp-sys-2 `llama.cpp/src/models/olmo2.cpp:36` `output      = create_tensor(tn(LLM_TENSOR_OUTPUT,`
    Architecture {
        name: "olmo2",
        required: &[RMS],
        tensors: &[
            DECODER,
            OUTPUT_NORM,
            GATED,
            POST_NORMS,
            &[
                ("output.weight", &[Width, Vocabulary], Required),
                // Normed over all heads at once.
                ("blk.*.attn_q_norm.weight", &[Queries], Attention),
                ("blk.*.attn_k_norm.weight", &[Keys], Attention),
            ],
        ],
    },
];
