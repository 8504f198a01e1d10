//! `gguf-rs-lib`: version 3 only, and checks nearly everything that the specification asks for.

use crate::{decimal, description, io_refusal, malformed, unreadable};
use gguf_rs_lib::{
    GGUFError,
    format::metadata::{Metadata, MetadataValue},
    reader::GGUFFileReader,
    tensor::TensorInfo,
};
use std::{fs::File, path::Path};
use vocabulary::{Contents, Description, KeyValue, ReadValue, Refusal, RejectionClass, Subject, TensorEntry, escape};

/// The crate `gguf-rs-lib`.
pub struct GgufRsLib;

impl Subject for GgufRsLib {
    fn describe(&self) -> Description {
        description("gguf-rs-lib", "0.3.3")
    }

    fn read(&self, file: &Path) -> Result<Contents, Refusal> {
        let file = File::open(file).map_err(unreadable)?;
        let reader = GGUFFileReader::new(file).map_err(|error| refusal(&error))?;
        Ok(Contents {
            version: Some(reader.header().version),
            data_offset: Some(reader.tensor_data_offset().to_string()),
            metadata: metadata(reader.metadata()),
            tensors: reader.tensor_infos().iter().map(tensor).collect(),
        })
    }
}

fn refusal(error: &GGUFError) -> Refusal {
    let message = error.to_string();
    match error {
        GGUFError::Io(io_error) => io_refusal(io_error, message),
        GGUFError::UnsupportedVersion(_) | GGUFError::FeatureUnavailable(_) => Refusal::Unsupported(message),
        GGUFError::AllocationRequired => Refusal::read(RejectionClass::Other, message),
        GGUFError::InvalidMagic { .. }
        | GGUFError::InvalidTensorData(_)
        | GGUFError::InvalidMetadata(_)
        | GGUFError::UnexpectedEof
        | GGUFError::Format(_) => malformed(message),
    }
}

fn metadata(metadata: &Metadata) -> Vec<KeyValue> {
    let mut entries: Vec<(&String, &MetadataValue)> = metadata.iter().collect();
    // The crate keeps them in a hash map; sorted, the same file gives the same answer twice.
    entries.sort_by_key(|(key, _)| *key);
    entries.into_iter().map(|(key, value)| KeyValue { key: escape(key.as_bytes()), value: self::value(value) }).collect()
}

fn value(value: &MetadataValue) -> ReadValue {
    use MetadataValue as V;
    let value_type = value.value_type().name();
    match value {
        V::U8(value) => ReadValue::number(value_type, value),
        V::I8(value) => ReadValue::number(value_type, value),
        V::U16(value) => ReadValue::number(value_type, value),
        V::I16(value) => ReadValue::number(value_type, value),
        V::U32(value) => ReadValue::number(value_type, value),
        V::I32(value) => ReadValue::number(value_type, value),
        V::F32(value) => ReadValue::float(value_type, value),
        V::U64(value) => ReadValue::number(value_type, value),
        V::I64(value) => ReadValue::number(value_type, value),
        V::F64(value) => ReadValue::float(value_type, value),
        V::Bool(value) => ReadValue::number(value_type, value),
        V::String(value) => ReadValue::text(value.as_bytes()),
        V::Array(array) => ReadValue::Array {
            element_type: Some(array.element_type.name().into()),
            values: array.values.iter().map(self::value).collect(),
        },
    }
}

fn tensor(tensor: &TensorInfo) -> TensorEntry {
    TensorEntry {
        name: escape(tensor.name().as_bytes()),
        dimensions: Some(decimal(tensor.shape().dims())),
        // The variants have ggml's numbers, by the promise of the type's documentation.
        type_id: Some(tensor.tensor_type() as u32),
        offset: Some(tensor.data_offset().to_string()),
    }
}
