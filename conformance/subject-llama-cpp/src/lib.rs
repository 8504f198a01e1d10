//! The thin layer over llama.cpp.
