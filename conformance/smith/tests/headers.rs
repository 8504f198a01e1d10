//! A million inputs through the reader, raw and structured: no panic, no more memory than the input accounts for, strict
//! accepts no more than lenient, and whatever is accepted can be walked to its end and written back.
//!
//! Everything is in one test, because the allocator counts for the whole process.

use arbitrary::Unstructured;
use gguf::{Draft, File, Finding, Mode, Value};
use peak_alloc::PeakAlloc;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use smith::{Architecture, Recipe};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::LazyLock,
};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Heap bytes that reading may take for a byte of the input. The densest is version 1 with the shortest keys, 9 bytes each, and
/// all of one name, with a count of tensors for which there would be room without the keys: 11.5 a byte, however large it is.
const HEAP_PER_BYTE: usize = 16;
/// Heap bytes that reading may take beside these, for the texts of findings: some hundred bytes each, as many as a small input
/// accounts for. Of each rule there is one at most, and breaking it takes bytes of input, so they do not add up: no input here
/// takes more than 1023.
const HEAP_CONSTANT: usize = 4096;

/// Makes an input from a seed.
type Make = fn(&mut ChaCha8Rng) -> Vec<u8>;

/// Where inputs come from, and how many of each. Structured ones come first: the others begin with them.
const KINDS: [(&str, u64, Make); 4] = [
    ("structured", 300_000, structured),
    ("mutated", 350_000, mutated),
    ("valid beginning", 250_000, valid_beginning),
    ("raw", 100_000, raw),
];

/// Files that strict reading accepts, small enough to be mutated often.
static VALID: LazyLock<Vec<Vec<u8>>> = LazyLock::new(valid_files);

/// What has been seen, to be printed and to prove that the inputs get somewhere.
#[derive(Debug, Default)]
struct Seen {
    inputs: u64,
    strict: u64,
    lenient: u64,
    values: u64,
    /// The largest ratio of heap to input, of inputs of a KiB and more.
    ratio: f64,
    /// The most that reading took beside [`HEAP_PER_BYTE`] for each byte.
    beside: usize,
    /// The most that reading took of an input of less than 64 bytes.
    small: usize,
}

#[test]
fn a_million_inputs() {
    let mut total = 0;
    for (kind, count, make) in KINDS {
        // Where there is not as much memory as is asked for, the process ends without a word on the input.
        // With `--nocapture` this says how far it came.
        println!("{count} inputs of kind `{kind}`");
        let mut seen = Seen::default();
        for seed in 0..count {
            let bytes = make(&mut ChaCha8Rng::seed_from_u64(seed));
            // A panic is caught for no more than to say what caused it.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&bytes, &mut seen))) {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                eprintln!("input: {kind}, seed {seed}, {} bytes: {hex}", bytes.len());
                resume_unwind(panic);
            }
        }
        println!("{seen:?}");
        assert!(kind == "raw" || seen.strict > 0, "no input of kind `{kind}` was accepted: {seen:?}");
        total += seen.inputs;
    }
    assert_eq!(total, 1_000_000);
}

/// Reads, and holds the heap it took against the input's size.
fn read<'a>(bytes: &'a [u8], mode: Mode, seen: &mut Seen) -> Result<File<'a>, Finding> {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let result = File::read(bytes, mode);
    let took = HEAP.peak_usage() - before;
    if bytes.len() >= 1024 {
        seen.ratio = seen.ratio.max(took as f64 / bytes.len() as f64);
    }
    if bytes.len() < 64 {
        seen.small = seen.small.max(took);
    }
    seen.beside = seen.beside.max(took.saturating_sub(HEAP_PER_BYTE * bytes.len()));
    let limit = HEAP_PER_BYTE * bytes.len() + HEAP_CONSTANT;
    assert!(took <= limit, "reading {} bytes took {took} of heap, more than {limit}", bytes.len());
    result
}

fn check(bytes: &[u8], seen: &mut Seen) {
    let strict = read(bytes, Mode::Strict, seen);
    let lenient = read(bytes, Mode::Lenient, seen);
    seen.inputs += 1;
    seen.strict += u64::from(strict.is_ok());
    seen.lenient += u64::from(lenient.is_ok());
    for result in [&strict, &lenient] {
        match result {
            Ok(file) => {
                seen.values += walk(file);
                file.tolerated().iter().for_each(|tolerated| place(&tolerated.finding, bytes));
            }
            Err(finding) => place(finding, bytes),
        }
    }
    if let Ok(file) = &strict {
        let other = lenient.as_ref().unwrap_or_else(|finding| panic!("strict accepts what lenient does not: {finding}"));
        assert_eq!(file.tolerated(), other.tolerated());
        assert!(Draft::from(file).finish() == bytes, "the file is not written back to the byte");
    }
}

fn place(finding: &Finding, bytes: &[u8]) {
    assert!(finding.offset <= bytes.len() as u64, "outside: {finding}");
    assert!(finding.to_string().len() < 1024, "long: {finding}");
}

