//! llama.cpp in this process, on bytes in memory: what fuzzers drive. Nothing here is a subject: there is no isolation, and an
//! assertion ends the process.
//!
//! [`listen`] is told which assertions are known findings. Such a one does not end the process: the C++ stack is unwound up to the call
//! of this module that it happened in, which then answers `None`. So fuzzing goes on past it; what the call had allocated is lost.
//! ggml's C code is passed through by the unwinder and holds nothing that has to be undone.

use crate::header;
use llama_cpp_sys_2 as sys;
use std::{
    ffi::{CStr, CString, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
    sync::{
        Once, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};
use vocabulary::{Contents, Reached};

/// Says of an assertion's text, `FILE:LINE: TEXT`, whether it is a known finding and to be passed over.
pub type IsKnown = fn(&str) -> bool;

static IS_KNOWN: OnceLock<IsKnown> = OnceLock::new();
/// Set while the header is what the log complains about.
static HEADER_REFUSED: AtomicBool = AtomicBool::new(false);

/// What unwinds from a known assertion.
struct KnownAssertion;

/// The functions of this module, with an ABI that a known assertion may unwind through.
mod unwinding {
    use super::{c_char, c_void, sys};

    unsafe extern "C-unwind" {
        pub(super) fn gguf_init_from_buffer(
            data: *const c_void,
            size: usize,
            params: sys::gguf_init_params,
        ) -> *mut sys::gguf_context;
        pub(super) fn llama_model_load_from_file(path: *const c_char, params: sys::llama_model_params)
        -> *mut sys::llama_model;
        pub(super) fn llama_model_load_from_splits(
            paths: *mut *const c_char,
            count: usize,
            params: sys::llama_model_params,
        ) -> *mut sys::llama_model;
        pub(super) fn llama_adapter_lora_init(
            model: *mut sys::llama_model,
            path: *const c_char,
        ) -> *mut sys::llama_adapter_lora;
        pub(super) fn llama_init_from_model(
            model: *mut sys::llama_model,
            params: sys::llama_context_params,
        ) -> *mut sys::llama_context;
        pub(super) fn llama_decode(context: *mut sys::llama_context, batch: sys::llama_batch) -> i32;
        pub(super) fn llama_tokenize(
            vocabulary: *const sys::llama_vocab,
            text: *const c_char,
            len: i32,
            tokens: *mut sys::llama_token,
            most: i32,
            add_special: bool,
            parse_special: bool,
        ) -> i32;
        pub(super) fn llama_detokenize(
            vocabulary: *const sys::llama_vocab,
            tokens: *const sys::llama_token,
            count: i32,
            text: *mut c_char,
            most: i32,
            remove_special: bool,
            unparse_special: bool,
        ) -> i32;
        pub(super) fn llama_model_free(model: *mut sys::llama_model);
        pub(super) fn llama_free(context: *mut sys::llama_context);
    }
}

/// Known assertions unwind. Where this is false nothing is caught, and what gets out of C++ ends the process.
static UNWINDS: AtomicBool = AtomicBool::new(false);

type OnAbort = unsafe extern "C" fn(*const c_char);

/// Prepares the process: no log, no backtraces, and what to do about assertions: where `unwinds` is false, none is passed over. Later
/// calls do nothing.
pub fn listen(is_known: IsKnown, unwinds: bool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = IS_KNOWN.set(is_known);
        UNWINDS.store(unwinds, Ordering::Relaxed);
        // SAFETY: the callbacks live as long as the process. ggml calls the second with a text that ends in NUL, and aborts when
        // it returns; an unwinding function has the same calling convention, and every function it unwinds through is called
        // by the declarations above.
        unsafe {
            sys::llama_log_set(Some(on_message), ptr::null_mut());
            let unwinding: unsafe extern "C-unwind" fn(*const c_char) = on_abort;
            let on_abort = std::mem::transmute::<unsafe extern "C-unwind" fn(*const c_char), OnAbort>(unwinding);
            sys::ggml_set_abort_callback(Some(on_abort));
            sys::llama_backend_init();
        }
    });
}

