//! The subjects ggauge knows: how each is made in a worker, what its process needs, and which rounding it is allowed.
//!
//! To add a runtime, add its crate's subject to [`create`], its environment to [`environment`], its devices to [`known`] and its
//! rounding to [`rounding`].

use crate::readers::OurReader;
use reference::{ReferenceSubject, Rounding};
#[cfg(feature = "candle")]
use subject_candle::CandleSubject;
#[cfg(feature = "llama-cpp")]
use subject_llama_cpp::LlamaCppSubject;
use vocabulary::{Outcome, Refusal, Schedule, Settings, Subject, SubjectId, Tuning};

/// The runtimes of this build.
const RUNTIMES: &[&str] = &[
    #[cfg(feature = "llama-cpp")]
    "llama-cpp",
    #[cfg(feature = "candle")]
    "candle",
    "reference",
];

/// The truth.
pub fn exact_reference() -> SubjectId {
    reference_with(Rounding::EXACT)
}

/// The reference under a rounding.
///
/// # Panics
/// Never: the names of roundings are fit for ids, which a test shows.
pub fn reference_with(rounding: Rounding) -> SubjectId {
    SubjectId::new("reference", &rounding.name()).expect("the names of roundings are fit for ids")
}

/// Makes a subject. Called in the worker, never in the harness.
///
/// # Errors
/// [`Refusal::Unsupported`] where this build or machine cannot.
pub fn create(id: &SubjectId, settings: Settings, tuning: Tuning) -> Result<Box<dyn Subject>, Refusal> {
    match id.runtime() {
        #[cfg(feature = "llama-cpp")]
        "llama-cpp" => Ok(Box::new(LlamaCppSubject::new(id.device(), settings, tuning)?)),
        #[cfg(feature = "candle")]
        "candle" => Ok(Box::new(CandleSubject::new(id.device(), settings, tuning)?)),
        "ggauge" => Ok(Box::new(OurReader::new(id.device())?)),
        "reference" => Ok(Box::new(ReferenceSubject { rounding: id.device().parse().map_err(Refusal::Unsupported)? })),
        other => readers::create(other).ok_or_else(|| {
            let readers = readers::NAMES.join(", ");
            let words = format!("ggauge has no runtime `{other}`; it has {}, and the readers {readers}", RUNTIMES.join(", "));
            Refusal::Unsupported(words)
        }),
    }
}

/// Why a subject is not in this build.
pub fn absence(id: &SubjectId) -> String {
    if !RUNTIMES.contains(&id.runtime()) {
        return format!("this build has no {0} (cargo feature `{0}`)", id.runtime());
    }
    let kind = device_kind(id);
    format!("this build has no {kind} backend (cargo feature `{kind}`)")
}

/// Environment that the worker of a subject is started with; `None` takes a variable away.
pub fn environment(id: &SubjectId, settings: Settings, tuning: Tuning) -> Vec<(&'static str, Option<String>)> {
    let mut environment = Vec::new();
    #[cfg(feature = "llama-cpp")]
    environment.extend(subject_llama_cpp::environment(if id.runtime() == "llama-cpp" { id.device() } else { "" }));
    #[cfg(feature = "candle")]
    if id.runtime() == "candle" {
        environment.extend(subject_candle::environment(settings, tuning));
    } else {
        // The variables that change candle's arithmetic are taken away from the others, too.
        environment.extend(subject_candle::environment(Settings::Default, Tuning::default()));
    }
    let _ = (settings, tuning);
    environment
}

/// The variable by which a subject is told how many threads may spin while they wait for each other; `None` where they sleep, or where
/// somebody said how many threads there are: the tuning, or a variable that is set.
pub fn spinning_threads(id: &SubjectId, tuning: Tuning, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    #[cfg(feature = "candle")]
    if id.runtime() == "candle" && id.device() == "cpu" && tuning.threads.is_none() {
        let told = [subject_candle::SPINNING_THREADS, subject_candle::THREADS].into_iter().any(is_set);
        return (!told).then_some(subject_candle::SPINNING_THREADS);
    }
    let _ = (id, tuning, is_set);
    None
}

