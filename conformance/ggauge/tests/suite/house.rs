//! The house's rules that a test can hold: who may import whom, in which order, how long, how named, and that places agree. Reads files and
//! starts nothing.

mod files;
mod imports;
mod places;
mod rooms;
mod source;
