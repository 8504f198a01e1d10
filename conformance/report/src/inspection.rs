//! What the files of a model hold, for people: tables that fit the terminal, and what is wrong with them.

use crate::{layers::folded, layout::Layout};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table};
use indicatif::HumanBytes;
use printable::{Page, Text, ruled_table, short};
use record::inspection::{Breach, FileVerdict, Inspection, RuleSeverity, WeightTotals, bits_per_weight};
use std::fmt::Write;

/// Rows of a table where not all of them are asked for.
const MOST_ROWS: usize = 200;
/// Tensors that are listed of a rule about weights, where not all of them are asked for.
const MOST_TENSORS: usize = 12;

/// The whole report.
pub fn report(inspection: &Inspection, layout: Layout) -> Page {
    let layout = layout.at_least_readable();
    let architecture = inspection.architecture.as_ref().map_or_else(|| "no architecture".into(), Text::cut);
    let mut page = Page::of(format_args!("{} ({architecture})", inspection.name));
    page.append(&Page::of_lines(&format!(
        "{}\n{}\n{}\n{}\n{}",
        headers_table(inspection, layout),
        keys_table(inspection, layout),
        tensors_table(inspection, layout),
        weights_table(inspection, layout),
        findings_text(inspection, layout),
    )));
    page
}

/// A table that is no wider than the terminal.
fn new_table(layout: Layout, header: &[&str]) -> Table {
    let mut table = ruled_table();
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(layout.width);
    table.set_header(header);
    table
}

/// Adds a row of one line: what does not fit ends in dots.
fn add_line(table: &mut Table, cells: Vec<String>) {
    let mut row = Row::from(cells);
    row.max_height(1);
    table.add_row(row);
}

/// The table as text, with numbers on the right in the columns given. Without rows there is nothing to print.
fn drawn(mut table: Table, numbers: &[usize]) -> String {
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if table.is_empty() { String::new() } else { format!("{}\n", table.trim_fmt()) }
}

fn headers_table(inspection: &Inspection, layout: Layout) -> String {
    let columns = ["name", "bytes", "version", "alignment", "data begins", "keys", "tensors"];
    let mut table = new_table(layout, &columns.into_iter().chain(file_heading(inspection)).collect::<Vec<_>>());
    for header in &inspection.files {
        let cells = [
            header.name.cut(),
            header.bytes.to_string(),
            header.version.to_string(),
            header.alignment.to_string(),
            header.data_offset.to_string(),
            header.keys.to_string(),
            header.tensors.to_string(),
        ];
        add_line(&mut table, cells.into_iter().chain(file_cell(inspection, header.file)).collect());
    }
    drawn(table, &[1, 2, 3, 4, 5, 6, 7])
}

fn file_heading(inspection: &Inspection) -> Option<&'static str> {
    inspection.is_split().then_some("file")
}

/// The number of a file, where there are several to tell apart.
fn file_cell(inspection: &Inspection, file: u32) -> Option<String> {
    inspection.is_split().then(|| file.to_string())
}

fn keys_table(inspection: &Inspection, layout: Layout) -> String {
    let header: Vec<&str> = ["key", "type", "value"].into_iter().chain(file_heading(inspection)).collect();
    let mut table = new_table(layout, &header);
    let most = if layout.all { usize::MAX } else { MOST_ROWS };
    for key in inspection.metadata.iter().take(most) {
        let cells = [key.key.cut(), key.value_type.into(), key.summary.clone()];
        add_line(&mut table, cells.into_iter().chain(file_cell(inspection, key.file)).collect());
    }
    // Of a key and its value, it is the value that may be cut.
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    let mut out = drawn(table, &[3]);
    let more = inspection.metadata.len().saturating_sub(most);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more; `--all` lists every key");
    }
    out
}

fn tensors_table(inspection: &Inspection, layout: Layout) -> String {
    let columns = ["tensor", "dimensions", "type", "offset", "bytes"];
    let header: Vec<&str> = columns.into_iter().chain(file_heading(inspection)).collect();
    let mut table = new_table(layout, &header);
    let (rows, mut notes) =
        if layout.all { (inspection.tensors.iter().collect(), Vec::new()) } else { folded(&inspection.tensors) };
    let most = if layout.all { usize::MAX } else { MOST_ROWS };
    for tensor in rows.iter().take(most) {
        let cells = [
            tensor.name.cut(),
            shape(&tensor.dimensions),
            tensor.weight_type.into(),
            tensor.offset.to_string(),
            tensor.bytes.to_string(),
        ];
        add_line(&mut table, cells.into_iter().chain(file_cell(inspection, tensor.file)).collect());
    }
    if rows.len() > most {
        notes.insert(0, format!("and {} more rows", rows.len() - most));
    }
    if rows.len().min(most) < inspection.tensors.len() {
        notes.push(format!("`--all` lists all {} tensors", inspection.tensors.len()));
    }
    let notes: String = notes.iter().map(|note| layout.wrapped("  ", note)).collect();
    drawn(table, &[3, 4, 5]) + &notes
}

