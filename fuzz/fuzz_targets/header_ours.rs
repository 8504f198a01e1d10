//! Glue to libFuzzer; the target is `fuzzing::header_ours`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::header_ours(data));
