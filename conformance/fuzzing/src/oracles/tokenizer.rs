//! llama.cpp's tokenizer against candle's, and back: what was tokenised gives the text again.

#[cfg(feature = "candle")]
use crate::known::By;
use crate::{
    generators::text::{TextCase, TinyVocabulary, VOCABULARIES},
    known, memory, statistics,
};

/// A vocabulary that the runtimes have loaded.
struct Loaded {
    #[cfg(feature = "llama-cpp")]
    llama_cpp: Option<subject_llama_cpp::probe::Model>,
    #[cfg(feature = "candle")]
    candle: Option<subject_candle::probe::Tokenizer>,
}

thread_local! {
    static LOADED: Vec<Loaded> = VOCABULARIES.iter().map(load).collect();
}

fn load(vocabulary: &TinyVocabulary) -> Loaded {
    let file = vocabulary.file();
    let path = memory::c_path(0, &file);
    #[cfg(feature = "llama-cpp")]
    subject_llama_cpp::probe::listen(known::is_known, known::passing_over());
    let loaded = Loaded {
        #[cfg(feature = "llama-cpp")]
        llama_cpp: subject_llama_cpp::probe::Model::load_vocabulary(&path).flatten(),
        #[cfg(feature = "candle")]
        candle: vocabulary.candle.then(|| subject_candle::probe::Tokenizer::open(&file)).flatten(),
    };
    #[cfg(feature = "llama-cpp")]
    assert!(loaded.llama_cpp.is_some(), "llama.cpp does not load the vocabulary {}", vocabulary.name);
    #[cfg(feature = "candle")]
    assert_eq!(loaded.candle.is_some(), vocabulary.candle, "candle does not load the vocabulary {}", vocabulary.name);
    loaded
}

/// Tokenises a text with every runtime that has the vocabulary's split.
///
/// # Panics
/// Where the runtimes differ or a text does not come back, and that is no filed finding.
pub fn check(case: &TextCase) {
    LOADED.with(|loaded| {
        if let Some(loaded) = loaded.get(case.number) {
            check_loaded(case, loaded);
        }
    });
}

fn check_loaded(case: &TextCase, loaded: &Loaded) {
    let TextCase { vocabulary, text, .. } = case;
    let name = vocabulary.name;
    #[cfg(feature = "llama-cpp")]
    let llama_cpp = loaded.llama_cpp.as_ref().and_then(|model| {
        let tokens = model.tokenize(text.as_bytes(), false, false)?;
        let Some(tokens) = tokens else {
            known::report(&format!("llama.cpp does not tokenise {text:?} with {name}"));
            return None;
        };
        statistics::count("tokenised");
        // The space of SentencePiece, where the text has it of its own, cannot be told from one that stands for a space.
        if vocabulary.model == "llama" && text.contains('\u{2581}') {
            return Some(tokens);
        }
        match model.detokenize(&tokens)? {
            Some(back) if back == text.as_bytes() => statistics::count("came back"),
            back => {
                let back = back.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let spaceless = |text: &str| text.replace(' ', "");
                let what = if back.as_ref().is_some_and(|back| spaceless(back) == spaceless(text)) {
                    "llama.cpp's detokeniser loses spaces"
                } else {
                    "llama.cpp's detokeniser loses text"
                };
                known::report(&format!("{what}: the tokens of {text:?} with {name} give back {back:?}"));
            }
        }
        Some(tokens)
    });
    #[cfg(feature = "candle")]
    let candle = loaded.candle.as_ref().and_then(|tokenizer| {
        if known::leave_out(|by| matches!(by, By::TokenizeByCandle(has) if has(case))) {
            return None;
        }
        let tokens = known::guard(|| tokenizer.tokenize(text))?;
        let Some(tokens) = tokens else {
            known::report(&format!("candle does not tokenise {text:?} with {name}"));
            return None;
        };
        let back = known::guard(|| tokenizer.detokenize(&tokens))?;
        if back.as_deref() != Some(text) {
            known::report(&format!("candle's detokeniser loses text: the tokens of {text:?} with {name} give back {back:?}"));
        }
        Some(tokens)
    });
    #[cfg(not(feature = "llama-cpp"))]
    let llama_cpp: Option<Vec<u32>> = None;
    #[cfg(not(feature = "candle"))]
    let candle: Option<Vec<u32>> = None;
    if let (Some(llama_cpp), Some(candle)) = (llama_cpp, candle) {
        statistics::count("compared");
        if llama_cpp != candle {
            known::report(&format!(
                "tokenisers disagree with {name}: {text:?} is {llama_cpp:?} to llama.cpp and {candle:?} to candle"
            ));
        }
    }
}
