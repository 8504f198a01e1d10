//! The writer: a file as it is going to be written, built up key by key or taken over from a [`File`].
//!
//! Every field can be set, also to what is wrong: that is how vectors, fuzzers and the tests of the rules are made. What is not
//! set follows from the rest, so that a draft on which nothing was forced is a valid file, and the draft of a file that was read
//! is written back to the byte.

use crate::{Array, DEFAULT_ALIGNMENT, File, MAGIC, Value, ValueType, WeightType};
use std::borrow::Cow;

/// A key as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftKey<'a> {
    /// The key's bytes.
    pub key: Cow<'a, [u8]>,
    /// The length to write before the key, where it is not that of its bytes.
    pub length: Option<u64>,
    /// Id of the value's type.
    pub type_id: u32,
    /// The value's bytes: for a string its length and text, for an array its element type, length and elements.
    pub value: Cow<'a, [u8]>,
}

/// A tensor as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftTensor<'a> {
    /// The name's bytes.
    pub name: Cow<'a, [u8]>,
    /// The length to write before the name, where it is not that of its bytes.
    pub name_length: Option<u64>,
    /// The number of dimensions to write, where it is not how many there are.
    pub dimension_count: Option<u32>,
    /// Dimensions, the row first.
    pub dimensions: Vec<u64>,
    /// Id of the type.
    pub type_id: u32,
    /// The offset to write, where it is not `place`.
    pub offset: Option<u64>,
    /// Where the data goes, in bytes from the start of the data section; right after the tensor before where it is not set.
    pub place: Option<u64>,
    /// The data.
    pub data: Cow<'a, [u8]>,
}

/// Where a data section ends at the latest, in bytes.
const FARTHEST: u64 = 1 << 40;

/// A file to be written. Same draft, same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft<'a> {
    /// The first four bytes.
    pub magic: [u8; 4],
    /// The version. Lengths and counts take 4 bytes in version 1, 8 in all others.
    pub version: u32,
    /// The tensor count to write, where it is not how many there are.
    pub tensor_count: Option<u64>,
    /// The key count to write, where it is not how many there are.
    pub key_count: Option<u64>,
    /// The keys, in order.
    pub keys: Vec<DraftKey<'a>>,
    /// The tensors, in order.
    pub tensors: Vec<DraftTensor<'a>>,
    /// The alignment to lay data out by. The key `general.alignment` is a key like any other.
    pub alignment: u64,
    /// Bytes between the tensor table and the data section, where they are not zeros.
    pub padding: Option<Cow<'a, [u8]>>,
    /// What stands after the last tensor's data, where it is not padding.
    pub tail: Option<Cow<'a, [u8]>>,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Self {
            magic: MAGIC,
            version: 3,
            tensor_count: None,
            key_count: None,
            keys: Vec::new(),
            tensors: Vec::new(),
            alignment: DEFAULT_ALIGNMENT,
            padding: None,
            tail: None,
        }
    }
}

impl<'a> From<&File<'a>> for Draft<'a> {
    /// The draft that is written back to the same bytes, for every file that strict reading accepts.
    fn from(file: &File<'a>) -> Self {
        let mut draft = Self { version: file.version(), alignment: file.alignment(), ..Self::default() };
        for (key, value) in file.metadata().iter() {
            draft.value(key.to_vec(), value);
        }
        for tensor in file.tensors() {
            draft.tensors.push(DraftTensor {
                name: Cow::Borrowed(tensor.name),
                name_length: None,
                dimension_count: None,
                dimensions: tensor.dimensions.to_vec(),
                type_id: tensor.weight_type.id(),
                offset: None,
                place: Some(tensor.offset - file.data_offset()),
                data: Cow::Borrowed(file.data(tensor)),
            });
        }
        // An empty tensor takes no room when it is written, so the tail begins after the last that is not.
        let filled = file.tensors().iter().filter(|tensor| tensor.size > 0);
        let end = filled.map(crate::Tensor::end).max().unwrap_or_else(|| file.data_offset());
        draft.tail = Some(Cow::Borrowed(file.bytes.get(end as usize..).unwrap_or(&[])));
        draft
    }
}

