//! Neutral values, held against every architecture: passed over, and another one refused.

use super::{FLAGS, NUMBERS, OF_EXPERTS, SAYS_NOTHING, of};
use crate::{Weights, architectures};
use gguf::{Draft, File, Value, WeightType};
use smith::{Architecture, Recipe};
use std::collections::BTreeSet;
use vocabulary::Refusal;

/// A tiny model of every architecture, and of Llama with experts.
fn models() -> impl Iterator<Item = &'static str> {
    Architecture::ALL.into_iter().map(Architecture::name).chain(["llama+experts=4"])
}

/// Loads a tiny model with something changed, given the name of its architecture; the keys that were passed over.
fn load_with(model: &str, change: impl Fn(&mut Draft<'_>, &str)) -> Result<Vec<String>, Refusal> {
    let recipe: Recipe = format!("{model}/f32").parse().unwrap();
    let bytes = recipe.build().unwrap();
    let mut draft = Draft { tail: None, ..Draft::from(&File::strict(&bytes).unwrap()) };
    draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    change(&mut draft, recipe.architecture.name());
    let bytes = draft.finish();
    let weights = Weights::new(File::lenient(&bytes).unwrap())?;
    architectures::load(&weights)?;
    Ok(weights.ignored())
}

fn with(model: &str, suffix: &str, value: Value<'_>) -> Result<Vec<String>, Refusal> {
    load_with(model, |draft, name| {
        let key = format!("{name}.{suffix}");
        draft.remove_key(&key).value(key, value);
    })
}

/// Every number and truth value, in every architecture that does not ask for the key: passed over where it is neutral, and
/// refused with key and value where it is not.
#[test]
fn a_neutral_value_is_passed_over_and_another_one_is_refused() {
    let numbers =
        NUMBERS.iter().flat_map(|(key, numbers)| numbers.iter().map(|&n| (*key, Value::F32(n as f32), Value::F32(7.5))));
    let flags = FLAGS.iter().map(|&(key, flag)| (key, Value::Bool(flag), Value::Bool(!flag)));
    let mut seen = BTreeSet::new();
    for (key, neutral, other) in numbers.chain(flags) {
        for model in models() {
            let full = format!("{}.{key}", model.split('+').next().unwrap());
            // What asks for the key has a meaning for it, and may want another type.
            if !with(model, key, neutral).is_ok_and(|ignored| ignored.contains(&full)) {
                continue;
            }
            match with(model, key, other) {
                Err(Refusal::Unsupported(words)) => {
                    assert!(words.contains(&format!("`{full}`")) && words.contains(&other.summary()), "{words}");
                    seen.insert(key);
                }
                // Of a model without experts, their keys say nothing.
                other => assert!(OF_EXPERTS.contains(&key) && other.is_ok_and(|ignored| ignored.contains(&full)), "{full}"),
            }
        }
    }
    let missing: Vec<_> =
        NUMBERS.iter().map(|row| row.0).chain(FLAGS.iter().map(|row| row.0)).filter(|key| !seen.contains(key)).collect();
    assert!(missing.is_empty(), "no architecture shows that another value is refused of {missing:?}");
}

#[test]
fn what_nobody_has_heard_of_is_refused_and_names_stand_once() {
    let refusal = with("llama", "no_such_key", Value::U32(0)).unwrap_err();
    assert!(format!("{refusal:?}").contains("does not know key `llama.no_such_key`"), "{refusal:?}");
    let names = |experts: bool| {
        let of_experts = if experts { &[] } else { OF_EXPERTS };
        SAYS_NOTHING.iter().chain(of_experts).map(|name| name.trim_end_matches('*'))
    };
    assert!(names(false).all(|name| of(name, false).is_some()));
    let numbers = NUMBERS.iter().map(|row| row.0).chain(FLAGS.iter().map(|row| row.0));
    let all: Vec<_> = names(true).chain(numbers).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
    // Of the two lists of experts, one says what holds of a model that has them.
    assert!(OF_EXPERTS.iter().all(|name| of(name, true).is_some_and(|neutral| neutral != super::Neutral::Any)));
}

/// Arrays of one value a layer: the same for all, or refused.
#[test]
fn layers_that_differ_are_refused_where_the_graph_has_one_number() {
    for name in models() {
        // Convolutions of LFM 2 have no heads, and experts of Qwen 3 no dense width.
        let keys = ["feed_forward_length", "attention.head_count", "attention.head_count_kv"];
        for key in keys.into_iter().filter(|key| !(name == "lfm2" && key.starts_with("attention"))) {
            let as_array = |change: i32| {
                load_with(name, |draft, name| {
                    let number = |draft: &mut Draft<'_>, key: &str| {
                        let bytes = draft.find_key(&format!("{name}.{key}")).unwrap().value.to_vec();
                        i32::from_le_bytes(bytes.try_into().unwrap())
                    };
                    let (layers, value) = (number(draft, "block_count"), number(draft, key));
                    let mut values = vec![value; layers as usize];
                    *values.last_mut().unwrap() += change;
                    draft.remove_key(&format!("{name}.{key}")).i32s(&format!("{name}.{key}"), &values);
                })
            };
            assert!(as_array(0).is_ok(), "{name} {key}");
            let refusal = format!("{:?}", as_array(2).unwrap_err());
            assert!(refusal.contains("does not know layers of different") && refusal.contains(key), "{refusal}");
        }
    }
}

/// Factors on matrices say nothing at 1.
#[test]
fn a_factor_of_one_is_passed_over_and_another_is_refused() {
    for model in models() {
        let matrix = if model == "lfm2" { "shortconv.out_proj" } else { "attn_output" };
        for ending in ["scale", "input_scale"] {
            let factor = |factor: f32| {
                load_with(model, |draft, _| {
                    draft.tensor(&format!("blk.0.{matrix}.{ending}"), &[1], WeightType::F32, factor.to_le_bytes().to_vec());
                })
            };
            assert!(factor(1.0).is_ok(), "{model}");
            assert!(format!("{:?}", factor(1.5).unwrap_err()).contains(ending), "{model}");
        }
    }
}
