//! What fuzzing came to so far: executions, how far inputs came, findings, coverage. Reads what engines, targets and sanitizers wrote, and
//! writes nothing.

use crate::{
    log::Status,
    state::{State, read},
};
use printable::Page;
use regex::Regex;
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock};
use time::{OffsetDateTime, macros::format_description};
use vocabulary::Reached;

/// Sites that are shown of a target.
const SITES: usize = 40;
/// Characters that are shown of a site.
const LONGEST: usize = 200;

/// The whole report.
pub(crate) fn all(state: &State) -> Page {
    let mut page = executions(state);
    for part in [stages(state), findings(state), coverage(state)] {
        page.append(&part);
    }
    page
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Sums over all slices, by target and build.
fn executions(state: &State) -> Page {
    let mut totals: Vec<((String, String), Status)> = Vec::new();
    for (slice, status) in state.slices() {
        let key = (slice.target, slice.flavour);
        if let Some((_, total)) = totals.iter_mut().find(|(of, _)| *of == key) {
            let before = *total;
            // A slice counts edges from its corpus, so the last has what there is.
            *total = Status {
                runs: before.runs + status.runs,
                seconds: before.seconds + status.seconds,
                ooms: before.ooms + status.ooms,
                timeouts: before.timeouts + status.timeouts,
                crashes: before.crashes + status.crashes,
                ..status
            };
        } else {
            totals.push((key, status));
        }
    }
    let mut page = Page::default();
    writeln!(
        page,
        "{:22}{:>10}{:>14}{:>9}{:>9}{:>8}{:>10}{:>8}  crashes/timeouts/memory",
        "target", "build", "executions", "seconds", "exec/s", "edges", "features", "corpus"
    );
    for ((target, flavour), total) in &totals {
        let Status { runs, edges, features, corpus, ooms, timeouts, crashes, seconds } = total;
        let rate = grouped(((*runs as f64) / (*seconds).max(1) as f64).round_ties_even() as u64);
        writeln!(
            page,
            "{target:22}{flavour:>10}{:>14}{seconds:>9}{rate:>9}{edges:>8}{features:>10}{corpus:>8}  {crashes}/{timeouts}/{ooms}",
            grouped(*runs)
        );
    }
    if !totals.is_empty() {
        let sum = |of: fn(&Status) -> u64| totals.iter().map(|(_, total)| of(total)).sum::<u64>();
        writeln!(page, "{:22}{:>10}{:>14}{:>9}", "all", "", grouped(sum(|total| total.runs)), sum(|total| total.seconds));
    }
    page
}

/// The folders or files of a kind, in order; none where there are none.
fn listed(folder: PathBuf) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// How far inputs came, from the targets' own counts.
fn stages(state: &State) -> Page {
    let mut page = Page::default();
    for folder in listed(state.folder().join("statistics")) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for file in listed(folder.clone()).into_iter().filter(|file| file.extension().is_some_and(|end| end == "json")) {
            // One that cannot be read was written by a process that was just ended.
            let counted: BTreeMap<String, u64> = serde_json::from_str(&read(&file).unwrap_or_default()).unwrap_or_default();
            for (what, count) in counted {
                *counts.entry(what).or_default() += count;
            }
        }
        if counts.is_empty() {
            continue;
        }
        page.blank();
        writeln!(page, "{}: how far inputs came", name(&folder));
        let is_stage = |what: &str| Reached::ALL.iter().any(|stage| stage.words() == what);
        let total: u64 = counts.iter().filter(|(what, _)| is_stage(what)).map(|(_, count)| count).sum();
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (what, count) in counts {
            let share = if is_stage(&what) { format!("{:6.1} %", 100.0 * count as f64 / total as f64) } else { String::new() };
            writeln!(page, "  {:>12}  {share:>9}  {what}", grouped(count));
        }
    }
    page
}

/// Inputs that ended a process, and what sanitizers said.
fn findings(state: &State) -> Page {
    let mut page = Page::default();
    page.blank();
    for folder in listed(state.folder().join("artifacts")) {
        let mut kinds: Vec<(String, u64)> = Vec::new();
        for artifact in listed(folder.clone()) {
            let kind = name(&artifact).split('-').next().unwrap_or_default().to_owned();
            match kinds.iter_mut().find(|(of, _)| *of == kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((kind, 1)),
            }
        }
        if !kinds.is_empty() {
            let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            writeln!(page, "{}: {} in {}", name(&folder), kinds.join(", "), folder.display());
        }
    }
    for folder in listed(state.folder().join("reports")) {
        let sites = sites(&read(&folder.join("sites.txt")).unwrap_or_default());
        if !sites.is_empty() {
            page.blank();
            writeln!(page, "{}: sites that sanitizers reported (processes that said so)", name(&folder));
        }
        for (place, count) in sites.into_iter().take(SITES) {
            let place: String = place.chars().take(LONGEST).collect();
            writeln!(page, "  {count:>6}  {place}");
        }
    }
    page
}

