//! The programs that ggauge starts, all of them: elsewhere `Command::new` is refused by clippy (`clippy.toml`), so that none is started where the
//! user happens to be. People run ggauge where they unpacked a model, and interpreters, package managers and the shims of version managers take
//! code and settings from there: `pip/__main__.py`, `.npmrc`, `.cargo/config.toml`, `rust-toolchain.toml`, `.python-version`.
//!
//! Other people's programs are run to their end: interruptible, with bounded output, and gone with all they started when they are stopped.

use crate::{Error, interrupt, worker::process::kill};
use std::{
    ffi::OsStr,
    io::Read,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Bytes of output that are kept for an error text.
const KEPT: u64 = 1 << 16;

/// Other people's program, such as python3, npm or cargo, in a folder of ours or of a checkout that the user named. Names on its command line
/// are relative to that folder, and so are relative folders in the user's PATH and PYTHONPATH.
pub fn program(name: &str, folder: &Path) -> Command {
    let mut command = new(name);
    // Some programs believe the variable.
    command.current_dir(folder).env("PWD", folder);
    // Python before 3.11 does not know this, and `-m` looks into the folder first.
    command.env("PYTHONSAFEPATH", "1");
    command
}

/// This program again, or another build of it. What goes to a worker has absolute names; it is started where nobody can have left anything.
pub fn worker(program: &Path) -> Command {
    // A bare name is looked up on the PATH.
    let is_bare = program.components().count() == 1;
    let program = std::path::absolute(program).ok().filter(|_| !is_bare).unwrap_or_else(|| program.to_owned());
    let mut command = new(program);
    command.current_dir("/").env("PWD", "/");
    command
}

/// This program, or a fuzz target, where the user is: on files that they named, maybe relative to that. It takes no code from there.
pub fn ours(program: &Path) -> Command {
    new(program)
}

/// The user's own words for a shell, where they are: names in them are relative to that.
pub fn shell(line: &str) -> Command {
    let mut command = new("sh");
    command.args(["-c", line]);
    command
}

#[expect(clippy::disallowed_methods, reason = "the one place; each caller says in which folder")]
fn new(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// True where a program of this name is there and says its version.
pub fn is_there(name: &str, folder: &Path) -> bool {
    let status =
        program(name, folder).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a program to its end. `failed` makes the error from what went wrong.
///
/// # Errors
/// Where it cannot be started or fails, with the line of its output that says why; and where the user interrupted.
pub fn run(mut command: Command, failed: impl Fn(&str) -> Error) -> Result<(), Error> {
    // A group of its own: a Ctrl-C reaches us alone, and then we end the whole group.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| failed(&format!("{program} cannot be started: {error}")))?;
    let outputs = [collect(child.stderr.take()), collect(child.stdout.take())];
    let status = loop {
        if interrupt::requested() {
            kill(&mut child);
            return Err(Error::Interrupted);
        }
        match child.try_wait().map_err(|error| failed(&error.to_string()))? {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(50)),
        }
    };
    let [stderr, stdout] = outputs.map(|output| output.join().unwrap_or_default());
    if status.success() {
        return Ok(());
    }
    // pip, npm and cargo mark the lines that say why; the rest is advice, and with cargo the place.
    let marked = |line: &&str| line.contains("ERROR") || line.contains("npm error") || line.starts_with("error");
    let told = |text: &str| text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned);
    let place = stderr.lines().skip_while(|line| !marked(line)).nth(1).filter(|line| line.trim().starts_with("-->"));
    let first = stderr.lines().find(marked).map(|line| [line, place.unwrap_or_default()].join(""));
    let reason = first.or_else(|| told(&stderr)).or_else(|| told(&stdout));
    Err(failed(reason.as_deref().map_or("it failed without a word", str::trim)))
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut words = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(KEPT).read_to_end(&mut words);
            // The rest is read and dropped, so that the program does not wait for us.
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        String::from_utf8_lossy(&words).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn every_program_is_told_where_to_start() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(program("python3", folder.path()).get_current_dir(), Some(folder.path()));
        assert_eq!(worker(Path::new("/bin/ggauge")).get_current_dir(), Some(Path::new("/")));
        // Where it is started is no longer what a relative name is relative to.
        let named = |name: &str| PathBuf::from(worker(Path::new(name)).get_program());
        assert_eq!(named("ggauge"), Path::new("ggauge"));
        assert!(named("target/ggauge").is_absolute() && named("./ggauge").is_absolute());
        // The user's own words are about where the user is.
        assert_eq!(shell("python3 mine.py").get_current_dir(), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_there("python3", folder.path()) && !is_there("no-such-program", folder.path()));
    }
}
