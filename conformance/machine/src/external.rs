//! The programs that ggauge starts, all of them: elsewhere `Command::new` is refused by clippy (`clippy.toml`), so that none is started where the
//! user happens to be. People run ggauge where they unpacked a model, and interpreters, package managers and the shims of version managers take
//! code and settings from there: `pip/__main__.py`, `.npmrc`, `.cargo/config.toml`, `rust-toolchain.toml`, `.python-version`.
//!
//! Other people's programs are run to their end: interruptible, with bounded output, and gone with all they started when they are stopped. What
//! they say is kept for the error, or goes where the user reads it.

use crate::{
    Error,
    watched::{Bounds, Captured, End, Watched},
};
use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Bytes of output that are kept for an error text.
const KEPT: usize = 1 << 16;
/// How often a program is looked at.
const WATCH: Duration = Duration::from_millis(20);
/// How long a program that [`watch`] stops may take to tidy up.
const NOTICE: Duration = Duration::from_secs(3);

/// A program such as python3, npm, cargo or one that was built, in a folder of ours or of a checkout that the user named. Names on its command
/// line are relative to that folder, and so are relative folders in the user's PATH and PYTHONPATH.
pub fn program(name: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = new(name);
    // Some programs believe the variable.
    command.current_dir(folder).env("PWD", folder);
    // Python before 3.11 does not know this, and `-m` looks into the folder first.
    command.env("PYTHONSAFEPATH", "1");
    command
}

/// As [`program`], in a folder of ours, where it keeps its temporary files, too: they go with the folder, also when the program is killed.
pub fn program_in_scratch(name: &str, folder: &Path) -> Command {
    let mut command = program(name, folder);
    command.env("TMPDIR", folder);
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
///
/// # Errors
/// Where the user interrupted.
pub fn is_there(name: &str, folder: &Path) -> Result<bool, Error> {
    let mut version = program(name, folder);
    version.arg("--version");
    match run(version, |why| Error::input(name, why, "install it")) {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        other => Ok(other.is_ok()),
    }
}

/// Runs a program to its end. `failed` makes the error from what went wrong.
///
/// # Errors
/// Where it cannot be started or fails, with the line of its output that says why; and where the user interrupted.
pub fn run(command: Command, failed: impl Fn(&str) -> Error) -> Result<(), Error> {
    output(command, failed).map(|_| ())
}

/// The same, and gives what it wrote to stdout: the first 64 KiB, with U+FFFD for what is no text.
///
/// # Errors
/// As [`run`].
pub fn output(mut command: Command, failed: impl Fn(&str) -> Error) -> Result<String, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    let started = Watched::start(command, Bounds::default());
    let mut child = started.map_err(|error| failed(&format!("{program} cannot be started: {error}")))?;
    let outputs = [Captured::of(child.take_stderr(), KEPT), Captured::of(child.take_stdout(), KEPT)];
    let end = child.until_its_end(WATCH)?;
    let [stderr, stdout] = outputs.map(Captured::last);
    if end.is_success() {
        return Ok(stdout);
    }
    // pip, npm and cargo mark the lines that say why; the rest is advice, and with cargo the place.
    let marked = |line: &&str| line.contains("ERROR") || line.contains("npm error") || line.starts_with("error");
    let told = |text: &str| text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned);
    let place = stderr.lines().skip_while(|line| !marked(line)).nth(1).filter(|line| line.trim().starts_with("-->"));
    let first = stderr.lines().find(marked).map(|line| [line, place.unwrap_or_default()].join(""));
    let reason = first.or_else(|| told(&stderr)).or_else(|| told(&stdout));
    Err(failed(reason.as_deref().map_or("it failed without a word", str::trim)))
}

