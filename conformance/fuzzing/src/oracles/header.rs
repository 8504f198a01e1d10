//! Readers of headers: ours against its own promises, candle's and ggml's for crashes, and all of them against each other.

use crate::{
    known::{self, By},
    memory, statistics,
};
use gguf::{Draft, File, Finding, Mode, Rule, Stance, Tensor, Value, ValueType};
use readers::ours;
use vocabulary::{Contents, Refusal};

/// Our reader on raw bytes, strict and lenient: no panic, strict accepts no more than lenient, findings lie in the file, what was
/// accepted keeps the rules that make it safe to use, can be walked to its end and is written back to the byte.
///
/// # Panics
/// Where it is not so.
pub fn ours(bytes: &[u8]) {
    let strict = File::read(bytes, Mode::Strict);
    let lenient = File::read(bytes, Mode::Lenient);
    for result in [&strict, &lenient] {
        match result {
            Ok(file) => {
                check_safe(file);
                file.metadata().iter().for_each(|(_, value)| walk(value));
                file.tolerated().iter().for_each(|tolerated| check_place(&tolerated.finding, bytes));
            }
            Err(finding) => check_place(finding, bytes),
        }
    }
    match (&strict, &lenient) {
        (Ok(strict), Ok(lenient)) => {
            statistics::count("strict");
            check_rules(strict);
            assert_eq!(strict.tolerated(), lenient.tolerated(), "strict and lenient reading tolerate different things");
            assert!(Draft::from(strict).finish() == bytes, "the file is not written back to the byte");
        }
        (Ok(_), Err(finding)) => panic!("strict reading accepts what lenient reading does not: {finding}"),
        (Err(_), Ok(_)) => statistics::count("lenient"),
        (Err(_), Err(_)) => statistics::count("neither"),
    }
}

fn check_place(finding: &Finding, bytes: &[u8]) {
    assert!(finding.offset <= bytes.len() as u64, "a finding lies outside the file: {finding}");
    assert!(finding.to_string().len() < 1024, "a finding is as long as the input likes: {finding}");
}

/// What every accepted file promises its users: data that is there, and products that fit.
fn check_safe(file: &File<'_>) {
    for tensor in file.tensors() {
        assert_eq!(file.data(tensor).len() as u64, tensor.size, "the data of tensor {} is not all there", tensor.name);
        let elements = tensor.rows().checked_mul(tensor.row_len());
        assert!(elements == Some(tensor.elements()), "the elements of tensor {} wrap", tensor.name);
    }
    assert_ne!(file.alignment(), 0, "an alignment of 0 was accepted");
}

/// Rules of the format that can be seen in what was read, said once more and without the reader's own code: a strict reader that forgot
/// one of its checks is found here.
fn check_rules(file: &File<'_>) {
    assert!(file.alignment().is_multiple_of(8), "an alignment of {} was accepted", file.alignment());
    assert!((1..=3).contains(&file.version()), "version {} was accepted", file.version());
    let mut ends = Vec::new();
    for tensor in file.tensors() {
        let offset = tensor.offset - file.data_offset();
        assert!(offset.is_multiple_of(file.alignment()), "tensor {} at {offset} is not aligned", tensor.name);
        let row = tensor.row_len() % tensor.weight_type.block_len() as u64;
        assert_eq!(row, 0, "a row of tensor {} is not whole blocks", tensor.name);
        if tensor.size > 0 {
            ends.push((tensor.offset, tensor.offset + tensor.size));
        }
    }
    ends.sort_unstable();
    assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0), "tensors overlap: {ends:?}");
    let mut names: Vec<_> = file.tensors().iter().map(|tensor: &Tensor<'_>| tensor.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a tensor's name stands twice");
    let mut keys: Vec<_> = file.metadata().iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a key stands twice");
}

