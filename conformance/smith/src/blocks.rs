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
                // `Recipe::WEIGHTS` does not have the others, and recipes with them are refused.
                _ => unreachable!("not a weight type of recipes"),
            }
        }
        out
    }
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
            assert!((variance.sqrt() - 0.5).abs() < 0.02, "{weight_type}: spread {}", variance.sqrt());
        }
    }
}
