//! The IQ types: points of a codebook for 4 or 8 elements at a time, or 4-bit codes for levels at uneven distances.
//!
//! A type with codebooks has blocks of 256 elements: 32 runs of 8, of which 4 in a row make a group. A run is one point of 8
//! elements or two of 4. `IQ1_S` and `IQ1_M` have signed points, and the others give the signs apart.

use super::{codebooks, half, high, low, short, word};
use half::f16;

/// What the 4-bit codes of `IQ4_NL` and `IQ4_XS` stand for: `kvalues_iq4nl` of `ggml-common.h`.
const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// By how much the elements of a run of `IQ1_S` and `IQ1_M` lie above or below its point, before the scale.
const SHIFT: f32 = 0.125;

/// Writes `scale` times a point, negative where bit `i` of `signs` is set.
fn signed<const N: usize>(y: &mut [f32; N], scale: f32, point: [i8; N], signs: u8) {
    for i in 0..N {
        let value = scale * f32::from(point[i]);
        y[i] = if (signs >> i) & 1 == 0 { value } else { -value };
    }
}

/// Writes `scale` times a point that is shifted down or up.
fn shifted(y: &mut [f32; 8], scale: f32, point: [i8; 8], down: bool) {
    let shift = if down { -SHIFT } else { SHIFT };
    for i in 0..8 {
        y[i] = scale * (f32::from(point[i]) + shift);
    }
}

/// The signs of a run from the seven lowest bits: the eighth is such that the number of minus signs is even.
fn even_signs(bits: u32) -> u8 {
    let seven = (bits & 0x7f) as u8;
    seven | (((seven.count_ones() % 2) as u8) << 7)
}

/// The 4-bit number `index` of those that begin at byte `at`, the low half of a byte first.
fn nibble(block: &[u8], at: usize, index: usize) -> i32 {
    let byte = block[at + index / 2];
    if index.is_multiple_of(2) { low(byte) } else { high(byte) }
}

/// `d: f16, groups: [(points: [u8; 4], signs: [u7; 4], scale: u4); 8]`.
pub(super) fn iq2_xxs(block: &[u8; 66], y: &mut [f32; 256]) {
    let d = half(block, 0);
    for (run, y) in y.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let group = 2 + run / 4 * 8;
        let signs_and_scale = word(block, group + 4);
        let dl = d * (0.5 + (signs_and_scale >> 28) as f32) * 0.25;
        let point = codebooks::IQ2_XXS[usize::from(block[group + run % 4])];
        signed(y, dl, point, even_signs(signs_and_scale >> (run % 4 * 7)));
    }
}

/// `d: f16, runs: [(point: u9, signs: u7); 32], scales: [u4; 16]`, a scale for two runs.
pub(super) fn iq2_xs(block: &[u8; 74], y: &mut [f32; 256]) {
    let d = half(block, 0);
    for (run, y) in y.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let point_and_signs = short(block, 2 + run * 2);
        let dl = d * (0.5 + nibble(block, 66, run / 2) as f32) * 0.25;
        let point = codebooks::IQ2_XS[usize::from(point_and_signs & 0x1ff)];
        signed(y, dl, point, even_signs(u32::from(point_and_signs >> 9)));
    }
}

/// `d: f16, low bits of points: [u8; 32], signs: [u8; 32], high bits of points: [u2; 32], scales: [u4; 16]`, a scale for two
/// runs.
pub(super) fn iq2_s(block: &[u8; 82], y: &mut [f32; 256]) {
    let d = half(block, 0);
    for (run, y) in y.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let pair = (block[66 + run / 4] >> (run % 4 * 2)) & 3;
        let dl = d * (0.5 + nibble(block, 74, run / 2) as f32) * 0.25;
        let point = codebooks::IQ2_S[usize::from(block[2 + run]) | (usize::from(pair) << 8)];
        signed(y, dl, point, block[34 + run]);
    }
}

/// `d: f16, points: [u8; 64], groups: [(signs: [u7; 4], scale: u4); 8]`.
pub(super) fn iq3_xxs(block: &[u8; 98], y: &mut [f32; 256]) {
    let d = half(block, 0);
    for (index, y) in y.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let signs_and_scale = word(block, 66 + index / 8 * 4);
        let dl = d * (0.5 + (signs_and_scale >> 28) as f32) * 0.5;
        let point = codebooks::IQ3_XXS[usize::from(block[2 + index])];
        let signs = even_signs(signs_and_scale >> (index / 2 % 4 * 7));
        signed(y, dl, point, signs >> (index % 2 * 4));
    }
}

/// `d: f16, low bits of points: [u8; 64], high bits of points: [u1; 64], signs: [u4; 64], scales: [u4; 8]`.
pub(super) fn iq3_s(block: &[u8; 110], y: &mut [f32; 256]) {
    let d = half(block, 0);
    for (index, y) in y.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let bit = (block[66 + index / 8] >> (index % 8)) & 1;
        let dl = d * (1 + 2 * nibble(block, 106, index / 8)) as f32;
        let point = codebooks::IQ3_S[usize::from(block[2 + index]) | (usize::from(bit) << 8)];
        signed(y, dl, point, nibble(block, 74, index) as u8);
    }
}

/// `d: f16, low bits of points: [u8; 32], groups: [(high bits of points: [u3; 4], scale: u3, down: u1); 8]`.
pub(super) fn iq1_s(block: &[u8; 50], y: &mut [f32; 256]) {
    let d = half(block, 0);
    for (run, y) in y.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let group = short(block, 34 + run / 4 * 2);
        let triple = (group >> (run % 4 * 3)) & 7;
        let dl = d * f32::from(2 * ((group >> 12) & 7) + 1);
        let point = codebooks::IQ1[usize::from(block[2 + run]) | (usize::from(triple) << 8)];
        shifted(y, dl, point, group >> 15 == 1);
    }
}

