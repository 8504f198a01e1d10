//! Ctrl-C, SIGTERM and a closed terminal as a flag that long work looks at, so that workers end and temporary files go before the process
//! does. Work that does not look at it in time is left where it is.

use crate::{Error, family};
use signal_hook::{consts, flag, iterator::Signals};
use std::{
    fs, io,
    path::PathBuf,
    process,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Folders that go when the process ends, however it was told to.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How long work may take to notice, before the process ends without it: some is a single long call.
const GRACE: Duration = Duration::from_millis(800);

/// The exit code of a program that was interrupted from the keyboard: a shell's 128 and the number of SIGINT.
pub const EXIT_CODE: u8 = 130;

/// Begins to listen, for work that notices in time and has more to do then than a moment allows. Only a second Ctrl-C ends the process before
/// that does.
///
/// # Errors
/// Where the system refuses the handlers.
pub fn listen_patiently() -> io::Result<()> {
    for signal in signals() {
        flag::register_conditional_shutdown(signal, EXIT_CODE.into(), INTERRUPTED.clone())?;
        flag::register(signal, INTERRUPTED.clone())?;
    }
    ignore_file_size_signal()
}

/// Begins to listen. A second Ctrl-C ends the process at once, and so does work that does not notice the first.
///
/// # Errors
/// Where the system refuses the handlers.
pub fn listen() -> io::Result<()> {
    listen_patiently()?;
    let mut signals = Signals::new(signals())?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            thread::sleep(GRACE);
            family::end_descendants(process::id(), || ());
            // What is written into a folder while it is being removed is removed by another try.
            let folders = TEMPORARY.lock().map(|folders| folders.clone()).unwrap_or_default();
            for folder in folders {
                let _ = (0..20).any(|_| !folder.exists() || fs::remove_dir_all(&folder).is_ok());
            }
            #[expect(clippy::print_stderr, reason = "our own words, and nobody else is left to print them")]
            {
                eprintln!("ggauge: {}", Error::Interrupted);
            }
            process::exit(EXIT_CODE.into());
        }
    });
    Ok(())
}

/// What asks us to stop.
fn signals() -> Vec<i32> {
    let hangup = (!outlives_its_terminal()).then_some(consts::SIGHUP);
    [consts::SIGINT, consts::SIGTERM].into_iter().chain(hangup).collect()
}

/// True where we were started to go on after the terminal is closed, as `nohup` does. Where the system does not tell, it may be so.
fn outlives_its_terminal() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_none_or(|mask| (mask >> (consts::SIGHUP - 1)) & 1 == 1)
}

/// Has a folder removed where work does not notice in time that it should end.
pub fn removes(folder: PathBuf) {
    if let Ok(mut folders) = TEMPORARY.lock() {
        // Those that are gone already need not be kept in mind: a long run has thousands.
        folders.retain(|folder| folder.exists());
        folders.push(folder);
    }
}

/// Makes a write beyond the file size limit fail with an error, as on a full disk, instead of ending the process.
///
/// # Errors
/// Where the system refuses the handler.
pub fn ignore_file_size_signal() -> io::Result<()> {
    flag::register(consts::SIGXFSZ, Arc::default()).map(|_| ())
}

/// True once the user asked to stop.
pub fn requested() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Does what has to be done before the process ends, as if the user had not asked to stop yet; that they may do again. Afterwards it is as it was.
pub fn set_aside<T>(work: impl FnOnce() -> T) -> T {
    let was_requested = INTERRUPTED.swap(false, Ordering::Relaxed);
    let done = work();
    if was_requested {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    done
}

/// An error once the user asked to stop.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn check() -> Result<(), Error> {
    if requested() { Err(Error::Interrupted) } else { Ok(()) }
}
