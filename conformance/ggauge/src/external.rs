//! Other people's programs that are run to the end, such as pip and npm: interruptible, with bounded output, and gone with all they
//! started when they are stopped.

use crate::{Error, interrupt, worker::family};
use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// Bytes of output that are kept for an error text.
const KEPT: usize = 1 << 16;
/// How long the last words of a program that has ended may take: a process that it left behind can hold its output open for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs a program to its end. `failed` makes the error from what went wrong.
///
/// # Errors
/// Where it cannot be started or fails, with the line of its output that says why; and where the user interrupted.
pub fn run(mut command: Command, failed: impl Fn(&str) -> Error) -> Result<(), Error> {
    // A group of its own: a Ctrl-C reaches us alone, and then we end the whole group.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| failed(&format!("{program} cannot be started: {error}")))?;
    let outputs = [Words::of(child.stderr.take(), KEPT), Words::of(child.stdout.take(), KEPT)];
    while !family::has_ended(&child) {
        if interrupt::requested() {
            family::kill(&mut child);
            return Err(Error::Interrupted);
        }
        thread::sleep(Duration::from_millis(50));
    }
    let status = family::kill(&mut child);
    let [stderr, stdout] = outputs.map(Words::last);
    if status.is_some_and(|status| status.success()) {
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

/// What a program writes, read by a thread of its own so that the program does not wait for us.
pub(crate) struct Words {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl Words {
    /// Begins to read; the first `most` bytes are kept.
    pub(crate) fn of(pipe: Option<impl Read + Send + 'static>, most: usize) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let ours = kept.clone();
        let reader = thread::spawn(move || {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = [0; 1 << 12];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(len) => {
                        let Ok(mut kept) = ours.lock() else { return };
                        let room = most.saturating_sub(kept.len()).min(len);
                        kept.extend(buffer.iter().take(room));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        });
        Self { kept, reader }
    }

    /// All that was written, once the program has ended.
    pub(crate) fn last(self) -> String {
        let ended = Instant::now();
        while !self.reader.is_finished() && ended.elapsed() < LAST_WORDS {
            thread::sleep(Duration::from_millis(1));
        }
        self.kept.lock().map_or_else(|_| String::new(), |kept| String::from_utf8_lossy(&kept).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As sccache does when cargo starts it.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_a_program_leaves_behind_holds_nobody_up() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "setsid sleep 100 & echo done"]);
        let started = Instant::now();
        run(shell, |why| Error::input("sh", why, "look")).unwrap();
        assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    }

    #[test]
    fn the_line_that_says_why_is_found_in_the_last_words() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo advice >&2; echo 'ERROR: no network' >&2; echo more >&2; exit 1"]);
        let error = run(shell, |why| Error::input("sh", why, "look")).unwrap_err();
        assert!(error.to_string().starts_with("sh: ERROR: no network"), "{error}");
    }
}
