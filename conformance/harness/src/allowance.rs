//! What a case is allowed: the key of its limits, and the noise that they are made from.

use policy::Key;
use reference::Rounding;
use vocabulary::{Family, SubjectId};

/// The key of a subject that rounds so, on a model of an architecture with weights of a family.
pub fn key(subject: &SubjectId, rounding: Rounding, architecture: &str, weights: Family) -> Key {
    let through_table = rounding.has_table() && reference::architectures::has_gelu(architecture);
    let weights = if through_table && weights == Family::Single { Family::Table } else { weights };
    // Where the output matrix is left on the CPU, the noise is the CPU's, and so is the multiplier.
    if rounding.has_output_on_cpu() {
        return Key { rounding: Rounding::LLAMA_CPP_STRICT.name(), device: "cpu".into(), weights };
    }
    Key { rounding: rounding.name(), device: subject.device_kind().to_owned(), weights }
}
