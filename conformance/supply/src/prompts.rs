//! Prompts: fixed token ids per model with the text beside them, so that a tokenizer's change never looks like a runtime's.

use crate::models::Model;
use include_dir::{Dir, include_dir};
use machine::Error;
use serde::Deserialize;
use smith::Recipe;
use std::collections::BTreeMap;

static PROMPTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../corpora/prompts");

/// A prompt as `corpora/prompts` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptFile {
    /// What this prompt is there to find.
    pub about: String,
    /// The text; empty where the prompt is BOS alone.
    pub text: String,
    /// False for the one prompt that is fed without BOS.
    #[serde(default = "yes")]
    pub bos: bool,
    /// True for prompts short enough for a GPU that is emulated on the CPU.
    #[serde(default)]
    pub short: bool,
    /// The prompt is cut to this many tokens.
    pub length: Option<usize>,
    /// Token ids by the name of the pinned model.
    pub tokens: BTreeMap<String, Vec<u32>>,
}

impl PromptFile {
    /// The prompt's ids from a model's BOS and the ids of the text.
    pub fn assemble(&self, bos: Option<u32>, text: Vec<u32>) -> Vec<u32> {
        let bos = bos.filter(|_| self.bos);
        bos.into_iter().chain(text).take(self.length.unwrap_or(usize::MAX)).collect()
    }
}

fn yes() -> bool {
    true
}

/// A prompt for one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The name in case ids.
    pub name: String,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// True for prompts short enough for a GPU that is emulated on the CPU.
    pub short: bool,
}

/// Every prompt by name.
///
/// # Errors
/// Where a file of `corpora/prompts` is wrong.
pub fn all() -> Result<BTreeMap<String, PromptFile>, Error> {
    PROMPTS
        .files()
        .map(|file| {
            let name = file.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let wrong =
                |error: toml::de::Error| Error::input(format!("corpora/prompts/{name}.toml"), error, "correct the file");
            let prompt = toml::from_str(file.contents_utf8().unwrap_or_default()).map_err(wrong)?;
            Ok((name, prompt))
        })
        .collect()
}

/// Lengths of the prompts that tiny models get: shorter than their window, and longer.
const RAMPS: [usize; 2] = [8, 40];

/// The prompts of every tiny model.
pub fn of_tiny_models() -> Vec<Prompt> {
    RAMPS.map(|len| Prompt { name: format!("ramp-{len}"), tokens: Recipe::ramp(len), short: true }).into()
}

/// The prompts a model is run with. A model that is not pinned needs a tokenizer: `tokenize` gives a text's ids, or nothing where
/// no subject can; then it gets ramps of ids, as tiny models do.
///
/// # Errors
/// Where a file of `corpora/prompts` is wrong, or tokenizing fails.
pub fn of_model(
    model: &Model,
    mut tokenize: impl FnMut(&str) -> Result<Option<Vec<u32>>, Error>,
) -> Result<Vec<Prompt>, Error> {
    if model.is_tiny() {
        return Ok(of_tiny_models());
    }
    let mut prompts = Vec::new();
    for (name, file) in all()? {
        let tokens = match file.tokens.get(&model.name) {
            Some(tokens) => tokens.clone(),
            None => match tokenize(&file.text)? {
                Some(text) => file.assemble(model.bos, text),
                None => return Ok(ramps_for(model)),
            },
        };
        prompts.push(Prompt { name, tokens, short: file.short });
    }
    // A model of the user's may know no BOS, or have a shorter context than the prompts were made for.
    let context = model.context_length.map_or(usize::MAX, |context| usize::try_from(context).unwrap_or(usize::MAX));
    for prompt in &mut prompts {
        prompt.tokens.truncate(context);
    }
    prompts.retain(|prompt| !prompt.tokens.is_empty());
    Ok(prompts)
}

/// Ramps of ids spread over the vocabulary, for a model that no subject can tokenize for.
fn ramps_for(model: &Model) -> Vec<Prompt> {
    let size = model.vocabulary_size.max(1);
    let token = |i: usize| if i == 0 { model.bos.unwrap_or(0) } else { (i as u64 * 7919 % size) as u32 };
    let ramp = |len: usize| Prompt { name: format!("ramp-{len}"), tokens: (0..len).map(token).collect(), short: true };
    RAMPS.map(ramp).into()
}

/// Checks a prompt against what the model's header allows.
///
/// # Errors
/// For an empty prompt, an id outside the vocabulary, and a prompt longer than the context.
pub fn check(prompt: &Prompt, model: &Model) -> Result<(), Error> {
    let wrong =
        |why: String, next: &str| Err(Error::input(format!("prompt {} for {}", prompt.name, model.argument), why, next));
    if prompt.tokens.is_empty() {
        return wrong("it is empty".into(), "give at least one token id");
    }
    if let Some(token) = prompt.tokens.iter().find(|&&token| u64::from(token) >= model.vocabulary_size) {
        let why = format!("token id {token} is outside the model's vocabulary of {}", model.vocabulary_size);
        return wrong(why, "give ids below the size of the vocabulary");
    }
    match model.context_length {
        Some(context) if prompt.tokens.len() as u64 > context => {
            let why = format!("it has {} tokens, and the model's context is {context}", prompt.tokens.len());
            wrong(why, "give a shorter prompt")
        }
        _ => Ok(()),
    }
}
