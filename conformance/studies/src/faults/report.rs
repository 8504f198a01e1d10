//! What people read of seeded faults: how many of each model the matrix notices, and what escapes. Reads nothing but the rows.

use crate::faults::survey::{Found, Row};
use printable::{Page, Ruled, short};

/// Part of the faults that are not equivalent that the matrix must notice, in percent.
pub const LEAST: f64 = 95.0;

/// Faults that are noticed or refused, and all that are not equivalent.
pub fn totals<'a>(rows: impl Iterator<Item = &'a Row>) -> (usize, usize) {
    rows.fold((0, 0), |(noticed, all), row| match row.found {
        Found::Noticed { .. } | Found::Refused { .. } => (noticed + 1, all + 1),
        Found::Escaped { .. } => (noticed, all + 1),
        Found::Equivalent { .. } => (noticed, all),
    })
}

fn percent(noticed: usize, all: usize) -> f64 {
    100.0 * noticed as f64 / all.max(1) as f64
}

/// True where enough is noticed.
pub fn is_enough(rows: &[Row]) -> bool {
    let (noticed, all) = totals(rows.iter());
    all > 0 && percent(noticed, all) >= LEAST
}

/// The report; with `verbose`, every fault of every model.
pub fn report(rows: &[Row], verbose: bool) -> Page {
    let mut models: Vec<&str> = rows.iter().map(|row| row.model.as_str()).collect();
    models.dedup();
    let mut table =
        Ruled::new(["model", "noticed", "refused", "escaped", "equivalent", "of what could be", "in quantised cells too"]);
    for model in &models {
        let of = |is: fn(&Found) -> bool| rows.iter().filter(|row| row.model == *model && is(&row.found)).count();
        let (noticed, all) = totals(rows.iter().filter(|row| row.model == *model));
        let quantized =
            rows.iter().filter(|row| row.model == *model && row.in_quantized && !matches!(row.found, Found::Equivalent { .. }));
        table.row([
            (*model).to_owned(),
            of(|found| matches!(found, Found::Noticed { .. })).to_string(),
            of(|found| matches!(found, Found::Refused { .. })).to_string(),
            of(|found| matches!(found, Found::Escaped { .. })).to_string(),
            of(|found| matches!(found, Found::Equivalent { .. })).to_string(),
            format!("{:.1} %", percent(noticed, all)),
            format!("{:.0} %", percent(quantized.count(), all)),
        ]);
    }
    table.right(1..7);
    let mut out = Page::default();
    out.table(&table);
    out.blank();
    if verbose {
        for row in rows {
            let what = match &row.found {
                Found::Noticed { by, ratio } => format!("noticed by {by}, {} times its limit", short(*ratio)),
                Found::Refused { reason } => format!("refused: {reason}"),
                Found::Equivalent { reason } => format!("equivalent: {reason}"),
                Found::Escaped { nearest, ratio } => format!("ESCAPED; nearest is {nearest}, {} of its limit", short(*ratio)),
            };
            writeln!(out, "{} {} ({}): {what}", row.model, row.fault, row.meaning);
        }
        out.blank();
    }
    let mut reasons: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for row in rows {
        if let Found::Equivalent { reason } = &row.found {
            match reasons.iter_mut().find(|(fault, known, _)| *fault == row.fault && known == reason) {
                Some((.., models)) => models.push(&row.model),
                None => reasons.push((&row.fault, reason, vec![&row.model])),
            }
        }
    }
    if !reasons.is_empty() {
        writeln!(out, "equivalent: nothing changes, and nothing can be noticed");
    }
    for (fault, reason, models) in reasons {
        writeln!(out, "  {fault} in {} models: {reason}", models.len());
    }
    let escaped: Vec<&Row> = rows.iter().filter(|row| matches!(row.found, Found::Escaped { .. })).collect();
    if !escaped.is_empty() {
        writeln!(out, "escaped: no cell fails");
    }
    for row in escaped {
        if let Found::Escaped { nearest, ratio } = &row.found {
            let near = if nearest.is_empty() {
                "no cell of it can fail".into()
            } else {
                format!("{} of the limit in {nearest}", short(*ratio))
            };
            writeln!(out, "  {} {} ({}): {near}", row.model, row.fault, row.meaning);
        }
    }
    let (noticed, all) = totals(rows.iter());
    out.blank();
    writeln!(out, "{noticed} of {all} faults noticed: {:.1} % (at least {LEAST} % are asked for)", percent(noticed, all));
    out
}
