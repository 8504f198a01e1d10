//! The rules of the format, each with an id, what the specification means by it, how severe a breach is, and what the two runtimes
//! do about it.
//!
//! Source of the rules: the GGUF specification, `docs/gguf.md` in the ggml repository. Where it is silent, the rule says so and why
//! there is one. What runtimes do is measured: a test in `ggauge` holds every [`Stance`] against the vectors of `corpora/vectors`.
//!
//! To add a rule, add a row here, report it in `reader.rs`, `layout.rs`, `tokenizer.rs` or `conformity.rs`, and break it in
//! `breakage.rs`; the vectors follow.

use std::{fmt, str::FromStr};
use strum::IntoStaticStr;

/// What breaking a rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// The specification forbids it, or what the file means depends on who reads it. Strict reading refuses the file.
    Invalid,
    /// The specification is silent, or well-known files break it. Strict reading accepts the file and lists the finding.
    Acceptable,
    /// The specification allows it, and this reader does not read it.
    Unsupported,
}

impl Severity {
    /// The name in lower case, as it stands in the vectors.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What a runtime does with a model that breaks one rule and is otherwise fit to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// It refuses the header.
    Rejects,
    /// It reads the header and refuses to load the model.
    RejectsLoad,
    /// It loads the model.
    Accepts,
    /// It ends without an answer.
    Crashes,
    /// It reads the header. There is no model to load, because the broken rule makes it one that the runtime does not know.
    ReadsHeader,
}

impl Stance {
    /// The stance in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rejects => "refuses the header",
            Self::RejectsLoad => "reads the header, refuses to load",
            Self::Accepts => "loads it",
            Self::Crashes => "crashes",
            Self::ReadsHeader => "reads the header",
        }
    }
}

macro_rules! rules {
    ($($variant:ident = $id:literal, $severity:ident, llama.cpp $llama_cpp:ident, candle $candle:ident: $meaning:literal;)*) => {
        /// A rule of the format.
        #[allow(clippy::doc_markdown, reason = "the meanings are texts for people first")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule { $(#[doc = $meaning] $variant),* }

        impl Rule {
            /// Every rule, in the order in which a file is read.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The id: in error texts, vectors and findings.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),* }
            }

            /// What the rule asks of a file, and where that comes from.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }

            /// What breaking it means.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),* }
            }

            /// What llama.cpp does with a model that breaks it.
            pub fn llama_cpp(self) -> Stance {
                match self { $(Self::$variant => Stance::$llama_cpp),* }
            }

            /// What candle does with a model that breaks it.
            pub fn candle(self) -> Stance {
                match self { $(Self::$variant => Stance::$candle),* }
            }
        }
    };
}

