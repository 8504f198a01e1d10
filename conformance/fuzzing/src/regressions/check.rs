//! Does an input still end as its sidecar says?

use crate::regressions::{
    cause::cause,
    engine::{Engine, LIMITS, run},
    sidecar::{Class, Regression, Sidecar},
};
use harness::worker::launch::WorkerLimits;
use machine::Error;
use printable::{line, quoted};

/// What became of a regression, where it is not what its sidecar says.
///
/// # Errors
/// As [`run`].
pub fn check(regression: &Regression, engine: &Engine, limits: WorkerLimits) -> Result<Option<String>, Error> {
    let Sidecar { class, says, .. } = &regression.sidecar;
    // A hang is no surer after minutes, however patient the caller is with slow machines.
    let time = if *class == Class::TimesOut { limits.time.min(LIMITS.time) } else { limits.time };
    let limits = WorkerLimits { time, ..limits };
    let ending = run(engine, &regression.target, &[&regression.input], limits)?;
    if ending.class == *class && ending.words.contains(says.as_str()) {
        return Ok(None);
    }
    let name = regression.name();
    let command = format!("ggauge replay {} {}", regression.target, quoted(&regression.input));
    let last = cause(&ending).unwrap_or_else(|| ending.words.lines().last().unwrap_or_default().to_owned());
    let last = line(&last);
    Ok(Some(if ending.class == Class::Passes {
        format!(
            "{name}: unexpected pass: it used to be `{}`, in the words `{says}`. If the runtime was fixed, delete the input, its sidecar, its \
             row in conformance/fuzzing/src/known.rs and its entry in FINDINGS.md.\nnext: {command}",
            class.name()
        )
    } else {
        format!(
            "{name}: expected `{}` in the words `{says}`, got `{}`: {last}\nnext: {command}",
            class.name(),
            ending.class.name()
        )
    }))
}
