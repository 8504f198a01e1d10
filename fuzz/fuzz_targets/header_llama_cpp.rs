//! Glue to libFuzzer; the target is `fuzzing::header_llama_cpp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::header_llama_cpp(data));
