//! Holds a model against what its architecture asks for: types of keys, possible numbers, and tensors with their shapes.

use crate::{
    Finding, Metadata, Rule, Tensor, Value,
    architecture::{
        ARCHITECTURES, Architecture, COMMON, GENERAL, Kind,
        Need::{Attention, Convolution, Dense, Optional, Required, Sparse, Split},
        REQUIRED, Size,
    },
    rules::{Findings, shown},
    tensor::shape,
};
use bstr::BStr;

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
    let sparse = numbers.experts() > 0 && architecture.has(Sparse);

    'layers: for layer in 0..numbers.layers() {
        let with_attention = numbers.key_value_heads(layer) > 0;
        for (pattern, sizes, need) in architecture.tensors.iter().copied().flatten() {
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
                Some(tensor) => {
                    let expected: Vec<u64> = sizes.iter().map(|&size| numbers.size(size, layer, vocabulary)).collect();
                    check_shape(tensor, &expected, numbers.name, findings)?;
                }
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
    check_unexpected(view, architecture, numbers.layers(), findings)
}

/// Reports tensors that the architecture does not have.
fn check_unexpected(
    view: &View<'_, '_>,
    architecture: &Architecture,
    layers: u64,
    findings: &mut Findings,
) -> Result<(), Finding> {
    let patterns = || architecture.tensors.iter().copied().flatten().map(|(pattern, ..)| *pattern);
    for tensor in view.tensors.iter().copied().flatten() {
        if !patterns().any(|pattern| matches(pattern, tensor.name, layers)) {
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

fn check_shape(tensor: &Tensor<'_>, expected: &[u64], architecture: &str, findings: &mut Findings) -> Result<(), Finding> {
    // Dimensions of 1 at the end say nothing, and some writers add them.
    let same = tensor.dimensions.len() >= expected.len()
        && tensor.dimensions.iter().zip(expected.iter().chain(std::iter::repeat(&1))).all(|(a, b)| a == b);
    if same {
        return Ok(());
    }
    findings.report(Rule::TensorShape, || Finding {
        rule: Rule::TensorShape,
        offset: tensor.entry,
        field: format!("tensor {} dimensions", shown(tensor.name)),
        found: tensor.dimensions.to_string(),
        expected: format!("{}, as the keys of `{}` say", shape(expected), architecture),
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
