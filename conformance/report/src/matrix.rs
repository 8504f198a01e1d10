//! What people read of a matrix: cells by model and subject, and every status with its causes. Reads nothing but the Record.

use crate::run::{Style, absent, explain, painted, totals};
use printable::{Page, Piece, Ruled, cut};
use record::{ComparisonRecord, Record};
use std::collections::BTreeMap;
use vocabulary::{Judgement, Oracle, Settings, SubjectId, Verdict};

/// Ids that stand for all of one cause.
const EXAMPLES: usize = 3;
/// Characters of a reason: runtimes list all they have.
const LONGEST_REASON: usize = 600;

/// Counts of judgements, as in `56 pass, 2 unsupported`.
fn counts<'a>(comparisons: impl Iterator<Item = &'a ComparisonRecord>) -> BTreeMap<Judgement, usize> {
    let mut counts = BTreeMap::new();
    for comparison in comparisons {
        *counts.entry(comparison.judgement).or_default() += 1;
    }
    counts
}

fn in_words(counts: &BTreeMap<Judgement, usize>, style: Style) -> Piece {
    let part = |judgement: Judgement| {
        let count = counts.get(&judgement)?;
        Some(painted(&format!("{count} {}", judgement.words()), judgement, style))
    };
    let parts: Vec<Piece> = Judgement::ALL.into_iter().filter_map(part).collect();
    if parts.is_empty() { "-".into() } else { Piece::list(&parts) }
}

/// The whole report: a table, the causes of everything that is not a pass, totals.
pub fn report(record: &Record, style: Style) -> Page {
    let mut subjects: Vec<(SubjectId, Settings)> =
        record.comparisons.iter().map(|comparison| (comparison.candidate.clone(), comparison.settings)).collect();
    subjects.sort();
    subjects.dedup();
    let mut out = Page::default();
    for (subject, settings) in &subjects {
        let mut table = Ruled::new(["model", "against the reference", "against others", "against itself"]);
        let mut models: Vec<&str> = Vec::new();
        for model in &record.models {
            if !models.contains(&model.name.as_str()) {
                models.push(&model.name);
            }
        }
        models.sort_unstable();
        for model in models {
            let of = |oracle: Oracle| {
                let mine = record.comparisons.iter().filter(move |c| {
                    c.oracle == oracle && c.model == model && c.candidate == *subject && c.settings == *settings
                });
                in_words(&counts(mine), style)
            };
            let row = [of(Oracle::Reference), of(Oracle::Differential), of(Oracle::Metamorphic)];
            if row.iter().any(|cell| cell.as_str() != "-") {
                let [reference, others, itself] = row;
                table.row([model.into(), reference, others, itself]);
            }
        }
        writeln!(out, "{subject} {settings}");
        out.table(&table);
        out.blank();
    }
    for judgement in
        [Judgement::Fail, Judgement::UnexpectedPass, Judgement::Vacuous, Judgement::ExpectedFail, Judgement::Unsupported]
    {
        out.append(&causes(record, judgement, style));
    }
    out.append(&absent(record));
    out.line_of("", &totals(record, style), "");
    out
}

/// The cells of one status, by cause; of each cause the first ids.
fn causes(record: &Record, judgement: Judgement, style: Style) -> Page {
    let mut causes: Vec<(String, Vec<&ComparisonRecord>)> = Vec::new();
    for comparison in record.comparisons.iter().filter(|comparison| comparison.judgement == judgement) {
        let reason = match &comparison.reason {
            Some(reason) => reason.clone(),
            None => comparison.verdict.as_ref().map_or_else(String::new, Verdict::kind),
        };
        let cause = format!("{}: {}", comparison.candidate, shortened(&reason));
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, comparisons)) => comparisons.push(comparison),
            None => causes.push((cause, vec![comparison])),
        }
    }
    let mut out = Page::default();
    if causes.is_empty() {
        return out;
    }
    let all: usize = causes.iter().map(|(_, comparisons)| comparisons.len()).sum();
    out.line_of("", &painted(&format!("{all} {}", judgement.words()), judgement, style), "");
    for (cause, comparisons) in causes {
        writeln!(out, "  {} cells, {cause}", comparisons.len());
        let shown = if style.verbose { comparisons.len() } else { EXAMPLES };
        for comparison in comparisons.iter().take(shown) {
            let measured = explain(comparison).map_or_else(String::new, |words| format!(" ({words})"));
            writeln!(out, "      {}{measured}", comparison.id);
        }
        if comparisons.len() > shown {
            writeln!(out, "      and {} more", comparisons.len() - shown);
        }
        if judgement.is_bad()
            && let Some(first) = comparisons.first()
        {
            out.next("      ", &first.reproduce);
        }
    }
    out.blank();
    out
}

fn shortened(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&line, LONGEST_REASON).into_owned()
}
