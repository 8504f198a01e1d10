//! Glue to libFuzzer; the target is `fuzzing::tokenizer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::tokenizer(data));
