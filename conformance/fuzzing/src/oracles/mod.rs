//! What has to hold of a case, whoever drew it: an oracle returns where it does, and panics, or lets the runtime under test end the process,
//! where it does not.

pub mod codec;
pub mod header;
pub mod load;
#[cfg(feature = "harness")]
pub mod logits;
#[cfg(feature = "harness")]
pub mod protocol;
pub mod tokenizer;
