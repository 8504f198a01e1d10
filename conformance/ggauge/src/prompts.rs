//! Not an API: the prompts that a model is run with, as texts where there is a tokenizer.

use harness::{subjects, worker::pool::Workers};
use machine::Error;
use supply::{
    models::Model,
    prompts::{self, Prompt},
};
use vocabulary::{Outcome, Settings};

/// The prompts of a model, checked against its header. llama.cpp turns texts into tokens.
///
/// # Errors
/// Where a prompt does not fit the model, or tokenizing ends in anything but a refusal.
pub fn of(model: &Model, workers: &mut Workers) -> Result<Vec<Prompt>, Error> {
    let prompts = prompts::of_model(model, |text| {
        match workers.get(&subjects::LLAMA_CPP_CPU, Settings::Default).tokenize(&model.path, text)? {
            Ok(tokens) => Ok(Some(tokens)),
            // Ramps of ids will do for a vocabulary that llama.cpp does not read, but a crash is not to be passed over.
            Err(Outcome::Unsupported { .. } | Outcome::Rejected(_)) => Ok(None),
            Err(outcome) => {
                let next = "give token ids with --tokens, so that no tokenizer is needed";
                Err(Error::input(&model.argument, format!("llama.cpp's tokenizer: {}", outcome.summary()), next))
            }
        }
    })?;
    prompts.iter().try_for_each(|prompt| prompts::check(prompt, model))?;
    Ok(prompts)
}
