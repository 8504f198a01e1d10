//! The exact form of a model: a file with the same values as f32, of all its layers or the first of them. A runtime that is asked to compute as
//! exactly as it can gives on it what the graph alone gives, without the rounding of a kernel for quantised weights.
//!
//! It lies in the cache beside a note of what was written, and is written anew where it is something else by now.

use crate::{files::Files, models::Model};
use gguf::{Array, Draft, Metadata, Split, Tensor, Value, WeightType, codec};
use indicatif::{HumanBytes, ProgressBar};
use machine::{Error, cache::Cache, files, interrupt, small};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Raised when what is written changes for the same model and form.
const VERSION: u32 = 1;
/// Layers of a slice, where they fit: enough to see what comes back every so many layers and shows in no tensor, such as windows.
const LAYERS: u64 = 8;
/// A vocabulary is cut no further than this: with fewer tokens a prompt says the same few again and again.
const TOKENS: u64 = 1024;
/// Tensors with a row, or an element, for each token.
const OF_TOKENS: [&[u8]; 4] = [b"token_embd.weight", b"output.weight", b"output.bias", b"per_layer_token_embd.weight"];
/// After how many layers their kinds come round again, where no tensor and no key shows it: the defaults of llama.cpp's `llama-model.cpp`.
const PERIODS: [(&str, u64); 6] = [("cohere2", 4), ("gemma2", 2), ("gemma3", 6), ("llama4", 4), ("olmo2", 4), ("smollm3", 4)];
/// Elements that are decoded together.
const PIECE: usize = 1 << 20;

/// What of a model is in its exact form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExactForm {
    /// The first so many layers.
    pub layers: u64,
    /// How many the model has.
    pub of: u64,
    /// The first so many tokens, where the vocabulary is cut.
    pub tokens: Option<u64>,
}

impl ExactForm {
    /// True where nothing is left out.
    pub fn is_whole(&self) -> bool {
        self.layers == self.of && self.tokens.is_none()
    }
}

/// As it stands in case ids, behind the name of the weights.
impl fmt::Display for ExactForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("exact")?;
        if self.layers < self.of {
            write!(f, "-{}-layers", self.layers)?;
        }
        self.tokens.map_or(Ok(()), |tokens| write!(f, "-{tokens}-tokens"))
    }
}

/// The exact form of a model, or why it has none, in words: also where the disk has no room for it. It takes at most `budget` bytes, and is not written
/// where nobody wants one with its name of weights.
///
/// # Errors
/// Where the model cannot be read or changes meanwhile, and where the user interrupted.
pub fn of(
    model: &Model,
    budget: u64,
    is_wanted: impl Fn(&str) -> bool,
    cache: &Cache,
    progress: &ProgressBar,
) -> Result<Result<Model, String>, Error> {
    let files = Files::open(&model.path)?;
    let split = files.read()?;
    let source = match Source::of(&split) {
        Ok(source) => source,
        Err(why) => return Ok(Err(why)),
    };
    let form = match source.form(budget) {
        Ok(form) => form,
        Err(why) => return Ok(Err(why)),
    };
    let weights = format!("{}-{form}", model.weights);
    if !is_wanted(&weights) {
        return Ok(Err("none of its cases is asked for".into()));
    }
    if form.is_whole() && source.is_single() {
        // It is one already.
        return Ok(Ok(model.clone().into_exact_form_of(model, weights)));
    }
    let path = cache.exact()?.join(format!("{}-{form}-{VERSION}.gguf", model.sha256.get(..32).unwrap_or(&model.sha256)));
    let note = path.with_extension("json");
    // Another run may want the same, or drop it for its own.
    let alone = cache.alone("exact")?;
    let hash = |path: &Path| cache.sha256(&[path], progress);
    let known = small::read(&note).ok().and_then(|json| serde_json::from_slice::<Note>(&json).ok());
    let is_there = match &known {
        Some(Note { bytes, sha256 }) => files::holds(&path, *bytes, sha256, hash)?,
        None => false,
    };
    if !is_there {
        progress.set_message(format!("writing the exact form of {}", printable::line(&model.name)));
        cache.make_room_for_exact(source.bytes(form));
        let mut in_use = model.ensure()?;
        if let Err(error) = write(&source, form, &path) {
            interrupt::check()?;
            return Ok(Err(format!("{}: {error}; it takes {}", path.display(), HumanBytes(source.bytes(form)))));
        }
        // Of the bytes that were hashed, and no others.
        in_use.check()?;
    }
    let exact = Model::open(&path, None, None, cache, progress)?;
    let bytes = fs::metadata(&path).map_err(|error| Error::file(&path, &error))?.len();
    // Also where nothing in it changes: as old as its last use.
    let written = Note { bytes, sha256: exact.sha256.clone() };
    files::write_whole(&note, &serde_json::to_vec(&written).unwrap_or_default())?;
    drop(alone);
    Ok(Ok(exact.into_exact_form_of(model, weights)))
}

