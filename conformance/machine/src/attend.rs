//! Stands between the harness and a command that is not ours: whatever the command starts ends with it, and all of it ends with the
//! harness, however that ends.
//!
//! A process whose parent has ended is given to the nearest ancestor that adopts, and this one does. So nobody leaves the family by
//! starting a session of its own.

use crate::{external, family};
use rustix::{
    process::{Pid, Signal, WaitOptions, getpid, kill_process, wait},
    stdio,
};
use signal_hook::{consts::SIGTERM, iterator::Signals};
use std::{fs::File, io, process, thread};

/// Runs a shell command and ends as it ended, with all that it started.
///
/// # Errors
/// Where the process cannot be set up, or the command not be started.
pub fn attend(line: &str) -> io::Result<u8> {
    let own = process::id();
    family::without_core_files()?;
    let mut ends = Signals::new([SIGTERM])?;
    thread::spawn(move || {
        if ends.forever().next().is_some() {
            family::end_descendants(own, || ());
            process::exit(128 + SIGTERM);
        }
    });
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_child_subreaper(Some(getpid()))?;
        // What a harness sends that could not end us by itself.
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    let child = external::shell(line).spawn()?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // The pipes are the command's alone: the harness sees when it closes them.
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    stdio::dup2_stdin(&nothing)?;
    stdio::dup2_stdout(&nothing)?;
    let status = loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((id, status))) if Some(id) == child => break status,
            // Adopted.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    family::end_descendants(own, || while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {});
    if let Some(signal) = status.terminating_signal() {
        // Rust's own handler lets the first one of some signals pass, as it may have been a stack overflow.
        for signal in [signal; 2].into_iter().filter_map(Signal::from_named_raw) {
            let _ = kill_process(getpid(), signal);
        }
        return Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    Ok(status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
