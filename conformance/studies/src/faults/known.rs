//! Faults that runtimes are known to have, and that no seeded fault is: what expectations name as their cause.

use crate::faults::{
    Fault, Kind,
    files::{Edit, Number},
};

/// All of them.
pub(super) fn faults() -> Vec<Fault> {
    let keys = |keys: &[&str]| Edit::WithoutKeys(keys.iter().map(ToString::to_string).collect());
    [
        ("rope-factors-ignored", "the tensor rope_freqs is not read", Edit::WithoutTensors("rope_freqs.weight")),
        (
            "short-factors-ignored",
            "the tensor rope_factors_short is not read",
            Edit::WithoutTensors("rope_factors_short.weight"),
        ),
        ("long-factors-ignored", "the tensor rope_factors_long is not read", Edit::WithoutTensors("rope_factors_long.weight")),
        ("window-ignored", "the key attention.sliding_window is not read", keys(&["attention.sliding_window"])),
        (
            "pattern-ignored",
            "the key attention.sliding_window_pattern is not read",
            keys(&["attention.sliding_window_pattern"]),
        ),
        ("sliding-base-ignored", "the key rope.freq_base_swa is not read", keys(&["rope.freq_base_swa"])),
        (
            "base-of-10000",
            "the key rope.freq_base is not read, and 10000 is taken",
            Edit::Key("rope.freq_base".into(), Number::Real(10_000.0)),
        ),
        (
            "eight-elements-rotate",
            "eight elements of each head rotate",
            Edit::Key("rope.dimension_count".into(), Number::Count(8)),
        ),
        (
            "head-and-queries-requantised",
            "the embedding, rounded to Q8_0, is the output; queries and keys are rounded to Q8_0",
            Edit::RequantizedHead(vec!["attn_q.weight", "attn_k.weight"]),
        ),
    ]
    .map(|(name, meaning, edit)| Fault { name: name.into(), meaning: meaning.into(), kind: Kind::File(edit) })
    .into()
}
