//! What is known to have caused changes between releases of runtimes: `conformance/policy/changes.toml`.

use globset::{Glob, GlobSet, GlobSetBuilder};
use machine::Error;
use record::{
    changes::{Change, ChangeRow, RecordsCompared},
    release::{Age, Release},
    upgrade::Explained,
};
use semver::Version;
use serde::Deserialize;
use std::{cmp::Reverse, collections::BTreeMap};

const CHANGES: &str = include_str!("../changes.toml");

/// A row as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CauseRow {
    runtime: String,
    release: String,
    cases: Vec<String>,
    #[serde(default)]
    breaks: bool,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CauseRows {
    #[serde(default)]
    change: Vec<CauseRow>,
}

/// Something that a release changed, and that moves cases.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The runtime.
    pub runtime: String,
    /// The release that has the change, by the version of its leading crate.
    pub release: Version,
    /// The cases that it changes: globs over ids in which `*` also matches `/`.
    cases: GlobSet,
    /// True where it can take a case out of its limits, or away. Others, such as another order of sums, explain no such case.
    pub breaks: bool,
    /// How far evidence reaches: the change upstream, with file and line or commit.
    pub reason: String,
}

impl TryFrom<CauseRow> for Cause {
    type Error = String;

    fn try_from(row: CauseRow) -> Result<Self, String> {
        let CauseRow { runtime, release, cases, breaks, reason } = row;
        if reason.trim().is_empty() || cases.is_empty() {
            return Err("has no cases or no reason".into());
        }
        let release = Version::parse(&release).map_err(|error| format!("has no version: {error}"))?;
        let mut globs = GlobSetBuilder::new();
        for text in &cases {
            globs.add(Glob::new(text).map_err(|error| format!("has no glob: {error}"))?);
        }
        let cases = globs.build().map_err(|error| format!("has globs that are too large: {error}"))?;
        Ok(Self { runtime, release, cases, breaks, reason })
    }
}

impl Cause {
    /// The causes that ship with ggauge, in the order of the file.
    ///
    /// # Errors
    /// Where the file is wrong.
    pub fn shipped() -> Result<Vec<Self>, Error> {
        Self::parse(CHANGES)
    }

    fn parse(text: &str) -> Result<Vec<Self>, Error> {
        let what = "conformance/policy/changes.toml";
        let rows: CauseRows = toml::from_str(text).map_err(|error| Error::input(what, error, "correct the file"))?;
        let cause = |row: CauseRow| {
            let of = format!("a change of {} {}", row.runtime, row.release);
            Self::try_from(row)
                .map_err(|why| Error::input(what, format!("{of} {why}"), "say which cases it changed, since when, and why"))
        };
        rows.change.into_iter().map(cause).collect()
    }

    /// True where it lies between two releases, in either direction.
    fn lies_between(&self, before: &Release, after: &Release) -> bool {
        let (older, newer) = (before.age().min(after.age()), before.age().max(after.age()));
        let own = Age::Published(self.release.clone());
        self.runtime == after.runtime && older < own && own <= newer
    }

    fn explains(&self, row: &ChangeRow) -> bool {
        let is_worse = matches!(row.change, Change::Broken | Change::Gone);
        (self.breaks || !is_worse) && self.cases.is_match(&row.id)
    }

    fn in_words(&self) -> String {
        format!("since {}: {}", self.release, self.reason.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Which cause each change from one release to another has: the first that explains it, or none. The worst stand first, and of those the largest.
pub fn explain(comparison: &RecordsCompared, causes: &[Cause], before: &Release, after: &Release) -> Vec<Explained> {
    let known: Vec<&Cause> = causes.iter().filter(|cause| cause.lies_between(before, after)).collect();
    let mut found: BTreeMap<Option<usize>, Explained> = BTreeMap::new();
    for row in comparison.rows.iter().filter(|row| row.change != Change::Identical) {
        let cause = known.iter().enumerate().find(|(_, cause)| cause.explains(row));
        let entry = found.entry(cause.map(|(index, _)| index)).or_insert_with(|| Explained {
            reason: cause.map(|(_, cause)| cause.in_words()),
            totals: BTreeMap::new(),
            example: row.id.clone(),
        });
        *entry.totals.entry(row.change).or_default() += 1;
    }
    let mut all: Vec<Explained> = found.into_values().collect();
    let total = |explained: &Explained| explained.totals.values().sum::<usize>();
    all.sort_by_key(|explained| (explained.totals.keys().min().copied(), Reverse(total(explained))));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Oracle;

    fn row(id: &str, change: Change) -> ChangeRow {
        let (architecture, weights, subject) = (String::new(), String::new(), String::new());
        ChangeRow {
            id: id.into(),
            oracle: Oracle::Reference,
            architecture,
            weights,
            subject,
            change,
            before: None,
            after: None,
        }
    }

    fn explained(text: &str, versions: [&str; 2], rows: Vec<ChangeRow>) -> Vec<(Option<String>, String)> {
        let comparison = RecordsCompared { notes: Vec::new(), totals: BTreeMap::new(), unsupported: 0, rows };
        let [before, after] = versions.map(|version| Release {
            runtime: "fake".into(),
            version: version.into(),
            crates: BTreeMap::new(),
            edit: Vec::new(),
            folder: None,
        });
        let all = explain(&comparison, &Cause::parse(text).unwrap(), &before, &after);
        all.into_iter().map(|explained| (explained.reason, explained.example)).collect()
    }

    const TWO: &str = r#"
        [[change]]
        runtime = "fake"
        release = "0.10.0"
        cases = ["*/q4_0/*"]
        reason = "sums in\n another order"

        [[change]]
        runtime = "fake"
        release = "0.10.0"
        cases = ["llama/*"]
        breaks = true
        reason = "it is rewritten"
    "#;

    #[test]
    fn a_change_has_the_first_cause_that_can_be_one() {
        let rows = || {
            vec![
                row("llama/q4_0/ramp-8", Change::Within),
                row("llama/q4_0/ramp-40", Change::Broken),
                row("qwen2/q4_0/ramp-8", Change::Broken),
                row("qwen2/f32/ramp-8", Change::Identical),
            ]
        };
        let words = |reason: Option<&str>, id: &str| (reason.map(str::to_owned), id.to_owned());
        let expected = [
            words(None, "qwen2/q4_0/ramp-8"),
            words(Some("since 0.10.0: it is rewritten"), "llama/q4_0/ramp-40"),
            words(Some("since 0.10.0: sums in another order"), "llama/q4_0/ramp-8"),
        ];
        // As numbers, 0.9 is before 0.10; back is as good as forth, and a checkout has everything.
        for versions in [["0.9.2", "0.10.0"], ["0.10.0", "0.9.2"], ["0.9.2", "local"]] {
            assert_eq!(explained(TWO, versions, rows()), expected, "{versions:?}");
        }
        for versions in [["0.10.0", "0.11.0"], ["0.8.0", "0.9.2"], ["0.9.2", "0.10.0-rc.1"], ["0.10.0", "local"]] {
            let none = explained(TWO, versions, rows());
            assert!(none.iter().all(|(reason, _)| reason.is_none()), "{versions:?}: {none:?}");
        }
    }

    #[test]
    fn a_row_that_says_too_little_is_refused() {
        for (from, to, words) in [
            ("\"llama/*\"", "", "no cases"),
            ("it is rewritten", " ", "no reason"),
            ("\"0.10.0\"", "\"0.10\"", "no version"),
            ("llama/*", "llama/[", "no glob"),
        ] {
            let error = Cause::parse(&TWO.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("a change of fake"), "{error}");
        }
    }
}
