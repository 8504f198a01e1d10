//! candle.

use super::{Environment, Runtime, of_blocks};
use vocabulary::{Settings, SubjectId, Tuning};

/// The number of threads, which rayon reads once.
pub(crate) const THREADS: &str = "RAYON_NUM_THREADS";

/// The number of threads that share the work of a quantised matrix. They spin until the last of them is done (`BarrierGuard` in
/// candle-core 0.11.1, `src/utils.rs`), and one that is not running, because something else runs, holds up all. Numbers do not depend on it:
/// a thread has whole outputs.
pub(crate) const SPINNING_THREADS: &str = "CANDLE_NUM_THREADS";

pub(super) const RUNTIME: Runtime = Runtime {
    name: "candle",
    devices: &["cpu", "cuda0", "metal"],
    environment,
    rounding: of_blocks,
    spinning_threads: Some((SPINNING_THREADS, &[SPINNING_THREADS, THREADS])),
    // Something that shows several files as one could be put beneath them, but then this would say what a trick of ours gives, and not what users
    // of candle get.
    one_file_only: Some(
        "candle's quantised models read one file, and no other of a split model (llama.cpp's `llama-gguf-split --merge` makes one of them)",
    ),
    last_positions_only: true,
};

/// The variables that change candle's arithmetic are taken away from the others, too. candle reads each once in the life of a process.
fn environment(own: Option<(&SubjectId, Settings, Tuning)>) -> Environment {
    let (settings, tuning) = own.map_or((Settings::Default, Tuning::default()), |(_, settings, tuning)| (settings, tuning));
    // With it, weights are dequantised at load and activations stay f32.
    let strict = (settings == Settings::Strict).then(|| "1".to_owned());
    let mut environment = vec![("CANDLE_DEQUANTIZE_ALL", strict), ("CANDLE_DEQUANTIZE_ALL_F16", None)];
    environment.extend(tuning.threads.map(|threads| (THREADS, Some(threads.to_string()))));
    environment
}
