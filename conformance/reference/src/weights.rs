//! What a model's files hold, by name: tensors and keys, with a note of what has been asked for.

use crate::{
    Matrix,
    neutral::{self, Neutral},
};
use gguf::{Array, Dimensions, File, Finding, Metadata, Mode, Rule, Severity, Split, Tensor, Value, WeightType};
use std::{borrow::Cow, cell::RefCell, collections::BTreeSet};
use vocabulary::{Refusal, RejectionClass};

/// A model's files, with a note of what has been read from them.
///
/// A specification that ignores a tensor or a key it does not know would not be exact, so [`Weights::finish`] refuses a file
/// with anything left over that could change the result.
pub struct Weights<'a> {
    files: Split<'a>,
    architecture: &'a str,
    used: RefCell<BTreeSet<String>>,
    /// Keys that say nothing at these values in this model, and in every model only at others.
    neutral: RefCell<Vec<(&'static str, Neutral)>>,
}

/// Keys that llama.cpp reads as one number for all layers or as an array of one for each.
// source: llama-cpp-sys-2 `llama.cpp/src/llama-model.cpp:1397` `ml.get_key_or_arr(LLM_KV_FEED_FORWARD_LENGTH,`
// source: llama-cpp-sys-2 `llama.cpp/src/models/qwen3moe.cpp:4` `ml.get_key_or_arr(LLM_KV_EXPERT_FEED_FORWARD_LENGTH,`
const BY_LAYER: &[&str] = &[
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "expert_used_count",
    "expert_feed_forward_length",
];

impl<'a> Weights<'a> {
    /// The weights of a parsed file, or of the files of a split model.
    ///
    /// # Errors
    /// Where the first file does not name its architecture.
    pub fn new(files: impl Into<Split<'a>>) -> Result<Self, Refusal> {
        let files = files.into();
        let nothing = || Refusal::load(RejectionClass::Incomplete, "a model of no file");
        let architecture = files.files().first().ok_or_else(nothing)?.architecture().map_err(incomplete)?;
        Ok(Self { files, architecture, used: RefCell::default(), neutral: RefCell::default() })
    }

    /// The weights of what was parsed, leniently: one file, which is a model of its own whatever its keys say of others, or the
    /// files of a split model.
    ///
    /// # Errors
    /// Where they do not fit together, or of two tensors or keys of one name which counts is anyone's guess.
    pub fn of(files: Vec<File<'a>>) -> Result<Self, Refusal> {
        let twice = |rule| matches!(rule, Rule::KeyDuplicate | Rule::TensorDuplicate);
        let mut tolerated = files.iter().flat_map(File::tolerated);
        if let Some(tolerated) = tolerated.find(|tolerated| twice(tolerated.finding.rule)) {
            return Err(Refusal::Unsupported(tolerated.finding.to_string()));
        }
        match <[_; 1]>::try_from(files) {
            Ok([file]) => Self::new(file),
            Err(files) => Self::new(Split::join(files, Mode::Lenient).map_err(refused)?),
        }
    }