rules! {
    Magic = "magic", Invalid, llama.cpp Rejects, candle Rejects:
        "The file begins with the four bytes `GGUF`.";
    BigEndian = "big-endian", Unsupported, llama.cpp Rejects, candle Rejects:
        "Files are little-endian unless it is known otherwise. Version 3 allows big-endian files and has no field that says so; a version whose low 16 bits are zero gives one away. This reader names such a file and does not read it.";
    Version = "version", Invalid, llama.cpp Rejects, candle Rejects:
        "The version is one that exists: 1, 2 or 3.";
    VersionOne = "version-1", Acceptable, llama.cpp Rejects, candle Accepts:
        "Version 1 had 32-bit counts and lengths. It was replaced within weeks, in 2023, and few readers still have it.";
    Truncated = "truncated", Invalid, llama.cpp Rejects, candle Rejects:
        "The file goes on to the end of every field that its header promises.";
    TensorCount = "tensor-count", Invalid, llama.cpp Rejects, candle Rejects:
        "There are as many tensors as the header says, so the count fits what is left of the file.";
    KeyCount = "key-count", Invalid, llama.cpp Rejects, candle Rejects:
        "There are as many keys as the header says, so the count fits what is left of the file.";
    StringLength = "string-length", Invalid, llama.cpp Rejects, candle Rejects:
        "A string's length is that of bytes in the file.";
    KeyEmpty = "key-empty", Invalid, llama.cpp Rejects, candle Accepts:
        "A key is made of one segment or more, so it is not empty.";
    KeyLength = "key-length", Invalid, llama.cpp Accepts, candle Accepts:
        "A key has at most 65535 bytes.";
    KeyCharset = "key-charset", Invalid, llama.cpp Accepts, candle Accepts:
        "A key is printable ASCII. Other bytes are shown, cut off or replaced differently by different readers.";
    KeySnakeCase = "key-snake-case", Acceptable, llama.cpp Accepts, candle Accepts:
        "The segments of a key are lower_snake_case, joined by dots. Architectures with a hyphen in their name break this in published files.";
    KeyDuplicate = "key-duplicate", Invalid, llama.cpp Rejects, candle Accepts:
        "A key stands once. The specification is silent, but of two values some readers take the first, some the last, and some neither.";
    ValueType = "value-type", Invalid, llama.cpp Rejects, candle Rejects:
        "The type of a value, and of an array's elements, is one of the thirteen that exist.";
    Boolean = "boolean", Invalid, llama.cpp Accepts, candle Rejects:
        "A boolean is the byte 0 or 1; the specification calls everything else invalid.";
    StringUtf8 = "string-utf8", Invalid, llama.cpp Accepts, candle Accepts:
        "A string is valid UTF-8.";
    StringNul = "string-nul", Acceptable, llama.cpp Accepts, candle Accepts:
        "A string that is a value on its own has no NUL in it. Strings are not NUL-terminated, so one may; readers in C cut it there, and others strip it.";
    ArrayLength = "array-length", Invalid, llama.cpp Rejects, candle Rejects:
        "An array has as many elements as it says, so its length fits what is left of the file.";
    ArrayNested = "array-nested", Acceptable, llama.cpp Rejects, candle Accepts:
        "An array holds no arrays. The specification allows that it does; not every reader has it, and no published model needs it.";
    ArrayDepth = "array-depth", Invalid, llama.cpp Rejects, candle Accepts:
        "Arrays within arrays are at most 64 deep. The specification sets no limit; without one a small file can exhaust the stack of whatever recurses over it.";
    AlignmentType = "alignment-type", Invalid, llama.cpp Rejects, candle Accepts:
        "`general.alignment` is a uint32.";
    AlignmentValue = "alignment-value", Invalid, llama.cpp Crashes, candle Accepts:
        "The alignment is a multiple of 8, and not 0.";
    AlignmentPowerOfTwo = "alignment-power-of-two", Acceptable, llama.cpp Rejects, candle Accepts:
        "The alignment is a power of two. The specification asks for a multiple of 8 only, so 24 is valid, and some readers refuse it.";
    TensorNameEmpty = "tensor-name-empty", Acceptable, llama.cpp ReadsHeader, candle ReadsHeader:
        "A tensor has a name. The specification is silent.";
    TensorNameLength = "tensor-name-length", Invalid, llama.cpp Rejects, candle ReadsHeader:
        "A tensor's name has at most 64 bytes.";
    TensorNameUtf8 = "tensor-name-utf8", Invalid, llama.cpp ReadsHeader, candle ReadsHeader:
        "A tensor's name is valid UTF-8.";
    TensorNameNul = "tensor-name-nul", Invalid, llama.cpp ReadsHeader, candle ReadsHeader:
        "A tensor's name has no NUL in it: readers in C would see another name than the rest.";
    TensorDuplicate = "tensor-duplicate", Invalid, llama.cpp Rejects, candle Accepts:
        "A tensor's name stands once. The specification is silent; readers take the first, the last, or refuse.";
    DimensionCount = "dimension-count", Invalid, llama.cpp Rejects, candle Rejects:
        "A tensor has at most 4 dimensions.";
    DimensionCountZero = "dimension-count-zero", Acceptable, llama.cpp ReadsHeader, candle ReadsHeader:
        "A tensor has at least one dimension. The specification is silent; without one it is a single element.";
    DimensionZero = "dimension-zero", Acceptable, llama.cpp ReadsHeader, candle ReadsHeader:
        "No dimension is 0. The specification is silent; such a tensor has no data.";
    ElementCount = "element-count", Invalid, llama.cpp Rejects, candle Accepts:
        "The number of elements fits a signed 64-bit integer, whatever the order of multiplication; dimensions of 0 count as 1.";
    TensorType = "tensor-type", Invalid, llama.cpp Rejects, candle Rejects:
        "The type of a tensor is one that ggml has, and not one that it has removed.";
    RowSize = "row-size", Invalid, llama.cpp Rejects, candle RejectsLoad:
        "A row, the first dimension, is a whole number of blocks of the tensor's type.";
    TensorSize = "tensor-size", Invalid, llama.cpp Rejects, candle Crashes:
        "The tensor's bytes fit a signed 64-bit integer, and so do the padded bytes of all tensors together.";
    OffsetAlignment = "offset-alignment", Invalid, llama.cpp Rejects, candle Accepts:
        "The offset of a tensor's data is a multiple of the alignment.";
    DataBounds = "data-bounds", Invalid, llama.cpp RejectsLoad, candle RejectsLoad:
        "A tensor's data lies within the file.";
    TensorOverlap = "tensor-overlap", Invalid, llama.cpp Rejects, candle Accepts:
        "No byte belongs to two tensors.";
    TensorOrder = "tensor-order", Acceptable, llama.cpp Rejects, candle Accepts:
        "Data lies in the order of the tensor table, each tensor at the first aligned byte after the one before. The specification asks for alignment only; llama.cpp asks for this.";
    Padding = "padding", Invalid, llama.cpp Accepts, candle Accepts:
        "Bytes between the parts of a file are 0.";
    FinalPadding = "final-padding", Acceptable, llama.cpp Accepts, candle Accepts:
        "The last tensor's data is padded to the alignment as well, and the file ends there.";
    ArchitectureMissing = "architecture-missing", Invalid, llama.cpp ReadsHeader, candle ReadsHeader:
        "`general.architecture` is there, except in the later files of a split model.";
    ArchitectureCharset = "architecture-charset", Acceptable, llama.cpp ReadsHeader, candle ReadsHeader:
        "The architecture's name is made of lower-case letters and digits. llama.cpp's own `command-r` breaks this.";
    QuantizationVersion = "quantization-version", Invalid, llama.cpp Accepts, candle Accepts:
        "`general.quantization_version` is there where any tensor is quantised.";
    KeyType = "key-type", Invalid, llama.cpp RejectsLoad, candle Accepts:
        "A well-known key has the type that the specification gives; counts may be uint32 or uint64.";
    KeyMissing = "key-missing", Invalid, llama.cpp RejectsLoad, candle Accepts:
        "Every key that the architecture needs is there.";
    KeyValue = "key-value", Invalid, llama.cpp RejectsLoad, candle Crashes:
        "The architecture's numbers are possible: counts that divide are not 0 and divide evenly, and an epsilon is finite and positive.";
    TensorMissing = "tensor-missing", Invalid, llama.cpp RejectsLoad, candle RejectsLoad:
        "Every tensor that the architecture needs is there.";
    TensorShape = "tensor-shape", Invalid, llama.cpp RejectsLoad, candle Accepts:
        "The shapes of tensors follow from the architecture's numbers.";
    TensorUnexpected = "tensor-unexpected", Acceptable, llama.cpp RejectsLoad, candle Accepts:
        "There is no tensor that the architecture does not have. The specification is silent.";
    TokenizerLengths = "tokenizer-lengths", Invalid, llama.cpp RejectsLoad, candle Accepts:
        "`tokenizer.ggml.scores` and `token_type` are as long as `tokens`.";
    TokenType = "token-type", Invalid, llama.cpp Accepts, candle Accepts:
        "A token's type is one of 1 (normal) to 6 (byte).";
    SpecialToken = "special-token", Invalid, llama.cpp Accepts, candle Accepts:
        "The ids of special tokens are those of tokens.";
    SplitKeys = "split-keys", Invalid, llama.cpp Accepts, candle Accepts:
        "A file of a split model has `split.no`, `split.count` and `split.tensors.count`, and its number is below the count. These keys are llama.cpp's; the specification only has the file names.";
    SplitShards = "split-shards", Invalid, llama.cpp RejectsLoad, candle RejectsLoad:
        "The files of a split model are all there, agree on their count, and hold as many tensors as they say, each once.";
}

