//! `gguf-rs`: metadata as JSON values, so that the types of numbers and of array elements are lost.

use crate::{decimal, description, io_refusal, malformed};
use gguf_rs::{GGUFModel, Tensor, get_gguf_container_array_size};
use std::{io, path::Path};
use vocabulary::{Contents, Description, KeyValue, ReadValue, Refusal, RejectionClass, Subject, TensorEntry, escape};

/// The crate `gguf-rs`.
pub struct GgufRs;

impl Subject for GgufRs {
    fn describe(&self) -> Description {
        description("gguf-rs", "0.1.8")
    }

    fn read(&self, file: &Path) -> Result<Contents, Refusal> {
        let path =
            file.to_str().ok_or_else(|| Refusal::read(RejectionClass::Unreadable, "gguf-rs takes paths in UTF-8 only"))?;
        // Without this limit the crate keeps three elements of each of the tokenizer's arrays.
        let opened = get_gguf_container_array_size(path, u64::MAX);
        let model = opened.and_then(|mut container| container.decode()).map_err(|error| refusal(&error))?;
        Ok(contents(&model))
    }
}

/// The crate has no error type of its own, only words.
fn refusal(error: &anyhow::Error) -> Refusal {
    let message = error.to_string();
    match error.downcast_ref::<io::Error>() {
        Some(io_error) => io_refusal(io_error, message),
        None if message == "file not found" => Refusal::read(RejectionClass::Unreadable, message),
        None if message.to_lowercase().starts_with("unsupport") || message.contains("only support") => {
            Refusal::Unsupported(message)
        }
        None => malformed(message),
    }
}

fn contents(model: &GGUFModel) -> Contents {
    let tensor = |tensor: &Tensor| TensorEntry {
        name: escape(tensor.name.as_bytes()),
        dimensions: Some(decimal(&tensor.shape)),
        type_id: Some(tensor.kind),
        offset: Some(tensor.offset.to_string()),
    };
    let metadata = model.metadata().iter();
    Contents {
        version: model.get_version().strip_prefix('v').and_then(|version| version.parse().ok()),
        data_offset: Some(model.data_offset().to_string()),
        metadata: metadata.map(|(key, value)| KeyValue { key: escape(key.as_bytes()), value: self::value(value) }).collect(),
        tensors: model.tensors().iter().map(tensor).collect(),
    }
}

fn value(value: &serde_json::Value) -> ReadValue {
    use serde_json::Value;
    let untyped = |text: String| ReadValue::Number { value_type: None, text };
    match value {
        // JSON has no infinities and no NaN.
        Value::Null | Value::Object(_) => ReadValue::Untold {},
        Value::Bool(value) => untyped(value.to_string()),
        Value::Number(value) => untyped(value.to_string()),
        Value::String(value) => ReadValue::text(value.as_bytes()),
        Value::Array(values) => ReadValue::Array { element_type: None, values: values.iter().map(self::value).collect() },
    }
}
