//! Takes in what a fuzzer found.

use crate::desk::{print, program};
use clap::Args;
use fuzzing::regressions;
use printable::Page;
use std::path::PathBuf;
use vocabulary::Upshot;

/// Take an input that a fuzzer found into corpora/regressions: made smaller while its cause stays, and held against those that are there.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file that the fuzzer wrote.
    artifact: PathBuf,
    /// The target that it was found with; the name of the artifact's folder where it is not given.
    #[arg(long)]
    target: Option<String>,
    /// A binary of fuzz/, for what only a sanitizer sees. scripts/fuzz says where they are.
    #[arg(long, value_name = "BINARY")]
    fuzzer: Option<PathBuf>,
    /// The folder with all regressions.
    #[arg(long, default_value = "corpora/regressions", value_name = "FOLDER")]
    into: PathBuf,
    /// How often an input may be tried while it is made smaller.
    #[arg(long, default_value_t = 2000)]
    tries: usize,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let of_folder = || Some(arguments.artifact.parent()?.file_name()?.to_str()?.to_owned());
    let target = arguments.target.clone().or_else(of_folder).ok_or_else(|| regressions::unnamed(&arguments.artifact))?;
    let sanitized = arguments.fuzzer.clone().map(regressions::Engine::Sanitized);
    let promotion = regressions::Promotion {
        artifact: &arguments.artifact,
        target: &target,
        ordinary: &regressions::Engine::Ordinary(program()?),
        sanitized: sanitized.as_ref(),
        folder: &arguments.into,
        tries: arguments.tries,
        limits: regressions::LIMITS,
    };
    print(&match regressions::promote(&promotion)? {
        regressions::Promoted::Passes => Page::of("it passes: nothing to keep. Only a sanitizer may see it: give --fuzzer"),
        regressions::Promoted::Known(name) => Page::of(format_args!("its cause is that of {name}: nothing to keep")),
        regressions::Promoted::New { input, cause, sizes: (before, after) } => {
            let mut page = Page::of(format_args!("{}: {before} bytes, now {after}", input.display()));
            page.append(&Page::of(cause));
            page.next(
                "",
                format_args!(
                    "read the runtime's source at that place, write an entry into {}, put its id and the place into the sidecar, and a row \
                     for it into conformance/fuzzing/src/known.rs",
                    arguments.into.join("FINDINGS.md").display()
                ),
            );
            page
        }
    })?;
    Ok(Upshot::Good)
}
