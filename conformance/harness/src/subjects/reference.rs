//! The exact reference, and its rounded forms: `reference@ROUNDING`.

use super::Runtime;
use reference::Rounding;

pub(super) const RUNTIME: Runtime = Runtime {
    name: "reference",
    devices: &["f64"],
    environment: |_| Vec::new(),
    rounding: |id, _, _| id.device().parse().unwrap_or(Rounding::EXACT),
    spinning_threads: None,
    one_file_only: None,
    last_positions_only: false,
};
