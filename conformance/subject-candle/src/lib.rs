//! The thin layer over candle: `candle@cpu`, `candle@cudaN`, `candle@metal`.
//!
//! Every architecture that candle-transformers loads from GGUF is in `models.rs`. candle's quantised models give the logits of the
//! last position of each call and no other. An upstream change touches this crate and no other.
#![forbid(unsafe_code)]

mod header;
mod models;
#[cfg(feature = "probe")]
pub mod probe;

use candle_core::{Device, Tensor, quantized::tokenizer::TokenizerFromGguf, utils};
use models::{Model, Reset};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};
use tokenizers::Tokenizer;
use vocabulary::{
    Contents, Description, Refusal, Rejection, RejectionClass, Session, Settings, Stage, Subject, Tuning, transcript,
};

/// What this was built with.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// candle reads this once in the life of a process: with it, weights are dequantised at load and activations stay f32.
const DEQUANTIZE_ALL: &str = "CANDLE_DEQUANTIZE_ALL";

/// The number of threads, which rayon reads once.
const THREADS: &str = "RAYON_NUM_THREADS";

/// The devices this build could run on.
pub fn devices_of_this_build() -> Vec<(&'static str, bool)> {
    vec![("cpu", true), ("cuda0", cfg!(feature = "cuda")), ("metal", cfg!(feature = "metal"))]
}

/// candle on one device under fixed settings.
pub struct CandleSubject {
    device: Device,
    settings: Settings,
    /// The tokenizer that was asked for last and its file: candle takes a second to build one from a large vocabulary.
    tokenizer: RefCell<Option<(PathBuf, Tokenizer)>>,
}

impl CandleSubject {
    /// Opens `device`: `cpu`, `cudaN` or `metal`.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where this build or this machine has no such device, candle has nothing to tune that way, or the process
    /// was not started with the environment that settings and tuning need.
    pub fn new(device: &str, settings: Settings, tuning: Tuning) -> Result<Self, Refusal> {
        if tuning.batch.is_some() || tuning.micro_batch.is_some() {
            return Err(Refusal::Unsupported("candle computes each call as a whole: it has no batches to set".into()));
        }
        if let Some(threads) = tuning.threads
            && utils::get_num_threads() != threads as usize
        {
            return Err(Refusal::Unsupported(format!("{threads} threads need {THREADS} to be {threads}")));
        }
        let unsupported = |error: candle_core::Error| Refusal::Unsupported(error.to_string());
        let strict = std::env::var(DEQUANTIZE_ALL).is_ok_and(|value| !value.is_empty() && value != "0");
        if strict != (settings == Settings::Strict) {
            let message = format!("{settings} settings need {DEQUANTIZE_ALL} to be {}", if strict { "unset" } else { "1" });
            return Err(Refusal::Unsupported(message));
        }
        let device = match device.strip_prefix("cuda") {
            Some(number) => Device::new_cuda(number.parse().unwrap_or(0)).map_err(unsupported)?,
            None if device == "cpu" => Device::Cpu,
            None if device == "metal" => Device::new_metal(0).map_err(unsupported)?,
            None => return Err(Refusal::Unsupported(format!("candle has no device `{device}`"))),
        };
        Ok(Self { device, settings, tokenizer: RefCell::new(None) })
    }

    fn open(&self, path: &Path) -> Result<Loaded, Refusal> {
        let (mut file, content) = header::open(path, Refusal::load)?;
        let key = |key: &str| content.metadata.get(key);
        let architecture = key("general.architecture").and_then(|value| value.to_string().ok()).cloned().unwrap_or_default();
        let context_length = key(&format!("{architecture}.context_length")).and_then(|value| value.to_u32().ok());
        let rows = content.tensor_infos.get("token_embd.weight").and_then(|info| info.shape.dims().first().copied());
        let model = models::load(&architecture, content, &mut file, path, &self.device)?;
        Ok(Loaded { model, context_length, vocabulary_size: rows.unwrap_or(0) })
    }
}

/// candle's tokenizer for the vocabulary of a file.
fn open_tokenizer(path: &Path) -> Result<Tokenizer, Refusal> {
    let (_, content) = header::open(path, Refusal::load)?;
    Tokenizer::from_gguf(&content).map_err(|error| match first_line(&error) {
        message if message.contains("unsupported tokenizer model") => Refusal::Unsupported(message),
        message => {
            refuse_text(if message.contains("missing") { RejectionClass::Incomplete } else { RejectionClass::Other }, message)
        }
    })
}

fn refuse_text(class: RejectionClass, message: String) -> Refusal {
    Refusal::Rejected(Rejection { stage: Stage::Tokenize, class, message })
}

/// candle's words for a kernel that a device does not have.
const NO_KERNEL: [&str; 4] = ["only implemented for", "not implemented", "no cuda implementation", "expected a cuda device"];

/// candle's words without the backtrace that it appends.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The class of a failed load, from candle's words.
fn classify(error: &candle_core::Error) -> Refusal {
    let message = first_line(error);
    let incomplete =
        ["cannot find", "Missing or invalid", "shape mismatch", "not a "].iter().any(|words| message.contains(words));
    Refusal::load(if incomplete { RejectionClass::Incomplete } else { RejectionClass::Other }, message)
}

