//! The TQ types: elements that are -1, 0 or 1 times the scale of their block.

use super::{half, two_bit_codes};

/// The runs of bytes in which `TQ1_0` has its codes: first byte, bytes, codes in a byte, first element. The first codes of all
/// bytes of a run come before their second codes, and so on.
const RUNS: [(usize, usize, usize, usize); 3] = [(0, 32, 5, 0), (32, 16, 5, 160), (48, 4, 4, 240)];

/// `codes: 48 bytes of 5 and 4 bytes of 4, d: f16`.
pub(super) fn tq1_0(block: &[u8; 54], y: &mut [f32; 256]) {
    let d = half(block, 52);
    for (first_byte, bytes, codes, first_element) in RUNS {
        for place in 0..codes {
            for i in 0..bytes {
                let code = ternary_digit(block[first_byte + i], place);
                y[first_element + place * bytes + i] = f32::from(code - 1) * d;
            }
        }
    }
}

/// The digit at `place` of a byte that stands for the fraction `byte / 256` in base 3: times 3 to the power of `place`, it is
/// the first digit after the point.
fn ternary_digit(byte: u8, place: usize) -> i16 {
    let fraction = byte.wrapping_mul([1, 3, 9, 27, 81][place]);
    (i16::from(fraction) * 3) >> 8
}

/// `codes: [u2; 256], d: f16`. A code of 3, which no quantiser writes, is 2 times the scale.
pub(super) fn tq2_0(block: &[u8; 66], y: &mut [f32; 256]) {
    let d = half(block, 64);
    for group in 0..16 {
        let (codes, shift) = two_bit_codes(group);
        for i in 0..16 {
            let code = i16::from((block[codes + i] >> shift) & 3);
            y[group * 16 + i] = f32::from(code - 1) * d;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TWO, decoded};
    use super::*;
    use crate::WeightType;

    #[test]
    fn a_byte_holds_five_digits_after_the_point() {
        // 0.20112 in base 3 is 176 / 243; rounded up to 256ths it is 186 / 256, which has the same five digits.
        let digits = [0, 1, 2, 3, 4].map(|place| ternary_digit(186, place));
        assert_eq!(digits, [2, 0, 1, 1, 2]);
    }

    #[test]
    fn tq1_0_has_elements_of_a_byte_far_apart() {
        let mut block = vec![0; 54];
        (block[1], block[33], block[49]) = (186, 186, 186);
        block[52..].copy_from_slice(&TWO);
        let y = decoded(WeightType::TQ1_0, &block);
        assert_eq!([1, 33, 65, 97, 129].map(|i| y[i]), [2.0, -2.0, 0.0, 0.0, 2.0]);
        assert_eq!([161, 177, 193, 209, 225].map(|i| y[i]), [2.0, -2.0, 0.0, 0.0, 2.0]);
        assert_eq!([241, 245, 249, 253].map(|i| y[i]), [2.0, -2.0, 0.0, 0.0]);
        assert_eq!(y.iter().filter(|&&v| v == -2.0).count(), 256 - 14 + 3);
    }

    #[test]
    fn tq2_0_has_32_elements_to_a_shift() {
        let mut block = vec![0; 66];
        block[32] = 0b11_10_01_00;
        block[64..].copy_from_slice(&TWO);
        let y = decoded(WeightType::TQ2_0, &block);
        assert_eq!([128, 160, 192, 224].map(|i| y[i]), [-2.0, 0.0, 2.0, 4.0]);
    }
}
