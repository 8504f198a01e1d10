//! The reader: bytes in, a checked [`File`] out.
//!
//! Every count is checked against the bytes that are left before anything is allocated for it, so memory stays in proportion
//! to the input, and nothing here recurses.

use crate::{
    DEFAULT_ALIGNMENT, Error, MAGIC, MAX_DIMENSIONS, Problem, Tensor, Value, ValueType, WeightType,
    metadata::{Array, Entry, Metadata, split_value},
    tensor::tensor_size,
};

/// A GGUF file: header, metadata and tensor table, borrowed from its bytes.
#[derive(Debug, Clone)]
pub struct File<'a> {
    bytes: &'a [u8],
    version: u32,
    alignment: u64,
    metadata: Metadata<'a>,
    tensors: Vec<Tensor<'a>>,
    /// Indices into `tensors`, sorted by name.
    by_name: Vec<usize>,
}

impl<'a> File<'a> {
    /// Reads and checks the header, the metadata and the tensor table; tensor data is only checked to be there.
    ///
    /// # Errors
    /// The first thing that is wrong, with its field and byte offset.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor { bytes, at: 0 };
        let magic = cursor.take(4, || "the magic bytes".into())?;
        if magic != MAGIC {
            let mut found = [0; 4];
            found.copy_from_slice(magic);
            return Err(Error { offset: 0, field: "the magic bytes".into(), problem: Problem::NotGguf { found } });
        }
        let version = cursor.u32(|| "the version".into())?;
        match version {
            2 | 3 => {}
            // A little-endian version has its low half in the first two bytes; a small big-endian one has zeros there.
            _ if version & 0xffff == 0 && version != 0 => {
                return Err(cursor.back(4, "the version", Problem::BigEndian { version: version.swap_bytes() }));
            }
            _ => return Err(cursor.back(4, "the version", Problem::Version(version))),
        }
        let tensor_count = cursor.u64(|| "the tensor count".into())?;
        // Name length, dimension count, type and offset: no tensor is shorter.
        cursor.check_count(tensor_count, 8 + 4 + 4 + 8, "the tensor count")?;
        let key_count = cursor.u64(|| "the key count".into())?;
        // Key length, type and a value of one byte.
        cursor.check_count(key_count, 8 + 4 + 1, "the key count")?;

        let metadata = read_metadata(&mut cursor, key_count)?;
        let alignment = match metadata.u64("general.alignment")? {
            None => DEFAULT_ALIGNMENT,
            Some(alignment) if alignment.is_power_of_two() => alignment,
            Some(alignment) => {
                return Err(Error {
                    offset: metadata.offset_of("general.alignment"),
                    field: "key `general.alignment`".into(),
                    problem: Problem::Alignment(alignment),
                });
            }
        };
        let (tensors, by_name) = read_tensors(&mut cursor, tensor_count, alignment)?;
        Ok(Self { bytes, version, alignment, metadata, tensors, by_name })
    }

    /// The format version: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Alignment of tensor data, in bytes.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// The metadata section.
    pub fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    /// The tensor table, in file order.
    pub fn tensors(&self) -> &[Tensor<'a>] {
        &self.tensors
    }

    /// The tensor with this name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        let found = self.by_name.binary_search_by(|&index| self.tensors[index].name.cmp(name)).ok()?;
        Some(&self.tensors[self.by_name[found]])
    }

    /// The stored bytes of a tensor of this file.
    pub fn data(&self, tensor: &Tensor<'_>) -> &'a [u8] {
        let start = tensor.offset as usize;
        self.bytes.get(start..start + tensor.size as usize).unwrap_or(&[])
    }

    /// `general.architecture`.
    ///
    /// # Errors
    /// Where the key is missing or not a text.
    pub fn architecture(&self) -> Result<&'a str, Error> {
        self.metadata.str("general.architecture")?.ok_or_else(|| self.metadata.missing("general.architecture"))
    }

    /// Tokens in the vocabulary: the rows of the embedding table, which bound every token id.
    pub fn vocabulary_size(&self) -> Option<u64> {
        self.tensor("token_embd.weight").map(Tensor::rows)
    }

    /// The weight type that holds most of the file's bytes: what a file is named after.
    pub fn dominant_weight_type(&self) -> Option<WeightType> {
        let bytes_of = |weight_type: WeightType| {
            let sizes = self.tensors.iter().filter(|t| t.weight_type == weight_type).map(|t| t.size);
            sizes.fold(0u64, u64::saturating_add)
        };
        WeightType::ALL.iter().copied().filter(|&t| bytes_of(t) > 0).max_by_key(|&t| bytes_of(t))
    }
}