/// Walks over a value: an array has as many elements as it says, each of its type.
fn walk(value: Value<'_>) {
    let Value::Array(array) = value else { return };
    let mut len = 0;
    for value in array.values() {
        assert_eq!(value.value_type(), array.element_type(), "an array has an element of another type");
        len += 1;
        walk(value);
    }
    assert_eq!(len, array.len(), "an array is shorter than it says");
}

/// candle's reader on raw bytes: no panic, and no more memory than the engine allows.
#[cfg(feature = "candle")]
pub fn candle(bytes: &[u8]) {
    match known::guard(|| subject_candle::probe::read(bytes)) {
        Some(Ok(_)) => statistics::count("accepted"),
        Some(Err(_)) => statistics::count("refused"),
        None => {}
    }
}

/// ggml's reader on raw bytes, without tensor data as llama.cpp's loader calls it, and with it as other programs do: no crash, no abort,
/// no sanitizer report.
#[cfg(feature = "llama-cpp")]
pub fn llama_cpp(bytes: &[u8]) {
    subject_llama_cpp::probe::listen(known::is_known, known::passing_over());
    match subject_llama_cpp::probe::read(bytes, false) {
        Some(Some(contents)) => {
            statistics::count("accepted");
            if !known::leave_out(|by| matches!(by, By::ReadByLlamaCpp(has) if has(&contents))) {
                let again = subject_llama_cpp::probe::read(bytes, true);
                // Without the data, it may refuse; what it accepts is the same.
                if let Some(Some(again)) = again
                    && let Some(difference) = contents.difference(&again)
                {
                    known::report(&format!("ggml reads with data something else than without: {difference}"));
                }
            }
        }
        Some(None) => statistics::count("refused"),
        None => {}
    }
}

/// What a reader should do with a header, as far as the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Should {
    Accept,
    Reject,
    /// The rules do not say.
    Either,
}

/// What a runtime should do with a header that our reader read or refused so, from what each rule says the runtime does.
fn should(lenient: &Result<File<'_>, Finding>, stance: fn(Rule) -> Stance) -> Should {
    match lenient {
        Err(finding) => match stance(finding.rule) {
            Stance::Rejects => Should::Reject,
            // After this nothing was read, and there may be more that is wrong.
            _ => Should::Either,
        },
        Ok(file) => {
            let stances = || file.tolerated().iter().map(|tolerated| stance(tolerated.finding.rule));
            if stances().any(|stance| stance == Stance::Rejects) {
                Should::Reject
            } else if stances().any(|stance| stance == Stance::Crashes) {
                Should::Either
            } else {
                Should::Accept
            }
        }
    }
}

/// Rules whose breach makes readers read different things from the same file, each with findings of its own in
/// `corpora/vectors/FINDINGS.md`: what was read is not compared then.
const AMBIGUOUS: [Rule; 10] = [
    Rule::Magic,
    Rule::KeyCharset,
    Rule::KeyDuplicate,
    Rule::StringUtf8,
    Rule::StringNul,
    Rule::AlignmentType,
    Rule::AlignmentValue,
    Rule::TensorNameUtf8,
    Rule::TensorNameNul,
    Rule::TensorDuplicate,
];

/// Structured headers, mostly sound: llama.cpp and candle accept and refuse what the rules say they do, and read what we read.
///
/// # Panics
/// Where one does not, and that is no filed finding.
pub fn differential(bytes: &[u8]) {
    let lenient = File::lenient(bytes);
    let strict = File::strict(bytes);
    statistics::count(match (&strict, &lenient) {
        (Ok(_), _) => "strict",
        (_, Ok(_)) => "lenient",
        _ => "neither",
    });
    if let Ok(file) = &strict {
        check_rules(file);
    }
    for reading in readings(bytes) {
        judge(&reading, &lenient);
    }
}

/// What a runtime made of a header.
struct Reading {
    runtime: &'static str,
    stance: fn(Rule) -> Stance,
    contents: Option<Contents>,
}

