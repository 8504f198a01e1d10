//! The tokenizer's keys: arrays of one length, types that exist, and special tokens that are tokens.

use crate::{Array, Finding, Metadata, Rule, Value, ValueType, metadata::Entry, rules::Findings};

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
