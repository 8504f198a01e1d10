//! Breaking one rule and no other, for vectors, fuzzers and the tests of the rules themselves.

use crate::{Draft, DraftKey, DraftTensor, MAX_ARRAY_DEPTH, Rule, Value, ValueType, WeightType, architecture};
use std::borrow::Cow;

/// An architecture of which no rule says anything.
const UNKNOWN_ARCHITECTURE: &[u8] = b"vector";

/// A draft that has nothing with which a rule could be broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this draft cannot break rule {rule}: {why}")]
pub struct CannotBreak {
    /// The rule.
    pub rule: Rule,
    /// What is missing.
    pub why: &'static str,
}

impl<'a> Draft<'a> {
    /// Changes a valid draft so that it breaks `rule` and no other. Works best on a draft of a whole model.
    ///
    /// # Errors
    /// Where the draft lacks what is to be broken (a tensor, a tokenizer, the keys of an architecture), or is of version 1.
    pub fn break_rule(&mut self, rule: Rule) -> Result<(), CannotBreak> {
        let cannot = |why| CannotBreak { rule, why };
        if self.version == 1 {
            return Err(cannot("it is of version 1, whose lengths have another width"));
        }
        match rule {
            Rule::Magic => self.magic = *b"GGML",
            Rule::BigEndian => self.version = self.version.swap_bytes(),
            Rule::Version => self.version = 4,
            Rule::VersionOne => self.rewrite_as_version_one().ok_or(cannot("it has values that do not read back"))?,
            Rule::Truncated => self.cut_last_value().ok_or(cannot("it has no key"))?,
            Rule::TensorCount => self.tensor_count = Some(1 << 40),
            Rule::KeyCount => self.key_count = Some(1 << 40),
            Rule::StringLength => self.last_key().ok_or(cannot("it has no key"))?.length = Some(1 << 40),
            Rule::KeyEmpty => self.plain_key(b""),
            Rule::KeyLength => self.plain_key(&vec![b'k'; 65536]),
            Rule::KeyCharset => self.plain_key(b"vector.k\xc3\xa9y"),
            Rule::KeySnakeCase => self.plain_key(b"vector.Key"),
            Rule::KeyDuplicate => {
                let key = self.free_key();
                self.plain_key(key.as_bytes());
                self.plain_key(key.as_bytes());
            }
            Rule::ValueType => self.odd_value(13, &[0]),
            Rule::Boolean => self.odd_value(ValueType::Bool.id(), &[2]),
            Rule::StringUtf8 => self.text(b"\xff"),
            Rule::StringNul => self.text(b"a\0b"),
            Rule::ArrayLength => {
                let key = self.free_key();
                self.array(&key, ValueType::U8.id(), 1 << 40, &[]);
            }
            Rule::ArrayNested => self.nested(2),
            Rule::ArrayDepth => {
                // Nesting is a finding of its own, and an acceptable one; there is no depth without it.
                self.nested(MAX_ARRAY_DEPTH + 1);
            }
            Rule::AlignmentType => self.set("general.alignment", Value::U64(self.alignment)),
            Rule::AlignmentValue => self.align(4),
            Rule::AlignmentPowerOfTwo => self.align(24),
            _ => return self.break_tensor_rule(rule),
        }
        Ok(())
    }

