//! Fingerprints the sources that decide the reference's numbers, so that a cached transcript never outlives the code it is from.
#![expect(clippy::disallowed_methods, reason = "cargo gives names, and sources are files")]

use sha2::{Digest, Sha256};
use std::{env, fs, path::PathBuf};

fn main() {
    let crate_folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut folders =
        vec![crate_folder.join("src"), crate_folder.join("../gguf/src"), crate_folder.join("../subject-reference/src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        println!("cargo:rerun-if-changed={}", folder.display());
        for entry in fs::read_dir(folder).expect("the source folders exist") {
            let path = entry.expect("the source folders are readable").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).expect("the sources are readable"));
    }
    let fingerprint: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=REFERENCE_FINGERPRINT={fingerprint}");
}
