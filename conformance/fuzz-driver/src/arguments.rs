//! The command line, which `scripts/fuzz --help` explains: what is asked, and with which numbers.

use crate::{
    chosen::known,
    flavour::Flavour,
    planted,
    words::{Stop, wrong},
};
use clap::Parser;
use fuzzing::{TARGETS, Target};
use printable::Page;
use std::{
    ffi::OsString,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
};

/// What `--help` says.
pub(crate) const HELP: &str = "\
Usage:
  scripts/fuzz TARGET [--minutes N] [--jobs N] [--wrapping]   fuzz one target, 10 minutes where nothing is said
  scripts/fuzz --smoke                                        every target for about 10 seconds from the committed seeds, always the same way
  scripts/fuzz --overnight [--hours N | --minutes N] [--jobs N]  share the time over all targets (8 hours, 1 job), and end with a report
  scripts/fuzz --coverage [TARGET...]                         lines and regions of each parser that the corpora reach, from a build of its own
  scripts/fuzz --planted [NAME...] [--minutes N]              plant each bug of fuzz/planted in a copy of the sources, and see that fuzzing finds it
  scripts/fuzz --report                                       the report of --overnight, of what there is now
  scripts/fuzz --build                                        build and stop
  scripts/fuzz --list [--facts]                               the targets; for scripts, with what a fleet has to know of each
  scripts/fuzz --seeds                                        write corpora/seeds anew, from the code that makes them

Everything goes on from where it was left: corpora, artifacts, counts and logs are in `fuzz` of ggauge's cache folder. A finding does not
stop the run; take it in with `scripts/ggauge promote ARTIFACT --target TARGET --fuzzer BINARY`.
--wrapping takes the build without overflow checks and debug assertions, as users have it, for the targets without llama.cpp.

Environment:
  GGAUGE_CACHE               ggauge's cache folder
  GGAUGE_FUZZ_TARGETS        the targets of --overnight and --smoke, where not all of them
  GGAUGE_FUZZ_PROGRAM        the ggauge executable whose workers logits_differential uses (default: that of scripts/ggauge)
  GGAUGE_FUZZ_STATISTICS     set by this script: where targets write how far inputs came
  GGAUGE_FUZZ_STOP_AT_KNOWN  set to anything: known findings end the process too
";

/// Minutes that one target is fuzzed where nothing is said.
const MINUTES: u64 = 10;
/// Hours of a night where nothing is said.
const HOURS: u64 = 8;

/// The arguments as they are given.
#[derive(Debug, Parser)]
#[command(name = "scripts/fuzz", override_help = HELP, override_usage = "scripts/fuzz --help says how")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct Arguments {
    /// The checkout whose targets these are; `scripts/fuzz` gives it.
    #[arg(long)]
    pub(crate) checkout: PathBuf,
    /// ggauge's cache folder; `scripts/fuzz` gives it.
    #[arg(long)]
    pub(crate) cache: PathBuf,
    names: Vec<String>,
    #[arg(long, group = "asked")]
    smoke: bool,
    #[arg(long, group = "asked")]
    overnight: bool,
    #[arg(long, group = "asked")]
    coverage: bool,
    #[arg(long, group = "asked")]
    planted: bool,
    #[arg(long, group = "asked")]
    report: bool,
    #[arg(long, group = "asked")]
    build: bool,
    #[arg(long, group = "asked")]
    list: bool,
    #[arg(long, group = "asked")]
    seeds: bool,
    #[arg(long)]
    minutes: Option<NonZeroU64>,
    #[arg(long)]
    hours: Option<NonZeroU64>,
    #[arg(long)]
    jobs: Option<NonZeroU32>,
    #[arg(long)]
    wrapping: bool,
    #[arg(long)]
    facts: bool,
}

/// What the driver is asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Fuzz one target.
    Target {
        /// Which.
        target: &'static Target,
        /// How long.
        minutes: u64,
        /// Processes at a time.
        jobs: u32,
        /// Which build of it.
        flavour: Flavour,
    },
    /// Each target for some seconds, always the same inputs.
    Smoke,
    /// All targets, sharing the time.
    Overnight {
        /// How long, in seconds.
        seconds: u64,
        /// Processes at a time.
        jobs: u32,
    },
    /// What the corpora of these targets reach, or of all where there are none.
    Coverage(Vec<&'static Target>),
    /// Whether planted bugs are found.
    Planted {
        /// Which; all where there are none.
        names: Vec<String>,
        /// How long each may take.
        minutes: u64,
    },
    /// What there is now.
    Report,
    /// Build and stop.
    Build,
    /// The targets' names.
    List,
    /// The targets' facts, for scripts.
    Facts,
    /// Write the committed seeds.
    Seeds,
}

