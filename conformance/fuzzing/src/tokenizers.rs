//! llama.cpp's tokenizer against candle's over several vocabularies, on text that is mostly what tokenizers stumble over; and back: what
//! was tokenised gives the text again.
//!
//! The vocabularies are small and made here: byte-level BPE with merges under the splits that both runtimes have, and `SentencePiece`. Real
//! ones are held against each other by `ggauge tokenizers`.

use crate::{findings, memory, statistics};
use gguf::Draft;
use std::collections::BTreeSet;

/// A vocabulary.
struct Vocabulary {
    name: &'static str,
    /// `tokenizer.ggml.model`.
    model: &'static str,
    /// `tokenizer.ggml.pre`, where it is BPE.
    pre: &'static str,
    /// candle has the same split.
    candle: bool,
}

const VOCABULARIES: [Vocabulary; 5] = [
    Vocabulary { name: "qwen2", model: "gpt2", pre: "qwen2", candle: true },
    Vocabulary { name: "smaug", model: "gpt2", pre: "smaug-bpe", candle: true },
    Vocabulary { name: "gpt-2", model: "gpt2", pre: "gpt-2", candle: false },
    Vocabulary { name: "llama-bpe", model: "gpt2", pre: "llama-bpe", candle: false },
    Vocabulary { name: "sentencepiece", model: "llama", pre: "", candle: false },
];

/// What texts are put together from, beside the input's own bytes: one of each kind that a split or a normaliser treats in its own way.
const PIECES: [&str; 32] = [
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "the",
    "The",
    " the",
    "in",
    "er",
    "'s",
    "'LL",
    "don't",
    "1",
    "12",
    "1234",
    ".",
    "...",
    "!?",
    "_",
    "\u{e4}",
    "a\u{308}",
    "\u{20ac}",
    "\u{1f600}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{4e2d}\u{6587}",
    "\u{d55c}",
    "\u{a0}",
    "\u{3000}",
    "\u{2581}",
    "\u{feff}",
    "\u{0}",
];

/// The text of an input: bytes below 64 are pieces, the others letters, or code points of two bytes.
fn text(input: &[u8]) -> String {
    let mut text = String::new();
    let mut bytes = input.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            0..64 => text.push_str(PIECES[byte as usize % PIECES.len()]),
            64..192 => text.push(char::from(byte & 0x7f)),
            _ => {
                let next = bytes.next().copied().unwrap_or(0);
                let point = u32::from(byte & 0x3f) << 8 | u32::from(next);
                text.extend(char::from_u32(point));
            }
        }
    }
    text
}

/// The letters that stand for bytes in byte-level BPE, as GPT-2 has them.
fn letter(byte: u8) -> char {
    let is_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if is_itself(byte) {
        return char::from(byte);
    }
    // The others get the code points from 256 on, in order.
    let before = (0..byte).filter(|&byte| !is_itself(byte)).count() as u32;
    char::from_u32(256 + before).unwrap_or('?')
}

/// Texts whose pairs, and pairs of these, are the merges.
const WORDS: [&str; 16] = [
    "the",
    " the",
    " in",
    "ing",
    "er",
    "12",
    "34",
    "...",
    "\u{e4}",
    "\u{20ac}",
    "\u{4e2d}\u{6587}",
    "'s",
    "  ",
    "\n\n",
    " a",
    "\u{1f600}",
];

impl Vocabulary {
    /// The vocabulary as a file without tensors.
    fn file(&self) -> Vec<u8> {
        let mut draft = Draft::new();
        draft.str("general.architecture", "llama").str("tokenizer.ggml.model", self.model);
        draft
            .u32("llama.context_length", 16)
            .u32("llama.embedding_length", 8)
            .u32("llama.block_count", 1)
            .u32("llama.feed_forward_length", 8)
            .u32("llama.attention.head_count", 2)
            .f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
        if self.model == "gpt2" {
            let mut tokens: Vec<String> = (0..=u8::MAX).map(|byte| letter(byte).to_string()).collect();
            let mut have: BTreeSet<String> = tokens.iter().cloned().collect();
            let mut merges = Vec::new();
            for word in WORDS {
                let letters: Vec<char> = word.bytes().map(letter).collect();
                // From the left, so that every merge's parts are tokens before it.
                for len in 2..=letters.len() {
                    let (head, last) = (&letters[..len - 1], letters[len - 1]);
                    let whole: String = letters[..len].iter().collect();
                    if have.insert(whole.clone()) {
                        merges.push(format!("{} {last}", head.iter().collect::<String>()));
                        tokens.push(whole);
                    }
                }
            }
            tokens.push("<|end|>".into());
            let mut types = vec![1; tokens.len()];
            if let Some(last) = types.last_mut() {
                *last = 3;
            }
            let end = tokens.len() as u32 - 1;
            draft
                .str("tokenizer.ggml.pre", self.pre)
                .strings("tokenizer.ggml.tokens", &tokens)
                .i32s("tokenizer.ggml.token_type", &types)
                .strings("tokenizer.ggml.merges", &merges)
                .u32("tokenizer.ggml.bos_token_id", end)
                .u32("tokenizer.ggml.eos_token_id", end)
                .bool("tokenizer.ggml.add_bos_token", false);
        } else {
            let special = ["<unk>", "<s>", "</s>"].map(String::from);
            let bytes = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>"));
            let words = ["\u{2581}", "\u{2581}the", "\u{2581}t", "he", "in", "er", "t", "h", "e", "i", "n", "r", "\u{e4}"]
                .map(String::from);
            let tokens: Vec<String> = special.into_iter().chain(bytes).chain(words).collect();
            let kind = |id: usize| match id {
                0 => 2,
                1 | 2 => 3,
                3..259 => 6,
                _ => 1,
            };
            let types: Vec<i32> = (0..tokens.len()).map(kind).collect();
            let scores: Vec<f32> = (0..tokens.len()).map(|id| -(id.saturating_sub(258) as f32)).collect();
            draft
                .strings("tokenizer.ggml.tokens", &tokens)
                .f32s("tokenizer.ggml.scores", &scores)
                .i32s("tokenizer.ggml.token_type", &types)
                .u32("tokenizer.ggml.bos_token_id", 1)
                .u32("tokenizer.ggml.eos_token_id", 2)
                .u32("tokenizer.ggml.unknown_token_id", 0)
                .bool("tokenizer.ggml.add_bos_token", false)
                .bool("tokenizer.ggml.add_space_prefix", false);
        }
        draft.finish()
    }
}

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