fn read_metadata<'a>(cursor: &mut Cursor<'a>, count: u64) -> Result<Metadata<'a>, Error> {
    let mut entries = Vec::new();
    for index in 0..count {
        let offset = cursor.at as u64;
        let key = cursor.name(|| format!("key {index}"))?;
        let field = || format!("key `{key}`");
        let value_type = cursor.value_type(field)?;
        let value = match value_type {
            ValueType::Array => Value::Array(cursor.array(field)?),
            _ => cursor.value(value_type, field)?,
        };
        entries.push(Entry { key, offset, value });
    }
    let by_key = sorted_unique(entries.len(), |i| entries[i].key).map_err(|twice| Error {
        offset: entries[twice].offset,
        field: "the metadata".into(),
        problem: Problem::Duplicate(entries[twice].key.into()),
    })?;
    Ok(Metadata { entries, by_key })
}

fn read_tensors<'a>(cursor: &mut Cursor<'a>, count: u64, alignment: u64) -> Result<(Vec<Tensor<'a>>, Vec<usize>), Error> {
    let mut tensors = Vec::new();
    let mut offsets = Vec::new();
    for index in 0..count {
        let row_offset = cursor.at as u64;
        let name = cursor.name(|| format!("the name of tensor {index}"))?;
        let field = |part: &str| format!("tensor `{name}` {part}");
        let dimension_count = cursor.u32(|| field("dimension count"))?;
        if dimension_count as usize > MAX_DIMENSIONS {
            return Err(cursor.back(4, &field("dimension count"), Problem::Dimensions(dimension_count)));
        }
        let mut dimensions = Vec::with_capacity(dimension_count as usize);
        for dimension in 0..dimension_count {
            dimensions.push(cursor.u64(|| field(&format!("dimension {dimension}")))?);
        }
        let type_id = cursor.u32(|| field("type"))?;
        let weight_type =
            WeightType::from_id(type_id).ok_or_else(|| cursor.back(4, &field("type"), Problem::WeightType(type_id)))?;
        let error = |problem| Error { offset: row_offset, field: field("size"), problem };
        let size = tensor_size(&dimensions, weight_type, error)?;
        let offset = cursor.u64(|| field("offset"))?;
        if !offset.is_multiple_of(alignment) {
            return Err(cursor.back(8, &field("offset"), Problem::Misaligned { offset, alignment }));
        }
        offsets.push(cursor.at as u64 - 8);
        tensors.push(Tensor { name, dimensions, weight_type, offset, size });
    }
    let by_name = sorted_unique(tensors.len(), |i| tensors[i].name).map_err(|twice| Error {
        offset: offsets[twice],
        field: "the tensor table".into(),
        problem: Problem::Duplicate(tensors[twice].name.into()),
    })?;

    // Offsets are relative to the data section, which begins on the alignment after the table.
    let file_size = cursor.bytes.len() as u64;
    let data_start = (cursor.at as u64).checked_next_multiple_of(alignment);
    for (tensor, at) in tensors.iter_mut().zip(offsets) {
        let start = data_start.and_then(|start| start.checked_add(tensor.offset));
        let end = start.and_then(|start| start.checked_add(tensor.size));
        match (start, end) {
            (Some(start), Some(end)) if end <= file_size => tensor.offset = start,
            _ => {
                return Err(Error {
                    offset: at,
                    field: format!("tensor `{}` offset", tensor.name),
                    problem: Problem::DataOutsideFile { end: end.unwrap_or(u64::MAX), size: file_size },
                });
            }
        }
    }
    Ok((tensors, by_name))
}

