//! The report of an upgrade, as text and Markdown.

use crate::{changes, determinism};
use printable::{Form, Page, Sheet};
use record::{
    release::Release,
    upgrade::{Explained, Ratio, Speed, UpgradeReport},
};
use std::collections::BTreeMap;

/// What a report says of changes that no cause explains.
pub const UNEXPLAINED: &str = "no cause is known; conformance/policy/changes.toml takes it";

/// The report; `all` lists every change whole.
pub fn show(report: &UpgradeReport, form: Form, all: bool) -> Page {
    let mut out = Page::new(form);
    let UpgradeReport { before, after, .. } = report;
    out.heading(1, format!("{} {} to {}: {}", after.runtime, before.version, after.version, report.advice.word()));
    for reason in &report.reasons {
        out.item(reason);
    }
    for (release, words) in [(before, "before"), (after, "after")] {
        out.item(format_args!("{words}: {}", crates(release)));
    }
    out.blank();
    causes(&mut out, &report.causes);
    running(&mut out, "runs now", &report.gained);
    running(&mut out, "does not run any more", &report.lost);
    out.heading(3, "cases");
    out.append(&changes::report(&report.comparison, form, all));
    out.blank();
    if !report.speed.is_empty() {
        out.heading(3, "speed and memory, medians of interleaved runs");
        out.sheet(&speeds(&report.speed));
        out.blank();
    }
    out.heading(3, "determinism before");
    out.append(&determinism::table(&report.determinism_before, form));
    out.blank();
    out.heading(3, "determinism after");
    out.append(&determinism::table(&report.determinism_after, form));
    out
}

fn crates(release: &Release) -> String {
    let crates: Vec<String> = release.crates.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let from = release.folder.as_ref().map_or_else(String::new, |folder| format!(" from {}", folder.display()));
    format!("{}{from}", crates.join(", "))
}

fn causes(out: &mut Page, causes: &[Explained]) {
    if causes.is_empty() {
        return;
    }
    out.heading(3, "what changed, and why");
    for Explained { reason, totals, example } in causes {
        let counts: Vec<String> = totals.iter().map(|(change, count)| format!("{count} {}", change.words())).collect();
        let reason = reason.as_deref().unwrap_or(UNEXPLAINED);
        out.item(format_args!("{} (such as {example}): {reason}", counts.join(", ")));
    }
    out.blank();
}

/// A line for each weight type, with the architectures that it runs in.
fn running(out: &mut Page, words: &str, list: &[String]) {
    let mut by_weights: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (architecture, weights) in list.iter().filter_map(|both| both.split_once(' ')) {
        by_weights.entry(weights).or_default().push(architecture);
    }
    for (weights, architectures) in &by_weights {
        out.item(format_args!("{words}: {weights} in {}", architectures.join(", ")));
    }
    if !by_weights.is_empty() {
        out.blank();
    }
}

fn speeds(speed: &[Speed]) -> Sheet {
    let mut sheet = Sheet::new(["model", "what", "before", "after", "ratio", "of single rounds"]);
    for speed in speed {
        for (what, ratio) in [
            ("prefill, tokens/s", speed.prefill),
            ("decode, tokens/s", speed.decode),
            ("load, s", speed.load),
            ("memory, MiB", speed.memory),
        ] {
            let Some(Ratio { before, after, ratio, spread }) = ratio else { continue };
            let number = printable::short;
            let spread = format!("{:.2} to {:.2}", spread.0, spread.1);
            sheet.row([speed.model.clone(), what.into(), number(before), number(after), format!("{ratio:.2}"), spread]);
        }
    }
    sheet
}
