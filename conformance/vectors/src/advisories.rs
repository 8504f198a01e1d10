//! Published advisories and issues: each as a file that keeps what was published of it, and says how much that was.

use crate::{Builder, Group, Note, Part, VectorFile, bases, parts};
use gguf::{Draft, DraftTensor, Rule, Value, ValueType, WeightType};
use std::borrow::Cow;

/// What is known of an advisory, and what a reader should do with its file.
struct Advisory {
    id: &'static str,
    references: &'static [&'static str],
    /// `exact`, `derived` or `unknown`.
    provenance: &'static str,
    /// Root cause, and the version with the fix.
    description: &'static str,
    rules: &'static [Rule],
    files: Vec<VectorFile>,
}

fn one(draft: &Draft<'_>) -> Vec<VectorFile> {
    vec![parts::file("model.gguf", &draft.finish())]
}

/// The header alone, with its two counts.
fn counts(tensors: u64, keys: u64) -> Vec<u8> {
    Draft { tensor_count: Some(tensors), key_count: Some(keys), ..Draft::new() }.finish()
}

/// A header and tensors of which the table alone is there, without data.
fn table(rows: &[(&[u64], WeightType)]) -> Vec<VectorFile> {
    let mut draft = bases::bare();
    draft.u32("general.quantization_version", 2);
    for (index, (dimensions, weight_type)) in rows.iter().enumerate() {
        draft.tensors.push(DraftTensor {
            name: Cow::Owned(format!("t{index}").into_bytes()),
            name_length: None,
            dimension_count: None,
            dimensions: dimensions.to_vec(),
            type_id: weight_type.id(),
            offset: None,
            place: Some(0),
            data: Cow::Owned(vec![0; 32]),
        });
    }
    one(&draft)
}

fn raw_key(type_id: u32, value: &[u8]) -> Vec<VectorFile> {
    one(&bases::with_raw(type_id, value))
}

fn array(element_id: u32, len: u64) -> Vec<u8> {
    [&element_id.to_le_bytes()[..], &len.to_le_bytes(), &[0; 8]].concat()
}

