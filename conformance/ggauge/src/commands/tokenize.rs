//! Prints the token ids of a text.

use crate::desk::{Desk, print};
use clap::Args;
use harness::subjects;
use machine::Error;
use printable::Page;
use supply::models;
use vocabulary::{Settings, Upshot};

/// Print the token ids of a text, with llama.cpp's tokenizer and the model's vocabulary.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A pinned model's name, or the path of a GGUF file, which may be a vocabulary alone.
    model: String,
    /// The text; special tokens in it are parsed, none is added.
    text: String,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { model, text } = arguments;
    let desk = Desk::open(true)?;
    let path = models::resolve_vocabulary(model, &desk.cache, desk.scratch()?, false, &desk.progress)?;
    let mut workers = desk.workers()?;
    let worker = workers.get(&subjects::LLAMA_CPP_CPU, Settings::Default);
    match worker.tokenize(&path, text)? {
        Ok(tokens) => {
            print(&Page::of_lines(&format!("{tokens:?}")))?;
            Ok(Upshot::Good)
        }
        Err(outcome) => {
            let why = outcome.detail().map_or_else(|| outcome.summary(), str::to_owned);
            Err(Error::input(model, why, "give a model with a vocabulary that llama.cpp reads").into())
        }
    }
}
