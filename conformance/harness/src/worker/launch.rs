//! How a worker is started, and what it may take.

use crate::{
    subjects,
    worker::{crowd::Share, environment},
};
use machine::{external, watched::Bounds};
use std::{path::PathBuf, process::Command, time::Duration};
use vocabulary::{Settings, SubjectId, Tuning};

/// What a case may take. Both are enforced by the harness: address-space limits do not suit GPUs and sanitizers.
#[derive(Debug, Clone, Copy)]
pub struct WorkerLimits {
    /// Time for one request.
    pub time: Duration,
    /// What the worker and all that it started occupy, in bytes.
    pub memory: u64,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self { time: Duration::from_mins(10), memory: 8 << 30 }
    }
}

impl From<WorkerLimits> for Bounds {
    fn from(limits: WorkerLimits) -> Self {
        Self { time: Some(limits.time), memory: Some(limits.memory), files: Vec::new() }
    }
}

/// How to start the worker of a subject.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The subject.
    pub subject: SubjectId,
    /// Its settings.
    pub settings: Settings,
    /// What it is started with beyond them.
    pub tuning: Tuning,
    /// The `ggauge` executable.
    pub program: PathBuf,
    /// A shell command to run instead of `ggauge worker`, for subjects that are not ours.
    pub command: Option<String>,
}

impl Launch {
    /// The command that starts it.
    pub(super) fn command(&self, share: Option<&Share>) -> Command {
        let mut command = match &self.command {
            None => {
                let mut command = external::worker(&self.program);
                command.args(["worker", &self.subject.to_string(), "--settings", self.settings.name()]);
                let Tuning { threads, batch, micro_batch } = self.tuning;
                for (option, value) in [("--threads", threads), ("--batch", batch), ("--micro-batch", micro_batch)] {
                    command.args(value.into_iter().flat_map(|value| [option.to_owned(), value.to_string()]));
                }
                command
            }
            Some(line) if cfg!(target_os = "linux") => {
                // Where the user is, as the line itself.
                let mut command = external::ours(&self.program);
                command.args(["attend", line]);
                command
            }
            Some(line) => external::shell(line),
        };
        environment::clean(&mut command);
        for (name, value) in subjects::environment(&self.subject, self.settings, self.tuning) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // Nobody has a share where the user's own variables say it.
        if let (Some(name), Some(share)) = (self.spinning_threads(|_| false), share) {
            command.env(name, share.threads.to_string());
        }
        // The subject's name is there for workers that serve several.
        command.env("GGAUGE_SUBJECT", self.subject.to_string()).env("GGAUGE_SETTINGS", self.settings.name());
        command
    }

    /// The variable for the threads of a subject of ours that gets its share of the machine.
    fn spinning_threads(&self, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
        if self.command.is_some() { None } else { subjects::spinning_threads(&self.subject, self.tuning, is_set) }
    }

    /// What a worker that starts now gets of the machine, where it is one to be told.
    pub(super) fn share(&self, is_set: impl Fn(&str) -> bool) -> Option<Share> {
        self.spinning_threads(is_set).map(|_| Share::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::candle::{SPINNING_THREADS, THREADS};
    use std::env;

    fn launch(subject: &str, threads: Option<u32>) -> Launch {
        Launch {
            subject: subject.parse().unwrap(),
            settings: Settings::Default,
            tuning: Tuning { threads, ..Tuning::default() },
            program: "ggauge".into(),
            command: None,
        }
    }

    /// What the command of a worker sets a variable to, whatever this process itself has been told.
    fn told(command: &Command, variable: &str) -> Option<String> {
        let value = command.get_envs().find(|(name, _)| *name == variable)?.1?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn candle_is_told_its_share_of_the_machine() {
        let launched =
            |subject: &str, threads| told(&launch(subject, None).command(Some(&Share::of(threads))), SPINNING_THREADS);
        assert_eq!(launched("candle@cpu", 1).as_deref(), Some("1"));
        assert_eq!(launched("candle@cpu", 3).as_deref(), Some("3"));
        // It has no threads that spin; this process' own variable goes by.
        assert_eq!(launched("llama-cpp@cpu", 3), env::var(SPINNING_THREADS).ok());
    }

    #[test]
    fn who_says_how_many_threads_there_are_wins() {
        let candle = launch("candle@cpu", None);
        assert!(candle.share(|_| false).is_some());
        for own in [SPINNING_THREADS, THREADS] {
            assert!(candle.share(|name| name == own).is_none(), "{own} is overwritten");
        }
        let tuned = launch("candle@cpu", Some(2));
        assert!(tuned.share(|_| false).is_none());
        let command = tuned.command(Some(&Share::of(1)));
        assert_eq!(told(&command, THREADS).as_deref(), Some("2"));
        assert_eq!(told(&command, SPINNING_THREADS), env::var(SPINNING_THREADS).ok());
        assert!(launch("llama-cpp@cpu", None).share(|_| false).is_none());
        let foreign = Launch { command: Some("exec mine".into()), ..candle };
        assert!(foreign.share(|_| false).is_none(), "a worker that is not ours has its own ways");
    }
}
