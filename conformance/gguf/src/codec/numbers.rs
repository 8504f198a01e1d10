//! Whether stored weights are numbers at all, and whether any of them is another than zero.
//!
//! Nearly all weights of nearly all files are finite, and a look at a block's scales tells: only what may hold something else is decoded.

use super::{decode, short, word};
use crate::WeightType;

/// Elements that are looked at together.
const ELEMENTS: usize = 1024;

/// Where elements of one kind are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Index of the first.
    pub first: u64,
    /// How many there are.
    pub count: u64,
}

/// What the elements of a run of weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// How many elements there are.
    pub elements: u64,
    /// Those that are NaN.
    pub nan: Option<Places>,
    /// Those that are infinite.
    pub infinite: Option<Places>,
    /// None is another than 0.
    pub zero: bool,
}

impl Numbers {
    /// Those of no element.
    pub const NONE: Self = Self { elements: 0, nan: None, infinite: None, zero: true };

    /// Those of these elements and of others behind them.
    #[must_use]
    pub fn followed_by(self, behind: Self) -> Self {
        let join = |here: Option<Places>, there: Option<Places>| match (here, there) {
            (Some(here), Some(there)) => Some(Places { count: here.count + there.count, ..here }),
            (here, there) => here.or(there.map(|there| Places { first: self.elements + there.first, ..there })),
        };
        Self {
            elements: self.elements + behind.elements,
            nan: join(self.nan, behind.nan),
            infinite: join(self.infinite, behind.infinite),
            zero: self.zero && behind.zero,
        }
    }

    fn of(values: impl ExactSizeIterator<Item = f64>) -> Self {
        let mut numbers = Self { elements: values.len() as u64, ..Self::NONE };
        for (index, value) in values.enumerate() {
            let place = |places: &mut Option<Places>| places.get_or_insert(Places { first: index as u64, count: 0 }).count += 1;
            if value.is_nan() {
                place(&mut numbers.nan);
            } else if value.is_infinite() {
                place(&mut numbers.infinite);
            }
            numbers.zero &= value == 0.0;
        }
        numbers
    }
}

/// What the elements of `bytes` are, whole blocks of `weight_type`; what is left of a block at the end is passed over.
pub fn numbers_in(weight_type: WeightType, bytes: &[u8]) -> Numbers {
    let (block_len, block_bytes) = (weight_type.block_len(), weight_type.block_bytes());
    let at_a_time = (ELEMENTS / block_len).max(1);
    let mut values = vec![0.0; at_a_time * block_len];
    let mut numbers = Numbers::NONE;
    for blocks in bytes.chunks(at_a_time * block_bytes) {
        let count = blocks.len() / block_bytes * block_len;
        let blocks = &blocks[..blocks.len() / block_bytes * block_bytes];
        let these = if !numbers.zero && !may_hold_others(weight_type, blocks) {
            Numbers { elements: count as u64, zero: false, ..Numbers::NONE }
        } else if weight_type == WeightType::F64 {
            // As f32, one that is too large would become infinite, and a small one 0.
            Numbers::of(blocks.as_chunks().0.iter().map(|&number| f64::from_le_bytes(number)))
        } else {
            let values = &mut values[..count];
            decode(weight_type, blocks, values).map_or(Numbers::NONE, |()| Numbers::of(values.iter().map(|&v| f64::from(v))))
        };
        numbers = numbers.followed_by(these);
    }
    numbers
}

/// False where every element of these blocks is finite, as their exponents and scales show.
fn may_hold_others(weight_type: WeightType, blocks: &[u8]) -> bool {
    let size = weight_type.block_bytes();
    // Times the largest code and the largest scale of a group, a finite f16 is far from the end of f32.
    let halves = |places: &[usize]| {
        let is_finite = |&at: &usize, block: &[u8]| short(block, at) & 0x7c00 != 0x7c00;
        blocks.chunks_exact(size).any(|block| !places.iter().all(|at| is_finite(at, block)))
    };
    match weight_type {
        WeightType::I8 | WeightType::I16 | WeightType::I32 | WeightType::I64 | WeightType::NVFP4 => false,
        WeightType::F16 => any(blocks, |number| u16::from_le_bytes(number) & 0x7c00 == 0x7c00),
        WeightType::BF16 => any(blocks, |number| u16::from_le_bytes(number) & 0x7f80 == 0x7f80),
        WeightType::F32 => any(blocks, |number| u32::from_le_bytes(number) & 0x7f80_0000 == 0x7f80_0000),
        WeightType::F64 => any(blocks, |number| (u64::from_le_bytes(number) >> 52) & 0x7ff == 0x7ff),
        // A code of 127 is seven powers of two more: 2^121 and what is above may not be finite any more.
        WeightType::Q8_K => blocks.chunks_exact(size).any(|block| word(block, 0) & 0x7fff_ffff >= (127 + 121) << 23),
        // A doubled code of 12 is four powers of two more than the halved scale.
        WeightType::MXFP4 => blocks.chunks_exact(size).any(|block| block[0] >= 128 + 124),
        // The scale lies in pieces of four bits; the exponent is in the upper two.
        WeightType::IQ1_M => blocks.chunks_exact(size).any(|block| block[55] & 0x70 == 0x70 && block[53] & 0xc0 == 0xc0),
        WeightType::Q2_K => halves(&[80, 82]),
        WeightType::Q3_K => halves(&[108]),
        WeightType::Q6_K => halves(&[208]),
        WeightType::TQ1_0 => halves(&[52]),
        WeightType::TQ2_0 => halves(&[64]),
        WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4_K | WeightType::Q5_K => halves(&[0, 2]),
        WeightType::Q4_0
        | WeightType::Q5_0
        | WeightType::Q8_0
        | WeightType::Q8_1
        | WeightType::IQ2_XXS
        | WeightType::IQ2_XS
        | WeightType::IQ3_XXS
        | WeightType::IQ1_S
        | WeightType::IQ4_NL
        | WeightType::IQ3_S
        | WeightType::IQ2_S
        | WeightType::IQ4_XS
        | WeightType::Q1_0
        | WeightType::Q2_0 => halves(&[0]),
    }
}

