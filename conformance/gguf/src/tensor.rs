//! The tensor table: names, shapes, weight types and where the data lies.

use crate::{Error, Problem};

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
    /// The upper half of an IEEE 754 single.
    BF16 = 30, "bf16", 1 elements in 2 bytes;
}

impl WeightType {
    /// True for the types that store codes and scales, rather than floating-point numbers.
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

impl std::fmt::Display for WeightType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for WeightType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|weight_type| weight_type.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|known| known.name()).collect();
            format!("unknown weight type `{name}`, expected one of {}", known.join(", "))
        })
    }
}

/// One row of the tensor table. Its data has been checked to lie inside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor<'a> {
    /// The tensor's name.
    pub name: &'a str,
    /// Dimensions as the file has them, the contiguous one (the row) first. A vector has one.
    pub dimensions: Vec<u64>,
    /// How the elements are stored.
    pub weight_type: WeightType,
    /// Offset of the data from the start of the file, in bytes.
    pub offset: u64,
    /// Bytes of data.
    pub size: u64,
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
}

/// Bytes that a tensor of these dimensions takes, with every product checked.
pub(crate) fn tensor_size(dimensions: &[u64], weight_type: WeightType, error: impl Fn(Problem) -> Error) -> Result<u64, Error> {
    let row = dimensions.first().copied().unwrap_or(1);
    let Some(row_bytes) = weight_type.row_bytes(row) else {
        let block = weight_type.block_len() as u64;
        return Err(error(if row.is_multiple_of(block) {
            Problem::SizeOverflow
        } else {
            Problem::PartialBlock { row, weight_type: weight_type.name(), block }
        }));
    };
    // The number of elements must fit as well: a zero dimension can hide an overflow of the others.
    let product = |start: u64, rest: &[u64]| {
        let nonzero: Option<u64> = rest.iter().try_fold(start.max(1), |total, &n| total.checked_mul(n.max(1)));
        nonzero.filter(|&total| i64::try_from(total).is_ok())?;
        rest.iter().try_fold(start, |total, &n| total.checked_mul(n))
    };
    let rest = dimensions.get(1..).unwrap_or(&[]);
    product(row, rest).and_then(|_| product(row_bytes, rest)).ok_or_else(|| error(Problem::SizeOverflow))
}
