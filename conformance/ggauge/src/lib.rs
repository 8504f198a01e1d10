//! Differential fuzzing and conformance suite for GGUF models and the runtimes that run them.
