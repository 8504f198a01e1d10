//! What lies in a checkout.

use machine::{Error, small};
use std::{collections::BTreeSet, fs, path::Path};

/// A text of the checkout.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    small::read_text(path).map_err(|error| Error::input(path.display(), error, "give the root of a whole checkout"))
}

/// Names of the files in a folder that end so, in order.
pub(crate) fn names(folder: &Path, end: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(end).map(str::to_owned)).collect()
}

/// The cases that have goldens.
pub(crate) fn golden_cases(folder: &Path) -> Vec<String> {
    let mut cases = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for path in fs::read_dir(&inner).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if let Some(case) = path.strip_prefix(folder).ok().and_then(Path::to_str) {
                cases.extend(case.strip_suffix(".snap").map(str::to_owned));
            }
        }
    }
    cases
}
