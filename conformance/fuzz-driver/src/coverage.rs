//! Lines and regions of each parser that the corpora reach, from a build that does nothing but count.

use crate::{
    build,
    desk::Desk,
    engine::{self, Kept},
    flavour::Flavour,
    report, seeds, state,
    words::{failed, print, say},
};
use fuzzing::Target;
use machine::{external, watched::Bounds};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

/// Inputs that go into one process. One that ends its process takes the counts of all of these with it.
const AT_ONCE: usize = 100;
/// How long they may take together.
const MOST: Duration = Duration::from_mins(5);

/// Counts what the corpora of some targets reach, and reports it.
///
/// # Errors
/// Where nothing could be counted, and where the user interrupts.
pub(crate) fn run(desk: &Desk, targets: &[&'static Target]) -> anyhow::Result<()> {
    build::all(desk, Flavour::Coverage)?;
    let counts = desk.state.folder().join("coverage");
    state::remove(&counts)?;
    fs::create_dir_all(&counts)?;
    let (mut programs, mut counted) = (Vec::new(), Vec::new());
    for &target in targets {
        let program = Flavour::Coverage.binary(desk, target)?;
        match count(desk, target, &program, &counts)? {
            Some(path) => {
                programs.push(program);
                counted.push(path);
            }
            None => say(format!("{}: not counted, no input came to its end; see {}", target.name, log(desk, target).display())),
        }
    }
    if programs.is_empty() {
        return Err(failed("nothing was counted"));
    }
    let all = counts.join("all.profdata");
    let mut merge = external::program(desk.compiler()?.tool("llvm-profdata"), &desk.root);
    merge.args(["merge", "-sparse", "-o"]).arg(&all).args(&counted);
    external::succeed(merge)?;
    // Whoever reports meanwhile has the old one or the new one.
    let partial = counts.join("summary.partial");
    let mut export = external::program(desk.compiler()?.tool("llvm-cov"), &desk.root);
    export.args(["export", "-summary-only", "-instr-profile"]).arg(&all);
    for (number, program) in programs.iter().enumerate() {
        if number > 0 {
            export.arg("-object");
        }
        export.arg(program);
    }
    export.stdout(File::create(&partial)?).stderr(File::create(desk.state.log("coverage"))?);
    external::succeed(export)?;
    fs::rename(&partial, counts.join("summary.json"))?;
    print(&report::coverage(&desk.state))
}

fn log(desk: &Desk, target: &Target) -> PathBuf {
    desk.state.folder().join("logs").join(format!("coverage-{}.txt", target.name))
}

/// Counts what a target's corpus reaches, and gives the file with it; `None` where no process came to its end.
fn count(desk: &Desk, target: &'static Target, program: &Path, counts: &Path) -> anyhow::Result<Option<PathBuf>> {
    engine::prepare(desk, target)?;
    let folders = std::iter::once(desk.state.corpus(target)).chain(engine::seeds(desk, target));
    let inputs: Vec<PathBuf> = folders.flat_map(|folder| seeds::files(&folder)).collect();
    let output = File::create(log(desk, target))?;
    for inputs in inputs.chunks(AT_ONCE) {
        let mut command = engine::program(desk, target, program, Kept::Reports)?;
        command.env("LLVM_PROFILE_FILE", counts.join(format!("{}-%p.profraw", target.name)));
        command.args(["-timeout=60", "-rss_limit_mb=4096"]).args(inputs);
        command.stdout(output.try_clone()?).stderr(output.try_clone()?);
        // However it ends, the others go on.
        external::watch(command, Bounds { time: Some(MOST), ..Bounds::default() }, |_| ())?;
    }
    let raw = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{}-", target.name)) && name.ends_with(".profraw")
    };
    let raw: Vec<PathBuf> = seeds::files(counts).into_iter().filter(raw).collect();
    // At once: each is as large as the program's tables.
    let merged = counts.join(format!("{}.profdata", target.name));
    let is_merged = !raw.is_empty() && {
        let mut merge = external::program(desk.compiler()?.tool("llvm-profdata"), &desk.root);
        merge.args(["merge", "-sparse", "-failure-mode=all", "-o"]).arg(&merged).args(&raw);
        external::watch(merge, Bounds::default(), |_| ())?.is_success()
    };
    for path in raw {
        fs::remove_file(path)?;
    }
    Ok(is_merged.then_some(merged))
}
