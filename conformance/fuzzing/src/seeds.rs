//! Seeds: what fuzzing begins with, from the vectors, from the smith, from real vocabularies. `scripts/fuzz --seeds` writes them into
//! `corpora/seeds`; a test holds the two together.

use crate::catalogue::{self, Input};
use gguf::{Array, Draft, File, Value, WeightType};
use smith::{Architecture, Recipe};
use std::collections::BTreeMap;
use vectors::{Expected, bytes_of};

/// Vectors that are larger are no seeds, in bytes.
const LARGEST: u64 = 1024;
/// Of each group of vectors, so many valid ones and so many others.
const OF_A_GROUP: usize = 4;
/// Elements that an array of a real vocabulary keeps.
const ELEMENTS: usize = 12;

/// Seeds by target and name.
pub type Seeds = BTreeMap<(&'static str, String), Vec<u8>>;

/// Every seed that is made from code.
pub fn all() -> Seeds {
    let mut seeds = Seeds::new();
    let mut add = |input: Input, name: &str, bytes: Vec<u8>| {
        for target in catalogue::of(input) {
            seeds.insert((target.name, name.to_owned()), bytes.clone());
        }
    };
    for (name, header) in headers() {
        add(Input::Raw, &name, header);
    }
    let mut random = Stream(1);
    for number in 0..24 {
        let len = 32 * (1 + number % 12);
        add(Input::Header, &format!("drawn-{number:02}"), random.bytes(len));
    }
    for (number, weight_type) in WeightType::ALL.iter().enumerate() {
        let len = 256 / weight_type.block_len().min(256) * weight_type.block_bytes();
        let block = [&[number as u8][..], &random.bytes(len.min(300))].concat();
        add(Input::Blocks, weight_type.name(), block);
    }
    for vocabulary in 0..5u8 {
        for (number, text) in TEXTS.iter().enumerate() {
            let letters = text.bytes().map(|letter| letter | 0x80).map(|letter| if letter < 192 { letter } else { 128 });
            let input: Vec<u8> = [vocabulary].into_iter().chain(letters).chain(random.bytes(8)).collect();
            add(Input::Text, &format!("vocabulary-{vocabulary}-text-{number}"), input);
        }
    }
    for number in 0..32u8 {
        let plain = [number, 1, 5, 2, 0].to_vec();
        add(Input::Model, &format!("model-{number:02}"), plain);
        // Two changes each, as a start.
        let changed = [vec![number, 1, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], random.bytes(32)].concat();
        add(Input::Model, &format!("changed-{number:02}"), changed);
    }
    for (name, flags) in [("split", 0x1c), ("adapted", 0xe0), ("mapped", 0x03)] {
        add(Input::Model, name, vec![0, 1, 5, 2, flags]);
    }
    for (number, (kind, text)) in LINES.iter().enumerate() {
        let line = [&[*kind][..], text.as_bytes()].concat();
        add(Input::Line, &format!("line-{number:02}"), line);
    }
    for number in 0..Architecture::ALL.len() as u8 {
        add(Input::Recipe, &format!("architecture-{number:02}"), vec![number, 0, 7, 0]);
        add(Input::Recipe, &format!("changed-{number:02}"), [vec![number, 0, 9, 1, 0, 1, 1], random.bytes(2)].concat());
    }
    seeds
}

/// Some vectors of each group, and headers of real shapes, by their names.
fn headers() -> Vec<(String, Vec<u8>)> {
    let mut headers = Vec::new();
    for group in vectors::all() {
        let small = group.tests.iter().filter_map(|vector| {
            let [file] = &vector.files[..] else { return None };
            Some((vector, bytes_of(file, LARGEST)?))
        });
        let (valid, others): (Vec<_>, Vec<_>) = small.partition(|(vector, _)| vector.result == Expected::Valid);
        // Spread over the group, which has its vectors by kind.
        let spread = |list: Vec<_>| {
            let step = list.len().div_ceil(OF_A_GROUP).max(1);
            list.into_iter().step_by(step)
        };
        for (vector, bytes) in spread(valid).chain(spread(others)) {
            headers.push((format!("{}-{}", group.group, vector.name.replace('/', "-")), bytes));
        }
    }
    for architecture in [Architecture::Llama, Architecture::Lfm2, Architecture::Gemma3] {
        if let Some(header) = shrunk_recipe(architecture) {
            headers.push((format!("smith-{}", architecture.name()), header));
        }
    }
    headers
}

/// A fixed stream of bytes (xorshift64*), the same everywhere.
struct Stream(u64);

impl Stream {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut next = || {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
        };
        (0..len).map(|_| next()).collect()
    }
}