unsafe extern "C" fn on_message(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if level == sys::GGML_LOG_LEVEL_ERROR && !text.is_null() {
        // SAFETY: llama.cpp passes a string that ends in NUL.
        let text = unsafe { CStr::from_ptr(text) }.to_bytes();
        if text.starts_with(b"gguf_init") {
            HEADER_REFUSED.store(true, Ordering::Relaxed);
        }
    }
}

unsafe extern "C-unwind" fn on_abort(text: *const c_char) {
    // SAFETY: ggml passes a string that ends in NUL.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    if IS_KNOWN.get().is_some_and(|is_known| is_known(&text)) {
        // Not a panic: no hook is to see it.
        resume_unwind(Box::new(KnownAssertion));
    }
    eprintln!("{text}");
    // ggml ends the process when this returns.
}

/// Runs something that a known assertion may end.
fn passing_over<T>(run: impl FnOnce() -> T) -> Option<T> {
    if !UNWINDS.load(Ordering::Relaxed) {
        return Some(run());
    }
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<KnownAssertion>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// What ggml's reader makes of a header in memory; the inner `None` where it refuses it, the outer where a known finding was met. With
/// `with_data` it takes the tensor data over as well.
pub fn read(bytes: &[u8], with_data: bool) -> Option<Option<Contents>> {
    passing_over(|| {
        header::read_with(
            // SAFETY: the pointer is good for as many bytes.
            |params| unsafe { unwinding::gguf_init_from_buffer(bytes.as_ptr().cast(), bytes.len(), params) },
            with_data,
        )
    })
}

/// How a file is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Maps the file, rather than reading it into memory.
    pub map: bool,
    /// Looks at the values of all tensors.
    pub check_tensors: bool,
}

fn model_params(options: Options) -> sys::llama_model_params {
    // SAFETY: a function without arguments.
    let mut params = unsafe { sys::llama_model_default_params() };
    params.n_gpu_layers = 0;
    params.load_mode = if options.map { sys::LLAMA_LOAD_MODE_MMAP } else { sys::LLAMA_LOAD_MODE_NONE };
    params.check_tensors = options.check_tensors;
    params
}

/// A loaded model, freed when it goes.
pub struct Model {
    model: ptr::NonNull<sys::llama_model>,
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: it is ours alone.
        unsafe { unwinding::llama_model_free(self.model.as_ptr()) }
    }
}

struct Context(ptr::NonNull<sys::llama_context>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is ours alone.
        unsafe { unwinding::llama_free(self.0.as_ptr()) }
    }
}

impl Model {
    /// Loads a model, of several files where `paths` has several. `Err` says how far it came; the outer `None` is a known finding.
    pub fn load(paths: &[CString], options: Options) -> Option<Result<Self, Reached>> {
        HEADER_REFUSED.store(false, Ordering::Relaxed);
        // An explicit list, empty: without one, llama.cpp takes every GPU it finds.
        let mut devices: [sys::ggml_backend_dev_t; 1] = [ptr::null_mut()];
        let mut params = model_params(options);
        params.devices = devices.as_mut_ptr();
        let model = passing_over(|| {
            // SAFETY: every path ends in NUL, and the list of devices outlives the call.
            unsafe {
                match paths {
                    [path] => unwinding::llama_model_load_from_file(path.as_ptr(), params),
                    _ => {
                        let mut pointers: Vec<*const c_char> = paths.iter().map(|path| path.as_ptr()).collect();
                        unwinding::llama_model_load_from_splits(pointers.as_mut_ptr(), pointers.len(), params)
                    }
                }
            }
        })?;
        let refused = || if HEADER_REFUSED.load(Ordering::Relaxed) { Reached::Nothing } else { Reached::Header };
        Some(ptr::NonNull::new(model).map(|model| Self { model }).ok_or_else(refused))
    }