/// What was written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    bytes: u64,
    sha256: String,
}

/// A model's files, as far as they are cut.
struct Source<'s, 'a> {
    split: &'s Split<'a>,
    metadata: &'s Metadata<'a>,
    architecture: &'a str,
    layers: u64,
    vocabulary: u64,
}

impl<'s, 'a> Source<'s, 'a> {
    fn of(split: &'s Split<'a>) -> Result<Self, String> {
        let first = split.files().first().ok_or("a model of no file")?;
        let architecture = first.architecture().map_err(|finding| finding.to_string())?;
        let metadata = first.metadata();
        let layers = metadata.u64(&format!("{architecture}.block_count")).map_err(|finding| finding.to_string())?;
        let layers = layers.filter(|&layers| layers > 0).ok_or_else(|| format!("it has no key {architecture}.block_count"))?;
        let vocabulary = split.vocabulary_size().ok_or("it has no tensor token_embd.weight")?;
        let of_tensors: BTreeSet<u64> = split.tensors().filter_map(layer).collect();
        // Not one is missing: so there are as many at least as the key says, whatever that is.
        if of_tensors.len() as u64 != layers || of_tensors.last().copied() != Some(layers - 1) {
            return Err(format!("it has {layers} layers by its keys and {} by its tensors", of_tensors.len()));
        }
        Ok(Self { split, metadata, architecture, layers, vocabulary })
    }

    /// True for one file whose weights are f32 as they are.
    fn is_single(&self) -> bool {
        self.split.files().len() == 1 && self.split.tensors().all(|tensor| tensor.weight_type == WeightType::F32)
    }

