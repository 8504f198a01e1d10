//! The tensor table: names, shapes, weight types and where the data lies.

use crate::{Finding, MAX_DIMENSIONS, Rule};
use bstr::BStr;
use std::{collections::BTreeMap, fmt, ops::Deref, str::FromStr};

macro_rules! weight_types {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $block:literal elements in $bytes:literal bytes;)*) => {
        /// How a tensor's elements are stored: a ggml type.
        ///
        /// Ids, block sizes and block bytes are those of `ggml.h` and `ggml-common.h` in llama.cpp.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(non_camel_case_types, reason = "these are the names the field uses")]
        pub enum WeightType { $($(#[$doc])* $variant),* }

        impl WeightType {
            /// Every type this crate can decode, in the order of their ids.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The type with this id, if this crate can decode it.
            pub fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// The id that stands in the file.
            pub fn id(self) -> u32 {
                match self { $(Self::$variant => $id),* }
            }

            /// The name in lower case, as it stands in case ids.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Elements in one block.
            pub fn block_len(self) -> usize {
                match self { $(Self::$variant => $block),* }
            }

            /// Bytes of one block.
            pub fn block_bytes(self) -> usize {
                match self { $(Self::$variant => $bytes),* }
            }
        }
    };
}

weight_types! {
    /// IEEE 754 single precision.
    F32 = 0, "f32", 1 elements in 4 bytes;
    /// IEEE 754 half precision.
    F16 = 1, "f16", 1 elements in 2 bytes;
    /// 4-bit codes, one f16 scale.
    Q4_0 = 2, "q4_0", 32 elements in 18 bytes;
    /// 4-bit codes, f16 scale and minimum.
    Q4_1 = 3, "q4_1", 32 elements in 20 bytes;
    /// 5-bit codes, one f16 scale.
    Q5_0 = 6, "q5_0", 32 elements in 22 bytes;
    /// 5-bit codes, f16 scale and minimum.
    Q5_1 = 7, "q5_1", 32 elements in 24 bytes;
    /// 8-bit codes, one f16 scale.
    Q8_0 = 8, "q8_0", 32 elements in 34 bytes;
    /// 8-bit codes, f16 scale, and the scaled sum of the codes (which decoding does not need).
    Q8_1 = 9, "q8_1", 32 elements in 36 bytes;
    /// 2-bit codes in groups of 16, 4-bit scales and minima, f16 super-scales.
    Q2_K = 10, "q2_k", 256 elements in 84 bytes;
    /// 3-bit codes in groups of 16, 6-bit scales, f16 super-scale.
    Q3_K = 11, "q3_k", 256 elements in 110 bytes;
    /// 4-bit codes in groups of 32, 6-bit scales and minima, f16 super-scales.
    Q4_K = 12, "q4_k", 256 elements in 144 bytes;
    /// 5-bit codes in groups of 32, 6-bit scales and minima, f16 super-scales.
    Q5_K = 13, "q5_k", 256 elements in 176 bytes;
    /// 6-bit codes in groups of 16, 8-bit scales, f16 super-scale.
    Q6_K = 14, "q6_k", 256 elements in 210 bytes;
    /// 8-bit codes, f32 scale, and sums of the codes in groups of 16 (which decoding does not need).
    Q8_K = 15, "q8_k", 256 elements in 292 bytes;
    /// Points of 8 elements (8-bit indices, 7-bit signs), 4-bit scales of 32 elements, f16 super-scale.
    IQ2_XXS = 16, "iq2_xxs", 256 elements in 66 bytes;
    /// Points of 8 elements (9-bit indices, 7-bit signs), 4-bit scales of 16 elements, f16 super-scale.
    IQ2_XS = 17, "iq2_xs", 256 elements in 74 bytes;
    /// Points of 4 elements (8-bit indices, 7-bit signs of two), 4-bit scales of 32 elements, f16 super-scale.
    IQ3_XXS = 18, "iq3_xxs", 256 elements in 98 bytes;
    /// Signed points of 8 elements (11-bit indices), 3-bit scales and 1-bit shifts of 32 elements, f16 super-scale.
    IQ1_S = 19, "iq1_s", 256 elements in 50 bytes;
    /// 4-bit codes for uneven levels, one f16 scale.
    IQ4_NL = 20, "iq4_nl", 32 elements in 18 bytes;
    /// Points of 4 elements (9-bit indices, 4-bit signs), 4-bit scales of 32 elements, f16 super-scale.
    IQ3_S = 21, "iq3_s", 256 elements in 110 bytes;
    /// Points of 8 elements (10-bit indices, 8-bit signs), 4-bit scales of 16 elements, f16 super-scale.
    IQ2_S = 22, "iq2_s", 256 elements in 82 bytes;
    /// 4-bit codes for uneven levels in groups of 32, 6-bit scales, f16 super-scale.
    IQ4_XS = 23, "iq4_xs", 256 elements in 136 bytes;
    /// Two's complement, 8 bits.
    I8 = 24, "i8", 1 elements in 1 bytes;
    /// Two's complement, 16 bits.
    I16 = 25, "i16", 1 elements in 2 bytes;
    /// Two's complement, 32 bits.
    I32 = 26, "i32", 1 elements in 4 bytes;
    /// Two's complement, 64 bits.
    I64 = 27, "i64", 1 elements in 8 bytes;
    /// IEEE 754 double precision.
    F64 = 28, "f64", 1 elements in 8 bytes;
    /// Signed points of 8 elements (11-bit indices, 1-bit shifts), 3-bit scales of 16 elements, f16 super-scale.
    IQ1_M = 29, "iq1_m", 256 elements in 56 bytes;
    /// The upper half of an IEEE 754 single.
    BF16 = 30, "bf16", 1 elements in 2 bytes;
    /// Codes of three values, five to a byte, one f16 scale.
    TQ1_0 = 34, "tq1_0", 256 elements in 54 bytes;
    /// Codes of three values, 2 bits each, one f16 scale.
    TQ2_0 = 35, "tq2_0", 256 elements in 66 bytes;
    /// 4-bit floats, one 8-bit scale that is a power of two.
    MXFP4 = 39, "mxfp4", 32 elements in 17 bytes;
    /// 4-bit floats in groups of 16, 8-bit float scales.
    NVFP4 = 40, "nvfp4", 64 elements in 36 bytes;
    /// 1-bit codes, one f16 scale.
    Q1_0 = 41, "q1_0", 128 elements in 18 bytes;
    /// 2-bit codes, one f16 scale.
    Q2_0 = 42, "q2_0", 64 elements in 18 bytes;
}

impl WeightType {
    /// True for the types that store codes and scales, rather than numbers.
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }

    /// Bytes of a row of `elements`, or `None` where that is not a whole number of blocks or overflows.
    pub fn row_bytes(self, elements: u64) -> Option<u64> {
        let block = self.block_len() as u64;
        if !elements.is_multiple_of(block) {
            return None;
        }
        (elements / block).checked_mul(self.block_bytes() as u64)
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WeightType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|weight_type| weight_type.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|known| known.name()).collect();
            format!("unknown weight type `{name}`, expected one of {}", known.join(", "))
        })
    }
}

