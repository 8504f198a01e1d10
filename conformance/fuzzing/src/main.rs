//! Writes the seeds into `corpora/seeds`. Paths of vocabularies (GGUF files) that are given become seeds of the header targets, beside
//! those that are made from code.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/seeds"));
    let mut seeds = fuzzing::seeds::all();
    for path in env::args_os().skip(1) {
        let name = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let wrong = || io::Error::other(format!("{} is no GGUF file that can be read", path.display()));
        let bytes = fuzzing::seeds::shrunk(&fs::read(&path)?).ok_or_else(wrong)?;
        for target in ["header_ours", "header_candle", "header_llama_cpp"] {
            seeds.insert((target, format!("vocabulary-{name}")), bytes.clone());
        }
    }
    let mut total = 0;
    for ((target, name), bytes) in &seeds {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)?;
        total += bytes.len();
    }
    println!("{} seeds of {total} bytes in {}", seeds.len(), folder.display());
    Ok(())
}
