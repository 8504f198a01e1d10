//! What has been filed, so that fuzzing goes on past it: the text of an assertion or a panic, or what an input has, tells a known
//! finding. Each is counted where it is met.
//!
//! A row of [`KNOWN`] is all that fuzzing knows of a finding, and covers one place in a runtime's source where a cause shows, or, where one
//! mistake stands in many files, all of them by the words they share. It has its entry in `corpora/regressions/FINDINGS.md`, whose smallest input is replayed by `cargo test`, without this list:
//! a finding that was fixed shows as an unexpected pass there. A fault in the same function but another line is a new finding.

use crate::{
    generators::{models::Mutated, text::TextCase, traits::Traits},
    statistics,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook},
    sync::{
        LazyLock, Once,
        atomic::{AtomicBool, Ordering},
    },
};
use vocabulary::Contents;

/// A filed finding.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its id in `FINDINGS.md`.
    pub id: &'static str,
    /// What tells it.
    pub by: By,
}

/// What tells a filed finding: what the process says; or, for one that leaves no words, a crash, a hang or a flood of memory, what the
/// input has. The latter is left out of one step, the one in its name.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// Texts that all stand in what the process says: a file and line, and where that is not enough, the words.
    Words(&'static [&'static str]),
    /// ggml is not asked to read a header with such contents together with its tensor data.
    ReadByLlamaCpp(fn(&Contents) -> bool),
    /// What the runtime of that name read is not compared where an array of the header has such a text.
    Compare(&'static str, fn(&[u8]) -> bool),
    /// candle does not load such a model.
    LoadByCandle(fn(&Traits) -> bool),
    /// llama.cpp does not load such a model.
    LoadByLlamaCpp(fn(&Traits) -> bool),
    /// llama.cpp, which has loaded such a model, is not asked to tokenise its text.
    TokenizeByLlamaCpp(fn(&Mutated) -> bool),
    /// llama.cpp, which has loaded such a model, does not run it.
    EvaluateByLlamaCpp(fn(&Traits) -> bool),
    /// candle is not asked to tokenise such a text.
    TokenizeByCandle(fn(&TextCase) -> bool),
    /// candle is not judged on a recipe in which hyper-parameters of these names differ from their defaults.
    JudgeCandle(fn(&[&str]) -> bool),
}

impl Known {
    /// The texts that tell it, where it is told by texts.
    pub fn words(&self) -> &'static [&'static str] {
        match self.by {
            By::Words(words) => words,
            _ => &[],
        }
    }

    const fn says(id: &'static str, words: &'static [&'static str]) -> Self {
        Self { id, by: By::Words(words) }
    }

    const fn has(id: &'static str, by: By) -> Self {
        Self { id, by }
    }
}

static PASSING_OVER: AtomicBool = AtomicBool::new(true);

/// From now on known findings are findings like any other: for replaying them.
pub fn stop_at_known() {
    PASSING_OVER.store(false, Ordering::Relaxed);
}

/// The variable that, set to anything, makes known findings findings like any other.
pub const STOP_AT_KNOWN: &str = "GGAUGE_FUZZ_STOP_AT_KNOWN";

/// True while known findings are passed over.
pub fn passing_over() -> bool {
    static STOPPED_FROM_OUTSIDE: LazyLock<bool> = LazyLock::new(|| std::env::var_os(STOP_AT_KNOWN).is_some());
    PASSING_OVER.load(Ordering::Relaxed) && !*STOPPED_FROM_OUTSIDE
}

/// The filed finding that a text belongs to.
pub fn find(text: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| matches!(known.by, By::Words(words) if words.iter().all(|words| text.contains(words))))
}

/// True for the text of a finding that is known and to be passed over; counts it.
pub fn is_known(text: &str) -> bool {
    match find(text).filter(|_| passing_over()) {
        Some(known) => {
            statistics::count(known.id);
            true
        }
        None => false,
    }
}

