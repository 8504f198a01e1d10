//! Blocks of codes: our exact value of every element against ggml's and candle's, bit for bit, and both runtimes' dot products against
//! exact ones.

use crate::{generators::blocks::CodecRow, known, statistics};
use gguf::{WeightType, codec};
use half::f16;

/// Decodes and multiplies a row.
///
/// # Panics
/// Where a value or a product is wrong, and that is no filed finding.
pub fn check(row: &CodecRow) {
    let CodecRow { weight_type, ref blocks, ref activations } = *row;
    let mut ours = vec![0.0; activations.len()];
    let decoded = codec::decode(weight_type, blocks, &mut ours);
    assert!(decoded.is_ok(), "our codec refuses whole blocks of {weight_type}");
    statistics::count("decoded");
    for theirs in decoders(weight_type, blocks, ours.len()) {
        compare(weight_type, blocks, &ours, &theirs);
    }
    if let Some(reach) = reach(weight_type, blocks) {
        statistics::count("multiplied");
        multiply(weight_type, blocks, &ours, activations, reach);
    }
}

/// Somebody's values of a row.
struct Decoded {
    whose: &'static str,
    values: Vec<f32>,
}

fn decoders(weight_type: WeightType, row: &[u8], elements: usize) -> Vec<Decoded> {
    let mut all: Vec<Decoded> = Vec::new();
    #[cfg(feature = "llama-cpp")]
    {
        subject_llama_cpp::probe::listen(known::is_known, known::passing_over());
        all.extend(
            subject_llama_cpp::probe::decode(weight_type.id(), row, elements).map(|values| Decoded { whose: "ggml", values }),
        );
    }
    #[cfg(feature = "candle")]
    all.extend(
        known::guard(|| subject_candle::probe::decode(weight_type.id(), row, elements))
            .flatten()
            .map(|values| Decoded { whose: "candle", values }),
    );
    all
}

fn compare(weight_type: WeightType, row: &[u8], ours: &[f32], theirs: &Decoded) {
    for (index, (a, b)) in ours.iter().zip(&theirs.values).enumerate() {
        // Which NaN it is has no meaning.
        if a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()) {
            let block = index / weight_type.block_len();
            let bytes = row.chunks(weight_type.block_bytes()).nth(block).unwrap_or_default();
            let element = index % weight_type.block_len();
            known::report(&format!(
                "{weight_type} element {element} is {a:e} to us and {b:e} to {}, in block {bytes:02x?}",
                theirs.whose
            ));
            return;
        }
    }
}

/// The largest number that a code of a block can stand for, given its f16 scales, where they are of a size that models have: what the
/// rounding of a product is in proportion to. `None` for types without such scales, and for scales that are none.
fn reach(weight_type: WeightType, row: &[u8]) -> Option<f64> {
    // Where the scale and the minimum are, and the largest codes (with their inner scale) that multiply them.
    let (fields, codes): (&[usize], f64) = match weight_type {
        WeightType::Q4_0 => (&[0], 8.0),
        WeightType::Q5_0 => (&[0], 16.0),
        WeightType::Q8_0 => (&[0], 128.0),
        WeightType::Q4_1 => (&[0, 2], 15.0),
        WeightType::Q5_1 => (&[0, 2], 31.0),
        WeightType::Q2_K => (&[80, 82], 45.0),
        WeightType::Q3_K => (&[108], 128.0),
        WeightType::Q4_K => (&[0, 2], 945.0),
        WeightType::Q5_K => (&[0, 2], 1953.0),
        WeightType::Q6_K => (&[208], 4096.0),
        WeightType::IQ4_NL => (&[0], 127.0),
        WeightType::IQ4_XS => (&[0], 4064.0),
        _ => return None,
    };
    let mut reach = 0.0f64;
    for block in row.chunks_exact(weight_type.block_bytes()) {
        for &at in fields {
            let bytes = block.get(at..at + 2)?.try_into().ok()?;
            let scale = f64::from(f16::from_le_bytes(bytes).to_f32()).abs();
            // Subnormal and huge scales are for the values above; as products they overflow what activations are rounded to.
            if !(scale == 0.0 || (1e-3..1e3).contains(&scale)) {
                return None;
            }
            reach = reach.max(scale * codes);
        }
    }
    (reach > 0.0).then_some(reach)
}

/// Holds the runtimes' products against the exact one: of the activations as the runtime rounds them where it tells, and within what
/// rounding to 8 bits can do where it does not.
fn multiply(weight_type: WeightType, row: &[u8], weights: &[f32], activations: &[f32], reach: f64) {
    // Sums of f32, in any order.
    const SINGLE: f64 = 1e-5;
    // Q8_1 keeps the sum of a block's activations as an f16.
    const HALF_SUM: f64 = 1e-3;
    let exact =
        |activations: &[f32]| -> f64 { weights.iter().zip(activations).map(|(w, a)| f64::from(*w) * f64::from(*a)).sum() };
    let sum = |activations: &[f32]| -> f64 { activations.iter().map(|a| f64::from(a.abs())).sum() };
    let of_half_sum = matches!(weight_type, WeightType::Q4_1 | WeightType::Q5_1);
    let factor = if of_half_sum { HALF_SUM } else { SINGLE };
    let check = |whose: &str, product: f32, truth: f64, limit: f64| {
        // Written so that a NaN is outside.
        let within = (f64::from(product) - truth).abs() <= limit;
        if !within {
            known::report(&format!(
                "{whose}'s dot product of {weight_type} is {product:e}, and {truth:e} within {limit:e} in exact numbers"
            ));
        }
    };
    #[cfg(feature = "llama-cpp")]
    if let Some(dot) = subject_llama_cpp::probe::dot(weight_type.id(), row, activations)
        && let Some(activation_type) = WeightType::from_id(dot.activation_type)
    {
        let mut rounded = vec![0.0; activations.len()];
        if codec::decode(activation_type, &dot.activations, &mut rounded).is_ok() {
            check("ggml", dot.product, exact(&rounded), factor * reach * sum(&rounded));
        }
    }
    #[cfg(feature = "candle")]
    if let Some(product) = known::guard(|| subject_candle::probe::dot(weight_type.id(), row, activations)).flatten() {
        // Half a step of the largest activation in 127, with a margin for the scale's own rounding.
        let weight_sum: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
        let step = activations.iter().fold(0.0f64, |most, a| most.max(f64::from(a.abs()))) / 127.0;
        let limit = 0.52 * step * weight_sum + factor * reach * sum(activations);
        check("candle", product, exact(activations), limit);
    }
}