impl Rule {
    /// True for rules about what keys and tensors mean, rather than how they are written: they concern who runs a model, and not
    /// who reads a header. In the order of [`Rule::ALL`] those come last.
    pub fn is_about_models(self) -> bool {
        self >= Self::ArchitectureMissing
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|rule| rule.id() == id);
        known.ok_or_else(|| format!("there is no rule `{id}`; `ggauge rules` lists them"))
    }
}

/// A rule that a file breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} at byte {offset}: found {found}, expected {expected} (rule {rule})")]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Byte offset from the start of the file of the offending field, or of the row of the tensor table that it belongs to; 0 for what is
    /// not there at all.
    pub offset: u64,
    /// The field, such as `key 3` or ``tensor `blk.0.attn_q.weight` dimension 1``.
    pub field: String,
    /// What the file has.
    pub found: String,
    /// What the rule asks for.
    pub expected: String,
}

/// What lenient reading let pass: the first finding of a rule, and how many more there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tolerated {
    /// The first.
    pub finding: Finding,
    /// How often the rule was found broken. Of missing tensors the first ends the search.
    pub times: u64,
}

/// How to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As the specification says: the first breach of [`Severity::Invalid`] refuses the file.
    Strict,
    /// As runtimes read: whatever can still be understood is, and every breach is listed.
    Lenient,
}

