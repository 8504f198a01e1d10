//! Rows of weights in blocks of every type, with activations to multiply them with.

use gguf::WeightType;

/// Elements of a row: whole blocks of every type.
const ROW: usize = 256;

/// A row of weights, and activations.
#[derive(Debug, Clone, PartialEq)]
pub struct CodecRow {
    /// The weights' type.
    pub weight_type: WeightType,
    /// Whole blocks.
    pub blocks: Vec<u8>,
    /// One for each weight, between -1 and 1.
    pub activations: Vec<f32>,
}

impl CodecRow {
    /// The row that an input stands for: the id of a type, the bytes of its blocks, then activations. What is missing of the blocks counts as
    /// zeros. `None` for no input.
    pub fn draw(input: &[u8]) -> Option<Self> {
        let (&number, rest) = input.split_first()?;
        let &weight_type = WeightType::ALL.get(usize::from(number) % WeightType::ALL.len())?;
        let count = ROW.div_ceil(weight_type.block_len());
        let mut blocks = rest.to_vec();
        blocks.resize(count * weight_type.block_bytes(), 0);
        let activations = activations(rest.get(blocks.len()..).unwrap_or(&[]), count * weight_type.block_len());
        Some(Self { weight_type, blocks, activations })
    }
}

/// Activations between -1 and 1, from bytes where there are some and a fixed stream where they end.
fn activations(bytes: &[u8], len: usize) -> Vec<f32> {
    let value = |at: usize| match bytes.get(at) {
        Some(&byte) => f32::from(byte as i8) / 127.0,
        None => ((at * 37 + 11) % 101) as f32 / 50.0 - 1.0,
    };
    (0..len).map(value).collect()
}