impl Subject for CandleSubject {
    fn describe(&self) -> Description {
        let features = [("avx2", utils::with_avx()), ("f16c", utils::with_f16c()), ("neon", utils::with_neon())];
        let mut features: Vec<String> = features.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()).collect();
        features.push(format!("threads = {}", utils::get_num_threads()));
        if self.settings == Settings::Strict {
            features.push(format!("{DEQUANTIZE_ALL} = 1"));
        }
        let (device, driver) = match &self.device {
            Device::Cpu => (String::new(), "CPU backend"),
            Device::Cuda(_) => ("CUDA device".to_owned(), "CUDA backend"),
            Device::Metal(_) => ("Metal device".to_owned(), "Metal backend"),
        };
        let runtime = format!("candle-core {}", vocabulary::locked(LOCK, "candle-core"));
        Description { runtime, device, driver: driver.into(), features, software: false }
    }

    fn read(&self, file: &Path) -> Result<Contents, Refusal> {
        header::read(file)
    }

    fn load(&self, model: &Path) -> Result<Box<dyn Session + '_>, Refusal> {
        Ok(Box::new(CandleSession { subject: self, path: model.into(), loaded: self.open(model)?, fresh: true }))
    }

    fn tokenize(&self, model: &Path, text: &str) -> Result<Vec<u32>, Refusal> {
        let mut kept = self.tokenizer.borrow_mut();
        if kept.as_ref().is_none_or(|(path, _)| path != model) {
            // The old one goes first: where the new one cannot be had, none is left that could be taken for it.
            *kept = None;
        }
        let (_, tokenizer) = match &mut *kept {
            Some(kept) => kept,
            none => none.insert((model.into(), open_tokenizer(model)?)),
        };
        let encoding = tokenizer.encode_fast(text, false);
        Ok(encoding.map_err(|error| refuse_text(RejectionClass::Other, error.to_string()))?.get_ids().to_vec())
    }
}

struct Loaded {
    model: Box<dyn Model>,
    context_length: Option<u32>,
    vocabulary_size: usize,
}

struct CandleSession<'s> {
    subject: &'s CandleSubject,
    path: PathBuf,
    loaded: Loaded,
    /// Nothing has been fed since the model was loaded.
    fresh: bool,
}

impl Session for CandleSession<'_> {
    fn vocabulary_size(&self) -> usize {
        self.loaded.vocabulary_size
    }

    fn begin(&mut self, len: usize) -> Result<(), Refusal> {
        if let Some(context) = self.loaded.context_length
            && len as u64 > u64::from(context)
        {
            let message = format!("a prompt of {len} tokens, where the model's context is {context}");
            return Err(Refusal::evaluate(RejectionClass::OutOfRange, message));
        }
        if !self.fresh && self.loaded.model.reset() == Reset::NeedsReload {
            self.loaded = self.subject.open(&self.path)?;
        }
        self.fresh = true;
        Ok(())
    }

    fn feed(&mut self, tokens: &[u32], first: usize, out: &mut transcript::Writer) -> Result<(), Refusal> {
        let ids = Tensor::new(tokens, &self.subject.device).and_then(|tokens| tokens.unsqueeze(0));
        let row = self.forward(ids, first)?;
        Ok(out.row(first + tokens.len() - 1, &row)?)
    }

    fn clear(&mut self) -> Result<(), Refusal> {
        match self.loaded.model.reset() {
            Reset::Done => Ok(()),
            Reset::NeedsReload => Err(Refusal::Unsupported("candle has no public way to clear this model's caches".into())),
        }
    }

    fn feed_together(&mut self, sequences: &[Vec<u32>], judged: usize, out: &mut transcript::Writer) -> Result<(), Refusal> {
        let len = sequences.first().map_or(0, Vec::len);
        self.begin(len)?;
        let ids = Tensor::new(sequences.concat(), &self.subject.device).and_then(|ids| ids.reshape((sequences.len(), len)));
        let rows = self.forward(ids, 0)?;
        let width = self.loaded.vocabulary_size;
        let row = rows.get(judged * width..(judged + 1) * width).filter(|_| rows.len() == sequences.len() * width);
        let row = row.ok_or_else(|| {
            let message = format!("{} logits for {} sequences over a vocabulary of {width}", rows.len(), sequences.len());
            Refusal::evaluate(RejectionClass::Other, message)
        })?;
        Ok(out.row(len - 1, row)?)
    }
}

impl CandleSession<'_> {
    /// Logits of the last position of each sequence in `ids`, one after another.
    fn forward(&mut self, ids: candle_core::Result<Tensor>, first: usize) -> Result<Vec<f32>, Refusal> {
        self.fresh = false;
        ids.and_then(|ids| self.loaded.model.forward(&ids, first))
            .and_then(|logits| logits.flatten_all()?.to_vec1::<f32>())
            .map_err(|error| {
                let message = first_line(&error);
                if NO_KERNEL.iter().any(|words| message.contains(words)) {
                    Refusal::Unsupported(message)
                } else {
                    Refusal::evaluate(RejectionClass::Other, message)
                }
            })
    }
}
