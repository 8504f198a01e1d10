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

/// `Draft::break_rule` on real models, of every family of weights.
#[test]
fn a_recipe_written_back_breaks_one_rule_and_no_other() {
    for recipe in ["llama/f32@1", "llama/q4_0@1", "gemma3/f16@1", "gemma3/q6_k@1"] {
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
