//! What a metamorphic relation changes: the file, the worker, or how the prompt is fed.

use gguf::{Draft, File, Finding, Value};
use vocabulary::{Relation, SMALL_BATCH, Schedule, Tuning};

/// What a relation changes, for one model and schedule.
pub struct Change {
    /// The files to take in place of the model's, in the order of their names; none where the file stays as it is. The first is the one to
    /// load.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the worker is started with.
    pub tuning: Tuning,
    /// How the prompt is fed.
    pub schedule: Schedule,
}

/// What a relation changes of a model whose file has these `bytes` and a prompt of `len` tokens that is fed by `schedule`.
///
/// # Errors
/// Where the bytes are no valid file.
pub fn change(relation: Relation, bytes: &[u8], len: usize, schedule: Schedule) -> Result<Change, Finding> {
    let tuning = Tuning {
        threads: (relation == Relation::Threads).then_some(1),
        batch: (relation == Relation::Batch).then_some(SMALL_BATCH as u32),
        micro_batch: (relation == Relation::MicroBatch).then_some(SMALL_BATCH as u32),
    };
    let two_halves = Schedule::Split(len as u32 / 2);
    let schedule = match relation {
        Relation::Schedule if schedule == two_halves => Schedule::TokenByToken,
        Relation::Schedule => two_halves,
        _ => schedule,
    };
    let file = File::strict(bytes)?;
    let mut draft = Draft::from(&file);
    // Where data goes follows from what is changed.
    draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    draft.tail = None;
    match relation {
        Relation::Repeat | Relation::Schedule | Relation::Threads | Relation::Batch | Relation::MicroBatch => {
            return Ok(Change { files: Vec::new(), tuning, schedule });
        }
        Relation::Shards => return Ok(Change { files: halves(&file, &draft), tuning, schedule }),
        Relation::TensorOrder => draft.tensors.reverse(),
        Relation::MetadataOrder => draft.keys.reverse(),
        Relation::Version => draft.version = 2,
        Relation::Alignment => {
            draft.remove_key("general.alignment").u32("general.alignment", 64);
            draft.alignment = 64;
        }
        Relation::ExtraKeys => {
            let own = format!("{}.ggauge.unused", file.architecture()?);
            draft.u32(&own, 7).str("ggauge.unused", "nothing reads this").f32s("ggauge.unused_too", &[1.0, 2.0]);
        }
    }
    let files = vec![("changed.gguf".into(), draft.finish())];
    Ok(Change { files, tuning, schedule })
}

/// The two files of a split model: all keys and the first half of the tensors, and the rest.
fn halves(file: &File<'_>, draft: &Draft<'_>) -> Vec<(String, Vec<u8>)> {
    let total = draft.tensors.len();
    let mut parts = [draft.clone(), Draft { alignment: draft.alignment, ..Draft::new() }];
    parts[1].tensors = parts[0].tensors.split_off(total / 2);
    if let Some(architecture) = file.metadata().get("general.architecture") {
        parts[1].value("general.architecture", architecture);
    }
    let named = parts.into_iter().enumerate().map(|(number, mut part)| {
        part.value("split.no", Value::U16(number as u16))
            .value("split.count", Value::U16(2))
            .value("split.tensors.count", Value::I32(total as i32));
        (format!("changed-{:05}-of-00002.gguf", number + 1), part.finish())
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gguf::{Mode, Split};

    /// Every changed file is valid and holds the same tensors, and is not the file it was.
    #[test]
    fn changes_are_changes_and_valid() {
        let bytes = "llama/q4_0".parse::<smith::Recipe>().unwrap().build().unwrap();
        let original = File::strict(&bytes).unwrap();
        for relation in Relation::ALL {
            let change = change(relation, &bytes, 8, Schedule::SingleShot).unwrap();
            let files: Vec<_> = change.files.iter().map(|(_, bytes)| File::strict(bytes).unwrap()).collect();
            let in_worker = change.tuning != Tuning::default() || change.schedule != Schedule::SingleShot;
            assert_eq!(files.is_empty(), in_worker || relation == Relation::Repeat, "{relation:?}");
            assert!(change.files.iter().all(|(_, changed)| *changed != bytes), "{relation:?}");
            for tensor in original.tensors() {
                let name = tensor.name.to_string();
                let holder = files.iter().find_map(|file| Some((file, file.tensor(&name)?)));
                if let Some((file, found)) = holder {
                    assert_eq!(file.data(found), original.data(tensor), "{relation:?}");
                } else {
                    assert!(files.is_empty(), "{relation:?} lost {name}");
                }
            }
            if relation == Relation::Shards {
                Split::join(files, Mode::Strict).unwrap();
            }
        }
    }
}
