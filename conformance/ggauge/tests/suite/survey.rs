//! The survey of readers: its golden, what the rules say of the runtimes, and that every deviation has a finding.

use crate::support::{GGAUGE, assert_golden_in, ggauge, stderr, stdout};
use gguf::{Rule, Stance};
use indicatif::ProgressBar;
use machine::cache::Cache;
use policy::KnownDeviations;
use record::readers::{Coverage, Did, Operation, Stated, VectorCell, VectorRow};
use report::readers_picture;
use std::path::Path;
use studies::{
    readers::{self, Column},
    vector_files,
};
use supply::adapters;

/// Surveys the vectors whose name `wanted` accepts.
fn rows(columns: &[(Column, Option<String>)], wanted: impl Fn(&str) -> bool) -> Vec<VectorRow> {
    let mut groups = vector_files::groups().unwrap();
    for group in &mut groups {
        let name = group.group.clone();
        group.tests.retain(|vector| wanted(&format!("{name}/{}", vector.name)));
    }
    let scratch = tempfile::tempdir().unwrap();
    readers::survey(&groups, columns, Path::new(GGAUGE), scratch.path(), &ProgressBar::hidden()).unwrap()
}

/// Columns of this process's own executable: those that need no environment.
fn built_in() -> Vec<(Column, Option<String>)> {
    let cache = Cache::at(Path::new("/nonexistent"));
    let columns = readers::columns().into_iter();
    columns.filter(|column| adapters::command(&column.subject, &cache).is_none()).map(|column| (column, None)).collect()
}

fn assert_golden_groups(prefix: &str, rows: &[VectorRow]) {
    let mut groups: Vec<&str> = rows.iter().filter_map(|row| row.vector.split('/').next()).collect();
    groups.dedup();
    for group in groups {
        let of_group = |row: &&VectorRow| row.vector.split('/').next() == Some(group);
        let of_group: Vec<VectorRow> = rows.iter().filter(of_group).cloned().collect();
        assert_golden_in(
            "vectors",
            &format!("{prefix}{group}"),
            &format!("{}\n\n{}", report::readers::LEGEND, report::readers::table(&of_group)),
        );
    }
}

fn assert_explained(rows: &[VectorRow]) {
    let surveyed = |name: &str| rows.iter().all(|row| row.cell(name).is_some());
    let absent: Vec<&str> = readers::columns().iter().map(|column| column.name).filter(|name| !surveyed(name)).collect();
    let coverage = KnownDeviations::shipped().unwrap().coverage(rows, true, &absent);
    assert!(coverage.deviations > 0, "a survey in which every reader is right is one that does not look");
    assert!(coverage.unexplained.is_empty(), "without a finding:\n{}", coverage.unexplained.join("\n"));
    assert!(coverage.stale.is_empty(), "findings that explain nothing any more: {:?}", coverage.stale);
}

