//! Goldens: what cases gave when somebody last looked, as texts that people review, and which differences between two of them are noise.
//!
//! Numbers may differ by a limit that is made for exactly them: what rounding makes of this prompt's logits in the reference, times what
//! calibration found correct runtimes to make of that ([`vocabulary::Limits::drift`]).
//!
//! Nothing here knows where goldens lie or who accepts them: that is `golden/` and its tests.

mod difference;
pub mod golden;
pub mod held;
pub mod outputs;
mod snapshot;
