//! The block codecs against ggml's own and candle's dequantisation, bit for bit: over random blocks, and over blocks made of
//! scales and codes at the ends of their ranges.
//!
//! ggml decodes neither `Q8_1` and `Q8_K`, which are formats of activations, nor F32, F64 and the integers; `gguf` tests by
//! hand those that candle does not decode either.

use candle_core::{
    Device,
    quantized::{GgmlDType, QStorage, QTensor},
};
use gguf::{WeightType, codec};
use rstest::rstest;
use std::ffi::CStr;

/// Random blocks a test: enough for every code in every place, and for f16 scales of every kind, NaN and infinity among them.
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

/// Where a block has its outermost scales (and minima), and in what form.
enum Scales {
    /// f16 at each of these bytes.
    Halves(&'static [usize]),
    /// f16 in four pieces, in the highest four bits of the 16-bit words from byte 48.
    Pieces,
    /// This many scales of 8 bits, at the beginning.
    Bytes(usize),
    /// f32 at the beginning, which may be all there is.
    Single,
    /// None: the block is a number of 16 bits.
    Number,
}

fn scales(weight_type: WeightType) -> Scales {
    match weight_type {
        WeightType::F16 | WeightType::BF16 => Scales::Number,
        WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4_K | WeightType::Q5_K => Scales::Halves(&[0, 2]),
        WeightType::Q2_K => Scales::Halves(&[80, 82]),
        WeightType::Q3_K => Scales::Halves(&[108]),
        WeightType::Q6_K => Scales::Halves(&[208]),
        WeightType::F32 | WeightType::Q8_K => Scales::Single,
        WeightType::TQ1_0 => Scales::Halves(&[52]),
        WeightType::TQ2_0 => Scales::Halves(&[64]),
        WeightType::IQ1_M => Scales::Pieces,
        WeightType::MXFP4 => Scales::Bytes(1),
        WeightType::NVFP4 => Scales::Bytes(4),
        _ => Scales::Halves(&[0]),
    }
}

/// Zero, the smallest and the largest subnormal, the smallest normal, one, the largest number, infinity, a quiet and a
/// signalling NaN.
const HALVES: [u16; 9] = [0x0000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x7bff, 0x7c00, 0x7e00, 0x7c01];
/// The same in f32.
const SINGLES: [u32; 9] = [0, 1, 0x007f_ffff, 0x0080_0000, 0x3f80_0000, 0x7f7f_ffff, 0x7f80_0000, 0x7fc0_0000, 0x7f80_0001];

/// Blocks that are the same byte again and again, but for the scales: every combination of `HALVES` of either sign, or every
/// value of a scale of 8 bits. Where the block is a number, the byte is the low one, and the high one takes every value.
fn edges(weight_type: WeightType, fill: u8) -> Vec<u8> {
    let halves = || HALVES.into_iter().flat_map(|half| [half, half | 0x8000]).map(u16::to_le_bytes);
    let mut out = Vec::new();
    let mut put = |fields: &[(usize, &[u8])]| {
        let mut block = vec![fill; weight_type.block_bytes()];
        for &(at, bytes) in fields {
            block[at..at + bytes.len()].copy_from_slice(bytes);
        }
        out.extend(block);
    };
    match scales(weight_type) {
        Scales::Halves(&[at]) => halves().for_each(|d| put(&[(at, &d)])),
        Scales::Halves(&[at, and]) => halves().for_each(|d| halves().for_each(|m| put(&[(at, &d), (and, &m)]))),
        Scales::Halves(_) => unreachable!("one scale, or a scale and a minimum"),
        Scales::Pieces => halves().for_each(|[low, high]| {
            let piece = |bits: u8| [(bits << 4) | (fill & 0xf)];
            put(&[(49, &piece(low)), (51, &piece(low >> 4)), (53, &piece(high)), (55, &piece(high >> 4))]);
        }),
        Scales::Bytes(count) => (0..=u8::MAX).for_each(|scale| put(&[(0, &vec![scale; count])])),
        Scales::Single => SINGLES.iter().flat_map(|&d| [d, d | (1 << 31)]).for_each(|d| put(&[(0, &d.to_le_bytes())])),
        Scales::Number => (0..=u8::MAX).for_each(|high| put(&[(1, &[high])])),
    }
    out
}

/// What every type is tested with: random blocks, and edges around every byte.
fn tests(weight_type: WeightType) -> impl Iterator<Item = Vec<u8>> {
    let random = bytes(BLOCKS * weight_type.block_bytes());
    std::iter::once(random).chain((0..=u8::MAX).map(move |fill| edges(weight_type, fill)))
}

fn elements(weight_type: WeightType, blocks: &[u8]) -> usize {
    blocks.len() / weight_type.block_bytes() * weight_type.block_len()
}

fn ours(weight_type: WeightType, blocks: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; elements(weight_type, blocks)];
    codec::decode(weight_type, blocks, &mut out).unwrap();
    out
}

fn traits(id: u32) -> &'static llama_cpp_sys_2::ggml_type_traits {
    assert!(id < llama_cpp_sys_2::GGML_TYPE_COUNT);
    // SAFETY: ggml has a static table of `GGML_TYPE_COUNT` entries.
    unsafe { &*llama_cpp_sys_2::ggml_get_type_traits(id as llama_cpp_sys_2::ggml_type) }
}