impl Arguments {
    /// Those of the command line. Where they are none, the process ends with what clap says of them as they are printed.
    pub(crate) fn of_command_line() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let printable = std::env::args_os().map(|argument| OsString::from(printable::line(&argument.to_string_lossy())));
            match Self::try_parse_from(printable) {
                Err(error) => error.exit(),
                // They were refused for what is not printable in them.
                Ok(_) => {
                    Page::of_lines(&error.to_string()).say();
                    std::process::exit(Stop::Wrong(String::new()).code().into())
                }
            }
        })
    }

    /// What is asked.
    ///
    /// # Errors
    /// Where nothing is asked, a target is none, or an option has nothing to do with the question.
    pub(crate) fn question(self) -> anyhow::Result<Question> {
        let jobs = self.jobs.map_or(1, NonZeroU32::get);
        let minutes = self.minutes.map(NonZeroU64::get);
        let flavour = if self.wrapping { Flavour::Wrapping } else { Flavour::Checked };
        // What each question takes, beside its name.
        let (question, takes): (_, &[&str]) = match self.asked() {
            "smoke" => (Question::Smoke, &[]),
            "overnight" => {
                let hours = self.hours.map_or(HOURS, NonZeroU64::get);
                let seconds = minutes.map_or(3600 * hours, |minutes| 60 * minutes);
                (Question::Overnight { seconds, jobs }, &["--minutes", "--hours", "--jobs"])
            }
            "coverage" => {
                let targets = self.names.iter().map(|name| known(name)).collect::<anyhow::Result<_>>()?;
                (Question::Coverage(targets), &["a name"])
            }
            "planted" => {
                let minutes = minutes.unwrap_or(planted::MINUTES);
                (Question::Planted { names: self.names.clone(), minutes }, &["a name", "--minutes"])
            }
            "report" => (Question::Report, &[]),
            "build" => (Question::Build, &[]),
            "list" if self.facts => (Question::Facts, &["--facts"]),
            "list" => (Question::List, &[]),
            "seeds" => (Question::Seeds, &[]),
            _ => {
                let [name] = &self.names[..] else { return Err(self.not_one()) };
                let target = known(name)?;
                (
                    Question::Target { target, minutes: minutes.unwrap_or(MINUTES), jobs, flavour },
                    &["a name", "--minutes", "--jobs", "--wrapping"],
                )
            }
        };
        self.has_nothing_but(takes)?;
        match question {
            Question::Target { target, flavour: Flavour::Wrapping, .. } if !target.wraps => {
                let wrapping: Vec<_> = TARGETS.iter().filter(|target| target.wraps).map(|target| target.name).collect();
                let wrapping = wrapping.join(" ");
                Err(wrong(format!("--wrapping is for {wrapping}: the others need llama.cpp, which has no such checks")))
            }
            question => Ok(question),
        }
    }

    /// The option that asks something.
    fn asked(&self) -> &'static str {
        let flags = [
            (self.smoke, "smoke"),
            (self.overnight, "overnight"),
            (self.coverage, "coverage"),
            (self.planted, "planted"),
            (self.report, "report"),
            (self.build, "build"),
            (self.list, "list"),
            (self.seeds, "seeds"),
        ];
        flags.into_iter().find(|(is_given, _)| *is_given).map_or("", |(_, name)| name)
    }

    fn not_one(&self) -> anyhow::Error {
        if self.names.is_empty() {
            Stop::Unasked(HELP).into()
        } else {
            wrong(format!("one target at a time, not {}; --overnight takes them all", self.names.join(" ")))
        }
    }

    fn has_nothing_but(&self, takes: &[&str]) -> anyhow::Result<()> {
        let given = [
            (!self.names.is_empty(), "a name"),
            (self.minutes.is_some(), "--minutes"),
            (self.hours.is_some(), "--hours"),
            (self.jobs.is_some(), "--jobs"),
            (self.wrapping, "--wrapping"),
            (self.facts, "--facts"),
        ];
        match given.into_iter().find(|(is_given, name)| *is_given && !takes.contains(name)) {
            Some((_, name)) => Err(wrong(format!("{name} has nothing to do with what is asked; see scripts/fuzz --help"))),
            None if self.minutes.is_some() && self.hours.is_some() => Err(wrong("give --minutes or --hours, not both")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use fuzzing::target;

    fn asked(arguments: &[&str]) -> Result<Question, String> {
        let all = [&["fuzz", "--checkout", "/c", "--cache", "/k"][..], arguments].concat();
        let arguments = Arguments::try_parse_from(all).map_err(|error| error.to_string())?;
        arguments.question().map_err(|error| error.to_string())
    }

    fn fuzz(name: &str, minutes: u64, jobs: u32, flavour: Flavour) -> Question {
        Question::Target { target: target(name).unwrap(), minutes, jobs, flavour }
    }

    #[test]
    fn every_question_of_the_help_is_understood() {
        Arguments::command().debug_assert();
        assert_eq!(asked(&["codec"]).unwrap(), fuzz("codec", 10, 1, Flavour::Checked));
        let all = ["load_candle", "--jobs", "3", "--minutes", "2", "--wrapping"];
        assert_eq!(asked(&all).unwrap(), fuzz("load_candle", 2, 3, Flavour::Wrapping));
        assert_eq!(asked(&["--smoke"]).unwrap(), Question::Smoke);
        assert_eq!(asked(&["--overnight"]).unwrap(), Question::Overnight { seconds: 8 * 3600, jobs: 1 });
        assert_eq!(asked(&["--overnight", "--hours", "2"]).unwrap(), Question::Overnight { seconds: 7200, jobs: 1 });
        assert_eq!(
            asked(&["--overnight", "--minutes", "3", "--jobs", "2"]).unwrap(),
            Question::Overnight { seconds: 180, jobs: 2 }
        );
        assert_eq!(asked(&["--coverage"]).unwrap(), Question::Coverage(Vec::new()));
        assert_eq!(asked(&["--coverage", "codec"]).unwrap(), Question::Coverage(vec![target("codec").unwrap()]));
        assert_eq!(asked(&["--planted"]).unwrap(), Question::Planted { names: Vec::new(), minutes: 10 });
        let named = Question::Planted { names: vec!["rope-base".into()], minutes: 1 };
        assert_eq!(asked(&["--planted", "rope-base", "--minutes", "1"]).unwrap(), named);
        assert_eq!(asked(&["--report"]).unwrap(), Question::Report);
        assert_eq!(asked(&["--build"]).unwrap(), Question::Build);
        assert_eq!(asked(&["--list"]).unwrap(), Question::List);
        assert_eq!(asked(&["--list", "--facts"]).unwrap(), Question::Facts);
        assert_eq!(asked(&["--seeds"]).unwrap(), Question::Seeds);
    }

    #[test]
    fn the_help_has_every_option() {
        let of_the_script = ["checkout", "cache"];
        for argument in Arguments::command().get_arguments() {
            let Some(name) = argument.get_long().filter(|name| !of_the_script.contains(name)) else { continue };
            assert!(HELP.contains(&format!("--{name}")), "--{name}");
        }
        assert!(asked(&["--help"]).unwrap_err().starts_with("Usage:\n  scripts/fuzz TARGET"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (arguments, words) in [
            (&[][..], "Usage:\n"),
            (&["sing"], "there is no target sing; there are header_ours "),
            (&["codec", "tokenizer"], "one target at a time"),
            (&["codec", "--wrapping"], "--wrapping is for header_ours header_candle load_candle"),
            (&["codec", "--minutes", "0"], "--minutes"),
            (&["codec", "--minutes", "many"], "--minutes"),
            (&["codec", "--loud"], "--loud"),
            (&["--smoke", "--report"], "cannot be used with"),
            (&["--smoke", "codec"], "a name has nothing to do"),
            (&["--report", "--jobs", "2"], "--jobs has nothing to do"),
            (&["--overnight", "--hours", "1", "--minutes", "1"], "not both"),
            (&["--coverage", "sing"], "there is no target sing"),
        ] {
            let said = asked(arguments).unwrap_err();
            assert!(said.contains(words), "{arguments:?}: {said}");
        }
    }
}
