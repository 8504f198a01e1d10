//! What the readers do with the test vectors, as the goldens have it.

use crate::{
    files::{names, read},
    prose::{capital, fenced, in_digits, in_words},
    texts::{CHANGELOG, README, Texts},
};
use machine::{Error, cache::Cache};
use policy::KnownDeviations;
use record::readers::{Did, VectorCell, VectorRow};
use report::readers_picture;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use studies::{readers, vector_files};
use supply::adapters;

/// What the readers do with the vectors, as the goldens have it, which tests hold against the readers.
pub(crate) fn of_the_vectors(texts: &mut Texts) -> Result<(), Error> {
    let rows = rows_of_goldens(&texts.root.join("golden/vectors"))?;
    let coverage = KnownDeviations::shipped()?.coverage(&rows, true, &[]);
    let table = report::readers::report(&rows, &coverage, &[], false);
    texts.put(README, "vectors", "", &fenced(&table))?;
    let of_models: Vec<VectorRow> = rows.iter().filter(|row| row.vector.starts_with("rules/model/")).cloned().collect();
    texts.file(".github/vectors.svg", readers_picture::svg(&of_models)?);
    let columns = readers::columns();
    texts.sentence(README, "![{} columns of readers against", &[capital(&in_words(columns.len()))])?;
    let megabytes = in_digits((readers::LIMITS.memory >> 20) as usize);
    texts.sentence(README, "or took more than {} MiB.", std::slice::from_ref(&megabytes))?;
    texts.sentence("corpora/vectors/FINDINGS.md", "more than {} MiB or a minute.", &[megabytes])?;
    texts.sentence(README, "{} [test vectors](corpora/vectors) that break one rule each,", &[in_digits(rows.len())])?;
    texts.sentence(CHANGELOG, "- {} test vectors for GGUF readers in", &[in_digits(rows.len())])?;
    let runtimes: BTreeSet<&str> = columns.iter().map(|column| column.subject.runtime()).collect();
    let here = Cache::at(Path::new("/nonexistent"));
    let foreign = columns.iter().filter(|column| adapters::command(&column.subject, &here).is_some()).count();
    let figures = [in_words(runtimes.len()), in_words(foreign)];
    texts.sentence(CHANGELOG, "ends or hangs, for {} readers, {} of them in", &figures)?;
    texts.sentence("corpora/vectors/README.md", "what {} readers do with them", &figures[..1])
}

/// The survey that the goldens came from, but for words.
fn rows_of_goldens(folder: &Path) -> Result<Vec<VectorRow>, Error> {
    let mut rows = Vec::new();
    for group in vector_files::groups()? {
        let mut columns: BTreeMap<String, Vec<Did>> = BTreeMap::new();
        let suffix = format!("{}.snap", group.group);
        let files = names(folder, &suffix);
        for prefix in &files {
            columns.extend(columns_of_golden(&folder.join(format!("{prefix}{suffix}")), group.tests.len())?);
        }
        for (index, vector) in group.tests.iter().enumerate() {
            let (result, rules) = (readers::stated(vector.result), vector.rules.clone());
            let cell = |column: &readers::Column| {
                let did = columns.get(column.name)?.get(index)?.clone();
                let conforms = readers::conforms(result, &rules, column.operation, &did);
                let (reader, words) = (column.name.into(), String::new());
                Some(VectorCell { reader, operation: column.operation, did, conforms, words })
            };
            let cells = readers::columns().iter().filter_map(cell).collect();
            rows.push(VectorRow { vector: format!("{}/{}", group.group, vector.name), result, rules, cells });
        }
    }
    Ok(rows)
}

/// What each reader of a golden did with each of its vectors.
fn columns_of_golden(path: &Path, vectors: usize) -> Result<BTreeMap<String, Vec<Did>>, Error> {
    let text = read(path)?;
    let wrong = |why: String| Error::input(path.display(), why, "review it with `cargo insta review`");
    let mut lines = text.lines().skip_while(|line| !line.starts_with("vector "));
    let header = lines.next().unwrap_or_default();
    // Two spaces and more are between columns.
    let mut starts: Vec<usize> = Vec::new();
    for (place, _) in header.match_indices(|c: char| !c.is_whitespace()) {
        if place == 0 || header.get(..place).is_some_and(|before| before.ends_with("  ")) {
            starts.push(place);
        }
    }
    let cells = |line: &str| -> Vec<String> {
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| line.get(start..end.min(line.len())).unwrap_or_default().trim().into())
            .collect()
    };
    let readers = cells(header);
    let mut columns: BTreeMap<String, Vec<Did>> = BTreeMap::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        for (reader, mark) in readers.iter().zip(cells(line)).skip(2) {
            let mark = mark.trim_end_matches('!').trim();
            let did = match mark {
                "yes" => Did::Accepted,
                "other" => Did::Differed { difference: String::new() },
                "no" => Did::Rejected { class: "malformed".into() },
                "-" => Did::Unsupported,
                mark => match mark.strip_prefix("no (").and_then(|rest| rest.strip_suffix(')')) {
                    Some(class) => Did::Rejected { class: class.into() },
                    None if !mark.is_empty() && mark == mark.to_uppercase() => Did::Failed { how: mark.to_lowercase() },
                    None => return Err(wrong(format!("`{mark}` is no mark: {line}"))),
                },
            };
            columns.entry(reader.clone()).or_default().push(did);
        }
    }
    match columns.values().find(|column| column.len() != vectors) {
        None => Ok(columns),
        Some(column) => Err(wrong(format!("it has {} vectors where corpora/vectors has {vectors}", column.len()))),
    }
}
