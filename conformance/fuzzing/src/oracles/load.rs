//! Loaders on hostile models: no crash, no abort, no hang, no flood of memory, as far as the model says nothing that is filed.

use crate::{
    generators::models::Mutated,
    known::{self, By},
    memory, statistics,
};
use vocabulary::Reached;

/// Counts how far an input came.
fn reached(stage: Reached) {
    statistics::count(stage.words());
}

/// Through candle's loaders.
#[cfg(feature = "candle")]
pub fn candle(model: &Mutated) {
    // candle has no split models and no adapters.
    let Some(bytes) = model.files.first() else { return };
    if known::leave_out(|by| matches!(by, By::LoadByCandle(has) if has(&model.traits))) {
        return;
    }
    let path = memory::file(0, bytes);
    if let Some(stage) = known::guard(|| subject_candle::probe::load_and_evaluate(bytes, &path, model.tokens)) {
        reached(stage);
    }
}

/// Whole, split and with adapters, through llama.cpp's loader.
#[cfg(feature = "llama-cpp")]
pub fn llama_cpp(mutated: &Mutated) {
    use subject_llama_cpp::probe::{self, Model, Options};
    if known::leave_out(|by| matches!(by, By::LoadByLlamaCpp(has) if has(&mutated.traits))) {
        return;
    }
    probe::listen(known::is_known, known::passing_over());
    let paths: Vec<_> = mutated.files.iter().enumerate().map(|(slot, bytes)| memory::c_path(slot, bytes)).collect();
    let options = Options { map: mutated.map, check_tensors: mutated.check_tensors };
    let model = match Model::load(&paths, options) {
        None => return,
        Some(Err(stage)) => return reached(stage),
        Some(Ok(model)) => model,
    };
    if let Some(adapter) = &mutated.adapter
        && model.adapt(&memory::c_path(2, adapter)) == Some(true)
    {
        statistics::count("adapter taken");
    }
    if !known::leave_out(|by| matches!(by, By::TokenizeByLlamaCpp(has) if has(mutated)))
        && let Some(Some(tokens)) = model.tokenize(mutated.text.as_bytes(), true, true)
    {
        statistics::count("tokenised");
        if model.detokenize(&tokens) == Some(None) {
            statistics::count("not detokenised");
        }
    }
    if known::leave_out(|by| matches!(by, By::EvaluateByLlamaCpp(has) if has(&mutated.traits))) {
        return;
    }
    if let Some(stage) = model.evaluate_two(mutated.tokens) {
        reached(stage);
    }
}
