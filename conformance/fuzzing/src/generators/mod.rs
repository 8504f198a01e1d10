//! What an input stands for. A generator draws a case from bytes, fails on no input, and knows nothing of what is done with the case.

mod arrays;
pub mod blocks;
mod changes;
pub mod headers;
mod keys;
pub mod models;
pub mod recipes;
mod tables;
pub mod text;
pub mod traits;
