//! Tiny valid GGUF models, made from a recipe and a seed.
