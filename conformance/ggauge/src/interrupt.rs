//! Ctrl-C and SIGTERM as a flag that long work looks at, so that workers end and temporary files go before the process does.

use signal_hook::{consts, flag};
use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicBool, Ordering},
};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Begins to listen. A second Ctrl-C ends the process at once.
///
/// # Errors
/// Where the system refuses the handlers.
pub fn listen() -> std::io::Result<()> {
    for signal in [consts::SIGINT, consts::SIGTERM] {
        flag::register_conditional_shutdown(signal, i32::from(crate::error::exit_code::INTERRUPTED), INTERRUPTED.clone())?;
        flag::register(signal, INTERRUPTED.clone())?;
    }
    ignore_file_size_signal()
}

/// Makes a write beyond the file size limit fail with an error, as on a full disk, instead of ending the process.
///
/// # Errors
/// Where the system refuses the handler.
pub fn ignore_file_size_signal() -> std::io::Result<()> {
    flag::register(consts::SIGXFSZ, Arc::default()).map(|_| ())
}

/// True once the user asked to stop.
pub fn requested() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// An error once the user asked to stop.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn check() -> Result<(), crate::Error> {
    if requested() { Err(crate::Error::Interrupted) } else { Ok(()) }
}
