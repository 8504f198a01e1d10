//! Glue to libFuzzer; the target is `fuzzing::load_candle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::load_candle(data));
