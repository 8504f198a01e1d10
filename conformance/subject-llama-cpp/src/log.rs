//! llama.cpp's log: everything goes to stderr, where the harness keeps it as evidence, and errors are remembered, because the log
//! is the only place where llama.cpp says why a load failed.

use std::{
    ffi::{CStr, c_char, c_void},
    io::Write,
    sync::Mutex,
};

/// Bytes of error text that are remembered: a hostile file must not make the worker grow.
const REMEMBERED: usize = 4096;

static ERRORS: Mutex<String> = Mutex::new(String::new());

/// Begins to listen. llama.cpp has one log for the whole process.
pub(crate) fn listen() {
    // SAFETY: the callback takes no user data and never unwinds.
    unsafe { llama_cpp_sys_2::llama_log_set(Some(on_message), std::ptr::null_mut()) };
}

/// Forgets the errors so far, before something is tried.
pub(crate) fn forget_errors() {
    if let Ok(mut errors) = ERRORS.lock() {
        errors.clear();
    }
}

/// The errors since [`forget_errors`], in one line.
pub(crate) fn errors() -> String {
    ERRORS.lock().map(|errors| errors.trim().replace('\n', "; ")).unwrap_or_default()
}

extern "C" fn on_message(level: llama_cpp_sys_2::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a string that ends in NUL and lives until we return.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    // A closed stderr is no reason to stop.
    let _ = std::io::stderr().write_all(text);
    if level == llama_cpp_sys_2::GGML_LOG_LEVEL_ERROR
        && let Ok(mut errors) = ERRORS.lock()
        && errors.len() < REMEMBERED
    {
        errors.extend(String::from_utf8_lossy(text).chars().take(REMEMBERED));
    }
}