fn shape(dimensions: &[u64]) -> String {
    let dimensions: Vec<_> = dimensions.iter().map(u64::to_string).collect();
    if dimensions.is_empty() { "-".into() } else { dimensions.join(" x ") }
}

fn weights_table(inspection: &Inspection, layout: Layout) -> String {
    let mut table = new_table(layout, &["weights", "tensors", "elements", "size", "share", "bits per weight"]);
    let mut add = |name: &str, weights: WeightTotals| {
        let bits = weights.bits_per_weight.map_or_else(|| "-".into(), short);
        let cells = [
            name.into(),
            weights.tensors.to_string(),
            weights.elements.to_string(),
            HumanBytes(weights.bytes).to_string(),
            format!("{:.1} %", weights.share * 100.0),
            bits,
        ];
        add_line(&mut table, cells.into());
    };
    for weights in &inspection.weights {
        add(weights.weight_type, *weights);
    }
    if inspection.weights.len() > 1 {
        let sum = |of: fn(&WeightTotals) -> u64| inspection.weights.iter().map(of).fold(0, u64::saturating_add);
        let (tensors, elements, bytes) = (sum(|w| w.tensors), sum(|w| w.elements), sum(|w| w.bytes));
        let bits_per_weight = bits_per_weight(bytes, elements);
        add("all", WeightTotals { weight_type: "", tensors, elements, bytes, share: 1.0, bits_per_weight });
    }
    drawn(table, &[1, 2, 3, 4, 5])
}

fn findings_text(inspection: &Inspection, layout: Layout) -> String {
    let mut out = layout.wrapped("", &verdict(inspection));
    if inspection.is_vocabulary {
        out += "it is only a vocabulary, of which no tensor is asked\n";
    }
    if let Some(why) = inspection.weights_not_read {
        out += &layout.wrapped("", &format!("no weight was looked at: {why}"));
    }
    if !inspection.ignored_by_the_reference.is_empty() {
        let keys: Vec<_> = inspection.ignored_by_the_reference.iter().map(Text::cut).collect();
        out += &layout.wrapped("", &format!("ignored by the reference: {}", keys.join(", ")));
    }
    for of_rule in inspection.findings.chunk_by(|a, b| a.is_of_weights && a.rule == b.rule) {
        out += &breaches(of_rule, inspection.is_split(), layout);
    }
    out
}

fn verdict(inspection: &Inspection) -> String {
    let count = match inspection.findings.len() {
        1 => "1 finding".into(),
        count => format!("{count} findings"),
    };
    let is_fatal = |breach: &&Breach| !matches!(breach.severity, RuleSeverity::Acceptable | RuleSeverity::Note);
    let refused = inspection.findings.iter().find(is_fatal);
    let rule = refused.map_or("-", |breach| breach.rule);
    let notes = if inspection.findings.is_empty() { String::new() } else { format!(", with {count}") };
    match inspection.verdict {
        FileVerdict::Valid => format!("valid{notes}: no rule of the format is broken"),
        FileVerdict::Acceptable => format!("acceptable, with {count}: strict reading takes the file"),
        FileVerdict::Invalid if refused.is_some_and(|breach| breach.is_of_weights) => {
            format!("invalid, with {count}: not every weight is a number (rule {rule})")
        }
        FileVerdict::Invalid => format!("invalid, with {count}: strict reading refuses the file (rule {rule})"),
    }
}

/// One rule, and where it is broken.
fn breaches(of_rule: &[Breach], is_split: bool, layout: Layout) -> String {
    let mut out = String::new();
    let Some(Breach { rule, severity, meaning, .. }) = of_rule.first() else { return out };
    let times = match of_rule.iter().map(|breach| breach.times).fold(0, u64::saturating_add) {
        1 => "once".into(),
        2 => "twice".into(),
        times => format!("{times} times"),
    };
    let _ = writeln!(out, "\n{rule} ({severity}), {times}");
    let most = if layout.all { usize::MAX } else { MOST_TENSORS };
    for breach in of_rule.iter().take(most) {
        let file = breach.file.filter(|_| is_split).map_or_else(String::new, |file| format!(" of file {file}"));
        // What is not there has no place.
        let place = if breach.offset > 0 { format!(" at byte {}{file}", breach.offset) } else { file };
        let first = format!("{}{place}: found {}, expected {}", breach.field, breach.found, breach.expected);
        out += &layout.wrapped("    ", &first);
    }
    if of_rule.len() > most {
        let _ = writeln!(out, "    and {} more tensors; `--all` lists every one", of_rule.len() - most);
    }
    out + &layout.wrapped("    ", meaning)
}