/// The beginning of a path that only one machine has.
static OF_THIS_MACHINE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^.*?/(llama\.cpp/|candle-|conformance/)").ok());
/// Values, which differ from input to input.
static VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"-?(?-u:\b)[0-9]{3,}(?-u:\b)|0x[0-9a-f]+").ok());

/// Sites with how many processes said so, most first. The place and the kind tell one from another.
fn sites(text: &str) -> Vec<(String, u64)> {
    let mut sites: Vec<(String, u64)> = Vec::new();
    for entry in text.lines() {
        let (count, words) = entry.trim().split_once(' ').unwrap_or_else(|| (entry.trim(), ""));
        let place = OF_THIS_MACHINE.as_ref().map_or(words.into(), |pattern| pattern.replace(words, "$1"));
        let place = VALUE.as_ref().map_or(place.clone(), |pattern| pattern.replace_all(&place, "N").into_owned().into());
        let count = count.parse().unwrap_or(1);
        match sites.iter_mut().find(|(known, _)| *known == place) {
            Some((_, total)) => *total += count,
            None => sites.push((place.into_owned(), count)),
        }
    }
    sites.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sites
}

/// The parsers that the README names, and what else a loader runs through, each by what its sources' paths have.
const PARSERS: [(&str, &str); 10] = [
    ("our reader", OUR_READER),
    ("our codecs", OUR_CODECS),
    ("gguf.cpp", r"ggml/src/gguf\.cpp"),
    ("llama-model-loader.cpp", r"src/llama-model-loader\.cpp"),
    ("llama-model.cpp", r"src/llama-model\.cpp"),
    ("llama-vocab.cpp", r"src/llama-vocab\.cpp"),
    ("llama-adapter.cpp", r"src/llama-adapter\.cpp"),
    ("candle gguf_file.rs", r"candle-core.*/quantized/gguf_file\.rs"),
    ("candle model loaders", r"candle-transformers.*/models/(?:smol/)?quantized_"),
    ("candle tokenizer.rs", r"candle-core.*/quantized/tokenizer\.rs"),
];
/// Its codecs, which lie below it, are told apart.
const OUR_READER: &str = "conformance/gguf/src/";
const OUR_CODECS: &str = "conformance/gguf/src/codec/";

/// What `llvm-cov export -summary-only` writes, as far as it is read.
#[derive(Debug, Deserialize)]
struct Export {
    data: Vec<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    files: Vec<Source>,
}

#[derive(Debug, Deserialize)]
struct Source {
    filename: String,
    summary: BTreeMap<String, serde_json::Value>,
}

impl Source {
    /// A number of its summary, such as how many regions are covered.
    fn number(&self, what: &str, which: &str) -> u64 {
        self.summary.get(what).and_then(|summary| summary.get(which)?.as_u64()).unwrap_or(0)
    }
}

/// True where a source is one of the parser with this pattern.
fn is_of(parser: &str, path: &str) -> bool {
    Regex::new(parser).is_ok_and(|pattern| pattern.is_match(path)) && (parser != OUR_READER || !path.contains(OUR_CODECS))
}

/// Lines and regions of each parser that the corpora reach, where that was counted.
pub(crate) fn coverage(state: &State) -> Page {
    let mut page = Page::default();
    page.blank();
    let path = state.folder().join("coverage/summary.json");
    let Ok(metadata) = fs::metadata(&path) else {
        writeln!(page, "coverage: not counted yet; `scripts/fuzz --coverage` does");
        return page;
    };
    let read = read(&path).unwrap_or_default();
    let export: Export = match serde_json::from_str(&read) {
        Ok(export) => export,
        Err(error) => {
            writeln!(page, "coverage: {}: {error}", path.display());
            return page;
        }
    };
    let when = metadata.modified().map(OffsetDateTime::from).ok();
    let when = when.and_then(|when| when.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).ok());
    writeln!(page, "coverage, counted {}", when.unwrap_or_default());
    writeln!(page, "{:26}{:>28}{:>28}{:>18}", "parser", "lines reached", "regions reached", "functions");
    let files: Vec<&Source> = export.data.iter().take(1).flat_map(|data| &data.files).collect();
    for (label, parser) in PARSERS {
        let of_parser: Vec<_> = files.iter().filter(|file| is_of(parser, &file.filename)).collect();
        write!(page, "{label:26}");
        for (what, width, with_share) in [("lines", 28, true), ("regions", 28, true), ("functions", 18, false)] {
            let sum = |which: &str| of_parser.iter().map(|file| file.number(what, which)).sum::<u64>();
            let (reached, total) = (sum("covered"), sum("count"));
            let share = 100.0 * reached as f64 / total.max(1) as f64;
            let share = if with_share { format!(" ({share:.0} %)") } else { String::new() };
            write!(page, "{:>width$}", format!("{} of {}{share}", grouped(reached), grouped(total)));
        }
        page.blank();
    }
    page
}
