//! The scripts in `scripts/`, with other programs in the place of those that they start: where they start them, and what they make of a machine
//! that lacks something. That they do their work on a machine without anything is what `scripts/fresh` shows.

use rstest::rstest;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    thread,
    time::{Duration, Instant},
};
use supply::builds;
use tempfile::TempDir;

fn checkout() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// A machine whose programs write down how and where they are started, in front of the real ones, and a user's folder with what is planted
/// there.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(machine.path("programs")).unwrap();
        fs::create_dir_all(machine.path("user")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program that notes its folder and arguments, and then does what `body` says.
    fn program(&self, name: &str, body: &str) {
        let path = self.path("programs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let calls = self.path("calls");
        fs::write(&path, format!("#!/bin/sh\necho \"$PWD: {name} $*\" >>'{}'\n{body}\n", calls.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script from the user's folder.
    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new(checkout().join("scripts").join(script))
            .args(arguments)
            .current_dir(self.path("user"))
            .env("PATH", format!("{}:{path}", self.path("programs").display()))
            .env("GGAUGE_CACHE", self.path("cache"))
            .env("GGAUGE_FEATURES", "")
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .unwrap()
    }

    /// What was started: folder, name and arguments.
    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.path("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// A Debian that has every package, whatever this machine is.
fn debian() -> Machine {
    let machine = Machine::new();
    machine.program("uname", "echo Linux");
    machine.program("apt-get", "");
    // Nothing of this machine's own is installed or set up, whatever a script believes to be missing.
    machine.program("dpkg", "");
    machine.program("dpkg-query", "echo 'ii '");
    machine
}

/// A Debian that has every package, and a Rust.
fn complete() -> Machine {
    let machine = debian();
    machine.program("rustc", "echo 'host: none-none'\necho 'LLVM version: 22.1.2'");
    machine.program("cargo", r#"[ "$1" != nextest ]"#);
    machine.program("python3", "");
    // What the scripts build.
    machine.program("../cache/target/debug/ggauge", "");
    machine.program("../cache/fuzz/driver/debug/fuzz-driver", "");
    machine
}

/// What the fuzz targets are built with.
const CLANG: [&str; 5] = ["clang-22", "clang++-22", "llvm-symbolizer-22", "llvm-cov-22", "llvm-profdata-22"];

#[rstest]
#[case::bootstrap("bootstrap", &[], &["python3"])]
#[case::ggauge("ggauge", &["subjects"], &["python3", "cargo", "ggauge"])]
#[case::every_check("test", &[], &["python3", "cargo", "rustc", "ggauge"])]
#[case::fuzz("fuzz", &["--report"], &["cargo", "fuzz-driver"])]
#[case::before_a_build("fuzz", &["--prepare", "22", "none"], &["python3", "clang-22"])]
fn scripts_start_programs_in_the_checkout_alone(#[case] script: &str, #[case] arguments: &[&str], #[case] programs: &[&str]) {
    let machine = complete();
    for tool in CLANG {
        machine.program(tool, "");
    }
    let output = machine.run(script, arguments);
    assert!(output.status.success(), "{output:?}");
    let calls = machine.calls();
    for program in programs {
        assert!(calls.iter().any(|call| call.contains(&format!("{program} "))), "{program} was not started: {calls:#?}");
    }
    let checkout = checkout();
    for call in calls {
        // Paths that a user gives ggauge are the user's, so it is started where the user is; it takes no code from there.
        let own = script == "ggauge" && call.ends_with("/debug/ggauge subjects");
        assert!(own || call.starts_with(&format!("{}: ", checkout.display())), "{call}");
    }
}

#[test]
fn what_lies_in_the_users_folder_is_not_run() {
    let machine = debian();
    let planted = |name: &str, text: String| {
        let path = machine.path("user").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let mark = machine.path("planted-code-ran");
    let python = format!("open({:?}, 'w')\n", mark.display().to_string());
    let shell = format!("#!/bin/sh\ntouch '{}'\n", mark.display());
    for name in ["pip/__init__.py", "pip/__main__.py", "venv.py", "ensurepip.py", "sitecustomize.py", "json.py"] {
        planted(name, python.clone());
    }
    for name in ["toolchain/bin/rustc", "toolchain/bin/cargo", "planted"] {
        planted(name, shell.clone());
    }
    planted("rust-toolchain.toml", "[toolchain]\npath = \"toolchain\"\n".into());
    planted(".cargo/config.toml", "[build]\nrustc = \"planted\"\nrustc-wrapper = \"planted\"\n".into());
    // Real programs; other scripts build.
    let output = machine.run("bootstrap", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(!mark.exists());
}

/// What is given to it is the user's, and where it lies is not.
#[test]
fn the_fuzz_driver_is_built_and_told_where_everything_is() {
    let machine = complete();
    let output = machine.run("fuzz", &["--smoke", "a b"]);
    assert!(output.status.success(), "{output:?}");
    let calls = machine.calls();
    let at = |words: &str| calls.iter().position(|call| call.contains(words)).unwrap_or_else(|| panic!("{words}: {calls:#?}"));
    let started =
        format!("fuzz-driver --checkout {} --cache {} --smoke a b", checkout().display(), machine.path("cache").display());
    assert!(at("cargo build --quiet --locked --package fuzz-driver") < at(&started));
}

/// That of an older macOS knows no options.
#[test]
fn scripts_need_no_realpath() {
    let machine = complete();
    machine.program("realpath", "exit 1");
    let output = machine.run("bootstrap", &[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn without_nextest_every_crate_is_tested_all_the_same() {
    let machine = complete();
    assert!(machine.run("test", &[]).status.success());
    let calls = machine.calls();
    assert!(calls.iter().any(|call| call.contains("cargo test") && call.contains("--no-fail-fast")), "{calls:#?}");
}

#[test]
fn clang_without_its_sanitizer_runtime_is_no_clang_to_fuzz_with() {
    let machine = complete();
    for tool in CLANG {
        machine.program(tool, "");
    }
    machine.program("clang-22", "case \"$*\" in *-fsanitize=*) echo 'cannot find libclang_rt.asan.a' >&2; exit 1 ;; esac");
    machine.program("sudo", "[ \"$1\" != -n ] || shift\nexec \"$@\"");
    let output = machine.run("fuzz", &["--prepare", "22", "none"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("libclang-rt-22-dev"), "{words}");
    let calls = machine.calls();
    let installs = |call: &String| call.contains("apt-get install") && call.contains("libclang-rt-22-dev");
    assert!(calls.iter().any(installs), "{calls:#?}");
}

/// A crate whose build script, as llama.cpp's, does not go on from what it left when it was cut off.
struct Crate {
    folder: TempDir,
}

impl Crate {
    fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(made.path("src")).unwrap();
        fs::copy(checkout().join("rust-toolchain.toml"), made.path("rust-toolchain.toml")).unwrap();
        let manifest = "[package]\nname = \"small\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(made.path("Cargo.toml"), manifest).unwrap();
        fs::write(made.path("src/main.rs"), "fn main() {}\n").unwrap();
        let script = r#"
            fn main() {
                println!("cargo::rerun-if-changed=build.rs");
                let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
                assert!(!out.join("half").exists(), "there is a half");
                std::fs::write(out.join("half"), "").unwrap();
                while std::path::Path::new("hang").exists() {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                std::fs::rename(out.join("half"), out.join("whole")).unwrap();
            }
        "#;
        fs::write(made.path("build.rs"), script).unwrap();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--offline"]).current_dir(self.folder.path()).process_group(0);
        cargo.env("CARGO_TARGET_DIR", self.path("target")).env_remove("CARGO_BUILD_TARGET");
        cargo
    }

    fn builds(&self) -> bool {
        self.cargo().output().unwrap().status.success()
    }

    /// What a build script has left by this name.
    fn left(&self, name: &str) -> Option<PathBuf> {
        let folders = fs::read_dir(self.path("target/debug/build")).into_iter().flatten().flatten();
        folders.map(|folder| folder.path().join("out").join(name)).find(|path| path.exists())
    }

    /// A build that has come as far as its script's middle, and stays there.
    fn hanging(&self) -> Child {
        fs::write(self.path("hang"), "").unwrap();
        let child = self.cargo().spawn().unwrap();
        let started = Instant::now();
        while self.left("half").is_none() {
            assert!(started.elapsed() < Duration::from_mins(1), "the build script did not start");
            thread::sleep(Duration::from_millis(10));
        }
        child
    }

    /// Kills a build with all that it started.
    fn cut_off(&self) {
        let mut child = self.hanging();
        // The shell's own: a bare system has no program of this name.
        assert!(
            Command::new("sh").args(["-c", "kill -s KILL -- \"-$0\"", &child.id().to_string()]).status().unwrap().success()
        );
        child.wait().unwrap();
        fs::remove_file(self.path("hang")).unwrap();
    }
}

/// Of the scripts.
fn mend_in_bash(target: &Path) {
    let environment = checkout().join("scripts/environment.sh");
    let program = ". \"$1\"; set -euo pipefail; mend_builds \"$2\"";
    let status = Command::new("bash").args(["-c", program, "mend"]).args([&environment, target]).status().unwrap();
    assert!(status.success());
}

/// Of `ggauge upgrade`.
fn mend_in_ggauge(target: &Path) {
    builds::mend(target).unwrap();
}

#[rstest]
#[case::scripts(mend_in_bash)]
#[case::upgrade(mend_in_ggauge)]
fn a_build_that_was_cut_off_is_made_anew(#[case] mend: fn(&Path)) {
    let small = Crate::new();
    let target = small.path("target");
    mend(&target);
    small.cut_off();
    assert!(!small.builds(), "this crate shows nothing: its build goes on from a half");
    mend(&target);
    assert!(small.builds());

    // What is whole stays.
    let whole = || fs::metadata(small.left("whole").unwrap()).unwrap().modified().unwrap();
    let before = whole();
    mend(&target);
    assert!(small.builds());
    assert_eq!(whole(), before);

    // A build that was whole once, and was cut off when it was made again.
    let script = fs::read_to_string(small.path("build.rs")).unwrap();
    fs::write(small.path("build.rs"), script + "// changed\n").unwrap();
    small.cut_off();
    assert!(!small.builds());
    mend(&target);
    assert!(small.builds());
}

/// A cargo may take minutes, which the user should know the reason of. macOS has no flock(1), and Perl.
#[rstest]
#[case::flock(true)]
#[case::perl(false)]
fn scripts_say_that_they_wait_for_a_cargo(#[case] has_flock: bool) {
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words");
    let debug = folder.path().join("debug");
    fs::create_dir(&debug).unwrap();
    let lock = fs::File::create(debug.join(".cargo-lock")).unwrap();
    lock.lock().unwrap();
    let environment = checkout().join("scripts/environment.sh");
    let mut bash = Command::new("bash");
    let program = ". \"$1\"; set -euo pipefail; [ \"$3\" = true ] || command() { false; }; mend_builds \"$2\"";
    bash.args(["-c", program, "mend"]).arg(environment).arg(folder.path()).arg(has_flock.to_string());
    let mut child = bash.stderr(fs::File::create(&words).unwrap()).spawn().unwrap();
    let started = Instant::now();
    let said = || fs::read_to_string(&words).unwrap();
    while !said().contains("waiting") && started.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    lock.unlock().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said(), format!("mend: waiting for the cargo that builds in {}\n", debug.display()));
}

#[rstest]
#[case::scripts(mend_in_bash)]
#[case::upgrade(mend_in_ggauge)]
fn what_a_cargo_is_in_the_middle_of_stays(#[case] mend: fn(&Path)) {
    let small = Crate::new();
    let mut child = small.hanging();
    thread::scope(|scope| {
        let mending = scope.spawn(|| mend(&small.path("target")));
        thread::sleep(Duration::from_millis(300));
        assert!(!mending.is_finished() && small.left("half").is_some());
        fs::remove_file(small.path("hang")).unwrap();
    });
    assert!(child.wait().unwrap().success());
    assert!(small.left("whole").is_some());
}
