//! Other people's programs that are run to the end, such as pip and npm: interruptible, with bounded output, and gone with all they
//! started when they are stopped.

use crate::{Error, interrupt, worker::process::kill};
use std::{
    io::Read,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Bytes of output that are kept for an error text.
const KEPT: u64 = 1 << 16;

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
