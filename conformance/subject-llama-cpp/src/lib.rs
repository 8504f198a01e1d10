//! The thin layer over llama.cpp: `llama-cpp@cpu`, `llama-cpp@vulkanN`, `llama-cpp@cudaN`, `llama-cpp@metal`.
//!
//! Built on `llama-cpp-2` and `llama-cpp-sys-2`, pinned exactly in the workspace: a release of the safe crate is developed against one
//! of the sys crate, and any other pair may not even compile (`conformance/policy/releases.toml` has the pairs that do). An upstream
//! change touches this crate and no other.
//!
//! llama.cpp answers a failed load with a null pointer and says why in its log only, so `log` listens to that.

mod header;
mod log;
#[cfg(feature = "probe")]
pub mod probe;

use llama_cpp_2::{
    LlamaBackendDevice, LlamaBackendDeviceType,
    context::{
        LlamaContext,
        params::{KvCacheType, LlamaContextParams},
    },
    list_llama_ggml_backend_devices,
    llama_backend::LlamaBackend,
    llama_batch::LlamaBatch,
    model::{LlamaModel, params::LlamaModelParams},
    token::LlamaToken,
};
use std::{
    cell::RefCell,
    ffi::CStr,
    fs::File,
    io::Read,
    num::NonZeroU32,
    path::{Path, PathBuf},
};
use vocabulary::{Contents, Description, Refusal, RejectionClass, Session, Settings, Subject, Tuning, transcript};

/// What this was built with.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// Threads in strict settings: fixed, so that a result does not depend on the machine's number of cores.
const STRICT_THREADS: i32 = 2;
/// Tokens a micro-batch in strict settings: llama.cpp's default, fixed.
const STRICT_MICRO_BATCH: u32 = 512;

/// The devices this build could run on: always the CPU, and one name for each GPU backend compiled in.
pub fn devices_of_this_build() -> Vec<(&'static str, bool)> {
    vec![
        ("cpu", true),
        ("vulkan0", cfg!(feature = "vulkan")),
        ("cuda0", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
    ]
}

/// llama.cpp on one device under fixed settings. One process can have one, because llama.cpp's backends are global.
pub struct LlamaCppSubject {
    /// The vocabulary that was asked for last and its file: a large one takes a second to load. Before the backend, which must
    /// be dropped after it.
    vocabulary: RefCell<Option<(PathBuf, LlamaModel)>>,
    backend: LlamaBackend,
    /// The device to offload everything to; `None` for the CPU.
    device: Option<LlamaBackendDevice>,
    settings: Settings,
    tuning: Tuning,
}

impl LlamaCppSubject {
    /// Starts llama.cpp for `device`: `cpu`, `vulkanN`, `cudaN` or `metal`.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where this build or this machine has no such device.
    pub fn new(device: &str, settings: Settings, tuning: Tuning) -> Result<Self, Refusal> {
        log::listen();
        let backend = LlamaBackend::init().map_err(|error| Refusal::Unsupported(error.to_string()))?;
        let device = if device == "cpu" { None } else { Some(find_device(device)?) };
        Ok(Self { vocabulary: RefCell::new(None), backend, device, settings, tuning })
    }

    fn model_params(&self) -> Result<LlamaModelParams, Refusal> {
        let params = LlamaModelParams::default();
        let devices: Vec<usize> = self.device.iter().map(|device| device.index).collect();
        // An explicit list, empty for the CPU: without one, llama.cpp takes every GPU it finds.
        let params = params.with_devices(&devices).map_err(|error| Refusal::Unsupported(error.to_string()))?;
        Ok(params.with_n_gpu_layers(if self.device.is_some() { 999 } else { 0 }))
    }

    /// Parameters of a context for `sequences` sequences of `len` tokens each.
    fn context_params(&self, len: u32, sequences: u32) -> LlamaContextParams {
        let on_gpu = self.device.is_some();
        let tokens = len.saturating_mul(sequences);
        // The context is shared out to the sequences, each of which gets a multiple of 256.
        let context = len.next_multiple_of(256).saturating_mul(sequences);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(if sequences > 1 { context } else { len }))
            .with_n_seq_max(sequences)
            .with_offload_kqv(on_gpu)
            .with_op_offload(on_gpu);
        let n_batch = self.tuning.batch.unwrap_or_else(|| params.n_batch().max(tokens));
        let params = params.with_n_batch(n_batch);
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get() as i32);
        let params = match self.settings {
            Settings::Default => params.with_n_threads(all()).with_n_threads_batch(all()),
            Settings::Strict => params
                .with_n_threads(STRICT_THREADS)
                .with_n_threads_batch(STRICT_THREADS)
                .with_n_ubatch(STRICT_MICRO_BATCH)
                .with_type_k(KvCacheType::F32)
                .with_type_v(KvCacheType::F32)
                .with_flash_attention_policy(llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED)
                .with_swa_full(true),
        };
        let params = match self.tuning.threads {
            Some(threads) => params.with_n_threads(threads as i32).with_n_threads_batch(threads as i32),
            None => params,
        };
        match self.tuning.micro_batch {
            Some(tokens) => params.with_n_ubatch(tokens),
            None => params,
        }
    }
}

