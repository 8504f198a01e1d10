//! The targets: each a generator handed to an oracle.
//!
//! Each panics, or ends the process, where it has found something that is not filed; what it checks is said by its oracle.
#![allow(clippy::missing_panics_doc, reason = "to panic is what a target is for")]

#[cfg(feature = "harness")]
use crate::{
    generators::recipes::RecipeCase,
    oracles::{logits, protocol as lines},
    statistics,
};
use crate::{
    generators::{blocks::CodecRow, headers, models, text::TextCase},
    oracles::{codec as blocks, header, load, tokenizer as text},
};

/// Raw bytes, read by our reader.
pub fn header_ours(input: &[u8]) {
    header::ours(input);
}

/// Raw bytes, read by candle's reader.
#[cfg(feature = "candle")]
pub fn header_candle(input: &[u8]) {
    header::candle(input);
}

/// Raw bytes, read by ggml's reader.
#[cfg(feature = "llama-cpp")]
pub fn header_llama_cpp(input: &[u8]) {
    header::llama_cpp(input);
}

/// Structured headers, read by everybody.
pub fn header_differential(input: &[u8]) {
    header::differential(&headers::draw(input).finish());
}

/// Structured headers, written and read back.
pub fn round_trip(input: &[u8]) {
    header::round_trip(&headers::draw(input));
}

/// Blocks of every type.
pub fn codec(input: &[u8]) {
    if let Some(row) = CodecRow::draw(input) {
        blocks::check(&row);
    }
}

/// Random text over several vocabularies.
pub fn tokenizer(input: &[u8]) {
    if let Some(case) = TextCase::draw(input) {
        text::check(&case);
    }
}

/// Mutated tiny models, loaded and run by candle.
#[cfg(feature = "candle")]
pub fn load_candle(input: &[u8]) {
    if let Ok(model) = models::mutated(input) {
        load::candle(&model);
    }
}

/// Mutated tiny models, loaded and run by llama.cpp.
#[cfg(feature = "llama-cpp")]
pub fn load_llama_cpp(input: &[u8]) {
    if let Ok(model) = models::mutated(input) {
        load::llama_cpp(&model);
    }
}

/// Lines of the worker protocol and what else people write.
#[cfg(feature = "harness")]
pub fn protocol(input: &[u8]) {
    lines::check(input);
}

/// Random valid recipes, through every CPU subject.
#[cfg(feature = "harness")]
pub fn logits_differential(input: &[u8]) {
    match RecipeCase::draw(input) {
        Some(case) => logits::check(&case),
        None => statistics::count("no recipe"),
    }
}

/// The function of a target, by its name in the catalogue. `None` for one that needs a runtime, or the harness, that this build lacks.
pub fn function(name: &str) -> Option<fn(&[u8])> {
    Some(match name {
        "header_ours" => header_ours,
        #[cfg(feature = "candle")]
        "header_candle" => header_candle,
        #[cfg(feature = "llama-cpp")]
        "header_llama_cpp" => header_llama_cpp,
        "header_differential" => header_differential,
        "round_trip" => round_trip,
        "codec" => codec,
        "tokenizer" => tokenizer,
        #[cfg(feature = "candle")]
        "load_candle" => load_candle,
        #[cfg(feature = "llama-cpp")]
        "load_llama_cpp" => load_llama_cpp,
        #[cfg(feature = "harness")]
        "protocol" => protocol,
        #[cfg(feature = "harness")]
        "logits_differential" => logits_differential,
        _ => return None,
    })
}
