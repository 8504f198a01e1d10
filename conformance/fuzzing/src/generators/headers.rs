//! Headers, mostly sound, as the smith draws them.

use arbitrary::Unstructured;
use gguf::Draft;

/// Draws a header. It fails on no input.
pub fn draw(input: &[u8]) -> Draft<'static> {
    smith::header(&mut Unstructured::new(input)).unwrap_or_default()
}