fn load(vocabulary: &Vocabulary) -> Loaded {
    let file = vocabulary.file();
    let path = memory::c_path(0, &file);
    #[cfg(feature = "llama-cpp")]
    subject_llama_cpp::probe::listen(findings::is_known, findings::passing_over());
    let loaded = Loaded {
        #[cfg(feature = "llama-cpp")]
        llama_cpp: subject_llama_cpp::probe::Model::load_vocabulary(&path).flatten(),
        #[cfg(feature = "candle")]
        candle: vocabulary.candle.then(|| subject_candle::probe::Tokenizer::open(&file)).flatten(),
    };
    let _ = (path, vocabulary.candle);
    #[cfg(feature = "llama-cpp")]
    assert!(loaded.llama_cpp.is_some(), "llama.cpp does not load the vocabulary {}", vocabulary.name);
    #[cfg(feature = "candle")]
    assert_eq!(loaded.candle.is_some(), vocabulary.candle, "candle does not load the vocabulary {}", vocabulary.name);
    loaded
}

/// True for a text that composing (NFC) may change: it has a character that joins with one before it, or stands for another one.
#[cfg(feature = "candle")]
fn may_be_composed(text: &str) -> bool {
    // What can be said without tables: Latin letters with their accents, symbols, kana, Han and Hangul syllables are composed already; but two
    // angle brackets among the symbols stand for others, and the tone marks between the punctuation and kana join.
    let is_composed = |c: char| matches!(c, '\0'..'\u{300}' | '\u{2002}'..'\u{20d0}' | '\u{2100}'..'\u{2126}' | '\u{2190}'..'\u{2329}' | '\u{232b}'..'\u{2adc}' | '\u{3000}'..'\u{302a}' | '\u{3030}'..'\u{3099}' | '\u{4e00}'..'\u{a000}' | '\u{ac00}'..'\u{d7a4}' | '\u{1f300}'..'\u{1fa00}' | '\u{feff}');
    !text.chars().all(is_composed)
}

/// Runs the target; the module says what it checks.
///
/// # Panics
/// Where the runtimes differ or a text does not come back, and that is no filed finding.
pub fn tokenizer(input: &[u8]) {
    let Some((&number, rest)) = input.split_first() else { return };
    let number = number as usize % VOCABULARIES.len();
    let text = text(rest);
    LOADED.with(|loaded| {
        if let (Some(vocabulary), Some(loaded)) = (VOCABULARIES.get(number), loaded.get(number)) {
            check(vocabulary, loaded, &text);
        }
    });
}

fn check(vocabulary: &Vocabulary, loaded: &Loaded, text: &str) {
    let name = vocabulary.name;
    #[cfg(feature = "llama-cpp")]
    let llama_cpp = loaded.llama_cpp.as_ref().and_then(|model| {
        let tokens = model.tokenize(text.as_bytes(), false, false)?;
        let Some(tokens) = tokens else {
            findings::report(&format!("llama.cpp does not tokenise {text:?} with {name}"));
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
                findings::report(&format!("{what}: the tokens of {text:?} with {name} give back {back:?}"));
            }
        }
        Some(tokens)
    });
    #[cfg(feature = "candle")]
    let candle = loaded.candle.as_ref().and_then(|tokenizer| {
        if findings::leave_out("CNDL-F02", vocabulary.pre == "qwen2" && may_be_composed(text)) {
            return None;
        }
        let tokens = findings::guard(|| tokenizer.tokenize(text))?;
        let Some(tokens) = tokens else {
            findings::report(&format!("candle does not tokenise {text:?} with {name}"));
            return None;
        };
        let back = findings::guard(|| tokenizer.detokenize(&tokens))?;
        if back.as_deref() != Some(text) {
            findings::report(&format!(
                "candle's detokeniser loses text: the tokens of {text:?} with {name} give back {back:?}"
            ));
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
            findings::report(&format!(
                "tokenisers disagree with {name}: {text:?} is {llama_cpp:?} to llama.cpp and {candle:?} to candle"
            ));
        }
    }
    let _ = loaded;
}
