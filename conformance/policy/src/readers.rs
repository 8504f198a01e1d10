//! Known deviations of GGUF readers: `corpora/vectors/FINDINGS.md`, every entry of which names the cause of what a reader does with a vector that
//! it should not do.

use globset::{Glob, GlobMatcher};
use machine::Error;
use record::readers::{Coverage, Did, VectorCell, VectorRow};

const FINDINGS: &str = include_str!("../../../corpora/vectors/FINDINGS.md");

/// What a reader can do that needs an entry.
const DEVIATIONS: [&str; 4] = ["accepts", "differs", "rejects", "fails"];

/// An entry: which cells it covers.
struct KnownDeviation {
    /// Its id, the first word of its heading.
    id: String,
    readers: Vec<GlobMatcher>,
    vectors: Vec<GlobMatcher>,
    /// What the reader does: of [`DEVIATIONS`]. An explanation of one is no excuse for another.
    does: Vec<String>,
}

impl KnownDeviation {
    /// Reads what stands below `### `: the id, and lines of which each has a label.
    fn read(entry: &str, shown: &str) -> Result<Self, Error> {
        let id = entry.split_whitespace().next().unwrap_or_default().to_owned();
        let wrong = |why: String| Error::input(format!("{shown}, {id}"), why, "correct the entry");
        let items = |label: &str| -> Result<Vec<&str>, Error> {
            let line = entry.lines().find_map(|line| line.strip_prefix(&format!("- {label}: ")));
            let line = line.ok_or_else(|| wrong(format!("it has no line `- {label}: ...`")))?;
            // What stands between backquotes is every other piece.
            Ok(line.split('`').skip(1).step_by(2).collect())
        };
        let patterns = |label: &str| -> Result<Vec<GlobMatcher>, Error> {
            let glob = |text: &str| Ok(Glob::new(text).map_err(|error| wrong(error.to_string()))?.compile_matcher());
            items(label)?.into_iter().map(glob).collect()
        };
        let does: Vec<String> = items("does")?.into_iter().map(str::to_owned).collect();
        if let Some(unknown) = does.iter().find(|does| !DEVIATIONS.contains(&does.as_str())) {
            return Err(wrong(format!("`{unknown}` is none of {}", DEVIATIONS.join(", "))));
        }
        let (readers, vectors) = (patterns("readers")?, patterns("vectors")?);
        if !entry.lines().any(|line| line.starts_with("- cause: ")) {
            return Err(wrong("it has no line `- cause: ...`".into()));
        }
        Ok(Self { id, readers, vectors, does })
    }

    /// True where it is about what a reader did with a vector.
    fn covers(&self, cell: &VectorCell, vector: &str) -> bool {
        let does = self.does.iter().any(|does| deviation(&cell.did) == Some(does));
        does && self.is_about(&cell.reader) && self.vectors.iter().any(|pattern| pattern.is_match(vector))
    }

    fn is_about(&self, reader: &str) -> bool {
        self.readers.iter().any(|pattern| pattern.is_match(reader))
    }
}

/// What a reader did, as entries call it.
fn deviation(did: &Did) -> Option<&'static str> {
    match did {
        Did::Accepted => Some("accepts"),
        Did::Differed { .. } => Some("differs"),
        Did::Rejected { .. } => Some("rejects"),
        Did::Failed { .. } => Some("fails"),
        Did::Unsupported => None,
    }
}

/// All known deviations.
pub struct KnownDeviations {
    entries: Vec<KnownDeviation>,
}

impl KnownDeviations {
    /// Those that ship with ggauge.
    ///
    /// # Errors
    /// As [`KnownDeviations::parse`].
    pub fn shipped() -> Result<Self, Error> {
        Self::parse(FINDINGS, "corpora/vectors/FINDINGS.md")
    }

    /// Every entry of a text: a heading `### ID ...`, and below it lines `- readers:`, `- vectors:` with globs and `- does:`
    /// with what the reader does, whose items stand in backquotes, and a line `- cause:`.
    ///
    /// # Errors
    /// Where an entry lacks one of its lines, or a pattern is malformed.
    pub fn parse(text: &str, source: &str) -> Result<Self, Error> {
        let entries = text.split("\n### ").skip(1).map(|entry| KnownDeviation::read(entry, source));
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }

    /// Holds rows against the entries. An entry is stale only where everything that it is about was surveyed: `whole` says that
    /// every vector was, and `absent` names the readers that were not.
    pub fn coverage(&self, rows: &[VectorRow], whole: bool, absent: &[&str]) -> Coverage {
        let mut coverage = Coverage::default();
        let mut used = vec![false; self.entries.len()];
        for row in rows {
            for cell in row.cells.iter().filter(|cell| !cell.conforms) {
                coverage.deviations += 1;
                let mut covered = false;
                for (entry, used) in self.entries.iter().zip(&mut used) {
                    if entry.covers(cell, &row.vector) {
                        (covered, *used) = (true, true);
                    }
                }
                if !covered {
                    coverage.unexplained.push(format!("{}: {}: {}", cell.reader, row.vector, cell.did.words()));
                }
            }
        }
        let surveyed = |entry: &KnownDeviation| whole && !absent.iter().any(|reader| entry.is_about(reader));
        let stale = self.entries.iter().zip(used).filter(|(entry, used)| !used && surveyed(entry));
        coverage.stale = stale.map(|(entry, _)| entry.id.clone()).collect();
        coverage
    }
}
