//! The programs that the driver starts, all of them, in folders that each caller names: programs take code and settings from where they are
//! started. Each has a process group of its own, and when the user interrupts or its time is over, all that it started ends with it.

use crate::words::Stop;
use anyhow::Context;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use signal_hook::{consts, flag};
use std::{
    ffi::OsStr,
    fs, io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// How often a program is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a program that was told to end may take to.
const PATIENCE: Duration = Duration::from_secs(3);

/// Begins to listen to Ctrl-C, SIGTERM and a closed terminal. A second one ends the driver at once.
///
/// # Errors
/// Where the system refuses the handlers.
pub(crate) fn listen() -> io::Result<()> {
    let mut signals = vec![consts::SIGINT, consts::SIGTERM];
    signals.extend((!outlives_its_terminal()).then_some(consts::SIGHUP));
    for signal in signals {
        flag::register_conditional_shutdown(signal, Stop::Interrupted.code().into(), INTERRUPTED.clone())?;
        flag::register(signal, INTERRUPTED.clone())?;
    }
    Ok(())
}

/// True where we were started to go on after the terminal is closed, as `nohup` does. Where the system does not tell, it may be so.
fn outlives_its_terminal() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| (mask >> (consts::SIGHUP - 1)) & 1 == 1)
}

/// Forgets an interrupt, for work that has to be done before the driver ends. Says whether there was one.
pub(crate) fn forget_interrupt() -> bool {
    INTERRUPTED.swap(false, Ordering::Relaxed)
}

/// Makes it as if the user had interrupted, after [`forget_interrupt`].
pub(crate) fn interrupt_again() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// A program, started in a folder of ours or of the checkout.
#[expect(clippy::disallowed_methods, reason = "the one place; each caller says in which folder")]
pub(crate) fn program(name: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(name);
    // Some programs believe the variable.
    command.current_dir(folder).env("PWD", folder).stdin(Stdio::null());
    command
}

/// Runs a program to its end, or to that of its time, and says how it ended: `None` where it had to be ended. `tick` hears every now and
/// then how long it runs.
///
/// # Errors
/// Where it cannot be started, and where the user interrupts.
pub(crate) fn run(mut command: Command, most: Option<Duration>, tick: impl Fn(Duration)) -> anyhow::Result<Option<ExitStatus>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.process_group(0).spawn().with_context(|| format!("{name} cannot be started"))?;
    let started = Instant::now();
    while !has_ended(&child) {
        if INTERRUPTED.load(Ordering::Relaxed) {
            end(&mut child);
            return Err(Stop::Interrupted.into());
        }
        if most.is_some_and(|most| started.elapsed() > most) {
            end(&mut child);
            return Ok(None);
        }
        tick(started.elapsed());
        thread::sleep(LOOK);
    }
    // What it left behind, before its number may be somebody else's.
    signal(&child, Signal::KILL);
    Ok(Some(child.wait()?))
}

/// Runs a program that must succeed.
///
/// # Errors
/// Where it does not. What it said about that, the user has read.
pub(crate) fn succeed(command: Command) -> anyhow::Result<()> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    match run(command, None, |_| ())? {
        Some(status) if status.success() => Ok(()),
        _ => Err(crate::words::failed(format!(
            "{name} failed, and nothing more was done; mend what it says above and run this again"
        ))),
    }
}

/// What a program that must succeed writes to stdout.
///
/// # Errors
/// Where it does not.
pub(crate) fn output(mut command: Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("{name} cannot be started"))?;
    if !output.status.success() {
        return Err(crate::words::failed(format!("{name} failed")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn group(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn signal(child: &Child, signal: Signal) {
    if let Some(group) = group(child) {
        let _ = kill_process_group(group, signal);
    }
}

/// True once a child has ended. It is not taken away: as long as it lies there, its number and that of its group are nobody else's.
fn has_ended(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    group(child).is_none_or(|id| !matches!(waitid(WaitId::Pid(id), options), Ok(None)))
}

/// Tells a child and all of its group to end, and ends what does not.
fn end(child: &mut Child) {
    signal(child, Signal::TERM);
    let told = Instant::now();
    while !has_ended(child) && told.elapsed() < PATIENCE {
        thread::sleep(LOOK);
    }
    signal(child, Signal::KILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_where_it_is_started_and_ends_with_its_time_and_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = program("sh", folder.path());
        shell.args(["-c", "trap '' TERM; echo \"$PWD\" >said; (while :; do : >alive; sleep 0.05; done) & sleep 60"]);
        let started = Instant::now();
        assert!(run(shell, Some(Duration::from_millis(500)), |_| ()).unwrap().is_none());
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(fs::read_to_string(folder.path().join("said")).unwrap().trim(), folder.path().to_str().unwrap());
        fs::remove_file(folder.path().join("alive")).unwrap();
        thread::sleep(Duration::from_millis(500));
        assert!(!folder.path().join("alive").exists(), "what it started went on");
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let shell = |line: &str| {
            let mut shell = program("sh", folder.path());
            shell.args(["-c", line]);
            shell
        };
        assert!(succeed(shell("exit 3")).unwrap_err().to_string().contains("sh failed"));
        assert!(succeed(shell("exit 0")).is_ok());
        assert!(succeed(program("no-such-program", folder.path())).is_err());
        assert_eq!(output(shell("echo words")).unwrap(), "words\n");
    }
}