/// The dimensions of a tensor, as the file has them: the contiguous one (the row) first. A vector has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    len: u8,
    values: [u64; MAX_DIMENSIONS],
}

impl Dimensions {
    /// At most [`MAX_DIMENSIONS`] dimensions; more are cut off.
    pub fn new(dimensions: impl IntoIterator<Item = u64>) -> Self {
        let mut values = [1; MAX_DIMENSIONS];
        let mut len = 0;
        for (slot, dimension) in values.iter_mut().zip(dimensions) {
            *slot = dimension;
            len += 1;
        }
        Self { len, values }
    }
}

impl Deref for Dimensions {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.values[..usize::from(self.len)]
    }
}

/// As in `64 x 320`.
impl fmt::Display for Dimensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shape(self))
    }
}

/// Any number of dimensions for people.
pub(crate) fn shape(dimensions: &[u64]) -> String {
    if dimensions.is_empty() {
        return "none".into();
    }
    dimensions.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ")
}

/// One row of the tensor table. Its data has been checked to lie inside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor<'a> {
    /// The tensor's name. Bytes, because lenient reading takes names that are not UTF-8.
    pub name: &'a BStr,
    /// Dimensions, the row first.
    pub dimensions: Dimensions,
    /// How the elements are stored.
    pub weight_type: WeightType,
    /// Offset of the data from the start of the file, in bytes.
    pub offset: u64,
    /// Bytes of data.
    pub size: u64,
    /// Where this row of the table begins, in bytes from the start of the file.
    pub entry: u64,
}

