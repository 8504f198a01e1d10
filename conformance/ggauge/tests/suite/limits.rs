//! Limits where the rounding that a subject is known for moves next to nothing: what else an implementation may do bounds them from below.

use crate::support::{GGAUGE, execute, id, policy, ramp, tiny, written};
use gguf::{Draft, File};
use harness::{
    plan::{Filter, Plan},
    worker::{launch::WorkerLimits, pool::Workers},
};
use machine::cache::Cache;
use record::ComparisonRecord;
use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};
use supply::models::Model;
use vocabulary::{Judgement, Schedule, Settings};

/// The device whose floor this is about. Other programs answer in its place, so none is needed.
const DEVICE: &str = "llama-cpp@vulkan0";

/// A model whose values are 1 everywhere, which f16 holds exactly, with `factor` on what attention puts out.
fn with_factor(original: &[u8], factor: f32) -> Vec<u8> {
    let file = File::strict(original).unwrap();
    let mut draft = Draft::from(&file);
    for tensor in &mut draft.tensors {
        let name = String::from_utf8_lossy(&tensor.name).into_owned();
        let set: Box<dyn Fn(f32) -> f32> = match name.split_once("attn_").map(|(_, part)| part) {
            Some("v.weight") => Box::new(|_| 0.0),
            Some("v.bias") => Box::new(|_| 1.0),
            Some("output.weight") => Box::new(|x| x * factor),
            _ => continue,
        };
        let values = tensor.data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        tensor.data = Cow::Owned(values.flat_map(|x| set(x).to_le_bytes()).collect());
    }
    draft.finish()
}

/// Decodes one token on `worker` in the device's place, and judges what it gives.
fn judge(folder: &Path, model: &Model, worker: String) -> ComparisonRecord {
    let commands = BTreeMap::from([(id(DEVICE), worker)]);
    let mut workers = Workers::new(GGAUGE.into(), commands, WorkerLimits::default(), folder.into());
    let prompts = [vec![ramp(1)]];
    let (schedules, settings) = ([Schedule::TokenByToken], [Settings::Default]);
    let plan = Plan::new(vec![model.clone()], &prompts, &schedules, &settings, &[id(DEVICE)], |_, _, _| true, &Filter::All);
    let (cache, policy) = (Cache::at(folder), policy(""));
    let mut record = execute(&mut workers, (folder, &cache), &policy, &plan).unwrap();
    record.comparisons.remove(0)
}

/// Mesa 25's software device keeps the sum of attention's weights as they were before f16, and Mesa 22's does not.
#[test]
fn one_token_of_exact_values_may_differ_by_the_weights_of_attention_and_by_no_percent() {
    let folder = tempfile::tempdir().unwrap();
    let original = fs::read(tiny("qwen2/f32@0", folder.path()).path).unwrap();
    let model = written(folder.path(), "right.gguf", &with_factor(&original, 1.0));
    fs::write(folder.path().join("wrong.gguf"), with_factor(&original, 1.01)).unwrap();
    let worker = |rounding: &str| format!("{GGAUGE} worker reference@{rounding} --settings default");

    // The cache of f16 alone would leave the noise of f32.
    let correct = judge(folder.path(), &model, worker("single-f16-cache"));
    let other = judge(folder.path(), &model, worker("half-weights"));
    for comparison in [&correct, &other] {
        assert_eq!(comparison.judgement, Judgement::Pass, "{:?}", comparison.verdict);
    }
    let noise = other.noise.unwrap().nmse;
    assert!(noise > 1e-11 && noise < 1e-7, "{noise:e}");
    // What attention puts out is off by 1 %.
    let wrong = judge(folder.path(), &model, format!("sed -u 's/right.gguf/wrong.gguf/' | {}", worker("f64")));
    assert_eq!(wrong.judgement, Judgement::Fail, "{:?}", wrong.verdict);
}
