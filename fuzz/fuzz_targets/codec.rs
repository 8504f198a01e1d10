//! Glue to libFuzzer; the target is `fuzzing::codec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::codec(data));
