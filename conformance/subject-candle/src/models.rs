//! Every architecture that candle-transformers loads from GGUF. To add one, add its arm to [`load`] and its line to the list of
//! [`Model`] implementations.

use crate::classify;
use candle_core::{DType, Device, Result, Tensor, quantized::gguf_file::Content};
use candle_transformers::models::{
    quantized_gemma3 as gemma3, quantized_glm4 as glm4, quantized_lfm2 as lfm2, quantized_llama as llama,
    quantized_phi as phi2, quantized_phi3 as phi3, quantized_qwen2 as qwen2, quantized_qwen3 as qwen3,
    quantized_qwen3_moe as qwen3moe, smol::quantized_smollm3 as smollm3,
};
use std::{
    io::{Read, Seek},
    path::Path,
};
use vocabulary::Refusal;

/// How a model came to forget its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// It has forgotten, or will at the next call at position 0.
    Done,
    /// candle has no public way: only a fresh load forgets.
    NeedsReload,
}

/// What candle's models have in common, which candle has no trait for.
pub(crate) trait Model {
    /// Logits of the last of `tokens`, a row of ids of which the first is at position `first`.
    fn forward(&mut self, tokens: &Tensor, first: usize) -> Result<Tensor>;
    /// Forgets the prompt.
    fn reset(&mut self) -> Reset;
}

macro_rules! models {
    ($($model:ty, |$it:ident| $reset:expr;)*) => {$(
        impl Model for $model {
            fn forward(&mut self, tokens: &Tensor, first: usize) -> Result<Tensor> {
                self.forward(tokens, first)
            }
            fn reset(&mut self) -> Reset {
                let $it = self;
                $reset
            }
        }
    )*};
}

/// These start over by themselves when a call begins at position 0.
fn at_position_zero<T>(_: &mut T) -> Reset {
    Reset::Done
}

/// The convolution state of lfm2 and the caches of qwen3moe are private.
fn private<T>(_: &mut T) -> Reset {
    Reset::NeedsReload
}

models! {
    llama::ModelWeights, |model| at_position_zero(model);
    qwen2::ModelWeights, |model| at_position_zero(model);
    qwen3::ModelWeights, |model| { model.clear_kv_cache(); Reset::Done };
    smollm3::QuantizedModelForCausalLM, |model| { model.clear_kv_cache(); Reset::Done };
    gemma3::ModelWeights, |model| at_position_zero(model);
    phi2::ModelWeights, |model| at_position_zero(model);
    phi3::ModelWeights, |model| at_position_zero(model);
    glm4::ModelWeights, |model| at_position_zero(model);
    lfm2::ModelWeights, |model| private(model);
    qwen3moe::GGUFQWenMoE, |model| private(model);
}

/// The architectures [`load`] knows.
pub(crate) const KNOWN: [&str; 10] =
    ["gemma3", "glm4", "lfm2", "llama", "phi2", "phi3", "qwen2", "qwen3", "qwen3moe", "smollm3"];

/// Loads the model of a file whose header is `content`. The path is for the one loader that wants to open the file itself.
///
/// # Errors
/// [`Refusal::Unsupported`] for an architecture that candle does not load from GGUF; a rejection for what it will not load.
pub(crate) fn load<R: Read + Seek>(
    architecture: &str,
    content: Content,
    file: &mut R,
    path: &Path,
    device: &Device,
) -> std::result::Result<Box<dyn Model>, Refusal> {
    fn boxed<M: Model + 'static>(model: Result<M>) -> Result<Box<dyn Model>> {
        model.map(|model| Box::new(model) as Box<dyn Model>)
    }
    let model = match architecture {
        "llama" => boxed(llama::ModelWeights::from_gguf(content, file, device)),
        "qwen2" => boxed(qwen2::ModelWeights::from_gguf(content, file, device)),
        "qwen3" => boxed(qwen3::ModelWeights::from_gguf(content, file, device)),
        "qwen3moe" => {
            // The CUDA kernel for experts takes half precision only.
            let dtype = if device.is_cuda() { DType::BF16 } else { DType::F32 };
            boxed(qwen3moe::GGUFQWenMoE::from_gguf(content, file, device, dtype))
        }
        "gemma3" => boxed(gemma3::ModelWeights::from_gguf(content, file, device)),
        "phi2" => boxed(phi2::ModelWeights::from_gguf(content, file, device)),
        "phi3" => boxed(phi3::ModelWeights::from_gguf(false, content, file, device)),
        "glm4" => boxed(glm4::ModelWeights::from_gguf(content, file, device, DType::F32)),
        "lfm2" => boxed(lfm2::ModelWeights::from_gguf(content, file, device)),
        "smollm3" => boxed(smollm3::QuantizedModelForCausalLM::from_gguf(path, device, false)),
        other => {
            let known = KNOWN.join(", ");
            return Err(Refusal::Unsupported(format!(
                "candle does not load architecture `{other}` from GGUF; it loads {known}"
            )));
        }
    };
    model.map_err(|error| classify(&error))
}
