//! The one error type of this crate: what is wrong, in which field, at which byte.

/// Why a file could not be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, in {field} at byte {offset}")]
pub struct Error {
    /// Byte offset from the start of the file at which the offending field begins; 0 for a key that is not there.
    pub offset: u64,
    /// The field being read, such as `key 3` or ``tensor `blk.0.attn_q.weight` dimension 1``.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file ends inside the field.
    #[error("the file ends too early: {needed} bytes needed, {available} left")]
    Truncated {
        /// Bytes that the field takes.
        needed: u64,
        /// Bytes left in the file.
        available: u64,
    },
    /// The file does not begin with `GGUF`.
    #[error("not a GGUF file: it begins with {found:02x?}, not with \"GGUF\"")]
    NotGguf {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A GGUF file in big-endian byte order.
    #[error("a big-endian GGUF file (version {version}), which is not supported")]
    BigEndian {
        /// The version, read as big-endian.
        version: u32,
    },
    /// A version other than 2 and 3.
    #[error("unsupported GGUF version {0} (2 and 3 are supported)")]
    Version(u32),
    /// A metadata value type that the format does not have.
    #[error("unknown value type {0}")]
    ValueType(u32),
    /// Arrays of arrays, which no published file has and the runtimes do not agree on.
    #[error("an array of arrays, which is not supported")]
    NestedArray,
    /// A boolean that is neither 0 nor 1.
    #[error("boolean {0} is neither 0 nor 1")]
    Bool(u8),
    /// A key or tensor name that is not UTF-8.
    #[error("not valid UTF-8")]
    Utf8,
    /// A key or tensor name that occurs twice.
    #[error("`{0}` occurs twice")]
    Duplicate(String),
    /// A tensor type id that the codecs do not have.
    #[error("unsupported weight type {0}")]
    WeightType(u32),
    /// More dimensions than the format allows.
    #[error("{0} dimensions, where 4 is the most")]
    Dimensions(u32),
    /// The number of elements or bytes does not fit 63 bits.
    #[error("the tensor's size overflows")]
    SizeOverflow,
    /// A row that does not hold a whole number of blocks.
    #[error("rows of {row} elements cannot be {weight_type} blocks of {block}")]
    PartialBlock {
        /// Elements in a row.
        row: u64,
        /// Name of the weight type.
        weight_type: &'static str,
        /// Elements in a block.
        block: u64,
    },
    /// An alignment that is not a power of two of at least 1.
    #[error("alignment {0} is not a power of two")]
    Alignment(u64),
    /// Tensor data that does not begin on the alignment.
    #[error("offset {offset} is not a multiple of the alignment {alignment}")]
    Misaligned {
        /// Offset of the tensor's data, relative to the data section.
        offset: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// Tensor data that lies outside the file.
    #[error("tensor data ends at byte {end}, but the file has {size}: it is truncated, or its header is wrong")]
    DataOutsideFile {
        /// First byte after the tensor's data.
        end: u64,
        /// Size of the file.
        size: u64,
    },
    /// A key that is needed and not there.
    #[error("the key is missing")]
    MissingKey,
    /// A key whose value has another type than it must.
    #[error("the value is {found}, where {expected} is expected")]
    WrongType {
        /// What the value must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
}
