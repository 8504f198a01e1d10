//! Writes a tiny model.

use crate::desk::print;
use clap::Args;
use machine::files;
use printable::Page;
use smith::{Architecture, Recipe};
use std::path::PathBuf;
use supply::models;
use vocabulary::Upshot;

/// Write a tiny model; without a recipe, list the architectures and what a recipe can change of each.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// ARCHITECTURE[+NUMBER=VALUE...]/WEIGHTS[@SEED], such as `llama/q4_0@7` or `llama+experts=4+tied=1/f32`.
    #[arg(requires = "output")]
    recipe: Option<Recipe>,
    /// Where to write it.
    #[arg(short, long, requires = "recipe")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let (Some(recipe), Some(output)) = (&arguments.recipe, &arguments.output) else {
        print(&recipes())?;
        return Ok(Upshot::Good);
    };
    files::write_whole(output, &models::build(recipe)?)?;
    print(&Page::of(format_args!("{} sha256 {}", output.display(), files::sha256(output)?)))?;
    Ok(Upshot::Good)
}

/// The list that `ggauge smith` prints: architectures and what recipes can change of them.
fn recipes() -> Page {
    let mut out = Page::of("ARCHITECTURE[+NUMBER=VALUE...]/WEIGHTS[@SEED], such as llama+experts=4+tied=1/q4_0@7");
    for architecture in Architecture::ALL {
        out.blank();
        writeln!(out, "{}", architecture.name());
        for parameter in architecture.parameters() {
            writeln!(out, "  {:28} {}", parameter.to_string(), parameter.meaning);
        }
    }
    let weights: Vec<_> = Recipe::WEIGHTS.iter().map(|weights| weights.name()).collect();
    out.blank();
    writeln!(out, "weights: {}", weights.join(", "));
    out
}