    /// The first file has the keys of all.
    fn metadata(&self) -> &Metadata<'a> {
        self.files.files()[0].metadata()
    }

    fn data(&self, file: usize, tensor: &Tensor<'a>) -> &'a [u8] {
        self.files.files()[file].data(tensor)
    }

    /// `general.architecture`.
    pub fn architecture(&self) -> &'a str {
        self.architecture
    }

    /// The tensor and its bytes.
    fn tensor(&self, name: &str, dimensions: &[usize]) -> Result<Option<(&Tensor<'a>, &'a [u8])>, Refusal> {
        let Some((file, tensor)) = self.files.tensor(name) else { return Ok(None) };
        self.used.borrow_mut().insert(name.into());
        // A dimension of 1 at the end says nothing, and writers leave it out.
        let said = |mut dimensions: Vec<u64>| {
            while dimensions.len() > 1 && dimensions.last() == Some(&1) {
                dimensions.pop();
            }
            dimensions
        };
        if dimensions.contains(&0) {
            return Err(Refusal::load(RejectionClass::Incomplete, format!("tensor `{name}` has no elements")));
        }
        if said(tensor.dimensions.to_vec()) != said(dimensions.iter().map(|&n| n as u64).collect()) {
            let expected = Dimensions::new(dimensions.iter().map(|&n| n as u64));
            let message = format!("tensor `{name}` has dimensions {}, not {expected}", tensor.dimensions);
            return Err(Refusal::load(RejectionClass::Incomplete, message));
        }
        // Lenient reading takes blocks that go on from one row into the next; there are no such rows to decode.
        if tensor.weight_type.row_bytes(tensor.row_len()).is_none() {
            let message = format!(
                "tensor `{name}` has rows of {} elements, not whole blocks of {}",
                tensor.row_len(),
                tensor.weight_type
            );
            return Err(Refusal::load(RejectionClass::Malformed, message));
        }
        Ok(Some((tensor, self.data(file, tensor))))
    }

    /// A matrix of `inputs` by `outputs`, where the file has it.
    ///
    /// # Errors
    /// Where it has other dimensions.
    pub fn optional_matrix(&self, name: &str, inputs: usize, outputs: usize) -> Result<Option<Matrix<'a>>, Refusal> {
        let tensor = self.tensor(name, &[inputs, outputs])?;
        Ok(tensor.map(|(tensor, bytes)| Matrix { weight_type: tensor.weight_type, bytes, rows: outputs, columns: inputs }))
    }

    /// `count` matrices of `inputs` by `outputs` in one tensor, one after another: experts.
    ///
    /// # Errors
    /// Where the tensor is missing or has other dimensions.
    pub fn matrices(&self, name: &str, inputs: usize, outputs: usize, count: usize) -> Result<Vec<Matrix<'a>>, Refusal> {
        let (tensor, bytes) = self.tensor(name, &[inputs, outputs, count])?.ok_or_else(|| missing_tensor(name))?;
        let all = Matrix { weight_type: tensor.weight_type, bytes, rows: outputs * count, columns: inputs };
        Ok((0..count).map(|index| all.part(index * outputs, outputs)).collect())
    }

    /// A matrix that must be there.
    ///
    /// # Errors
    /// Where it is missing or has other dimensions.
    pub fn matrix(&self, name: &str, inputs: usize, outputs: usize) -> Result<Matrix<'a>, Refusal> {
        self.optional_matrix(name, inputs, outputs)?.ok_or_else(|| missing_tensor(name))
    }

    /// A vector of `len`, where the file has it.
    ///
    /// # Errors
    /// Where it has another length.
    pub fn optional_vector(&self, name: &str, len: usize) -> Result<Option<Vec<f64>>, Refusal> {
        let Some((tensor, bytes)) = self.tensor(name, &[len])? else { return Ok(None) };
        let matrix = Matrix { weight_type: tensor.weight_type, bytes, rows: 1, columns: len };
        Ok(Some(matrix.row(0)))
    }

    /// A vector that must be there.
    ///
    /// # Errors
    /// Where it is missing or has another length.
    pub fn vector(&self, name: &str, len: usize) -> Result<Vec<f64>, Refusal> {
        self.optional_vector(name, len)?.ok_or_else(|| missing_tensor(name))
    }

    /// Number of tokens in the vocabulary.
    ///
    /// # Errors
    /// Where there is no embedding table.
    pub fn vocabulary_size(&self) -> Result<usize, Refusal> {
        self.files.vocabulary_size().map(|size| size as usize).ok_or_else(|| missing_tensor("token_embd.weight"))
    }

    fn key(&self, suffix: &str) -> String {
        let key = format!("{}.{suffix}", self.architecture);
        self.used.borrow_mut().insert(key.clone());
        key
    }

    /// A count among the architecture's keys, or `default`.
    ///
    /// # Errors
    /// Where it is not a non-negative integer.
    pub fn count_or(&self, suffix: &str, default: usize) -> Result<usize, Refusal> {
        Ok(self.optional_count(suffix)?.unwrap_or(default))
    }

    /// A count among the architecture's keys, where there is one. At most 2^24, so that no product of two overflows. Where
    /// llama.cpp takes an array of one count a layer, so does this, if they are all the same: its graphs for these
    /// architectures have the first for all.
    fn optional_count(&self, suffix: &str) -> Result<Option<usize>, Refusal> {
        let key = self.key(suffix);
        match self.metadata().get(&key) {
            Some(Value::Array(array)) if BY_LAYER.contains(&suffix) => {
                let counts = counts(&key, array, self.count("block_count")?)?;
                match counts.first() {
                    Some(first) if counts.iter().all(|count| count == first) => Ok(Some(*first)),
                    _ => Err(Refusal::Unsupported(format!(
                        "the reference does not know layers of different `{key}`: {}",
                        Value::Array(array).summary()
                    ))),
                }
            }
            Some(Value::Array(_)) => {
                Err(Refusal::Unsupported(format!("the reference does not know key `{key}` as an array, one value a layer")))
            }
            _ => match self.metadata().u64(&key).map_err(incomplete)? {
                Some(value) if value > 1 << 24 => {
                    Err(Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is {value}")))
                }
                value => Ok(value.map(|value| value as usize)),
            },
        }
    }

    /// A count among the architecture's keys that must be there and not be 0.
    ///
    /// # Errors
    /// Where it is missing or out of that range.
    pub fn count(&self, suffix: &str) -> Result<usize, Refusal> {
        match self.optional_count(suffix)? {
            Some(0) => Err(Refusal::load(RejectionClass::Incomplete, format!("key `{}` is 0", self.key(suffix)))),
            Some(value) => Ok(value),
            None => Err(incomplete(self.metadata().missing(&self.key(suffix)))),
        }
    }

    /// A count for each of `layers` layers: an array, or one number for all.
    ///
    /// # Errors
    /// Where it is missing, is not made of counts, or has another length.
    pub fn count_by_layer(&self, suffix: &str, layers: usize) -> Result<Vec<usize>, Refusal> {
        let key = format!("{}.{suffix}", self.architecture);
        let Some(Value::Array(array)) = self.metadata().get(&key) else {
            return Ok(vec![self.count(suffix)?; layers]);
        };
        counts(&self.key(suffix), array, layers)
    }

    /// A truth value for each of `layers` layers, where the file has an array of them: of truth values, or of counts that are 0
    /// or not.
    ///
    /// # Errors
    /// Where it is made of something else, or has another length.
    pub fn flags_by_layer(&self, suffix: &str, layers: usize) -> Result<Option<Vec<bool>>, Refusal> {
        let key = format!("{}.{suffix}", self.architecture);
        let Some(Value::Array(array)) = self.metadata().get(&key) else { return Ok(None) };
        let key = self.key(suffix);
        let flag = |value: Value<'_>| match value {
            Value::Bool(flag) => Some(flag),
            Value::U32(_) | Value::I32(_) => value.as_u64().map(|count| count != 0),
            _ => None,
        };
        let flags: Option<Vec<bool>> = array.values().map(flag).collect();
        flags.filter(|flags| flags.len() == layers).map(Some).ok_or_else(|| {
            Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is not one truth value for each of {layers} layers"))
        })
    }

    /// A real number among the architecture's keys, or `default`.
    ///
    /// # Errors
    /// Where it is not a floating-point number.
    pub fn real_or(&self, suffix: &str, default: f64) -> Result<f64, Refusal> {
        Ok(self.optional_real(suffix)?.unwrap_or(default))
    }

    /// A real number among the architecture's keys, where there is one.
    ///
    /// # Errors
    /// Where it is not a finite floating-point number.
    pub fn optional_real(&self, suffix: &str) -> Result<Option<f64>, Refusal> {
        let key = self.key(suffix);
        match self.metadata().f64(&key).map_err(incomplete)? {
            Some(value) if !value.is_finite() => {
                Err(Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is {value}")))
            }
            value => Ok(value),
        }
    }

    /// A real number above 0 among the architecture's keys, where there is one.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn positive(&self, suffix: &str) -> Result<Option<f64>, Refusal> {
        match self.optional_real(suffix)? {
            Some(value) if value <= 0.0 => Err(Refusal::Unsupported(format!(
                "key `{}` is {value}, and the reference knows numbers above 0 there",
                self.key(suffix)
            ))),
            value => Ok(value),
        }
    }

    /// A real number among the architecture's keys of which 0 means that there is none, as in llama.cpp.
    ///
    /// # Errors
    /// Where it is not a finite floating-point number.
    pub fn nonzero(&self, suffix: &str) -> Result<Option<f64>, Refusal> {
        Ok(self.optional_real(suffix)?.filter(|&value| value != 0.0))
    }

    /// A real number among the architecture's keys that must be there.
    ///
    /// # Errors
    /// Where it is missing or not a finite floating-point number.
    pub fn real(&self, suffix: &str) -> Result<f64, Refusal> {
        let value = self.optional_real(suffix)?;
        value.ok_or_else(|| incomplete(self.metadata().missing(&self.key(suffix))))
    }

    /// A text among the architecture's keys, where there is one.
    ///
    /// # Errors
    /// Where it is not a text.
    pub fn text(&self, suffix: &str) -> Result<Option<&'a str>, Refusal> {
        self.metadata().str(&self.key(suffix)).map_err(incomplete)
    }

    /// A truth value among the architecture's keys, or `default`.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn flag_or(&self, suffix: &str, default: bool) -> Result<bool, Refusal> {
        let key = self.key(suffix);
        match self.metadata().get(&key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is not a truth value"))),
        }
    }

    /// True where the file has a tensor of this name.
    pub fn has(&self, tensor: &str) -> bool {
        self.files.tensor(tensor).is_some()
    }

    /// Number of tensors in all files.
    pub fn tensor_count(&self) -> usize {
        self.files.tensors().count()
    }

    /// Says of a key that nothing asks for at which values it says nothing in this model, whatever is true of others.
    pub(crate) fn neutral(&self, suffix: &'static str, values: Neutral) {
        self.neutral.borrow_mut().push((suffix, values));
    }

    /// [`Weights::neutral`] of numbers.
    pub(crate) fn neutral_at(&self, suffix: &'static str, numbers: impl Into<Vec<f64>>) {
        self.neutral(suffix, Neutral::Numbers(Cow::Owned(numbers.into())));
    }

    /// The architecture's keys that nothing has asked for, with the name that they have in every architecture.
    fn left_over(&self) -> Vec<(String, String, Value<'a>)> {
        let used = self.used.borrow();
        let own = format!("{}.", self.architecture);
        let keys = self.metadata().iter().map(|(key, value)| (key.to_string(), value));
        keys.filter_map(|(key, value)| {
            let suffix = key.strip_prefix(&own).filter(|_| !used.contains(&key))?.to_owned();
            Some((key, suffix, value))
        })
        .collect()
    }

    /// At which values a key that nothing has asked for says nothing.
    fn neutral_values(&self, suffix: &str, experts: bool) -> Option<Neutral> {
        let own =
            self.neutral.borrow().iter().find(|(name, _)| neutral::matches(&[name], suffix)).map(|(_, values)| values.clone());
        own.or_else(|| neutral::of(suffix, experts))
    }

    /// The keys of the architecture that were passed over, in the file's order. Says something once a model is loaded.
    pub fn ignored(&self) -> Vec<String> {
        self.left_over().into_iter().map(|(key, ..)| key).collect()
    }

    /// Refuses a file that has a tensor, or a key of its architecture, which nothing has asked for and which could change the
    /// result of a model that has `experts`, or none.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`], naming the first of them.
    pub fn finish(&self, experts: bool) -> Result<(), Refusal> {
        for (key, suffix, value) in self.left_over() {
            match self.neutral_values(&suffix, experts) {
                None => return Err(self.unknown("key", &key)),
                Some(neutral) if neutral.has(value) => {}
                Some(neutral) => {
                    return Err(Refusal::Unsupported(format!(
                        "the reference for {} knows key `{key}` only where it changes nothing, at {neutral}, and it is {}",
                        self.architecture,
                        value.summary()
                    )));
                }
            }
        }
        let used = self.used.borrow();
        let mut tensors = self.files.tensors().map(|tensor| tensor.name.to_string());
        let unknown = tensors.find(|name| !used.contains(name) && !self.is_factor_of_one(name));
        unknown.map_or(Ok(()), |name| Err(self.unknown("tensor", &name)))
    }

    /// True for a factor on a matrix that the model has, or on what goes into it, where it is 1 throughout. llama.cpp loads
    /// such factors for every architecture, and not every graph multiplies by them.
    fn is_factor_of_one(&self, name: &str) -> bool {
        let matrix = name.strip_suffix(".scale").or_else(|| name.strip_suffix(".input_scale"));
        let is_of_ours = matrix.is_some_and(|matrix| self.used.borrow().contains(&format!("{matrix}.weight")));
        let is_one = |(file, tensor): (usize, &Tensor<'a>)| {
            tensor.weight_type == WeightType::F32
                && self.data(file, tensor).chunks_exact(4).all(|element| element == 1_f32.to_le_bytes())
        };
        is_of_ours && self.files.tensor(name).is_some_and(is_one)
    }

    fn unknown(&self, kind: &str, name: &str) -> Refusal {
        Refusal::Unsupported(format!(
            "the reference for {} does not know {kind} `{name}`, so its result would not be exact",
            self.architecture
        ))
    }
}

/// The counts of an array, one for each of `layers` layers.
fn counts(key: &str, array: Array<'_>, layers: usize) -> Result<Vec<usize>, Refusal> {
    let counts: Option<Vec<usize>> =
        array.values().map(|value| value.as_u64().filter(|&n| n <= 1 << 24).map(|n| n as usize)).collect();
    counts.filter(|counts| counts.len() == layers).ok_or_else(|| {
        Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is not one count for each of {layers} layers"))
    })
}

/// What it comes to that a file, or files together, cannot be read.
pub fn refused(finding: Finding) -> Refusal {
    match finding.rule {
        // A type that is not in this crate may be one of a newer ggml.
        Rule::TensorType => Refusal::Unsupported(finding.to_string()),
        rule if rule.severity() == Severity::Unsupported => Refusal::Unsupported(finding.to_string()),
        _ => Refusal::load(RejectionClass::Malformed, finding.to_string()),
    }
}

fn incomplete(finding: Finding) -> Refusal {
    Refusal::load(RejectionClass::Incomplete, finding.to_string())
}

fn missing_tensor(name: &str) -> Refusal {
    Refusal::load(RejectionClass::Incomplete, format!("tensor `{name}` is missing"))
}
