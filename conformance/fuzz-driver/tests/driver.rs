//! The driver from end to end, on a machine whose programs are scripts: a rustc that says what it is, a cargo that builds engines, and engines
//! that write what libFuzzer writes. What an engine is given, and what becomes of what it writes, is the driver's; the rest is libFuzzer's.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// An engine: notes what it is given, does what `engine` of the machine says, and writes what it came to.
const ENGINE: &str = r##"#!/bin/sh
{ echo "$(basename "$0") $*"; env | grep -E '^(GGAUGE|ASAN|UBSAN|LLVM|RUST_LIB)' | sort; } >>"$MACHINE/engine-calls"
name=$(basename "$0")
[ ! -f "$MACHINE/engine" ] || . "$MACHINE/engine"
case "$*" in
*-fork=*) echo "#100: cov: 5 ft: ${features:-7} corp: 3 exec/s: 50 oom/timeout/crash: 0/1/2 time: 2s job: 1 dft_time: 0" ;;
*) echo 'stat::number_of_executed_units: 100' ;;
esac
"##;

/// A cargo that puts an engine where a build would put a target; of a copy with a bug in it, one that has the bug.
const CARGO: &str = r#"#!/bin/sh
echo "$PWD: cargo $* [$CARGO_TARGET_DIR]" >>"$MACHINE/calls"
[ ! -f "$MACHINE/no-build" ] || { echo 'error: it does not compile' >&2; exit 101; }
case "$*" in *wrapping*) profile=wrapping ;; *) profile=release ;; esac
folder=$CARGO_TARGET_DIR/none-none/$profile
mkdir -p "$folder"
for name in codec tokenizer header_ours logits_differential program; do
    rm -f "$folder/$name"
    sed "s/^name=.*/name=$name bug=$(cat ../conformance/source)/" "$MACHINE/an-engine" >"$folder/$name"
    chmod +x "$folder/$name"
done
"#;

struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("an-engine", ENGINE),
            ("programs/cargo", CARGO),
            ("programs/rustc", "#!/bin/sh\necho 'host: none-none'\necho 'LLVM version: 22.1.2'\n"),
            ("programs/llvm-symbolizer-22", "#!/bin/sh\n"),
            (
                "programs/llvm-profdata-22",
                "#!/bin/sh\necho \"profdata $*\" >>\"$MACHINE/calls\"\nwhile [ \"$1\" != -o ]; do shift; done\ntouch \"$2\"\n",
            ),
            ("programs/llvm-cov-22", "#!/bin/sh\necho \"cov $*\" >>\"$MACHINE/calls\"\necho '{\"data\": [{\"files\": []}]}'\n"),
            ("checkout/scripts/fuzz", "#!/bin/sh\necho \"fuzz $*\" >>\"$MACHINE/calls\"\n"),
            ("checkout/scripts/ggauge", "#!/bin/sh\necho \"ggauge $*\" >>\"$MACHINE/calls\"\n"),
            ("checkout/conformance/source", "none\n"),
            ("checkout/fuzz/gguf.dict", ""),
            ("checkout/corpora/seeds/codec/plain", "seed"),
            ("checkout/corpora/seeds/codec/shows", "seed that shows it"),
            ("checkout/corpora/seeds/tokenizer/plain", "seed"),
            ("checkout/golden/a", ""),
            ("checkout/.cargo/config.toml", ""),
            ("checkout/Cargo.toml", ""),
            ("checkout/Cargo.lock", ""),
            ("checkout/rust-toolchain.toml", ""),
        ] {
            machine.write(path, text);
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if text.starts_with("#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    #[expect(clippy::disallowed_methods, reason = "the driver itself, in a folder of the test")]
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fuzz-driver"));
        command.arg("--checkout").arg(self.path("checkout")).arg("--cache").arg(self.path("cache")).args(arguments);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.path("programs").display())).env("MACHINE", self.folder.path());
        for name in ["CARGO_TARGET_DIR", "GGAUGE_FUZZ_TARGETS", "GGAUGE_FUZZ_PROGRAM", "GGAUGE_FUZZ_STATISTICS"] {
            command.env_remove(name);
        }
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run_on(&self, targets: &str, arguments: &[&str]) -> Output {
        self.command(arguments).env("GGAUGE_FUZZ_TARGETS", targets).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// `$PATH` of the machine.
fn without(text: &str, folder: &Path) -> String {
    text.replace(&folder.display().to_string(), "$M")
}

#[test]
fn a_target_is_built_and_fuzzed_and_goes_on_from_what_it_has() {
    let machine = Machine::new();
    let output = machine.run(&["codec", "--minutes", "2", "--jobs", "3"]);
    let line = "#100: cov: 5 ft: 7 corp: 3 exec/s: 50 oom/timeout/crash: 0/1/2 time: 2s job: 1 dft_time: 0\n";
    assert_eq!(succeeded(&output), line);
    let folder = machine.folder.path();
    let build = "$M/cache/fuzz/build";
    let cargo = format!("$M/checkout/fuzz: cargo build --locked --target none-none --bins --release [{build}]\n");
    assert_eq!(without(&machine.read("calls"), folder), format!("fuzz --prepare 22 {build}\n{cargo}"));
    let calls = without(&machine.read("engine-calls"), folder);
    let first = calls.lines().next().unwrap();
    let options = "-max_len=2048 -timeout=20 -rss_limit_mb=3072 -malloc_limit_mb=1024 -detect_leaks=0 -print_final_stats=1 \
                   -use_value_profile=0 -verbosity=1 -entropic=0 -fork=3 -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1 \
                   -max_total_time=120 -artifact_prefix=$M/cache/fuzz/artifacts/codec/ $M/cache/fuzz/corpora/codec \
                   $M/checkout/corpora/seeds/codec";
    assert_eq!(first, format!("codec {options}"));
    assert!(calls.contains("\nGGAUGE_FUZZ_STATISTICS=$M/cache/fuzz/statistics/codec\n"), "{calls}");
    assert!(calls.contains("malloc_context_size=2:log_path=$M/cache/fuzz/reports/codec/report\n"), "{calls}");
    assert!(calls.contains("\nASAN_SYMBOLIZER_PATH=$M/programs/llvm-symbolizer-22\n"), "{calls}");

    succeeded(&machine.run(&["codec"]));
    let report = succeeded(&machine.run(&["--report"]));
    let row = report.lines().find(|line| line.starts_with("codec ")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["codec", "checked", "200", "4", "50", "5", "7", "3", "4/2/0"]);
}

#[test]
fn the_wrapping_build_is_another_and_raw_headers_have_words_to_try() {
    let machine = Machine::new();
    succeeded(&machine.run(&["header_ours", "--wrapping"]));
    assert!(machine.read("calls").contains("--profile wrapping --no-default-features --features candle"));
    let calls = machine.read("engine-calls");
    assert!(
        calls.contains(&format!(" -dict={} ", machine.path("checkout/fuzz/gguf.dict").canonicalize().unwrap().display())),
        "{calls}"
    );
    assert!(machine.read("cache/fuzz/slices.jsonl").contains("\"flavour\":\"wrapping\""));
}

#[test]
fn findings_do_not_stop_a_run_and_are_reported_in_printable_words() {
    let machine = Machine::new();
    machine.write(
        "engine",
        "touch \"$MACHINE/cache/fuzz/artifacts/codec/crash-1\"\n\
         printf 'a.cpp:3:1: runtime error: shift of \\033[2J 12345\\n' >\"${UBSAN_OPTIONS##*log_path=}.77\"\n\
         echo '{\"decoded\": 1234, \"two tokens evaluated\": 3, \"header refused\": 1}' >\"$GGAUGE_FUZZ_STATISTICS/1.json\"\n\
         echo '{\"decoded\": 1' >\"$GGAUGE_FUZZ_STATISTICS/2.json\"\n\
         echo '#100: cov: 5 ft: 7 corp: 3 exec/s: 50 oom/timeout/crash: 0/0/1 time: 2s'\n\
         exit 1\n",
    );
    let output = machine.run(&["codec"]);
    succeeded(&output);
    assert!(said(&output).contains("codec: there are findings, or the engine could not start"), "{output:?}");
    let report = succeeded(&machine.run(&["--report"]));
    assert!(report.contains("\ncodec: 1 crash in "), "{report}");
    assert!(report.contains("       1  a.cpp:3:1: runtime error: shift of \\u{1b}[2J N\n"), "{report}");
    assert!(
        report.contains(
            "codec: how far inputs came\n         1,234             decoded\n             3     75.0 %  two tokens evaluated\n"
        ),
        "{report}"
    );
    assert!(report.contains("coverage: not counted yet"), "{report}");
}

#[test]
fn a_smoke_run_is_always_the_same_and_fails_with_the_last_words() {
    let machine = Machine::new();
    // Whatever somebody has set for runs that are kept.
    let mut command = machine.command(&["--smoke"]);
    command.env("GGAUGE_FUZZ_TARGETS", "codec,tokenizer").env("GGAUGE_FUZZ_STATISTICS", "/elsewhere");
    let output = command.output().unwrap();
    succeeded(&output);
    assert!(said(&output).contains("fuzz: codec: 100 executions in "), "{output:?}");
    let calls = machine.read("engine-calls");
    assert!(calls.contains(" -seed=1 -runs=20000 -max_total_time=15 -artifact_prefix="), "{calls}");
    assert!(!calls.contains("GGAUGE_FUZZ_STATISTICS") && !calls.contains("log_path"), "{calls}");

    machine.write("engine", "[ \"$name\" != tokenizer ] || { printf 'panicked: \\033]0;t\\007 the end\\n'; exit 77; }\n");
    let output = machine.run_on("codec tokenizer", &["--smoke"]);
    assert_eq!(output.status.code(), Some(1));
    let words = said(&output);
    assert!(
        words.contains("tokenizer: FAILED; the end of ") && words.contains(r"panicked: \u{1b}]0;t\u{7} the end"),
        "{words}"
    );
    assert!(words.contains("new findings in tokenizer: the artifacts are in "), "{words}");
    assert!(words.contains("codec: 100 executions"), "{words}");
}

#[test]
fn a_night_shares_the_time_and_ends_with_a_report_and_small_corpora() {
    let machine = Machine::new();
    // codec finds something new in every slice, tokenizer in its first.
    machine.write(
        "engine",
        "[ \"$name\" != codec ] || features=$(wc -l <\"$MACHINE/engine-calls\")\n\
         case \"$*\" in *-merge=1*) for new; do [ \"${new%.merged-codec}\" = \"$new\" ] || echo kept >\"$new/kept\"; done ;; esac\n",
    );
    for number in 0..500 {
        machine.write(&format!("cache/fuzz/corpora/codec/{number}"), "input");
    }
    let report = succeeded(&machine.run_on("codec,tokenizer", &["--overnight", "--minutes", "4"]));
    assert!(report.contains("\nall "), "{report}");
    assert_eq!(machine.read("cache/fuzz/report.txt"), report[report.find("target ").unwrap()..]);
    let slices = machine.read("cache/fuzz/slices.jsonl");
    let seconds: Vec<u64> = slices
        .lines()
        .map(|line| line.split("\"seconds\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap())
        .collect();
    // Two rounds: the first is shared alike, and in the second both found something in the first.
    assert_eq!(seconds.len(), 4, "{slices}");
    assert!(seconds[0] == seconds[1] && (55..=60).contains(&seconds[0]), "{seconds:?}");
    assert_eq!(seconds[2], seconds[3], "one of the two is taken for one that found nothing");
    let kept: Vec<_> =
        fs::read_dir(machine.path("cache/fuzz/corpora/codec")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(kept, ["kept"]);
    let merges = machine.read("engine-calls").lines().filter(|line| line.contains(" -merge=1 ")).count();
    assert_eq!(merges, 1, "tokenizer has too few inputs to merge");
}

#[test]
fn a_merge_that_fails_leaves_the_corpus() {
    let machine = Machine::new();
    machine.write("engine", "case \"$*\" in *-merge=1*) exit 1 ;; esac\n");
    for number in 0..500 {
        machine.write(&format!("cache/fuzz/corpora/codec/{number}"), "input");
    }
    succeeded(&machine.run_on("codec", &["--overnight", "--minutes", "1"]));
    let left = fs::read_dir(machine.path("cache/fuzz/corpora/codec")).unwrap().count();
    assert_eq!((left, machine.path("cache/fuzz/corpora/.merged-codec").exists()), (500, false));
}

#[test]
fn a_run_that_was_interrupted_keeps_what_it_learnt_and_leaves_nobody_behind() {
    let machine = Machine::new();
    machine.write(
        "engine",
        "echo '#40: cov: 5 ft: 7 corp: 3 exec/s: 50 oom/timeout/crash: 0/0/0 time: 2s'\n\
         echo 'a.cpp:3:1: runtime error: x' >\"${UBSAN_OPTIONS##*log_path=}.77\"\n\
         (while :; do : >\"$MACHINE/alive\"; sleep 0.05; done) &\nwait\n",
    );
    let mut child = machine.command(&["codec"]).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !machine.path("alive").exists() {
        assert!(started.elapsed() < Duration::from_mins(1), "the engine did not start");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(shell(&format!("kill -s INT {}", child.id())).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    fs::remove_file(machine.path("alive")).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert!(!machine.path("alive").exists(), "what the engine started goes on");
    let report = succeeded(&machine.run(&["--report"]));
    assert!(report.contains("\ncodec ") && report.contains(" 40 ") && report.contains("runtime error: x"), "{report}");
}

#[expect(clippy::disallowed_methods, reason = "a program of the system, for the test itself")]
fn shell(line: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]);
    shell
}

#[test]
fn coverage_is_counted_by_the_hundred_and_goes_past_processes_that_end() {
    let machine = Machine::new();
    for number in 0..150 {
        machine.write(&format!("cache/fuzz/corpora/codec/{number:03}"), "input");
    }
    machine.write("engine", "touch \"$(echo \"$LLVM_PROFILE_FILE\" | sed \"s/%p/$$/\")\"\n[ \"$name\" != codec ] || exit 1\n");
    let report = succeeded(&machine.run(&["--coverage", "codec", "tokenizer"]));
    assert!(report.contains("\ncoverage, counted 2") && report.contains("\nour reader "), "{report}");
    let engines = machine.read("engine-calls");
    let runs: Vec<usize> =
        engines.lines().filter(|line| line.contains("-timeout=60")).map(|line| line.split(' ').count() - 3).collect();
    assert_eq!(runs, [100, 52, 1]);
    let calls = machine.read("calls");
    assert!(calls.contains("build-coverage]"), "{calls}");
    assert_eq!(calls.lines().filter(|line| line.contains("profdata merge -sparse -failure-mode=all")).count(), 2, "{calls}");
    let export = calls.lines().find(|line| line.starts_with("cov export -summary-only -instr-profile ")).unwrap();
    assert!(export.contains("/release/codec -object ") && export.ends_with("/release/tokenizer"), "{export}");
    assert!(succeeded(&machine.run(&["--report"])).contains("coverage, counted 2"));
}

const PATCH: &str = "A bug.\n\ntarget: codec\nsays: q5_\n\ndiff --git a/conformance/source b/conformance/source\n\
                     --- a/conformance/source\n+++ b/conformance/source\n@@ -1 +1 @@\n-none\n+planted\n";

/// An engine with the bug says so of the seed that shows it, and finds it where `finds` says so.
fn with_bug(machine: &Machine, finds: &str) {
    machine.write("checkout/fuzz/planted/bits.patch", PATCH);
    machine.write(
        "engine",
        &format!(
            "for input; do [ \"$bug\" != planted ] || case $input in */shows) echo 'q5_ is wrong'; exit 77 ;; esac; done\n\
             case \"$*\" in *-max_total_time=*) [ ! -e \"$(dirname \"$0\")/seeds/shows\" ] || echo 'shown by a seed'\n\
             [ \"$bug\" != planted ] || {{ {finds}; }} ;; esac\n"
        ),
    );
}

#[test]
fn a_planted_bug_is_found_without_the_seeds_that_show_it_and_does_not_stay() {
    let machine = Machine::new();
    with_bug(&machine, "echo 'q5_ is wrong'; echo 'stat::number_of_executed_units: 9'; exit 77");
    // `program` is what the copy of the target is called.
    let output = machine.run(&["--planted", "--minutes", "2"]);
    succeeded(&output);
    let words = said(&output);
    assert!(
        words.contains("bits: codec found it in ") && words.contains(" after 9 executions, without the 1 seeds that show it"),
        "{words}"
    );
    assert!(machine.read("engine-calls").contains(" -seed=1 -max_total_time=120 -artifact_prefix="));
    assert!(!machine.read("cache/fuzz/logs/planted-bits.log").contains("shown by a seed"));
    let calls = machine.read("calls");
    let builds: Vec<&str> = calls.lines().filter(|line| line.contains("cargo build")).collect();
    assert!(builds[1].contains("/planted/fuzz: cargo build ") && builds[1].contains(" --bin codec "), "{calls}");
    assert!(builds.len() == 3 && builds[2].contains("/checkout/fuzz: cargo build "), "{calls}");
    assert!(machine.read("cache/fuzz/build/none-none/release/codec").contains("bug=none"), "the bug stays in the program");
    assert!(!machine.path("cache/fuzz/planted").exists());
}

#[test]
fn a_planted_bug_that_is_not_found_fails() {
    let machine = Machine::new();
    with_bug(&machine, "echo 'something else'");
    let output = machine.run(&["--planted", "bits"]);
    assert_eq!(output.status.code(), Some(1));
    let words = said(&output);
    assert!(words.contains("and did not say `q5_`; the end of ") && words.contains("\nsomething else\n"), "{words}");
    assert!(words.contains("not found: bits"), "{words}");
    let output = machine.run(&["--planted", "no-such"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("there is no fuzz/planted/no-such.patch"));
}

#[test]
fn what_does_not_compile_is_not_run() {
    let machine = Machine::new();
    machine.write("no-build", "");
    let output = machine.run(&["codec"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("it does not compile") && said(&output).contains("cargo failed"), "{output:?}");
    assert!(machine.read("engine-calls").is_empty());
}

#[test]
fn a_target_with_workers_has_a_ggauge_beside_it() {
    let machine = Machine::new();
    machine.write("checkout/corpora/seeds/logits_differential/a", "");
    succeeded(&machine.run(&["logits_differential"]));
    assert!(machine.read("calls").contains("ggauge subjects\n"));
    let ours = format!("GGAUGE_FUZZ_PROGRAM={}\n", machine.path("cache/target/debug/ggauge").display());
    assert!(machine.read("engine-calls").contains(&ours), "{}", machine.read("engine-calls"));
    // The user's own is up to the user.
    fs::remove_file(machine.path("calls")).unwrap();
    let mut command = machine.command(&["logits_differential"]);
    succeeded(&command.env("GGAUGE_FUZZ_PROGRAM", "/own/ggauge").output().unwrap());
    assert!(!machine.read("calls").contains("ggauge subjects"));
    assert!(machine.read("engine-calls").contains("GGAUGE_FUZZ_PROGRAM=/own/ggauge\n"));
}

#[test]
fn lists_are_for_people_and_for_fleets() {
    let machine = Machine::new();
    let names = succeeded(&machine.run(&["--list"]));
    assert!(names.starts_with("header_ours\nheader_candle\n") && names.ends_with("\nlogits_differential\n"), "{names}");
    let facts = succeeded(&machine.run(&["--list", "--facts"]));
    assert_eq!(facts.lines().next(), Some("header_ours\t20\tdictionary\t-"));
    assert_eq!(facts.lines().last(), Some("logits_differential\t20\t-\tworkers"));
    assert!(machine.read("calls").is_empty(), "a list starts nothing");
    let output = machine.run(&[]);
    assert_eq!((output.status.code(), said(&output)), (Some(2), succeeded(&machine.run(&["--help"]))));
    let output = machine.run(&["sing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).starts_with("fuzz: there is no target sing; there are header_ours "), "{output:?}");
    let output = machine.run_on("codec,sing", &["--smoke"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn what_is_wrong_with_a_command_is_said_in_printable_words() {
    let machine = Machine::new();
    for argument in ["sing\x1b[2J", "--sing\x1b[2J"] {
        let output = machine.run(&[argument]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains("sing\\u{1b}[2J") && !said(&output).contains('\x1b'), "{output:?}");
    }
    let mut command = machine.command(&[]);
    let output = command.arg(std::ffi::OsStr::from_bytes(b"\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said(&output).starts_with("error: invalid UTF-8"), "{output:?}");
}

#[test]
fn seeds_are_written_from_code_and_from_vocabularies_that_are_there() {
    let machine = Machine::new();
    succeeded(&machine.run(&["--seeds"]));
    assert!(machine.path("checkout/corpora/seeds/protocol/line-00").exists());
    let output = machine.run(&["header_ours"]);
    assert!(said(&output).contains("without the seeds of real vocabularies"), "{output:?}");
    let header = fs::read(machine.path("checkout/corpora/seeds/header_ours/smith-llama")).unwrap();
    fs::create_dir_all(machine.path("cache/tokenizers/some")).unwrap();
    fs::write(machine.path("cache/tokenizers/some/vocabulary.gguf"), header).unwrap();
    succeeded(&machine.run(&["header_ours"]));
    assert!(machine.path("cache/fuzz/vocabularies/vocabulary").exists());
    let calls = machine.read("engine-calls");
    let last = calls.lines().rfind(|line| line.contains("-fork=")).unwrap();
    assert!(last.ends_with("/cache/fuzz/vocabularies"), "{last}");
    // What is there is not made again, and what is no vocabulary is said.
    fs::write(machine.path("cache/tokenizers/some/other.gguf"), "words").unwrap();
    let output = machine.run(&["header_ours"]);
    assert!(said(&output).contains("other.gguf is no GGUF file that can be read"), "{output:?}");
}
