//! Blocks drawn at random: every code equally likely, scales such that the decoded values have mean 0 and a chosen spread.

use gguf::WeightType;
use half::{bf16, f16};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A portable stream of random blocks: `ChaCha8`, and arithmetic without any function whose last bit a platform chooses.
pub(crate) struct Blocks {
    random: ChaCha8Rng,
}

impl Blocks {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Uniform in -1..1, in steps of 2^-23.
    fn symmetric(&mut self) -> f32 {
        (self.random.next_u32() >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    }

    /// `len` F32 values uniform within `reach` of `center`.
    pub(crate) fn around(&mut self, center: f32, reach: f32, len: usize) -> Vec<u8> {
        (0..len).flat_map(|_| (center + reach * self.symmetric()).to_le_bytes()).collect()
    }

    /// Whole blocks for `len` elements, whose decoded values have a mean near 0 and standard deviation `spread`.
    #[expect(clippy::too_many_lines, reason = "a row for each weight type")]
    pub(crate) fn draw(&mut self, weight_type: WeightType, len: usize, spread: f32) -> Vec<u8> {
        // A uniform distribution of standard deviation 1 reaches to the square root of 3.
        const REACH: f32 = 1.732_050_8;
        let mut out = vec![0; len / weight_type.block_len() * weight_type.block_bytes()];
        self.random.fill_bytes(&mut out);
        for block in out.chunks_exact_mut(weight_type.block_bytes()) {
            let mut put = |at: usize, value: f32| block[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
            // The scale of a block varies by a quarter either way. The divisor is the standard deviation of the values that
            // random bytes decode to under a scale of 1, and the factor before a minimum is what brings their mean to 0.
            let scale = |blocks: &mut Self, deviation: f32| spread / deviation * (1.0 + 0.25 * blocks.symmetric());
            match weight_type {
                WeightType::F32 => block.copy_from_slice(&(spread * REACH * self.symmetric()).to_le_bytes()),
                WeightType::F16 => put(0, spread * REACH * self.symmetric()),
                WeightType::BF16 => {
                    block.copy_from_slice(&bf16::from_f32(spread * REACH * self.symmetric()).to_le_bytes());
                }
                WeightType::Q4_0 => put(0, scale(self, 4.64)),
                WeightType::Q5_0 => put(0, scale(self, 9.25)),
                WeightType::Q8_0 => put(0, scale(self, 73.9)),
                WeightType::Q4_1 => {
                    let d = scale(self, 4.61);
                    put(0, d);
                    put(2, -7.5 * d);
                }
                WeightType::Q5_1 => {
                    let d = scale(self, 9.23);
                    put(0, d);
                    put(2, -15.5 * d);
                }
                WeightType::Q2_K => {
                    let d = scale(self, 13.9);
                    put(80, d);
                    put(82, 1.5 * d);
                }
                WeightType::Q3_K => put(108, scale(self, 43.3)),
                WeightType::Q4_K => {
                    let d = scale(self, 258.0);
                    put(0, d);
                    put(2, 7.5 * d);
                }
                WeightType::Q5_K => {
                    let d = scale(self, 530.0);
                    put(0, d);
                    put(2, 15.5 * d);
                }
                WeightType::Q6_K => put(208, scale(self, 1366.0)),
                // Grids, under scales of 4 bits and more that lie between the bits of the grid.
                WeightType::IQ1_S => put(0, scale(self, 7.21)),
                WeightType::IQ1_M => {
                    let bits = f16::from_f32(scale(self, 7.21)).to_bits();
                    // The scale is in the highest four bits of each of the last four shorts, the lowest bits first.
                    for (piece, bytes) in block[48..56].as_chunks_mut::<2>().0.iter_mut().enumerate() {
                        bytes[1] = (bytes[1] & 0x0f) | (((bits >> (4 * piece)) & 0xf) as u8) << 4;
                    }
                }
                WeightType::IQ2_XXS => put(0, scale(self, 53.2)),
                WeightType::IQ2_XS => put(0, scale(self, 56.0)),
                WeightType::IQ2_S => put(0, scale(self, 56.4)),
                WeightType::IQ3_XXS => put(0, scale(self, 142.6)),
                WeightType::IQ3_S => put(0, scale(self, 140.5)),
                WeightType::IQ4_NL => put(0, scale(self, 67.2)),
                WeightType::IQ4_XS => put(0, scale(self, 1247.0)),
                WeightType::TQ1_0 => put(52, scale(self, 0.817)),
                WeightType::TQ2_0 => {
                    put(64, scale(self, 0.707));
                    block[..64].iter_mut().for_each(without_threes);
                }
                WeightType::Q1_0 => put(0, scale(self, 1.0)),
                WeightType::Q2_0 => {
                    put(0, scale(self, 0.707));
                    block[2..].iter_mut().for_each(without_threes);
                }
                WeightType::MXFP4 => block[0] = power_of_two(scale(self, 2.93)),
                WeightType::NVFP4 => {
                    for byte in &mut block[..4] {
                        *byte = small_float(scale(self, 2.92));
                    }
                }
                // `Recipe::WEIGHTS` does not have the others, and recipes with them are refused.
                _ => unreachable!("not a weight type of recipes"),
            }
        }
        out
    }
}

/// Four codes of two bits, of which those of 3 become 1: no quantiser writes them, and codes of 0 to 2 are as often above 0 as below.
fn without_threes(byte: &mut u8) {
    let threes = *byte & (*byte >> 1) & 0x55;
    *byte &= !(threes << 1);
}

/// The exponent byte (bias 127) of the power of two that is nearest to `scale` in proportion.
fn power_of_two(scale: f32) -> u8 {
    // A float of this mantissa or more is nearer to the next power: the root of 2.
    let bits = scale.to_bits() + (0x3f80_0000 + (1 << 23) - 2f32.sqrt().to_bits());
    (bits >> 23) as u8
}

/// The unsigned e4m3 (bias 7) that is nearest to `scale`.
fn small_float(scale: f32) -> u8 {
    let value = |byte: u8| match byte >> 3 {
        0 => f32::from(byte & 7) / 512.0,
        exponent => f32::from(8 + (byte & 7)) * f32::from_bits((u32::from(exponent) + 127 - 10) << 23),
    };
    (1..0x7f).min_by(|&a, &b| (value(a) - scale).abs().total_cmp(&(value(b) - scale).abs())).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    #[test]
    fn decoded_values_have_the_asked_mean_and_spread() {
        for weight_type in Recipe::WEIGHTS {
            let len = 256 * 256;
            let bytes = Blocks::new(1).draw(weight_type, len, 0.5);
            let mut values = vec![0.0; len];
            gguf::codec::decode(weight_type, &bytes, &mut values).unwrap();
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / len as f64;
            let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / len as f64;
            // Signed codes reach one further down than up, so their mean is half a step below 0.
            assert!(mean.abs() < 0.06, "{weight_type}: mean {mean}");
            // Scales of MXFP4 are powers of two, so its spread can be off by the root of that.
            let reach = if weight_type == WeightType::MXFP4 { 0.2 } else { 0.02 };
            assert!((variance.sqrt() - 0.5).abs() < reach, "{weight_type}: spread {}", variance.sqrt());
        }
    }
}
