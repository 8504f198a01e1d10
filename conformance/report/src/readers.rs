//! The survey of readers, as text: totals of each reader, what no finding explains, and the table of every vector.

use printable::{Page, Ruled};
use record::readers::{Coverage, Did, Stated, VectorCell, VectorRow};

/// What the columns of totals count, by what a reader did and what the vector states.
/// A heading, and whether a cell counts below it.
type Counted = (&'static str, fn(&Did, Stated) -> bool);

const TOTALS: [Counted; 7] = [
    ("accepts valid", |did, stated| *did == Did::Accepted && stated == Stated::Valid),
    ("refuses invalid", |did, stated| matches!(did, Did::Rejected { .. }) && stated == Stated::Invalid),
    ("accepts invalid", |did, stated| *did == Did::Accepted && stated == Stated::Invalid),
    ("refuses valid", |did, stated| matches!(did, Did::Rejected { .. }) && stated == Stated::Valid),
    ("reads otherwise", |did, _| matches!(did, Did::Differed { .. })),
    ("fails", |did, _| matches!(did, Did::Failed { .. })),
    ("unsupported", |did, _| *did == Did::Unsupported),
];

/// A row of totals for each reader.
fn totals(rows: &[VectorRow]) -> Ruled {
    let mut drawn = Ruled::new(std::iter::once("reader").chain(TOTALS.map(|(words, _)| words)));
    for reader in rows.first().into_iter().flat_map(|row| &row.cells).map(|cell| &cell.reader) {
        let count = |(_, fits): (&str, fn(&Did, Stated) -> bool)| {
            let fits = |row: &&VectorRow| row.cell(reader).is_some_and(|cell| fits(&cell.did, row.result));
            rows.iter().filter(fits).count().to_string()
        };
        drawn.row(std::iter::once(reader.clone()).chain(TOTALS.map(count)));
    }
    drawn.right(1..=TOTALS.len());
    drawn
}

/// The survey for people: totals of each reader, and what no finding explains; with `verbose`, every vector. `absent` are readers that took
/// no part, and why.
pub fn report(rows: &[VectorRow], coverage: &Coverage, absent: &[(&str, String)], verbose: bool) -> Page {
    let mut out = Page::default();
    if verbose {
        out.append(&table(rows));
        for line in ["", "", LEGEND, ""] {
            writeln!(out, "{line}");
        }
    }
    for line in totals(rows).to_string().lines() {
        writeln!(out, "{}", line.trim_end());
    }
    out.blank();
    for (reader, why) in absent {
        writeln!(out, "{reader}: {why}");
    }
    let explained = coverage.deviations - coverage.unexplained.len();
    writeln!(
        out,
        "{} vectors, {} deviations, {explained} of them explained in corpora/vectors/FINDINGS.md",
        rows.len(),
        coverage.deviations
    );
    for line in &coverage.unexplained {
        writeln!(out, "unexplained: {line}");
    }
    for id in &coverage.stale {
        writeln!(out, "stale: {id} explains nothing any more; delete it");
    }
    if !coverage.unexplained.is_empty() {
        out.next("", "find the cause in the reader's source, and write the finding into corpora/vectors/FINDINGS.md");
    }
    out
}

/// What a reader did, in a few characters.
fn mark(did: &Did) -> String {
    match did {
        Did::Accepted => "yes".into(),
        Did::Differed { .. } => "other".into(),
        Did::Rejected { class } if class == "malformed" => "no".into(),
        Did::Rejected { class } => format!("no ({class})"),
        Did::Unsupported => "-".into(),
        Did::Failed { how } => how.to_uppercase(),
    }
}

/// What the marks of [`table`] mean.
pub const LEGEND: &str = "yes: accepts; other: accepts, and reads something else than the first reader that accepts; no: rejects (its \
class, where it is not malformed); -: says that it cannot do this; CAPITALS: ended, hung, or took too much. ! marks what does not \
conform.";

/// The table of some rows, with the differences below it: plain text, the same wherever it is made.
pub fn table(rows: &[VectorRow]) -> Page {
    let mut out = Page::default();
    let Some(first) = rows.first() else { return out };
    let marked = |cell: &VectorCell| format!("{}{}", mark(&cell.did), if cell.conforms { "" } else { " !" });
    let mut header = vec!["vector".to_owned(), "should be".to_owned()];
    header.extend(first.cells.iter().map(|cell| cell.reader.clone()));
    let columns = header.len();
    let mut lines = vec![header];
    for row in rows {
        let mut line = vec![row.vector.clone(), row.result.name().to_owned()];
        line.extend(row.cells.iter().map(marked));
        lines.push(line);
    }
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(text, &width)| format!("{text:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end());
    }
    let differences = rows.iter().flat_map(|row| row.cells.iter().map(move |cell| (row, cell)));
    for (row, cell) in differences {
        if let Did::Differed { difference } = &cell.did {
            out.blank();
            write!(out, "{} reads {}: {}", cell.reader, row.vector, difference);
        }
    }
    out
}
