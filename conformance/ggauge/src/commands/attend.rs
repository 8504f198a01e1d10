//! Ends a command with all that it started.

use anyhow::Context as _;
use clap::Args;

/// Run a shell command, and end all that it started with it or with the harness. The harness starts foreign workers this way.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The command.
    line: String,
}

/// Gives the code that the command ended with.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    machine::attend::attend(&arguments.line).context("the worker's command cannot be run")
}
