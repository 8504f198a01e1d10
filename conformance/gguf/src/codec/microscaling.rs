//! The FP4 types: 4-bit floats (e2m1: sign, two bits of exponent, one of mantissa) under a scale of 8 bits.
//!
//! A model in `NVFP4` has a further scale for each matrix. That is a tensor of its own, and no part of a block.

use super::{high, low};

/// What the codes stand for, doubled, which makes them whole numbers; the scales are halved in return. The zero of codes 0 and
/// 8 is one and the same, so that -0 becomes 0 (`kvalues_fp4` of `ggml-common.h`).
const DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// `scale: e8m0, codes: [e2m1; 32]`, in the order of `Q4_0`.
pub(super) fn mxfp4(block: &[u8; 17], y: &mut [f32; 32]) {
    let d = half_e8m0(block[0]);
    for i in 0..16 {
        y[i] = doubled(low(block[1 + i])) * d;
        y[i + 16] = doubled(high(block[1 + i])) * d;
    }
}

/// `scales: [ue4m3; 4], codes: [e2m1; 64]`, a scale for 16 elements: element `i` of them is in the low half of their byte `i`,
/// element `i + 8` in its high half.
pub(super) fn nvfp4(block: &[u8; 36], y: &mut [f32; 64]) {
    for group in 0..4 {
        let d = half_ue4m3(block[group]);
        for i in 0..8 {
            let byte = block[4 + group * 8 + i];
            y[group * 16 + i] = doubled(low(byte)) * d;
            y[group * 16 + i + 8] = doubled(high(byte)) * d;
        }
    }
}

fn doubled(code: i32) -> f32 {
    f32::from(DOUBLED[code as usize])
}

/// Half of 2 to the power of `byte - 127`. The standard has a NaN for 255; ggml goes on to 2 to the power of 128.
fn half_e8m0(byte: u8) -> f32 {
    power_of_two(i32::from(byte) - 128)
}

/// Half of an unsigned e4m3: four bits of exponent, with bias 7, and three of mantissa. ggml takes no notice of the highest
/// bit, except that the NaN of the standard, 0x7f, is 0 where 0xff is 480.
fn half_ue4m3(byte: u8) -> f32 {
    if byte == 0x7f {
        return 0.0;
    }
    let (exponent, mantissa) = (i32::from(byte >> 3) & 0xf, byte & 7);
    // A mantissa of three bits, half, and bias: 3 + 1 + 7. Exponent 0 is that of the subnormals, which have no leading 1.
    match exponent {
        0 => f32::from(mantissa) * power_of_two(1 - 11),
        _ => f32::from(mantissa + 8) * power_of_two(exponent - 11),
    }
}

/// 2 to the power of `exponent`, by way of f64, where powers that are subnormal in f32 are not.
fn power_of_two(exponent: i32) -> f32 {
    f64::from_bits(((exponent + 1023) as u64) << 52) as f32
}

#[cfg(test)]
mod tests {
    use super::super::tests::decoded;
    use super::*;
    use crate::WeightType;

    #[test]
    fn mxfp4_has_the_low_halves_first() {
        let mut block = vec![128];
        block.extend([0xf1; 16]);
        let y = decoded(WeightType::MXFP4, &block);
        assert!(y[..16].iter().all(|&v| v == 1.0), "{y:?}");
        assert!(y[16..].iter().all(|&v| v == -12.0), "{y:?}");
    }

    #[test]
    fn nvfp4_has_a_scale_for_16_elements() {
        // The scales 1, 1.125, the smallest subnormal, and the largest number.
        let mut block = vec![0x38, 0x39, 0x01, 0x7e];
        block.extend([0x72; 32]);
        let y = decoded(WeightType::NVFP4, &block);
        assert_eq!([y[0], y[7], y[8], y[15]], [1.0, 1.0, 6.0, 6.0]);
        assert_eq!([y[16], y[24], y[32], y[48]], [1.125, 6.75, 2f32.powi(-9), 448.0]);
    }

    #[test]
    fn minus_zero_becomes_zero() {
        let mut block = vec![127];
        block.extend([0x80; 16]);
        assert!(decoded(WeightType::MXFP4, &block).iter().all(|v| v.to_bits() == 0));
    }

    #[test]
    fn scales_at_the_ends() {
        assert_eq!([0, 1, 2, 255].map(half_e8m0), [-128, -127, -126, 127].map(|exponent| 2f32.powi(exponent)));
        assert_eq!([0x00, 0x07, 0x08].map(half_ue4m3), [0.0, 7.0 / 1024.0, 1.0 / 128.0]);
        assert_eq!([0x7e, 0x7f, 0x80, 0xff].map(half_ue4m3), [224.0, 0.0, 0.0, 240.0]);
    }
}
