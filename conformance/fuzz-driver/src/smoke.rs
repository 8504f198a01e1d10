//! A smoke run: every target for about 10 seconds from the committed seeds, always with the same inputs, so that it fails for whoever broke
//! something.

use crate::{
    build,
    desk::Desk,
    engine,
    flavour::Flavour,
    log, state,
    words::{failed, say, show_end},
};
use fuzzing::Target;
use std::time::Instant;

/// Seconds that a target may take where the machine is slow.
const MOST: u32 = 15;

/// Runs every target.
///
/// # Errors
/// Where one finds something; the user is told where it is.
pub(crate) fn run(desk: &Desk, targets: &[&'static Target]) -> anyhow::Result<()> {
    build::all(desk, Flavour::Checked)?;
    let mut wrong = Vec::new();
    for &target in targets {
        if !one(desk, target)? {
            wrong.push(target.name);
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(failed(format!(
        "new findings in {}: the artifacts are in {}; `scripts/ggauge promote ARTIFACT` takes them in",
        wrong.join(" "),
        desk.state.folder().join("artifacts").display()
    )))
}

/// True where a target finds nothing.
fn one(desk: &Desk, target: &'static Target) -> anyhow::Result<bool> {
    engine::prepare(desk, target)?;
    let (work, started) = (tempfile::tempdir()?, Instant::now());
    let log = desk.state.log(&format!("smoke-{}", target.name));
    let arguments = [
        format!("-runs={}", target.smoke_runs),
        format!("-max_total_time={MOST}"),
        engine::artifacts(&desk.state.artifacts(target)),
        work.path().display().to_string(),
        engine::committed(desk, target).display().to_string(),
    ];
    let is_clean = engine::apart(desk, target, &Flavour::Checked.binary(desk, target)?, &arguments, &log)?;
    let text = state::read(&log).unwrap_or_default();
    if is_clean {
        let executions = log::executions(&text).unwrap_or(0);
        say(format!("{}: {executions} executions in {} s", target.name, started.elapsed().as_secs()));
    } else {
        say(format!("{}: FAILED; the end of {}:", target.name, log.display()));
        show_end(&text, 30);
    }
    Ok(is_clean)
}
