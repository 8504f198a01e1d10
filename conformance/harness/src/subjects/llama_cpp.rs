//! llama.cpp.

use super::{Environment, Runtime};
use reference::Rounding;
use vocabulary::{Schedule, Settings, SubjectId, Tuning};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "llama-cpp",
    devices: &["cpu", "vulkan0", "cuda0", "metal"],
    environment,
    rounding,
    spinning_threads: None,
    one_file_only: None,
    last_positions_only: false,
};

/// llama.cpp offers every visible GPU to large batches whatever `n_gpu_layers` says, and picks up devices of type CPU, such as
/// lavapipe, only when they are named. So a Vulkan worker names exactly its device, and every other worker names none.
fn environment(own: Option<(&SubjectId, Settings, Tuning)>) -> Environment {
    let vulkan = own.and_then(|(id, ..)| id.device().strip_prefix("vulkan").map(str::to_owned));
    vec![
        ("GGML_VK_VISIBLE_DEVICES", vulkan),
        // The text of an assertion names its file and line; a debugger's backtrace, where one is installed, takes seconds.
        ("GGML_NO_BACKTRACE", Some("1".into())),
        // GNU's OpenMP lets a waiting thread spin for milliseconds, which it takes from the workers beside it: tests of tiny models
        // ran 2.5 times as long. With this few rounds decoding is as fast as before (without any, it takes 3.6 times as long).
        ("GOMP_SPINCOUNT", Some("1000".into())),
    ]
}

fn rounding(id: &SubjectId, settings: Settings, schedule: Schedule) -> Rounding {
    match (id.device_kind(), schedule, settings) {
        ("vulkan", Schedule::TokenByToken, Settings::Default) => Rounding::SINGLE_F16_CACHE,
        ("vulkan", Schedule::TokenByToken, Settings::Strict) => Rounding::SINGLE,
        // At least one call of several tokens.
        ("vulkan", ..) => Rounding::HALF,
        (_, _, Settings::Default) => Rounding::LLAMA_CPP_DEFAULT,
        (_, _, Settings::Strict) => Rounding::LLAMA_CPP_STRICT,
    }
}
