//! The rules of the format, for people.

use crate::layout::Layout;
use printable::Page;
use record::inspection::{RuleRow, RuleSeverity};

/// What strict reading, ours, stands as beside the runtimes.
const STRICT: &str = "strict";

/// Rules as `ggauge rules` lists them.
pub fn list(rules: &[RuleRow], layout: Layout) -> Page {
    Page::of_lines(&rules.iter().map(|rule| text(rule, layout)).collect::<String>())
}

/// One rule in full.
pub fn one(rule: &RuleRow, layout: Layout) -> Page {
    // Strict reading takes headers.
    let strict = match rule.severity {
        _ if rule.is_of_weights => "reads no weights; `ggauge inspect` does",
        RuleSeverity::Invalid => "refuses the file",
        RuleSeverity::Acceptable | RuleSeverity::Note => "takes the file, and lists the finding",
        RuleSeverity::Unsupported => "cannot read the file, which may be valid",
    };
    Page::of_lines(&format!("{}{}", text(rule, layout), line(rule, STRICT, strict)))
}

fn text(rule: &RuleRow, layout: Layout) -> String {
    let mut out = format!("{} ({})\n{}", rule.id, rule.severity, layout.wrapped("    ", rule.meaning));
    for (runtime, does) in &rule.runtimes {
        out += &line(rule, runtime, does);
    }
    out
}

/// What a reader does, beside its name and as far to the right as for the others.
fn line(rule: &RuleRow, reader: &str, does: &str) -> String {
    let names = rule.runtimes.iter().map(|(name, _)| *name).chain([STRICT]);
    let width = names.map(str::len).max().unwrap_or(0) + 1;
    format!("    {:width$} {does}\n", format!("{reader}:"))
}
