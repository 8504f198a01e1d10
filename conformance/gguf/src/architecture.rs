//! What each architecture asks of its file: keys with their types, possible numbers, and tensors whose shapes follow from them.
//!
//! Sources: the GGUF specification for `llama` and the general keys; for the others, which it does not have, the keys and tensors
//! that llama.cpp's models read (`src/models/*.cpp`). To add an architecture, add its row to [`ARCHITECTURES`].

use crate::{
    Finding, Metadata, Rule, Tensor, Value, ValueType,
    rules::{Findings, shown},
};
use bstr::BStr;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// uint32 or uint64.
    Count,
    /// A count, or an array of one for each layer: int32 or uint32.
    CountPerLayer,
    /// float32.
    Real,
    /// A string.
    Text,
    /// A boolean.
    Flag,
}

impl Kind {
    fn takes(self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Count | Self::CountPerLayer, Value::U32(_) | Value::U64(_))
            | (Self::Real, Value::F32(_))
            | (Self::Text, Value::String(_))
            | (Self::Flag, Value::Bool(_)) => true,
            (Self::CountPerLayer, Value::Array(array)) => {
                matches!(array.element_type(), ValueType::I32 | ValueType::U32)
            }
            _ => false,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Count => "uint32 or uint64",
            Self::CountPerLayer => "uint32 or uint64, or an array of int32 or uint32",
            Self::Real => "float32",
            Self::Text => "string",
            Self::Flag => "bool",
        }
    }
}

