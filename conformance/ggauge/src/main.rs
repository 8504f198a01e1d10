//! The `ggauge` command: arguments in, exit code out.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod commands;
mod desk;

use clap::Parser;
use commands::Command;
use ggauge::exit;
use machine::Error;
use printable::Page;
use std::{ffi::OsString, process::ExitCode};

/// Runs one GGUF file through several runtimes, and says whether their numbers agree, who is wrong when they do not, and why.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
Without a command, the main job runs: every pinned model on every subject of this machine.

Exit codes:
  0    everything judged passed, failed as expected, or is unsupported here
  1    at least one comparison failed, passed unexpectedly, or was vacuous; an inspected file is invalid; a reader does what no finding explains;
       between two Records something broke or is gone; an upgrade is breaking
  2    the input is wrong: arguments, a model, a policy file
  3    the harness could not do its work: disk full, download failed
  4    nothing was judged: every case was unsupported
  130  interrupted from the keyboard

Environment:
  GGAUGE_CACHE  where models, reference transcripts and Records are kept (default: ggauge in the user's cache folder)
  NO_COLOR      no colours, as without a terminal
Workers get a part of the environment only, without secrets: conformance/vocabulary/PROTOCOL.md lists it; GGAUGE_* passes.";

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse(&error));
    let command = cli.command.or_else(|| Cli::parse_from(["ggauge", "run"]).command);
    let ended = command.map_or(Ok(exit::SUCCESS), commands::run);
    ExitCode::from(ended.unwrap_or_else(|error| {
        let known = error.downcast_ref::<Error>();
        desk::say(&match known {
            Some(known) => Page::of_lines(&format!("ggauge: {known}")),
            // `{:#}` prints the causes as well.
            None => Page::of(format_args!("ggauge: {error:#}")),
        });
        known.map_or(exit::HARNESS, exit::of_error)
    }))
}

/// Ends with what clap says of the arguments, or with the help that was asked for. The names of files are arguments, too, so it is told of them as
/// they are printed.
fn refuse(error: &clap::Error) -> ! {
    let printable = std::env::args_os().map(|argument| OsString::from(printable::line(&argument.to_string_lossy())));
    match Cli::try_parse_from(printable) {
        Err(error) => error.exit(),
        // It was refused for what is not printable in it.
        Ok(_) => {
            desk::say(&Page::of_lines(&error.to_string()));
            std::process::exit(exit::BAD_INPUT.into())
        }
    }
}