    /// Loads only the vocabulary of a file.
    pub fn load_vocabulary(path: &CStr) -> Option<Option<Self>> {
        let mut params = model_params(Options { map: false, check_tensors: false });
        params.vocab_only = true;
        // SAFETY: the path ends in NUL.
        let model = passing_over(|| unsafe { unwinding::llama_model_load_from_file(path.as_ptr(), params) })?;
        Some(ptr::NonNull::new(model).map(|model| Self { model }))
    }

    /// Loads an adapter for the model, and says whether it was taken. It goes with the model.
    pub fn adapt(&self, path: &CStr) -> Option<bool> {
        // SAFETY: the model is loaded, and the path ends in NUL.
        let adapter = passing_over(|| unsafe { unwinding::llama_adapter_lora_init(self.model.as_ptr(), path.as_ptr()) })?;
        Some(!adapter.is_null())
    }

    /// Evaluates up to two tokens, one at a time.
    pub fn evaluate_two(&self, tokens: [u32; 2]) -> Option<Reached> {
        // SAFETY: a function without arguments.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = 32;
        params.n_batch = 8;
        params.n_ubatch = 8;
        params.n_threads = 1;
        params.n_threads_batch = 1;
        params.offload_kqv = false;
        params.op_offload = false;
        params.no_perf = true;
        // SAFETY: the model is loaded and outlives the context.
        let context = passing_over(|| unsafe { unwinding::llama_init_from_model(self.model.as_ptr(), params) })?;
        let Some(context) = ptr::NonNull::new(context).map(Context) else { return Some(Reached::Loaded) };
        let vocabulary_size = self.vocabulary_size();
        let mut reached = Reached::Loaded;
        for (token, after) in tokens.into_iter().zip([Reached::OneToken, Reached::TwoTokens]) {
            // llama.cpp checks ids against its vocabulary; a model without one has no id to give.
            if vocabulary_size == 0 {
                break;
            }
            let mut token = (token % vocabulary_size) as sys::llama_token;
            let decoded = passing_over(|| {
                // SAFETY: the batch points to one token, which outlives the call; positions follow from the context's memory.
                unsafe {
                    let batch = sys::llama_batch_get_one(&raw mut token, 1);
                    unwinding::llama_decode(context.0.as_ptr(), batch)
                }
            });
            match decoded {
                None => {
                    // What is left half done must not be torn down: the assertion may have been about exactly that.
                    std::mem::forget(context);
                    return None;
                }
                Some(0) => reached = after,
                Some(_) => break,
            }
            // SAFETY: the last token's logits were asked for, and are as many as the vocabulary.
            unsafe {
                let logits = sys::llama_get_logits_ith(context.0.as_ptr(), -1);
                if !logits.is_null() {
                    let last = logits.add(vocabulary_size as usize - 1);
                    std::hint::black_box(last.read() + logits.read());
                }
            }
        }
        Some(reached)
    }

    fn vocabulary(&self) -> *const sys::llama_vocab {
        // SAFETY: the model is loaded.
        unsafe { sys::llama_model_get_vocab(self.model.as_ptr()) }
    }

    /// Number of tokens.
    pub fn vocabulary_size(&self) -> u32 {
        // SAFETY: the vocabulary is the model's.
        u32::try_from(unsafe { sys::llama_vocab_n_tokens(self.vocabulary()) }).unwrap_or(0)
    }

    /// The tokens of a text. The inner `None` where llama.cpp refuses.
    pub fn tokenize(&self, text: &[u8], add_special: bool, parse_special: bool) -> Option<Option<Vec<u32>>> {
        // A byte makes at most a few tokens; where it makes more, llama.cpp says how many.
        let mut tokens = vec![0; 4 * text.len() + 8];
        passing_over(|| {
            // SAFETY: the vocabulary is the model's, and the lengths are those of the text and the room.
            let count = unsafe {
                unwinding::llama_tokenize(
                    self.vocabulary(),
                    text.as_ptr().cast(),
                    text.len() as i32,
                    tokens.as_mut_ptr(),
                    tokens.len() as i32,
                    add_special,
                    parse_special,
                )
            };
            tokens.truncate(usize::try_from(count).ok()?);
            Some(tokens.iter().map(|&token| token as u32).collect())
        })
    }

