//! Exact forms: the same values as f32, cut where they must be, and written anew where what lies there is something else.

use gguf::{Draft, File, Split, WeightType, codec};
use indicatif::ProgressBar;
use machine::cache::Cache;
use std::{fs, path::PathBuf};
use supply::{exact, models::Model};
use tempfile::TempDir;

const UNLIMITED: u64 = u64::MAX;

struct Place {
    folder: TempDir,
    cache: Cache,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { cache: Cache::at(&folder.path().join("cache")), folder }
    }

    /// The model of a recipe as a file that somebody gives.
    fn model(&self, recipe: &str) -> Model {
        let path = self.folder.path().join("given.gguf");
        fs::write(&path, recipe.parse::<smith::Recipe>().unwrap().build().unwrap()).unwrap();
        Model::open(&path, None, None, &self.cache, &ProgressBar::hidden()).unwrap()
    }

    fn exact(&self, model: &Model, budget: u64) -> Result<Model, String> {
        exact::of(model, budget, |_| true, &self.cache, &ProgressBar::hidden()).unwrap()
    }
}

/// The values of every tensor of a file, by name.
fn values(path: &PathBuf) -> Vec<(String, Vec<u64>, WeightType, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let split: Split<'_> = File::lenient(&bytes).unwrap().into();
    let of = |(data, tensor): (&[u8], &gguf::Tensor<'_>)| {
        let mut out = vec![0.0; tensor.elements() as usize];
        codec::decode(tensor.weight_type, data, &mut out).unwrap();
        (tensor.name.to_string(), tensor.dimensions.to_vec(), tensor.weight_type, out)
    };
    split.data().map(of).collect()
}

fn key(path: &PathBuf, key: &str) -> Option<u64> {
    File::lenient(&fs::read(path).unwrap()).unwrap().metadata().u64(key).unwrap()
}

#[test]
fn the_whole_form_has_every_value_as_f32() {
    let place = Place::new();
    let model = place.model("llama+rope-factors=4/q4_k");
    let exact = place.exact(&model, UNLIMITED).unwrap();
    assert_eq!((&*exact.name, &*exact.weights, exact.exact), (&*model.name, &*format!("{}-exact", model.weights), true));
    assert_eq!(exact.argument, model.argument, "a user gets it with the model's own argument");
    let (before, after) = (values(&model.path), values(&exact.path));
    assert_eq!(before.len(), after.len());
    assert!(before.iter().any(|(.., weight_type, _)| weight_type.is_quantized()));
    for ((name, dimensions, _, values), exact) in before.into_iter().zip(after) {
        assert_eq!(exact, (name, dimensions, WeightType::F32, values));
    }
}

#[test]
fn a_model_of_f32_is_its_own_exact_form() {
    let place = Place::new();
    let model = place.model("llama/f32");
    let exact = place.exact(&model, UNLIMITED).unwrap();
    assert_eq!((&exact.path, exact.exact, &*exact.weights), (&model.path, true, "f32-exact"));
}

#[test]
fn a_slice_has_the_first_layers_that_fit_and_one_of_each_kind() {
    let place = Place::new();
    let model = place.model("llama+layers=12/q8_0");
    let whole = values(&model.path);
    let bytes = |layers: usize| {
        let is_kept =
            |name: &str| !name.starts_with("blk.") || (0..layers).any(|layer| name.starts_with(&format!("blk.{layer}.")));
        whole.iter().filter(|(name, ..)| is_kept(name)).map(|(.., values)| values.len() as u64 * 4).sum::<u64>()
    };
    for (budget, layers) in [(bytes(12), 12), (bytes(12) - 1, 8), (bytes(8) - 1, 7), (bytes(1), 1)] {
        let exact = place.exact(&model, budget).unwrap();
        assert_eq!(key(&exact.path, "llama.block_count"), Some(layers), "{budget}");
        assert_eq!(exact.weights, if layers == 12 { "q8_0-exact".into() } else { format!("q8_0-exact-{layers}-layers") });
        let kept = values(&exact.path);
        assert_eq!(kept.iter().map(|(.., values)| values.len() as u64 * 4).sum::<u64>(), bytes(layers as usize));
        assert!(kept.iter().all(|(name, _, _, values)| whole.iter().any(|(other, _, _, all)| other == name && all == values)));
    }
    // Its attention is in the layers that its key lists; the first of them is the third.
    let hybrid = place.model("lfm2/q8_0");
    let least = place.exact(&hybrid, 1).unwrap_err();
    assert!(least.contains("a layer of each kind") && least.contains("--exact-memory"), "{least}");
}

