//! What tells one finding from another.

use crate::regressions::engine::{ENDED_BY, Ending};

/// What tells one cause from another in what a process said: the text of an assertion, the place of a panic, what a sanitizer found and
/// where. `None` where it said nothing of the kind.
pub fn cause(ending: &Ending) -> Option<String> {
    let lines = || ending.words.lines();
    // A sanitizer names the function; addresses differ from run to run.
    if let Some(summary) = lines().find_map(|line| line.split_once("SUMMARY: ").map(|(_, summary)| summary))
        && !summary.contains("deadly signal")
        && !summary.contains("libFuzzer")
    {
        return Some(shortened(summary));
    }
    if let Some(line) = lines().find(|line| line.contains(": runtime error: ")) {
        return Some(shortened(line));
    }
    // Lines of a stack begin with `#`.
    let is_frame = |line: &str| line.trim_start().starts_with('#');
    let names_source = |line: &&str| line.contains("GGML_ASSERT(") || line.contains(".cpp:") || line.contains(".c:");
    if let Some(line) = lines().filter(|line| !is_frame(line)).find(names_source) {
        return Some(shortened(line));
    }
    let mut lines = lines();
    if let Some(place) = lines.find_map(|line| line.split_once("panicked at ").map(|(_, place)| place)) {
        let words = lines.next().unwrap_or_default();
        // What a target says begins with what was compared, and goes on with this input's own numbers; where in our own code it says so
        // has nothing to do with it.
        let words = words.split(':').next().unwrap_or_default();
        let is_ours = place.starts_with("conformance/");
        return Some(shortened(&if is_ours { words.to_owned() } else { format!("{} {words}", place.trim_end_matches(':')) }));
    }
    // A C++ exception that gets out of a C function, as C++ or as Rust says it; and memory that there is not.
    let says = |line: &&str| {
        ["terminate called", "foreign exceptions", "memory allocation of"].iter().any(|words| line.contains(words))
    };
    let line = ending.words.lines().find(says)?;
    // How much memory was asked for differs from input to input.
    Some(shortened(line.split(|c: char| c.is_ascii_digit()).next().unwrap_or(line)))
}

/// A line without the folders that only one machine has, and without what only one input has.
fn shortened(line: &str) -> String {
    const LONGEST: usize = 200;
    let from = ["llama.cpp/", "candle-core", "candle-transformers", "tokenizers-", "conformance/"]
        .into_iter()
        .filter_map(|start| line.find(start))
        .min();
    // What stands before the path is what kind it is.
    let text = match from {
        Some(at) => {
            let kind = line[..at].split('/').next().unwrap_or_default();
            format!("{kind}{}", &line[at..])
        }
        None => line.to_owned(),
    };
    text.chars().take(LONGEST).collect::<String>().trim().to_owned()
}

/// The signal that ended a process which could not say anything.
pub(super) fn ended_by(ending: &Ending) -> Option<&str> {
    ending.words.lines().rev().find_map(|line| line.strip_prefix(ENDED_BY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regressions::sidecar::Class;

    fn ending(class: Class, words: &str) -> Ending {
        Ending { class, words: words.into() }
    }

    #[test]
    fn causes_are_told_from_words() {
        let assertion = "noise\n/root/.cargo/registry/src/x/llama-cpp-sys-2-0.1.161/llama.cpp/src/llama-vocab.cpp:12: GGML_ASSERT(a) failed\n";
        assert_eq!(
            cause(&ending(Class::Aborts, assertion)).unwrap(),
            "llama.cpp/src/llama-vocab.cpp:12: GGML_ASSERT(a) failed"
        );
        let panic = "thread 'main' panicked at /root/.cargo/registry/src/x/candle-core-0.11.1/src/shape.rs:131:5:\nattempt to multiply\n";
        assert_eq!(cause(&ending(Class::Panics, panic)).unwrap(), "candle-core-0.11.1/src/shape.rs:131:5 attempt to multiply");
        assert_eq!(cause(&ending(Class::TimesOut, "")), None);
        let silent = ending(Class::Crashes, "ended by SIGFPE\n");
        assert_eq!((cause(&silent), ended_by(&silent)), (None, Some("SIGFPE")));
    }
}
