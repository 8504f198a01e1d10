//! The command that runs a case again.

use printable::quoted;
use record::ModelRecord;
use vocabulary::{Case, SubjectId};

/// By `ggauge run`; `arguments` is what has to be said beyond model, settings and filter, each with a space before it.
pub fn run(arguments: &str) -> impl Fn(&ModelRecord, &Case, &str) -> String {
    move |model, case, filter| {
        let model = quoted(&model.argument);
        format!("ggauge run {model} --settings {} --filter '{filter}'{arguments}", case.settings)
    }
}

/// What `ggauge run` has to be told to have a subject that a command of the user's serves.
pub fn worker(subject: &SubjectId, command: &str) -> String {
    format!(" --worker {}", quoted(format!("{subject}={command}")))
}

/// By `ggauge matrix`, which has models, prompts and settings of its own.
pub fn matrix(arguments: &str) -> impl Fn(&ModelRecord, &Case, &str) -> String {
    move |_, _, filter| format!("ggauge matrix --filter '{filter}'{arguments}")
}
