//! The subcommands, one file each: its arguments beside what it does. None calls another.
//!
//! To add one, write its file and give it three lines here.

mod attend;
mod bump;
mod calibrate;
mod compare;
mod determinism;
mod faults;
mod fetch;
mod inspect;
mod matrix;
#[cfg(feature = "fuzzing")]
mod promote;
#[cfg(feature = "fuzzing")]
mod replay;
mod rules;
mod run;
mod smith;
mod subjects;
mod tokenize;
mod tokenizers;
mod upgrade;
mod vectors;
mod worker;

use anyhow::Context as _;
use clap::Subcommand;
use ggauge::exit;
use machine::interrupt;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<run::Arguments>),
    Subjects(subjects::Arguments),
    Fetch(fetch::Arguments),
    Inspect(inspect::Arguments),
    Rules(rules::Arguments),
    Smith(smith::Arguments),
    Matrix(matrix::Arguments),
    Tokenize(tokenize::Arguments),
    Vectors(vectors::Arguments),
    Tokenizers(tokenizers::Arguments),
    Calibrate(calibrate::Arguments),
    Faults(faults::Arguments),
    Compare(compare::Arguments),
    Determinism(determinism::Arguments),
    Upgrade(upgrade::Arguments),
    Bump(bump::Arguments),
    #[cfg(feature = "fuzzing")]
    Promote(promote::Arguments),
    #[cfg(feature = "fuzzing")]
    Replay(replay::Arguments),
    Worker(worker::Arguments),
    #[command(hide = true)]
    Attend(attend::Arguments),
}

/// Does what was asked, and gives the exit code.
pub(crate) fn run(command: Command) -> anyhow::Result<u8> {
    // Workers end when the harness says so, and not by themselves.
    if !matches!(command, Command::Worker(_) | Command::Attend(_)) {
        interrupt::listen().context("listening for Ctrl-C")?;
    }
    Ok(exit::of(match command {
        Command::Attend(arguments) => return attend::run(&arguments),
        Command::Run(arguments) => run::run(&arguments)?,
        Command::Subjects(arguments) => subjects::run(&arguments)?,
        Command::Fetch(arguments) => fetch::run(&arguments)?,
        Command::Inspect(arguments) => inspect::run(&arguments)?,
        Command::Rules(arguments) => rules::run(&arguments)?,
        Command::Smith(arguments) => smith::run(&arguments)?,
        Command::Matrix(arguments) => matrix::run(&arguments)?,
        Command::Tokenize(arguments) => tokenize::run(&arguments)?,
        Command::Vectors(arguments) => vectors::run(&arguments)?,
        Command::Tokenizers(arguments) => tokenizers::run(&arguments)?,
        Command::Calibrate(arguments) => calibrate::run(&arguments)?,
        Command::Faults(arguments) => faults::run(&arguments)?,
        Command::Compare(arguments) => compare::run(&arguments)?,
        Command::Determinism(arguments) => determinism::run(&arguments)?,
        Command::Upgrade(arguments) => upgrade::run(&arguments)?,
        Command::Bump(arguments) => bump::run(&arguments)?,
        #[cfg(feature = "fuzzing")]
        Command::Promote(arguments) => promote::run(&arguments)?,
        #[cfg(feature = "fuzzing")]
        Command::Replay(arguments) => replay::run(&arguments)?,
        Command::Worker(arguments) => worker::run(&arguments)?,
    }))
}
