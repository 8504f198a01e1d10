//! What the flow has to know of a runtime: a row each, without the runtime itself.
//!
//! To add a runtime, give it a module with its row and list that in [`RUNTIMES`]; the crate that runs it is made known to the command.

pub(crate) mod candle;
mod llama_cpp;
mod reference;

use ::reference::Rounding;
use std::sync::LazyLock;
use vocabulary::{Outcome, Schedule, Settings, SubjectId, Tuning};

/// Variables of a process; `None` takes one away.
pub type Environment = Vec<(&'static str, Option<String>)>;

/// A runtime as the flow sees it.
struct Runtime {
    /// Its name in ids.
    name: &'static str,
    /// The devices that it can be built for. GPUs stand here with number 0; machines with more have higher numbers too.
    devices: &'static [&'static str],
    /// What a worker is started with: one of its own, or of another runtime, which must not be disturbed by what is set for this one.
    environment: fn(Option<(&SubjectId, Settings, Tuning)>) -> Environment,
    /// How it rounds activations when it computes correctly: what limits are made from.
    rounding: fn(&SubjectId, Settings, Schedule) -> Rounding,
    /// The variable by which its CPU is told how many threads may spin while they wait for each other, and those by which somebody may have said so
    /// already; `None` where they sleep.
    spinning_threads: Option<(&'static str, &'static [&'static str])>,
    /// Why it runs no model of several files, where it does not.
    one_file_only: Option<&'static str>,
    /// Gives the logits of no position but the last of each call.
    last_positions_only: bool,
}

/// In the order of tables.
const RUNTIMES: [&Runtime; 3] = [&llama_cpp::RUNTIME, &candle::RUNTIME, &reference::RUNTIME];

fn of(id: &SubjectId) -> Option<&'static Runtime> {
    RUNTIMES.into_iter().find(|runtime| runtime.name == id.runtime())
}

/// llama.cpp on the CPU: what others are held against, and whose tokenizer texts are read with.
///
/// # Panics
/// Never: the name is fit for an id, which a test shows.
pub static LLAMA_CPP_CPU: LazyLock<SubjectId> =
    LazyLock::new(|| SubjectId::new("llama-cpp", "cpu").expect("the name is fit for an id"));

/// candle on the CPU.
///
/// # Panics
/// Never: the name is fit for an id, which a test shows.
pub static CANDLE_CPU: LazyLock<SubjectId> =
    LazyLock::new(|| SubjectId::new("candle", "cpu").expect("the name is fit for an id"));

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

/// Every subject of this version, whether or not a build has it.
///
/// # Panics
/// Never: the names of devices are fit for ids, which a test shows.
pub fn known() -> Vec<SubjectId> {
    let of = |runtime: &'static Runtime| {
        let id = |device: &&str| SubjectId::new(runtime.name, device).expect("device names are fit for ids");
        runtime.devices.iter().map(id)
    };
    RUNTIMES.into_iter().flat_map(of).collect()
}

/// Environment that the worker of a subject is started with.
pub fn environment(id: &SubjectId, settings: Settings, tuning: Tuning) -> Environment {
    let of = |runtime: &Runtime| (runtime.environment)((runtime.name == id.runtime()).then_some((id, settings, tuning)));
    RUNTIMES.into_iter().flat_map(of).collect()
}

/// The variable by which a subject is told how many threads may spin while they wait for each other; `None` where they sleep, or where
/// somebody said how many threads there are: the tuning, or a variable that is set.
pub fn spinning_threads(id: &SubjectId, tuning: Tuning, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    let (variable, told) = of(id)?.spinning_threads?;
    let is_told = id.device_kind() != "cpu" || tuning.threads.is_some() || told.iter().any(|name| is_set(name));
    (!is_told).then_some(variable)
}

/// How a subject rounds activations when it computes correctly: what its limits are made from. An unknown runtime is held to
/// f32 in strict settings, and to rounded blocks otherwise.
pub fn rounding(id: &SubjectId, settings: Settings, schedule: Schedule) -> Rounding {
    match of(id) {
        Some(runtime) => (runtime.rounding)(id, settings, schedule),
        None => of_blocks(id, settings, schedule),
    }
}

fn of_blocks(_: &SubjectId, settings: Settings, _: Schedule) -> Rounding {
    match settings {
        Settings::Default => Rounding::CANDLE,
        Settings::Strict => Rounding::SINGLE,
    }
}

/// True where a subject gives the logits of no position but the last of each call.
pub fn gives_last_positions_only(id: &SubjectId) -> bool {
    of(id).is_some_and(|runtime| runtime.last_positions_only)
}

/// The largest matrix that Mesa's software device can address at once, in bytes: its `maxStorageBufferRange`, which is also the
/// least that the Vulkan specification allows. llama.cpp leaves a larger one on the CPU, as its log says ("cannot be used
/// with preferred buffer type").
const VULKAN_MATRIX: u64 = 1 << 27;

/// The noise that a subject is allowed on a model whose output matrix has `output_bytes`: its [`rounding`], with the output on the
/// CPU where a `software` device cannot take it.
pub fn rounding_on(id: &SubjectId, settings: Settings, schedule: Schedule, output_bytes: u64, software: bool) -> Rounding {
    let rounding = rounding(id, settings, schedule);
    let too_large = software && id.device_kind() == "vulkan" && output_bytes > VULKAN_MATRIX;
    if too_large { rounding.with_output_on_cpu() } else { rounding }
}

/// What becomes of a subject on a model of so many files, where it runs none of several.
pub fn minds_shards(subject: &SubjectId, shards: usize) -> Option<Outcome> {
    let reason = of(subject)?.one_file_only.filter(|_| shards > 1)?;
    Some(Outcome::Unsupported { reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_fit_for_an_id_and_reads_back() {
        for subject in [&exact_reference(), &LLAMA_CPP_CPU, &CANDLE_CPU] {
            assert!(known().contains(subject));
        }
        let roundings = Rounding::ALL.into_iter().flat_map(|rounding| [rounding, rounding.with_output_on_cpu()]);
        for subject in roundings.map(reference_with).chain(known()) {
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
