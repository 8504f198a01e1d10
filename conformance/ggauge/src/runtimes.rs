//! Not an API: the runtimes that this build has: the one place where cargo's features decide.
//!
//! To add a runtime, add it to [`RUNTIMES`], its crate's subject to [`create`], and its devices to [`is_built`]; what the flow has to know of it is its row in the harness.

use harness::subjects;
use readers::OurReader;
#[cfg(feature = "candle")]
use subject_candle::CandleSubject;
#[cfg(feature = "llama-cpp")]
use subject_llama_cpp::LlamaCppSubject;
use subject_reference::ReferenceSubject;
use vocabulary::{Refusal, Settings, Subject, SubjectId, Tuning};

/// The runtimes of this build.
const RUNTIMES: &[&str] = &[
    #[cfg(feature = "llama-cpp")]
    "llama-cpp",
    #[cfg(feature = "candle")]
    "candle",
    "reference",
];

/// Makes a subject. Called in the worker, never in the harness.
///
/// # Errors
/// [`Refusal::Unsupported`] where this build or machine cannot.
pub fn create(id: &SubjectId, settings: Settings, tuning: Tuning) -> Result<Box<dyn Subject>, Refusal> {
    #[cfg(not(any(feature = "llama-cpp", feature = "candle")))]
    let _ = (settings, tuning);
    match id.runtime() {
        #[cfg(feature = "llama-cpp")]
        "llama-cpp" => Ok(Box::new(LlamaCppSubject::new(id.device(), settings, tuning)?)),
        #[cfg(feature = "candle")]
        "candle" => Ok(Box::new(CandleSubject::new(id.device(), settings, tuning)?)),
        "ggauge" => Ok(Box::new(OurReader::new(id.device())?)),
        "reference" => Ok(Box::new(ReferenceSubject::new(id.device())?)),
        other => readers::create(other).ok_or_else(|| {
            let readers = readers::NAMES.join(", ");
            let words = format!("ggauge has no runtime `{other}`; it has {}, and the readers {readers}", RUNTIMES.join(", "));
            Refusal::Unsupported(words)
        }),
    }
}

/// True for a subject whose runtime and backend are in this build.
pub fn is_built(id: &SubjectId) -> bool {
    let built: Vec<(&str, bool)> = match id.runtime() {
        #[cfg(feature = "llama-cpp")]
        "llama-cpp" => subject_llama_cpp::devices_of_this_build(),
        #[cfg(feature = "candle")]
        "candle" => subject_candle::devices_of_this_build(),
        "reference" => return true,
        _ => Vec::new(),
    };
    built.contains(&(id.device(), true))
}

/// Every subject of this build.
pub fn built() -> Vec<SubjectId> {
    subjects::known().into_iter().filter(is_built).collect()
}

/// Why a subject is not in this build.
pub fn absence(id: &SubjectId) -> String {
    if !RUNTIMES.contains(&id.runtime()) {
        return format!("this build has no {0} (cargo feature `{0}`)", id.runtime());
    }
    let kind = id.device_kind();
    format!("this build has no {kind} backend (cargo feature `{kind}`)")
}

#[cfg(all(test, feature = "llama-cpp", feature = "candle"))]
mod tests {
    use super::*;

    /// The harness, which links no runtime, has their devices in rows of its own.
    #[test]
    fn the_harness_knows_the_devices_of_the_layers() {
        for (runtime, layer) in
            [("llama-cpp", subject_llama_cpp::devices_of_this_build()), ("candle", subject_candle::devices_of_this_build())]
        {
            let known = subjects::known();
            let known: Vec<&str> = known.iter().filter(|id| id.runtime() == runtime).map(SubjectId::device).collect();
            assert_eq!(known, layer.into_iter().map(|(device, _)| device).collect::<Vec<_>>());
        }
    }
}
