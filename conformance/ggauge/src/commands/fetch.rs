//! Downloads what is pinned.

use crate::desk::{Desk, print};
use clap::Args;
use machine::Error;
use printable::Page;
use std::path::PathBuf;
use supply::{adapters, manifests::Manifest, vocabularies::Collection};
use vocabulary::Upshot;

/// Download pinned models and vocabularies into the cache, and check those that are there.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names of pinned models and collections of vocabularies, and `readers` for the environments of GGUF readers in other languages;
    /// all of them where none is given.
    names: Vec<String>,
}

/// What `ggauge fetch` calls the environments of readers in other languages.
const READERS: &str = "readers";

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let desk = Desk::open(false)?;
    let (names, cache, progress) = (&arguments.names, &desk.cache, &desk.progress);
    let manifests = Manifest::all()?;
    let collections = Collection::all()?;
    let models = manifests.iter().map(|manifest| manifest.name.as_str());
    let others = collections.iter().map(|collection| collection.name.as_str()).chain([READERS]);
    let known: Vec<_> = models.chain(others).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let next = format!("take one of {}", known.join(", "));
        return Err(Error::input(name, "there is nothing pinned of that name", next).into());
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let fetched = |name: &str, path: PathBuf, license: &str| {
        progress.suspend(|| print(&Page::of(format_args!("{name} {} ({license})", path.display()))))
    };
    for manifest in manifests.iter().filter(|manifest| wanted(&manifest.name)) {
        // This is where a disk's mistakes are to be found.
        cache.forget(&[manifest.path(cache)]);
        fetched(&manifest.name, manifest.fetch(cache, false, progress)?, &manifest.license)?;
    }
    for collection in collections.iter().filter(|collection| wanted(&collection.name)) {
        fetched(&collection.name, collection.fetch(cache, false, progress)?, &collection.license)?;
    }
    if wanted(READERS) {
        progress.set_message("making the environments of readers in other languages");
        for (name, made) in adapters::install(cache)? {
            let line = made.map_or_else(|why| why, |path| path.display().to_string());
            progress.suspend(|| print(&Page::of(format_args!("{name} {line}"))))?;
        }
    }
    progress.finish_and_clear();
    Ok(Upshot::Good)
}
