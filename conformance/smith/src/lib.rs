//! Tiny valid GGUF models, made from a recipe and a seed; and headers drawn from bytes, sound or not, for whatever reads them
//! ([`header`]).
//!
//! Laws of the recipes: every model is valid and loads in the runtimes; the same recipe gives the same bytes on every
//! platform (a test pins their sha256); weights need no quantiser, because blocks are drawn, and the codec in `gguf` says what
//! they are worth. Weights are scaled so that attention logits have a spread of 1 to 5 and norm gains lie near 1: with the
//! usual tiny random weights attention is nearly uniform, and errors in rotary embedding and masks cannot be seen.
//!
//! To add an architecture, write a module in `architectures/` and list it there; to add a hyper-parameter, a row in that module or in
//! `parameter.rs`; to add a weight type, a row in `blocks.rs` and in [`Recipe::WEIGHTS`].
#![forbid(unsafe_code)]

mod architectures;
mod blocks;
mod headers;
mod model;
mod parameter;
mod recipe;

pub use architectures::Architecture;
pub use headers::header;
pub use parameter::Parameter;
pub use recipe::{InvalidRecipe, Recipe};
