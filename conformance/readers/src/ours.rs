//! Our own reader's words for what it found, so that it is held against the others like every other.

use ::gguf::{File, Finding, Mode, Severity, ShardName, Split, Value};
use machine::MappedFile;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use vocabulary::{Contents, Description, KeyValue, ReadValue, Refusal, RejectionClass, Subject, TensorEntry, escape};

/// Our own reader, as a subject like every other.
pub struct OurReader {
    mode: Mode,
}

impl OurReader {
    /// `strict` or `lenient`.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] for anything else.
    pub fn new(mode: &str) -> Result<Self, Refusal> {
        match mode {
            "strict" => Ok(Self { mode: Mode::Strict }),
            "lenient" => Ok(Self { mode: Mode::Lenient }),
            other => Err(Refusal::Unsupported(format!("ggauge's reader is strict or lenient, not `{other}`"))),
        }
    }
}

impl Subject for OurReader {
    fn describe(&self) -> Description {
        Description { runtime: concat!("ggauge ", env!("CARGO_PKG_VERSION")).into(), ..Description::default() }
    }

    fn read(&self, file: &Path) -> Result<Contents, Refusal> {
        let unreadable = |error: io::Error| Refusal::read(RejectionClass::Unreadable, error.to_string());
        // An empty file cannot be mapped, and is one that can be read.
        let open = |path: &PathBuf| match fs::metadata(path).map_err(unreadable)?.len() {
            0 => Ok(None),
            _ => MappedFile::open(path).map(Some).map_err(unreadable),
        };
        let refuse = |finding: Finding| match finding.rule.severity() {
            Severity::Unsupported => Refusal::Unsupported(finding.to_string()),
            _ => Refusal::read(RejectionClass::Malformed, finding.to_string()),
        };
        let shard = file.file_name().and_then(|name| ShardName::parse(name.to_str()?));
        let paths = match &shard {
            Some(shard) => shard.siblings().map(|name| file.with_file_name(name)).filter(|path| path.exists()).collect(),
            None => vec![file.to_owned()],
        };
        let mapped = paths.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let files = mapped
            .iter()
            .map(|bytes| File::read(bytes.as_deref().unwrap_or(&[]), self.mode))
            .collect::<Result<Vec<_>, _>>()
            .map_err(refuse)?;
        let split = Split::join(files, self.mode).map_err(refuse)?;
        // Of a split model the first file, because that is what the others are asked for.
        split.files().first().map(contents).ok_or_else(|| Refusal::read(RejectionClass::Unreadable, "there is no file"))
    }
}

/// What our own reader tells of a file.
pub fn contents(file: &File<'_>) -> Contents {
    Contents {
        version: Some(file.version()),
        data_offset: (!file.tensors().is_empty()).then(|| file.data_offset().to_string()),
        metadata: file.metadata().iter().map(|(key, value)| KeyValue { key: escape(key), value: read_value(value) }).collect(),
        tensors: file
            .tensors()
            .iter()
            .map(|tensor| TensorEntry {
                name: escape(tensor.name),
                dimensions: Some(tensor.dimensions.iter().map(u64::to_string).collect()),
                type_id: Some(tensor.weight_type.id()),
                offset: Some((tensor.offset - file.data_offset()).to_string()),
            })
            .collect(),
    }
}

fn read_value(value: Value<'_>) -> ReadValue {
    match value {
        Value::U8(v) => ReadValue::number("u8", v),
        Value::I8(v) => ReadValue::number("i8", v),
        Value::U16(v) => ReadValue::number("u16", v),
        Value::I16(v) => ReadValue::number("i16", v),
        Value::U32(v) => ReadValue::number("u32", v),
        Value::I32(v) => ReadValue::number("i32", v),
        Value::F32(v) => ReadValue::float("f32", v),
        Value::Bool(v) => ReadValue::number("bool", v),
        Value::String(v) => ReadValue::text(v),
        Value::U64(v) => ReadValue::number("u64", v),
        Value::I64(v) => ReadValue::number("i64", v),
        Value::F64(v) => ReadValue::float("f64", v),
        Value::Array(array) => ReadValue::Array {
            element_type: Some(short_name(array.element_type()).into()),
            values: array.values().map(read_value).collect(),
        },
    }
}

/// A type's name as the vocabulary has it: `u32` for `uint32`.
fn short_name(value_type: ::gguf::ValueType) -> &'static str {
    use ::gguf::ValueType as T;
    match value_type {
        T::U8 => "u8",
        T::I8 => "i8",
        T::U16 => "u16",
        T::I16 => "i16",
        T::U32 => "u32",
        T::I32 => "i32",
        T::F32 => "f32",
        T::U64 => "u64",
        T::I64 => "i64",
        T::F64 => "f64",
        T::Bool | T::String | T::Array => value_type.name(),
    }
}
