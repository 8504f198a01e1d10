//! Exact block codecs: the value of every stored weight, as ggml defines it.
//!
//! A weight's value is the f32 that ggml's own dequantisation gives (`ggml-quants.c` in llama.cpp); each function here performs
//! the same f32 operations in the same order, so that results are equal to the last bit. Integers and F64, which ggml has no
//! such function for, become the nearest f32. One function per weight type, each from one block of bytes to its elements;
//! layouts are those of `ggml-common.h`. Everything is little-endian: what is smaller than a byte fills it from the lowest
//! bits.

mod codebooks;
mod importance;
mod microscaling;
mod numbers;
mod ternary;

use crate::WeightType;
use half::{bf16, f16};
use importance::{iq1_m, iq1_s, iq2_s, iq2_xs, iq2_xxs, iq3_s, iq3_xxs, iq4_nl, iq4_xs};
use microscaling::{mxfp4, nvfp4};
pub use numbers::{Numbers, Places, numbers_in};
use ternary::{tq1_0, tq2_0};

/// Bytes or elements that are not a whole number of blocks, or do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are not {elements} elements of {weight_type}")]
pub struct LengthMismatch {
    /// Length of the input, in bytes.
    pub bytes: usize,
    /// Length of the output, in elements.
    pub elements: usize,
    /// The weight type.
    pub weight_type: WeightType,
}

/// Decodes `bytes`, whole blocks of `weight_type`, into `out`.
///
/// # Errors
/// Where `bytes` does not hold exactly `out.len()` elements.
pub fn decode(weight_type: WeightType, bytes: &[u8], out: &mut [f32]) -> Result<(), LengthMismatch> {
    if weight_type.row_bytes(out.len() as u64) != Some(bytes.len() as u64) {
        return Err(LengthMismatch { bytes: bytes.len(), elements: out.len(), weight_type });
    }
    match weight_type {
        WeightType::F32 => numbers(bytes, out, f32::from_le_bytes),
        WeightType::F16 => numbers(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        WeightType::BF16 => numbers(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
        WeightType::F64 => numbers(bytes, out, |b| f64::from_le_bytes(b) as f32),
        WeightType::I8 => numbers(bytes, out, |b| i8::from_le_bytes(b) as f32),
        WeightType::I16 => numbers(bytes, out, |b| i16::from_le_bytes(b) as f32),
        WeightType::I32 => numbers(bytes, out, |b| i32::from_le_bytes(b) as f32),
        WeightType::I64 => numbers(bytes, out, |b| i64::from_le_bytes(b) as f32),
        WeightType::Q4_0 => blocks(bytes, out, q4_0),
        WeightType::Q4_1 => blocks(bytes, out, q4_1),
        WeightType::Q5_0 => blocks(bytes, out, q5_0),
        WeightType::Q5_1 => blocks(bytes, out, q5_1),
        WeightType::Q8_0 => blocks(bytes, out, q8_0),
        WeightType::Q8_1 => blocks(bytes, out, q8_1),
        WeightType::Q2_K => blocks(bytes, out, q2_k),
        WeightType::Q3_K => blocks(bytes, out, q3_k),
        WeightType::Q4_K => blocks(bytes, out, q4_k),
        WeightType::Q5_K => blocks(bytes, out, q5_k),
        WeightType::Q6_K => blocks(bytes, out, q6_k),
        WeightType::Q8_K => blocks(bytes, out, q8_k),
        WeightType::IQ2_XXS => blocks(bytes, out, iq2_xxs),
        WeightType::IQ2_XS => blocks(bytes, out, iq2_xs),
        WeightType::IQ3_XXS => blocks(bytes, out, iq3_xxs),
        WeightType::IQ1_S => blocks(bytes, out, iq1_s),
        WeightType::IQ4_NL => blocks(bytes, out, iq4_nl),
        WeightType::IQ3_S => blocks(bytes, out, iq3_s),
        WeightType::IQ2_S => blocks(bytes, out, iq2_s),
        WeightType::IQ4_XS => blocks(bytes, out, iq4_xs),
        WeightType::IQ1_M => blocks(bytes, out, iq1_m),
        WeightType::TQ1_0 => blocks(bytes, out, tq1_0),
        WeightType::TQ2_0 => blocks(bytes, out, tq2_0),
        WeightType::MXFP4 => blocks(bytes, out, mxfp4),
        WeightType::NVFP4 => blocks(bytes, out, nvfp4),
        WeightType::Q1_0 => blocks(bytes, out, q1_0),
        WeightType::Q2_0 => blocks(bytes, out, q2_0),
    }
    Ok(())
}

/// Runs `decode` over each block of `B` bytes and its `N` elements.
fn blocks<const B: usize, const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn(&[u8; B], &mut [f32; N])) {
    for (block, elements) in bytes.as_chunks::<B>().0.iter().zip(out.as_chunks_mut::<N>().0) {
        decode(block, elements);
    }
}

/// Runs `decode` over each number of `B` bytes.
fn numbers<const B: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; B]) -> f32) {
    blocks(bytes, out, |block, y: &mut [f32; 1]| y[0] = decode(*block));
}