/// The indices `0..len` sorted by name, or the later of two indices with the same name.
fn sorted_unique<'a>(len: usize, name: impl Fn(usize) -> &'a str) -> Result<Vec<usize>, usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_by(|&a, &b| name(a).cmp(name(b)).then(a.cmp(&b)));
    match order.windows(2).find(|pair| name(pair[0]) == name(pair[1])) {
        Some(pair) => Err(pair[1]),
        None => Ok(order),
    }
}

/// A position in the bytes; every step is checked.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    fn take(&mut self, len: u64, field: impl Fn() -> String) -> Result<&'a [u8], Error> {
        let rest = self.rest();
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or_else(|| Error {
            offset: self.at as u64,
            field: field(),
            problem: Problem::Truncated { needed: len, available: rest.len() as u64 },
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn number<const N: usize>(&mut self, field: impl Fn() -> String) -> Result<[u8; N], Error> {
        let mut number = [0; N];
        number.copy_from_slice(self.take(N as u64, field)?);
        Ok(number)
    }

    fn u32(&mut self, field: impl Fn() -> String) -> Result<u32, Error> {
        self.number(field).map(u32::from_le_bytes)
    }

    fn u64(&mut self, field: impl Fn() -> String) -> Result<u64, Error> {
        self.number(field).map(u64::from_le_bytes)
    }

    /// An error about the `len` bytes just read.
    fn back(&self, len: usize, field: &str, problem: Problem) -> Error {
        Error { offset: (self.at - len) as u64, field: field.into(), problem }
    }

    /// Refuses the 8-byte count just read where that many things of `least` bytes each cannot be in the rest of the file.
    fn check_count(&self, count: u64, least: u64, field: &str) -> Result<(), Error> {
        let available = self.rest().len() as u64;
        let needed = count.saturating_mul(least);
        if needed > available {
            return Err(self.back(8, field, Problem::Truncated { needed, available }));
        }
        Ok(())
    }

    /// A length-prefixed string.
    fn string(&mut self, field: impl Fn() -> String) -> Result<&'a [u8], Error> {
        let len = self.u64(&field)?;
        self.take(len, field)
    }

    /// A length-prefixed string that must be UTF-8.
    fn name(&mut self, field: impl Fn() -> String) -> Result<&'a str, Error> {
        let offset = self.at as u64;
        std::str::from_utf8(self.string(&field)?).map_err(|_| Error { offset, field: field(), problem: Problem::Utf8 })
    }

    fn value_type(&mut self, field: impl Fn() -> String) -> Result<ValueType, Error> {
        let id = self.u32(&field)?;
        ValueType::from_id(id).ok_or_else(|| self.back(4, &field(), Problem::ValueType(id)))
    }

    /// A value that is not an array.
    fn value(&mut self, value_type: ValueType, field: impl Fn() -> String) -> Result<Value<'a>, Error> {
        let bytes = match value_type.size() {
            Some(size) => self.take(size, &field)?,
            None => {
                let start = self.at;
                self.string(&field)?;
                &self.bytes[start..self.at]
            }
        };
        match (value_type, bytes) {
            (ValueType::Bool, [0 | 1]) => {}
            (ValueType::Bool, [other, ..]) => return Err(self.back(1, &field(), Problem::Bool(*other))),
            _ => {}
        }
        let (value, _) = split_value(value_type, bytes).ok_or_else(|| {
            let available = bytes.len() as u64;
            self.back(bytes.len(), &field(), Problem::Truncated { needed: available, available })
        })?;
        Ok(value)
    }

    fn array(&mut self, field: impl Fn() -> String) -> Result<Array<'a>, Error> {
        let element_type = self.value_type(&field)?;
        if element_type == ValueType::Array {
            return Err(self.back(4, &field(), Problem::NestedArray));
        }
        let len = self.u64(&field)?;
        // A string takes at least its length prefix.
        self.check_count(len, element_type.size().unwrap_or(8), &field())?;
        let start = self.at;
        match element_type.size() {
            Some(size) if element_type != ValueType::Bool => {
                self.take(len.saturating_mul(size), &field)?;
            }
            _ => {
                for _ in 0..len {
                    self.value(element_type, &field)?;
                }
            }
        }
        Ok(Array { element_type, len, bytes: &self.bytes[start..self.at] })
    }
}