/// Runs a program whose words go where its command says, to the user or into a log, and gives how it ended. One that is stopped, by its bounds or
/// by the user, may tidy up for some seconds. `tell` hears every now and then how long it has been running.
///
/// # Errors
/// Where it cannot be started, and where the user interrupted.
pub fn watch(mut command: Command, bounds: Bounds, tell: impl Fn(Duration)) -> Result<End, Error> {
    command.stdin(Stdio::null());
    let program = command.get_program().to_string_lossy().into_owned();
    let child = Watched::start(command, bounds).map_err(|error| Error::Harness {
        what: program,
        why: format!("it cannot be started: {error}"),
        next: "see that it is installed and may be run, and run the same command again".into(),
    })?;
    child.with_notice(NOTICE).until_its_end_telling(WATCH, tell)
}

/// Runs such a program without bounds, which must succeed.
///
/// # Errors
/// As [`watch`], and where it fails: the user has read why.
pub fn succeed(command: Command) -> Result<(), Error> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    if watch(command, Bounds::default(), |_| ())?.is_success() {
        return Ok(());
    }
    Err(Error::Harness {
        what: format!("{program} failed"),
        why: "nothing more was done".into(),
        next: "mend what it says above, and run the same command again".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watched::Excess;
    use printable::{line, quoted};
    use std::{os::unix::ffi::OsStrExt, path::PathBuf, time::Instant};

    /// As sccache does when cargo starts it.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_a_program_leaves_behind_holds_nobody_up() {
        let started = Instant::now();
        run(shell("setsid sleep 100 & echo done"), |why| Error::input("sh", why, "look")).unwrap();
        assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    }

    #[test]
    fn the_line_that_says_why_is_found_in_the_last_words() {
        let line = "echo advice >&2; echo 'ERROR: no network' >&2; echo more >&2; exit 1";
        let error = run(shell(line), |why| Error::input("sh", why, "look")).unwrap_err();
        assert!(error.to_string().starts_with("sh: ERROR: no network"), "{error}");
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_an_error_whoever_reads_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let failed = |why: &str| Error::input("sh", why, "look");
        assert_eq!(output(shell("echo words; echo more >&2"), failed).unwrap(), "words\n");
        assert!(output(program("no-such-program", folder.path()), failed).is_err());
        assert!(succeed(shell("exit 0")).is_ok());
        let error = succeed(shell("exit 3")).unwrap_err().to_string();
        assert!(error.starts_with("sh failed: nothing more was done\nnext: "), "{error}");
        let error = succeed(program("no-such-program", folder.path())).unwrap_err().to_string();
        assert!(error.starts_with("no-such-program: it cannot be started: "), "{error}");
    }

    #[test]
    fn a_program_writes_where_its_command_says_until_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program("sh", folder.path());
        command.args(["-c", "pwd; echo \"$PWD\"; read line || echo nothing; exec sleep 100"]);
        command.stdout(std::fs::File::create(folder.path().join("log")).unwrap());
        let bounds = Bounds { time: Some(Duration::from_millis(500)), ..Bounds::default() };
        assert_eq!(watch(command, bounds, |_| ()).unwrap(), End::Stopped(Excess::Time));
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        let here = folder.path().display();
        assert_eq!(log, format!("{here}\n{here}\nnothing\n"));
    }

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
        assert!(is_there("python3", folder.path()).unwrap() && !is_there("no-such-program", folder.path()).unwrap());
    }

    #[test]
    fn a_shell_gives_back_what_was_quoted() {
        let every_byte: Vec<u8> = (1..=255).collect();
        for bytes in
            [&b"plain/a-b_c.d@e"[..], b"", b"it's; rm $(x) `y`", b"a%s\x1b]0;\x07b\\n", "é\u{202e}".as_bytes(), &every_byte]
        {
            let argument = OsStr::from_bytes(bytes);
            let shown = quoted(argument);
            assert_eq!(line(&shown), shown);
            let output = shell(&format!("printf %s {shown}")).output().unwrap();
            assert_eq!(output.stdout, bytes, "{shown}");
        }
        let bash = |words: &str| program("bash", Path::new("/")).args(["-c", words]).output().unwrap();
        let output = bash(&format!("printf %s {}", quoted("a'\n%")));
        assert_eq!(output.stdout, b"a'\n%");
        let output = bash(&format!("printf %s {}", quoted("a'%\n")));
        assert_eq!(output.stdout, b"a'%\n");
    }
}
