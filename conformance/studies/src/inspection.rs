//! What a GGUF file holds: header, keys, tensors, weight types, and the rules that it breaks. Nothing is drawn here.

use gguf::{File, Finding, Mode, Rule, Severity, Split, Stance, Tolerated, Value, WeightType};
use indicatif::ProgressBar;
use machine::Error;
use printable::Text;
use record::{
    fingerprint::ModelDigests,
    inspection::{
        Breach, FileHeader, FileVerdict, Inspection, KeyRow, RuleRow, RuleSeverity, TensorRow, WeightTotals, bits_per_weight,
    },
};
use reference::{Weights, architectures};
use std::collections::BTreeMap;
use supply::{
    files::{Misplaced, is_vocabulary},
    fingerprint,
    sources::Source,
    weights::{self, Odd, WeightRule},
};
use vocabulary::Refusal;

/// Elements of an array that JSON gives.
const MOST_ELEMENTS: usize = 64;
/// Arrays within each other whose elements JSON gives. A file may have 64, and many JSON libraries stop at 128 levels.
const DEEPEST_ARRAY: usize = 8;

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Its header alone.
    Header,
    /// Its weights too.
    Weights,
}

/// Every key and tensor of each file with its digest.
///
/// # Errors
/// As [`inspect`].
pub fn digests(source: &Source) -> Result<Vec<ModelDigests>, Error> {
    source.shards().iter().map(|shard| Ok(fingerprint::digests(&[shard.read()?], &shard.sha256()))).collect()
}

/// Reads every file as leniently as the runtimes do, and says what they hold: their headers, and unless that is not wanted their
/// weights.
///
/// # Errors
/// Where one of them breaks a rule after which there is nothing to read on, and [`Error::Interrupted`].
pub fn inspect(source: &Source, reads: Reads, progress: &ProgressBar) -> Result<Inspection, Error> {
    let mut parts = Vec::new();
    for shard in source.shards() {
        parts.push(ReadShard { number: shard.number(), name: shard.name(), file: shard.read()? });
    }
    let mut inspection = of_headers(source.name(), &parts, source.missing());
    if reads == Reads::Weights {
        let files: Vec<File<'_>> = parts.iter().map(|part| part.file.clone()).collect();
        match weights::look(&files, progress)? {
            Some(odd) => add(&mut inspection, &odd, &parts),
            None => inspection.weights_not_read = Some("tensors lie upon each other"),
        }
    }
    Ok(inspection)
}

/// A file that was read.
struct ReadShard<'a> {
    /// Its number in a split model, counted from 1.
    number: u32,
    /// Its name, without folders.
    name: &'a str,
    file: File<'a>,
}

