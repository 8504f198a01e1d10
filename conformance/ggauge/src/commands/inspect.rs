//! Says what a GGUF file holds.

use crate::desk::{Desk, layout, print};
use clap::Args;
use printable::Page;
use report::digests;
use studies::inspection::{self, Reads};
use supply::sources::Source;
use vocabulary::Upshot;

/// Say what a GGUF file holds, and which rules of the format it breaks.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// The path of a GGUF file (one file of a split model stands for all), a pinned model's name, or a recipe.
    file: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// List every key and every tensor, instead of one layer of those that are alike.
    #[arg(long)]
    all: bool,
    /// Look at no weight. Without this, all of them are read for NaN, infinity and tensors of zeros.
    #[arg(long, conflicts_with = "digests")]
    header_only: bool,
    /// List every key and every tensor with a digest instead, and digests of what they make together: what a changed model is told by.
    #[arg(long, conflicts_with_all = ["json", "all"])]
    digests: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { file, json, all, header_only, digests } = arguments;
    let desk = Desk::open(*json || *digests)?;
    let source = Source::open(file, &desk.cache)?;
    if *digests {
        let mut page = Page::default();
        inspection::digests(&source)?.iter().for_each(|file| page.append(&digests::report(file)));
        print(&page)?;
        return Ok(Upshot::Good);
    }
    let inspection = inspection::inspect(&source, if *header_only { Reads::Header } else { Reads::Weights }, &desk.progress)?;
    desk.progress.finish_and_clear();
    print(&if *json { Page::json(&inspection)? } else { report::inspection::report(&inspection, layout(*all)) })?;
    Ok(inspection.upshot())
}
