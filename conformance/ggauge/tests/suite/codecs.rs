//! The block codecs against ggml's own and candle's dequantisation, bit for bit, over random blocks.
//!
//! `Q8_1` and `Q8_K` are formats of activations: neither runtime has a public way to decode them, and `gguf` tests them by hand.

use candle_core::{
    Device,
    quantized::{GgmlDType, ggml_file::qtensor_from_ggml},
};
use gguf::{WeightType, codec};
use rstest::rstest;

/// Blocks a test: enough for every code in every place, and for f16 scales of every kind, NaN and infinity among them.
const BLOCKS: usize = 4096;

/// A fixed stream of bytes (xorshift64*), the same everywhere.
fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn ours(weight_type: WeightType, blocks: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; BLOCKS * weight_type.block_len()];
    codec::decode(weight_type, blocks, &mut out).unwrap();
    out
}

fn ggmls(weight_type: WeightType, blocks: &[u8]) -> Option<Vec<f32>> {
    let mut out = vec![0.0f32; BLOCKS * weight_type.block_len()];
    // SAFETY: the id is one of ggml's, and input and output hold exactly `out.len()` elements of that type.
    unsafe {
        let traits = llama_cpp_sys_2::ggml_get_type_traits(weight_type.id() as llama_cpp_sys_2::ggml_type);
        let decode = (*traits).to_float?;
        decode(blocks.as_ptr().cast(), out.as_mut_ptr(), out.len() as i64);
    }
    Some(out)
}

fn candles(weight_type: WeightType, blocks: &[u8]) -> Option<Vec<f32>> {
    let dtype = match weight_type {
        WeightType::Q4_0 => GgmlDType::Q4_0,
        WeightType::Q4_1 => GgmlDType::Q4_1,
        WeightType::Q5_0 => GgmlDType::Q5_0,
        WeightType::Q5_1 => GgmlDType::Q5_1,
        WeightType::Q8_0 => GgmlDType::Q8_0,
        WeightType::Q2_K => GgmlDType::Q2K,
        WeightType::Q3_K => GgmlDType::Q3K,
        WeightType::Q4_K => GgmlDType::Q4K,
        WeightType::Q5_K => GgmlDType::Q5K,
        WeightType::Q6_K => GgmlDType::Q6K,
        // candle has no public way from raw blocks of the others.
        _ => return None,
    };
    let tensor = qtensor_from_ggml(dtype, blocks, vec![BLOCKS, weight_type.block_len()], &Device::Cpu).unwrap();
    Some(tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap())
}

fn assert_same_bits(weight_type: WeightType, whose: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        // Which NaN it is has no meaning.
        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(same, "{weight_type} element {index}: ours is {a:e}, {whose} is {b:e}");
    }
}

#[rstest]
#[case(WeightType::F16)]
#[case(WeightType::BF16)]
#[case(WeightType::Q4_0)]
#[case(WeightType::Q4_1)]
#[case(WeightType::Q5_0)]
#[case(WeightType::Q5_1)]
#[case(WeightType::Q8_0)]
#[case(WeightType::Q2_K)]
#[case(WeightType::Q3_K)]
#[case(WeightType::Q4_K)]
#[case(WeightType::Q5_K)]
#[case(WeightType::Q6_K)]
fn blocks_decode_to_the_same_bits(#[case] weight_type: WeightType) {
    let blocks = bytes(BLOCKS * weight_type.block_bytes());
    let ours = ours(weight_type, &blocks);
    let ggmls = ggmls(weight_type, &blocks).expect("ggml decodes every weight type");
    assert_same_bits(weight_type, "ggml's", &ours, &ggmls);
    let candles = candles(weight_type, &blocks);
    assert_eq!(candles.is_some(), weight_type.is_quantized(), "{weight_type}");
    if let Some(candles) = candles {
        assert_same_bits(weight_type, "candle's", &ours, &candles);
    }
}
