//! The rules of the format, for people.

use crate::layout::Layout;
use printable::Page;
use record::inspection::{RuleRow, RuleSeverity};
use std::fmt::Write;

/// Rules as `ggauge rules` lists them.
pub fn list(rules: &[RuleRow], layout: Layout) -> Page {
    let mut out = String::new();
    for rule in rules {
        let _ = writeln!(out, "{} ({})", rule.id, rule.severity);
        out += &layout.wrapped("    ", rule.meaning);
        let _ = writeln!(out, "    llama.cpp: {}", rule.llama_cpp);
        let _ = writeln!(out, "    candle:    {}", rule.candle);
    }
    Page::of_lines(&out)
}

/// One rule in full.
pub fn one(rule: RuleRow, layout: Layout) -> Page {
    // Strict reading takes headers.
    let strict = match rule.severity {
        _ if rule.is_of_weights => "reads no weights; `ggauge inspect` does",
        RuleSeverity::Invalid => "refuses the file",
        RuleSeverity::Acceptable | RuleSeverity::Note => "takes the file, and lists the finding",
        RuleSeverity::Unsupported => "cannot read the file, which may be valid",
    };
    Page::of_lines(&format!("{}    strict:    {strict}", list(&[rule], layout)))
}
