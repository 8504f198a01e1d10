//! What we ask of the operating system: programs that are started, watched and ended, files that are read, mapped, hashed and cached, and the user's
//! Ctrl-C. The one `unsafe` outside the layers over runtimes is here, in [`MappedFile`].
#![deny(unsafe_code)]

pub mod attend;
pub mod cache;
mod error;
pub mod external;
pub mod family;
pub mod files;
pub mod interrupt;
pub mod lock;
mod mapped;
pub mod scratch;
pub mod small;
pub mod watched;

pub use error::Error;
pub use mapped::{MappedFile, map_model};