    /// The text of tokens. The inner `None` where llama.cpp refuses.
    pub fn detokenize(&self, tokens: &[u32]) -> Option<Option<Vec<u8>>> {
        let tokens: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        let mut text = vec![0u8; 64 * tokens.len() + 64];
        passing_over(|| {
            // SAFETY: the vocabulary is the model's, and the lengths are those of the tokens and the room.
            let count = unsafe {
                unwinding::llama_detokenize(
                    self.vocabulary(),
                    tokens.as_ptr(),
                    tokens.len() as i32,
                    text.as_mut_ptr().cast(),
                    text.len() as i32,
                    false,
                    true,
                )
            };
            text.truncate(usize::try_from(count).ok()?);
            Some(text)
        })
    }
}

/// ggml's own value of every element of whole blocks; `None` for types that it has no such function for.
pub fn decode(type_id: u32, blocks: &[u8], elements: usize) -> Option<Vec<f32>> {
    let traits = traits(type_id)?;
    let decode = traits.to_float?;
    if blocks.len() as i64 / traits.type_size as i64 * traits.blck_size != elements as i64 {
        return None;
    }
    let mut out = vec![0.0f32; elements];
    // SAFETY: input and output hold exactly `elements` elements of the type that `decode` is for.
    unsafe { decode(blocks.as_ptr().cast(), out.as_mut_ptr(), elements as i64) };
    Some(out)
}

fn traits(type_id: u32) -> Option<&'static sys::ggml_type_traits> {
    // SAFETY: ggml has a static table of `GGML_TYPE_COUNT` entries.
    (type_id < sys::GGML_TYPE_COUNT).then(|| unsafe { &*sys::ggml_get_type_traits(type_id as sys::ggml_type) })
}

/// A dot product as ggml's CPU backend computes it.
pub struct Dot {
    /// The product.
    pub product: f32,
    /// The type that the activations were rounded to.
    pub activation_type: u32,
    /// The activations in that type.
    pub activations: Vec<u8>,
}

/// ggml's dot product of a row of whole blocks with activations; `None` for types that it does not multiply with.
pub fn dot(type_id: u32, row: &[u8], activations: &[f32]) -> Option<Dot> {
    static ONCE: Once = Once::new();
    let weights = traits(type_id)?;
    let len = activations.len() as i64;
    if weights.blck_size == 0 || row.len() as i64 / weights.type_size as i64 * weights.blck_size != len {
        return None;
    }
    // SAFETY: fills tables that the products look into.
    ONCE.call_once(|| unsafe { sys::ggml_cpu_init() });
    // SAFETY: both tables are static and have every type that `traits` knows.
    let (multiply, activation_type, round) = unsafe {
        let of_cpu = &*sys::ggml_get_type_traits_cpu(type_id as sys::ggml_type);
        let activation_type = of_cpu.vec_dot_type;
        let round = (*sys::ggml_get_type_traits_cpu(activation_type)).from_float;
        (of_cpu.vec_dot?, activation_type, round)
    };
    let rounded = traits(activation_type)?;
    if rounded.blck_size == 0 || len % rounded.blck_size != 0 {
        return None;
    }
    let mut rounded_row = vec![0u8; (len / rounded.blck_size) as usize * rounded.type_size];
    let mut product = 0.0f32;
    // SAFETY: every buffer holds `len` elements of its type, which is a whole number of blocks of both.
    unsafe {
        match round {
            Some(round) => round(activations.as_ptr(), rounded_row.as_mut_ptr().cast(), len),
            None if activation_type == sys::GGML_TYPE_F32 => {
                ptr::copy_nonoverlapping(activations.as_ptr().cast(), rounded_row.as_mut_ptr(), rounded_row.len());
            }
            None => return None,
        }
        multiply(len as i32, &raw mut product, 0, row.as_ptr().cast(), 0, rounded_row.as_ptr().cast(), 0, 1);
    }
    Some(Dot { product, activation_type, activations: rounded_row })
}
