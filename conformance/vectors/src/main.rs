//! Writes the vectors into a folder, `corpora/vectors` where none is given.
#![expect(clippy::disallowed_methods, reason = "the program writes what the library makes")]

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/vectors");
    let folder = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| default.into()));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("schema.json"), vectors::SCHEMA)?;
    let mut count = 0;
    for group in vectors::all() {
        fs::write(folder.join(format!("{}.json", group.group)), group.to_json())?;
        count += group.tests.len();
    }
    println!("{count} vectors in {}", folder.display());
    Ok(())
}