/// What the files of a model hold, of which those called `missing` are not there.
fn of_headers(name: &str, parts: &[ReadShard<'_>], missing: &[String]) -> Inspection {
    let findings = findings(parts, missing);
    let acceptable = |(_, tolerated): &(_, Tolerated)| tolerated.finding.rule.severity() == Severity::Acceptable;
    let verdict = match findings.as_slice() {
        [] => FileVerdict::Valid,
        all if all.iter().all(acceptable) => FileVerdict::Acceptable,
        _ => FileVerdict::Invalid,
    };
    Inspection {
        name: Text::new(name),
        verdict,
        architecture: parts.first().and_then(|part| part.file.architecture().ok()).map(Text::new),
        files: parts.iter().map(header).collect(),
        metadata: parts.iter().flat_map(keys).collect(),
        tensors: parts.iter().flat_map(tensors).collect(),
        weights: weights_of(parts),
        findings: findings.into_iter().map(breach).collect(),
        ignored_by_the_reference: ignored(parts, missing),
        is_vocabulary: is_only_words(parts),
        weights_not_read: None,
    }
}

/// The keys that the exact reference passes over, of a model that it takes.
fn ignored(parts: &[ReadShard<'_>], missing: &[String]) -> Vec<Text> {
    let ignored = || {
        let weights = Weights::of(parts.iter().map(|part| part.file.clone()).collect())?;
        architectures::load(&weights)?;
        Ok::<_, Refusal>(weights.ignored())
    };
    // Of what is refused nothing is passed over, and `ggauge run` says why it is.
    if missing.is_empty() { ignored().unwrap_or_default().iter().map(Text::new).collect() } else { Vec::new() }
}

/// Adds what is wrong with weights.
fn add(inspection: &mut Inspection, odd: &[Odd], parts: &[ReadShard<'_>]) {
    let mut odd: Vec<&Odd> = odd.iter().collect();
    // Among equals the order of the files stays.
    odd.sort_by_key(|odd| odd.rule);
    inspection.findings.extend(odd.iter().map(|odd| Breach {
        rule: odd.rule.id(),
        severity: odd.rule.severity(),
        meaning: odd.rule.meaning(),
        file: parts.get(odd.file).map(|part| part.number),
        offset: odd.offset,
        field: format!("tensor `{}`", odd.tensor),
        found: odd.found(),
        expected: odd.rule.expected().into(),
        times: if odd.rule == WeightRule::Zero { 1 } else { odd.places.count },
        is_of_weights: true,
    }));
    if odd.iter().any(|odd| odd.rule.severity() != RuleSeverity::Note) {
        inspection.verdict = FileVerdict::Invalid;
    }
}

fn header(part: &ReadShard<'_>) -> FileHeader {
    let file = &part.file;
    FileHeader {
        file: part.number,
        name: Text::new(part.name),
        bytes: file.size(),
        version: file.version(),
        alignment: file.alignment(),
        table_end: file.table_end(),
        data_offset: file.data_offset(),
        keys: file.metadata().len(),
        tensors: file.tensors().len(),
    }
}

fn keys<'p>(part: &'p ReadShard<'_>) -> impl Iterator<Item = KeyRow> + 'p {
    part.file.metadata().iter().map(|(key, value)| KeyRow {
        file: part.number,
        key: Text::new(key),
        value_type: value.value_type().name(),
        value: to_json(value, 0),
        summary: value.summary(),
    })
}

fn tensors<'p>(part: &'p ReadShard<'_>) -> impl Iterator<Item = TensorRow> + 'p {
    part.file.tensors().iter().map(|tensor| TensorRow {
        file: part.number,
        name: Text::new(tensor.name),
        dimensions: tensor.dimensions.to_vec(),
        weight_type: tensor.weight_type.name(),
        offset: tensor.offset,
        bytes: tensor.size,
    })
}

fn weights_of(parts: &[ReadShard<'_>]) -> Vec<WeightTotals> {
    // In tensors that lie upon each other, bytes count more than once, so sums are not bounded by the file's size.
    let mut sums: BTreeMap<WeightType, (u64, u64, u64)> = BTreeMap::new();
    for tensor in parts.iter().flat_map(|part| part.file.tensors()) {
        let (tensors, elements, bytes) = sums.entry(tensor.weight_type).or_default();
        *tensors += 1;
        *elements = elements.saturating_add(tensor.elements());
        *bytes = bytes.saturating_add(tensor.size);
    }
    let total = sums.values().map(|sums| sums.2).fold(0, u64::saturating_add);
    let of_type = |(weight_type, (tensors, elements, bytes)): (WeightType, _)| WeightTotals {
        weight_type: weight_type.name(),
        tensors,
        elements,
        bytes,
        share: bytes as f64 / total.max(1) as f64,
        bits_per_weight: bits_per_weight(bytes, elements),
    };
    let mut weights: Vec<_> = sums.into_iter().map(of_type).collect();
    weights.sort_by_key(|weights| std::cmp::Reverse(weights.bytes));
    weights
}

/// What has no tensor at all, but words, was never meant to be run.
fn is_only_words(parts: &[ReadShard<'_>]) -> bool {
    matches!(parts, [part] if is_vocabulary(&part.file.clone().into()))
}

/// What each file breaks, and what they break together.
fn findings(parts: &[ReadShard<'_>], missing: &[String]) -> Vec<(Option<u32>, Tolerated)> {
    let only_words = is_only_words(parts);
    let concerns = |tolerated: &&Tolerated| !(only_words && tolerated.finding.rule == Rule::TensorMissing);
    let of_part = |part: &ReadShard<'_>| {
        let number = part.number;
        let tolerated = part.file.tolerated().iter().filter(concerns);
        tolerated.map(|tolerated| (Some(number), tolerated.clone())).collect::<Vec<_>>()
    };
    let mut findings: Vec<_> = parts.iter().flat_map(of_part).collect();
    // A file that lies where it should not is told as that, and not as what follows from it.
    let misplaced = parts.iter().filter_map(|part| Some((part, Misplaced::find(&part.file, part.name)?)));
    let misplaced: Vec<_> =
        misplaced.map(|(part, misplaced)| (Some(part.number), Tolerated { finding: misplaced.finding(), times: 1 })).collect();
    if !misplaced.is_empty() {
        findings.extend(misplaced);
        return findings;
    }
    let together = match missing.first() {
        Some(first) => Some(Finding {
            rule: Rule::SplitShards,
            offset: 0,
            field: format!("file `{}`", Text::new(first)),
            found: "no such file".into(),
            expected: format!("all {} files of the split model in one folder", parts.len() + missing.len()),
        }),
        None => match Split::join(parts.iter().map(|part| part.file.clone()).collect(), Mode::Lenient) {
            Ok(split) => {
                findings.extend(split.tolerated().iter().map(|tolerated| (None, tolerated.clone())));
                None
            }
            Err(finding) => Some(finding),
        },
    };
    if let Some(finding) = together {
        findings.push((None, Tolerated { finding, times: missing.len().max(1) as u64 }));
    }
    findings
}

fn breach((file, Tolerated { finding, times }): (Option<u32>, Tolerated)) -> Breach {
    let Finding { rule, offset, field, found, expected } = finding;
    let (id, severity, meaning) = (rule.id(), severity_of(rule), rule.meaning());
    Breach { rule: id, severity, meaning, file, offset, field, found, expected, times, is_of_weights: false }
}

fn to_json(value: Value<'_>, depth: usize) -> serde_json::Value {
    match value {
        Value::U8(v) => v.into(),
        Value::I8(v) => v.into(),
        Value::U16(v) => v.into(),
        Value::I16(v) => v.into(),
        Value::U32(v) => v.into(),
        Value::I32(v) => v.into(),
        Value::U64(v) => v.into(),
        Value::I64(v) => v.into(),
        Value::F32(v) => real(v.to_string()),
        Value::F64(v) => real(v.to_string()),
        Value::Bool(v) => v.into(),
        Value::String(bytes) => serde_json::json!(Text::new(bytes)),
        Value::Array(array) => {
            let shown = if depth < DEEPEST_ARRAY { MOST_ELEMENTS } else { 0 };
            let values: Vec<_> = array.values().take(shown).map(|value| to_json(value, depth + 1)).collect();
            serde_json::json!({ "type": array.element_type().name(), "length": array.len(), "values": values })
        }
    }
}

/// A real number from its shortest digits, so that an f32 is not written as the many digits of the f64 it equals.
fn real(digits: String) -> serde_json::Value {
    let number = digits.parse().ok().and_then(serde_json::Number::from_f64);
    number.map_or(serde_json::Value::String(digits), serde_json::Value::Number)
}

fn severity_of(rule: Rule) -> RuleSeverity {
    match rule.severity() {
        Severity::Invalid => RuleSeverity::Invalid,
        Severity::Acceptable => RuleSeverity::Acceptable,
        Severity::Unsupported => RuleSeverity::Unsupported,
    }
}

/// Every rule: those of the format, in the order in which a file is read, and behind them those about weights.
pub fn rules() -> Vec<RuleRow> {
    let of_format = Rule::ALL.iter().map(|&rule| RuleRow {
        id: rule.id(),
        severity: severity_of(rule),
        meaning: rule.meaning(),
        runtimes: vec![("llama.cpp", rule.llama_cpp().words()), ("candle", rule.candle().words())],
        is_of_weights: false,
    });
    let loads = Stance::Accepts.words();
    let of_weights = WeightRule::ALL.into_iter().map(|rule| RuleRow {
        id: rule.id(),
        severity: rule.severity(),
        meaning: rule.meaning(),
        runtimes: vec![("llama.cpp", loads), ("candle", loads)],
        is_of_weights: true,
    });
    of_format.chain(of_weights).collect()
}
