//! Writes seeds. Without arguments, those that are made from code, into `corpora/seeds`. With a folder and paths of vocabularies (GGUF files), the
//! shrunk headers of those, into that folder: they are other people's, and stay out of the repository.

use std::{env, ffi::OsString, fs, io, path::Path};

fn main() -> io::Result<()> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    match &arguments[..] {
        [] => of_code(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/seeds"))),
        [folder, vocabularies @ ..] => of_vocabularies(Path::new(folder), vocabularies),
    }
}

fn of_code(folder: &Path) -> io::Result<()> {
    let seeds = fuzzing::seeds::all();
    let mut total = 0;
    for ((target, name), bytes) in &seeds {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)?;
        total += bytes.len();
    }
    println!("{} seeds of {total} bytes in {}", seeds.len(), folder.display());
    Ok(())
}

fn of_vocabularies(folder: &Path, vocabularies: &[OsString]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for path in vocabularies.iter().map(Path::new) {
        let wrong = || io::Error::other(format!("{} is no GGUF file that can be read", path.display()));
        let bytes = fuzzing::seeds::shrunk(&fs::read(path)?).ok_or_else(wrong)?;
        fs::write(folder.join(path.file_stem().unwrap_or_default()), bytes)?;
    }
    println!("{} seeds of vocabularies in {}", vocabularies.len(), folder.display());
    Ok(())
}
