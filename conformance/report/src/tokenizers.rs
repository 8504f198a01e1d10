//! Tokenizers held against each other, as text: a table, and where and why what did not pass differs.

use printable::{Page, Ruled};
use record::tokenizers::{Ended, Token, TokenDifference, TokenizerRecord};
use std::collections::BTreeSet;
use vocabulary::Judgement;

/// Characters of a text that reports show.
const LONGEST_TEXT: usize = 60;

/// The table: for each vocabulary the subjects against the expected ids, and against each other.
pub fn table(record: &TokenizerRecord) -> Page {
    let mut table = Ruled::new(["vocabulary", "tokenizer", "compared", "exact", "judgement"]);
    for vocabulary in &record.vocabularies {
        let mut heading = [vocabulary.name.clone(), vocabulary.kind.clone()];
        let mut row = |compared: String, exact: String, judgement: String| {
            let [name, kind] = std::mem::take(&mut heading);
            table.row([name, kind, compared, exact, judgement]);
        };
        if vocabulary.expected == 0 {
            row("-".into(), "no expected tokens".into(), "-".into());
        }
        for comparison in record.comparisons.iter().filter(|comparison| comparison.vocabulary == vocabulary.name) {
            let compared = match &comparison.other {
                None => comparison.subject.to_string(),
                Some(other) => format!("  {} ~ {other}", comparison.subject),
            };
            let exact = match &comparison.outcome {
                None => format!("{} of {}", comparison.exact, comparison.texts),
                Some(ended) => ended.outcome.summary(),
            };
            row(compared, exact, comparison.judgement.words().into());
        }
    }
    let mut out = Page::default();
    out.table(&table);
    out
}

/// Where and why each comparison that did not pass differs, and the command that runs it again.
pub fn findings(record: &TokenizerRecord) -> Page {
    let mut out = Page::default();
    let mut reasons_given: BTreeSet<&str> = BTreeSet::new();
    for comparison in record.comparisons.iter().filter(|comparison| comparison.judgement != Judgement::Pass) {
        let repeated = comparison.reason.as_deref().is_some_and(|reason| !reasons_given.insert(reason));
        if repeated && comparison.judgement == Judgement::Unsupported {
            continue;
        }
        writeln!(out, "{}: {comparison}", comparison.judgement.words());
        if let Some(TokenDifference { text, position, expected, got }) = &comparison.first {
            writeln!(out, "    first on {}, at token {position}", shown(text));
            let expected_from = comparison.other.as_ref().map_or_else(|| "expected".into(), ToString::to_string);
            for (who, token) in [(expected_from, expected), (comparison.subject.to_string(), got)] {
                let token = token.as_ref().map_or_else(|| "nothing, the text is over".into(), in_words);
                writeln!(out, "    {who}: {token}");
            }
        }
        if let Some(Ended { subject, text, outcome }) = &comparison.outcome
            && comparison.judgement != Judgement::Unsupported
        {
            writeln!(out, "    {subject} {} on {}", outcome.summary(), shown(text));
        }
        if let Some(reason) = &comparison.reason {
            // One reason often holds for many rows.
            writeln!(out, "    {}", if repeated { "for the reason given above" } else { reason });
            if let Some(issue) = comparison.issue.as_ref().filter(|_| !repeated) {
                writeln!(out, "    {issue}");
            }
        }
        match comparison.judgement {
            Judgement::UnexpectedPass => {
                out.next("    ", "delete its row in conformance/policy/tokenizers.toml");
            }
            judgement if judgement.is_bad() => {
                out.next("    ", format_args!("ggauge tokenizers {}", comparison.vocabulary));
            }
            _ => {}
        }
        out.blank();
    }
    out
}

/// A token with its text.
fn in_words(token: &Token) -> String {
    match &token.text {
        Some(text) => format!("{} {text:?}", token.id),
        None => format!("{}, which the vocabulary does not have", token.id),
    }
}

/// A text in quotes, cut where it is long.
fn shown(text: &str) -> String {
    let len = text.chars().count();
    if len <= LONGEST_TEXT {
        return format!("{text:?}");
    }
    let cut: String = text.chars().take(LONGEST_TEXT).collect();
    format!("{cut:?} and {} characters more", len - LONGEST_TEXT)
}

/// One line of totals.
fn totals(record: &TokenizerRecord) -> String {
    let count = |judgement: Judgement| record.comparisons.iter().filter(|c| c.judgement == judgement).count();
    let part = |judgement: Judgement| match count(judgement) {
        0 => None,
        count => Some(format!("{count} {}", judgement.words())),
    };
    Judgement::ALL.into_iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

/// The whole report.
pub fn report(record: &TokenizerRecord) -> Page {
    let mut out = table(record);
    out.blank();
    out.append(&findings(record));
    writeln!(out, "{}", totals(record));
    out
}
