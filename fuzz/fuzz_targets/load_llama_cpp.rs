//! Glue to libFuzzer; the target is `fuzzing::load_llama_cpp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::load_llama_cpp(data));