/// Findings as they are made: one entry a rule, so that a hostile file cannot make them many.
#[derive(Debug, Clone)]
pub(crate) struct Findings {
    mode: Mode,
    tolerated: Vec<Tolerated>,
}

impl Findings {
    pub(crate) fn new(mode: Mode) -> Self {
        Self { mode, tolerated: Vec::new() }
    }

    /// Reports a breach after which reading can go on. In strict mode an invalid one ends it.
    pub(crate) fn report(&mut self, rule: Rule, finding: impl FnOnce() -> Finding) -> Result<(), Finding> {
        if self.mode == Mode::Strict && rule.severity() == Severity::Invalid {
            return Err(finding());
        }
        match self.tolerated.iter_mut().find(|tolerated| tolerated.finding.rule == rule) {
            Some(tolerated) => tolerated.times += 1,
            None => self.tolerated.push(Tolerated { finding: finding(), times: 1 }),
        }
        Ok(())
    }

    pub(crate) fn into_tolerated(self) -> Vec<Tolerated> {
        self.tolerated
    }
}

/// Text of a file for people: control characters escaped, cut where it grows long.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 60;
    let head = bytes.get(..LONGEST).unwrap_or(bytes);
    let text = bstr::BStr::new(head);
    let dots = if bytes.len() > LONGEST { "..." } else { "" };
    format!("{text:?}{dots}").replace('"', "`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_read_back() {
        for rule in Rule::ALL {
            assert_eq!(rule.id().parse::<Rule>().unwrap(), *rule);
            assert!(rule.id().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{rule}");
            assert!(rule.meaning().ends_with('.'), "{rule}");
        }
        assert!("no-such".parse::<Rule>().unwrap_err().contains("ggauge rules"));
    }
}
