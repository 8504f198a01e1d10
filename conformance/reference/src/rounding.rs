//! How runtimes round activations, as a modification of the exact pass.
//!
//! A runtime does not multiply a quantised matrix with f32 activations: it rounds these to 8-bit blocks first, to the block
//! format that goes with the weight type. That is most of what two correct runtimes differ by. Rounding the reference's
//! activations the same way, and nothing else, says how large that difference is for one model and one prompt.
//!
//! Formats and which weight type takes which: `vec_dot_type` in ggml's `ggml-cpu.c`, the same in candle's `k_quants.rs`.

use crate::{
    Addition, Rows,
    operations::{Activation, Norm, Operations, Rotary, softmax},
};
use gguf::WeightType;
use half::{bf16, f16};
use std::str::FromStr;

/// Which roundings to apply. [`Rounding::EXACT`] is the truth; the others are named after the subject they imitate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rounding of its own, in any combination")]
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
    /// Values are added up with weights of f16 and divided by the sum of the weights as they were before.
    f16_weights: bool,
    /// Products are added up in f32, one term after the other.
    single_sums: bool,
}

/// What flash attention adds to the largest score before it takes exponentials: `FATTN_KQ_MAX_OFFSET` of llama.cpp's
/// `flash_attn_base.glsl`.
#[expect(clippy::approx_constant, reason = "these four digits stand there")]
const FLASH_OFFSET: f64 = 3.0 * 0.6931;

