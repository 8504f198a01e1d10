//! Our own reader's words for what it found, so that it is held against the others like every other.

use ::gguf::{File, Value};
use vocabulary::{Contents, KeyValue, ReadValue, TensorEntry, escape};

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