/// The f16 at byte `at`, as f32.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_bits(short(block, at)).to_f32()
}

/// The u16 at byte `at`.
fn short(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// The u32 at byte `at`.
fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

fn low(byte: u8) -> i32 {
    i32::from(byte & 0xf)
}

fn high(byte: u8) -> i32 {
    i32::from(byte >> 4)
}

/// `d: f16, codes: [u1; 128]`; a set bit is the scale, and a clear one minus the scale.
fn q1_0(block: &[u8; 18], y: &mut [f32; 128]) {
    let d = half(block, 0);
    for i in 0..128 {
        let bit = (block[2 + i / 8] >> (i % 8)) & 1;
        y[i] = if bit == 1 { d } else { -d };
    }
}

/// `d: f16, codes: [u2; 64]`.
fn q2_0(block: &[u8; 18], y: &mut [f32; 64]) {
    let d = half(block, 0);
    for i in 0..64 {
        let code = i32::from((block[2 + i / 4] >> (i % 4 * 2)) & 3);
        y[i] = (code - 1) as f32 * d;
    }
}

/// `d: f16, codes: [u4; 32]`; element `i` is in the low half of byte `i`, element `i + 16` in its high half.
fn q4_0(block: &[u8; 18], y: &mut [f32; 32]) {
    let d = half(block, 0);
    for i in 0..16 {
        y[i] = (low(block[2 + i]) - 8) as f32 * d;
        y[i + 16] = (high(block[2 + i]) - 8) as f32 * d;
    }
}

/// `d: f16, m: f16, codes: [u4; 32]`.
fn q4_1(block: &[u8; 20], y: &mut [f32; 32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    for i in 0..16 {
        y[i] = low(block[4 + i]) as f32 * d + m;
        y[i + 16] = high(block[4 + i]) as f32 * d + m;
    }
}

/// The fifth bits of elements `i` and `i + 16`, in place.
fn fifth_bits(bits: u32, i: usize) -> (i32, i32) {
    ((((bits >> i) << 4) & 0x10) as i32, ((bits >> (i + 12)) & 0x10) as i32)
}

/// `d: f16, fifth bits: u32, codes: [u4; 32]`.
fn q5_0(block: &[u8; 22], y: &mut [f32; 32]) {
    let d = half(block, 0);
    let bits = word(block, 2);
    for i in 0..16 {
        let (first, second) = fifth_bits(bits, i);
        y[i] = ((low(block[6 + i]) | first) - 16) as f32 * d;
        y[i + 16] = ((high(block[6 + i]) | second) - 16) as f32 * d;
    }
}

/// `d: f16, m: f16, fifth bits: u32, codes: [u4; 32]`.
fn q5_1(block: &[u8; 24], y: &mut [f32; 32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    let bits = word(block, 4);
    for i in 0..16 {
        let (first, second) = fifth_bits(bits, i);
        y[i] = (low(block[8 + i]) | first) as f32 * d + m;
        y[i + 16] = (high(block[8 + i]) | second) as f32 * d + m;
    }
}

/// `d: f16, codes: [i8; 32]`.
fn q8_0(block: &[u8; 34], y: &mut [f32; 32]) {
    let d = half(block, 0);
    for i in 0..32 {
        y[i] = f32::from(block[2 + i] as i8) * d;
    }
}

/// `d: f16, sum: f16, codes: [i8; 32]`.
fn q8_1(block: &[u8; 36], y: &mut [f32; 32]) {
    let d = half(block, 0);
    for i in 0..32 {
        y[i] = f32::from(block[4 + i] as i8) * d;
    }
}

/// `scales: [(u4 scale, u4 minimum); 16], codes: [u2; 256], d: f16, dmin: f16`.
fn q2_k(block: &[u8; 84], y: &mut [f32; 256]) {
    let (d, dmin) = (half(block, 80), half(block, 82));
    for group in 0..16 {
        let scale = block[group];
        let dl = d * low(scale) as f32;
        let ml = dmin * high(scale) as f32;
        let (codes, shift) = two_bit_codes(group);
        for i in 0..16 {
            let code = (block[16 + codes + i] >> shift) & 3;
            y[group * 16 + i] = dl * f32::from(code) - ml;
        }
    }
}

/// Where the 2-bit codes of a group of 16 are: the first byte, and the shift. Each half of a block takes 32 bytes for its 128
/// elements, 32 elements to a shift.
fn two_bit_codes(group: usize) -> (usize, usize) {
    ((group / 8) * 32 + (group % 2) * 16, (group % 8) / 2 * 2)
}

/// `high bits: [u1; 256], codes: [u2; 256], scales: [i6; 16], d: f16`.
fn q3_k(block: &[u8; 110], y: &mut [f32; 256]) {
    let d = half(block, 108);
    let scales = &block[96..108];
    for group in 0..16 {
        // The low four bits of scales 0..8 and 8..16 share the first 8 bytes; the last 4 bytes hold all the high pairs.
        let nibble = if group < 8 { scales[group] & 0xf } else { scales[group - 8] >> 4 };
        let pair = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
        let scale = i32::from(nibble | (pair << 4)) - 32;
        let dl = d * scale as f32;
        let (codes, shift) = two_bit_codes(group);
        for i in 0..16 {
            let code = i32::from((block[32 + codes + i] >> shift) & 3);
            let high_bit = block[(group % 2) * 16 + i] & (1 << (group / 2));
            let code = if high_bit == 0 { code - 4 } else { code };
            y[group * 16 + i] = dl * code as f32;
        }
    }
}

/// The 6-bit scale and minimum of group `group` of 8, packed into 12 bytes.
fn scale_and_minimum(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let (low, high) = (packed[group + 4] & 0xf, packed[group + 4] >> 4);
        (low | ((packed[group - 4] >> 6) << 4), high | ((packed[group] >> 6) << 4))
    }
}

/// `d: f16, dmin: f16, scales and minima: [(u6, u6); 8], codes: [u4; 256]`.
fn q4_k(block: &[u8; 144], y: &mut [f32; 256]) {
    let (d, dmin) = (half(block, 0), half(block, 2));
    for group in 0..8 {
        let (scale, minimum) = scale_and_minimum(&block[4..16], group);
        let (dl, ml) = (d * f32::from(scale), dmin * f32::from(minimum));
        for i in 0..32 {
            let byte = block[16 + group / 2 * 32 + i];
            let code = if group % 2 == 0 { low(byte) } else { high(byte) };
            y[group * 32 + i] = dl * code as f32 - ml;
        }
    }
}

/// `d: f16, dmin: f16, scales and minima: [(u6, u6); 8], fifth bits: [u1; 256], codes: [u4; 256]`.
fn q5_k(block: &[u8; 176], y: &mut [f32; 256]) {
    let (d, dmin) = (half(block, 0), half(block, 2));
    for group in 0..8 {
        let (scale, minimum) = scale_and_minimum(&block[4..16], group);
        let (dl, ml) = (d * f32::from(scale), dmin * f32::from(minimum));
        for i in 0..32 {
            let byte = block[48 + group / 2 * 32 + i];
            let code = if group % 2 == 0 { low(byte) } else { high(byte) };
            let fifth = i32::from((block[16 + i] >> group) & 1) << 4;
            y[group * 32 + i] = dl * (code + fifth) as f32 - ml;
        }
    }
}

/// `low codes: [u4; 256], high codes: [u2; 256], scales: [i8; 16], d: f16`.
fn q6_k(block: &[u8; 210], y: &mut [f32; 256]) {
    let d = half(block, 208);
    for half_block in 0..2 {
        for quarter in 0..4 {
            for i in 0..32 {
                let byte = block[half_block * 64 + (quarter % 2) * 32 + i];
                let nibble = if quarter < 2 { low(byte) } else { high(byte) };
                let pair = i32::from((block[128 + half_block * 32 + i] >> (quarter * 2)) & 3);
                let code = (nibble | (pair << 4)) - 32;
                let scale = block[192 + half_block * 8 + quarter * 2 + i / 16] as i8;
                y[half_block * 128 + quarter * 32 + i] = d * f32::from(scale) * code as f32;
            }
        }
    }
}

/// `d: f32, codes: [i8; 256], sums: [i16; 16]`.
fn q8_k(block: &[u8; 292], y: &mut [f32; 256]) {
    let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for i in 0..256 {
        y[i] = d * f32::from(block[4 + i] as i8);
    }
}

#[cfg(test)]
mod tests {
    //! By hand, one code at a time. Bit equality with ggml and candle over random blocks is `ggauge`'s test `codecs`.
    use super::*;

    pub(super) fn decoded(weight_type: WeightType, block: &[u8]) -> Vec<f32> {
        let mut out = vec![f32::NAN; weight_type.block_len()];
        decode(weight_type, block, &mut out).unwrap();
        out
    }

    pub(super) const TWO: [u8; 2] = [0x00, 0x40]; // 2.0 in f16

    #[test]
    fn numbers_become_the_nearest_f32() {
        assert_eq!(decoded(WeightType::F32, &(-1.5f32).to_le_bytes()), [-1.5]);
        assert_eq!(decoded(WeightType::I8, &[0x80]), [-128.0]);
        assert_eq!(decoded(WeightType::I16, &i16::MIN.to_le_bytes()), [-32768.0]);
        // Half way between two neighbours, to the even one: down here, up there.
        assert_eq!(decoded(WeightType::I32, &((1i32 << 24) + 1).to_le_bytes()), [16_777_216.0]);
        assert_eq!(decoded(WeightType::I32, &((1i32 << 24) + 3).to_le_bytes()), [16_777_220.0]);
        assert_eq!(decoded(WeightType::I64, &i64::MAX.to_le_bytes()), [2f32.powi(63)]);
        // Rounded once: by way of f64, this would be a tie and go down.
        assert_eq!(decoded(WeightType::I64, &((1i64 << 60) + (1 << 36) + 1).to_le_bytes()), [2f32.powi(60) + 2f32.powi(37)]);
        assert_eq!(decoded(WeightType::F64, &0.1f64.to_le_bytes()), [0.1]);
        assert_eq!(decoded(WeightType::F64, &1e300f64.to_le_bytes()), [f32::INFINITY]);
        assert_eq!(decoded(WeightType::F64, &(-1e-300f64).to_le_bytes())[0].to_bits(), (-0.0f32).to_bits());
        assert!(decoded(WeightType::F64, &f64::NAN.to_le_bytes())[0].is_nan());
    }

    #[test]
    fn q1_0_and_q2_0_have_neighbours_in_one_byte() {
        let mut block = TWO.to_vec();
        block.extend([0b0000_0110; 16]);
        assert_eq!(decoded(WeightType::Q1_0, &block)[120..], [-2.0, 2.0, 2.0, -2.0, -2.0, -2.0, -2.0, -2.0]);
        block[17] = 0b11_10_01_00;
        assert_eq!(decoded(WeightType::Q2_0, &block)[60..], [-2.0, 0.0, 2.0, 4.0]);
    }

    #[test]
    fn q4_0_has_the_low_halves_first() {
        let mut block = TWO.to_vec();
        block.extend([0x9f; 16]);
        let y = decoded(WeightType::Q4_0, &block);
        assert!(y[..16].iter().all(|&v| v == 14.0), "{y:?}");
        assert!(y[16..].iter().all(|&v| v == 2.0), "{y:?}");
    }

    #[test]
    fn q4_k_packs_scales_of_the_upper_groups_from_two_places() {
        let mut block = vec![0u8; 144];
        block[..2].copy_from_slice(&TWO);
        block[2..4].copy_from_slice(&TWO);
        // Group 4: scale 0b11_0101 and minimum 0b10_0011.
        block[4] = 0b1100_0000;
        block[4 + 8] = 0b0011_0101;
        block[4 + 4] = 0b1000_0000;
        block[16 + 64] = 0x03;
        let y = decoded(WeightType::Q4_K, &block);
        assert_eq!(y[128], 2.0 * 53.0 * 3.0 - 2.0 * 35.0);
    }

    #[test]
    fn formats_of_activations_skip_their_sums() {
        let mut block = TWO.to_vec();
        block.extend([0xff, 0xff]);
        block.extend((0..32u8).map(|i| i.wrapping_sub(16)));
        let y = decoded(WeightType::Q8_1, &block);
        assert_eq!((y[0], y[31]), (-32.0, 30.0));
        let mut block = 0.5f32.to_le_bytes().to_vec();
        block.extend((0..=255u8).map(|i| i.wrapping_sub(128)));
        block.extend([0xff; 32]);
        let y = decoded(WeightType::Q8_K, &block);
        assert_eq!((y[0], y[128], y[255]), (-64.0, 0.0, 63.5));
    }

    #[test]
    fn a_wrong_length_is_refused() {
        let error = decode(WeightType::Q4_0, &[0; 18], &mut [0.0; 31]).unwrap_err();
        assert_eq!(error.to_string(), "18 bytes are not 31 elements of q4_0");
    }
}