fn llama(change: impl FnOnce(&mut Draft<'static>)) -> Vec<VectorFile> {
    let mut draft = bases::llama();
    change(&mut draft);
    one(&draft)
}

fn all() -> Vec<Advisory> {
    let mut advisories = memory_of_the_header();
    advisories.extend(tensors());
    advisories.extend(models());
    advisories.extend(other_readers());
    advisories
}

/// llama.cpp's header, in early 2024: products and sums of counts and lengths that wrap.
#[expect(clippy::too_many_lines, reason = "a table")]
fn memory_of_the_header() -> Vec<Advisory> {
    let mut long_key = counts(0, 1);
    long_key.extend(u64::MAX.to_le_bytes());
    long_key.extend([b'A'; 256]);
    let mut many_dimensions = bases::bare();
    many_dimensions.tensor("t", &[1; 255], WeightType::F32, vec![0; 4]);
    let mut cut = bases::format().finish();
    cut.truncate(74);
    // Products that wrap to less than one entry takes: 88 bytes were kept for a tensor, 48 for a key.
    let (tensors, keys) = (u64::MAX / 88 + 1, u64::MAX / 48 + 1);
    vec![
        Advisory {
            id: "CVE-2024-23496",
            references: &["CVE-2024-23496", "TALOS-2024-1913"],
            provenance: "exact",
            description: "llama.cpp allocated a string's length plus one, which wraps for 2^64 - 1. Fixed in a4b07c05.",
            rules: &[Rule::StringLength],
            files: vec![parts::file("model.gguf", &long_key)],
        },
        Advisory {
            id: "CVE-2024-21825",
            references: &["CVE-2024-21825", "TALOS-2024-1912"],
            provenance: "derived",
            description: "llama.cpp multiplied an array's length by the size of its elements, which wraps. Fixed in a4b07c05.",
            rules: &[Rule::ArrayLength],
            files: raw_key(ValueType::Array.id(), &array(ValueType::String.id(), 1 << 60)),
        },
        Advisory {
            id: "CVE-2024-21802",
            references: &["CVE-2024-21802", "TALOS-2024-1914"],
            provenance: "exact",
            description: "llama.cpp wrote 255 dimensions into room for four. Fixed in a4b07c05.",
            rules: &[Rule::DimensionCount],
            files: one(&many_dimensions),
        },
        Advisory {
            id: "CVE-2024-21836",
            references: &["CVE-2024-21836", "TALOS-2024-1915"],
            provenance: "derived",
            description: "llama.cpp multiplied the number of tensors by the size of its bookkeeping, which wraps. Fixed in a4b07c05.",
            rules: &[Rule::TensorCount],
            files: vec![parts::file("model.gguf", &[counts(tensors, 0), vec![0; 64]].concat())],
        },
        Advisory {
            id: "CVE-2024-23605",
            references: &["CVE-2024-23605", "TALOS-2024-1916"],
            provenance: "derived",
            description: "llama.cpp multiplied the number of keys by the size of its bookkeeping, which wraps. Fixed in a4b07c05.",
            rules: &[Rule::KeyCount],
            files: vec![parts::file("model.gguf", &[counts(0, keys), vec![0; 64]].concat())],
        },
        Advisory {
            id: "CVE-2024-25664",
            references: &["CVE-2024-25664", "CVE-2024-25665", "CVE-2024-25666", "CVE-2024-25667", "CVE-2024-25668"],
            provenance: "unknown",
            description: "Five heap overflows in llama.cpp's header, whose fields were not published one by one. A synthetic file: a string longer than what is left.",
            rules: &[Rule::StringLength],
            files: raw_key(ValueType::String.id(), &[&(1u64 << 32).to_le_bytes()[..], b"text"].concat()),
        },
        Advisory {
            id: "CVE-2024-32878",
            references: &["CVE-2024-32878"],
            provenance: "unknown",
            description: "llama.cpp freed pointers that it had not set when a file ended among its keys. Fixed in b2740. A synthetic file: the second key is cut.",
            rules: &[Rule::Truncated],
            files: vec![parts::file("model.gguf", &cut)],
        },
        Advisory {
            id: "CVE-2024-41130",
            references: &["CVE-2024-41130"],
            provenance: "unknown",
            description: "llama.cpp dereferenced a null pointer; the field was not published. Fixed in b3427. A synthetic file: an array of arrays, whose element size is not known.",
            rules: &[Rule::ArrayNested],
            files: raw_key(
                ValueType::Array.id(),
                &[&array(ValueType::Array.id(), 1)[..12], &array(ValueType::U8.id(), 0)[..12]].concat(),
            ),
        },
        Advisory {
            id: "llama.cpp-15711",
            references: &["llama.cpp #15711"],
            provenance: "exact",
            description: "llama.cpp multiplied the number of tensors by ggml's overhead for each, which wraps to 224 bytes.",
            rules: &[Rule::TensorCount],
            files: vec![parts::file("model.gguf", &[counts(50_127_021_939_428_130, 0), vec![0; 64]].concat())],
        },
    ]
}

/// Sizes of tensors that wrap.
#[expect(clippy::too_many_lines, reason = "a table")]
fn tensors() -> Vec<Advisory> {
    let mut empty_key = bases::bare();
    empty_key.key("", ValueType::U8.id(), [0]);
    let mut no_rows = bases::bare();
    no_rows.tensor("t", &[1, 0], WeightType::F32, vec![]);
    let almost = 0x7FFF_FFFF_FFFF_FFC0;
    vec![
        Advisory {
            id: "CVE-2025-53630",
            references: &["CVE-2025-53630"],
            provenance: "derived",
            description: "llama.cpp added up padded sizes, which wraps for two tensors of 2^63 bytes. Fixed in 26a48ad.",
            rules: &[Rule::TensorSize],
            files: table(&[(&[1 << 62], WeightType::F16), (&[1 << 62], WeightType::F16)]),
        },
        Advisory {
            id: "CVE-2026-27940",
            references: &["CVE-2026-27940"],
            provenance: "exact",
            description: "llama.cpp added its overhead to the size of all tensors, which wraps for two tensors of nearly 2^63 bytes. Fixed in b8146.",
            rules: &[Rule::TensorSize],
            files: table(&[(&[almost], WeightType::I8), (&[almost], WeightType::I8)]),
        },
        Advisory {
            id: "CVE-2026-33298",
            references: &["CVE-2026-33298"],
            provenance: "exact",
            description: "llama.cpp computed a tensor's bytes without looking for overflow: 2^20 times 2^42 + 1 elements of 4 bytes come to 4 MiB. Fixed in b7824.",
            rules: &[Rule::TensorSize],
            files: table(&[(&[1024, 1024, (1 << 42) + 1, 1], WeightType::F32)]),
        },
        Advisory {
            id: "llama.cpp-24759",
            references: &["llama.cpp #24759", "llama.cpp #26978"],
            provenance: "exact",
            description: "llama.cpp padded a size just below 2^64, which wraps to 0.",
            rules: &[Rule::TensorSize],
            files: table(&[(&[64], WeightType::F32), (&[4, (1 << 30) - 1, (1 << 30) + 1, 1], WeightType::F32)]),
        },
        Advisory {
            id: "llama.cpp-24884",
            references: &["llama.cpp #24884"],
            provenance: "derived",
            description: "llama.cpp asserted that keys are not empty, and ended. The published file has 37 bytes and no architecture, which would be a second rule.",
            rules: &[Rule::KeyEmpty],
            files: one(&empty_key),
        },
        Advisory {
            id: "llama.cpp-25596",
            references: &["llama.cpp #25596"],
            provenance: "derived",
            description: "llama.cpp divided by a dimension of 0.",
            rules: &[Rule::DimensionZero],
            files: one(&no_rows),
        },
        Advisory {
            id: "llama.cpp-25596-alignment",
            references: &["llama.cpp #25596"],
            provenance: "exact",
            description: "llama.cpp asserted that the alignment is a uint32, and ended.",
            rules: &[Rule::AlignmentType],
            files: one(bases::bare().value("general.alignment", Value::I32(32))),
        },
        Advisory {
            id: "llama.cpp-27203",
            references: &["llama.cpp #27203"],
            provenance: "exact",
            description: "llama.cpp checked a size through a product that had wrapped.",
            rules: &[Rule::ElementCount],
            files: table(&[(&[i64::MAX as u64, 2], WeightType::I8)]),
        },
    ]
}

/// Keys and tokenizers of models.
#[expect(clippy::too_many_lines, reason = "a table")]
fn models() -> Vec<Advisory> {
    let template = "{{ ''.__class__.__mro__[1].__subclasses__() }}";
    let layers = |count: u32| {
        llama(|draft| {
            draft.remove_key("llama.block_count").u32("llama.block_count", count);
        })
    };
    vec![
        Advisory {
            id: "CVE-2024-34359",
            references: &["CVE-2024-34359"],
            provenance: "derived",
            description: "llama-cpp-python 0.2.30 to 0.2.71 ran the chat template in a Jinja environment without a sandbox. The file is valid: it is what is done with its text that is not. Fixed in 0.2.72.",
            rules: &[],
            files: llama(|draft| {
                draft.str("tokenizer.chat_template", template);
            }),
        },
        Advisory {
            id: "CVE-2025-49847",
            references: &["CVE-2025-49847"],
            provenance: "derived",
            description: "llama.cpp cast the length of a token to 32 bits, which is negative for a token of more than 2^31 - 1 bytes. Fixed in b5662. The token is all NUL, so that the file can be a hole.",
            rules: &[],
            files: vec![long_token((1 << 31) + 8)],
        },
        Advisory {
            id: "GHSA-g4cc-763q-h9h6",
            references: &["GHSA-g4cc-763q-h9h6", "llama.cpp #14145"],
            provenance: "exact",
            description: "llama.cpp took 1 for the BOS token of a vocabulary of one token. The file is valid: it names no BOS.",
            rules: &[],
            files: {
                let mut draft = bases::bare();
                draft.str("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", &["<unk>"]);
                draft.f32s("tokenizer.ggml.scores", &[0.0]).i32s("tokenizer.ggml.token_type", &[2]);
                one(&draft)
            },
        },
        Advisory {
            id: "GHSA-g4cc-763q-h9h6-model",
            references: &["GHSA-g4cc-763q-h9h6", "llama.cpp #14145"],
            provenance: "derived",
            description: "The same vocabulary of one token in a model that is otherwise complete.",
            rules: &[],
            files: llama(|draft| {
                for key in ["tokens", "scores", "token_type", "bos_token_id", "eos_token_id", "unknown_token_id"] {
                    draft.remove_key(&format!("tokenizer.ggml.{key}"));
                }
                draft.strings("tokenizer.ggml.tokens", &["<unk>"]).f32s("tokenizer.ggml.scores", &[0.0]);
                draft.i32s("tokenizer.ggml.token_type", &[2]);
                draft.tensors.remove(0);
                let mut embedding = Draft::new();
                bases::numbered(&mut embedding, "token_embd.weight", &[bases::WIDTH, 1]);
                draft.tensors.splice(0..0, embedding.tensors);
            }),
        },
        Advisory {
            id: "llama.cpp-25821",
            references: &["llama.cpp #25821", "llama.cpp #26051"],
            provenance: "exact",
            description: "llama.cpp kept room for 512 layers and did not look at how many there are.",
            rules: &[Rule::TensorMissing],
            files: layers(513),
        },
        Advisory {
            id: "llama.cpp-25821-largest",
            references: &["llama.cpp #25821", "llama.cpp #26051"],
            provenance: "derived",
            description: "The same with the largest number of layers that the type holds.",
            rules: &[Rule::TensorMissing],
            files: layers(u32::MAX),
        },
        Advisory {
            id: "llama.cpp-27226",
            references: &["llama.cpp #27226", "llama.cpp #26511"],
            provenance: "exact",
            description: "llama.cpp's plamo2 tokenizer read the byte in the name of a token as a signed number and wrote before the beginning of an array. Fixed in cf06ad7d. The file is valid: the specification does not say how byte tokens are named.",
            rules: &[],
            files: llama(|draft| {
                for key in ["model", "tokens", "token_type"] {
                    draft.remove_key(&format!("tokenizer.ggml.{key}"));
                }
                draft
                    .str("tokenizer.ggml.model", "plamo2")
                    .strings("tokenizer.ggml.tokens", &["<unk>", "<s>", "</s>", "<0x-1>"]);
                draft.i32s("tokenizer.ggml.token_type", &[2, 3, 3, 6]);
            }),
        },
    ]
}

/// A vocabulary of one token of `len` bytes, none of which is written out.
fn long_token(len: u64) -> VectorFile {
    let mut draft = bases::bare();
    draft.array("tokenizer.ggml.tokens", ValueType::String.id(), 1, &0u64.to_le_bytes());
    let mut bytes = draft.finish();
    let at = bytes.len() - 8;
    bytes[at..].copy_from_slice(&len.to_le_bytes());
    let mut all = parts::split(&bytes);
    all.push(Part::Zeros(len));
    parts::of_parts("model.gguf", all)
}

/// Ollama, candle and gguf-py.
#[expect(clippy::too_many_lines, reason = "a table")]
fn other_readers() -> Vec<Advisory> {
    let mut wide = bases::bare();
    wide.tensor("t", &[8], WeightType::F32, vec![0; 32]);
    bases::change_last(&mut wide, |last| last.dimension_count = Some(1_000_000));
    let mut zero = bases::bare();
    zero.u32("general.alignment", 0).tensor("t", &[8], WeightType::F32, vec![0; 32]);
    let mut beyond = bases::bare();
    beyond.tensor("t", &[1 << 20], WeightType::F32, vec![0; 32]);
    // Version 1, whose string lengths take 4 bytes.
    let mut old = b"GGUF".to_vec();
    old.extend(1u32.to_le_bytes());
    old.extend(0u32.to_le_bytes());
    old.extend(1u32.to_le_bytes());
    old.extend(u32::MAX.to_le_bytes());
    old.extend([b'A'; 32]);
    let key = |id, element, len| raw_key(id, &array(element, len));
    vec![
        Advisory {
            id: "CVE-2024-39720",
            references: &["CVE-2024-39720"],
            provenance: "exact",
            description: "Ollama crashed on a file of 4 bytes. Fixed in 0.1.46.",
            rules: &[Rule::Truncated],
            files: vec![parts::file("model.gguf", b"GGUF")],
        },
        Advisory {
            id: "CVE-2024-8063",
            references: &["CVE-2024-8063"],
            provenance: "derived",
            description: "Ollama divided by the number of layers, which is 0.",
            rules: &[Rule::KeyValue],
            files: llama(|draft| {
                draft.remove_key("llama.block_count").u32("llama.block_count", 0);
            }),
        },
        Advisory {
            id: "CVE-2024-8063-type",
            references: &["CVE-2024-8063"],
            provenance: "derived",
            description: "The same with a number of layers of the wrong type, which Ollama took for 0.",
            rules: &[Rule::KeyType],
            files: llama(|draft| {
                draft.remove_key("llama.block_count").str("llama.block_count", "1");
            }),
        },
        Advisory {
            id: "CVE-2025-0317",
            references: &["CVE-2025-0317"],
            provenance: "exact",
            description: "Ollama divided by an alignment of 0.",
            rules: &[Rule::AlignmentValue],
            files: one(&zero),
        },
        Advisory {
            id: "CVE-2025-66959",
            references: &["CVE-2025-66959", "CVE-2025-66960"],
            provenance: "derived",
            description: "Ollama did not look at the length of a string in a file of version 1.",
            rules: &[Rule::StringLength],
            files: vec![parts::file("model.gguf", &old)],
        },
        Advisory {
            id: "CVE-2026-7482",
            references: &["CVE-2026-7482"],
            provenance: "derived",
            description: "Ollama read a tensor beyond the end of the file. Fixed in 0.17.1.",
            rules: &[Rule::DataBounds],
            files: one(&beyond),
        },
        Advisory {
            id: "candle-3533-keys",
            references: &["candle #3533", "candle #3556", "candle #3585"],
            provenance: "derived",
            description: "candle made room for as many keys as the header says.",
            rules: &[Rule::KeyCount],
            files: vec![parts::file("model.gguf", &counts(0, 1 << 31))],
        },
        Advisory {
            id: "candle-3533-tensors",
            references: &["candle #3533", "candle #3556", "candle #3585"],
            provenance: "derived",
            description: "candle made room for as many tensors as the header says.",
            rules: &[Rule::TensorCount],
            files: vec![parts::file("model.gguf", &counts(1 << 31, 0))],
        },
        Advisory {
            id: "candle-3533-string",
            references: &["candle #3533", "candle #3556", "candle #3585"],
            provenance: "derived",
            description: "candle made room for a string as long as it says.",
            rules: &[Rule::StringLength],
            files: raw_key(ValueType::String.id(), &(1u64 << 31).to_le_bytes()),
        },
        Advisory {
            id: "candle-3533-array",
            references: &["candle #3533", "candle #3556", "candle #3585"],
            provenance: "derived",
            description: "candle made room for an array as long as it says.",
            rules: &[Rule::ArrayLength],
            files: key(ValueType::Array.id(), ValueType::U64.id(), 1 << 31),
        },
        Advisory {
            id: "candle-3533-dimensions",
            references: &["candle #3533", "candle #3556", "candle #3585"],
            provenance: "derived",
            description: "candle made room for as many dimensions as a tensor says.",
            rules: &[Rule::DimensionCount],
            files: {
                let mut draft = wide.clone();
                bases::change_last(&mut draft, |last| last.dimension_count = Some(1 << 31));
                one(&draft)
            },
        },
        Advisory {
            id: "gguf-py-25378-dimensions",
            references: &["llama.cpp #25378", "llama.cpp #27188"],
            provenance: "exact",
            description: "gguf-py read a million dimensions.",
            rules: &[Rule::DimensionCount],
            files: one(&wide),
        },
        Advisory {
            id: "gguf-py-25378-product",
            references: &["llama.cpp #25378", "llama.cpp #27188"],
            provenance: "exact",
            description: "gguf-py multiplied dimensions in 64 bits, where these wrap to 4.",
            rules: &[Rule::ElementCount],
            files: table(&[(&[4_194_305, 4_194_305, 211_106_198_978_564], WeightType::F32)]),
        },
        Advisory {
            id: "gguf-py-27188-array",
            references: &["llama.cpp #25378", "llama.cpp #27188"],
            provenance: "exact",
            description: "gguf-py read an array of 2^63 elements.",
            rules: &[Rule::ArrayLength],
            files: key(ValueType::Array.id(), ValueType::U8.id(), 1 << 63),
        },
    ]
}

pub(crate) fn group() -> Group {
    let mut group = Builder::new(
        "advisories",
        "Published advisories and issues of GGUF readers. Each has a flag of its own, whose note tells the cause and how much of the file was published.",
    );
    for advisory in all() {
        let note = Note {
            description: advisory.description.into(),
            references: advisory.references.iter().map(|&reference| reference.to_owned()).collect(),
            provenance: Some(advisory.provenance.into()),
        };
        group.group.notes.insert(advisory.id.into(), note);
        group.add(advisory.id, advisory.rules, &[advisory.id], advisory.description, advisory.files);
    }
    group.finish()
}