/// The backend device behind a device name. A Vulkan worker sees only the device it was started for, whatever its number.
fn find_device(name: &str) -> Result<LlamaBackendDevice, Refusal> {
    let split = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (backend, number) = name.split_at(split);
    let number: usize = number.parse().unwrap_or(0);
    let compiled_in = devices_of_this_build().iter().any(|(device, built)| *built && device.starts_with(backend));
    if !compiled_in {
        return Err(Refusal::Unsupported(format!("this build of ggauge has no {backend} backend (cargo feature `{backend}`)")));
    }
    let devices = list_llama_ggml_backend_devices();
    // ggml's own name for its Metal backend is MTL.
    let of_ggml = if backend == "metal" { "mtl" } else { backend };
    let mut of_backend = devices.iter().filter(|device| device.backend.eq_ignore_ascii_case(of_ggml));
    let found = if backend == "vulkan" { of_backend.next() } else { of_backend.nth(number) };
    found.cloned().ok_or_else(|| Refusal::Unsupported(format!("llama.cpp finds no device {name} on this machine")))
}

/// A static text of the C library, or nothing.
fn text(pointer: *const std::ffi::c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: ggml and llama.cpp give pointers to static strings that end in NUL.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

impl Subject for LlamaCppSubject {
    fn describe(&self) -> Description {
        // SAFETY: functions without arguments that return static strings.
        let (ggml, features) =
            unsafe { (text(llama_cpp_sys_2::ggml_version()), text(llama_cpp_sys_2::llama_print_system_info())) };
        let cpu = || list_llama_ggml_backend_devices().into_iter().find(|d| d.device_type == LlamaBackendDeviceType::Cpu);
        let device = self.device.clone().or_else(cpu);
        let [bindings, sys] = ["llama-cpp-2", "llama-cpp-sys-2"].map(|package| vocabulary::locked(LOCK, package));
        let description = device.as_ref().map_or_else(String::new, |device| device.description.clone());
        Description {
            runtime: format!("llama-cpp-2 {bindings} (llama-cpp-sys-2 {sys}, ggml {ggml})"),
            driver: device.map_or_else(String::new, |device| format!("{} backend", device.backend)),
            features: features.split('|').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            software: self.device.is_some()
                && ["llvmpipe", "lavapipe", "swiftshader"].iter().any(|name| description.to_lowercase().contains(name)),
            device: description,
        }
    }

    fn read(&self, file: &Path) -> Result<Contents, Refusal> {
        header::read(file)
    }

    fn load(&self, model: &Path) -> Result<Box<dyn Session + '_>, Refusal> {
        let model = load_model(&self.backend, model, &self.model_params()?)?;
        Ok(Box::new(LlamaCppSession { subject: self, loaded: Loaded::new(model, |_| None) }))
    }

    fn tokenize(&self, model: &Path, text: &str) -> Result<Vec<u32>, Refusal> {
        let mut kept = self.vocabulary.borrow_mut();
        // A file that cannot be loaded leaves none behind that could be taken for it.
        let (_, loaded) = match kept.take() {
            Some(of_model) if of_model.0 == model => kept.insert(of_model),
            _ => kept.insert((model.into(), load_model(&self.backend, model, &self.model_params()?.with_vocab_only(true))?)),
        };
        let tokens = loaded.vocab().tokenize(text.as_bytes(), false, true);
        Ok(tokens.into_iter().map(|token| token.0 as u32).collect())
    }
}

fn load_model(backend: &LlamaBackend, path: &Path, params: &LlamaModelParams) -> Result<LlamaModel, Refusal> {
    // Asked for first, because llama.cpp's own words for it do not name the reason.
    let mut first = [0; 1];
    File::open(path)
        .and_then(|mut file| file.read(&mut first))
        .map_err(|error| Refusal::load(RejectionClass::Unreadable, error.to_string()))?;
    log::forget_errors();
    LlamaModel::load_from_file(backend, path, params).map_err(|error| {
        let errors = log::errors();
        let message = if errors.is_empty() { error.to_string() } else { errors };
        classify(message)
    })
}