/// `low bits of points: [u8; 32], runs: [(high bits of point: u3, down: u1); 32], scales: [([u3; 4], piece of d: u4); 4]`, a
/// scale for two runs. The pieces make an f16, the lowest first.
pub(super) fn iq1_m(block: &[u8; 56], y: &mut [f32; 256]) {
    let d = f16::from_bits((0..4).map(|i| (short(block, 48 + i * 2) >> 12) << (i * 4)).sum()).to_f32();
    for (run, y) in y.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let scale = (short(block, 48 + run / 8 * 2) >> (run / 2 % 4 * 3)) & 7;
        let triple_and_down = nibble(block, 32, run) as usize;
        let dl = d * f32::from(2 * scale + 1);
        let point = codebooks::IQ1[usize::from(block[run]) | ((triple_and_down & 7) << 8)];
        shifted(y, dl, point, triple_and_down >> 3 == 1);
    }
}

/// `d: f16, codes: [u4; 32]`, in the order of `Q4_0`.
pub(super) fn iq4_nl(block: &[u8; 18], y: &mut [f32; 32]) {
    let d = half(block, 0);
    for i in 0..16 {
        y[i] = d * level(low(block[2 + i]));
        y[i + 16] = d * level(high(block[2 + i]));
    }
}

/// `d: f16, high bits of scales: [u2; 8], low bits of scales: [u4; 8], codes: [u4; 256]`, a scale for 32 elements, whose codes
/// are in the order of `Q4_0`.
pub(super) fn iq4_xs(block: &[u8; 136], y: &mut [f32; 256]) {
    let d = half(block, 0);
    for group in 0..8 {
        let pair = i32::from((short(block, 2) >> (group * 2)) & 3);
        let scale = (nibble(block, 4, group) | (pair << 4)) - 32;
        let dl = d * scale as f32;
        for i in 0..16 {
            let byte = block[8 + group * 16 + i];
            y[group * 32 + i] = dl * level(low(byte));
            y[group * 32 + i + 16] = dl * level(high(byte));
        }
    }
}

fn level(code: i32) -> f32 {
    f32::from(LEVELS[code as usize])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TWO, decoded};
    use super::*;
    use crate::WeightType;

    #[test]
    fn the_eighth_sign_makes_the_number_even() {
        assert_eq!(even_signs(0), 0);
        assert_eq!(even_signs(0b000_0001), 0b1000_0001);
        assert_eq!(even_signs(0b100_0001), 0b0100_0001);
        // What lies above the seven bits belongs to the next run.
        assert_eq!(even_signs(0xffff_ff80), 0);
    }

    #[test]
    fn iq2_xxs_has_signs_and_scale_in_one_word() {
        let mut block = vec![0; 66];
        block[..2].copy_from_slice(&TWO);
        // Group 1: point 1 for its second run, scale 3, and a minus sign on that run's elements 0 and 7.
        block[2 + 8 + 1] = 1;
        block[2 + 12..2 + 16].copy_from_slice(&((3u32 << 28) | (1 << 7)).to_le_bytes());
        let y = decoded(WeightType::IQ2_XXS, &block);
        assert_eq!((y[0], y[31]), (2.0, 2.0));
        let scale = 2.0 * 3.5 / 4.0;
        assert_eq!(y[40..48], [-43.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, -8.0].map(|level| level * scale));
    }

    #[test]
    fn iq3_s_has_nine_bits_for_a_point() {
        let mut block = vec![0; 110];
        block[..2].copy_from_slice(&TWO);
        // Point 63 is the last one of its codebook; it is in group 7, which has the last scale.
        (block[2 + 63], block[66 + 7], block[74 + 31], block[109]) = (0xff, 0x80, 0x80, 0x20);
        let y = decoded(WeightType::IQ3_S, &block);
        let [a, b, c, d] = codebooks::IQ3_S[511].map(|level| 2.0 * 5.0 * f32::from(level));
        assert_eq!(y[252..], [a, b, c, -d]);
        assert_eq!(y[248..252], [10.0; 4]);
    }

    #[test]
    fn iq1_m_has_its_scale_in_four_pieces() {
        let mut block = vec![0; 56];
        // 0x4000 is 2.0 in f16: the last piece is 4. The scale of the last two runs is 5.
        block[54..].copy_from_slice(&((4u16 << 12) | (5 << 9)).to_le_bytes());
        // The last run is shifted down, and so is no other.
        block[47] = 0x80;
        let y = decoded(WeightType::IQ1_M, &block);
        assert_eq!(y[..8], [2.0 * -0.875; 8]);
        assert_eq!(y[240..248], [2.0 * 11.0 * -0.875; 8]);
        assert_eq!(y[248..], [2.0 * 11.0 * -1.125; 8]);
    }

    #[test]
    fn iq4_xs_takes_six_bits_for_a_scale_from_two_places() {
        let mut block = vec![0; 136];
        block[..2].copy_from_slice(&TWO);
        // Group 7: scale 0b11_0101 is 53, less 32.
        (block[3], block[7]) = (0xc0, 0x50);
        block[8 + 7 * 16] = 0xf0;
        let y = decoded(WeightType::IQ4_XS, &block);
        assert_eq!((y[0], y[224], y[240]), (2.0 * -32.0 * -127.0, 2.0 * 21.0 * -127.0, 2.0 * 21.0 * 113.0));
    }
}
