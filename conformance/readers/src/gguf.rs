//! `gguf`: a nom parser that follows the first version of the specification.
//!
//! It parses a whole buffer at once and tells neither the alignment nor where the data begins.

use crate::{decimal, description, malformed, unreadable};
use foreign_gguf::{GGMLType, GGUFFile, GGUFMetadataArrayValue, GGUFMetadataValue, GGUfMetadataValueType};
use std::{fs, path::Path};
use vocabulary::{Contents, Description, KeyValue, ReadValue, Refusal, Subject, TensorEntry, escape};

/// Characters that are kept of each end of an error message.
const KEPT: usize = 120;

/// The crate `gguf`.
pub struct Gguf;

impl Subject for Gguf {
    fn describe(&self) -> Description {
        description("gguf", "0.1.2")
    }

    fn read(&self, file: &Path) -> Result<Contents, Refusal> {
        let bytes = fs::read(file).map_err(unreadable)?;
        let file = GGUFFile::read(&bytes)
            .map_err(|message| malformed(shortened(&message)))?
            // `None` asks for more bytes, and there are none. These are the words of the crate's own program then.
            .ok_or_else(|| malformed("Failed to read gguf file"))?;
        let key_value =
            |entry: &foreign_gguf::GGUFMetadata| KeyValue { key: escape(entry.key.as_bytes()), value: value(&entry.value) };
        let tensor = |tensor: &foreign_gguf::GGUFTensorInfo| TensorEntry {
            name: escape(tensor.name.as_bytes()),
            dimensions: Some(decimal(&tensor.dimensions)),
            type_id: type_id(tensor.tensor_type),
            offset: Some(tensor.offset.to_string()),
        };
        Ok(Contents {
            version: Some(file.header.version),
            data_offset: None,
            metadata: file.header.metadata.iter().map(key_value).collect(),
            tensors: file.tensors.iter().map(tensor).collect(),
        })
    }
}

/// The crate prints every byte that it had not parsed yet, the weights included, and names the reason at the very end.
fn shortened(message: &str) -> String {
    let characters = message.chars().count();
    if characters <= 2 * KEPT {
        return message.to_owned();
    }
    let start: String = message.chars().take(KEPT).collect();
    let end: String = message.chars().skip(characters - KEPT).collect();
    format!("{start}...{end}")
}

fn value(value: &GGUFMetadataValue) -> ReadValue {
    use GGUFMetadataValue as V;
    match value {
        V::Uint8(value) => ReadValue::number("u8", value),
        V::Int8(value) => ReadValue::number("i8", value),
        V::Uint16(value) => ReadValue::number("u16", value),
        V::Int16(value) => ReadValue::number("i16", value),
        V::Uint32(value) => ReadValue::number("u32", value),
        V::Int32(value) => ReadValue::number("i32", value),
        V::Float32(value) => ReadValue::float("f32", value),
        V::Uint64(value) => ReadValue::number("u64", value),
        V::Int64(value) => ReadValue::number("i64", value),
        V::Float64(value) => ReadValue::float("f64", value),
        V::Bool(value) => ReadValue::number("bool", value),
        V::String(value) => ReadValue::text(value.as_bytes()),
        V::Array(GGUFMetadataArrayValue { value_type, value: values, .. }) => ReadValue::Array {
            element_type: Some(type_name(*value_type).into()),
            values: values.iter().map(self::value).collect(),
        },
    }
}

fn type_name(value_type: GGUfMetadataValueType) -> &'static str {
    use GGUfMetadataValueType as T;
    match value_type {
        T::Uint8 => "u8",
        T::Int8 => "i8",
        T::Uint16 => "u16",
        T::Int16 => "i16",
        T::Uint32 => "u32",
        T::Int32 => "i32",
        T::Float32 => "f32",
        T::Bool => "bool",
        T::String => "string",
        T::Array => "array",
        T::Uint64 => "u64",
        T::Int64 => "i64",
        T::Float64 => "f64",
    }
}

/// The id that ggml gives the type of this name. The crate's own numbers are those of the first format version, in which
/// 16 to 18 were integers; whoever asks it for the type of a tensor gets the name.
fn type_id(tensor_type: GGMLType) -> Option<u32> {
    Some(match tensor_type {
        GGMLType::F32 => 0,
        GGMLType::F16 => 1,
        GGMLType::Q4_0 => 2,
        GGMLType::Q4_1 => 3,
        GGMLType::Q5_0 => 6,
        GGMLType::Q5_1 => 7,
        GGMLType::Q8_0 => 8,
        GGMLType::Q8_1 => 9,
        GGMLType::Q2K => 10,
        GGMLType::Q3K => 11,
        GGMLType::Q4K => 12,
        GGMLType::Q5K => 13,
        GGMLType::Q6K => 14,
        GGMLType::Q8K => 15,
        GGMLType::I8 => 24,
        GGMLType::I16 => 25,
        GGMLType::I32 => 26,
        // The number of types, which the crate takes for a type.
        GGMLType::Count => return None,
    })
}
