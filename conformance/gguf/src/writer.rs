//! The writer: a valid GGUF version 3 file from metadata and tensors, in the order they are given.

use crate::{DEFAULT_ALIGNMENT, MAGIC, ValueType, WeightType};

/// Collects metadata and tensors, then lays the file out.
///
/// Same calls, same bytes.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    key_count: u64,
    metadata: Vec<u8>,
    tensors: Vec<(String, Vec<u64>, WeightType, Vec<u8>)>,
}

impl Writer {
    /// A file with no key and no tensor.
    pub fn new() -> Self {
        Self::default()
    }

    fn key(&mut self, key: &str, value_type: ValueType) -> &mut Vec<u8> {
        self.key_count += 1;
        string(&mut self.metadata, key.as_bytes());
        self.metadata.extend(value_type.id().to_le_bytes());
        &mut self.metadata
    }

    /// Adds a text.
    pub fn str(&mut self, key: &str, value: &str) -> &mut Self {
        string(self.key(key, ValueType::String), value.as_bytes());
        self
    }

    /// Adds a count.
    pub fn u32(&mut self, key: &str, value: u32) -> &mut Self {
        self.key(key, ValueType::U32).extend(value.to_le_bytes());
        self
    }

    /// Adds a real number.
    pub fn f32(&mut self, key: &str, value: f32) -> &mut Self {
        self.key(key, ValueType::F32).extend(value.to_le_bytes());
        self
    }

    /// Adds a truth value.
    pub fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key, ValueType::Bool).push(value.into());
        self
    }

    fn array<T>(&mut self, key: &str, element: ValueType, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) -> &mut Self {
        let out = self.key(key, ValueType::Array);
        out.extend(element.id().to_le_bytes());
        out.extend((values.len() as u64).to_le_bytes());
        for value in values {
            write(out, value);
        }
        self
    }

    /// Adds an array of texts.
    pub fn strings<S: AsRef<[u8]>>(&mut self, key: &str, values: &[S]) -> &mut Self {
        self.array(key, ValueType::String, values, |out, value| string(out, value.as_ref()))
    }

    /// Adds an array of integers.
    pub fn i32s(&mut self, key: &str, values: &[i32]) -> &mut Self {
        self.array(key, ValueType::I32, values, |out, value| out.extend(value.to_le_bytes()))
    }

    /// Adds an array of real numbers.
    pub fn f32s(&mut self, key: &str, values: &[f32]) -> &mut Self {
        self.array(key, ValueType::F32, values, |out, value| out.extend(value.to_le_bytes()))
    }

    /// Adds a tensor; `dimensions` begin with the row's length, `data` holds whole blocks of `weight_type`.
    pub fn tensor(&mut self, name: &str, dimensions: &[u64], weight_type: WeightType, data: Vec<u8>) -> &mut Self {
        self.tensors.push((name.into(), dimensions.into(), weight_type, data));
        self
    }

    /// The file's bytes.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend(self.key_count.to_le_bytes());
        out.extend(&self.metadata);
        let mut offset = 0u64;
        for (name, dimensions, weight_type, data) in &self.tensors {
            string(&mut out, name.as_bytes());
            out.extend((dimensions.len() as u32).to_le_bytes());
            for dimension in dimensions {
                out.extend(dimension.to_le_bytes());
            }
            out.extend(weight_type.id().to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + data.len() as u64).next_multiple_of(DEFAULT_ALIGNMENT);
        }
        for (_, _, _, data) in &self.tensors {
            pad(&mut out);
            out.extend(data);
        }
        pad(&mut out);
        out
    }
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
}