fn ggmls(weight_type: WeightType, blocks: &[u8]) -> Option<Vec<f32>> {
    let decode = traits(weight_type.id()).to_float?;
    let mut out = vec![0.0f32; elements(weight_type, blocks)];
    // SAFETY: input and output hold exactly `out.len()` elements of the type that `decode` is for.
    unsafe { decode(blocks.as_ptr().cast(), out.as_mut_ptr(), out.len() as i64) };
    Some(out)
}

fn candles(weight_type: WeightType, blocks: &[u8]) -> Option<Vec<f32>> {
    let dtype = match weight_type {
        WeightType::F32 => GgmlDType::F32,
        WeightType::F16 => GgmlDType::F16,
        WeightType::BF16 => GgmlDType::BF16,
        WeightType::Q4_0 => GgmlDType::Q4_0,
        WeightType::Q4_1 => GgmlDType::Q4_1,
        WeightType::Q5_0 => GgmlDType::Q5_0,
        WeightType::Q5_1 => GgmlDType::Q5_1,
        WeightType::Q8_0 => GgmlDType::Q8_0,
        WeightType::Q8_1 => GgmlDType::Q8_1,
        WeightType::Q2_K => GgmlDType::Q2K,
        WeightType::Q3_K => GgmlDType::Q3K,
        WeightType::Q4_K => GgmlDType::Q4K,
        WeightType::Q5_K => GgmlDType::Q5K,
        WeightType::Q6_K => GgmlDType::Q6K,
        WeightType::Q8_K => GgmlDType::Q8K,
        // candle has no other types.
        _ => return None,
    };
    let storage = QStorage::from_data(blocks.into(), &Device::Cpu, dtype).unwrap();
    let tensor = QTensor::new(storage, elements(weight_type, blocks)).unwrap();
    Some(tensor.dequantize(&Device::Cpu).unwrap().to_vec1().unwrap())
}

fn assert_same_bits(weight_type: WeightType, whose: &str, blocks: &[u8], theirs: &[f32]) {
    let ours = ours(weight_type, blocks);
    assert_eq!(ours.len(), theirs.len());
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        // Which NaN it is has no meaning: we quiet the signalling ones of BF16, and ggml does not.
        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        let block = || &blocks[index / weight_type.block_len() * weight_type.block_bytes()..][..weight_type.block_bytes()];
        let element = index % weight_type.block_len();
        assert!(same, "{weight_type} element {element}: ours is {a:e}, {whose} is {b:e}, in block {:02x?}", block());
    }
}

#[rstest]
#[case(WeightType::F16)]
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
#[case(WeightType::IQ2_XXS)]
#[case(WeightType::IQ2_XS)]
#[case(WeightType::IQ3_XXS)]
#[case(WeightType::IQ1_S)]
#[case(WeightType::IQ4_NL)]
#[case(WeightType::IQ3_S)]
#[case(WeightType::IQ2_S)]
#[case(WeightType::IQ4_XS)]
#[case(WeightType::IQ1_M)]
#[case(WeightType::BF16)]
#[case(WeightType::TQ1_0)]
#[case(WeightType::TQ2_0)]
#[case(WeightType::MXFP4)]
#[case(WeightType::NVFP4)]
#[case(WeightType::Q1_0)]
#[case(WeightType::Q2_0)]
fn blocks_decode_to_the_same_bits(#[case] weight_type: WeightType) {
    for blocks in tests(weight_type) {
        let ggmls = ggmls(weight_type, &blocks).expect("ggml decodes this type");
        assert_same_bits(weight_type, "ggml's", &blocks, &ggmls);
        if let Some(candles) = candles(weight_type, &blocks) {
            assert_same_bits(weight_type, "candle's", &blocks, &candles);
        }
    }
}

#[rstest]
#[case(WeightType::F32)]
#[case(WeightType::Q8_1)]
#[case(WeightType::Q8_K)]
fn what_only_candle_decodes_has_the_same_bits(#[case] weight_type: WeightType) {
    assert!(traits(weight_type.id()).to_float.is_none());
    for blocks in tests(weight_type) {
        let candles = candles(weight_type, &blocks).expect("candle decodes this type");
        assert_same_bits(weight_type, "candle's", &blocks, &candles);
    }
}

#[test]
fn the_table_of_types_is_ggmls() {
    for id in 0..llama_cpp_sys_2::GGML_TYPE_COUNT {
        let theirs = traits(id);
        let Some(weight_type) = WeightType::from_id(id) else {
            assert_eq!(theirs.blck_size, 0, "type {id} is one that ggml no longer has");
            continue;
        };
        // SAFETY: the name of an entry is a string constant.
        let name = unsafe { CStr::from_ptr(theirs.type_name) }.to_str().unwrap();
        assert_eq!(weight_type.name(), name.to_lowercase());
        assert_eq!(weight_type.block_len() as i64, theirs.blck_size, "{weight_type}");
        assert_eq!(weight_type.block_bytes(), theirs.type_size, "{weight_type}");
        assert_eq!(weight_type.is_quantized(), theirs.is_quantized, "{weight_type}");
    }
    assert!(WeightType::ALL.iter().all(|known| known.id() < llama_cpp_sys_2::GGML_TYPE_COUNT));
}
