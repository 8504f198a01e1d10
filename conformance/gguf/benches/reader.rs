//! Reading headers, strictly and leniently. Budgets: 20 ms and 32 MiB of heap for the header of a 253 MB model with 262144
//! tokens, and 500 MB/s for files that are nothing but metadata.
//!
//! Run it with `cargo bench --profile dev -p gguf --bench reader`, which shares the build of everything else. The model is one
//! of the pinned ones: `ggauge fetch gemma-3-270m`.
#![expect(clippy::disallowed_methods, reason = "it measures on a real file")]

use divan::{AllocProfiler, Bencher, counter::BytesCount};
use gguf::{Draft, File, Mode, ValueType};
use std::{fs, path::PathBuf};

/// Says what each reading took of the heap at most, and costs next to nothing, because reading allocates seldom.
#[global_allocator]
static HEAP: AllocProfiler = AllocProfiler::system();

const MODES: [Mode; 2] = [Mode::Strict, Mode::Lenient];
/// The size of the synthetic files, more or less: larger than caches are.
const SIZE: usize = 16 << 20;

const MODEL: &str = "gemma-3-270m-q4_k_m.gguf";

fn main() {
    if model().is_none() {
        eprintln!("{MODEL} is not in the cache, so its header is not read; `ggauge fetch gemma-3-270m` gets it");
    }
    divan::main();
}

/// The model in the cache of `ggauge`: `GGAUGE_CACHE`, or `ggauge` in the user's own cache folder.
fn model() -> Option<PathBuf> {
    let named = std::env::var_os("GGAUGE_CACHE").filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_user = || directories::BaseDirs::new().map(|folders| folders.cache_dir().join("ggauge"));
    let path = named.or_else(of_user)?.join("models").join(MODEL);
    path.is_file().then_some(path)
}

#[divan::bench(args = MODES, ignore = model().is_none())]
fn header_of_a_model(bencher: Bencher, mode: Mode) {
    let path = model().expect("the benchmark is ignored without it");
    let bytes = fs::read(path).expect("the file is readable");
    bencher.bench_local(|| File::read(&bytes, mode).expect("the model is valid"));
}

fn read(bencher: Bencher, draft: &Draft<'_>, mode: Mode) {
    let bytes = draft.finish();
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| File::read(&bytes, mode).expect("the file is valid"));
}

fn metadata() -> Draft<'static> {
    let mut draft = Draft::new();
    draft.str("general.architecture", "vector");
    draft
}

/// Texts of lengths from `least` to `most`, `SIZE` bytes with their lengths; one in 16 is not ASCII, as in vocabularies.
fn texts(least: usize, most: usize) -> Vec<String> {
    let mut left = SIZE;
    let mut number = 0;
    let next = || {
        let len = least + number * 7919 % (most - least + 1);
        number += 1;
        left = left.checked_sub(8 + len)?;
        let (letter, last) = if number % 16 == 0 && len > 3 { ("a", "\u{2581}") } else { ("a", "b") };
        Some(letter.repeat(len - last.len()) + last)
    };
    std::iter::from_fn(next).collect()
}

#[divan::bench(args = MODES)]
fn long_strings(bencher: Bencher, mode: Mode) {
    read(bencher, metadata().strings("vector.texts", &texts(60, 500)), mode);
}

#[divan::bench(args = MODES)]
fn short_strings(bencher: Bencher, mode: Mode) {
    read(bencher, metadata().strings("vector.texts", &texts(1, 8)), mode);
}

/// Not a file anybody has: one has some dozens of keys.
#[divan::bench(args = MODES)]
fn small_keys(bencher: Bencher, mode: Mode) {
    let mut draft = metadata();
    // Length, name, type and value.
    for number in 0..SIZE / (8 + 16 + 4 + 4) {
        draft.u32(&format!("vector.key{number:06}"), number as u32);
    }
    read(bencher, &draft, mode);
}

#[divan::bench(args = MODES)]
fn numbers(bencher: Bencher, mode: Mode) {
    let mut draft = metadata();
    for (key, value_type) in
        [("vector.bytes", ValueType::U8), ("vector.flags", ValueType::Bool), ("vector.reals", ValueType::F32)]
    {
        let bytes = vec![1; SIZE / 3 / 4 * 4];
        draft.array(key, value_type.id(), bytes.len() as u64 / value_type.size().unwrap_or(1), &bytes);
    }
    draft.i32s("tokenizer.ggml.token_type", &vec![1; SIZE / 4]);
    read(bencher, &draft, mode);
}
