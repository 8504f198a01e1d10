//! How the fuzz targets are built: with sanitizers and what an engine looks through, without overflow checks, or to be counted. The flags
//! are here and nowhere else.

use crate::{
    desk::{Compiler, Desk},
    flavour::Flavour,
    words::say,
};
use fuzzing::Target;
use machine::external;
use std::{path::Path, process::Command};

/// What cargo gives rustc for every crate of a target: `AddressSanitizer`, and the counters that libFuzzer looks through.
const SANITIZED: &str = "--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cforce-frame-pointers=yes";
/// The same for C and C++. `vptr` and `function` need a runtime that rustc's does not have.
const SANITIZED_C: &str = "-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize=vptr,function -fno-omit-frame-pointer -g1";
/// What counts lines and regions.
const COUNTED: &str = "--cfg fuzzing -Cinstrument-coverage";
/// The same for C and C++.
const COUNTED_C: &str = "-fprofile-instr-generate -fcoverage-mapping";
/// Optimised a little, so that stacks are still those of the sources.
const OPTIMISED_C: &str = "-O1 -DNDEBUG";

/// Builds every target of this checkout that a flavour has.
///
/// # Errors
/// Where something to build with is missing and cannot be installed, and where it does not compile.
pub(crate) fn all(desk: &Desk, flavour: Flavour) -> anyhow::Result<()> {
    run(desk, flavour, &desk.root, None)
}

/// Builds a target of a copy of the checkout, in the same place.
///
/// # Errors
/// As [`all`].
pub(crate) fn of_copy(desk: &Desk, copy: &Path, target: &Target) -> anyhow::Result<()> {
    run(desk, Flavour::Checked, copy, Some(target))
}

fn run(desk: &Desk, flavour: Flavour, checkout: &Path, only: Option<&Target>) -> anyhow::Result<()> {
    let compiler = desk.compiler()?;
    let folder = flavour.folder(desk);
    // Packages, and what a build that was cut off has left: a shell's work, which other scripts share.
    let mut prepare = external::program(desk.root.join("scripts/fuzz"), &desk.root);
    prepare.arg("--prepare").arg(&compiler.llvm).arg(&folder);
    external::succeed(prepare)?;
    let what = only.map_or("the targets", |target| target.name);
    say(format!("building {what} ({}); the first time takes a quarter of an hour", flavour.name()));
    Ok(external::succeed(command(flavour, compiler, &folder, checkout, only))?)
}

/// The command that builds.
fn command(flavour: Flavour, compiler: &Compiler, folder: &Path, checkout: &Path, only: Option<&Target>) -> Command {
    // From there, so that the repository's cargo configuration is found.
    let mut cargo = external::program("cargo", &checkout.join("fuzz"));
    cargo.args(["build", "--locked", "--target", &compiler.triple]);
    match only {
        Some(target) => cargo.args(["--bin", target.name]),
        None => cargo.arg("--bins"),
    };
    match flavour {
        Flavour::Checked | Flavour::Coverage => cargo.arg("--release"),
        Flavour::Wrapping => cargo.args(["--profile", "wrapping", "--no-default-features", "--features", "candle"]),
    };
    let is_counted = flavour == Flavour::Coverage;
    // -Zsanitizer and the passes are not stable options; the compiler is the pinned one all the same.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    // Only what is built for the target: build scripts and procedural macros run in the compiler, without instrumentation.
    cargo.env("RUSTFLAGS", if is_counted { COUNTED } else { SANITIZED });
    let triple = compiler.triple.replace('-', "_");
    cargo.env(format!("CC_{triple}"), compiler.tool("clang")).env(format!("CXX_{triple}"), compiler.tool("clang++"));
    // Through CMAKE_*, which llama-cpp-sys-2 hands on to cmake: in CFLAGS they would instrument libFuzzer itself, which then recurses to
    // death.
    for language in ["C", "CXX"] {
        cargo.env(format!("CMAKE_{language}_FLAGS"), if is_counted { COUNTED_C } else { SANITIZED_C });
        cargo.env(format!("CMAKE_{language}_FLAGS_RELEASE"), OPTIMISED_C);
    }
    // No threads of OpenMP: one input at a time, and nothing that goes on after it.
    cargo.env("CMAKE_DISABLE_FIND_PACKAGE_OpenMP", "ON").env("CARGO_TARGET_DIR", folder);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;
    use fuzzing::target;

    fn built(flavour: Flavour, only: Option<&Target>) -> (String, impl Fn(&str) -> String) {
        let compiler = Compiler { triple: "x86_64-unknown-linux-gnu".into(), llvm: "22".into() };
        let command = command(flavour, &compiler, Path::new("/build"), Path::new("/checkout"), only);
        assert_eq!(command.get_current_dir(), Some(Path::new("/checkout/fuzz")));
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let line = arguments.join(" ");
        let set = move |name: &str| {
            let value = command.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
            value.unwrap_or_else(|| panic!("{name} is not set")).to_string_lossy().into_owned()
        };
        (line, set)
    }

    #[test]
    fn each_flavour_has_its_own_flags() {
        let (line, set) = built(Flavour::Checked, None);
        assert_eq!(line, "build --locked --target x86_64-unknown-linux-gnu --bins --release");
        assert!(set("RUSTFLAGS").contains("-Zsanitizer=address") && !set("RUSTFLAGS").contains("  "));
        assert_eq!(set("CC_x86_64_unknown_linux_gnu"), "clang-22");
        assert!(set("CMAKE_CXX_FLAGS").contains("fuzzer-no-link"));
        let (line, _) = built(Flavour::Checked, target("codec"));
        assert_eq!(line, "build --locked --target x86_64-unknown-linux-gnu --bin codec --release");
        let (line, set) = built(Flavour::Wrapping, None);
        assert!(line.ends_with("--bins --profile wrapping --no-default-features --features candle"), "{line}");
        assert!(set("RUSTFLAGS").contains("-Zsanitizer=address"));
        let (line, set) = built(Flavour::Coverage, None);
        assert!(line.ends_with("--bins --release"), "{line}");
        assert_eq!(set("RUSTFLAGS"), "--cfg fuzzing -Cinstrument-coverage");
        assert_eq!(set("CMAKE_C_FLAGS"), "-fprofile-instr-generate -fcoverage-mapping");
    }
}