/// One survey for all that is said of it.
#[test]
fn readers_do_what_the_golden_the_rules_and_the_findings_say() {
    let rows = rows(&built_in(), |_| true);
    assert_eq!(rows.len(), vector_files::groups().unwrap().iter().map(|group| group.tests.len()).sum::<usize>());
    for row in &rows {
        let strict = row.cell("strict").unwrap();
        let refused = matches!(strict.did, Did::Rejected { .. } | Did::Unsupported);
        assert_eq!(refused, row.result == Stated::Invalid || row.rules == ["big-endian"], "{}: {strict:?}", row.vector);
        let words = &strict.words;
        let named = |rule: &String| words.contains(&format!("(rule {rule})"));
        assert!(!refused || row.rules.iter().all(named), "{} is refused with other words: {words}", row.vector);
    }
    let wrong: Vec<String> = Rule::ALL.iter().filter_map(|&rule| wrong_stance(&rows, rule)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_explained(&rows);
    assert_golden_groups("", &rows);
}

/// The vector that shows what the runtimes do with a model that breaks a rule.
fn vector_of(rule: Rule) -> String {
    match rule {
        Rule::QuantizationVersion => "models/llama-quantised-without-version".into(),
        Rule::SplitShards => "split/second-file-missing".into(),
        rule => format!("rules/model/{rule}"),
    }
}

/// What is wrong with the stances that a rule states.
fn wrong_stance(rows: &[VectorRow], rule: Rule) -> Option<String> {
    let name = vector_of(rule);
    let row = rows.iter().find(|row| row.vector == name).unwrap_or_else(|| panic!("{rule} has no vector {name}"));
    let stance = |reader: &str| {
        let did = |column: &str| &row.cell(column).unwrap_or_else(|| panic!("no column {column}")).did;
        let (read, load) = (did(reader), did(&format!("{reader} load")));
        match (read, load) {
            (Did::Failed { .. }, _) | (_, Did::Failed { .. }) => Stance::Crashes,
            (Did::Rejected { .. } | Did::Unsupported, _) => Stance::Rejects,
            (_, Did::Rejected { .. }) => Stance::RejectsLoad,
            // The architecture is one that no runtime has.
            (_, Did::Unsupported) => Stance::ReadsHeader,
            (_, Did::Accepted | Did::Differed { .. }) => Stance::Accepts,
        }
    };
    let (llama_cpp, candle) = (stance("llama.cpp"), stance("candle"));
    (llama_cpp != rule.llama_cpp() || candle != rule.candle()).then(|| {
        format!("{rule}: llama.cpp {llama_cpp:?}, candle {candle:?}; the rule says {:?}, {:?}", rule.llama_cpp(), rule.candle())
    })
}

/// Readers in other languages speak the protocol themselves. Without their environments there is nothing to compare, and the
/// program says so.
#[test]
#[ignore = "needs the environments of `ggauge fetch readers`"]
fn readers_in_other_languages_do_what_the_golden_and_the_findings_say() {
    let cache = Cache::find().unwrap();
    let mut columns = built_in();
    let ours = columns.len();
    for column in readers::columns() {
        match adapters::command(&column.subject, &cache) {
            None => {}
            Some(Ok(command)) => columns.push((column, Some(command))),
            // Where its programs are not on this machine, it cannot have been made.
            Some(Err(why)) => {
                let made = adapters::install(&cache).unwrap().into_iter().find(|(name, _)| *name == column.name);
                let (_, made) = made.unwrap();
                assert!(made.is_err(), "{}: {why}", column.name);
            }
        }
    }
    assert!(
        columns.len() > ours,
        "no reader in another language is here: install python3 or Node, then `ggauge fetch readers`"
    );
    let rows = rows(&columns, |_| true);
    assert_explained(&rows);
    for (column, _) in &columns[ours..] {
        let keep = ["strict", "lenient", column.name];
        let mut of_reader = rows.clone();
        for row in &mut of_reader {
            row.cells.retain(|cell| keep.contains(&cell.reader.as_str()));
        }
        assert_golden_groups(&format!("{}-", column.name), &of_reader);
    }
}

fn cell(result: Stated, rules: &[String], did: Did) -> VectorCell {
    let operation = Operation::Read;
    let conforms = readers::conforms(result, rules, operation, &did);
    VectorCell { reader: "a".into(), operation, did, conforms, words: String::new() }
}

fn row(result: Stated, rules: &[&str], did: Did) -> VectorRow {
    let rules: Vec<String> = rules.iter().map(|&rule| rule.to_owned()).collect();
    let cells = vec![cell(result, &rules, did)];
    VectorRow { vector: "group/name".into(), result, rules, cells }
}

#[test]
fn what_does_not_conform_needs_a_finding_and_a_finding_needs_a_deviation() {
    let rejected = || Did::Rejected { class: "malformed".into() };
    let failed = || Did::Failed { how: "aborted".into() };
    let differed = || Did::Differed { difference: "key".into() };
    for (result, rules, did, conforms) in [
        (Stated::Valid, &[][..], Did::Accepted, true),
        (Stated::Valid, &[], rejected(), false),
        (Stated::Valid, &[], Did::Unsupported, true),
        (Stated::Valid, &[], failed(), false),
        (Stated::Valid, &[], differed(), false),
        (Stated::Invalid, &["magic"], Did::Accepted, false),
        (Stated::Invalid, &["magic"], rejected(), true),
        (Stated::Invalid, &["magic"], failed(), false),
        (Stated::Invalid, &["key-missing"], Did::Accepted, true),
        (Stated::Invalid, &["key-missing"], failed(), false),
        (Stated::Acceptable, &["array-nested"], Did::Accepted, true),
        (Stated::Acceptable, &["array-nested"], rejected(), true),
        (Stated::Acceptable, &["array-nested"], differed(), false),
    ] {
        let row = row(result, rules, did);
        assert_eq!(row.cells[0].conforms, conforms, "{row:?}");
    }
    let deviating = [row(Stated::Valid, &[], rejected())];
    let finding = |readers: &str, vectors: &str| {
        let text = format!(
            "# Findings\n\n### X-1 Why\n- readers: `{readers}`\n- vectors: `{vectors}`\n- does: `rejects`\n- cause: a.c:1\n"
        );
        KnownDeviations::parse(&text, "test.md").unwrap()
    };
    let coverage = |rows: &[VectorRow], findings: &KnownDeviations| findings.coverage(rows, true, &[]);
    let none = KnownDeviations::parse("", "test.md").unwrap();
    assert_eq!(coverage(&deviating, &none).unexplained, ["a: group/name: rejects (malformed)"]);
    let covered = coverage(&deviating, &finding("a", "group/*"));
    assert_eq!(covered, Coverage { unexplained: vec![], stale: vec![], deviations: 1 });
    // What explains a refusal is no excuse for a crash.
    let failing = [row(Stated::Valid, &[], failed())];
    assert_eq!(coverage(&failing, &finding("a", "group/*")).unexplained, ["a: group/name: aborted"]);
    let conforming = [row(Stated::Valid, &[], Did::Accepted)];
    assert_eq!(coverage(&conforming, &finding("a", "group/*")).stale, ["X-1"]);
    // Some of the vectors, or not all of its readers: nothing can be said.
    assert_eq!(finding("a", "group/*").coverage(&conforming, false, &[]).stale, [""; 0]);
    assert_eq!(finding("{a,b}", "group/*").coverage(&conforming, true, &["b"]).stale, [""; 0]);
}

#[test]
fn a_finding_that_lacks_a_line_is_refused() {
    for (entry, part) in [
        ("### X-1\n- vectors: `b`\n- does: `fails`\n- cause: b\n", "- readers"),
        ("### X-1\n- readers: `a`\n- does: `fails`\n- cause: b\n", "- vectors"),
        ("### X-1\n- readers: `a`\n- vectors: `b`\n- cause: b\n", "- does"),
        ("### X-1\n- readers: `a`\n- vectors: `b`\n- does: `sings`\n- cause: b\n", "sings"),
        ("### X-1\n- readers: `a`\n- vectors: `b`\n- does: `fails`\n", "- cause"),
        ("### X-1\n- readers: `[`\n- vectors: `b`\n- does: `fails`\n- cause: c\n", "X-1"),
    ] {
        let error = KnownDeviations::parse(&format!("# Findings\n\n{entry}"), "test.md").err().unwrap().to_string();
        assert!(error.contains(part) && error.contains("test.md"), "{error}");
    }
}

#[test]
fn the_command_says_what_is_unexplained_and_exits_so() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("FINDINGS.md");
    std::fs::write(&empty, "# Findings\n").unwrap();
    let empty = empty.to_str().unwrap();
    let arguments = ["vectors", "values/bool-*", "--reader", "strict", "--reader", "llama.cpp", "--findings", empty];
    let output = ggauge(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("unexplained: llama.cpp: values/bool-2: accepts"), "{}", stdout(&output));
    let output = ggauge(folder.path(), &[&arguments[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["rows"][0]["vector"], "values/bool-0");
    assert_eq!(json["coverage"]["unexplained"].as_array().unwrap().len(), 4, "{json}");
    assert_eq!(output.status.code(), Some(1));
    let output = ggauge(folder.path(), &["vectors", "values/bool-*", "--reader", "strict"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    for wrong in [&["vectors", "no/such"][..], &["vectors", "--reader", "nobody"]] {
        assert_eq!(ggauge(folder.path(), wrong).status.code(), Some(2));
    }
    // A reader that is not here is named, with what to do.
    let output = ggauge(folder.path(), &["vectors", "values/bool-*", "--reader", "gguf-py"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stdout(&output).contains("ggauge fetch readers"), "{}", stdout(&output));
}

#[test]
fn the_picture_has_a_cell_for_each_reading_and_its_colour() {
    let failed = Did::Failed { how: "aborted".into() };
    let mut rows = [row(Stated::Valid, &[], Did::Accepted), row(Stated::Valid, &[], failed.clone())];
    rows[0].cells.push(cell(Stated::Valid, &[], failed));
    let svg = readers_picture::svg(&rows).unwrap();
    let red = svg.matches("#B71C1C").count();
    // Two cells and one in the legend.
    assert_eq!((red, svg.matches("#2E7D32").count()), (3, 2), "{svg}");
    assert_eq!(svg, readers_picture::svg(&rows).unwrap());
}

#[test]
fn written_vectors_are_files_for_readers_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("vectors");
    let output = ggauge(folder.path(), &["vectors", "split/two-files", "--write", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let files = target.join("split/two-files");
    for name in ["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"] {
        assert!(std::fs::read(files.join(name)).unwrap().starts_with(b"GGUF"), "{name}");
    }
}
