//! What people read of seeded faults: how many of each model the matrix notices, and what escapes; and of the experiments that put a runtime's own
//! faults into the reference.

use printable::{Page, Ruled, short};
use record::faults::{Confirmation, Fate, FaultTried, LEAST, Noticed};
use vocabulary::{Check, Verdict};

/// What became of every fault; with `verbose`, each of them by itself.
pub fn survey(tried: &[FaultTried], verbose: bool) -> Page {
    let mut out = Page::default();
    out.table(&by_model(tried));
    out.blank();
    if verbose {
        for fault in tried {
            writeln!(out, "{}: {}", head(fault), in_words(&fault.fate));
        }
        out.blank();
    }
    equivalent(&mut out, tried);
    escaped(&mut out, tried);
    let count = Noticed::of(tried);
    out.blank();
    let Noticed { noticed, all } = count;
    writeln!(out, "{noticed} of {all} faults noticed: {:.1} % (at least {LEAST} % are asked for)", count.percent());
    out
}

/// A row for each model.
fn by_model(tried: &[FaultTried]) -> Ruled {
    let mut models: Vec<&str> = tried.iter().map(|fault| fault.model.as_str()).collect();
    models.dedup();
    let mut table =
        Ruled::new(["model", "noticed", "refused", "escaped", "equivalent", "of what could be", "in quantised cells too"]);
    for model in models {
        let own = || tried.iter().filter(|fault| fault.model == model);
        let of = |is: fn(&Fate) -> bool| own().filter(|fault| is(&fault.fate)).count();
        let quantized = own().filter(|fault| fault.in_quantized && !matches!(fault.fate, Fate::Equivalent { .. })).count();
        let count = Noticed::of(own());
        table.row([
            model.to_owned(),
            of(|fate| matches!(fate, Fate::Noticed { .. })).to_string(),
            of(|fate| matches!(fate, Fate::Refused { .. })).to_string(),
            of(|fate| matches!(fate, Fate::Escaped { .. })).to_string(),
            of(|fate| matches!(fate, Fate::Equivalent { .. })).to_string(),
            format!("{:.1} %", count.percent()),
            format!("{:.0} %", count.percent_of_all(quantized)),
        ]);
    }
    table.right(1..7);
    table
}

fn head(fault: &FaultTried) -> String {
    format!("{} {} ({})", fault.model, fault.fault, fault.meaning)
}

fn in_words(fate: &Fate) -> String {
    match fate {
        Fate::Noticed { by, ratio } => format!("noticed by {by}, {} times its limit", short(*ratio)),
        Fate::Refused { reason } => format!("refused: {reason}"),
        Fate::Equivalent { reason } => format!("equivalent: {reason}"),
        Fate::Escaped { nearest, ratio } => format!("ESCAPED; nearest is {nearest}, {} of its limit", short(*ratio)),
    }
}

/// A line for each fault and reason that there is.
fn equivalent(out: &mut Page, tried: &[FaultTried]) {
    let mut reasons: Vec<(&str, &str, usize)> = Vec::new();
    for FaultTried { fault, fate, .. } in tried {
        if let Fate::Equivalent { reason } = fate {
            match reasons.iter_mut().find(|(known, why, _)| known == fault && why == reason) {
                Some((.., models)) => *models += 1,
                None => reasons.push((fault, reason, 1)),
            }
        }
    }
    if !reasons.is_empty() {
        writeln!(out, "equivalent: nothing changes, and nothing can be noticed");
    }
    for (fault, reason, models) in reasons {
        writeln!(out, "  {fault} in {models} models: {reason}");
    }
}

fn escaped(out: &mut Page, tried: &[FaultTried]) {
    let mut is_first = true;
    for fault in tried {
        let Fate::Escaped { nearest, ratio } = &fault.fate else { continue };
        if std::mem::take(&mut is_first) {
            writeln!(out, "escaped: no cell fails");
        }
        let near = if nearest.is_empty() {
            "no cell of it can fail".into()
        } else {
            format!("{} of the limit in {nearest}", short(*ratio))
        };
        writeln!(out, "  {}: {near}", head(fault));
    }
}

/// What experiments came to.
pub fn experiments(confirmations: &[Confirmation]) -> Page {
    let mut table = Ruled::new(["finding", "case", "faults in the reference", "NMSE without them", "with them / limit", ""]);
    for confirmation in confirmations {
        table.row([
            confirmation.finding.clone(),
            confirmation.case.clone(),
            confirmation.faults.join(", "),
            nmse(&confirmation.without),
            nmse(&confirmation.with),
            if confirmation.holds() { "confirmed".into() } else { "NOT CONFIRMED".to_owned() },
        ]);
    }
    let mut out = Page::default();
    out.table(&table);
    out
}

fn nmse(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Measured { checks, .. } => checks
            .iter()
            .find(|check| check.check == Check::Nmse)
            .map_or_else(|| "-".into(), |check| format!("{} / {}", short(check.measured), short(check.limit))),
        Verdict::Vacuous { reason } => reason.clone(),
    }
}
