//! Glue to libFuzzer; the target is `fuzzing::header_differential`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::header_differential(data));