/// True where one of these numbers is so. Without an early end the loop takes many of them at once.
fn any<const B: usize>(bytes: &[u8], is: impl Fn([u8; B]) -> bool) -> bool {
    bytes.as_chunks().0.iter().fold(false, |found, &number| found | is(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What decoding every element says.
    fn plainly(weight_type: WeightType, bytes: &[u8]) -> Numbers {
        let mut values = vec![0.0; bytes.len() / weight_type.block_bytes() * weight_type.block_len()];
        decode(weight_type, bytes, &mut values).unwrap();
        Numbers::of(values.into_iter().map(f64::from))
    }

    /// Bytes that look random, the same every time.
    fn noise(len: usize, mut state: u64) -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    /// Whatever bytes a block has, the look at its scales misses nothing: bit patterns at random, and with each byte all ones.
    #[test]
    fn a_look_at_scales_says_what_decoding_says() {
        for &weight_type in WeightType::ALL.iter().filter(|&&t| t != WeightType::F64) {
            let size = weight_type.block_bytes();
            let mut others = 0;
            for seed in 0..40 {
                let mut bytes = noise(size * 2048, seed);
                if seed % 2 == 1 {
                    // All but one block as they are when nothing is wrong.
                    bytes = [1u8].repeat(size * 2048);
                    let at = size * (seed as usize * 37 % 2048);
                    bytes[at..at + size].copy_from_slice(&noise(size, seed));
                }
                let numbers = plainly(weight_type, &bytes);
                others += u64::from(numbers.nan.is_some() || numbers.infinite.is_some());
                assert_eq!(numbers_in(weight_type, &bytes), numbers, "{weight_type} {seed}");
            }
            for at in 0..size {
                for value in [0x7c, 0x7f, 0x80, 0xf0, 0xfb, 0xfc, 0xfd, 0xff] {
                    let mut bytes = [1u8].repeat(size * 2 * ELEMENTS);
                    let last = bytes.len() - size;
                    bytes[last + at] = value;
                    bytes[last + (at + 1) % size] = 0xff;
                    assert_eq!(numbers_in(weight_type, &bytes), plainly(weight_type, &bytes), "{weight_type} {at} {value}");
                }
            }
            let always =
                matches!(weight_type, WeightType::I8 | WeightType::I16 | WeightType::I32 | WeightType::I64 | WeightType::NVFP4);
            assert_eq!(others == 0, always, "{weight_type} had something to find");
            let zeros = vec![0; size * 3000];
            assert!(numbers_in(weight_type, &zeros).zero && numbers_in(weight_type, &zeros) == plainly(weight_type, &zeros));
        }
    }

    #[test]
    fn doubles_are_not_rounded_to_singles_first() {
        let bytes: Vec<u8> =
            [1e-300, 1e300, f64::NAN, f64::INFINITY, f64::NAN].into_iter().flat_map(f64::to_le_bytes).collect();
        let numbers = numbers_in(WeightType::F64, &bytes);
        assert_eq!((numbers.nan, numbers.infinite), (Some(Places { first: 2, count: 2 }), Some(Places { first: 3, count: 1 })));
        assert!(!numbers_in(WeightType::F64, &bytes[..8]).zero);
    }

    #[test]
    fn runs_of_weights_join() {
        let bytes: Vec<u8> = (0..5000u16).flat_map(|i| if i % 1000 == 999 { f32::NAN } else { 0.0 }.to_le_bytes()).collect();
        let (here, behind) = bytes.split_at(4 * 1500);
        let joined = numbers_in(WeightType::F32, here).followed_by(numbers_in(WeightType::F32, behind));
        assert_eq!(joined, numbers_in(WeightType::F32, &bytes));
        assert_eq!(joined.nan, Some(Places { first: 999, count: 5 }));
    }
}
