//! The outputs of a run, held against goldens.

use crate::goldens::golden::Golden;
use machine::{Error, small};
use record::goldens::{CaseDiffers, Differs, GoldenCheck};
use std::path::Path;

/// Holds the texts that a run wrote into `outputs` against the goldens in a folder.
///
/// # Errors
/// Where a text or a golden cannot be read.
pub fn against<'a>(goldens: &Path, outputs: &Path, cases: impl Iterator<Item = &'a str>) -> Result<GoldenCheck, Error> {
    let mut held = GoldenCheck::default();
    for case in cases {
        let path = outputs.join(format!("{case}.toml"));
        let Some(old) = Golden::blessed(goldens, case)? else {
            held.without += 1;
            continue;
        };
        let text = small::read_text(&path).map_err(|error| Error::file(&path, &error))?;
        let new = Golden::parse(&text).map_err(|why| Error::input(path.display(), why, "run the same again"))?;
        held.compared += 1;
        held.differ.extend(differs(&new, Some(&old)));
    }
    Ok(held)
}

/// How a case differs from its golden; nothing where that is noise.
pub fn differs(new: &Golden, old: Option<&Golden>) -> Option<CaseDiffers> {
    let how = match old {
        None => Differs::NoGolden,
        Some(old) => Differs::Moved { differences: new.differences(old), limit: old.limit() },
    };
    let is_noise = matches!(&how, Differs::Moved { differences, .. } if differences.is_empty());
    (!is_noise).then(|| CaseDiffers { case: new.case.clone(), how })
}