/// The class of a failed load, from llama.cpp's words (`llama-model-loader.cpp`, `llama-model.cpp`, `gguf.cpp`).
fn classify(message: String) -> Refusal {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["unknown model architecture", "unknown tokenizer"]) {
        Refusal::Unsupported(message)
    } else if has(&[
        "key not found",
        "check_tensor_dims",
        "missing tensor",
        "wrong shape",
        "wrong type",
        "wrong array",
        "invalid n_rot",
        "cannot find tokenizer",
    ]) {
        Refusal::load(RejectionClass::Incomplete, message)
    } else if has(&["magic", "gguf_init", "within the file bounds", "failed to read"]) {
        Refusal::load(RejectionClass::Malformed, message)
    } else {
        Refusal::load(RejectionClass::Other, message)
    }
}

type MaybeContext<'a> = Option<LlamaContext<'a>>;

self_cell::self_cell! {
    /// A model and the context that borrows from it, which is made anew for every prompt.
    struct Loaded {
        owner: LlamaModel,
        #[not_covariant]
        dependent: MaybeContext,
    }
}

struct LlamaCppSession<'s> {
    subject: &'s LlamaCppSubject,
    loaded: Loaded,
}

impl Session for LlamaCppSession<'_> {
    fn vocabulary_size(&self) -> usize {
        self.loaded.borrow_owner().n_vocab() as usize
    }

    fn begin(&mut self, len: usize) -> Result<(), Refusal> {
        self.begin_with(len, 1)
    }

    fn feed(&mut self, tokens: &[u32], first: usize, out: &mut transcript::Writer) -> Result<(), Refusal> {
        let batch = self.subject.tuning.batch.map_or(tokens.len(), |batch| batch as usize).max(1);
        for (index, part) in tokens.chunks(batch).enumerate() {
            let tokens = part.iter().enumerate().map(|(at, &token)| (token, first + index * batch + at, 0));
            self.decode(tokens, 0, out)?;
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Refusal> {
        self.loaded.with_dependent_mut(|_, context| {
            if let Some(context) = context {
                context.clear_kv_cache();
            }
        });
        Ok(())
    }

    fn feed_together(&mut self, sequences: &[Vec<u32>], judged: usize, out: &mut transcript::Writer) -> Result<(), Refusal> {
        self.begin_with(sequences.first().map_or(0, Vec::len), sequences.len() as u32)?;
        let tokens = sequences.iter().enumerate().flat_map(|(sequence, tokens)| {
            tokens.iter().enumerate().map(move |(position, &token)| (token, position, sequence))
        });
        self.decode(tokens, judged, out)
    }
}

impl LlamaCppSession<'_> {
    fn begin_with(&mut self, len: usize, sequences: u32) -> Result<(), Refusal> {
        let context = self.loaded.borrow_owner().n_ctx_train();
        if len as u64 > u64::from(context) {
            let message = format!("a prompt of {len} tokens, where the model's context is {context}");
            return Err(Refusal::evaluate(RejectionClass::OutOfRange, message));
        }
        let params = self.subject.context_params(len as u32, sequences);
        self.loaded.with_dependent_mut(|model, context| {
            // A fresh context rather than a cleared cache: a prompt's logits must not depend on the prompts before it.
            *context = None;
            let new = model.new_context(&self.subject.backend, params);
            *context = Some(new.map_err(|error| Refusal::evaluate(RejectionClass::Other, error.to_string()))?);
            Ok(())
        })
    }

    /// Decodes tokens with their positions and sequences in one call, and writes the rows of the sequence `judged`.
    fn decode(
        &mut self,
        tokens: impl Iterator<Item = (u32, usize, usize)>,
        judged: usize,
        out: &mut transcript::Writer,
    ) -> Result<(), Refusal> {
        let other = |message: String| Refusal::evaluate(RejectionClass::Other, message);
        let tokens: Vec<(u32, usize, usize)> = tokens.collect();
        self.loaded.with_dependent_mut(|_, context| {
            let context = context.as_mut().ok_or_else(|| other("no prompt was begun".into()))?;
            let mut batch = LlamaBatch::new(tokens.len(), 1);
            // Every row of logits is a product with the whole output matrix: none is made that nobody wants.
            let last = tokens.iter().rposition(|(.., sequence)| *sequence == judged);
            let wanted = |index: usize| tokens[index].2 == judged && (out.wants_every_row() || Some(index) == last);
            for (index, &(token, position, sequence)) in tokens.iter().enumerate() {
                let added = batch.add(LlamaToken(token as i32), position as i32, &[sequence as i32], wanted(index));
                added.map_err(|error| other(error.to_string()))?;
            }
            context.decode(&mut batch).map_err(|error| other(error.to_string()))?;
            let wanted: Vec<usize> = (0..tokens.len()).filter(|&index| wanted(index)).collect();
            for index in wanted {
                let (_, position, _) = tokens[index];
                out.row(position, context.get_logits_ith(index as i32))?;
            }
            Ok(())
        })
    }
}
