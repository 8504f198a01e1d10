//! Glue to libFuzzer; the target is `fuzzing::logits_differential`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::logits_differential(data));