    /// A key of the architecture.
    fn key(&self, suffix: &str) -> Option<Value<'a>> {
        self.metadata.get(&format!("{}.{suffix}", self.architecture))
    }

    /// The largest form that is worth its time and takes at most `budget` bytes.
    fn form(&self, budget: u64) -> Result<ExactForm, String> {
        let whole = ExactForm { layers: self.layers, of: self.layers, tokens: None };
        if self.bytes(whole) <= budget {
            return Ok(whole);
        }
        let least = self.least_layers()?;
        let most = LAYERS.clamp(least, self.layers);
        if let Some(form) =
            (least..=most).rev().map(|layers| ExactForm { layers, ..whole }).find(|form| self.bytes(*form) <= budget)
        {
            return Ok(form);
        }
        let (all, none) = (ExactForm { layers: least, ..whole }, ExactForm { layers: least, tokens: Some(0), ..whole });
        let a_token = (self.bytes(all) - self.bytes(none)).div_ceil(self.vocabulary).max(1);
        let tokens = budget.saturating_sub(self.bytes(none)) / a_token;
        if tokens < TOKENS.min(self.vocabulary) {
            let needed = self.bytes(none) + a_token * TOKENS.min(self.vocabulary);
            return Err(format!(
                "a layer of each kind and {TOKENS} tokens take {} as F32, and it may take {} (`--exact-memory`)",
                HumanBytes(needed),
                HumanBytes(budget)
            ));
        }
        Ok(ExactForm { layers: least, of: self.layers, tokens: Some(tokens) })
    }

    /// How many of the first layers have one of each kind: tensors of the same names and dimensions, and the same values in arrays of one value a
    /// layer.
    fn least_layers(&self) -> Result<u64, String> {
        // Both are counted from the end.
        for suffix in ["attention.shared_kv_layers", "nextn_predict_layers"] {
            if self.key(suffix).is_some_and(|value| value.as_u64() != Some(0)) {
                return Err(format!("its last layers are others than its first ones (`{suffix}`), so they cannot be left out"));
            }
        }
        if self.split.tensors().any(|tensor| is_of_other_stack(tensor)) {
            return Err("it has layers of an encoder and of a decoder, of which none can be left out".into());
        }
        let arrays: Vec<Vec<Value<'a>>> = self.by_layer().map(|(_, array)| array.values().collect()).collect();
        let mut tensors: Vec<BTreeSet<(Vec<u8>, Vec<u64>)>> = vec![BTreeSet::new(); usize::try_from(self.layers).unwrap_or(0)];
        for tensor in self.split.tensors() {
            let place = layer(tensor).and_then(|layer| tensors.get_mut(usize::try_from(layer).ok()?));
            if let (Some(kind), Some(suffix)) = (place, suffix(tensor)) {
                kind.insert((suffix.to_vec(), tensor.dimensions.to_vec()));
            }
        }
        let mut seen = Vec::new();
        let by_key = self.key("attention.sliding_window_pattern").and_then(Value::as_u64);
        let by_default = || PERIODS.iter().find(|(name, _)| *name == self.architecture).map(|&(_, period)| period);
        let mut least = by_key.or_else(by_default).unwrap_or(1).clamp(1, self.layers);
        for (layer, tensors) in (0u64..).zip(&tensors) {
            let values: Vec<_> = arrays.iter().map(|array| array.get(layer as usize).copied()).collect();
            let kind = (tensors, values);
            if !seen.contains(&kind) {
                seen.push(kind);
                least = least.max(layer + 1);
            }
        }
        Ok(least)
    }

    /// Keys with one value a layer.
    fn by_layer(&self) -> impl Iterator<Item = (&'a [u8], Array<'a>)> {
        let own = format!("{}.", self.architecture);
        self.metadata.iter().filter_map(move |(key, value)| match value {
            Value::Array(array) if array.len() == self.layers && key.starts_with(own.as_bytes()) => Some((&**key, array)),
            _ => None,
        })
    }

    /// Bytes of the tensors of a form.
    fn bytes(&self, form: ExactForm) -> u64 {
        let size = |tensor: &Tensor<'_>| {
            let elements = dimensions(tensor, form)?.into_iter().fold(1u64, u64::saturating_mul);
            Some(elements.saturating_mul(4))
        };
        self.split.tensors().filter_map(size).fold(0, u64::saturating_add)
    }

    /// The keys of a form. Without the words of all its tokens a tokenizer would be another, so a form with fewer has none.
    fn keys(&self, form: ExactForm, draft: &mut Draft<'_>) {
        let block_count = format!("{}.block_count", self.architecture);
        for (key, value) in self.metadata.iter() {
            let is = |name: &str| **key == *name.as_bytes();
            let begins = |name: &str| key.starts_with(name.as_bytes());
            let value = match value {
                // Its own alignment is the usual one.
                _ if is("general.alignment") || begins("split.") || (form.tokens.is_some() && begins("tokenizer.")) => continue,
                _ if is("general.file_type") => Value::U32(0),
                _ if is(&block_count) => Value::U32(u32::try_from(form.layers).unwrap_or(u32::MAX)),
                Value::Array(array) if self.by_layer().any(|(by_layer, _)| *by_layer == **key) => {
                    Value::Array(array.first(form.layers))
                }
                value => value,
            };
            draft.value(key.to_vec(), value);
        }
        if let Some(tokens) = form.tokens {
            let size = format!("{}.vocab_size", self.architecture);
            draft.remove_key(&size).u32(&size, u32::try_from(tokens).unwrap_or(u32::MAX)).str("tokenizer.ggml.model", "none");
        }
    }
}

