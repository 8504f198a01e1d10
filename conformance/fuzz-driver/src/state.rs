//! What fuzzing has learnt, in `fuzz` of ggauge's cache folder: corpora, artifacts, counts, logs, and a line for each slice of time. Every run
//! goes on from it, also after one that was killed at any moment.
//!
//! ```text
//! corpora/TARGET       inputs that reach something of their own      statistics/TARGET  how far inputs came, a file a process
//! artifacts/TARGET     inputs that ended a process                   reports/TARGET     what sanitizers said, in sites.txt
//! logs                 what engines wrote                            slices.jsonl       which log is of which slice
//! vocabularies         seeds of real vocabularies                    report.txt         the report of the last night
//! build                programs                                      coverage           counts of the last `--coverage`
//! ```

use crate::log::{self, Status};
use anyhow::Context;
use fuzzing::Target;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use time::{OffsetDateTime, macros::format_description};

/// A target fuzzed for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slice {
    /// Its name.
    pub(crate) target: String,
    /// Which build of it.
    pub(crate) flavour: String,
    /// How long it should take, in seconds.
    pub(crate) seconds: u64,
    /// What the engine wrote.
    pub(crate) log: PathBuf,
}

/// The folder of it all.
#[derive(Debug, Clone)]
pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    /// A state in this folder, which need not be there.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a target's inputs are kept.
    pub(crate) fn corpus(&self, target: &Target) -> PathBuf {
        self.folder.join("corpora").join(target.name)
    }

    /// Where inputs go that ended a process.
    pub(crate) fn artifacts(&self, target: &Target) -> PathBuf {
        self.folder.join("artifacts").join(target.name)
    }

    /// Where a target counts how far inputs came.
    pub(crate) fn statistics(&self, target: &Target) -> PathBuf {
        self.folder.join("statistics").join(target.name)
    }

    /// Where sanitizers say what they saw.
    pub(crate) fn reports(&self, target: &Target) -> PathBuf {
        self.folder.join("reports").join(target.name)
    }

    /// A log of this name.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    /// Makes the folders of a target, and puts back a corpus that was being replaced when somebody killed us.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub(crate) fn prepare(&self, target: &Target) -> anyhow::Result<()> {
        let (corpus, aside) = (self.corpus(target), self.aside(target));
        if aside.exists() {
            if corpus.exists() {
                fs::remove_dir_all(&aside)?;
            } else {
                fs::rename(&aside, &corpus)?;
            }
        }
        let logs = self.folder.join("logs");
        for folder in [corpus, self.artifacts(target), self.statistics(target), self.reports(target), logs] {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(())
    }

    fn aside(&self, target: &Target) -> PathBuf {
        self.folder.join("corpora").join(format!(".old-{}", target.name))
    }

    /// An empty folder for a corpus that is to replace a target's.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(crate) fn new_corpus(&self, target: &Target) -> io::Result<PathBuf> {
        let folder = self.folder.join("corpora").join(format!(".merged-{}", target.name));
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Replaces a target's corpus. One of the two is there at any moment.
    ///
    /// # Errors
    /// Where it cannot be done.
    pub(crate) fn replace_corpus(&self, target: &Target, new: &Path) -> io::Result<()> {
        let aside = self.aside(target);
        remove(&aside)?;
        fs::rename(self.corpus(target), &aside)?;
        fs::rename(new, self.corpus(target))?;
        fs::remove_dir_all(aside)
    }

    /// Begins a slice: a log of its own, and a line that says so.
    ///
    /// # Errors
    /// Where neither can be written.
    pub(crate) fn begin(&self, target: &Target, flavour: &str, seconds: u64) -> anyhow::Result<(Slice, File)> {
        let now = OffsetDateTime::now_utc().format(format_description!("[year][month][day]T[hour][minute][second]"))?;
        let name = |number: u32| match number {
            0 => format!("{}-{now}", target.name),
            _ => format!("{}-{now}-{number}", target.name),
        };
        let mut number = 0;
        let (log, file) = loop {
            let log = self.log(&name(number));
            match File::create_new(&log) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                file => break (log.clone(), file.with_context(|| log.display().to_string())?),
            }
        };
        let slice = Slice { target: target.name.into(), flavour: flavour.into(), seconds, log };
        self.append(&slice)?;
        Ok((slice, file))
    }

    fn append(&self, slice: &Slice) -> anyhow::Result<()> {
        let path = self.folder.join("slices.jsonl");
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut line = serde_json::to_string(slice)?;
        line.push('\n');
        // After half a line that somebody who was killed has left.
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(-1)).is_ok() {
            file.read_exact(&mut last)?;
        }
        if last != *b"\n" {
            line.insert(0, '\n');
        }
        Ok(file.write_all(line.as_bytes())?)
    }

    /// All slices whose engine has written what it came to, in order.
    pub(crate) fn slices(&self) -> Vec<(Slice, Status)> {
        let lines = fs::read_to_string(self.folder.join("slices.jsonl")).unwrap_or_default();
        let slices = lines.lines().filter_map(|line| serde_json::from_str::<Slice>(line).ok());
        slices
            .filter_map(|slice| Some((log::status(&read(&slice.log)?)?, slice)))
            .map(|(status, slice)| (slice, status))
            .collect()
    }

    /// Puts what sanitizers said of a target into one line a site, behind those that are there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn collect(&self, target: &Target) -> anyhow::Result<()> {
        let folder = self.reports(target);
        let reports = said(&folder)?;
        let mut sites: BTreeMap<String, usize> = BTreeMap::new();
        for report in &reports {
            let text = read(report).unwrap_or_default();
            let lines = text.lines().filter(|line| line.contains("runtime error: ") || line.contains("SUMMARY: "));
            for line in lines {
                *sites.entry(without_process(line)).or_default() += 1;
            }
        }
        let mut sites: Vec<_> = sites.into_iter().collect();
        sites.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let text: String = sites.into_iter().map(|(site, count)| format!("{count:>7} {site}\n")).collect();
        let mut file = OpenOptions::new().append(true).create(true).open(folder.join("sites.txt"))?;
        file.write_all(text.as_bytes())?;
        self.forget_reports(target)
    }

    /// Deletes what sanitizers said of a target lately.
    ///
    /// # Errors
    /// Where it cannot be deleted.
    pub(crate) fn forget_reports(&self, target: &Target) -> anyhow::Result<()> {
        for report in said(&self.reports(target))? {
            fs::remove_file(report)?;
        }
        Ok(())
    }
}

