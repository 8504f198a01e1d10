//! What people read of a matrix: cells by model and subject, and every status with its causes. Reads nothing but the Record.

use crate::{
    record::{ComparisonRecord, Judgement, Oracle, Record},
    report::{self, Style, ruled_table},
};
use std::{collections::BTreeMap, fmt::Write};
use vocabulary::{Settings, SubjectId};

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

fn in_words(counts: &BTreeMap<Judgement, usize>, style: Style) -> String {
    let part = |judgement: Judgement| {
        let count = counts.get(&judgement)?;
        Some(report::painted(&format!("{count} {}", judgement.words()), judgement, style))
    };
    let parts: Vec<String> = Judgement::ALL.into_iter().filter_map(part).collect();
    if parts.is_empty() { "-".into() } else { parts.join(", ") }
}

/// The whole report: a table, the causes of everything that is not a pass, totals.
pub fn report(record: &Record, style: Style) -> String {
    let mut subjects: Vec<(SubjectId, Settings)> =
        record.comparisons.iter().map(|comparison| (comparison.candidate.clone(), comparison.settings)).collect();
    subjects.sort();
    subjects.dedup();
    let mut out = String::new();
    for (subject, settings) in &subjects {
        let mut table = ruled_table();
        table.set_header(["model", "against the reference", "against others", "against itself"]);
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
            if row.iter().any(|cell| cell != "-") {
                let [reference, others, itself] = row;
                table.add_row([model.to_owned(), reference, others, itself]);
            }
        }
        let _ = writeln!(out, "{subject} {settings}\n{table}\n");
    }
    for judgement in
        [Judgement::Fail, Judgement::UnexpectedPass, Judgement::Vacuous, Judgement::ExpectedFail, Judgement::Unsupported]
    {
        out += &causes(record, judgement, style);
    }
    let _ = writeln!(out, "{}{}", report::absent(record), report::totals(record, style));
    out
}

/// The cells of one status, by cause; of each cause the first ids.
fn causes(record: &Record, judgement: Judgement, style: Style) -> String {
    let mut causes: Vec<(String, Vec<&ComparisonRecord>)> = Vec::new();
    for comparison in record.comparisons.iter().filter(|comparison| comparison.judgement == judgement) {
        let reason = match &comparison.reason {
            Some(reason) => reason.clone(),
            None => comparison.verdict.as_ref().map_or_else(String::new, report::explain_kind),
        };
        let cause = format!("{}: {}", comparison.candidate, shortened(&reason));
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, comparisons)) => comparisons.push(comparison),
            None => causes.push((cause, vec![comparison])),
        }
    }
    if causes.is_empty() {
        return String::new();
    }
    let all: usize = causes.iter().map(|(_, comparisons)| comparisons.len()).sum();
    let mut out = format!("{}\n", report::painted(&format!("{all} {}", judgement.words()), judgement, style));
    for (cause, comparisons) in causes {
        let _ = writeln!(out, "  {} cells, {cause}", comparisons.len());
        let shown = if style.verbose { comparisons.len() } else { EXAMPLES };
        for comparison in comparisons.iter().take(shown) {
            let measured =
                comparison.verdict.as_ref().map_or_else(String::new, |verdict| format!(" ({})", report::explain(verdict)));
            let _ = writeln!(out, "      {}{measured}", comparison.id);
        }
        if comparisons.len() > shown {
            let _ = writeln!(out, "      and {} more", comparisons.len() - shown);
        }
        if judgement.is_bad()
            && let Some(first) = comparisons.first()
        {
            let _ = writeln!(out, "      next: {}", first.reproduce);
        }
    }
    out + "\n"
}

fn shortened(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