/// Keys whose type does not depend on the architecture.
const GENERAL: &[(&str, Kind)] = &[
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
const COMMON: &[(&str, Kind)] = &[
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
    ("attention.layer_norm_epsilon", Kind::Real),
    ("attention.layer_norm_rms_epsilon", Kind::Real),
    ("rope.dimension_count", Kind::Count),
    ("rope.freq_base", Kind::Real),
    ("rope.scaling.type", Kind::Text),
    ("rope.scaling.factor", Kind::Real),
    ("rope.scaling.original_context_length", Kind::Count),
    ("rope.scaling.attn_factor", Kind::Real),
    ("rope.scaling.finetuned", Kind::Flag),
    ("tensor_data_layout", Kind::Text),
    ("use_parallel_residual", Kind::Flag),
    ("attention.max_alibi_bias", Kind::Real),
    ("attention.clamp_kqv", Kind::Real),
    ("shortconv.l_cache", Kind::Count),
];

/// One dimension of a tensor, in terms of the architecture's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
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
enum Need {
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
type Row = (&'static str, &'static [Size], Need);

/// What nearly every decoder has.
const DECODER: &[Row] = &[
    ("token_embd.weight", &[Width, Vocabulary], Required),
    ("output.weight", &[Width, Vocabulary], Optional),
    ("output.bias", &[Vocabulary], Optional),
    ("blk.*.attn_norm.weight", &[Width], Required),
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
struct Architecture {
    name: &'static str,
    required: &'static [&'static str],
    tensors: &'static [&'static [Row]],
}

impl Architecture {
    /// True where some tensor is needed in layers of this kind only, so that the architecture has such layers.
    fn has(&self, kind: Need) -> bool {
        self.tensors.iter().copied().flatten().any(|(.., need)| *need == kind)
    }
}

/// True for an architecture whose rules are here.
pub(crate) fn is_known(name: &str) -> bool {
    ARCHITECTURES.iter().any(|architecture| architecture.name == name)
}

/// Keys that every architecture here must have.
const REQUIRED: [&str; 5] =
    ["context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"];
const RMS: &str = "attention.layer_norm_rms_epsilon";

const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "llama",
        required: &[RMS, "rope.dimension_count"],
        tensors: &[DECODER, OUTPUT_NORM, FEED_FORWARD_NORM, GATED, EXPERTS, ROPE_FREQUENCIES, ROPE_FACTORS],
    },
    Architecture { name: "qwen2", required: &[RMS], tensors: &[DECODER, OUTPUT_NORM, FEED_FORWARD_NORM, GATED] },
    Architecture { name: "qwen3", required: &[RMS], tensors: &[DECODER, OUTPUT_NORM, FEED_FORWARD_NORM, GATED, HEAD_NORMS] },
    Architecture {
        name: "qwen3moe",
        required: &[RMS, "expert_count", "expert_used_count", "expert_feed_forward_length"],
        tensors: &[DECODER, OUTPUT_NORM, FEED_FORWARD_NORM, HEAD_NORMS, EXPERTS],
    },
    Architecture {
        name: "gemma3",
        required: &[RMS],
        tensors: &[DECODER, OUTPUT_NORM, FEED_FORWARD_NORM, GATED, HEAD_NORMS, POST_NORMS],
    },
    Architecture {
        name: "phi2",
        required: &["attention.layer_norm_epsilon"],
        tensors: &[
            DECODER,
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
        tensors: &[DECODER, OUTPUT_NORM, FEED_FORWARD_NORM, GATED_IN_ONE, ROPE_FACTORS],
    },
    Architecture {
        name: "glm4",
        required: &[RMS],
        tensors: &[DECODER, OUTPUT_NORM, FEED_FORWARD_NORM, GATED_IN_ONE, POST_NORMS],
    },
    Architecture {
        name: "lfm2",
        required: &[RMS, "shortconv.l_cache"],
        tensors: &[
            DECODER,
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
    Architecture { name: "smollm3", required: &[RMS], tensors: &[DECODER, OUTPUT_NORM, FEED_FORWARD_NORM, GATED] },
];

/// A model as the checks here see it: metadata, and the tensors of one file or of all files of a split.
pub(crate) struct View<'v, 'a> {
    pub(crate) metadata: &'v Metadata<'a>,
    pub(crate) tensors: Vec<&'v [Tensor<'a>]>,
    pub(crate) find: &'v dyn Fn(&str) -> Option<&'v Tensor<'a>>,
    /// Part of a model whose other tensors are elsewhere.
    pub(crate) partial: bool,
}

pub(crate) fn check(view: &View<'_, '_>, findings: &mut Findings) -> Result<(), Finding> {
    let metadata = view.metadata;
    for (key, kind) in GENERAL {
        check_type(metadata, key, *kind, findings)?;
    }
    let mut tensors = view.tensors.iter().copied().flatten();
    if metadata.entry("general.quantization_version").is_none()
        && let Some(tensor) = tensors.find(|tensor| tensor.weight_type.is_quantized())
    {
        findings.report(Rule::QuantizationVersion, || Finding {
            rule: Rule::QuantizationVersion,
            offset: tensor.entry,
            field: "key `general.quantization_version`".into(),
            found: format!("no such key, and a tensor {} of {}", shown(tensor.name), tensor.weight_type),
            expected: "the version of the quantisation".into(),
        })?;
    }
    let Some(entry) = metadata.entry("general.architecture") else {
        return findings.report(Rule::ArchitectureMissing, || Finding {
            rule: Rule::ArchitectureMissing,
            ..metadata.missing("general.architecture")
        });
    };
    let Some(name) = entry.value.as_str() else {
        return findings.report(Rule::KeyType, || Metadata::wrong_type(entry, "string"));
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        findings.report(Rule::ArchitectureCharset, || {
            Metadata::finding(Rule::ArchitectureCharset, entry, shown(name.as_bytes()), "lower-case letters and digits")
        })?;
    }
    let Some(architecture) = ARCHITECTURES.iter().find(|architecture| architecture.name == name) else {
        return Ok(());
    };
    let mut complete = true;
    for (key, kind) in COMMON {
        complete &= check_type(metadata, &format!("{name}.{key}"), *kind, findings)?;
    }
    for key in REQUIRED.iter().chain(architecture.required) {
        let key = format!("{name}.{key}");
        if metadata.entry(&key).is_none() {
            complete = false;
            findings.report(Rule::KeyMissing, || metadata.missing(&key))?;
        }
    }
    let numbers = Numbers { metadata, name };
    // Shapes follow from numbers, so wrong numbers are one finding and not one for each tensor.
    if complete && check_values(&numbers, architecture, findings)? && !view.partial {
        check_tensors(view, architecture, &numbers, findings)?;
    }
    Ok(())
}

/// Checks the type of a key, where it is there; false where it is wrong.
fn check_type(metadata: &Metadata<'_>, key: &str, kind: Kind, findings: &mut Findings) -> Result<bool, Finding> {
    match metadata.entry(key) {
        Some(entry) if !kind.takes(entry.value) => {
            findings.report(Rule::KeyType, || Metadata::wrong_type(entry, kind.name()))?;
            Ok(false)
        }
        _ => Ok(true),
    }
}

/// The architecture's numbers, as the file gives them or as they follow from others.
struct Numbers<'v, 'a> {
    metadata: &'v Metadata<'a>,
    name: &'v str,
}

impl Numbers<'_, '_> {
    fn value(&self, key: &str) -> Option<Value<'_>> {
        self.metadata.get(&format!("{}.{key}", self.name))
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.value(key)?.as_u64()
    }

    /// A count that may differ from layer to layer.
    fn at(&self, key: &str, layer: u64) -> Option<u64> {
        match self.value(key)? {
            Value::Array(array) => array.number(layer)?.as_u64(),
            value => value.as_u64(),
        }
    }

    fn layers(&self) -> u64 {
        self.count("block_count").unwrap_or(0)
    }

    fn width(&self) -> u64 {
        self.count("embedding_length").unwrap_or(0)
    }

    fn heads(&self, layer: u64) -> u64 {
        self.at("attention.head_count", layer).unwrap_or(0)
    }

    fn key_value_heads(&self, layer: u64) -> u64 {
        match self.value("attention.head_count_kv") {
            None => self.heads(layer),
            Some(_) => self.at("attention.head_count_kv", layer).unwrap_or(0),
        }
    }

    fn head(&self, key: &str, layer: u64) -> u64 {
        self.count(key).unwrap_or_else(|| self.width().checked_div(self.heads(layer)).unwrap_or(0))
    }

    fn experts(&self) -> u64 {
        self.count("expert_count").unwrap_or(0)
    }

    fn size(&self, size: Size, layer: u64, vocabulary: u64) -> u64 {
        let head = self.head("attention.key_length", layer);
        let value = self.head("attention.value_length", layer);
        let (heads, pairs) = (self.heads(layer), self.key_value_heads(layer));
        let hidden = self.at("feed_forward_length", layer).unwrap_or(0);
        match size {
            Size::Width => self.width(),
            Size::ThreeWidths => self.width().saturating_mul(3),
            Size::Vocabulary => vocabulary,
            Size::Hidden => hidden,
            Size::TwoHidden => hidden.saturating_mul(2),
            Size::Queries => heads.saturating_mul(head),
            Size::Keys => pairs.saturating_mul(head),
            Size::Values => pairs.saturating_mul(value),
            Size::Fused => heads
                .saturating_mul(head)
                .saturating_add(pairs.saturating_mul(head))
                .saturating_add(pairs.saturating_mul(value)),
            Size::Heads => heads.saturating_mul(value),
            Size::Head => head,
            Size::Pairs => self.count("rope.dimension_count").unwrap_or(head) / 2,
            Size::Experts => self.experts(),
            Size::ExpertHidden => self.count("expert_feed_forward_length").unwrap_or(hidden),
            Size::Kernel => self.count("shortconv.l_cache").unwrap_or(0),
        }
    }
}

