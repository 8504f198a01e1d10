//! Other people's words, fit to be printed: whatever a file, a runtime, a worker, a Record or a path says reaches a terminal, Markdown, JSON, a
//! picture or a shell command through this crate alone.
//!
//! Words are kept as they are in Records, and become printable where they are shown: in reports, which are [`Page`]s, in errors, and in pictures.
//! Nothing is below this crate, because everything says something.
#![forbid(unsafe_code)]

mod page;
mod piece;
mod table;
mod text;
mod words;

pub use page::Page;
pub use piece::Piece;
pub use table::{Form, Ruled, Sheet, ruled_table};
pub use text::Text;
pub use words::{LONGEST_WORDS, NEXT, cut, hex, json, line, markdown, no_command, quoted, short, short_digest};
