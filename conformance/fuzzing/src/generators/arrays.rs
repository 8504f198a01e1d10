//! Arrays among the keys of a draft, which are bytes there.

use gguf::ValueType;
use std::borrow::Cow;

/// The array of a key: its elements' type, their number, and their bytes.
pub(super) fn array<'a>(key: &'a gguf::DraftKey<'_>) -> Option<(ValueType, u64, &'a [u8])> {
    if key.type_id != ValueType::Array.id() {
        return None;
    }
    let (head, elements) = key.value.split_at_checked(12)?;
    let element = ValueType::from_id(u32::from_le_bytes(head.get(..4)?.try_into().ok()?))?;
    Some((element, u64::from_le_bytes(head.get(4..)?.try_into().ok()?), elements))
}

/// The texts of an array of texts.
fn texts(len: u64, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for _ in 0..len {
        let Some((length, rest)) = bytes.split_first_chunk::<8>() else { break };
        let Some((text, rest)) = rest.split_at_checked(u64::from_le_bytes(*length) as usize) else { break };
        texts.push(text.to_vec());
        bytes = rest;
    }
    texts
}

/// The elements of an array, each as its bytes.
pub(super) fn elements(element: ValueType, len: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
    match element.size() {
        Some(size) => bytes.chunks_exact(size as usize).map(<[u8]>::to_vec).collect(),
        None => texts(len, bytes),
    }
}

/// Writes an array's elements back.
pub(super) fn put(key: &mut gguf::DraftKey<'_>, element: ValueType, elements: &[Vec<u8>]) {
    let mut out = element.id().to_le_bytes().to_vec();
    out.extend((elements.len() as u64).to_le_bytes());
    for bytes in elements {
        if element == ValueType::String {
            out.extend((bytes.len() as u64).to_le_bytes());
        }
        out.extend(bytes);
    }
    key.value = Cow::Owned(out);
}
