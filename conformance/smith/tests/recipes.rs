//! The laws of the generator: valid, deterministic, small, and the same bytes everywhere.

use sha2::{Digest, Sha256};
use smith::{Architecture, Recipe};

fn recipes(seed: u64) -> impl Iterator<Item = Recipe> {
    let weights = move |architecture| Recipe::WEIGHTS.map(|weights| Recipe::new(architecture, weights, seed));
    Architecture::ALL.into_iter().flat_map(weights)
}

/// Every hyper-parameter changed, one at a time.
fn variants() -> impl Iterator<Item = Recipe> {
    Architecture::ALL.into_iter().flat_map(|architecture| {
        architecture.parameters().map(move |parameter| {
            let value = match (parameter.name, parameter.default) {
                ("width", _) => "128",
                ("head", _) => "96",
                ("heads", _) => "8",
                ("kv-heads", 4.0) => "2",
                ("hidden" | "expert-hidden", _) => "192",
                ("rope-scaling", _) => "yarn",
                ("rotated", _) => "0.25",
                ("experts", _) => "3",
                ("kv-heads" | "experts-used", _) | (_, 0.0) => "1",
                (_, 1.0) => "0",
                _ => "7",
            };
            format!("{}+{}={value}/f32", architecture.name(), parameter.name).parse().unwrap()
        })
    })
}

#[test]
fn every_recipe_is_a_valid_file_of_its_own_name_and_small() {
    for recipe in recipes(3).chain(variants()) {
        let bytes = recipe.build().unwrap();
        let file = gguf::File::strict(&bytes).unwrap_or_else(|finding| panic!("{recipe}: {finding}"));
        assert!(file.tolerated().is_empty(), "{recipe}: {:?}", file.tolerated());
        assert_eq!(file.architecture().unwrap(), recipe.architecture.name());
        assert_eq!(file.dominant_weight_type(), Some(recipe.weights), "{recipe}");
        // Blocks of 256 elements force a width of 256, candle forces SmolLM 3 to heads of 128, and a recipe can ask for more; everything else
        // stays well under 1 MiB.
        let limit = if recipe.weights.block_len() == 256 || recipe.model() != recipe.architecture.name() {
            4 << 20
        } else if recipe.architecture == Architecture::Smollm3 {
            2 << 20
        } else {
            1 << 20
        };
        assert!(bytes.len() < limit, "{recipe}: {} bytes", bytes.len());
        assert_eq!(bytes, recipe.build().unwrap());
        assert_eq!(recipe, recipe.to_string().parse().unwrap());
    }
}

#[test]
fn the_seed_matters() {
    let [a, b] = [1, 2].map(|seed| recipes(seed).next().unwrap().build().unwrap());
    assert_eq!(a.len(), b.len());
    assert_ne!(a, b);
}

/// The same bytes on every platform. A change here is a change of every tiny model: goldens and calibration follow.
#[test]
fn the_bytes_are_pinned() {
    let mut all = Sha256::new();
    for recipe in recipes(1).chain(variants()) {
        all.update(recipe.build().unwrap());
    }
    let digest: String = all.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "762d2107d26695141aca9d7ddb4b6c97d3cc2b0efe6ba1fbef9fe076150d93f4");
}

