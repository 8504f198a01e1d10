//! The driver of the fuzz targets, which `scripts/fuzz` starts: builds them with sanitizers, runs them one at a time or all of them over a
//! night, counts what they reach, plants bugs for them to find, and reports. It links no runtime: targets are programs of their own.
//!
//! Everything that was learnt is in [`state`], in files that survive a kill; each question is a module that any other can do without.

mod arguments;
mod build;
mod chosen;
mod coverage;
mod desk;
mod engine;
mod flavour;
mod log;
mod overnight;
mod planted;
mod report;
mod seeds;
mod smoke;
mod state;
mod words;

use arguments::{Arguments, Question};
use desk::Desk;
use flavour::Flavour;
use fuzzing::{TARGETS, Target};
use machine::interrupt;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::of_command_line();
    // What ends a slice or puts the programs back takes longer than a moment.
    let answered = interrupt::listen_patiently().map_err(Into::into).and_then(|()| answer(arguments));
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => words::stopped(&error).into(),
    }
}

fn answer(arguments: Arguments) -> anyhow::Result<()> {
    let desk = Desk::new(&arguments.checkout, &arguments.cache)?;
    match arguments.question()? {
        Question::List => words::print(&TARGETS.map(|target| format!("{}\n", target.name)).concat()),
        Question::Facts => words::print(&TARGETS.map(|target| facts(&target)).concat()),
        Question::Build => {
            build::all(&desk, Flavour::Checked)?;
            build::all(&desk, Flavour::Wrapping)
        }
        Question::Target { target, minutes, jobs, flavour } => {
            build::all(&desk, flavour)?;
            seeds::of_vocabularies(&desk)?;
            engine::slice(&desk, target, 60 * minutes, jobs, flavour).map(|_| ())
        }
        Question::Smoke => smoke::run(&desk, &desk::chosen()?),
        Question::Overnight { seconds, jobs } => overnight::run(&desk, &desk::chosen()?, seconds, jobs),
        Question::Coverage(targets) if targets.is_empty() => coverage::run(&desk, &desk::chosen()?),
        Question::Coverage(targets) => coverage::run(&desk, &targets),
        Question::Planted { names, minutes } => planted::run(&desk, &names, minutes),
        Question::Report => words::print(&report::all(&desk.state)),
        Question::Seeds => seeds::of_code(&desk),
    }
}

/// What a fleet has to know of a target: its name, seconds for one input, whether it is given the dictionary, and whether it needs workers beside
/// it, with tabs between them.
fn facts(target: &Target) -> String {
    let or_none = |is_so: bool, word: &'static str| if is_so { word } else { "-" };
    let (dictionary, workers) = (or_none(target.dictionary, "dictionary"), or_none(target.workers, "workers"));
    format!("{}\t{}\t{dictionary}\t{workers}\n", target.name, target.limits.time)
}
