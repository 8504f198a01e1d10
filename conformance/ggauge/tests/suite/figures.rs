//! README and its like say what is so: every figure in them comes from the code, from goldens, from a run that is not stale, or names its run;
//! every command in them is one. What the main job's table says is held by the test that runs the main job.

use crate::support::{self, GGAUGE, policy};
use figures::{
    checkout::{measurements, of_the_checkout, of_the_checks},
    main_job::{of_the_main_job, wrong_of_the_main_job},
    runs::{Runs, of_the_faults, of_the_matrix},
    texts::Texts,
};
use record::Record;
use rstest::rstest;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use vocabulary::Settings;

/// The checkout.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const TEXTS: [&str; 4] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "golden/README.md"];

/// A Record of everything that a main job's table has, of tiny models.
fn small_record(folder: &Path) -> Record {
    let subjects = ["llama-cpp@cpu", "candle@cpu"];
    support::run(folder, &["llama/q4_0"], &subjects, &[], Settings::Default, &policy(""))
}

/// What is wrong with the figures of a checkout that need no run.
fn wrong(root: &Path, record: &Record) -> Vec<String> {
    let mut texts = Texts::of(root);
    match of_the_checkout(&mut texts).and_then(|()| of_the_checks(&mut texts, record)) {
        Err(error) => vec![error.to_string()],
        Ok(()) => [texts.wrong(), texts.unheld()].concat(),
    }
}

#[test]
fn every_figure_is_what_the_checkout_gives_or_names_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = wrong(Path::new(ROOT), &small_record(folder.path()));
    let next = "next: `scripts/figures goldens` writes what follows from the checkout; a figure that nothing holds comes from a run, which \
                conformance/policy/measurements.toml names, or goes";
    assert!(wrong.is_empty(), "{}\n{next}", wrong.join("\n"));
}