/// What the runtimes make of a header. One that met a known finding says nothing.
fn readings(bytes: &[u8]) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    #[cfg(feature = "llama-cpp")]
    {
        subject_llama_cpp::probe::listen(known::is_known, known::passing_over());
        if let Some(contents) = subject_llama_cpp::probe::read(bytes, false) {
            readings.push(Reading { runtime: "llama.cpp", stance: Rule::llama_cpp, contents });
        }
    }
    #[cfg(feature = "candle")]
    match known::guard(|| subject_candle::probe::read(bytes)) {
        // A weight type that candle does not have is no disagreement.
        None | Some(Err(Refusal::Unsupported(_))) => {}
        Some(contents) => readings.push(Reading { runtime: "candle", stance: Rule::candle, contents: contents.ok() }),
    }
    readings
}

fn judge(reading: &Reading, lenient: &Result<File<'_>, Finding>) {
    let broken = || match lenient {
        Ok(file) => {
            let rules: Vec<_> = file.tolerated().iter().map(|tolerated| tolerated.finding.rule.id()).collect();
            if rules.is_empty() { "breaks no rule".to_owned() } else { format!("breaks {}", rules.join(", ")) }
        }
        Err(finding) => format!("breaks {} ({finding})", finding.rule),
    };
    match (should(lenient, reading.stance), &reading.contents) {
        (Should::Accept, None) => {
            let longest = lenient.as_ref().map_or(0, |file| file.tensors().iter().map(|t| t.name.len()).max().unwrap_or(0));
            let name = if longest >= 64 { " and has a name of 64 bytes" } else { "" };
            known::report(&format!("{} refuses a header that {}{name}", reading.runtime, broken()));
        }
        (Should::Reject, Some(_)) => known::report(&format!("{} accepts a header that {}", reading.runtime, broken())),
        (_, Some(contents)) => {
            let Ok(file) = lenient else { return };
            let is_ambiguous = |tolerated: &gguf::Tolerated| AMBIGUOUS.contains(&tolerated.finding.rule);
            if file.tolerated().iter().any(is_ambiguous) {
                return;
            }
            // No rule forbids a NUL in an array's texts. llama.cpp ends a text at the first, candle takes them from its end.
            let is_cut = known::leave_out(
                |by| matches!(by, By::Compare(runtime, is_cut) if *runtime == reading.runtime && has_text_in_array(file, *is_cut)),
            );
            if is_cut {
                return;
            }
            statistics::count("compared");
            if let Some(difference) = ours::contents(file).difference(contents) {
                known::report(&format!(
                    "{} reads something else from a header that {}: {difference}",
                    reading.runtime,
                    broken()
                ));
            }
        }
        (_, None) => {}
    }
}

/// True where an array of texts has one of a kind.
fn has_text_in_array(file: &File<'_>, is_of_kind: fn(&[u8]) -> bool) -> bool {
    let is_one = |value: Value<'_>| matches!(value, Value::String(text) if is_of_kind(text));
    file.metadata().iter().any(|(_, value)| match value {
        Value::Array(array) => array.element_type() == ValueType::String && array.values().any(is_one),
        _ => false,
    })
}

/// Drafts that are valid, written by our writer: our reader reads back what was drafted, and every reader, those in `readers` too, what
/// ours reads.
///
/// # Panics
/// Where one does not, and that is no filed finding.
pub fn round_trip(draft: &Draft<'_>) {
    let bytes = draft.finish();
    let Ok(file) = File::strict(&bytes) else {
        statistics::count("not valid");
        return;
    };
    statistics::count("valid");
    if is_forced(draft, &file) {
        return;
    }
    check_written(draft, &file);
    let ours = ours::contents(&file);
    let lenient = File::lenient(&bytes);
    for reading in readings(&bytes) {
        judge(&reading, &lenient);
    }
    // What every reader should take: nothing that the specification is silent on, and no type that came after the k-quants, which some
    // do not know. What they do with those is in `corpora/vectors/FINDINGS.md`.
    let is_old = |tensor: &Tensor<'_>| tensor.weight_type.id() <= gguf::WeightType::Q8_K.id();
    if file.tolerated().is_empty() && file.version() == 3 && file.tensors().iter().all(is_old) {
        read_by_others(&bytes, &ours);
    }
}

