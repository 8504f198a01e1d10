//! Does fuzzing find anything? Each bug of `fuzz/planted` is planted in a copy of the sources, and its target has to find it, from seeds that
//! do not show it.

use crate::{
    build, chosen,
    desk::Desk,
    engine,
    flavour::Flavour,
    log, seeds, state,
    words::{failed, say, show_end, wrong},
};
use anyhow::Context;
use fuzzing::Target;
use machine::{external, interrupt};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

/// Minutes that a bug is looked for where nothing is said.
pub(crate) const MINUTES: u64 = 10;

/// What is copied of a checkout: all that the targets are built from.
const COPIED: [&str; 8] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo", "conformance", "corpora", "golden", "fuzz"];

/// A bug to plant.
#[derive(Debug, PartialEq, Eq)]
struct Bug {
    name: String,
    /// The target that must find it.
    target: &'static Target,
    /// The words in which it must.
    says: String,
}

impl Bug {
    /// Reads what stands before a patch.
    fn parse(name: &str, patch: &str) -> anyhow::Result<Self> {
        // Lines of the patch itself begin with a mark.
        let label = |label: &str| {
            let value =
                patch.lines().find_map(|line| line.strip_prefix(label)).map(str::trim).filter(|value| !value.is_empty());
            value.ok_or_else(|| wrong(format!("fuzz/planted/{name}.patch has no line `{label}...` before its patch")))
        };
        Ok(Self { name: name.into(), target: chosen::known(label("target: ")?)?, says: label("says: ")?.into() })
    }
}

/// Files that a patch changes, below the checkout.
fn changed(patch: &str) -> impl Iterator<Item = &str> {
    patch.lines().filter_map(|line| line.strip_prefix("+++ b/"))
}

/// Plants bugs, all or those that are named, and sees that each is found.
///
/// # Errors
/// Where one is not, and where the user interrupts.
pub(crate) fn run(desk: &Desk, names: &[String], minutes: u64) -> anyhow::Result<()> {
    let folder = desk.root.join("fuzz/planted");
    let patches: Vec<PathBuf> =
        seeds::files(&folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "patch")).collect();
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let all: Vec<String> = patches.iter().map(stem).collect();
    let names = if names.is_empty() { &all } else { names };
    if let Some(name) = names.iter().find(|name| !all.contains(name)) {
        return Err(wrong(format!("there is no fuzz/planted/{name}.patch")));
    }
    let bug = |name: &String| -> anyhow::Result<Bug> {
        let path = folder.join(format!("{name}.patch"));
        Bug::parse(name, &fs::read_to_string(&path).with_context(|| path.display().to_string())?)
    };
    let bugs = names.iter().map(bug).collect::<anyhow::Result<Vec<_>>>()?;
    build::all(desk, Flavour::Checked)?;
    let copy = desk.state.folder().join("planted");
    let found =
        bugs.iter().map(|bug| Ok((bug, plant(desk, bug, &patches, &copy, minutes)?))).collect::<anyhow::Result<Vec<_>>>();
    // Whatever happens, the programs with a bug in them are not what is left behind: cargo puts the others back, which it still has.
    let restored = interrupt::set_aside(|| build::all(desk, Flavour::Checked));
    let found = found?;
    restored?;
    state::remove(&copy)?;
    let missed: Vec<&str> = found.iter().filter(|(_, is_found)| !is_found).map(|(bug, _)| bug.name.as_str()).collect();
    if missed.is_empty() { Ok(()) } else { Err(failed(format!("not found: {}", missed.join(" ")))) }
}

