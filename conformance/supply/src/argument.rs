//! What an argument stands for that names a model.

use crate::manifests::Manifest;
use machine::Error;
use smith::Recipe;
use std::path::{Path, PathBuf};

/// What an argument stands for.
#[derive(Debug, Clone)]
pub enum ModelArgument {
    /// A pinned model, by its name.
    Pinned(Box<Manifest>),
    /// A tiny model.
    Recipe(Recipe),
    /// A file that is there.
    File(PathBuf),
}

impl ModelArgument {
    /// Finds what an argument stands for: a pinned model's name, a path, or a recipe, in this order.
    ///
    /// # Errors
    /// Where it is none of them, or a file of `corpora/models` is wrong.
    pub fn find(argument: &str) -> Result<Self, Error> {
        let manifests = Manifest::all()?;
        if let Some(manifest) = manifests.iter().find(|manifest| manifest.name == argument) {
            return Ok(Self::Pinned(Box::new(manifest.clone())));
        }
        if Path::new(argument).exists() {
            return Ok(Self::File(argument.into()));
        }
        argument.parse().map(Self::Recipe).map_err(|_| unknown(argument, &manifests))
    }
}

fn unknown(argument: &str, manifests: &[Manifest]) -> Error {
    let names: Vec<_> = manifests.iter().map(|manifest| manifest.name.as_str()).collect();
    let next = format!("give the path of a GGUF file, a pinned model ({}), or a recipe such as llama/q4_0@0", names.join(", "));
    Error::input(argument, "there is no such file and no pinned model of that name", next)
}