/// The matrix and the faults take minutes: what they came to is kept with a digest of all that it follows from.
#[test]
fn figures_of_the_matrix_and_the_faults_are_of_todays_limits_models_and_runtimes() {
    let root = Path::new(ROOT);
    let stale = Runs::read(root).unwrap().stale(root).unwrap();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

#[test]
fn a_run_that_came_to_something_else_is_noticed() {
    let root = Path::new(ROOT);
    let runs = Runs::read(root).unwrap();
    let stale = runs.stale(root).unwrap();
    assert!(stale.is_empty(), "what is stale anyway shows nothing: {}", stale.join("\n"));
    let mut others = [runs.clone(), runs.clone(), runs.clone(), runs.clone()];
    others[0].matrix.basis = "another".into();
    others[1].matrix.pass += 1;
    others[2].matrix.picture = "another".into();
    others[3].faults.tried += 1;
    for other in others {
        assert!(!other.stale(root).unwrap().is_empty(), "{other:?}");
    }
}

#[test]
fn what_was_measured_names_its_run() {
    for measured in measurements(Path::new(ROOT)).unwrap() {
        let numbers: Vec<&str> = measured.date.split('-').collect();
        let is_date = numbers.iter().map(|number| number.len()).eq([4, 2, 2]) && numbers.concat().parse::<u32>().is_ok();
        let is_commit = measured.commit.len() >= 7 && measured.commit.chars().all(|c| c.is_ascii_hexdigit());
        assert!(is_date && is_commit && measured.run.len() > 20, "{measured:?}");
        assert!(TEXTS.contains(&measured.file.as_str()), "{measured:?}");
    }
}

/// A checkout in which the texts are copies, to be altered, and everything else is this one's.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(ROOT).unwrap();
    let link = |names: &[&str], inner: &str| {
        for entry in fs::read_dir(root.join(inner)).unwrap().flatten() {
            let name = entry.file_name();
            if !names.iter().any(|own| name == *own) {
                symlink(entry.path(), folder.path().join(inner).join(name)).unwrap();
            }
        }
    };
    for inner in ["golden", ".github"] {
        fs::create_dir(folder.path().join(inner)).unwrap();
    }
    link(&["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "golden", ".github"], "");
    link(&["README.md", "figures.toml"], "golden");
    link(&["main-job.svg", "vectors.svg"], ".github");
    for own in TEXTS.iter().chain(&["golden/figures.toml", ".github/main-job.svg", ".github/vectors.svg"]) {
        fs::copy(root.join(own), folder.path().join(own)).unwrap();
    }
    folder
}

fn alter(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// One figure of each kind, altered where it stands. Figures change, so each is found by the words beside it.
#[test]
fn an_altered_figure_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let record = small_record(folder.path());
    let root = copy();
    let before = wrong(root.path(), &record);
    assert!(before.is_empty(), "{before:#?}");
    for (path, from, to) in [
        ("README.md", "The matrix has ", "The matrix has 9"),
        ("README.md", " cells, ", "9 cells, "),
        ("README.md", " faults put", "1 faults put"),
        ("README.md", " [test vectors]", "9 [test vectors]"),
        ("README.md", " columns of readers against", "9 columns of readers against"),
        ("README.md", " deviations, ", "0 deviations, "),
        ("README.md", " texts right;", "9 texts right;"),
        ("README.md", "vocabulary out of ", "vocabulary out of 9"),
        ("README.md", " cases the same to the bit", "9 cases the same to the bit"),
        ("README.md", "<!-- upgrades -->\n```text\n", "<!-- upgrades -->\n```text\n9"),
        ("README.md", " targets: our reader", "9 targets: our reader"),
        ("README.md", " checks**: finite", "9 checks**: finite"),
        ("README.md", " million executions", "9 million executions"),
        ("README.md", " passes with", "9 passes with"),
        ("README.md", "that ggauge expects", "that ggauge expects 99 times"),
        ("README.md", "that ggauge expects", "that ggauge expects fourteen times"),
        ("CHANGELOG.md", "Fuzzing: ", "Fuzzing: 9"),
        ("CHANGELOG.md", "ends or hangs, for ", "ends or hangs, for 9"),
        ("CONTRIBUTING.md", "`header_ours` ", "`header_ours` 9"),
        ("golden/README.md", " of the real models and", "9 of the real models and"),
        ("golden/README.md", "default build in ", "default build in 9"),
        ("golden/figures.toml", "noticed = ", "noticed = 1"),
        (".github/vectors.svg", "#2E7D32", "#2E7D33"),
    ] {
        let root = copy();
        alter(root.path().join(path), from, to);
        assert!(!wrong(root.path(), &record).is_empty(), "{path}: {to}");
    }
}

/// What a row of the table says is altered in README, on the machine that it is from and on one that computes other bits.
#[rstest]
#[case::nothing("pass\n\n", "pass\n\n", false, false)]
#[case::a_measured_digit("NMSE", "", true, false)]
#[case::a_limit(" / ", " / 9", true, true)]
#[case::a_judgement("  pass", "  expected fail", true, true)]
#[case::a_count("            1 ", "            2 ", true, true)]
#[case::positions("/8 (", "/9 (", true, true)]
#[case::judged(" (2)", " (1)", true, true)]
#[case::a_total(" pass\n```", "0 pass\n```", true, true)]
#[case::a_row("  llama-cpp@cpu default", "  mine@cpu default", true, true)]
fn the_main_jobs_table_is_held_by_digits_here_and_by_meaning_elsewhere(
    #[case] from: &str,
    #[case] to: &str,
    #[case] here: bool,
    #[case] elsewhere: bool,
) {
    let folder = tempfile::tempdir().unwrap();
    let record = small_record(folder.path());
    let root = copy();
    let mut texts = Texts::of(root.path());
    of_the_main_job(&mut texts, &record).unwrap();
    texts.write().unwrap();
    // In the rows, not in their header.
    let readme = root.path().join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let (before, rest) = text.split_at(text.find("<!-- main-job ").unwrap());
    let (header, rest) = rest.split_once("─\n").unwrap();
    let (table, after) = rest.split_once("<!-- /main-job -->").unwrap();
    let table = if from == "NMSE" {
        let (row, rest) = table.split_once(" / ").unwrap();
        format!("{}9.9e-9 / {rest}", &row[..=row.rfind(' ').unwrap()])
    } else {
        assert!(table.contains(from), "{from:?} is not in {table}");
        table.replacen(from, to, 1)
    };
    fs::write(&readme, format!("{before}{header}─\n{table}<!-- /main-job -->{after}")).unwrap();
    let found = wrong_of_the_main_job(root.path(), &record).unwrap();
    assert_eq!(!found.is_empty(), here, "{found:#?}");
    let mut other = record.clone();
    other.cases[0].logits = Some("other bits".into());
    let found = wrong_of_the_main_job(root.path(), &other).unwrap();
    assert_eq!(!found.is_empty(), elsewhere, "{found:#?}");
}

/// The picture of another machine has its dots elsewhere; a dot more, or of another colour, is none of it.
#[test]
fn the_main_jobs_picture_is_held_too() {
    let folder = tempfile::tempdir().unwrap();
    let record = small_record(folder.path());
    let mut other = record.clone();
    other.cases[0].logits = Some("other bits".into());
    for (from, to, here, elsewhere) in [("cx=\"", "cx=\"1", true, false), ("#2E7D32", "#C62828", true, true)] {
        let root = copy();
        let mut texts = Texts::of(root.path());
        of_the_main_job(&mut texts, &record).unwrap();
        texts.write().unwrap();
        alter(root.path().join(".github/main-job.svg"), from, to);
        let wrong = |record: &Record| !wrong_of_the_main_job(root.path(), record).unwrap().is_empty();
        assert_eq!((wrong(&record), wrong(&other)), (here, elsewhere), "{from}");
    }
}

/// A Record of something else is not written as that of the whole matrix, nor one with a failure as the main job's.
#[test]
fn figures_are_not_written_from_just_any_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = small_record(folder.path());
    let root = copy();
    let error = of_the_matrix(&mut Texts::of(root.path()), &record).unwrap_err();
    assert!(error.to_string().contains("cells, and the matrix has"), "{error}");
    let error = of_the_faults(&mut Texts::of(root.path()), &[]).unwrap_err();
    assert!(error.to_string().contains("they are 0, and there are"), "{error}");
    record.comparisons[0].judgement = vocabulary::Judgement::Fail;
    let error = of_the_main_job(&mut Texts::of(root.path()), &record).unwrap_err();
    assert!(error.to_string().contains("1 FAIL"), "{error}");
}

/// The commands of a text: lines of its code blocks, and code within its lines.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    let mut before = String::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let pieces: Vec<&str> =
            if fenced || line.starts_with("    ") { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for piece in pieces {
            let piece = format!("{before}{piece}");
            before.clear();
            if let Some(first) = piece.strip_suffix('\\') {
                first.clone_into(&mut before);
                continue;
            }
            for start in ["scripts/ggauge ", "ggauge ", "scripts/fuzz ", "scripts/figures ", "scripts/fresh ", "run -- "] {
                if let Some(place) = piece.find(start)
                    && piece[..place].chars().all(|c| c.is_ascii_uppercase() || "_=0123456789 ".contains(c))
                {
                    found.push(piece[place..].trim().to_owned());
                    break;
                }
            }
        }
    }
    found
}

