//! Texts that are mostly what tokenizers stumble over, and vocabularies to tokenise them with.
//!
//! The vocabularies are small and made here: byte-level BPE with merges under the splits that both runtimes have, and `SentencePiece`. Real
//! ones are held against each other by `ggauge tokenizers`.

use gguf::Draft;
use std::collections::BTreeSet;

/// A vocabulary.
#[derive(Debug)]
pub struct TinyVocabulary {
    /// What it is called.
    pub name: &'static str,
    /// `tokenizer.ggml.model`.
    pub model: &'static str,
    /// `tokenizer.ggml.pre`, where it is BPE.
    pub pre: &'static str,
    /// candle has the same split.
    pub candle: bool,
}

/// Every vocabulary.
pub static VOCABULARIES: [TinyVocabulary; 5] = [
    TinyVocabulary { name: "qwen2", model: "gpt2", pre: "qwen2", candle: true },
    TinyVocabulary { name: "smaug", model: "gpt2", pre: "smaug-bpe", candle: true },
    TinyVocabulary { name: "gpt-2", model: "gpt2", pre: "gpt-2", candle: false },
    TinyVocabulary { name: "llama-bpe", model: "gpt2", pre: "llama-bpe", candle: false },
    TinyVocabulary { name: "sentencepiece", model: "llama", pre: "", candle: false },
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

/// A text, and the vocabulary that it is tokenised with.
#[derive(Debug)]
pub struct TextCase {
    /// Where the vocabulary stands among [`VOCABULARIES`].
    pub number: usize,
    /// The vocabulary.
    pub vocabulary: &'static TinyVocabulary,
    /// The text.
    pub text: String,
}

impl TextCase {
    /// The case that an input stands for: its first byte is the vocabulary. `None` for no input.
    pub fn draw(input: &[u8]) -> Option<Self> {
        let (&number, rest) = input.split_first()?;
        let number = usize::from(number) % VOCABULARIES.len();
        Some(Self { number, vocabulary: VOCABULARIES.get(number)?, text: text(rest) })
    }

    /// True for a text that composing (NFC) may change: it has a character that joins with one before it, or stands for another one.
    pub fn may_be_composed(&self) -> bool {
        // What can be said without tables: Latin letters with their accents, symbols, kana, Han and Hangul syllables are composed already; but two
        // angle brackets among the symbols stand for others, and the tone marks between the punctuation and kana join.
        let is_composed = |c: char| matches!(c, '\0'..'\u{300}' | '\u{2002}'..'\u{20d0}' | '\u{2100}'..'\u{2126}' | '\u{2190}'..'\u{2329}' | '\u{232b}'..'\u{2adc}' | '\u{3000}'..'\u{302a}' | '\u{3030}'..'\u{3099}' | '\u{4e00}'..'\u{a000}' | '\u{ac00}'..'\u{d7a4}' | '\u{1f300}'..'\u{1fa00}' | '\u{feff}');
        !self.text.chars().all(is_composed)
    }
}

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

impl TinyVocabulary {
    /// The vocabulary as a file without tensors.
    pub fn file(&self) -> Vec<u8> {
        let mut draft = Draft::new();
        draft.str("general.architecture", "llama").str("tokenizer.ggml.model", self.model);
        draft
            .u32("llama.context_length", 16)
            .u32("llama.embedding_length", 8)
            .u32("llama.block_count", 1)
            .u32("llama.feed_forward_length", 8)
            .u32("llama.attention.head_count", 2)
            .f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
        match self.model {
            "gpt2" => byte_pairs(&mut draft, self.pre),
            _ => sentence_pieces(&mut draft),
        }
        draft.finish()
    }
}

/// The tokens of byte-level BPE: every byte, and [`WORDS`] put together from the left.
fn byte_pairs(draft: &mut Draft<'_>, pre: &str) {
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
        .str("tokenizer.ggml.pre", pre)
        .strings("tokenizer.ggml.tokens", &tokens)
        .i32s("tokenizer.ggml.token_type", &types)
        .strings("tokenizer.ggml.merges", &merges)
        .u32("tokenizer.ggml.bos_token_id", end)
        .u32("tokenizer.ggml.eos_token_id", end)
        .bool("tokenizer.ggml.add_bos_token", false);
}

/// The tokens of `SentencePiece`: special ones, every byte, and a few words.
fn sentence_pieces(draft: &mut Draft<'_>) {
    let special = ["<unk>", "<s>", "</s>"].map(String::from);
    let bytes = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>"));
    let words =
        ["\u{2581}", "\u{2581}the", "\u{2581}t", "he", "in", "er", "t", "h", "e", "i", "n", "r", "\u{e4}"].map(String::from);
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