/// Suffix of the name of a rounding whose output matrix is on the CPU.
const CPU_OUTPUT: &str = "-cpu-output";
/// Suffix of the name of a rounding with sums in f32.
const SINGLE_SUMS: &str = "-single-sums";

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
        f16_weights: false,
        single_sums: false,
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

    /// The weights of attention in f16, and nothing else: the [floor](Rounding::floor) of what llama.cpp's Vulkan backend does by default.
    pub const HALF_WEIGHTS: Self = Self { name: "half-weights", f16_weights: true, ..Self::EXACT };

    /// Every rounding.
    pub const ALL: [Self; 8] = [
        Self::EXACT,
        Self::SINGLE,
        Self::CANDLE,
        Self::LLAMA_CPP_STRICT,
        Self::LLAMA_CPP_DEFAULT,
        Self::SINGLE_F16_CACHE,
        Self::HALF,
        Self::HALF_WEIGHTS,
    ];

    /// What an implementation may do beyond this rounding, alone: how far that moves the reference is noise that no correct one need stay
    /// below, also on prompts that leave this rounding next to nothing to move. `None` where nothing more than the last bits of f32 is
    /// open, which every rounding has itself: what comes out of a step is rounded to them.
    ///
    /// llama.cpp's flash attention on Vulkan (`flash_attn.comp`) takes `P = f16(exp(score - largest - 3 * 0.6931))`, adds up `P * V` in
    /// f16 and `P` in f32, and divides one by the other. Whether the `P` that is widened to f32 for its sum is the one that was rounded is
    /// up to the driver's compiler: lavapipe of Mesa 22.3 rounds it, that of 25.0 makes `f32(f16(x))` the `x` it was. Where
    /// both are rounded, the error of a lone position divides out; where one is, each head's output is off by that of its `P`. Of a lone
    /// position `exp(-3 * 0.6931)` is 0.1250177 and its f16 0.125: 1.4e-4 less in every layer, always the same way. A cache of f16 moves
    /// values by as much, but each its own way.
    pub fn floor(self) -> Option<Self> {
        (self.name == Self::SINGLE_F16_CACHE.name).then_some(Self::HALF_WEIGHTS)
    }

    /// The same with the output matrix multiplied on the CPU, as llama.cpp does where that matrix is too large for the device.
    #[must_use]
    pub fn with_output_on_cpu(self) -> Self {
        Self { cpu_output: true, ..self }
    }

    /// True where the output matrix is multiplied on the CPU although the rest is not.
    pub fn has_output_on_cpu(self) -> bool {
        self.cpu_output
    }

    /// The same with every product added up in f32, one term after the other, and every step on single elements rounded to f32. Of all orders in which a
    /// runtime may add, that one carries the last bits of long sums furthest. Where nothing coarser is rounded, as with weights of f32, this bounds what a correct runtime is off by, whatever
    /// its compiler, its driver or the number of its threads; without it a rounding says what f32 does to each step and nothing of its sums.
    #[must_use]
    pub fn with_single_sums(self) -> Self {
        Self { single_sums: true, ..self }
    }

    /// True where every product is added up in f32, one term after the other.
    pub fn has_single_sums(self) -> bool {
        self.single_sums
    }

    /// True where GELU is looked up in a table of f16 by f16.
    pub fn has_table(self) -> bool {
        self.f16_gelu
    }

    /// The name, which is the device part of the subject's id: `reference@f64`, `reference@candle`.
    pub fn name(self) -> String {
        let suffix = |has: bool, suffix: &'static str| if has { suffix } else { "" };
        [self.name, suffix(self.single_sums, SINGLE_SUMS), suffix(self.cpu_output, CPU_OUTPUT)].concat()
    }

    /// The rounding that the output matrix meets.
    #[must_use]
    pub fn of_output(self) -> Self {
        if self.cpu_output { Self { single_sums: self.single_sums, ..Self::LLAMA_CPP_STRICT } } else { self }
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

    fn steps(&self, row: &mut [f64]) {
        if self.single_sums {
            each(row, |x| f64::from(x as f32));
        }
    }

    fn sines(&self, angle: f64) -> (f64, f64) {
        let mut sines: [f64; 2] = angle.sin_cos().into();
        self.steps(&mut sines);
        sines.into()
    }

    fn norm(&self, norm: &Norm, rows: &mut Rows) {
        if self.single_sums {
            norm.apply_in_single(rows);
        } else {
            norm.apply(rows);
        }
        rows.iter_mut().for_each(|row| self.outputs(row));
    }

    fn addition(&self) -> Addition {
        if self.single_sums { Addition::Single } else { Addition::Exact }
    }

    fn cached(&self, row: &mut [f64]) {
        if self.f16_cache {
            each(row, |x| f16::from_f64(x).to_f64());
        }
    }

    fn weigh(&self, scores: &mut [f64]) {
        self.outputs(scores);
        if self.f16_weights {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            each(scores, |score| (score - largest - FLASH_OFFSET).exp());
            let total: f64 = scores.iter().sum();
            each(scores, |weight| f16::from_f64(weight).to_f64() / total);
        } else {
            softmax(scores);
        }
        self.outputs(scores);
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
        let without =
            |name: &'_ str, suffix| name.strip_suffix(suffix).map_or((name.to_owned(), false), |base| (base.into(), true));
        let (base, cpu_output) = without(name, CPU_OUTPUT);
        let (base, single_sums) = without(&base, SINGLE_SUMS);
        let found = Self::ALL.into_iter().find(|rounding| rounding.name == base);
        found
            .map(|rounding| Self { cpu_output, single_sums, ..rounding })
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
    fn weights_of_f16_are_over_the_sum_of_what_they_were() {
        // Of a single position: the f16 next to exp(-3 * 0.6931) is 0.125.
        let mut single = [700.0];
        Rounding::HALF_WEIGHTS.weigh(&mut single);
        assert_eq!(single, [0.125 / (-2.0793f64).exp()]);
        assert!((single[0] - 1.0 + 1.4153e-4).abs() < 1e-8, "{single:?}");
        // Of many, each is off by less than the half of f16's last bit, and the rest by nothing.
        let scores: Vec<f64> = (0..100).map(|i| (f64::from(i) * 0.7).sin() * 3.0).collect();
        let weights = |rounding: Rounding| {
            let mut weights = scores.clone();
            rounding.weigh(&mut weights);
            weights
        };
        let (exact, rounded) = (weights(Rounding::EXACT), weights(Rounding::HALF_WEIGHTS));
        let error = exact.iter().zip(&rounded).map(|(exact, rounded)| (rounded / exact - 1.0).abs()).fold(0.0, f64::max);
        assert!(error > 1e-4 && error <= 2f64.powi(-11), "{error}");
        assert!((exact.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // The cache's rounding has no part in it, and the other way round.
        assert_eq!(weights(Rounding::SINGLE_F16_CACHE), weights(Rounding::SINGLE));
    }

    #[test]
    fn only_a_rounding_that_leaves_something_open_has_a_floor() {
        let with_floor: Vec<_> = Rounding::ALL.into_iter().filter(|rounding| rounding.floor().is_some()).collect();
        assert_eq!(with_floor, [Rounding::SINGLE_F16_CACHE]);
        assert_eq!(Rounding::SINGLE_F16_CACHE.with_output_on_cpu().floor(), Some(Rounding::HALF_WEIGHTS));
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