impl<'a> Draft<'a> {
    /// A version 3 file with no key and no tensor.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key with a value whose bytes are given as they are written.
    pub fn key(&mut self, key: impl Into<Vec<u8>>, type_id: u32, value: impl Into<Vec<u8>>) -> &mut Self {
        let (key, value) = (Cow::Owned(key.into()), Cow::Owned(value.into()));
        self.keys.push(DraftKey { key, length: None, type_id, value });
        self
    }

    /// Adds a key with any value.
    pub fn value(&mut self, key: impl Into<Vec<u8>>, value: Value<'_>) -> &mut Self {
        let mut bytes = Vec::new();
        self.put_value(&mut bytes, value);
        self.key(key, value.value_type().id(), bytes)
    }

    fn put_value(&self, out: &mut Vec<u8>, value: Value<'_>) {
        match value {
            Value::U8(v) => out.push(v),
            Value::I8(v) => out.extend(v.to_le_bytes()),
            Value::U16(v) => out.extend(v.to_le_bytes()),
            Value::I16(v) => out.extend(v.to_le_bytes()),
            Value::U32(v) => out.extend(v.to_le_bytes()),
            Value::I32(v) => out.extend(v.to_le_bytes()),
            Value::F32(v) => out.extend(v.to_le_bytes()),
            Value::Bool(v) => out.push(v.into()),
            Value::String(v) => self.put_string(out, v),
            Value::U64(v) => out.extend(v.to_le_bytes()),
            Value::I64(v) => out.extend(v.to_le_bytes()),
            Value::F64(v) => out.extend(v.to_le_bytes()),
            Value::Array(array) => self.put_array(out, array),
        }
    }

    fn put_array(&self, out: &mut Vec<u8>, array: Array<'_>) {
        out.extend(array.element_type().id().to_le_bytes());
        self.put_length(out, array.len());
        if array.wide == self.wide() {
            out.extend(array.bytes);
        } else {
            // Lengths within have another width; arrays are at most 64 deep.
            array.values().for_each(|value| self.put_value(out, value));
        }
    }

    /// The bytes of a length-prefixed string.
    fn put_string(&self, out: &mut Vec<u8>, text: &[u8]) {
        self.put_length(out, text.len() as u64);
        out.extend(text);
    }

    fn wide(&self) -> bool {
        self.version != 1
    }

    fn put_length(&self, out: &mut Vec<u8>, length: u64) {
        if self.wide() {
            out.extend(length.to_le_bytes());
        } else {
            out.extend((length as u32).to_le_bytes());
        }
    }

    /// Adds a text.
    pub fn str(&mut self, key: &str, value: &str) -> &mut Self {
        self.value(key, Value::String(value.as_bytes()))
    }

    /// Adds a count.
    pub fn u32(&mut self, key: &str, value: u32) -> &mut Self {
        self.value(key, Value::U32(value))
    }

    /// Adds a real number.
    pub fn f32(&mut self, key: &str, value: f32) -> &mut Self {
        self.value(key, Value::F32(value))
    }