/// The files of sanitizers, one a process.
fn said(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let is_report = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("report."));
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(is_report).collect();
    paths.sort();
    Ok(paths)
}

/// A line without the number of the process that said it.
fn without_process(line: &str) -> String {
    let number = |rest: &str| rest.find(|c: char| !c.is_ascii_digit()).filter(|&end| rest[end..].starts_with("=="));
    for (at, _) in line.match_indices("==") {
        if let Some(end) = line.get(at + 2..).and_then(number) {
            return format!("{}{}", line[..at].trim_end_matches(' '), &line[at + 4 + end..]);
        }
    }
    line.to_owned()
}

/// A text that runtimes write into, whatever its bytes are. `None` where there is no such file.
pub(crate) fn read(path: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
}

/// Removes a folder that need not be there.
///
/// # Errors
/// Where it is there and stays.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State, &'static Target) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path().join("fuzz"));
        let target = fuzzing::target("codec").unwrap();
        state.prepare(target).unwrap();
        (folder, state, target)
    }

    const STATUS: &str = "#5: cov: 1 ft: 2 corp: 3 exec/s: 4 oom/timeout/crash: 0/0/0 time: 6s\n";

    #[test]
    fn slices_survive_a_kill_in_the_middle_of_a_line() {
        let (_folder, state, target) = state();
        let (first, mut log) = state.begin(target, "checked", 60).unwrap();
        log.write_all(STATUS.as_bytes()).unwrap();
        let mut file = OpenOptions::new().append(true).open(state.folder().join("slices.jsonl")).unwrap();
        file.write_all(b"{\"target\": \"co").unwrap();
        // In the same second: its log is another one.
        let (second, mut log) = state.begin(target, "wrapping", 30).unwrap();
        assert_ne!(first.log, second.log);
        log.write_all(STATUS.as_bytes()).unwrap();
        let (third, _) = state.begin(target, "checked", 60).unwrap();
        fs::remove_file(third.log).unwrap();
        let slices: Vec<Slice> = state.slices().into_iter().map(|(slice, _)| slice).collect();
        assert_eq!(slices, [first, second]);
    }

    /// As older scripts wrote them.
    #[test]
    fn slices_of_before_are_read() {
        let (_folder, state, target) = state();
        let log = state.log("old");
        fs::write(&log, STATUS).unwrap();
        let line = format!(
            "{{\"target\": \"{}\", \"flavour\": \"checked\", \"seconds\": 600, \"log\": \"{}\"}}\n",
            target.name,
            log.display()
        );
        fs::write(state.folder().join("slices.jsonl"), line).unwrap();
        assert_eq!(state.slices()[0].1.runs, 5);
    }

    #[test]
    fn a_corpus_is_there_whenever_we_are_killed() {
        let (_folder, state, target) = state();
        fs::write(state.corpus(target).join("a"), "a").unwrap();
        let new = state.new_corpus(target).unwrap();
        fs::write(new.join("b"), "b").unwrap();
        // Killed between the two renames.
        fs::rename(state.corpus(target), state.aside(target)).unwrap();
        state.prepare(target).unwrap();
        assert!(state.corpus(target).join("a").exists() && !state.aside(target).exists());
        state.replace_corpus(target, &new).unwrap();
        assert!(state.corpus(target).join("b").exists() && !state.corpus(target).join("a").exists());
        // Killed before the old one was gone.
        fs::create_dir(state.aside(target)).unwrap();
        state.prepare(target).unwrap();
        assert!(state.corpus(target).join("b").exists() && !state.aside(target).exists());
    }

    #[test]
    fn what_sanitizers_said_becomes_a_line_a_site() {
        let (_folder, state, target) = state();
        let folder = state.reports(target);
        fs::write(
            folder.join("report.1"),
            b"==1==ERROR: x\n\xff /a/b.cpp:3: runtime error: left shift\nSUMMARY: Undefined ==17==b\n",
        )
        .unwrap();
        fs::write(folder.join("report.2"), "SUMMARY: Undefined ==23==b\n").unwrap();
        state.collect(target).unwrap();
        let sites = fs::read_to_string(folder.join("sites.txt")).unwrap();
        assert_eq!(sites, "      2 SUMMARY: Undefinedb\n      1 \u{fffd} /a/b.cpp:3: runtime error: left shift\n");
        assert_eq!(said(&folder).unwrap(), Vec::<PathBuf>::new());
        state.collect(target).unwrap();
        assert_eq!(fs::read_to_string(folder.join("sites.txt")).unwrap(), sites);
    }
}
