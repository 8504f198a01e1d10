//! Texts behind the keys of a draft.

use gguf::Draft;

/// The text behind `general.architecture`.
pub(super) fn architecture(draft: &Draft<'_>) -> String {
    String::from_utf8_lossy(text_of(draft, "general.architecture").unwrap_or(b"llama")).into_owned()
}

/// The bytes of the text behind a key, which its length stands before.
pub(super) fn text_of<'a>(draft: &'a Draft<'_>, name: &str) -> Option<&'a [u8]> {
    draft.keys.iter().find(|key| *key.key == *name.as_bytes())?.value.get(8..)
}
