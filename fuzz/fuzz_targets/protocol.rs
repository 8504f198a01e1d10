//! Glue to libFuzzer; the target is `ggauge::fuzz::protocol`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ggauge::fuzz::protocol(data));