/// The arguments of a command as a shell reads them, without its comment; what stands for a version or a rule is one.
fn arguments(command: &str) -> Vec<String> {
    let script = format!("set -f; printf '%s\\n' {}", command.replace("VERSION", "1.2.3").replace("rules ID", "rules magic"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Every command in the texts is one: clap takes its arguments, of which `--help`, as the last, keeps it from running. Other scripts
/// have their options in their own text, and that of fuzzing in its driver's, whose targets are in the catalogue.
#[test]
fn commands_in_the_texts_are_ones() {
    let mut count = 0;
    for text in TEXTS.iter().chain(&["corpora/vectors/README.md"]) {
        for command in commands(&fs::read_to_string(Path::new(ROOT).join(text)).unwrap()) {
            let mut arguments = arguments(&command);
            let program = arguments.remove(0);
            count += 1;
            if let Some(script) = program.strip_prefix("scripts/").filter(|name| *name != "ggauge") {
                let files = match script {
                    "fuzz" => vec![
                        "conformance/fuzz-driver/src/arguments.rs".to_owned(),
                        "conformance/fuzzing/src/catalogue.rs".to_owned(),
                    ],
                    _ => vec![format!("scripts/{script}")],
                };
                let script: String = files.iter().map(|file| fs::read_to_string(Path::new(ROOT).join(file)).unwrap()).collect();
                for argument in arguments.iter().filter(|argument| argument.parse::<u32>().is_err()) {
                    let name = argument.split('=').next().unwrap();
                    let known = script.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c))).any(|word| word == name);
                    assert!(known || argument == "TARGET", "{text}: {command}: the script has no `{argument}`");
                }
                continue;
            }
            let output = Command::new(GGAUGE).args(&arguments).arg("--help").output().unwrap();
            assert!(output.status.success(), "{text}: {command}\n{}", support::stderr(&output));
        }
    }
    assert!(count > 50, "{count}");
    for wrong in [&["sing"][..], &["run", "--no-such"], &["run", "--settings", "loose"], &["rules", "no-such-rule"]] {
        let output = Command::new(GGAUGE).args(wrong).arg("--help").output().unwrap();
        assert!(!output.status.success(), "{wrong:?}");
    }
}