#[test]
fn a_vocabulary_is_cut_where_embeddings_alone_are_too_large() {
    const TOKENS: usize = 4096;
    let place = Place::new();
    let bytes = "llama+layers=4/q8_0".parse::<smith::Recipe>().unwrap().build().unwrap();
    let mut draft = Draft::from(&File::strict(&bytes).unwrap());
    for tensor in
        draft.tensors.iter_mut().filter(|tensor| [&b"token_embd.weight"[..], b"output.weight"].contains(&&*tensor.name))
    {
        let row = tensor.data.len() / tensor.dimensions[1] as usize;
        tensor.data = tensor.data.iter().copied().cycle().take(row * TOKENS).collect();
        tensor.dimensions[1] = TOKENS as u64;
    }
    draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    draft.tail = None;
    let path = place.folder.path().join("many-tokens.gguf");
    fs::write(&path, draft.finish()).unwrap();
    let model = Model::open(&path, None, None, &place.cache, &ProgressBar::hidden()).unwrap();
    let all = values(&path);
    let is_kept = |name: &str| !name.starts_with("blk.") || name.starts_with("blk.0.");
    let a_row = |dimensions: &[u64]| if dimensions.get(1) == Some(&(TOKENS as u64)) { dimensions[0] * 4 } else { 0 };
    let of_a_token: u64 = all.iter().map(|(_, dimensions, ..)| a_row(dimensions)).sum();
    let kept: u64 = all.iter().filter(|(name, ..)| is_kept(name)).map(|(.., values)| values.len() as u64 * 4).sum();
    let exact = place.exact(&model, kept - 1000 * of_a_token).unwrap();
    assert_eq!((&*exact.weights, exact.vocabulary_size), ("q8_0-exact-1-layers-3096-tokens", 3096));
    assert_eq!(key(&exact.path, "llama.vocab_size"), Some(3096));
    let file = fs::read(&exact.path).unwrap();
    let keys: Vec<String> = File::lenient(&file).unwrap().metadata().iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys.iter().filter(|key| key.starts_with("tokenizer.")).collect::<Vec<_>>(), ["tokenizer.ggml.model"]);
    for (name, _, _, values) in values(&exact.path) {
        let (.., before) = all.iter().find(|(other, ..)| *other == name).unwrap();
        assert!(before.starts_with(&values), "{name}");
    }
    let why = place.exact(&model, kept - 3500 * of_a_token).unwrap_err();
    assert!(why.contains("1024 tokens take") && why.contains("--exact-memory"), "{why}");
}

#[test]
fn what_lies_in_the_cache_is_used_again_and_written_anew_where_it_is_something_else() {
    let place = Place::new();
    let model = place.model("llama/q4_0");
    let exact = place.exact(&model, UNLIMITED).unwrap();
    let written = || fs::metadata(&exact.path).unwrap().modified().unwrap();
    let before = written();
    assert_eq!(place.exact(&model, UNLIMITED).unwrap().sha256, exact.sha256);
    assert_eq!(written(), before, "used as it lay there");
    let whole = fs::read(&exact.path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for broken in [&flipped[..], &whole[..whole.len() - 4]] {
        fs::write(&exact.path, broken).unwrap();
        assert_eq!(place.exact(&model, UNLIMITED).unwrap().sha256, exact.sha256);
        assert!(fs::read(&exact.path).unwrap() == whole);
    }
}