/// Every subject of this version, and whether this build could run it. GPU devices stand here with number 0; machines with more
/// have higher numbers too.
///
/// # Panics
/// Never: the names of devices are fit for ids, which a test shows.
pub fn known() -> Vec<(SubjectId, bool)> {
    let of = |runtime: &'static str, devices: Vec<(&'static str, bool)>| {
        devices
            .into_iter()
            .map(move |(device, built)| (SubjectId::new(runtime, device).expect("device names are fit for ids"), built))
    };
    #[cfg(feature = "llama-cpp")]
    let llama_cpp = subject_llama_cpp::devices_of_this_build();
    #[cfg(not(feature = "llama-cpp"))]
    let llama_cpp = vec![("cpu", false), ("vulkan0", false), ("cuda0", false), ("metal", false)];
    #[cfg(feature = "candle")]
    let candle = subject_candle::devices_of_this_build();
    #[cfg(not(feature = "candle"))]
    let candle = vec![("cpu", false), ("cuda0", false), ("metal", false)];
    let mut subjects: Vec<_> = of("llama-cpp", llama_cpp).chain(of("candle", candle)).collect();
    subjects.push((exact_reference(), true));
    subjects
}

/// How a subject rounds activations when it computes correctly: what its limits are made from. An unknown runtime is held to
/// f32 in strict settings, and to rounded blocks otherwise.
pub fn rounding(id: &SubjectId, settings: Settings, schedule: Schedule) -> Rounding {
    match (id.runtime(), settings) {
        ("llama-cpp", settings) if device_kind(id) == "vulkan" => match (schedule, settings) {
            (Schedule::TokenByToken, Settings::Default) => Rounding::SINGLE_F16_CACHE,
            (Schedule::TokenByToken, Settings::Strict) => Rounding::SINGLE,
            // At least one call of several tokens.
            _ => Rounding::HALF,
        },
        ("llama-cpp", Settings::Default) => Rounding::LLAMA_CPP_DEFAULT,
        ("llama-cpp", Settings::Strict) => Rounding::LLAMA_CPP_STRICT,
        ("reference", _) => id.device().parse().unwrap_or(Rounding::EXACT),
        (_, Settings::Default) => Rounding::CANDLE,
        (_, Settings::Strict) => Rounding::SINGLE,
    }
}

/// The largest matrix that Mesa's software device can address at once, in bytes: its `maxStorageBufferRange`, which is also the
/// least that the Vulkan specification allows. llama.cpp leaves a larger one on the CPU, as its log says ("cannot be used
/// with preferred buffer type").
const VULKAN_MATRIX: u64 = 1 << 27;

/// The noise that a subject is allowed on a model whose output matrix has `output_bytes`: its [`rounding`], with the output on the
/// CPU where a `software` device cannot take it.
pub fn rounding_on(id: &SubjectId, settings: Settings, schedule: Schedule, output_bytes: u64, software: bool) -> Rounding {
    let rounding = rounding(id, settings, schedule);
    let too_large = software && device_kind(id) == "vulkan" && output_bytes > VULKAN_MATRIX;
    if too_large { rounding.with_output_on_cpu() } else { rounding }
}

/// The kind of a device, without its number: what limits are calibrated for.
pub fn device_kind(id: &SubjectId) -> &str {
    id.device().trim_end_matches(|c: char| c.is_ascii_digit())
}

/// What becomes of a subject on a model of so many files, where it runs none of several.
///
/// candle's quantised models take one header and one reader. Something that shows several files as one could be put beneath them, but then
/// this would say what a trick of ours gives, and not what users of candle get.
pub fn minds_shards(subject: &SubjectId, shards: usize) -> Option<Outcome> {
    let reason = "candle's quantised models read one file, and no other of a split model (llama.cpp's `llama-gguf-split --merge` makes one of them)";
    (subject.runtime() == "candle" && shards > 1).then(|| Outcome::Unsupported { reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_fit_for_an_id_and_reads_back() {
        let known: Vec<_> = known().into_iter().map(|(subject, _)| subject).collect();
        assert!(known.contains(&exact_reference()));
        let roundings = Rounding::ALL.into_iter().flat_map(|rounding| [rounding, rounding.with_output_on_cpu()]);
        for subject in roundings.map(reference_with).chain(known) {
            assert_eq!(subject.to_string().parse::<SubjectId>().unwrap(), subject);
        }
    }

    #[test]
    fn only_the_worker_of_a_vulkan_device_sees_one() {
        let variable = |id: &str| {
            let environment = environment(&id.parse().unwrap(), Settings::Default, Tuning::default());
            environment.into_iter().find(|(name, _)| *name == "GGML_VK_VISIBLE_DEVICES").unwrap().1
        };
        assert_eq!(variable("llama-cpp@vulkan1").as_deref(), Some("1"));
        assert_eq!(variable("llama-cpp@cpu"), None);
        assert_eq!(variable("candle@cpu"), None);
    }
}
