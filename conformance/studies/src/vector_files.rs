//! The test vectors as committed, and the files that they describe.

use ::vectors::{Group, Part, Vector};
use include_dir::{Dir, include_dir};
use machine::{Error, files, interrupt};
use std::{
    fs,
    io::{self, BufWriter, Seek, SeekFrom},
    path::Path,
};

static VECTORS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../corpora/vectors");

/// Every group of vectors, as committed, in the order of a file's parts.
///
/// # Errors
/// Where a file of `corpora/vectors` is malformed.
pub fn groups() -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    for file in VECTORS.files().filter(|file| file.path().extension().is_some_and(|extension| extension == "json")) {
        if file.path() == Path::new("schema.json") {
            continue;
        }
        let shown = format!("corpora/vectors/{}", file.path().display());
        let text = file.contents_utf8().unwrap_or_default();
        let next = "run `cargo run -p vectors`, which writes it";
        groups.push(serde_json::from_str::<Group>(text).map_err(|error| Error::input(shown, error, next))?);
    }
    Ok(groups)
}

/// Writes the files of every vector below `folder`, as `GROUP/NAME/FILE`, and gives their number.
///
/// # Errors
/// Where they cannot be written.
pub fn write_all(groups: &[Group], folder: &Path) -> Result<usize, Error> {
    let mut count = 0;
    for (group, vector) in groups.iter().flat_map(|group| group.tests.iter().map(move |vector| (group, vector))) {
        interrupt::check()?;
        let folder = folder.join(&group.group).join(&vector.name);
        write(vector, &folder).map_err(|error| Error::file(&folder, &error))?;
        count += 1;
    }
    Ok(count)
}

/// Writes a vector's files into `folder`; runs of zeros become holes, so that a file of gigabytes takes no room.
pub(crate) fn write(vector: &Vector, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for described in &vector.files {
        let mut file = BufWriter::new(files::beside(folder)?);
        for part in &described.parts {
            match part {
                Part::Zeros(len) => drop(file.seek(SeekFrom::Current(*len as i64))?),
                part => part.write(&mut file)?,
            }
        }
        // The end may be a hole.
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().set_len(described.size)?;
        file.persist(folder.join(&described.name))?;
    }
    Ok(())
}
