//! The header as candle's own reader (`gguf_file::Content`) takes it.

use crate::first_line;
use candle_core::quantized::{
    GgmlDType,
    gguf_file::{Content, Value, VersionedMagic},
};
use std::{fs::File, path::Path};
use vocabulary::{Contents, KeyValue, ReadValue, Refusal, RejectionClass, TensorEntry, escape};

pub(crate) fn read(file: &Path) -> Result<Contents, Refusal> {
    let (_, content) = open(file, Refusal::read)?;
    Ok(contents(&content))
}

/// What candle keeps of a header.
pub(crate) fn contents(content: &Content) -> Contents {
    // candle keeps both in hash maps.
    let mut metadata: Vec<KeyValue> = Vec::new();
    metadata
        .extend(content.metadata.iter().map(|(key, value)| KeyValue { key: escape(key.as_bytes()), value: read_value(value) }));
    metadata.sort_by(|a, b| a.key.cmp(&b.key));
    let mut tensors: Vec<TensorEntry> = Vec::new();
    tensors.extend(content.tensor_infos.iter().map(|(name, info)| TensorEntry {
        name: escape(name.as_bytes()),
        // candle has the row last.
        dimensions: Some(info.shape.dims().iter().rev().map(usize::to_string).collect()),
        type_id: Some(type_id(info.ggml_dtype)),
        offset: Some(info.offset.to_string()),
    }));
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Contents {
        version: Some(match content.magic {
            VersionedMagic::GgufV1 => 1,
            VersionedMagic::GgufV2 => 2,
            VersionedMagic::GgufV3 => 3,
        }),
        // Without tensors there is no data section.
        data_offset: (!tensors.is_empty()).then(|| content.tensor_data_offset.to_string()),
        metadata,
        tensors,
    }
}

/// Opens a file and reads its header; `reject` says at which stage that was.
pub(crate) fn open(path: &Path, reject: fn(RejectionClass, String) -> Refusal) -> Result<(File, Content), Refusal> {
    let mut file = File::open(path).map_err(|error| reject(RejectionClass::Unreadable, error.to_string()))?;
    let content = Content::read(&mut file).map_err(|error| refusal(&error, reject))?;
    Ok((file, content))
}

/// The refusal that a failed reading of a header comes to.
pub(crate) fn refusal(error: &candle_core::Error, reject: fn(RejectionClass, String) -> Refusal) -> Refusal {
    match first_line(error) {
        words if ["unknown dtype", "unsupported magic/version"].iter().any(|known| words.contains(known)) => {
            Refusal::Unsupported(words)
        }
        words => reject(RejectionClass::Malformed, words),
    }
}

fn read_value(value: &Value) -> ReadValue {
    match value {
        Value::U8(v) => ReadValue::number("u8", v),
        Value::I8(v) => ReadValue::number("i8", v),
        Value::U16(v) => ReadValue::number("u16", v),
        Value::I16(v) => ReadValue::number("i16", v),
        Value::U32(v) => ReadValue::number("u32", v),
        Value::I32(v) => ReadValue::number("i32", v),
        Value::U64(v) => ReadValue::number("u64", v),
        Value::I64(v) => ReadValue::number("i64", v),
        Value::F32(v) => ReadValue::float("f32", v),
        Value::F64(v) => ReadValue::float("f64", v),
        Value::Bool(v) => ReadValue::number("bool", v),
        Value::String(v) => ReadValue::text(v.as_bytes()),
        // candle does not keep the element type.
        Value::Array(values) => ReadValue::Array { element_type: None, values: values.iter().map(read_value).collect() },
    }
}

/// ggml's id of a type. candle has its own enumeration, and the way back is private.
fn type_id(dtype: GgmlDType) -> u32 {
    match dtype {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_0 => 2,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_0 => 6,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q8_1 => 9,
        GgmlDType::Q2K => 10,
        GgmlDType::Q3K => 11,
        GgmlDType::Q4K => 12,
        GgmlDType::Q5K => 13,
        GgmlDType::Q6K => 14,
        GgmlDType::Q8K => 15,
        GgmlDType::BF16 => 30,
    }
}
