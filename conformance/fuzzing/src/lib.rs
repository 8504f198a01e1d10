//! Fuzz targets as library code, in the manner of wasmtime's `crates/fuzzing`: generators and oracles live here, know no engine, and
//! build on stable. `fuzz/` is the glue to libFuzzer, a few lines a target; `ggauge` replays what was found.
//!
//! A target is a function of bytes that returns where everything is as it should be, and does not return where something is not: it
//! panics, or the runtime under test panics, aborts, crashes, hangs or takes too much memory. [`findings`] knows what has been filed, so
//! that fuzzing goes on past it; [`statistics`] counts how far inputs came, so that no target is blind without anybody noticing.
//!
//! To add a target, write its function, add its row to [`TARGETS`], and add its glue to `fuzz/`; `CONTRIBUTING.md` says what else.
#![forbid(unsafe_code)]

mod blocks;
pub mod findings;
mod headers;
mod memory;
mod models;
pub mod seeds;
pub mod statistics;
mod tokenizers;

pub use blocks::codec;
#[cfg(feature = "candle")]
pub use headers::header_candle;
#[cfg(feature = "llama-cpp")]
pub use headers::header_llama_cpp;
pub use headers::{header_differential, header_ours, round_trip};
#[cfg(feature = "candle")]
pub use models::load_candle;
#[cfg(feature = "llama-cpp")]
pub use models::load_llama_cpp;
pub use models::{Mutated, mutated};
pub use tokenizers::tokenizer;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of the function, the binary in `fuzz/`, and the folders of seeds and regressions.
    pub name: &'static str,
    /// What it does, in words.
    pub about: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// The longest input that is of use, in bytes.
    pub longest: usize,
}

/// The targets of this crate, from the cheapest to the dearest. Those that need the harness are in `ggauge::fuzz`.
pub const TARGETS: &[Target] = &[
    Target { name: "header_ours", about: "our reader, strict and lenient, on raw bytes", run: header_ours, longest: 4096 },
    #[cfg(feature = "candle")]
    Target { name: "header_candle", about: "candle's reader on raw bytes", run: header_candle, longest: 4096 },
    #[cfg(feature = "llama-cpp")]
    Target { name: "header_llama_cpp", about: "ggml's reader on raw bytes", run: header_llama_cpp, longest: 4096 },
    Target {
        name: "header_differential",
        about: "structured headers: who accepts what, and reads what",
        run: header_differential,
        longest: 800,
    },
    Target { name: "round_trip", about: "what our writer wrote, read back by every reader", run: round_trip, longest: 800 },
    Target {
        name: "codec",
        about: "blocks of every type: values to the bit, dot products within bounds",
        run: codec,
        longest: 2048,
    },
    Target { name: "tokenizer", about: "llama.cpp against candle on random text, and back", run: tokenizer, longest: 256 },
    #[cfg(feature = "candle")]
    Target { name: "load_candle", about: "mutated tiny models loaded and run by candle", run: load_candle, longest: 512 },
    #[cfg(feature = "llama-cpp")]
    Target {
        name: "load_llama_cpp",
        about: "mutated tiny models loaded and run by llama.cpp",
        run: load_llama_cpp,
        longest: 512,
    },
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The files that an input of a target stands for, by their names; `None` for targets without files.
pub fn files(target: &str, input: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let one = |bytes: Vec<u8>| Some(vec![("model.gguf".to_owned(), bytes)]);
    match target {
        "header_ours" | "header_candle" | "header_llama_cpp" => one(input.to_vec()),
        "header_differential" | "round_trip" => one(headers::draw(input).finish()),
        "load_candle" | "load_llama_cpp" => {
            let model = mutated(input).ok()?;
            let count = model.files.len();
            // A split model's files find each other by these names.
            let name = |number: usize| match count {
                1 => "model.gguf".to_owned(),
                _ => format!("model-{:05}-of-{count:05}.gguf", number + 1),
            };
            let files = model.files.into_iter().enumerate().map(|(number, bytes)| (name(number), bytes));
            Some(files.chain(model.adapter.map(|bytes| ("adapter.gguf".to_owned(), bytes))).collect())
        }
        _ => None,
    }
}