/// The dimensions of a tensor in a form; `None` where it is not part of it.
fn dimensions(tensor: &Tensor<'_>, form: ExactForm) -> Option<Vec<u64>> {
    if layer(tensor).is_some_and(|layer| layer >= form.layers) {
        return None;
    }
    let mut dimensions = tensor.dimensions.to_vec();
    if let (Some(tokens), Some(last)) = (form.tokens, dimensions.last_mut())
        && OF_TOKENS.contains(&&**tensor.name)
    {
        *last = tokens;
    }
    Some(dimensions)
}

/// The layer that a tensor belongs to.
fn layer(tensor: &Tensor<'_>) -> Option<u64> {
    let digits = tensor.name.strip_prefix(b"blk.")?.split(|&byte| byte == b'.').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What a tensor is in its layer.
fn suffix<'a>(tensor: &Tensor<'a>) -> Option<&'a [u8]> {
    tensor.name.strip_prefix(b"blk.")?.splitn(2, |&byte| byte == b'.').nth(1)
}

/// True for a tensor of one of several stacks of layers.
fn is_of_other_stack(tensor: &Tensor<'_>) -> bool {
    tensor.name.windows(5).any(|part| part == b".blk.")
}

/// Writes a form, so that it is whole or not there.
fn write(source: &Source<'_, '_>, form: ExactForm, path: &Path) -> io::Result<()> {
    let mut file = files::beside(path.parent().unwrap_or(Path::new(".")))?;
    write_to(source, form, file.as_file_mut())?;
    file.persist(path)?;
    Ok(())
}

fn write_to(source: &Source<'_, '_>, form: ExactForm, file: &mut fs::File) -> io::Result<()> {
    let mut draft = Draft::new();
    source.keys(form, &mut draft);
    let mut kept = Vec::new();
    let mut place = 0u64;
    for (data, tensor) in source.split.data() {
        let Some(dimensions) = dimensions(tensor, form) else { continue };
        let elements: u64 = dimensions.iter().product();
        draft.tensor_at(tensor.name, &dimensions, WeightType::F32, place);
        place = (place + elements * 4).next_multiple_of(draft.alignment);
        kept.push((data, tensor, elements));
    }
    let mut out = BufWriter::new(file);
    out.write_all(&draft.finish())?;
    for (data, tensor, elements) in kept {
        write_values(data, tensor, elements, &mut out)?;
        let padding = (elements * 4).next_multiple_of(draft.alignment) - elements * 4;
        out.write_all(&vec![0; usize::try_from(padding).unwrap_or(0)])?;
    }
    out.flush()
}

/// Writes the first `elements` values of a tensor, which are whole rows of it.
fn write_values(data: &[u8], tensor: &Tensor<'_>, elements: u64, out: &mut impl Write) -> io::Result<()> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("tensor {}: {why}", tensor.name));
    let (block, bytes) = (tensor.weight_type.block_len(), tensor.weight_type.block_bytes());
    let elements = usize::try_from(elements).map_err(|error| wrong(error.to_string()))?;
    let whole =
        data.get(..elements / block * bytes).ok_or_else(|| wrong(format!("{elements} elements are not in the file")))?;
    let mut values = vec![0f32; PIECE];
    for piece in whole.chunks(PIECE / block * bytes) {
        if interrupt::requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let values = values.get_mut(..piece.len() / bytes * block).unwrap_or_default();
        codec::decode(tensor.weight_type, piece, values).map_err(|error| wrong(error.to_string()))?;
        values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
    }
    Ok(())
}
