//! candle in this process, on bytes in memory: what fuzzers drive. Nothing here is a subject: there is no isolation, and a panic is the
//! caller's.

use crate::{header, models};
use candle_core::{
    Device, Module, Tensor,
    quantized::{GgmlDType, QMatMul, QStorage, QTensor, gguf_file::Content, tokenizer::TokenizerFromGguf},
};
use std::{io::Cursor, path::Path};
use vocabulary::{Contents, Reached, Refusal};

/// What candle's reader makes of a header in memory.
///
/// # Errors
/// Where it refuses it, or does not know what stands there.
pub fn read(bytes: &[u8]) -> Result<Contents, Refusal> {
    match Content::read(&mut Cursor::new(bytes)) {
        Ok(content) => Ok(header::contents(&content)),
        Err(error) => Err(header::refusal(&error, Refusal::read)),
    }
}

/// Loads the model in `bytes` and evaluates two tokens, one at a time. `path` is that of a file with the same bytes, for the one loader
/// of candle's that opens it itself.
pub fn load_and_evaluate(bytes: &[u8], path: &Path, tokens: [u32; 2]) -> Reached {
    let mut reader = Cursor::new(bytes);
    let Ok(content) = Content::read(&mut reader) else { return Reached::Nothing };
    let architecture = content.metadata.get("general.architecture").and_then(|value| value.to_string().ok()).cloned();
    let rows = content.tensor_infos.get("token_embd.weight").and_then(|info| info.shape.dims().first().copied());
    let Ok(mut model) = models::load(&architecture.unwrap_or_default(), content, &mut reader, path, &Device::Cpu) else {
        return Reached::Header;
    };
    let mut reached = Reached::Loaded;
    for ((position, token), after) in tokens.into_iter().enumerate().zip([Reached::OneToken, Reached::TwoTokens]) {
        let Some(size) = rows.filter(|&rows| rows > 0) else { break };
        let logits = Tensor::new(&[[token % size.min(u32::MAX as usize) as u32]], &Device::Cpu)
            .and_then(|ids| model.forward(&ids, position))
            .and_then(|logits| logits.flatten_all()?.to_vec1::<f32>());
        if logits.is_err() {
            break;
        }
        reached = after;
    }
    reached
}

/// candle's tokenizer for a vocabulary.
pub struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// The tokenizer of the vocabulary in `bytes`; `None` where candle has none for it.
    pub fn open(bytes: &[u8]) -> Option<Self> {
        let content = Content::read(&mut Cursor::new(bytes)).ok()?;
        tokenizers::Tokenizer::from_gguf(&content).ok().map(Self)
    }

    /// The tokens of a text, without special tokens around it; `None` where candle refuses.
    pub fn tokenize(&self, text: &str) -> Option<Vec<u32>> {
        Some(self.0.encode_fast(text, false).ok()?.get_ids().to_vec())
    }

    /// The text of tokens; `None` where candle refuses.
    pub fn detokenize(&self, tokens: &[u32]) -> Option<String> {
        self.0.decode(tokens, false).ok()
    }
}

fn dtype(type_id: u32) -> Option<GgmlDType> {
    Some(match type_id {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        9 => GgmlDType::Q8_1,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        15 => GgmlDType::Q8K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

fn tensor(type_id: u32, blocks: &[u8], shape: (usize, usize)) -> Option<QTensor> {
    let storage = QStorage::from_data(blocks.into(), &Device::Cpu, dtype(type_id)?).ok()?;
    QTensor::new(storage, shape).ok()
}

/// candle's own value of every element of whole blocks; `None` for types that it does not have.
pub fn decode(type_id: u32, blocks: &[u8], elements: usize) -> Option<Vec<f32>> {
    tensor(type_id, blocks, (1, elements))?.dequantize(&Device::Cpu).ok()?.flatten_all().ok()?.to_vec1().ok()
}

/// candle's product of a row of whole blocks with activations; `None` for types that it does not multiply with.
pub fn dot(type_id: u32, row: &[u8], activations: &[f32]) -> Option<f32> {
    let matrix = tensor(type_id, row, (1, activations.len()))?;
    let activations = Tensor::from_slice(activations, (1, activations.len()), &Device::Cpu).ok()?;
    let product = QMatMul::from_qtensor(matrix).ok()?.forward(&activations).ok()?;
    product.flatten_all().ok()?.to_vec1::<f32>().ok()?.first().copied()
}
