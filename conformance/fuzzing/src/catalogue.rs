//! Every fuzz target, with all that anybody has to know of it in one row: the harness, the driver, the glue in `fuzz/` and fleets follow from
//! this, and tests hold them to it.
//!
//! To add a target: its generator and its oracle, its function in `targets.rs`, its row here, its glue in `fuzz/`; `cargo test -p fuzzing`
//! says what is missing.

/// What the bytes of an input stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The file itself.
    Raw,
    /// A header, drawn from the bytes.
    Header,
    /// A tiny model and changes of it.
    Model,
    /// The blocks of a row of weights.
    Blocks,
    /// A vocabulary and a text.
    Text,
    /// A line that a worker or a person writes.
    Line,
    /// A recipe, and how its model is run.
    Recipe,
}

/// The cargo feature of `fuzz/` that a target is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// None: it compares whatever readers the build has.
    Nothing,
    /// candle.
    Candle,
    /// llama.cpp.
    LlamaCpp,
    /// The harness, whose runtimes are in workers.
    Harness,
}

impl Needs {
    /// The feature's name.
    pub fn feature(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Candle => Some("candle"),
            Self::LlamaCpp => Some("llama-cpp"),
            Self::Harness => Some("harness"),
        }
    }
}

/// What one input may take before it is a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetLimits {
    /// Seconds.
    pub time: u32,
    /// Resident memory of the process, in MiB.
    pub memory: u32,
    /// A single allocation, in MiB.
    pub allocation: u32,
}

/// A megabyte of header explains no gigabyte. Workers of the harness have limits of their own.
const ORDINARY: TargetLimits = TargetLimits { time: 20, memory: 3072, allocation: 1024 };

/// A fuzz target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its name: of the function, the binary in `fuzz/`, and the folders of seeds and regressions.
    pub name: &'static str,
    /// What it does, in words.
    pub about: &'static str,
    /// What an input stands for.
    pub input: Input,
    /// The longest input that is of use, in bytes: beyond it generators read nothing.
    pub longest: u32,
    /// How many inputs take about 10 seconds under sanitizers.
    pub smoke_runs: u32,
    /// What one input may take.
    pub limits: TargetLimits,
    /// It is given the words of `fuzz/gguf.dict`.
    pub dictionary: bool,
    /// What it is built with.
    pub needs: Needs,
    /// It gains from a build in which overflow wraps, as users have it, and exists without llama.cpp.
    pub wraps: bool,
    /// It starts workers, so a `ggauge` must be there while it runs.
    pub workers: bool,
    /// What it counts (`statistics`) where it has compared something: from the seeds alone, each at least once.
    pub compares: &'static [&'static str],
}

/// The variable that names the `ggauge` whose workers are judged by targets that start some, where the process is none itself.
pub const PROGRAM: &str = "GGAUGE_FUZZ_PROGRAM";

/// What evaluating both tokens counts.
const EVALUATED: &[&str] = &["two tokens evaluated"];

/// The targets, from the cheapest to the dearest.
pub const TARGETS: [Target; 11] = [
    Target {
        name: "header_ours",
        about: "our reader, strict and lenient, on raw bytes",
        input: Input::Raw,
        longest: 4096,
        smoke_runs: 300_000,
        limits: ORDINARY,
        dictionary: true,
        needs: Needs::Nothing,
        wraps: true,
        workers: false,
        compares: &["strict", "lenient", "neither"],
    },
    Target {
        name: "header_candle",
        about: "candle's reader on raw bytes",
        input: Input::Raw,
        longest: 4096,
        smoke_runs: 200_000,
        limits: ORDINARY,
        dictionary: true,
        needs: Needs::Candle,
        wraps: true,
        workers: false,
        compares: &["accepted", "refused"],
    },
    Target {
        name: "header_llama_cpp",
        about: "ggml's reader on raw bytes",
        input: Input::Raw,
        longest: 4096,
        smoke_runs: 200_000,
        limits: ORDINARY,
        dictionary: true,
        needs: Needs::LlamaCpp,
        wraps: false,
        workers: false,
        compares: &["accepted", "refused"],
    },
    Target {
        name: "header_differential",
        about: "structured headers: who accepts what, and reads what",
        input: Input::Header,
        longest: 800,
        smoke_runs: 20_000,
        limits: ORDINARY,
        dictionary: false,
        needs: Needs::Nothing,
        wraps: false,
        workers: false,
        compares: &["strict", "compared"],
    },
    Target {
        name: "round_trip",
        about: "what our writer wrote, read back by every reader",
        input: Input::Header,
        longest: 800,
        smoke_runs: 10_000,
        limits: ORDINARY,
        dictionary: false,
        needs: Needs::Nothing,
        wraps: false,
        workers: false,
        compares: &["valid", "compared"],
    },
    Target {
        name: "codec",
        about: "blocks of every type: values to the bit, dot products within bounds",
        input: Input::Blocks,
        longest: 2048,
        smoke_runs: 20_000,
        limits: ORDINARY,
        dictionary: false,
        needs: Needs::Nothing,
        wraps: false,
        workers: false,
        compares: &["decoded", "multiplied"],
    },
    Target {
        name: "tokenizer",
        about: "llama.cpp against candle on random text, and back",
        input: Input::Text,
        longest: 256,
        smoke_runs: 20_000,
        limits: ORDINARY,
        dictionary: false,
        needs: Needs::Nothing,
        wraps: false,
        workers: false,
        compares: &["came back", "compared"],
    },
    Target {
        name: "load_candle",
        about: "mutated tiny models loaded and run by candle",
        input: Input::Model,
        longest: 512,
        smoke_runs: 2000,
        limits: ORDINARY,
        dictionary: false,
        needs: Needs::Candle,
        wraps: true,
        workers: false,
        compares: EVALUATED,
    },
    Target {
        name: "load_llama_cpp",
        about: "mutated tiny models loaded and run by llama.cpp",
        input: Input::Model,
        longest: 512,
        smoke_runs: 1500,
        limits: ORDINARY,
        dictionary: false,
        needs: Needs::LlamaCpp,
        wraps: false,
        workers: false,
        compares: EVALUATED,
    },
    Target {
        name: "protocol",
        about: "lines of the worker protocol, policy files, recipes and ids",
        input: Input::Line,
        longest: 2048,
        smoke_runs: 50_000,
        limits: ORDINARY,
        dictionary: true,
        needs: Needs::Harness,
        wraps: false,
        workers: false,
        compares: &["read"],
    },
    Target {
        name: "logits_differential",
        about: "random valid recipes through every CPU subject against the reference",
        input: Input::Recipe,
        longest: 64,
        smoke_runs: 40,
        limits: ORDINARY,
        dictionary: false,
        needs: Needs::Harness,
        wraps: false,
        workers: true,
        compares: &["pass"],
    },
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The targets whose inputs stand for the same.
pub fn of(input: Input) -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().filter(move |target| target.input == input)
}
