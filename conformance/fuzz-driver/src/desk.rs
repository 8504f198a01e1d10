//! Where everything is: the checkout, the cache, the compiler, and the environment as far as the driver reads it.

use crate::{chosen, state::State, words::failed};
use fuzzing::{TARGETS, Target, catalogue::PROGRAM};
use machine::{Error, external};
use std::{
    cell::OnceCell,
    env, fs,
    path::{Path, PathBuf},
};

/// The variable that names the targets of a smoke run and of a night, where not all.
const CHOSEN: &str = "GGAUGE_FUZZ_TARGETS";

/// The compiler, as far as the targets' builds depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// What it builds for, such as `x86_64-unknown-linux-gnu`.
    pub(crate) triple: String,
    /// The first number of its LLVM's version: clang's must be the same, so that both share one sanitizer runtime.
    pub(crate) llvm: String,
}

impl Compiler {
    /// Reads `rustc -vV`.
    fn parse(text: &str) -> Option<Self> {
        let after = |label: &str| text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim);
        let llvm = after("LLVM version: ")?.split('.').next()?.to_owned();
        Some(Self { triple: after("host: ")?.to_owned(), llvm })
    }

    /// A tool of this LLVM.
    pub(crate) fn tool(&self, name: &str) -> String {
        format!("{name}-{}", self.llvm)
    }
}

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// ggauge's cache folder.
    pub(crate) cache: PathBuf,
    /// What fuzzing keeps there.
    pub(crate) state: State,
    compiler: OnceCell<Compiler>,
}

impl Desk {
    /// A desk of a checkout and a cache.
    ///
    /// # Errors
    /// Where there is no such checkout.
    pub(crate) fn new(checkout: &Path, cache: &Path) -> anyhow::Result<Self> {
        let root = fs::canonicalize(checkout)?;
        let cache = std::path::absolute(cache)?;
        Ok(Self { root, state: State::new(cache.join("fuzz")), cache, compiler: OnceCell::new() })
    }

    /// The compiler that is pinned for this checkout.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn compiler(&self) -> anyhow::Result<&Compiler> {
        if let Some(compiler) = self.compiler.get() {
            return Ok(compiler);
        }
        let mut rustc = external::program("rustc", &self.root);
        rustc.arg("-vV");
        let said = external::output(rustc, |why| Error::input("rustc", why, "install the toolchain of rust-toolchain.toml"))?;
        let compiler = Compiler::parse(&said)
            .ok_or_else(|| failed("`rustc -vV` says neither what it builds for nor which LLVM it has"))?;
        Ok(self.compiler.get_or_init(|| compiler))
    }

    /// The `ggauge` whose workers are judged, and whether the user named it.
    pub(crate) fn program(&self) -> (PathBuf, bool) {
        match env::var_os(PROGRAM).filter(|program| !program.is_empty()) {
            Some(program) => (program.into(), true),
            None => {
                let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.cache.join("target"), PathBuf::from);
                (target.join("debug/ggauge"), false)
            }
        }
    }
}

/// The targets of a smoke run and of a night.
///
/// # Errors
/// Where [`CHOSEN`] names one that is none.
pub(crate) fn chosen() -> anyhow::Result<Vec<&'static Target>> {
    let chosen = env::var(CHOSEN).unwrap_or_default();
    let names: Vec<&str> = chosen.split([',', ' ', '\n', '\t']).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    names.into_iter().map(chosen::known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_tells_what_it_builds_for_and_its_llvm() {
        let text = "rustc 1.95.0\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
        let compiler = Compiler::parse(text).unwrap();
        assert_eq!((compiler.triple.as_str(), compiler.llvm.as_str()), ("x86_64-unknown-linux-gnu", "22"));
        assert_eq!(compiler.tool("llvm-cov"), "llvm-cov-22");
        assert_eq!(Compiler::parse("rustc 1.95.0\nhost: none\n"), None);
    }
}