impl Tensor<'_> {
    /// Elements in a row: the first dimension, or one element where there is none.
    pub fn row_len(&self) -> u64 {
        self.dimensions.first().copied().unwrap_or(1)
    }

    /// Number of rows: the product of the other dimensions.
    pub fn rows(&self) -> u64 {
        self.dimensions.iter().skip(1).product()
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.dimensions.iter().product()
    }

    /// First byte after the data.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.size
    }
}

/// The weight type that holds most of the bytes of tensors.
pub(crate) fn dominant<'t, 'a: 't>(tensors: impl Iterator<Item = &'t Tensor<'a>>) -> Option<WeightType> {
    let mut bytes = BTreeMap::<WeightType, u64>::new();
    for tensor in tensors {
        let sum = bytes.entry(tensor.weight_type).or_default();
        *sum = sum.saturating_add(tensor.size);
    }
    bytes.into_iter().filter(|&(_, bytes)| bytes > 0).max_by_key(|&(_, bytes)| bytes).map(|(weight_type, _)| weight_type)
}

/// The largest number of elements or bytes: what a signed 64-bit integer holds, because ggml counts in those.
const LARGEST: u64 = i64::MAX as u64;

/// The product of dimensions, or `None` where it is larger than [`LARGEST`], also on the way: a zero can hide an overflow of the others.
fn product(factors: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut zero = false;
    let mut total: u64 = 1;
    for factor in factors {
        zero |= factor == 0;
        total = total.checked_mul(factor.max(1)).filter(|&total| total <= LARGEST)?;
    }
    Some(if zero { 0 } else { total })
}

/// Bytes that a tensor of these dimensions takes. Rows that are not whole blocks are `ragged`: where that is tolerated, blocks
/// are counted over all elements, as candle does.
pub(crate) fn tensor_size(
    dimensions: &[u64],
    weight_type: WeightType,
    finding: impl Fn(Rule, String, String) -> Finding,
    ragged: impl FnOnce(Finding) -> Result<(), Finding>,
) -> Result<u64, Finding> {
    let elements = product(dimensions.iter().copied())
        .ok_or_else(|| finding(Rule::ElementCount, shape(dimensions), format!("at most {LARGEST} elements")))?;
    let block = weight_type.block_len() as u64;
    let row = dimensions.first().copied().unwrap_or(1);
    let of_blocks =
        || finding(Rule::RowSize, format!("rows of {row} elements"), format!("a multiple of {weight_type}'s block of {block}"));
    if !row.is_multiple_of(block) {
        ragged(of_blocks())?;
    }
    if !elements.is_multiple_of(block) {
        return Err(of_blocks());
    }
    product([elements / block, weight_type.block_bytes() as u64]).ok_or_else(|| {
        finding(Rule::TensorSize, format!("{} of {weight_type}", shape(dimensions)), format!("at most {LARGEST} bytes"))
    })
}
