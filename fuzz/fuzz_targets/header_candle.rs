//! Glue to libFuzzer; the target is `fuzzing::header_candle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::header_candle(data));
