//! Not an API: exit codes of the `ggauge` binary. They stand in `ggauge --help` too, and a test holds the two together.

use machine::{Error, interrupt};
use vocabulary::Upshot;

/// Everything judged passed, failed as expected, or is unsupported.
pub const SUCCESS: u8 = 0;
/// At least one comparison failed, passed unexpectedly or was vacuous; an inspected file is invalid.
pub const FAILED: u8 = 1;
/// The input is wrong: arguments, a model, a policy file.
pub const BAD_INPUT: u8 = 2;
/// The harness could not do its work: disk full, download failed, worker that cannot be started.
pub const HARNESS: u8 = 3;
/// Nothing was judged: every case was unsupported.
pub const NOTHING_JUDGED: u8 = 4;
/// Interrupted from the keyboard.
pub const INTERRUPTED: u8 = interrupt::EXIT_CODE;

/// The exit code of what everything came to.
pub fn of(upshot: Upshot) -> u8 {
    match upshot {
        Upshot::Good => SUCCESS,
        Upshot::Bad => FAILED,
        Upshot::NothingJudged => NOTHING_JUDGED,
    }
}

/// The exit code of an error.
pub fn of_error(error: &Error) -> u8 {
    match error {
        Error::Input { .. } => BAD_INPUT,
        Error::Harness { .. } => HARNESS,
        Error::Interrupted => INTERRUPTED,
    }
}
