//! A file that was read: what stands in it, and where.

use crate::{Finding, Metadata, Rule, Tensor, Tolerated, WeightType, tensor::dominant};
use bstr::BStr;

/// A GGUF file: header, metadata and tensor table, borrowed from its bytes.
#[derive(Debug, Clone)]
pub struct File<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) version: u32,
    pub(crate) alignment: u64,
    pub(crate) table_end: u64,
    pub(crate) data_offset: u64,
    pub(crate) metadata: Metadata<'a>,
    pub(crate) tensors: Vec<Tensor<'a>>,
    /// Indices into `tensors`, sorted by name, then by place.
    pub(crate) by_name: Vec<usize>,
    pub(crate) tolerated: Vec<Tolerated>,
}

impl<'a> File<'a> {
    /// What the file breaks and was read in spite of: everything in lenient mode, what is acceptable in strict mode.
    pub fn tolerated(&self) -> &[Tolerated] {
        &self.tolerated
    }

    /// The format version: 1, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Alignment of tensor data, in bytes.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// First byte after the tensor table.
    pub fn table_end(&self) -> u64 {
        self.table_end
    }

    /// Where the data section begins: offsets in the tensor table count from here.
    pub fn data_offset(&self) -> u64 {
        self.data_offset
    }

    /// Size of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The metadata section.
    pub fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    /// The tensor table, in file order.
    pub fn tensors(&self) -> &[Tensor<'a>] {
        &self.tensors
    }

    /// The tensor with this name; the last of several.
    pub fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        let after = self.by_name.partition_point(|&index| self.tensors[index].name <= BStr::new(name));
        let last = &self.tensors[*self.by_name.get(after.checked_sub(1)?)?];
        (last.name == name).then_some(last)
    }

    /// The stored bytes of a tensor of this file.
    pub fn data(&self, tensor: &Tensor<'_>) -> &'a [u8] {
        let end = tensor.offset.saturating_add(tensor.size) as usize;
        self.bytes.get(tensor.offset as usize..end).unwrap_or(&[])
    }

    /// `general.architecture`.
    ///
    /// # Errors
    /// Where the key is missing or not a text.
    pub fn architecture(&self) -> Result<&'a str, Finding> {
        let missing = || Finding { rule: Rule::ArchitectureMissing, ..self.metadata.missing("general.architecture") };
        self.metadata.str("general.architecture")?.ok_or_else(missing)
    }

    /// Tokens in the vocabulary: the rows of the embedding table, which bound every token id.
    pub fn vocabulary_size(&self) -> Option<u64> {
        self.tensor("token_embd.weight").map(Tensor::rows)
    }

    /// The weight type that holds most of the file's bytes: what a file is named after.
    pub fn dominant_weight_type(&self) -> Option<WeightType> {
        dominant(self.tensors.iter())
    }
}
