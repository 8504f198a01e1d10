//! Two Records held against each other, as text and Markdown.

use printable::{Form, Page, Sheet, cut, short};
use record::changes::{Change, ChangeRow, ChangeSide, RecordsCompared};
use std::{collections::BTreeMap, fmt::Write};
use vocabulary::Judgement;

/// Rows of a list that is not asked for whole.
const MOST_ROWS: usize = 12;

/// The report: what differs around the cases, totals by architecture, weight type and subject, and every kind of change, the largest
/// first; `all` lists each whole.
pub fn report(comparison: &RecordsCompared, form: Form, all: bool) -> Page {
    let mut out = Page::new(form);
    for note in &comparison.notes {
        out.item(note);
    }
    if !comparison.notes.is_empty() {
        out.blank();
    }
    for (what, key) in [
        ("architecture", (|row: &ChangeRow| row.architecture.clone()) as fn(&ChangeRow) -> String),
        ("weights", |row| row.weights.clone()),
        ("subject", |row| row.subject.clone()),
    ] {
        out.sheet(&grouped(comparison, what, key));
        out.blank();
    }
    for change in Change::ALL.into_iter().filter(|change| *change != Change::Identical) {
        out.append(&list(comparison, change, form, all));
    }
    writeln!(out, "{}", comparison.totals());
    out
}

fn grouped(comparison: &RecordsCompared, what: &str, key: fn(&ChangeRow) -> String) -> Sheet {
    let shown: Vec<Change> = Change::ALL.into_iter().rev().filter(|change| comparison.count(*change) > 0).collect();
    let mut sheet = Sheet::new(std::iter::once(what).chain(shown.iter().map(|change| change.words())));
    let mut groups: BTreeMap<String, BTreeMap<Change, usize>> = BTreeMap::new();
    for row in &comparison.rows {
        *groups.entry(key(row)).or_default().entry(row.change).or_default() += 1;
    }
    for (name, counts) in groups {
        let count = |change: &Change| counts.get(change).map_or_else(String::new, ToString::to_string);
        sheet.row(std::iter::once(name).chain(shown.iter().map(count)));
    }
    sheet
}

fn list(comparison: &RecordsCompared, change: Change, form: Form, all: bool) -> Page {
    let mut out = Page::new(form);
    let rows = comparison.of(change);
    if rows.is_empty() {
        return out;
    }
    let shown = if all { rows.len() } else { rows.len().min(MOST_ROWS) };
    let mut sheet = Sheet::new(["case", "before", "after"]);
    for row in &rows[..shown] {
        sheet.row([row.id.clone(), in_words(row.before.as_ref()), in_words(row.after.as_ref())]);
    }
    let title = match change {
        Change::Within => "within tolerance, those that moved furthest first".to_owned(),
        _ => format!("{}: {}", change.words(), rows.len()),
    };
    out.heading(3, title);
    out.sheet(&sheet);
    if shown < rows.len() {
        out.blank();
        writeln!(out, "and {} more; --verbose lists all", rows.len() - shown);
    }
    out.blank();
    out
}

/// Characters of a reason in a table.
const LONGEST_REASON: usize = 100;

fn in_words(side: Option<&ChangeSide>) -> String {
    let Some(side) = side else { return "-".into() };
    let mut words = match (side.check, side.ratio) {
        (Some(check), Some(ratio)) if side.judgement != Judgement::Unsupported => {
            format!("{check} at {} x limit", short(ratio))
        }
        _ => side.judgement.words().to_lowercase(),
    };
    let has_numbers = side.ratio.is_some() && side.judgement != Judgement::Unsupported;
    if let Some(reason) = side.reason.as_ref().filter(|_| !has_numbers) {
        let _ = write!(words, ": {}", cut(reason, LONGEST_REASON));
    }
    words
}