/// Texts for tokenizers, in ASCII.
const TEXTS: [&str; 4] = ["the inner  thing", "don't 1234 ...", "a\n\n b\t", "HELLO world's"];

/// Lines for the target `protocol`: which reader, and what it reads.
const LINES: [(u8, &str); 14] = [
    (0, r#"{"request":"load","model":"a.gguf"}"#),
    (0, r#"{"request":"evaluate","tokens":[1,2],"schedule":"split-1","transcript":"t"}"#),
    (0, r#"{"request":"tokenize","model":"a","text":"b"}"#),
    (1, r#"{"response":"loaded","vocabulary_size":320}"#),
    (1, r#"{"response":"evaluated","cpu_seconds":0.5}"#),
    (1, r#"{"response":"rejected","stage":"load","class":"malformed","message":"m"}"#),
    (1, r#"{"response":"contents","contents":{"metadata":[{"key":"k","value":{"kind":"text","text":"t"}}],"tensors":[]}}"#),
    (2, "llama+experts=4+tied=1/f32@7"),
    (2, "gemma3+rope-scaling=linear/q4_k"),
    (3, "[[expectation]]\narchitecture = \"a*\"\nclass = \"diverges\"\nreason = \"r\"\n"),
    (4, "generated-by = \"g\"\nmeasured-with = []\n[[tolerance]]\n"),
    (5, "llama-cpp@vulkan0"),
    (6, "split-3"),
    (7, "[[divergence]]\nvocabulary = \"v\"\nsubject = \"candle@cpu\"\nclass = \"diverges\"\nreason = \"r\"\n"),
];

/// The header of a recipe's model, shrunk.
fn shrunk_recipe(architecture: Architecture) -> Option<Vec<u8>> {
    let bytes = Recipe::new(architecture, WeightType::Q4_0, 0).build().ok()?;
    shrunk(&bytes)
}

/// The keys of a file, with the first elements of every array and the first bytes of every text, and none of its tensors: the header of a
/// real vocabulary becomes a seed of a few KiB. `None` where it cannot be read.
pub fn shrunk(bytes: &[u8]) -> Option<Vec<u8>> {
    const TEXT: usize = 200;
    let file = File::lenient(bytes).ok()?;
    let mut draft = Draft::new();
    for (key, value) in file.metadata().iter() {
        match value {
            Value::Array(array) => shorten(&mut draft, &key.to_string(), array),
            Value::String(text) => drop(draft.value(key.to_vec(), Value::String(text.get(..TEXT).unwrap_or(text)))),
            value => drop(draft.value(key.to_vec(), value)),
        }
    }
    Some(draft.finish())
}

fn shorten(draft: &mut Draft<'_>, key: &str, array: Array<'_>) {
    let mut elements = Draft::new();
    let mut bytes = Vec::new();
    let mut len = 0;
    for value in array.values().take(ELEMENTS) {
        elements.keys.clear();
        elements.value("element", value);
        bytes.extend(elements.keys.iter().flat_map(|key| key.value.iter().copied()));
        len += 1;
    }
    draft.array(key, array.element_type().id(), len, &bytes);
}