/// True for a draft on which a field was forced: it is another file than its parts say, even where it is a valid one.
fn is_forced(draft: &Draft<'_>, file: &File<'_>) -> bool {
    draft.key_count.is_some()
        || draft.tensor_count.is_some()
        || draft.padding.is_some()
        || draft.alignment != file.alignment()
        || draft.keys.iter().any(|key| key.length.is_some())
        || draft.tensors.iter().any(|tensor| {
            tensor.name_length.is_some()
                || tensor.dimension_count.is_some()
                || tensor.offset.is_some()
                || tensor.place.is_some()
                // In version 1 they are written in 4 bytes.
                || draft.version == 1 && tensor.dimensions.iter().any(|&dimension| dimension > u32::MAX.into())
        })
}

/// Our reader finds what was drafted.
fn check_written(draft: &Draft<'_>, file: &File<'_>) {
    assert_eq!(file.metadata().len(), draft.keys.len(), "the reader finds another number of keys than was written");
    for ((key, value), drafted) in file.metadata().iter().zip(&draft.keys) {
        assert_eq!(&**key, &*drafted.key, "the reader finds another key than was written");
        assert_eq!(value.value_type().id(), drafted.type_id, "the reader finds another type than was written");
        let mut again = Draft { version: draft.version, ..Draft::new() };
        again.value(key.to_vec(), value);
        // A value may end before the bytes that were drafted for it, where its own length was changed; then it must be their beginning.
        let same = again.keys.first().is_some_and(|again| drafted.value.starts_with(&again.value));
        assert!(same, "the value of key {key} is not the one that was written");
    }
    assert_eq!(file.tensors().len(), draft.tensors.len(), "the reader finds another number of tensors than was written");
    for (tensor, drafted) in file.tensors().iter().zip(&draft.tensors) {
        assert_eq!(&**tensor.name, &*drafted.name, "the reader finds another tensor than was written");
        assert_eq!(tensor.dimensions.to_vec(), drafted.dimensions, "tensor {} has another shape than was written", tensor.name);
        assert_eq!(tensor.weight_type.id(), drafted.type_id, "tensor {} has another type than was written", tensor.name);
        // A shape that was changed may ask for less than was drafted, or for some of the padding and the tail behind it.
        let (data, drafted) = (file.data(tensor), &*drafted.data);
        let asked = tensor.weight_type.row_bytes(tensor.dimensions.iter().product());
        assert_eq!(Some(data.len() as u64), asked, "tensor {} has data of another length than its shape asks for", tensor.name);
        let shared = data.len().min(drafted.len());
        let is_padding = || draft.tail.is_some() || data[shared..].iter().all(|&byte| byte == 0);
        assert!(data[..shared] == drafted[..shared] && is_padding(), "tensor {} has other data than was written", tensor.name);
    }
}

/// Every reader in `readers` reads what ours does.
fn read_by_others(bytes: &[u8], ours: &Contents) {
    let path = memory::file(0, bytes);
    for name in readers::NAMES {
        let Some(reader) = readers::create(name) else { continue };
        match known::guard(|| reader.read(&path)) {
            None => {}
            Some(Ok(contents)) => {
                statistics::count("compared");
                if let Some(difference) = ours.difference(&contents) {
                    known::report(&format!("{name} reads back something else: {difference}"));
                }
            }
            Some(Err(Refusal::Unsupported(_))) => statistics::count("unsupported"),
            Some(Err(refusal)) => known::report(&format!("{name} refuses what was written: {refusal:?}")),
        }
    }
}