/// Checks that the numbers are possible; false where shapes cannot follow from them.
fn check_values(numbers: &Numbers<'_, '_>, architecture: &Architecture, findings: &mut Findings) -> Result<bool, Finding> {
    let mut possible = true;
    let mut report = |key: &str, expected: &str| -> Result<(), Finding> {
        possible = false;
        let key = format!("{}.{key}", numbers.name);
        let Some(entry) = numbers.metadata.entry(&key) else { return Ok(()) };
        findings.report(Rule::KeyValue, || Metadata::finding(Rule::KeyValue, entry, entry.value.summary(), expected))
    };
    for key in ["context_length", "embedding_length", "block_count"] {
        match numbers.count(key) {
            Some(0) => report(key, "at least 1")?,
            Some(_) => {}
            // Its type was reported.
            None => return Ok(false),
        }
    }
    for key in ["attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"] {
        if let Some(epsilon) = numbers.value(key).and_then(Value::as_f64)
            && !(epsilon.is_finite() && epsilon > 0.0)
        {
            report(key, "a finite number above 0")?;
        }
    }
    let mut per_layer = false;
    for key in ["feed_forward_length", "attention.head_count", "attention.head_count_kv"] {
        if let Some(Value::Array(array)) = numbers.value(key) {
            per_layer = true;
            let counts = array.len() == numbers.layers() && array.values().all(|value| value.as_u64().is_some());
            if !counts {
                report(key, &format!("{} counts, one for each layer", numbers.layers()))?;
                return Ok(false);
            }
        }
    }
    // With one number for all, the first layer says everything; otherwise there are as many layers as the file has numbers.
    for layer in 0..if per_layer { numbers.layers() } else { 1 } {
        let (heads, pairs) = (numbers.heads(layer), numbers.key_value_heads(layer));
        if heads == 0 {
            report("attention.head_count", "at least 1")?;
        } else if numbers.value("attention.key_length").is_none() && !numbers.width().is_multiple_of(heads) {
            report("attention.head_count", &format!("a divisor of the width {}", numbers.width()))?;
        }
        if pairs == 0 && heads > 0 && !architecture.has(Convolution) {
            report("attention.head_count_kv", "at least 1")?;
        } else if pairs > 0 && !heads.is_multiple_of(pairs) {
            report("attention.head_count_kv", &format!("a divisor of the {heads} heads"))?;
        }
    }
    if numbers.count("expert_used_count").is_some_and(|used| used > numbers.experts()) {
        report("expert_used_count", &format!("at most the {} experts", numbers.experts()))?;
    }
    Ok(possible)
}