#[test]
fn what_is_no_recipe_says_why() {
    for (text, part) in [
        ("llama", "no `/`"),
        ("lama/f32", "architectures are llama"),
        ("llama/q9", "one of f32"),
        ("llama/q8_k", "cannot be"),
        ("llama+window=3/f32", "llama has no number `window`; it has layers"),
        ("llama+heads/f32", "no `=`"),
        ("llama+heads=x/f32", "heads: invalid float"),
        ("llama+heads=-1/f32", "from 0"),
        ("llama+heads=NaN/f32", "from 0"),
        ("llama+heads=3/f32", "do not share"),
        ("llama+heads=8+heads=4/f32", "twice"),
        ("llama+hidden=40/q4_0", "not whole blocks of 32"),
        ("llama+layers=900000000/f32", "more than"),
        ("llama+rope-scaling=ntk/f32", "one of none, linear, yarn"),
        ("llama+experts=2+experts-used=3/f32", "3 of 2 experts"),
        ("llama+width=1000000000+experts=1000/f32", "more than"),
        ("lfm2+reach=1000000000/f32", "more than"),
        ("lfm2+reach=1/f32", "less than 2"),
        ("qwen3moe+expert-hidden=100/q4_k", "not whole blocks"),
        ("qwen3moe+experts=0/f32", "no experts"),
        ("llama+heads=0/f32", "do not share"),
        ("llama+layers=0/f32", "no layers"),
        ("llama+layers=2.5/f32", "whole number"),
        ("phi3+rotated=0/f32", "no element"),
    ] {
        let error = text.parse::<Recipe>().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// Tensors that our reader does not ask for.
fn may_be_missing(architecture: Architecture, tensor: &str) -> bool {
    let is_bias = tensor.ends_with("bias") && !tensor.contains("_norm");
    is_bias || tensor.starts_with("rope_") || tensor == "output.weight" && architecture != Architecture::Olmo2
}

fn rule_of(draft: &gguf::Draft<'_>) -> Option<gguf::Rule> {
    gguf::File::strict(&draft.finish()).err().map(|finding| finding.rule)
}

/// The strict reader knows the whole of every model that is made here.
#[test]
fn a_tensor_that_is_missing_or_has_another_shape_and_a_key_of_another_type_are_refused() {
    let plain = Architecture::ALL.map(|architecture| Recipe::new(architecture, gguf::WeightType::F32, 1));
    for recipe in plain.into_iter().chain(variants()) {
        let bytes = recipe.build().unwrap();
        let file = gguf::File::strict(&bytes).unwrap();
        for (index, tensor) in file.tensors().iter().enumerate() {
            let name = tensor.name.to_string();
            let mut draft = gguf::Draft::from(&file);
            draft.tensors.remove(index);
            draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
            draft.tail = None;
            let expected = (!may_be_missing(recipe.architecture, &name)).then_some(gguf::Rule::TensorMissing);
            assert_eq!(rule_of(&draft), expected, "{recipe} without {name}");

            let mut draft = gguf::Draft::from(&file);
            let elements = draft.tensors[index].dimensions.iter().product();
            // The same bytes in another shape.
            draft.tensors[index].dimensions = vec![1, 1, elements];
            assert_eq!(rule_of(&draft), Some(gguf::Rule::TensorShape), "{recipe}: {name}");
        }
        let own = format!("{}.", recipe.architecture.name());
        for (key, _) in file.metadata().iter().filter(|(key, _)| key.starts_with(own.as_bytes())) {
            let mut draft = gguf::Draft::from(&file);
            let key = std::str::from_utf8(key).unwrap();
            draft.remove_key(key).bool(key, true);
            let is_flag = key.contains(".finetuned");
            assert_eq!(rule_of(&draft), (!is_flag).then_some(gguf::Rule::KeyType), "{recipe}: {key}");
        }
    }
}

/// Gemma 2's output is its embedding, Granite norms no head, and `OLMo` 2 norms nothing on its way in.
#[test]
fn a_tensor_that_only_others_have_is_noticed() {
    for (recipe, tensor, dimensions) in [
        ("gemma2/f32", "output.weight", &[64, 320][..]),
        ("granite/f32", "blk.0.attn_q_norm.weight", &[16]),
        ("olmo2/f32", "blk.0.attn_norm.weight", &[64]),
        ("olmo2/f32", "blk.0.ffn_norm.weight", &[64]),
    ] {
        let bytes = recipe.parse::<Recipe>().unwrap().build().unwrap();
        let mut draft = gguf::Draft::from(&gguf::File::strict(&bytes).unwrap());
        draft.tail = None;
        let elements: u64 = dimensions.iter().product();
        draft.tensor(tensor, dimensions, gguf::WeightType::F32, vec![0; elements as usize * 4]);
        let bytes = draft.finish();
        let file = gguf::File::strict(&bytes).unwrap();
        let found: Vec<gguf::Rule> = file.tolerated().iter().map(|tolerated| tolerated.finding.rule).collect();
        assert_eq!(found, [gguf::Rule::TensorUnexpected], "{recipe} with {tensor}");
    }
}

#[test]
fn granite_must_say_by_what_logits_are_divided() {
    let bytes = "granite/f32".parse::<Recipe>().unwrap().build().unwrap();
    let mut draft = gguf::Draft::from(&gguf::File::strict(&bytes).unwrap());
    draft.remove_key("granite.logit_scale");
    assert_eq!(rule_of(&draft), Some(gguf::Rule::KeyMissing));
}

#[test]
fn which_layers_have_windows_can_be_said_of_each() {
    let bytes = "gemma2/f32".parse::<Recipe>().unwrap().build().unwrap();
    let file = gguf::File::strict(&bytes).unwrap();
    let mut by_layer = gguf::Draft::from(&file);
    by_layer.i32s("gemma2.attention.sliding_window_pattern", &[1, 0]);
    assert_eq!(rule_of(&by_layer), None);
    let mut by_word = gguf::Draft::from(&file);
    by_word.strings("gemma2.attention.sliding_window_pattern", &["sliding", "global"]);
    assert_eq!(rule_of(&by_word), Some(gguf::Rule::KeyType));
}

/// `Draft::break_rule` on real models, of every family of weights.
#[test]
fn a_recipe_written_back_breaks_one_rule_and_no_other() {
    let chosen =
        ["llama/f32@1", "llama/q4_0@1", "gemma3/f16@1", "gemma3/q6_k@1", "gemma2/f32@1", "granite/f32@1", "olmo2/q4_0@1"];
    for recipe in chosen {
        let bytes = recipe.parse::<Recipe>().unwrap().build().unwrap();
        let file = gguf::File::strict(&bytes).unwrap();
        assert_eq!(gguf::Draft::from(&file).finish(), bytes, "{recipe}");
        for &rule in gguf::Rule::ALL {
            let mut draft = gguf::Draft::from(&file);
            if draft.break_rule(rule).is_err() {
                assert!(
                    matches!(rule, gguf::Rule::QuantizationVersion | gguf::Rule::SplitShards),
                    "{recipe} cannot break {rule}"
                );
                continue;
            }
            let broken = draft.finish();
            let found: Vec<gguf::Rule> = match gguf::File::lenient(&broken) {
                Ok(file) => file.tolerated().iter().map(|tolerated| tolerated.finding.rule).collect(),
                Err(finding) => vec![finding.rule],
            };
            assert_eq!(found, [rule], "{recipe}");
        }
    }
}

#[test]
fn a_model_has_one_name() {
    let recipe: Recipe = "llama+tied=1+heads=8+layers=2/f32@3".parse().unwrap();
    assert_eq!(recipe.to_string(), "llama+heads=8+tied=1/f32@3");
    assert_eq!(recipe.model(), "llama+heads=8+tied=1");
}
