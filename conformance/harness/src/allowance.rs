//! What a case is allowed: how its subject rounds there, the key of its limits, and the limits themselves.

use crate::subjects;
use policy::{Key, Tolerances, tolerances};
use record::ModelRecord;
use reference::Rounding;
use vocabulary::{Family, Limits, Scale, Schedule, Settings, SubjectId};

/// How a subject rounds on a model when it computes correctly; `software` where its device is emulated.
pub fn rounding(subject: &SubjectId, settings: Settings, schedule: Schedule, model: &ModelRecord, software: bool) -> Rounding {
    let rounding = subjects::rounding_on(subject, settings, schedule, model.output_bytes, software);
    if model.exact { rounding.with_single_sums() } else { rounding }
}

/// The limits of a subject that rounds so on a model where that moves the reference by `scale`; `None` where nothing has been calibrated.
pub fn limits(
    tolerances: &Tolerances,
    subject: &SubjectId,
    rounding: Rounding,
    model: &ModelRecord,
    scale: &Scale,
) -> Option<Limits> {
    let key = key(subject, rounding, &model.architecture, model.family);
    if rounding.has_single_sums() {
        return Some(tolerances::of_single_sums(scale, key.weights == Family::Table));
    }
    tolerances.limits(&key, scale)
}

/// The largest factor over the noise of such a subject at all positions together; `None` where nothing has been calibrated.
pub fn together(tolerances: &Tolerances, subject: &SubjectId, rounding: Rounding, model: &ModelRecord) -> Option<f64> {
    if rounding.has_single_sums() {
        return Some(tolerances::TOGETHER_OF_SINGLE_SUMS);
    }
    tolerances.together(&key(subject, rounding, &model.architecture, model.family))
}

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