fn check_tensors(
    view: &View<'_, '_>,
    architecture: &Architecture,
    numbers: &Numbers<'_, '_>,
    findings: &mut Findings,
) -> Result<(), Finding> {
    let tokens = match view.metadata.get("tokenizer.ggml.tokens") {
        Some(Value::Array(tokens)) => Some(tokens.len()),
        _ => numbers.count("vocab_size"),
    };
    let rows = || (view.find)("token_embd.weight").map(Tensor::rows);
    let vocabulary = tokens.or_else(rows).unwrap_or(0);
    let table = || architecture.tensors.iter().copied().flatten();

    let sparse = numbers.experts() > 0 && architecture.has(Sparse);

    'layers: for layer in 0..numbers.layers() {
        let with_attention = numbers.key_value_heads(layer) > 0;
        for (pattern, sizes, need) in table() {
            if layer > 0 && !pattern.contains('*') {
                continue;
            }
            let name = pattern.replace('*', &layer.to_string());
            let fused = || (view.find)(&format!("blk.{layer}.attn_qkv.weight")).is_some();
            let required = match need {
                Required => true,
                Optional => false,
                Split => with_attention && !fused(),
                Attention => with_attention,
                Convolution => !with_attention,
                Dense => !sparse,
                Sparse => sparse,
            };
            match (view.find)(&name) {
                Some(tensor) => check_shape(tensor, sizes, layer, vocabulary, numbers, findings)?,
                None if required => {
                    findings.report(Rule::TensorMissing, || Finding {
                        rule: Rule::TensorMissing,
                        offset: 0,
                        field: format!("tensor `{name}`"),
                        found: "no such tensor".into(),
                        expected: format!("the one that architecture `{}` needs", architecture.name),
                    })?;
                    // A count of layers from a hostile file can be anything, the tensors cannot.
                    break 'layers;
                }
                None => {}
            }
        }
    }
    for tensor in view.tensors.iter().copied().flatten() {
        if !table().any(|(pattern, ..)| matches(pattern, tensor.name, numbers.layers())) {
            findings.report(Rule::TensorUnexpected, || Finding {
                rule: Rule::TensorUnexpected,
                offset: tensor.entry,
                field: format!("tensor {}", shown(tensor.name)),
                found: format!("a tensor that architecture `{}` does not have", architecture.name),
                expected: "no such tensor".into(),
            })?;
        }
    }
    Ok(())
}

fn check_shape(
    tensor: &Tensor<'_>,
    sizes: &[Size],
    layer: u64,
    vocabulary: u64,
    numbers: &Numbers<'_, '_>,
    findings: &mut Findings,
) -> Result<(), Finding> {
    let expected: Vec<u64> = sizes.iter().map(|&size| numbers.size(size, layer, vocabulary)).collect();
    // Dimensions of 1 at the end say nothing, and some writers add them.
    let same = tensor.dimensions.len() >= expected.len()
        && tensor.dimensions.iter().zip(expected.iter().chain(std::iter::repeat(&1))).all(|(a, b)| a == b);
    if same {
        return Ok(());
    }
    let shape = |sizes: &[u64]| sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ");
    findings.report(Rule::TensorShape, || Finding {
        rule: Rule::TensorShape,
        offset: tensor.entry,
        field: format!("tensor {} dimensions", shown(tensor.name)),
        found: shape(&tensor.dimensions),
        expected: format!("{}, as the keys of `{}` say", shape(&expected), numbers.name),
    })
}

/// True where a name fits a pattern, with a layer that exists.
fn matches(pattern: &str, name: &BStr, layers: u64) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return name == pattern;
    };
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let layer = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    layer.and_then(|layer| layer.parse::<u64>().ok().filter(|n| n.to_string() == layer)).is_some_and(|layer| layer < layers)
}
