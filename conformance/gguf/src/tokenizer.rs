//! The tokenizer's keys: arrays of one length, types that exist, and special tokens that are tokens; and the texts that tokens stand for.

use crate::{Array, Finding, Metadata, Rule, Value, ValueType, metadata::Entry, rules::Findings};
use std::collections::BTreeMap;

/// Arrays that say something of each token, with their element type, and whether they are as long as the vocabulary.
const ARRAYS: [(&str, ValueType, bool); 5] = [
    ("tokenizer.ggml.tokens", ValueType::String, true),
    ("tokenizer.ggml.scores", ValueType::F32, true),
    ("tokenizer.ggml.token_type", ValueType::I32, true),
    ("tokenizer.ggml.merges", ValueType::String, false),
    ("tokenizer.ggml.added_tokens", ValueType::String, false),
];

pub(crate) fn check(metadata: &Metadata<'_>, findings: &mut Findings) -> Result<(), Finding> {
    let mut tokens = None;
    for (key, element_type, per_token) in ARRAYS {
        let Some(entry) = metadata.entry(key) else { continue };
        let Some(array) = array_of(entry.value, element_type) else {
            let expected = format!("an array of {}", element_type.name());
            findings.report(Rule::KeyType, || Metadata::wrong_type(entry, &expected))?;
            continue;
        };
        match tokens {
            None => tokens = (key == "tokenizer.ggml.tokens").then_some(array.len()),
            Some(len) if per_token && array.len() != len => findings.report(Rule::TokenizerLengths, || {
                let found = format!("{} elements", array.len());
                Metadata::finding(Rule::TokenizerLengths, entry, found, &format!("{len}, one for each token"))
            })?,
            Some(_) => {}
        }
        if key == "tokenizer.ggml.token_type" {
            check_types(entry, array, findings)?;
        }
    }
    check_special(metadata, tokens, findings)
}

fn array_of(value: Value<'_>, element_type: ValueType) -> Option<Array<'_>> {
    match value {
        Value::Array(array) if array.element_type() == element_type => Some(array),
        _ => None,
    }
}

fn check_types(entry: &Entry<'_>, array: Array<'_>, findings: &mut Findings) -> Result<(), Finding> {
    // Straight from the bytes, because there are as many as tokens.
    let (types, _) = array.bytes.as_chunks();
    for (id, bytes) in types.iter().enumerate() {
        let token_type = i32::from_le_bytes(*bytes);
        if !(1..=6).contains(&token_type) {
            findings.report(Rule::TokenType, || {
                let found = format!("type {token_type} of token {id}");
                Metadata::finding(Rule::TokenType, entry, found, "1 (normal) to 6 (byte)")
            })?;
        }
    }
    Ok(())
}

fn check_special(metadata: &Metadata<'_>, tokens: Option<u64>, findings: &mut Findings) -> Result<(), Finding> {
    for entry in &metadata.entries {
        if !entry.key.starts_with(b"tokenizer.ggml.") || !entry.key.ends_with(b"_token_id") {
            continue;
        }
        let (Value::U32(_) | Value::U64(_)) = entry.value else {
            findings.report(Rule::KeyType, || Metadata::wrong_type(entry, "uint32"))?;
            continue;
        };
        let id = entry.value.as_u64().unwrap_or(u64::MAX);
        if let Some(tokens) = tokens
            && id >= tokens
        {
            findings.report(Rule::SpecialToken, || {
                Metadata::finding(Rule::SpecialToken, entry, id.to_string(), &format!("an id below {tokens}"))
            })?;
        }
    }
    Ok(())
}

/// The text of every token of a file's vocabulary, as far as there is one.
pub fn token_texts(metadata: &Metadata<'_>) -> Vec<String> {
    let letters = match metadata.str("tokenizer.ggml.model") {
        Ok(Some("gpt2")) => byte_letters(),
        _ => BTreeMap::new(),
    };
    let Ok(Some(tokens)) = metadata.array("tokenizer.ggml.tokens") else { return Vec::new() };
    let text = |value: Value<'_>| {
        let Value::String(bytes) = value else { return String::new() };
        let token = String::from_utf8_lossy(bytes);
        let bytes: Option<Vec<u8>> = token.chars().map(|letter| letters.get(&letter).copied()).collect();
        match bytes {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => token.replace('\u{2581}', " "),
        }
    };
    tokens.values().map(text).collect()
}

/// The letters by which byte-level vocabularies write bytes: those that can be seen stand for themselves, the others are the letters from
/// U+0100 on, in order (the byte encoder of GPT-2, Radford and others 2019).
fn byte_letters() -> BTreeMap<char, u8> {
    let (visible, hidden): (Vec<u8>, Vec<u8>) =
        (0..=u8::MAX).partition(|byte| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff));
    let hidden = ('\u{100}'..).zip(hidden);
    visible.into_iter().map(|byte| (char::from(byte), byte)).chain(hidden).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_letters() {
        let letters = byte_letters();
        assert_eq!(letters.len(), 256);
        assert_eq!((letters[&'A'], letters[&'\u{120}'], letters[&'\u{10a}']), (b'A', b' ', b'\n'));
    }
}
