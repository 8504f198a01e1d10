//! Thin layers over other people's GGUF readers: what each of them makes of a file.
//!
//! Every module opens a file the way its crate's README does and repeats what the crate then tells, and nothing else. Nothing
//! is checked or filled in here, and a panic is not caught: what a reader overlooks, forgets or dies of is what we are here to
//! see. Readers in other languages are in `conformance/workers`; they speak the protocol themselves.
#![forbid(unsafe_code)]

mod gguf;
mod gguf_rs;
mod gguf_rs_lib;
mod ggus;
pub mod ours;

pub use gguf::Gguf;
pub use gguf_rs::GgufRs;
pub use gguf_rs_lib::GgufRsLib;
pub use ggus::Ggus;
pub use ours::OurReader;

use std::io;
use vocabulary::{Description, Refusal, RejectionClass, Subject};

/// Every reader here, by its name on crates.io. `gguf` is not our own crate of that name.
pub const NAMES: [&str; 4] = ["gguf", "gguf-rs", "gguf-rs-lib", "ggus"];

/// The reader called `name`, one of [`NAMES`].
pub fn create(name: &str) -> Option<Box<dyn Subject>> {
    Some(match name {
        "gguf" => Box::new(Gguf),
        "gguf-rs" => Box::new(GgufRs),
        "gguf-rs-lib" => Box::new(GgufRsLib),
        "ggus" => Box::new(Ggus),
        _ => return None,
    })
}

fn description(name: &str, version: &str) -> Description {
    Description { runtime: format!("{name} {version}"), ..Description::default() }
}

fn unreadable(error: io::Error) -> Refusal {
    Refusal::read(RejectionClass::Unreadable, error.to_string())
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::read(RejectionClass::Malformed, message)
}

/// The refusal for an I/O error in the middle of reading: a file that ends early is malformed, a disk that fails is not.
fn io_refusal(error: &io::Error, message: String) -> Refusal {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed(message),
        _ => Refusal::read(RejectionClass::Unreadable, message),
    }
}

fn decimal(numbers: &[u64]) -> Vec<String> {
    numbers.iter().map(u64::to_string).collect()
}
