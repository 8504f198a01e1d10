//! What commands share: the cache and a scratch folder, progress, workers, and printing. It alone prints.

use anyhow::Context as _;
use clap::Args;
use ggauge::runtimes;
use harness::{
    event::Listener,
    plan::Filter,
    progress as bars,
    rig::{Policy, Rig},
    subjects,
    worker::pool::{self, Workers},
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache, scratch::Scratch};
use printable::{Form, Page};
use record::{Folder, SubjectRecord};
use report::layout::{DEFAULT_WIDTH, Layout};
use smith::Recipe;
use std::{
    cell::OnceCell,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};
use supply::models::Model;
use vocabulary::{Settings, SubjectId};

/// Where a command works.
pub(crate) struct Desk {
    pub(crate) cache: Cache,
    /// Made when it is first needed: some commands only read.
    scratch: OnceCell<Scratch>,
    /// Shows nothing where the command prints for machines.
    pub(crate) progress: ProgressBar,
    /// This executable, which is also the workers'.
    pub(crate) program: PathBuf,
}

impl Desk {
    /// Finds and makes all of it; `quiet` where nothing is to be shown but what is printed.
    pub(crate) fn open(quiet: bool) -> anyhow::Result<Self> {
        let cache = Cache::find()?;
        Ok(Self { cache, scratch: OnceCell::new(), progress: progress(quiet), program: program()? })
    }

    /// A folder for what is needed until the command ends.
    pub(crate) fn scratch(&self) -> anyhow::Result<&Path> {
        if let Some(made) = self.scratch.get() {
            return Ok(made.path());
        }
        let made = self.cache.scratch()?;
        Ok(self.scratch.get_or_init(|| made).path())
    }

    /// Workers that are started as this executable, with the limits that nobody asked to change.
    pub(crate) fn workers(&self) -> anyhow::Result<Workers> {
        Ok(Workers::plain(self.program.clone(), self.scratch()?))
    }

    /// What a run works with.
    pub(crate) fn rig<'a>(
        &'a self,
        workers: &'a mut Workers,
        policy: &'a Policy,
        listeners: Vec<&'a mut dyn Listener>,
    ) -> anyhow::Result<Rig<'a>> {
        Ok(Rig { workers, cache: &self.cache, scratch: self.scratch()?, policy, listeners })
    }

    /// Subjects of this build, those the machine lacks included: GPU devices are counted up from 0 until one is missing.
    pub(crate) fn available(&self, workers: &mut Workers, settings: Settings) -> anyhow::Result<Vec<SubjectRecord>> {
        let mut records = Vec::new();
        let probe = &self.probe_model()?;
        for subject in subjects::known() {
            if !runtimes::is_built(&subject) {
                let reason = runtimes::absence(&subject);
                records.push(pool::unavailable(subject, settings, reason));
                continue;
            }
            let numbered = subject.device().ends_with('0');
            let first = workers.describe(&subject, settings, probe)?;
            let mut more = numbered && first.unavailable.is_none();
            records.push(first);
            for number in 1.. {
                if !more {
                    break;
                }
                let next = SubjectId::new(subject.runtime(), &format!("{}{number}", subject.device_kind()))
                    .map_err(anyhow::Error::msg)?;
                let record = workers.describe(&next, settings, probe)?;
                more = record.unavailable.is_none();
                if more {
                    records.push(record);
                }
            }
        }
        Ok(records)
    }

    /// A model that every runtime can load.
    fn probe_model(&self) -> anyhow::Result<PathBuf> {
        Ok(Model::make(&"llama/f32@0".parse::<Recipe>()?, self.scratch()?)?.path)
    }

    /// The subjects to run and what they said of themselves: those `only` asks for and those of the user's, or all that this machine has.
    pub(crate) fn choose_subjects(
        &self,
        only: &[SubjectId],
        of_user: &[(SubjectId, String)],
        all_settings: &[Settings],
        workers: &mut Workers,
    ) -> anyhow::Result<(Vec<SubjectId>, Vec<SubjectRecord>)> {
        let asked: Vec<SubjectId> = only.iter().cloned().chain(of_user.iter().map(|(id, _)| id.clone())).collect();
        let probe = self.probe_model()?;
        let mut records = Vec::new();
        for &settings in all_settings {
            if only.is_empty() {
                records.extend(self.available(workers, settings)?);
            }
            for subject in &asked {
                records.push(workers.describe(subject, settings, &probe)?);
            }
        }
        let mut subjects: Vec<SubjectId> = Vec::new();
        for record in &records {
            // The reference is part of every comparison. A subject somebody asked for by name stays and says why it cannot.
            let wanted = record.unavailable.is_none() || asked.contains(&record.subject);
            if wanted && record.subject.runtime() != "reference" && !subjects.contains(&record.subject) {
                subjects.push(record.subject.clone());
            }
        }
        Ok((subjects, records))
    }

    /// Leaves a Record in the folder that the user gave, or else in the cache, and gives its path.
    pub(crate) fn leave(
        &self,
        left: &Folder<'_>,
        given: Option<&Path>,
        name: &str,
        before: Option<&str>,
    ) -> anyhow::Result<PathBuf> {
        match given {
            Some(folder) => left.write(folder).map(|()| folder.to_owned()),
            None => left.write_own(&self.cache, name, before),
        }
        .map_err(Into::into)
    }
}

pub(crate) fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("finding the ggauge executable, which is also the workers'")
}

/// The cases that a command's `--filter` keeps: all without one.
pub(crate) fn filter(text: Option<&str>) -> Result<Filter, Error> {
    text.map_or(Ok(Filter::All), Filter::parse)
}

/// Shows how far the work is, unless nothing is to be shown but what is printed.
pub(crate) fn progress(quiet: bool) -> ProgressBar {
    if quiet { ProgressBar::hidden() } else { bars::progress_bar() }
}

pub(crate) fn colored() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints to stdout; a closed pipe, as of `| head`, is no error.
pub(crate) fn print(page: &Page) -> anyhow::Result<()> {
    match io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to stdout"),
    }
}

/// As [`Page::say`].
pub(crate) fn say(page: &Page) {
    page.say();
}

/// As wide as the terminal, where there is one.
pub(crate) fn layout(all: bool) -> Layout {
    let width = console::Term::stdout().size_checked().map_or(DEFAULT_WIDTH, |(_, columns)| columns);
    Layout { width, all }
}

/// How a report of changes is printed.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    /// Print Markdown, for a pull request.
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// List every change, instead of the largest of each kind.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

impl Shown {
    pub(crate) fn form(&self) -> Form {
        if self.markdown { Form::Markdown } else { Form::Text }
    }
}
