//! The vectors against their own laws, and our reader against the vectors.
#![expect(clippy::disallowed_methods, reason = "what is committed is held against what is made")]

use gguf::{File, Mode, Rule, Severity, ShardName, Split};
use std::{collections::BTreeSet, fs, path::Path};
use vectors::{Expected, Group, Part, Vector, VectorFile, bytes_of};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/vectors");
/// The largest file that these tests hold in memory. A larger one is described by runs, and read by the harness's readers alone.
const HELD: u64 = 4 << 20;

fn name(group: &Group, vector: &Vector) -> String {
    format!("{}/{}", group.group, vector.name)
}

#[test]
fn the_committed_files_are_current() {
    let mut expected: BTreeSet<String> = BTreeSet::from(["schema.json".into(), "FINDINGS.md".into(), "README.md".into()]);
    for group in vectors::all() {
        let file = format!("{}.json", group.group);
        let committed = fs::read_to_string(Path::new(FOLDER).join(&file)).unwrap_or_default();
        assert!(committed == group.to_json(), "corpora/vectors/{file} is stale; run `cargo run -p vectors`");
        assert_eq!(serde_json::from_str::<Group>(&committed).unwrap(), group, "{file} does not read back");
        expected.insert(file);
    }
    assert_eq!(fs::read_to_string(Path::new(FOLDER).join("schema.json")).unwrap(), vectors::SCHEMA);
    for entry in fs::read_dir(FOLDER).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(expected.contains(&file), "corpora/vectors/{file} belongs to no group");
    }
}

#[test]
fn every_vector_keeps_the_laws() {
    let groups = vectors::all();
    assert!(groups.iter().map(|group| group.tests.len()).sum::<usize>() >= 300);
    let mut names = BTreeSet::new();
    let mut contents = std::collections::BTreeMap::new();
    for group in &groups {
        assert_eq!(group.number_of_tests, group.tests.len());
        for (index, vector) in group.tests.iter().enumerate() {
            let name = name(group, vector);
            assert!(names.insert(name.clone()), "{name} stands twice");
            assert!(vector.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/._".contains(&b)), "{name}");
            assert_eq!(vector.tc_id as usize, index + 1, "{name}");
            assert!(vector.comment.ends_with('.'), "{name}: {}", vector.comment);
            assert!(vector.flags.iter().all(|flag| group.notes.contains_key(flag)), "{name}: a flag without a note");
            let rules = vector.rules.len();
            assert!(if vector.result == Expected::Valid { rules == 0 } else { rules == 1 }, "{name}: {:?}", vector.rules);
            for file in &vector.files {
                assert_eq!(file.size, file.parts.iter().map(Part::len).sum::<u64>(), "{name}");
                let must_be_large =
                    file.parts.iter().any(|part| matches!(part, Part::Zeros(_) | Part::Repeat(..)) && part.len() >= 4096);
                let quantised = vector.name.contains("quantised");
                assert!(file.size <= 4096 || must_be_large || quantised, "{name}: {} bytes", file.size);
            }
            if let Some(twin) = contents.insert(format!("{:?}", vector.files), name.clone()) {
                // The rules' own vectors and the advisories stand for themselves even where another group has the same file.
                let own = |name: &str| name.starts_with("rules/") || name.starts_with("advisories/");
                assert!(own(&name) || own(&twin), "{name} is the same file as {twin}");
            }
        }
    }
}

#[test]
fn every_rule_is_broken_by_a_vector_and_many_break_none() {
    let groups = vectors::all();
    let vectors: Vec<&Vector> = groups.iter().flat_map(|group| &group.tests).collect();
    for rule in Rule::ALL {
        let breaking = vectors.iter().filter(|vector| vector.rules == [rule.id()]).count();
        assert!(breaking > 0, "no vector breaks {rule}");
    }
    assert!(vectors.iter().filter(|vector| vector.result == Expected::Valid).count() >= 100);
}

/// The rules that our reader finds broken in either mode, and whether strict reading accepts the files.
fn judged(files: &[VectorFile]) -> (bool, BTreeSet<&'static str>) {
    let held: Vec<Vec<u8>> = files.iter().map(|file| bytes_of(file, HELD).expect("parts are well-formed")).collect();
    let strict = files_of(files, &held, true);
    let lenient = files_of(files, &held, false);
    let mut rules: BTreeSet<&'static str> = strict.as_ref().err().map(|finding| finding.rule.id()).into_iter().collect();
    match lenient {
        Ok(split) => {
            for file in split.files() {
                rules.extend(file.tolerated().iter().map(|tolerated| tolerated.finding.rule.id()));
            }
            rules.extend(split.tolerated().iter().map(|tolerated| tolerated.finding.rule.id()));
        }
        Err(finding) => drop(rules.insert(finding.rule.id())),
    }
    (strict.is_ok(), rules)
}

fn files_of<'a>(files: &[VectorFile], held: &'a [Vec<u8>], strict: bool) -> Result<Split<'a>, gguf::Finding> {
    let read = |bytes: &'a Vec<u8>| if strict { File::strict(bytes) } else { File::lenient(bytes) };
    // What is not beside the first file is not there: its siblings are looked for by name.
    let mut parsed = Vec::new();
    match ShardName::parse(&files[0].name) {
        None => parsed.push(read(&held[0])?),
        Some(shard) => {
            for sibling in shard.siblings() {
                if let Some(at) = files.iter().position(|file| file.name == sibling) {
                    parsed.push(read(&held[at])?);
                }
            }
        }
    }
    Split::join(parsed, if strict { Mode::Strict } else { Mode::Lenient })
}

#[test]
fn our_reader_says_of_every_vector_what_it_states() {
    let mut wrong = Vec::new();
    for group in vectors::all() {
        for vector in group.tests.iter().filter(|vector| vector.files.iter().all(|file| file.size <= HELD)) {
            let (accepted, rules) = judged(&vector.files);
            let stated: BTreeSet<&str> = vector.rules.iter().map(String::as_str).collect();
            let unsupported = |id: &&str| id.parse::<Rule>().is_ok_and(|rule| rule.severity() == Severity::Unsupported);
            let should_accept = vector.result != Expected::Invalid && !stated.iter().any(unsupported);
            if accepted != should_accept || rules != stated {
                let verdict = if accepted { "accepted" } else { "refused" };
                wrong.push(format!("{}: stated {stated:?}, {verdict} with {rules:?}", name(&group, vector)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