/// True where a bug is found once it is planted.
fn plant(desk: &Desk, bug: &Bug, patches: &[PathBuf], copy: &Path, minutes: u64) -> anyhow::Result<bool> {
    let Bug { name, target, says } = bug;
    copy_sources(desk, bug, patches, copy)?;
    build::of_copy(desk, copy, target)?;
    let work = tempfile::tempdir()?;
    let (corpus, own_seeds, program) = (work.path().join("corpus"), work.path().join("seeds"), work.path().join("program"));
    fs::create_dir(&corpus)?;
    fs::create_dir(&own_seeds)?;
    // What is built next has another bug, or none.
    fs::copy(Flavour::Checked.binary(desk, target)?, &program)?;
    engine::prepare(desk, target)?;
    // Fuzzing has to come upon the case itself: seeds that show the bug are no seeds here.
    let mut taken = 0;
    for seed in seeds::files(&engine::committed(desk, target)) {
        let ours = own_seeds.join(seed.file_name().unwrap_or_default());
        fs::copy(&seed, &ours)?;
        if !engine::apart(desk, target, &program, &[ours.display().to_string()], &work.path().join("seed.log"))? {
            fs::remove_file(ours)?;
            taken += 1;
        }
    }
    let (started, path) = (Instant::now(), desk.state.log(&format!("planted-{name}")));
    let arguments = [
        format!("-max_total_time={}", 60 * minutes),
        engine::artifacts(work.path()),
        corpus.display().to_string(),
        own_seeds.display().to_string(),
    ];
    engine::apart(desk, target, &program, &arguments, &path)?;
    let (text, seconds) = (state::read(&path).unwrap_or_default(), started.elapsed().as_secs());
    let is_found = text.contains(says.as_str());
    if is_found {
        let executions = log::executions(&text).map_or_else(|| "some".to_owned(), |executions| executions.to_string());
        say(format!(
            "{name}: {} found it in {seconds} s, after {executions} executions, without the {taken} seeds that show it",
            target.name
        ));
    } else {
        say(format!(
            "{name}: {} ended after {seconds} s and did not say `{says}`; the end of {}:",
            target.name,
            path.display()
        ));
        show_end(&text, 5);
    }
    Ok(is_found)
}

/// Makes a copy of the sources with a bug in it. With the times of files, so that cargo builds again only what patches change; and those it
/// must, this one's and the one's before.
fn copy_sources(desk: &Desk, bug: &Bug, patches: &[PathBuf], copy: &Path) -> anyhow::Result<()> {
    state::remove(copy)?;
    fs::create_dir_all(copy)?;
    let mut cp = external::program("cp", &desk.root);
    cp.arg("-a").args(COPIED).arg(copy);
    external::succeed(cp)?;
    let mut touched: BTreeSet<String> = BTreeSet::new();
    for patch in patches {
        touched.extend(changed(&fs::read_to_string(patch)?).map(str::to_owned));
    }
    for path in touched.iter().map(|path| copy.join(path)).filter(|path| path.is_file()) {
        File::options().write(true).open(path)?.set_modified(SystemTime::now())?;
    }
    let mut git = external::program("git", copy);
    // The copy is in no repository, whatever the cache is in.
    git.env("GIT_CEILING_DIRECTORIES", desk.state.folder());
    git.arg("apply").arg(desk.root.join("fuzz/planted").join(format!("{}.patch", bug.name)));
    Ok(external::succeed(git)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "A bound is left out.\n\ntarget: codec\nsays: q5_\n\ndiff --git a/x b/x\n--- a/x\n+++ b/conformance/x.rs\n@@ -1 +1 @@\n-target: load_candle\n+says: other\n";

    #[test]
    fn what_stands_before_a_patch_says_who_finds_it_and_how() {
        let bug = Bug::parse("bound", PATCH).unwrap();
        assert_eq!((bug.name.as_str(), bug.target.name, bug.says.as_str()), ("bound", "codec", "q5_"));
        assert_eq!(changed(PATCH).collect::<Vec<_>>(), ["conformance/x.rs"]);
    }

    #[test]
    fn a_patch_that_does_not_say_so_is_wrong() {
        for (patch, words) in [
            (PATCH.replace("says: q5_", ""), "no line `says: ...`"),
            (PATCH.replace("target: codec", ""), "no line `target: ...`"),
            (PATCH.replace("codec", "singing"), "there is no target singing"),
        ] {
            let said = Bug::parse("bound", &patch).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