    /// Adds a truth value.
    pub fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.value(key, Value::Bool(value))
    }

    /// Adds an array whose elements' bytes are given as they are written.
    pub fn array(&mut self, key: &str, element_id: u32, len: u64, elements: &[u8]) -> &mut Self {
        let mut out = element_id.to_le_bytes().to_vec();
        self.put_length(&mut out, len);
        out.extend(elements);
        self.key(key, ValueType::Array.id(), out)
    }

    /// Adds an array of texts.
    pub fn strings<S: AsRef<[u8]>>(&mut self, key: &str, values: &[S]) -> &mut Self {
        let mut elements = Vec::new();
        for value in values {
            self.put_string(&mut elements, value.as_ref());
        }
        self.array(key, ValueType::String.id(), values.len() as u64, &elements)
    }

    /// Adds an array of integers.
    pub fn i32s(&mut self, key: &str, values: &[i32]) -> &mut Self {
        let elements: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, ValueType::I32.id(), values.len() as u64, &elements)
    }

    /// Adds an array of real numbers.
    pub fn f32s(&mut self, key: &str, values: &[f32]) -> &mut Self {
        let elements: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, ValueType::F32.id(), values.len() as u64, &elements)
    }

    /// Adds a tensor; `dimensions` begin with the row's length, `data` holds whole blocks of `weight_type`.
    pub fn tensor(
        &mut self,
        name: &str,
        dimensions: &[u64],
        weight_type: WeightType,
        data: impl Into<Cow<'a, [u8]>>,
    ) -> &mut Self {
        self.tensors.push(DraftTensor {
            name: Cow::Owned(name.as_bytes().to_vec()),
            name_length: None,
            dimension_count: None,
            dimensions: dimensions.into(),
            type_id: weight_type.id(),
            offset: None,
            place: None,
            data: data.into(),
        });
        self
    }

    /// Adds a tensor whose data, `place` bytes from the start of the data section, somebody else writes behind what [`Draft::finish`] gives.
    pub fn tensor_at(&mut self, name: &[u8], dimensions: &[u64], weight_type: WeightType, place: u64) -> &mut Self {
        self.tensors.push(DraftTensor {
            name: Cow::Owned(name.to_vec()),
            name_length: None,
            dimension_count: None,
            dimensions: dimensions.into(),
            type_id: weight_type.id(),
            offset: Some(place),
            place: Some(0),
            data: Cow::Borrowed(&[]),
        });
        self
    }

    /// The key of this name, to change it; the first of several.
    pub fn find_key(&mut self, key: &str) -> Option<&mut DraftKey<'a>> {
        self.keys.iter_mut().find(|draft| *draft.key == *key.as_bytes())
    }

    /// Takes a key away, wherever it stands.
    pub fn remove_key(&mut self, key: &str) -> &mut Self {
        self.keys.retain(|draft| *draft.key != *key.as_bytes());
        self
    }

    /// The bytes of the file.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.magic);
        out.extend(self.version.to_le_bytes());
        self.put_length(&mut out, self.tensor_count.unwrap_or(self.tensors.len() as u64));
        self.put_length(&mut out, self.key_count.unwrap_or(self.keys.len() as u64));
        for key in &self.keys {
            self.put_length(&mut out, key.length.unwrap_or(key.key.len() as u64));
            out.extend(&*key.key);
            out.extend(key.type_id.to_le_bytes());
            out.extend(&*key.value);
        }
        let places = self.places();
        for (tensor, place) in self.tensors.iter().zip(&places) {
            self.put_length(&mut out, tensor.name_length.unwrap_or(tensor.name.len() as u64));
            out.extend(&*tensor.name);
            out.extend(tensor.dimension_count.unwrap_or(tensor.dimensions.len() as u32).to_le_bytes());
            tensor.dimensions.iter().for_each(|&dimension| self.put_length(&mut out, dimension));
            out.extend(tensor.type_id.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(*place).to_le_bytes());
        }
        self.finish_data(out, &places)
    }

    /// Where each tensor's data goes, in bytes from the start of the data section.
    pub(crate) fn places(&self) -> Vec<u64> {
        let mut next = 0u64;
        let place = |tensor: &DraftTensor<'_>| {
            let place = tensor.place.unwrap_or(next);
            let end = place.saturating_add(tensor.data.len() as u64);
            next = end.checked_next_multiple_of(self.alignment.max(1)).unwrap_or(u64::MAX);
            place
        };
        self.tensors.iter().map(place).collect()
    }

    fn finish_data(&self, mut out: Vec<u8>, places: &[u64]) -> Vec<u8> {
        let alignment = self.alignment.max(1) as usize;
        if !self.tensors.is_empty() {
            match &self.padding {
                Some(padding) => out.extend(&**padding),
                None => out.resize(out.len().next_multiple_of(alignment), 0),
            }
        }
        let data = out.len();
        for (tensor, place) in self.tensors.iter().zip(places) {
            // What is placed beyond anything that could be written is in the table alone.
            let start = (*place).min(FARTHEST) as usize + data;
            let end = start + tensor.data.len();
            // An empty tensor takes no room, wherever it is said to be.
            if end > out.len() && *place < FARTHEST && !tensor.data.is_empty() {
                out.resize(end, 0);
            }
            if let Some(room) = out.get_mut(start..end) {
                room.copy_from_slice(&tensor.data);
            }
        }
        match &self.tail {
            Some(tail) => out.extend(&**tail),
            None if self.tensors.is_empty() => {}
            None => {
                let section = (out.len() - data).next_multiple_of(alignment);
                out.resize(data + section, 0);
            }
        }
        out
    }
}
