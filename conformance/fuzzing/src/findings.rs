//! What has been filed, so that fuzzing goes on past it: the text of an assertion or a panic, or what an input has, tells a known
//! finding. Each is counted where it is met.
//!
//! A row here covers one place in a runtime's source where a cause shows, or, where one mistake stands in many files, all of them by the words
//! they share. It has its entry in `corpora/regressions/FINDINGS.md`, whose smallest input is replayed by `cargo test`, without this list:
//! a finding that was fixed shows as an unexpected pass there. A fault in the same function but another line is a new finding.

use crate::statistics;
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook},
    sync::{
        LazyLock, Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// A filed finding that ends a process with words.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its id in `FINDINGS.md`.
    pub id: &'static str,
    /// Texts that all stand in what the process says: a file and line, and where that is not enough, the words.
    pub words: &'static [&'static str],
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
    KNOWN.iter().find(|known| known.words.iter().all(|words| text.contains(words)))
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

/// True where an input that has what makes a known finding is to be left out; counts it. For findings that leave no words: a crash, a
/// hang, a flood of memory.
pub fn leave_out(id: &'static str, input_has_it: bool) -> bool {
    let left_out = input_has_it && passing_over();
    if left_out {
        statistics::count(id);
    }
    left_out
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

/// The filed findings that end a process with words.
pub const KNOWN: &[Known] = &[
    // Of corpora/vectors/FINDINGS.md, where each has a vector.
    Known { id: "LCPP-01", words: &["ggml-backend.cpp:2671"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1330"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1332"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1367"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1369"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1370"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1371"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1374"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1375"] },
    Known { id: "LCPP-02", words: &["llama-model.cpp:1422"] },
    Known { id: "LCPP-03", words: &["llama-model.cpp:1363"] },
    Known { id: "LCPP-03", words: &["llama-model.cpp:1364"] },
    Known { id: "LCPP-03", words: &["llama-model.cpp:1366"] },
    Known { id: "LCPP-04", words: &["llama-vocab.cpp:2578"] },
    Known { id: "LCPP-05", words: &["ops.cpp:4026"] },
    Known { id: "LCPP-05", words: &["ops.cpp:4132"] },
    Known { id: "LCPP-37", words: &["ggml.c:1787"] },
    Known { id: "LCPP-38", words: &["gguf.cpp:196"] },
    Known { id: "CNDL-01", words: &["gguf_file.rs:101", "multiply with overflow"] },
    Known { id: "CNDL-01", words: &["accum.rs:", "multiply with overflow"] },
    Known { id: "CNDL-01", words: &["shape.rs:", "multiply with overflow"] },
    Known { id: "CNDL-02", words: &["gguf_file.rs:", "divide by zero"] },
    Known { id: "CNDL-04", words: &["candle-transformers-", "/models/", "divide by zero"] },
    Known { id: "LCPP-20", words: &["llama.cpp refuses a header", "a name of 64 bytes"] },
    // Of corpora/regressions/FINDINGS.md.
    Known { id: "LCPP-F04", words: &["llama-vocab.cpp:3241"] },
    Known { id: "LCPP-F04", words: &["llama-vocab.cpp:3244"] },
    Known { id: "LCPP-F11", words: &["llama-vocab.cpp:3581"] },
    Known { id: "LCPP-F05", words: &["src/models/", "GGML_ASSERT(n_embd_head"] },
    Known { id: "LCPP-F06", words: &["ops.cpp:6354"] },
    Known { id: "LCPP-F06", words: &["ops.cpp:6355"] },
    Known { id: "LCPP-F07", words: &["ggml.c:1797"] },
    Known { id: "LCPP-F07", words: &["ggml.c:3758"] },
    Known { id: "LCPP-F16", words: &["llama-vocab.cpp:3456"] },
    Known { id: "LCPP-F09", words: &["binary-ops.cpp:", "unsupported types"] },
    Known { id: "LCPP-F10", words: &["llama-model.cpp:2823"] },
    Known { id: "CNDL-F03", words: &["k_quants.rs:320"] },
    Known { id: "CNDL-F03", words: &["k_quants.rs:417"] },
    Known { id: "CNDL-F03", words: &["k_quants.rs:526"] },
    Known { id: "CNDL-F05", words: &["sort.rs:26", "chunk_size must not be zero"] },
    Known { id: "LCPP-F08", words: &["llama.cpp's detokeniser loses spaces"] },
];
