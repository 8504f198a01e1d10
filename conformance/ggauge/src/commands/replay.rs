//! Gives inputs to a fuzz target.

use crate::desk::print;
use clap::Args;
use fuzzing::{TARGETS, regressions};
use printable::Page;
use std::path::PathBuf;
use vocabulary::Upshot;

/// Give inputs to a fuzz target, known findings and all; it ends as the target ends. Without an input, list the targets.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The target.
    target: Option<String>,
    /// Files with an input each.
    inputs: Vec<PathBuf>,
    /// Go on past known findings, as fuzzing does.
    #[arg(long)]
    pass_over_known: bool,
    /// Write the files that each input stands for into this folder, and run nothing.
    #[arg(long, value_name = "FOLDER", conflicts_with = "pass_over_known")]
    write: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { target, inputs, pass_over_known, write } = arguments;
    match (target, write) {
        (Some(target), Some(folder)) => {
            for path in regressions::write_files(target, inputs, folder)? {
                print(&Page::of(path.display()))?;
            }
        }
        (Some(target), None) => regressions::replay(target, inputs, *pass_over_known)?,
        (None, _) => {
            let lines = TARGETS.iter().map(|target| format!("{:20} {}\n", target.name, target.about));
            print(&Page::of_lines(&lines.collect::<String>()))?;
        }
    }
    Ok(Upshot::Good)
}
