//! How runtimes round activations, as a modification of the exact pass.
//!
//! A runtime does not multiply a quantised matrix with f32 activations: it rounds these to 8-bit blocks first, to the block
//! format that goes with the weight type. That is most of what two correct runtimes differ by. Rounding the reference's
//! activations the same way, and nothing else, says how large that difference is for one model and one prompt.
//!
//! Formats and which weight type takes which: `vec_dot_type` in ggml's `ggml-cpu.c`, the same in candle's `k_quants.rs`.

use crate::operations::{Activation, Operations, Rotary};
use gguf::WeightType;
use half::{bf16, f16};
use std::str::FromStr;

/// Which roundings to apply. [`Rounding::EXACT`] is the truth; the others are named after the subject they imitate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounding {
    name: &'static str,
    activations: Activations,
    /// Keys and values pass through an f16 cache.
    f16_cache: bool,
    /// GELU is looked up in a table of f16 by f16.
    f16_gelu: bool,
    /// How the angles of rotations are computed.
    angles: Angles,
    /// The output matrix is multiplied on the CPU although the rest is not.
    cpu_output: bool,
}

/// Suffix of the name of a rounding whose output matrix is on the CPU.
const CPU_OUTPUT: &str = "-cpu-output";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activations {
    Exact,
    /// f32 into and out of every matrix.
    Single,
    /// f16 into every matrix.
    Half,
    /// The format that goes with the matrix's weight type.
    ByWeightType {
        /// What matrices that are not quantised take.
        floats: Floats,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Angles {
    Exact,
    /// The product of position and frequency in f32.
    Product,
    /// From one pair to the next by multiplication with `base^(-2/d)`, all in f32: ggml's `ggml_rope_cache_init`.
    Recursion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Floats {
    /// f32, whatever the weights are.
    Single,
    /// The type of the weights.
    Same,
}

impl Rounding {
    /// No rounding at all.
    pub const EXACT: Self = Self {
        name: "f64",
        activations: Activations::Exact,
        f16_cache: false,
        f16_gelu: false,
        angles: Angles::Exact,
        cpu_output: false,
    };
    /// f32 activations and nothing else: candle with `CANDLE_DEQUANTIZE_ALL=1`.
    pub const SINGLE: Self = Self { name: "single", activations: Activations::Single, angles: Angles::Product, ..Self::EXACT };
    /// Blocks by weight type, f32 for half-precision weights: candle as it is.
    pub const CANDLE: Self =
        Self { name: "candle", activations: Activations::ByWeightType { floats: Floats::Single }, ..Self::SINGLE };
    /// Blocks by weight type and the f16 table for GELU: llama.cpp on the CPU with an f32 cache.
    pub const LLAMA_CPP_STRICT: Self = Self {
        name: "llama-cpp-strict",
        activations: Activations::ByWeightType { floats: Floats::Same },
        f16_gelu: true,
        angles: Angles::Recursion,
        ..Self::EXACT
    };
    /// The same with llama.cpp's default cache of f16.
    pub const LLAMA_CPP_DEFAULT: Self = Self { name: "llama-cpp-default", f16_cache: true, ..Self::LLAMA_CPP_STRICT };

    /// f32 activations and a cache of f16: llama.cpp's Vulkan backend, decoding one token at a time.
    pub const SINGLE_F16_CACHE: Self = Self { name: "single-f16-cache", f16_cache: true, ..Self::SINGLE };
    /// f16 activations whatever the weights are: llama.cpp's Vulkan backend on a whole prompt, whose matrix products are in f16
    /// (`mul_mm.comp`) in strict settings too.
    pub const HALF: Self = Self { name: "half", activations: Activations::Half, f16_cache: true, ..Self::SINGLE };

    /// Every rounding.
    pub const ALL: [Self; 7] = [
        Self::EXACT,
        Self::SINGLE,
        Self::CANDLE,
        Self::LLAMA_CPP_STRICT,
        Self::LLAMA_CPP_DEFAULT,
        Self::SINGLE_F16_CACHE,
        Self::HALF,
    ];

    /// The same with the output matrix multiplied on the CPU, as llama.cpp does where that matrix is too large for the device.
    #[must_use]
    pub fn with_output_on_cpu(self) -> Self {
        Self { cpu_output: true, ..self }
    }

    /// True where the output matrix is multiplied on the CPU although the rest is not.
    pub fn has_output_on_cpu(self) -> bool {
        self.cpu_output
    }

    /// True where GELU is looked up in a table of f16 by f16.
    pub fn has_table(self) -> bool {
        self.f16_gelu
    }

    /// The name, which is the device part of the subject's id: `reference@f64`, `reference@candle`.
    pub fn name(self) -> String {
        format!("{}{}", self.name, if self.cpu_output { CPU_OUTPUT } else { "" })
    }

    /// The rounding that the output matrix meets.
    pub(crate) fn of_output(self) -> Self {
        if self.cpu_output { Self::LLAMA_CPP_STRICT } else { self }
    }
}

impl Operations for Rounding {
    fn inputs(&self, weight_type: WeightType, row: &mut [f64]) {
        let format = match (self.activations, weight_type) {
            (Activations::Exact, _) => return,
            (Activations::Single, _) => Format::Single,
            (Activations::Half, _) => Format::Half,
            (Activations::ByWeightType { floats }, weight_type) if !weight_type.is_quantized() => match (floats, weight_type) {
                (Floats::Same, WeightType::F16) => Format::Half,
                (Floats::Same, WeightType::BF16) => Format::Brain,
                _ => Format::Single,
            },
            // Q8_1 rounds as Q8_0 does; it adds the sum of the codes. Blocks of 64 and 128 meet several blocks of Q8_0.
            (_, weight_type) if weight_type.block_len() < 256 => Format::Blocks32,
            _ => Format::Blocks256,
        };
        match format {
            Format::Single => each(row, |x| f64::from(x as f32)),
            Format::Half => each(row, |x| f16::from_f64(x).to_f64()),
            Format::Brain => each(row, |x| bf16::from_f64(x).to_f64()),
            Format::Blocks32 => row.chunks_mut(32).for_each(q8_0),
            Format::Blocks256 => row.chunks_mut(256).for_each(q8_k),
        }
    }

    // Every runtime holds these in f32.
    fn outputs(&self, row: &mut [f64]) {
        if self.activations != Activations::Exact {
            each(row, |x| f64::from(x as f32));
        }
    }

    fn cached(&self, row: &mut [f64]) {
        if self.f16_cache {
            each(row, |x| f16::from_f64(x).to_f64());
        }
    }

    fn angles(&self, rotary: &Rotary, frequencies: &[f64], position: usize) -> Vec<f64> {
        let mut plain = 1.0;
        let mut theta = position as f32;
        let ratio = rotary.base.powf(-1.0 / frequencies.len() as f64);
        let angle = |frequency: &f64| match self.angles {
            Angles::Exact => position as f64 * frequency,
            Angles::Product => f64::from(position as f32 * *frequency as f32),
            Angles::Recursion => {
                // What the pair's frequency is beyond the plain one comes on top.
                let angle = theta * (frequency / plain) as f32;
                theta *= ratio as f32;
                plain *= ratio;
                f64::from(angle)
            }
        };
        frequencies.iter().map(angle).collect()
    }

    /// GELU goes through the table where there is one: ggml's `ggml_vec_geglu_f32` uses it between -10 and 10.
    fn activate(&self, activation: Activation, x: f64) -> f64 {
        match (activation, x) {
            (Activation::GeluTanh, ..=-10.0) if self.f16_gelu => 0.0,
            (Activation::GeluTanh, 10.0..) if self.f16_gelu => x,
            (Activation::GeluTanh, _) if self.f16_gelu => f16::from_f64(activation.of(f16::from_f64(x).to_f64())).to_f64(),
            _ => activation.of(x),
        }
    }
}

impl FromStr for Rounding {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let (base, on_cpu) = name.strip_suffix(CPU_OUTPUT).map_or((name, false), |base| (base, true));
        let found = Self::ALL.into_iter().find(|rounding| rounding.name == base);
        found
            .map(|rounding| Self { cpu_output: on_cpu, ..rounding })
            .ok_or_else(|| format!("no such rounding: {name}; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

enum Format {
    Single,
    Half,
    Brain,
    Blocks32,
    Blocks256,
}

fn each(row: &mut [f64], round: impl Fn(f64) -> f64) {
    for x in row {
        *x = round(*x);
    }
}

/// ggml's `quantize_row_q8_0_ref` and back: codes from the unrounded scale, values from the scale rounded to f16.
fn q8_0(block: &mut [f64]) {
    let largest = block.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    if scale > 0.0 {
        let stored = f16::from_f64(scale).to_f64();
        each(block, |x| (x / scale).round() * stored);
    }
}

/// ggml's `quantize_row_q8_K_ref` and back: the largest value gets the code -127, the scale stays f32.
fn q8_k(block: &mut [f64]) {
    let largest = block.iter().fold(0.0f64, |largest, &x| if x.abs() > largest.abs() { x } else { largest });
    if largest != 0.0 {
        let scale = -largest / 127.0;
        let stored = f64::from(scale as f32);
        each(block, |x| (x / scale).round_ties_even().min(127.0) * stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_the_largest_and_round_the_rest() {
        let mut block: Vec<f64> = (0..32).map(|i| f64::from(i) / 31.0).collect();
        block[31] = -127.0;
        let exact = block.clone();
        q8_0(&mut block);
        assert_eq!(block[31], -127.0, "a scale of 1 is exact in f16");
        assert_eq!((block[3], block[20]), (0.0, 1.0));
        let mut block = exact;
        q8_k(&mut block);
        assert_eq!((block[31], block[3], block[20]), (-127.0, 0.0, 1.0));
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut block = [0.0; 256];
        q8_0(&mut block[..32]);
        q8_k(&mut block);
        assert_eq!(block, [0.0; 256]);
    }

    #[test]
    fn angles_are_near_the_truth_and_the_recursion_drifts() {
        let rotary = Rotary::plain(crate::operations::Pairs::Halves, 64, 10_000.0);
        let error = |rounding: Rounding| {
            let angles = rounding.angles(&rotary, &rotary.frequencies, 4001);
            let exact = Rounding::EXACT.angles(&rotary, &rotary.frequencies, 4001);
            assert_eq!(exact[3], 4001.0 * rotary.frequencies[3]);
            angles.iter().zip(&exact).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max)
        };
        let (product, recursion) = (error(Rounding::SINGLE), error(Rounding::LLAMA_CPP_STRICT));
        assert!(product > 0.0 && product < 2e-7, "{product}");
        assert!(recursion > product && recursion < 4e-6, "{recursion}");
    }

    #[test]
    fn exact_is_exact() {
        let row = [0.1, 1.0 / 3.0, 1e-40];
        let mut same = row;
        Rounding::EXACT.inputs(WeightType::Q4_0, &mut same);
        Rounding::EXACT.outputs(&mut same);
        Rounding::EXACT.cached(&mut same);
        assert_eq!(row, same);
        let gelu = Activation::GeluTanh;
        assert_eq!(Rounding::EXACT.activate(gelu, 0.3), gelu.of(0.3));
        assert_ne!(Rounding::LLAMA_CPP_STRICT.activate(gelu, 0.3), gelu.of(0.3));
        assert_eq!(Rounding::LLAMA_CPP_STRICT.activate(Activation::Silu, 0.3), Activation::Silu.of(0.3));
    }
}