    fn break_tensor_rule(&mut self, rule: Rule) -> Result<(), CannotBreak> {
        let cannot = |why| CannotBreak { rule, why };
        match rule {
            Rule::TensorNameEmpty => self.extra_tensor(b"", &[8]),
            Rule::TensorNameLength => self.extra_tensor(&[b't'; 65], &[8]),
            Rule::TensorNameUtf8 => self.extra_tensor(b"t\xff", &[8]),
            Rule::TensorNameNul => self.extra_tensor(b"t\0", &[8]),
            Rule::TensorDuplicate => {
                let last = self.tensors.last().ok_or(cannot("it has no tensor"))?;
                let twin = DraftTensor { place: None, ..last.clone() };
                self.tensors.push(twin);
            }
            Rule::DimensionCount => {
                let last = self.tensors.last_mut().ok_or(cannot("it has no tensor"))?;
                last.dimensions.resize(5, 1);
            }
            Rule::DimensionCountZero => self.extra_tensor(b"t", &[]),
            Rule::DimensionZero => self.extra_tensor(b"t", &[8, 0]),
            Rule::ElementCount => self.last_dimensions(&[8, 1 << 40, 1 << 40]).ok_or(cannot("it has no tensor"))?,
            Rule::TensorType => self.tensors.last_mut().ok_or(cannot("it has no tensor"))?.type_id = 4,
            Rule::RowSize => self.break_row()?,
            Rule::TensorSize => {
                self.last_dimensions(&[8, 1 << 59]).ok_or(cannot("it has no tensor"))?;
                self.tensors.last_mut().ok_or(cannot("it has no tensor"))?.type_id = WeightType::F32.id();
            }
            Rule::OffsetAlignment => self.move_last(|places, _| Some(places.last()? + 4)).ok_or(cannot("it has no tensor"))?,
            Rule::DataBounds => {
                let last = self.tensors.last_mut().ok_or(cannot("it has no tensor"))?;
                let len = last.data.len().checked_sub(1).ok_or(cannot("its last tensor is empty"))?;
                last.data.to_mut().truncate(len);
                self.tail = Some(Cow::Borrowed(&[]));
            }
            Rule::TensorOverlap => {
                let before = |places: &[u64], _| places.len().checked_sub(2).and_then(|at| places.get(at).copied());
                self.move_last(before).ok_or(cannot("it has no two tensors"))?;
            }
            Rule::TensorOrder => {
                self.move_last(|places, alignment| Some(places.last()? + alignment)).ok_or(cannot("it has no tensor"))?;
            }
            Rule::Padding => {
                if self.tensors.is_empty() || self.alignment < 2 {
                    return Err(cannot("it has no tensor, or no alignment"));
                }
                // A gap of its own, because a table can end on the alignment.
                let mut fits = true;
                while fits {
                    let key = self.free_key();
                    self.plain_key(key.as_bytes());
                    fits = self.table_len().is_multiple_of(self.alignment as usize);
                }
                let len = self.table_len();
                self.padding = Some(Cow::Owned(vec![1; len.next_multiple_of(self.alignment as usize) - len]));
            }
            Rule::FinalPadding => {
                let mut padded = self.clone();
                padded.tail = None;
                self.tail = Some(Cow::Owned(vec![0; padded.tail_len() + self.alignment as usize]));
            }
            _ => return self.break_model_rule(rule),
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "a row for each rule")]
    fn break_model_rule(&mut self, rule: Rule) -> Result<(), CannotBreak> {
        let cannot = |why| CannotBreak { rule, why };
        let architecture = self.find_key("general.architecture").and_then(|key| key.value.get(8..).map(<[u8]>::to_vec));
        let architecture = architecture.and_then(|name| String::from_utf8(name).ok());
        let of_architecture = |key: &str| architecture.as_ref().map(|name| format!("{name}.{key}"));
        let no_key = cannot("it has no such key");
        let of_known = [Rule::KeyMissing, Rule::KeyValue, Rule::TensorMissing, Rule::TensorShape, Rule::TensorUnexpected];
        if of_known.contains(&rule) && !architecture.as_deref().is_some_and(architecture::is_known) {
            return Err(cannot("its architecture is not one with rules"));
        }
        match rule {
            Rule::ArchitectureMissing => drop(self.remove_key("general.architecture")),
            Rule::ArchitectureCharset => {
                self.remove_key("general.architecture").str("general.architecture", "vector-1");
            }
            Rule::QuantizationVersion => {
                if !self.tensors.iter().any(|tensor| is_quantized(tensor.type_id)) {
                    return Err(cannot("it has no quantised tensor"));
                }
                self.remove_key("general.quantization_version");
            }
            Rule::KeyType => self.set("general.name", Value::U32(1)),
            Rule::KeyMissing => {
                let key = of_architecture("context_length").ok_or(no_key.clone())?;
                self.find_key(&key).ok_or(no_key)?;
                self.remove_key(&key);
            }
            Rule::KeyValue => {
                let key = of_architecture("attention.head_count").ok_or(no_key.clone())?;
                self.find_key(&key).ok_or(no_key)?;
                self.set(&key, Value::U32(0));
            }
            Rule::TensorMissing => drop(self.remove_tensor(b"output_norm.weight").ok_or(cannot("it has no output_norm"))?),
            Rule::TensorShape => {
                let tensor = self.tensors.iter_mut().find(|tensor| *tensor.name == *b"output_norm.weight");
                let tensor = tensor.ok_or(cannot("it has no output_norm"))?;
                let len = tensor.dimensions.first().copied().unwrap_or(1);
                // The same bytes in another shape.
                tensor.dimensions = vec![1, len];
            }
            Rule::TensorUnexpected => self.push_tensor(b"vector.weight", &[8]),
            Rule::TokenizerLengths => {
                let scores = self.find_key("tokenizer.ggml.scores").ok_or(cannot("it has no scores"))?;
                let mut value = scores.value.to_vec();
                let len = u64::from_le_bytes(*value.get(4..).and_then(<[u8]>::first_chunk).ok_or(cannot("it has no scores"))?);
                let shorter = len.checked_sub(1).ok_or(cannot("it has no token"))?;
                value[4..12].copy_from_slice(&shorter.to_le_bytes());
                value.truncate(value.len() - 4);
                scores.value = Cow::Owned(value);
            }
            Rule::TokenType => {
                let types = self.find_key("tokenizer.ggml.token_type").ok_or(cannot("it has no token types"))?;
                let mut value = types.value.to_vec();
                let last = value.last_chunk_mut().ok_or(cannot("it has no token types"))?;
                *last = 7i32.to_le_bytes();
                types.value = Cow::Owned(value);
            }
            Rule::SpecialToken => {
                if self.find_key("tokenizer.ggml.tokens").is_none() {
                    return Err(cannot("it has no tokens"));
                }
                self.set("tokenizer.ggml.padding_token_id", Value::U32(1 << 30));
            }
            Rule::SplitKeys => {
                self.set("split.no", Value::U16(1));
                self.set("split.count", Value::U16(1));
                self.set("split.tensors.count", Value::I32(1));
            }
            Rule::SplitShards => return Err(cannot("it takes more than one file; see `Split`")),
            _ => return Err(cannot("there is no way to")),
        }
        Ok(())
    }

