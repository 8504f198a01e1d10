//! Headers drawn from bytes, for property tests and fuzzers: mostly sound, and every so often wrong in one place.
//!
//! Laws of this generator:
//! - The same bytes give the same draft, and every input gives one: what is missing at its end counts as zeros, which stand for
//!   the plain choice everywhere.
//! - A small change of the input is a small change of the draft. The input is read in records of 32 bytes. The first has the
//!   settings of the file, each of the others one key, tensor or fault; so a changed byte changes one of them, and a record can
//!   be taken out, moved or copied from another input.
//! - A file stays small: at most 24 records are read, and at most [`DATA_LIMIT`] bytes of tensor data drawn.
//! - A good part of the drafts of random bytes are valid files, because what lies behind the first check of a reader is only
//!   reached by those. A test holds the share and the rules that the others break.

use arbitrary::{Result, Unstructured};
use gguf::{Draft, Rule, Value, ValueType, WeightType};
use std::borrow::Cow;

/// Bytes of input that the settings, a key, a tensor or a fault is drawn from.
const RECORD: usize = 32;
/// The most records after the first; further input is not read.
const RECORDS: usize = 24;
/// Bytes of tensor data after which there are no more tensors.
const DATA_LIMIT: usize = 4096;
/// Length of the tokenizer's arrays, which have to agree.
const TOKENS: u64 = 4;

/// Numbers at which something changes: width, sign, overflow of a sum or a product.
const EDGES: [u64; 20] = [
    0,
    1,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xffff,
    0x1_0000,
    i32::MAX as u64,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 40,
    1 << 61,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// Keys that rules or readers know, with the type they have: of an array, that of its elements.
const KNOWN: [(&str, ValueType, bool); 24] = [
    ("general.name", ValueType::String, false),
    ("general.file_type", ValueType::U32, false),
    ("general.quantization_version", ValueType::U32, false),
    ("general.license", ValueType::String, false),
    ("tokenizer.ggml.model", ValueType::String, false),
    ("tokenizer.ggml.tokens", ValueType::String, true),
    ("tokenizer.ggml.scores", ValueType::F32, true),
    ("tokenizer.ggml.token_type", ValueType::I32, true),
    ("tokenizer.ggml.merges", ValueType::String, true),
    ("tokenizer.ggml.bos_token_id", ValueType::U32, false),
    ("tokenizer.ggml.unknown_token_id", ValueType::U32, false),
    ("tokenizer.ggml.add_bos_token", ValueType::Bool, false),
    ("tokenizer.chat_template", ValueType::String, false),
    ("llama.context_length", ValueType::U32, false),
    ("llama.embedding_length", ValueType::U32, false),
    ("llama.block_count", ValueType::U32, false),
    ("llama.feed_forward_length", ValueType::U32, false),
    ("llama.attention.head_count", ValueType::U32, false),
    ("llama.attention.head_count_kv", ValueType::I32, true),
    ("llama.attention.key_length", ValueType::U32, false),
    ("llama.attention.layer_norm_rms_epsilon", ValueType::F32, false),
    ("llama.expert_count", ValueType::U32, false),
    ("llama.rope.freq_base", ValueType::F32, false),
    ("llama.vocab_size", ValueType::U32, false),
];

/// Draws a file, some of it possibly wrong. Fails on no input.
///
/// # Errors
/// None of its own; the type is that of everything that draws from [`Unstructured`].
pub fn header(u: &mut Unstructured<'_>) -> Result<Draft<'static>> {
    let mut draft = settings(&mut record(u)?)?;
    for _ in 0..RECORDS {
        if u.is_empty() {
            break;
        }
        let u = &mut record(u)?;
        match u.int_in_range(0..=63u8)? {
            0..=20 => add_key(&mut draft, u)?,
            21..=40 => add_known_key(&mut draft, u)?,
            41..=60 => add_tensor(&mut draft, u)?,
            61 => break_rule(&mut draft, u)?,
            _ => force(&mut draft, u)?,
        }
    }
    Ok(draft)
}

/// The next record of the input.
fn record<'a>(u: &mut Unstructured<'a>) -> Result<Unstructured<'a>> {
    let len = u.len().min(RECORD);
    Ok(Unstructured::new(u.bytes(len)?))
}

/// True once in `times`; never where the input has ended.
fn once_in(u: &mut Unstructured<'_>, times: u8) -> Result<bool> {
    Ok(u.int_in_range(1..=times)? == times)
}

/// A number at the edge of something, or any small one.
fn edge(u: &mut Unstructured<'_>) -> Result<u64> {
    if u.arbitrary()? { u.arbitrary::<u8>().map(u64::from) } else { u.choose(&EDGES).copied() }
}

