//! Fuzz targets as library code, in the manner of wasmtime's `crates/fuzzing`: generators and oracles live here, know no engine, and
//! build on stable. `fuzz/` is the glue to libFuzzer, a few lines a target; `fuzz-driver` builds and runs it; `ggauge replay` and `ggauge promote` ask
//! [`regressions`].
//!
//! A target is a function of bytes that returns where everything is as it should be, and does not return where something is not: it
//! panics, or the runtime under test panics, aborts, crashes, hangs or takes too much memory. [`catalogue`] has all facts of each;
//! [`known`] has what was filed, so that fuzzing goes on past it; [`statistics`] counts how far inputs came, so that no target is blind
//! without anybody noticing.
//!
//! Runtimes and the harness are features: whoever needs no more than the catalogue links none of them.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(all(feature = "llama-cpp", feature = "candle")),
    allow(unused, reason = "without a runtime, oracles have less to compare, and less to compare it with")
)]

pub mod catalogue;
pub mod generators;
pub mod known;
mod memory;
pub mod oracles;
#[cfg(feature = "harness")]
pub mod regressions;
pub mod seeds;
pub mod statistics;
mod targets;

pub use catalogue::{TARGETS, Target, target};
pub use targets::{codec, function, header_differential, header_ours, round_trip, tokenizer};
#[cfg(feature = "candle")]
pub use targets::{header_candle, load_candle};
#[cfg(feature = "llama-cpp")]
pub use targets::{header_llama_cpp, load_llama_cpp};
#[cfg(feature = "harness")]
pub use targets::{logits_differential, protocol};

use catalogue::Input;
use generators::{headers, models};

/// The files that an input of a target stands for, by their names; `None` for targets without files.
pub fn files(target: &Target, input: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let one = |bytes: Vec<u8>| Some(vec![("model.gguf".to_owned(), bytes)]);
    match target.input {
        Input::Raw => one(input.to_vec()),
        Input::Header => one(headers::draw(input).finish()),
        Input::Model => {
            let model = models::mutated(input).ok()?;
            let count = model.files.len();
            // A split model's files find each other by these names.
            let name = |number: usize| match count {
                1 => "model.gguf".to_owned(),
                _ => format!("model-{:05}-of-{count:05}.gguf", number + 1),
            };
            let files = model.files.into_iter().enumerate().map(|(number, bytes)| (name(number), bytes));
            Some(files.chain(model.adapter.map(|bytes| ("adapter.gguf".to_owned(), bytes))).collect())
        }
        Input::Blocks | Input::Text | Input::Line | Input::Recipe => None,
    }
}