    fn last_key(&mut self) -> Option<&mut DraftKey<'a>> {
        self.keys.last_mut()
    }

    fn plain_key(&mut self, key: &[u8]) {
        self.key(key, ValueType::U8.id(), [0]);
    }

    /// A key that the draft does not have.
    fn free_key(&self) -> String {
        let numbered = (1..).map(|number| format!("vector.key{number}"));
        let mut names = std::iter::once("vector.key".to_owned()).chain(numbered);
        let is_free = |name: &String| !self.keys.iter().any(|key| *key.key == *name.as_bytes());
        names.find(is_free).unwrap_or_default()
    }

    /// Gives a key this value, whether the draft has it or not.
    fn set(&mut self, key: &str, value: Value<'_>) {
        self.remove_key(key).value(key, value);
    }

    fn odd_value(&mut self, type_id: u32, value: &[u8]) {
        let key = self.free_key();
        self.key(key, type_id, value);
    }

    fn text(&mut self, text: &[u8]) {
        let key = self.free_key();
        self.value(key, Value::String(text));
    }

    /// Arrays within each other, `depth` of them, the innermost empty.
    fn nested(&mut self, depth: usize) {
        let mut value = Vec::new();
        for _ in 1..depth {
            value.extend(ValueType::Array.id().to_le_bytes());
            value.extend(1u64.to_le_bytes());
        }
        value.extend(ValueType::U8.id().to_le_bytes());
        value.extend(0u64.to_le_bytes());
        self.odd_value(ValueType::Array.id(), &value);
    }

    fn align(&mut self, alignment: u32) {
        self.remove_key("general.alignment").u32("general.alignment", alignment);
        self.alignment = u64::from(alignment);
        self.lay_out_anew();
    }

    /// A tensor that no architecture has, F32, of zeros; so the model's architecture becomes one that nobody knows.
    fn extra_tensor(&mut self, name: &[u8], dimensions: &[u64]) {
        if let Some(architecture) = self.find_key("general.architecture") {
            let mut value = Vec::from((UNKNOWN_ARCHITECTURE.len() as u64).to_le_bytes());
            value.extend(UNKNOWN_ARCHITECTURE);
            architecture.value = Cow::Owned(value);
        }
        self.push_tensor(name, dimensions);
    }

    fn push_tensor(&mut self, name: &[u8], dimensions: &[u64]) {
        let elements: u64 = dimensions.iter().product();
        self.tail = None;
        self.tensor("", dimensions, WeightType::F32, vec![0; elements as usize * 4]);
        if let Some(last) = self.tensors.last_mut() {
            last.name = Cow::Owned(name.to_vec());
        }
    }

    fn remove_tensor(&mut self, name: &[u8]) -> Option<()> {
        let at = self.tensors.iter().position(|tensor| *tensor.name == *name)?;
        self.tensors.remove(at);
        self.lay_out_anew();
        Some(())
    }

    fn last_dimensions(&mut self, dimensions: &[u64]) -> Option<()> {
        self.tensors.last_mut()?.dimensions = dimensions.into();
        Some(())
    }

    /// Forgets where data was: it follows from alignment and sizes again.
    fn lay_out_anew(&mut self) {
        self.tensors.iter_mut().for_each(|tensor| tensor.place = None);
        self.tail = None;
    }

    /// Puts the last tensor's data where `to` says, given the places of all tensors and the alignment.
    fn move_last(&mut self, to: impl FnOnce(&[u64], u64) -> Option<u64>) -> Option<()> {
        let place = to(&self.places(), self.alignment)?;
        self.tensors.last_mut()?.place = Some(place);
        self.tail = None;
        Some(())
    }

    /// Turns a matrix whose rows are shorter than a block into blocks: all of it is a whole number of them, a row is not.
    fn break_row(&mut self) -> Result<(), CannotBreak> {
        let block = WeightType::Q8_0.block_len() as u64;
        // Dimensions that were set to anything need not be those of the data; no type takes less than a bit for an element.
        let elements = |tensor: &DraftTensor<'_>| {
            let elements = tensor.dimensions.iter().try_fold(1u64, |product, &dimension| product.checked_mul(dimension));
            elements.filter(|&elements| elements / 8 <= tensor.data.len() as u64)
        };
        let fits = |tensor: &DraftTensor<'_>| {
            tensor.dimensions.first().is_some_and(|row| !row.is_multiple_of(block))
                && elements(tensor).is_some_and(|elements| elements.is_multiple_of(block))
        };
        if !self.tensors.iter().any(fits) {
            self.extra_tensor(b"t", &[16, 2]);
        }
        let tensor = self.tensors.iter_mut().find(|tensor| fits(tensor));
        let tensor = tensor.ok_or(CannotBreak { rule: Rule::RowSize, why: "it has no matrix" })?;
        let blocks = elements(tensor).unwrap_or(0) / block;
        tensor.type_id = WeightType::Q8_0.id();
        tensor.data = Cow::Owned(vec![0; blocks as usize * WeightType::Q8_0.block_bytes()]);
        self.lay_out_anew();
        self.quantization_version();
        Ok(())
    }

    fn quantization_version(&mut self) {
        if self.find_key("general.quantization_version").is_none() {
            self.u32("general.quantization_version", 2);
        }
    }

    /// Cuts a file without tensors after its last key's value, less one byte; with tensors, nothing can be cut without breaking more.
    fn cut_last_value(&mut self) -> Option<()> {
        let last = self.keys.last_mut()?;
        last.type_id = ValueType::U64.id();
        last.value = Cow::Owned(vec![0; 7]);
        self.tensor_count = Some(0);
        self.tensors.clear();
        self.tail = Some(Cow::Borrowed(&[]));
        Some(())
    }

    /// Bytes up to the end of the tensor table.
    fn table_len(&self) -> usize {
        let bare = Draft {
            padding: Some(Cow::Borrowed(&[])),
            tail: Some(Cow::Borrowed(&[])),
            tensors: self.tensors.iter().map(|tensor| DraftTensor { data: Cow::Borrowed(&[]), ..tensor.clone() }).collect(),
            ..self.clone()
        };
        bare.finish().len()
    }

    /// Bytes that padding takes after the last tensor.
    fn tail_len(&self) -> usize {
        let bare = Draft { tail: Some(Cow::Borrowed(&[])), ..self.clone() };
        self.finish().len() - bare.finish().len()
    }

    /// Writes every length in 4 bytes, which takes reading the values once more.
    fn rewrite_as_version_one(&mut self) -> Option<()> {
        let bytes = self.finish();
        let file = crate::File::lenient(&bytes).ok()?;
        let mut draft = Draft { version: 1, ..Draft::new() };
        for (key, value) in file.metadata().iter() {
            draft.value(key.to_vec(), value);
        }
        self.keys = draft.keys;
        self.version = 1;
        Some(())
    }
}

fn is_quantized(type_id: u32) -> bool {
    WeightType::from_id(type_id).is_some_and(WeightType::is_quantized)
}