/// True where an input has what makes a known finding, so that one step is to be left out; counts it. `has` says of a row whether it is about
/// this step and this input.
pub fn leave_out(has: impl Fn(&By) -> bool) -> bool {
    match KNOWN.iter().find(|known| passing_over() && has(&known.by)) {
        Some(known) => {
            statistics::count(known.id);
            true
        }
        None => false,
    }
}

/// Reports that something is not as it should be, in words that begin with what was compared. Returns where that is known.
///
/// # Panics
/// Where it is not: that is how a target says that it has found something.
pub fn report(text: &str) {
    assert!(is_known(text), "{text}");
}

/// Set by the hook for a panic that is known, which may have happened in another thread.
static KNOWN_PANIC: AtomicBool = AtomicBool::new(false);

/// Runs Rust code that may panic, and gives `None` where it panics in a known way. Every other panic is the engine's.
pub fn guard<T>(run: impl FnOnce() -> T) -> Option<T> {
    static ONCE: Once = Once::new();
    // In front of the engine's own hook, which ends the process.
    ONCE.call_once(|| {
        let engines = take_hook();
        set_hook(Box::new(move |info| {
            if is_known(&info.to_string()) {
                KNOWN_PANIC.store(true, Ordering::SeqCst);
            } else {
                engines(info);
            }
        }));
    });
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(_) if KNOWN_PANIC.swap(false, Ordering::SeqCst) => None,
        // An engine whose hook returns gets the panic itself.
        Err(payload) => resume_unwind(payload),
    }
}

/// ggml asks for the memory of tensor data that a header only claims, before it looks whether the file has as much: so many bytes it may.
const CLAIMED: u64 = 64 << 20;

/// Numbers beyond which candle is not asked, because it makes room for as many layers, experts, positions or elements of a head at once.
const MANY: u64 = 4096;

/// True where the tensor table says that there is more data than anybody should be asked to make room for.
fn claims_too_much(contents: &Contents) -> bool {
    let number = |text: &String| text.parse::<u64>().unwrap_or(u64::MAX);
    let bytes = contents.tensors.iter().map(|tensor| {
        let elements = tensor.dimensions.iter().flatten().map(number).fold(1u64, u64::saturating_mul);
        let weight_type = tensor.type_id.and_then(gguf::WeightType::from_id);
        weight_type.and_then(|weight_type| weight_type.row_bytes(elements)).unwrap_or(u64::MAX)
    });
    bytes.fold(0u64, u64::saturating_add) > CLAIMED
}

