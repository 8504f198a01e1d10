//! The programs that ggauge starts take nothing from the folder that it is run in: people run it where they unpacked a model, and whoever packed it can
//! have put anything beside it.

use crate::support::{GGAUGE, stderr, stdout};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A folder with all that interpreters and package managers look for where they are started, and beside it a cache and a folder for programs.
struct Trap {
    folder: TempDir,
}

impl Trap {
    fn set() -> Self {
        let trap = Self { folder: tempfile::tempdir().unwrap() };
        let hostile = trap.hostile();
        let python = format!("open('{}', 'a').write(__file__ + '\\n')\n", trap.sprung().display());
        for module in ["pip", "venv", "ensurepip", "setuptools", "json"] {
            write(&hostile.join(module).join("__init__.py"), &python);
            write(&hostile.join(module).join("__main__.py"), &python);
        }
        for module in ["sitecustomize", "usercustomize", "runpy", "site", "worker"] {
            write(&hostile.join(module).with_extension("py"), &python);
        }
        let shell = format!("#!/bin/sh\necho $0 >>{}\n", trap.sprung().display());
        for name in ["sh", "python3", "npm", "node", "cargo", "rustc", "git", "wrapper"] {
            let path = hostile.join(name);
            write(&path, &shell);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        write(&hostile.join(".cargo/config.toml"), "[build]\nrustc-wrapper = \"./wrapper\"\n");
        write(&hostile.join("rust-toolchain.toml"), "[toolchain]\npath = \".\"\n");
        write(&hostile.join(".npmrc"), "registry=http://127.0.0.1:9/\nscript-shell=./sh\n");
        write(&hostile.join("package.json"), r#"{ "scripts": { "preinstall": "./sh", "install": "./sh" } }"#);
        write(&hostile.join(".python-version"), "hostile\n");
        write(&hostile.join(".tool-versions"), "python hostile\nnodejs hostile\n");
        write(&hostile.join("setup.cfg"), "[install]\nprefix = .\n");
        trap
    }

    fn hostile(&self) -> PathBuf {
        self.folder.path().join("hostile")
    }

    /// Written by whatever runs that should not.
    fn sprung(&self) -> PathBuf {
        self.folder.path().join("sprung")
    }

    /// A line for each start of a program of ours in `bin`: its name and its folder.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A program on the PATH that writes down where it was started.
    fn program(&self, name: &str, does: &str) {
        let path = self.folder.path().join("bin").join(name);
        let log = self.folder.path().join("log");
        write(&path, &format!("#!/bin/sh\necho \"$(basename \"$0\") $(pwd -P)\" >>{}\n{does}\n", log.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// ggauge in the hostile folder, without a network. The PATH names that folder as well, as careless ones do.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(GGAUGE);
        let path = std::env::var("PATH").unwrap();
        command.args(arguments).current_dir(self.hostile()).env("GGAUGE_CACHE", self.folder.path().join("cache"));
        command.env("PATH", format!("{}:{path}:.:", self.folder.path().join("bin").display()));
        command.env("PIP_NO_INDEX", "1").env("npm_config_offline", "true").env("CARGO_NET_OFFLINE", "true");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn assert_not_sprung(&self, output: &Output) {
        let ran = fs::read_to_string(self.sprung()).unwrap_or_default();
        assert_eq!(ran, "", "{}{}", stdout(output), stderr(output));
    }
}

/// With the Python of this machine.
#[test]
fn python_runs_nothing_of_the_folder() {
    let trap = Trap::set();
    for name in ["gemma-3-270m", "llama-cpp-vocabularies", "readers"] {
        let output = trap.run(&["fetch", name]);
        assert_eq!(output.status.code(), Some(3), "{name}: {}{}", stdout(&output), stderr(&output));
        // It did get as far as pip.
        assert!(stderr(&output).contains("Could not find a version"), "{name}: {}", stderr(&output));
        trap.assert_not_sprung(&output);
    }
}

/// Every command that starts other people's programs, with programs that say where they are.
#[test]
fn no_program_is_started_in_the_folder() {
    let trap = Trap::set();
    let make_environment =
        r#"case "$*" in *"-m venv "*) mkdir -p environment/bin && cp "$0" environment/bin/python;; *download*) exit 1;; esac"#;
    trap.program("python3", make_environment);
    trap.program("npm", "");
    trap.program("node", "");
    trap.program("cargo", "exit 1");
    // As much of a checkout as makes one. Nobody's own is given: `bump` writes into it.
    let checkout = trap.folder.path().join("checkout");
    let files =
        ["Cargo.toml", "Cargo.lock", "fuzz/Cargo.lock", "conformance/ggauge/Cargo.toml", "conformance/policy/releases.toml"];
    for file in files {
        write(&checkout.join(file), &fs::read_to_string(Path::new(CHECKOUT).join(file)).unwrap());
    }
    let source = checkout.to_str().unwrap();
    let lines: [&[&str]; 9] = [
        &["fetch", "gemma-3-270m"],
        &["fetch", "llama-cpp-vocabularies"],
        &["fetch", "readers"],
        &["run"],
        &["tokenize", "gemma-3-270m", "a"],
        &["determinism", "gemma-3-270m"],
        &["tokenizers"],
        &["upgrade", "candle@0.11.1", "--source", source, "--offline"],
        &["bump", "candle@0.11.1", "--source", source],
    ];
    for line in lines {
        let before = trap.log().len();
        let output = trap.run(line);
        assert!(trap.log().len() > before, "{line:?} started nothing: {}{}", stdout(&output), stderr(&output));
        trap.assert_not_sprung(&output);
    }
    let log = trap.log();
    for program in ["python3", "python", "npm", "node", "cargo"] {
        assert!(log.lines().any(|line| line.starts_with(&format!("{program} "))), "{program} was not started:\n{log}");
    }
    let hostile = trap.hostile().canonicalize().unwrap();
    let inside: Vec<_> = log.lines().filter(|line| line.contains(hostile.to_str().unwrap())).collect();
    assert_eq!(inside, Vec::<&str>::new(), "started in the hostile folder");
}

/// What pip, venv and npm leave when they are killed goes with the folder of ours that they were started in.
#[test]
fn programs_keep_their_temporary_files_in_our_folder() {
    let trap = Trap::set();
    let told = trap.folder.path().join("told");
    let tell = format!(r#"case "$*" in --version) ;; *) echo "$TMPDIR" >>{} ; exit 1;; esac"#, told.display());
    trap.program("python3", &tell);
    trap.program("npm", &tell);
    trap.program("node", "");
    for (name, place) in [("gemma-3-270m", "models"), ("llama-cpp-vocabularies", "tokenizers"), ("readers", "readers")] {
        let output = trap.run(&["fetch", name]);
        let folders = fs::read_to_string(&told).unwrap_or_default();
        let ours = trap.folder.path().join("cache").join(place);
        assert!(!folders.is_empty(), "{name}: {}", stderr(&output));
        assert!(folders.lines().all(|folder| Path::new(folder).starts_with(&ours)), "{name}: {folders}");
        assert!(folders.lines().all(|folder| !Path::new(folder).exists()), "{name} left something: {folders}");
        fs::remove_file(&told).unwrap();
    }
}

/// Two at once would delete each other's half-made environment, and download everything twice.
#[test]
fn two_that_fetch_the_same_take_turns() {
    let trap = Trap::set();
    let busy = trap.folder.path().join("busy");
    let overlap = trap.folder.path().join("overlap");
    let slow = format!(
        r#"case "$*" in *--version*) exit 0;; esac
        mkdir {busy} 2>/dev/null || echo "$*" >>{overlap}
        sleep 0.5
        case "$*" in *"-m venv "*) mkdir -p environment/bin && cp "$0" environment/bin/python;; esac
        rmdir {busy} 2>/dev/null
        case "$*" in *download*) exit 1;; esac"#,
        busy = busy.display(),
        overlap = overlap.display()
    );
    trap.program("python3", &slow);
    trap.program("npm", "");
    trap.program("node", "");
    for (name, code) in [("readers", 0), ("gemma-3-270m", 3), ("llama-cpp-vocabularies", 3)] {
        let [mut one, mut other] = [(); 2].map(|()| trap.command(&["fetch", name]).spawn().unwrap());
        assert_eq!([one.wait().unwrap().code(), other.wait().unwrap().code()], [Some(code); 2], "{name}");
        assert_eq!(fs::read_to_string(&overlap).unwrap_or_default(), "", "{name}");
    }
    let environments = trap.log().lines().filter(|line| line.starts_with("python ")).count();
    assert_eq!(environments, 1, "the second one finds what the first one made:\n{}", trap.log());
}