/// What is said once in a file.
fn settings(u: &mut Unstructured<'_>) -> Result<Draft<'static>> {
    let mut draft = Draft::new();
    draft.version = match u.int_in_range(0..=31u8)? {
        0..=24 => 3,
        25..=28 => 2,
        29 | 30 => 1,
        _ => *u.choose(&[0, 4, 3u32.swap_bytes(), u32::MAX])?,
    };
    match u.int_in_range(0..=7u8)? {
        0..=5 => drop(draft.str("general.architecture", "vector").u32("general.quantization_version", 2)),
        6 => llama(&mut draft),
        // Later files of a split model have no more than these.
        _ => {
            let number = u.int_in_range(0..=3u16)?;
            draft.value("split.no", Value::U16(number)).value("split.count", Value::U16(3));
            draft.value("split.tensors.count", Value::I32(1)).u32("general.quantization_version", 2);
        }
    }
    let alignment = match u.int_in_range(0..=15u8)? {
        0..=8 => None,
        9..=14 => Some(8 << u.int_in_range(0..=5u32)?),
        // Multiples of 8 that are no power of two.
        _ => Some(8 * u.int_in_range(3..=11u32)?),
    };
    if let Some(alignment) = alignment {
        draft.u32("general.alignment", alignment).alignment = alignment.into();
    }
    if once_in(u, 8)? {
        draft.tail = Some(Cow::Owned(vec![u.arbitrary()?; u.int_in_range(0..=99)?]));
    }
    Ok(draft)
}

/// A whole model of one layer, whose numbers and shapes the records after it may disturb.
fn llama(draft: &mut Draft<'_>) {
    draft
        .str("general.architecture", "llama")
        .u32("general.quantization_version", 2)
        .u32("llama.context_length", 16)
        .u32("llama.embedding_length", 4)
        .u32("llama.block_count", 1)
        .u32("llama.feed_forward_length", 4)
        .u32("llama.attention.head_count", 2)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .u32("llama.rope.dimension_count", 2);
    for (name, dimensions) in [
        ("token_embd.weight", &[4, TOKENS][..]),
        ("blk.0.attn_norm.weight", &[4]),
        ("blk.0.attn_q.weight", &[4, 4]),
        ("blk.0.attn_k.weight", &[4, 4]),
        ("blk.0.attn_v.weight", &[4, 4]),
        ("blk.0.attn_output.weight", &[4, 4]),
        ("blk.0.ffn_norm.weight", &[4]),
        ("blk.0.ffn_gate.weight", &[4, 4]),
        ("blk.0.ffn_up.weight", &[4, 4]),
        ("blk.0.ffn_down.weight", &[4, 4]),
        ("output_norm.weight", &[4]),
    ] {
        draft.tensor(name, dimensions, WeightType::F32, vec![0; dimensions.iter().product::<u64>() as usize * 4]);
    }
}

/// A key of any name with a value of any type.
fn add_key(draft: &mut Draft<'_>, u: &mut Unstructured<'_>) -> Result<()> {
    let value_type = *u.choose(ValueType::ALL)?;
    let name = if once_in(u, 16)? {
        let last = draft.keys.last().map(|key| key.key.to_vec()).unwrap_or_default();
        let odd = [&b""[..], b"Key", b"a..b", b".", b"a-b", b"k\xc3\xa9y", b"\xff", b"a\0b", b"k k", &last];
        u.choose(&odd)?.to_vec()
    } else {
        let stem = *u.choose(&["vector.key", "llama.rope.key", "a", "general.key", "tokenizer.ggml.key"])?;
        // A key stands once in a valid file.
        let taken = draft.keys.iter().filter(|key| key.key.starts_with(stem.as_bytes())).count();
        format!("{stem}{taken}").into_bytes()
    };
    let mut value = Vec::new();
    put_value(&mut value, value_type, draft.version != 1, 0, u)?;
    draft.key(name, value_type.id(), value);
    Ok(())
}

/// A key that is known, with a value of the type it has, or one that is not.
fn add_known_key(draft: &mut Draft<'_>, u: &mut Unstructured<'_>) -> Result<()> {
    let (key, value_type, is_array) = *u.choose(&KNOWN)?;
    draft.remove_key(key);
    if once_in(u, 24)? {
        let value_type = *u.choose(ValueType::ALL)?;
        let mut value = Vec::new();
        put_value(&mut value, value_type, draft.version != 1, 0, u)?;
        draft.key(key, value_type.id(), value);
        return Ok(());
    }
    match (value_type, is_array) {
        (ValueType::String, false) => drop(draft.value(key, Value::String(text(u)?))),
        (ValueType::String, true) => {
            let tokens = [text(u)?, text(u)?, text(u)?, text(u)?];
            draft.strings(key, &tokens);
        }
        (ValueType::F32, false) => drop(draft.f32(key, u.arbitrary()?)),
        (ValueType::F32, true) => {
            let len = if once_in(u, 16)? { TOKENS - 1 } else { TOKENS };
            draft.f32s(key, &vec![u.arbitrary()?; len as usize]);
        }
        // What a token type can be.
        (ValueType::I32, _) => drop(draft.i32s(key, &[u.int_in_range(1..=6)?; TOKENS as usize])),
        (ValueType::Bool, _) => drop(draft.bool(key, u.arbitrary()?)),
        // Small, because these are counts, and ids of tokens.
        _ => drop(draft.u32(key, u.int_in_range(0..=TOKENS as u32 - 1)?)),
    }
    Ok(())
}

fn text(u: &mut Unstructured<'_>) -> Result<&'static [u8]> {
    const LONG: &str = "a text that is longer than what the reader shows of it where it reports a finding about it";
    let texts = ["", "a", "<s>", "llama", "\u{2581}the", "\u{e4}\u{20ac}\u{1f600}", "two\nlines", LONG];
    Ok(u.choose(&texts)?.as_bytes())
}

fn put_length(out: &mut Vec<u8>, wide: bool, length: u64) {
    out.extend(&length.to_le_bytes()[..if wide { 8 } else { 4 }]);
}

/// The bytes of a value, with lengths as the version has them: `wide` from version 2 on.
fn put_value(out: &mut Vec<u8>, value_type: ValueType, wide: bool, depth: u32, u: &mut Unstructured<'_>) -> Result<()> {
    match value_type {
        ValueType::String => {
            let text = if once_in(u, 16)? { *u.choose(&[&b"a\0b"[..], b"\xff", b"\xe2\x82"])? } else { text(u)? };
            put_length(out, wide, text.len() as u64);
            out.extend(text);
        }
        ValueType::Array => {
            let mut element = *u.choose(ValueType::ALL)?;
            if depth == 3 && element == ValueType::Array {
                element = ValueType::U8;
            }
            let len = u.int_in_range(0..=4u8)?;
            out.extend(element.id().to_le_bytes());
            put_length(out, wide, len.into());
            for _ in 0..len {
                put_value(out, element, wide, depth + 1, u)?;
            }
        }
        ValueType::Bool => out.push(u.int_in_range(0..=1)?),
        sized => out.extend(&edge(u)?.to_le_bytes()[..sized.size().unwrap_or(0) as usize]),
    }
    Ok(())
}

/// A tensor with whole blocks of data.
fn add_tensor(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let weight_type = *u.choose(WeightType::ALL)?;
    let mut blocks = u.int_in_range(1..=4u64)?;
    let mut dimensions = vec![blocks * weight_type.block_len() as u64];
    for _ in 0..u.int_in_range(0..=3u8)? {
        let dimension = if blocks < 4 { u.int_in_range(1..=3)? } else { 1 };
        dimensions.push(dimension);
        blocks *= dimension;
    }
    if once_in(u, 16)? {
        let (dimension, elements) = if u.arbitrary()? { (vec![], 1) } else { (vec![8, 0, 2], 0) };
        // No dimension is one element, so it takes a type whose blocks are.
        if weight_type.is_quantized() {
            blocks = 0;
            dimensions.push(0);
        } else {
            (dimensions, blocks) = (dimension, elements);
        }
    }
    let size = blocks as usize * weight_type.block_bytes();
    if draft.tensors.iter().map(|tensor| tensor.data.len()).sum::<usize>() + size > DATA_LIMIT {
        return Ok(());
    }
    let known = *u.choose(&["", "", "", "token_embd.weight", "output.weight", "blk.0.attn_q.bias", "rope_freqs.weight"])?;
    let stands = draft.tensors.iter().any(|tensor| *tensor.name == *known.as_bytes());
    let name = if stands || known.is_empty() { format!("tensor{}", draft.tensors.len()) } else { known.into() };
    draft.tensor(&name, &dimensions, weight_type, vec![u.arbitrary()?; size]);
    if once_in(u, 24)?
        && let Some(tensor) = draft.tensors.last_mut()
    {
        let odd = [&b""[..], b"\xff", b"t\0", &[b't'; 64], &[b't'; 65]];
        tensor.name = Cow::Owned(u.choose(&odd)?.to_vec());
    }
    Ok(())
}

/// Breaks a rule, where what has been drawn so far has something to break it with.
fn break_rule(draft: &mut Draft<'_>, u: &mut Unstructured<'_>) -> Result<()> {
    let rule = *u.choose(Rule::ALL)?;
    // It takes 64 KiB to break this one.
    if rule != Rule::KeyLength {
        // A draft that cannot break the rule stays as it is.
        let _ = draft.break_rule(rule);
    }
    Ok(())
}

/// Writes one field as something else than follows from the rest.
fn force(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let field = u.int_in_range(0..=12u8)?;
    match field {
        0 => draft.tensor_count = Some(edge(u)?),
        1 => draft.key_count = Some(edge(u)?),
        2 => draft.padding = Some(Cow::Owned(vec![u.arbitrary()?; u.int_in_range(0..=99)?])),
        3 => draft.alignment = u.int_in_range(1..=99)?,
        4 => draft.magic = u.arbitrary()?,
        5..=7 if !draft.keys.is_empty() => {
            let at = u.choose_index(draft.keys.len())?;
            let key = &mut draft.keys[at];
            match field {
                5 => key.length = Some(edge(u)?),
                6 => key.type_id = edge(u)? as u32,
                // Lengths and element types stand at the beginning of a value.
                _ => {
                    let (number, at) = (edge(u)?.to_le_bytes(), u.int_in_range(0..=12usize)?);
                    let room = key.value.to_mut().iter_mut().skip(at);
                    room.zip(number).for_each(|(byte, new)| *byte = new);
                }
            }
        }
        8.. if !draft.tensors.is_empty() => {
            let at = u.choose_index(draft.tensors.len())?;
            let tensor = &mut draft.tensors[at];
            match field {
                8 => tensor.name_length = Some(edge(u)?),
                9 => tensor.dimension_count = Some(edge(u)? as u32),
                10 => {
                    let dimension = edge(u)?;
                    if let Some(last) = tensor.dimensions.last_mut() {
                        *last = dimension;
                    }
                }
                11 => tensor.type_id = edge(u)? as u32,
                _ => {
                    // A place is one that is written to, an offset need not exist.
                    tensor.place = Some(u.int_in_range(0..=999)?);
                    tensor.offset = if u.arbitrary()? { Some(edge(u)?) } else { None };
                }
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gguf::File;
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng, SeedableRng},
    };
    use std::collections::BTreeSet;

    /// Input number `seed`: random bytes, as many as up to 13 records take.
    fn input(seed: u64) -> Vec<u8> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut input = vec![0; (random.next_u32() % (13 * RECORD as u32)) as usize];
        random.fill_bytes(&mut input);
        input
    }

    fn draw(input: &[u8]) -> Draft<'static> {
        header(&mut Unstructured::new(input)).unwrap()
    }

    #[test]
    fn no_input_and_zeros_are_the_plain_choice() {
        for input in [&[][..], &[0; RECORD], &[0; 5 * RECORD]] {
            let bytes = draw(input).finish();
            assert_eq!(File::strict(&bytes).unwrap().tolerated(), []);
        }
    }

    #[test]
    fn a_good_part_is_valid_and_the_others_break_many_rules() {
        const DRAWS: u64 = 10_000;
        let (mut valid, mut clean, mut largest) = (0, 0, 0);
        let mut rules = BTreeSet::new();
        for seed in 0..DRAWS {
            let input = input(seed);
            let draft = draw(&input);
            assert_eq!(draft, draw(&input), "seed {seed}");
            let bytes = draft.finish();
            largest = largest.max(bytes.len());
            match File::strict(&bytes) {
                Ok(file) => {
                    valid += 1;
                    clean += u64::from(file.tolerated().is_empty());
                    rules.extend(file.tolerated().iter().map(|tolerated| tolerated.finding.rule));
                }
                Err(finding) => drop(rules.insert(finding.rule)),
            }
        }
        println!("{valid} valid, {clean} without a finding, {} rules broken, at most {largest} bytes", rules.len());
        let not: Vec<_> = Rule::ALL.iter().filter(|rule| !rules.contains(rule)).collect();
        println!("never broken: {not:?}");
        assert!(valid >= DRAWS * 3 / 10, "{valid} of {DRAWS} drafts are valid");
        assert!(rules.len() >= 20, "{rules:?}");
        assert!(largest < 16 << 10, "{largest} bytes");
    }

    #[test]
    fn a_changed_byte_changes_one_thing() {
        const DRAWS: u64 = 2000;
        let (mut things, mut changed) = (0, 0);
        for seed in 0..DRAWS {
            let mut input = input(seed);
            let before = draw(&input);
            let Some(last) = input.len().checked_sub(RECORD + 1) else { continue };
            input[RECORD + seed as usize % (last + 1)] ^= 1 << (seed % 8);
            let after = draw(&input);
            things += before.keys.len() + before.tensors.len();
            changed += before.keys.iter().filter(|key| !after.keys.contains(key)).count();
            changed += before.tensors.iter().filter(|tensor| !after.tensors.contains(tensor)).count();
        }
        println!("{changed} of {things} keys and tensors changed in {DRAWS} drafts");
        assert!(changed < DRAWS as usize, "{changed} of {things} keys and tensors changed in {DRAWS} drafts");
    }
}
