//! The executable specification: an exact f64 forward pass per architecture, written for reading.