/// The filed findings.
pub const KNOWN: &[Known] = &[
    // Of corpora/vectors/FINDINGS.md, where each has a vector.
    Known::says("LCPP-01", &["ggml-backend.cpp:2671"]),
    Known::says("LCPP-02", &["llama-model.cpp:1330"]),
    Known::says("LCPP-02", &["llama-model.cpp:1332"]),
    Known::says("LCPP-02", &["llama-model.cpp:1367"]),
    Known::says("LCPP-02", &["llama-model.cpp:1369"]),
    Known::says("LCPP-02", &["llama-model.cpp:1370"]),
    Known::says("LCPP-02", &["llama-model.cpp:1371"]),
    Known::says("LCPP-02", &["llama-model.cpp:1374"]),
    Known::says("LCPP-02", &["llama-model.cpp:1375"]),
    Known::says("LCPP-02", &["llama-model.cpp:1422"]),
    Known::says("LCPP-03", &["llama-model.cpp:1363"]),
    Known::says("LCPP-03", &["llama-model.cpp:1364"]),
    Known::says("LCPP-03", &["llama-model.cpp:1366"]),
    Known::says("LCPP-04", &["llama-vocab.cpp:2578"]),
    Known::says("LCPP-05", &["ops.cpp:4026"]),
    Known::says("LCPP-05", &["ops.cpp:4132"]),
    Known::says("LCPP-37", &["ggml.c:1787"]),
    Known::says("LCPP-38", &["gguf.cpp:196"]),
    Known::says("CNDL-01", &["gguf_file.rs:101", "multiply with overflow"]),
    Known::says("CNDL-01", &["accum.rs:", "multiply with overflow"]),
    Known::says("CNDL-01", &["shape.rs:", "multiply with overflow"]),
    Known::says("CNDL-02", &["gguf_file.rs:", "divide by zero"]),
    Known::says("CNDL-04", &["candle-transformers-", "/models/", "divide by zero"]),
    Known::says("LCPP-20", &["llama.cpp refuses a header", "a name of 64 bytes"]),
    // Of corpora/regressions/FINDINGS.md.
    Known::says("LCPP-F04", &["llama-vocab.cpp:3241"]),
    Known::says("LCPP-F04", &["llama-vocab.cpp:3244"]),
    Known::says("LCPP-F11", &["llama-vocab.cpp:3581"]),
    Known::says("LCPP-F05", &["src/models/", "GGML_ASSERT(n_embd_head"]),
    Known::says("LCPP-F06", &["ops.cpp:6354"]),
    Known::says("LCPP-F06", &["ops.cpp:6355"]),
    Known::says("LCPP-F07", &["ggml.c:1797"]),
    Known::says("LCPP-F07", &["ggml.c:3758"]),
    Known::says("LCPP-F16", &["llama-vocab.cpp:3456"]),
    Known::says("LCPP-F09", &["binary-ops.cpp:", "unsupported types"]),
    Known::says("LCPP-F10", &["llama-model.cpp:2823"]),
    Known::says("CNDL-F03", &["k_quants.rs:320"]),
    Known::says("CNDL-F03", &["k_quants.rs:417"]),
    Known::says("CNDL-F03", &["k_quants.rs:526"]),
    Known::says("CNDL-F05", &["sort.rs:26", "chunk_size must not be zero"]),
    Known::says("LCPP-F08", &["llama.cpp's detokeniser loses spaces"]),
    // Of both files, those without words.
    Known::has("CNDL-07", By::Compare("candle", |text| text.ends_with(&[0]))),
    Known::has("LCPP-10", By::Compare("llama.cpp", |text| text.contains(&0))),
    Known::has("LCPP-F01", By::ReadByLlamaCpp(claims_too_much)),
    Known::has("CNDL-03", By::LoadByCandle(|model| model.parts > MANY)),
    Known::has("CNDL-F06", By::LoadByCandle(|model| model.largest > MANY)),
    // Undefined behaviour everywhere, which ends a process where the standard library's checks are on.
    Known::has("CNDL-F01", By::LoadByCandle(|model| cfg!(debug_assertions) && model.is_empty)),
    Known::has("LCPP-F14", By::LoadByLlamaCpp(|model| model.divides_by_heads)),
    // A text that needs a byte token which is not there.
    Known::has("LCPP-F02", By::TokenizeByLlamaCpp(|model| model.traits.lacks_bytes && !model.text.is_empty())),
    Known::has("LCPP-F20", By::TokenizeByLlamaCpp(|model| model.traits.is_rwkv)),
    Known::has("LCPP-F15", By::EvaluateByLlamaCpp(|model| model.rotated == 0)),
    Known::has("LCPP-F18", By::EvaluateByLlamaCpp(|model| model.rotated < 0)),
    Known::has("LCPP-F03", By::EvaluateByLlamaCpp(|model| model.lacks_queries)),
    Known::has("LCPP-F12", By::EvaluateByLlamaCpp(|model| model.lacks_product)),
    Known::has("CNDL-F02", By::TokenizeByCandle(|case| case.vocabulary.pre == "qwen2" && case.may_be_composed())),
    Known::has("CNDL-F04", By::JudgeCandle(|changed| changed.contains(&"rope-magnitude"))),
];
