//! Glue to libFuzzer; the target is `ggauge::fuzz::logits_differential`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ggauge::fuzz::logits_differential(data));