/// Looks at everything in a file, and counts its values.
fn walk(file: &File<'_>) -> u64 {
    for tensor in file.tensors() {
        assert_eq!(file.data(tensor).len() as u64, tensor.size, "{}", tensor.name);
        assert!(tensor.rows().checked_mul(tensor.row_len()) == Some(tensor.elements()), "{}", tensor.name);
    }
    file.metadata().iter().map(|(_, value)| count(value)).sum()
}

fn count(value: Value<'_>) -> u64 {
    let Value::Array(array) = value else { return 1 };
    let mut len = 0;
    let mut inner = 0;
    for value in array.values() {
        assert_eq!(value.value_type(), array.element_type());
        len += 1;
        inner += count(value);
    }
    assert_eq!(len, array.len(), "an array is shorter than it says");
    inner + 1
}

fn valid_files() -> Vec<Vec<u8>> {
    let mut seeds = 0u64..;
    let mut files: Vec<_> = std::iter::from_fn(|| seeds.next().map(|seed| structured(&mut ChaCha8Rng::seed_from_u64(seed))))
        .filter(|bytes| File::strict(bytes).is_ok())
        .take(60)
        .collect();
    // A whole model, with most of its tensors' data left out: the header is what reading looks at.
    for architecture in Architecture::ALL {
        let model = Recipe::new(architecture, gguf::WeightType::Q4_0, 0).build().unwrap();
        let file = File::strict(&model).unwrap_or_else(|finding| panic!("{finding}"));
        files.push(model[..file.data_offset() as usize].to_vec());
    }
    files
}

fn below(random: &mut ChaCha8Rng, limit: usize) -> usize {
    (random.next_u64() % limit.max(1) as u64) as usize
}

fn bytes(random: &mut ChaCha8Rng, limit: usize) -> Vec<u8> {
    let mut bytes = vec![0; below(random, limit)];
    random.fill_bytes(&mut bytes);
    bytes
}

/// Random bytes.
fn raw(random: &mut ChaCha8Rng) -> Vec<u8> {
    bytes(random, 256)
}

/// The beginning of a valid file, or a header with counts as large as its size allows, and then something else.
fn valid_beginning(random: &mut ChaCha8Rng) -> Vec<u8> {
    let rest = match below(random, 4) {
        0 => bytes(random, 512),
        // Bytes of few values read as short texts and known types, for a while.
        1 => bytes(random, 1024).into_iter().map(|byte| if byte < 200 { 0 } else { byte % 16 }).collect(),
        2 => vec![random.next_u32() as u8; below(random, 512)],
        // Zeros are the shortest keys and tensors there are.
        _ => vec![0; below(random, 2048)],
    };
    let mut out;
    if below(random, 2) == 0 {
        out = VALID[below(random, VALID.len())].clone();
        out.truncate(below(random, out.len() + 1));
    } else {
        let version = 1 + below(random, 3) as u32;
        let width = if version == 1 { 4 } else { 8 };
        // All keys, all tensors, or both.
        let (keys, tensors) = match below(random, 3) {
            0 => (rest.len() / (width + 5), 0),
            1 => (0, rest.len() / (width + 16)),
            _ => (rest.len() / (width + 5), rest.len() / (width + 16)),
        };
        out = [b"GGUF".as_slice(), &version.to_le_bytes()].concat();
        for count in [tensors, keys] {
            out.extend(&(count.saturating_sub(below(random, 3)) as u64).to_le_bytes()[..width]);
        }
    }
    out.extend(rest);
    out
}

/// A valid file, changed in one to four places.
fn mutated(random: &mut ChaCha8Rng) -> Vec<u8> {
    const EDGES: [u64; 12] =
        [0, 1, 8, 0x7f, 0xff, 0xffff, 1 << 31, u32::MAX as u64, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX];
    let mut out = VALID[below(random, VALID.len())].clone();
    for _ in 0..=below(random, 4) {
        let at = below(random, out.len() + 1);
        match below(random, 6) {
            0 => out.truncate(at),
            1 => drop(out.splice(at..at, bytes(random, 16))),
            2 => {
                let end = (at + below(random, 32)).min(out.len());
                out.drain(at..end);
            }
            3 => {
                let other = &VALID[below(random, VALID.len())];
                let (from, len) = (below(random, other.len()), below(random, 64));
                let part = other[from..].iter().take(len).copied().collect::<Vec<_>>();
                let end = (at + below(random, 64)).min(out.len());
                out.splice(at..end, part);
            }
            4 => {
                let (edge, width) = (EDGES[below(random, EDGES.len())].to_le_bytes(), [1, 4, 8][below(random, 3)]);
                out.iter_mut().skip(at).zip(&edge[..width]).for_each(|(byte, edge)| *byte = *edge);
            }
            _ => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << below(random, 8);
                }
            }
        }
    }
    out
}

/// A header from `smith`.
fn structured(random: &mut ChaCha8Rng) -> Vec<u8> {
    let input = bytes(random, 416);
    let draft = smith::header(&mut Unstructured::new(&input)).unwrap_or_else(|error| panic!("{error}"));
    draft.finish()
}
