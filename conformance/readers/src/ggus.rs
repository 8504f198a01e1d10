//! `ggus`: version 3 only, without copies.
//!
//! It turns numbers of the file into enums without a look, which is undefined behaviour for a number that is no variant, and
//! leaves much else to panics. Only a process of its own should run it on files that nobody vouches for.

use crate::{decimal, description, malformed, unreadable};
use ggus::{GGuf, GGufError, GGufMetaDataValueType as Type, GGufMetaKV, GGufReadError, GGufReader, GGufTensorMeta};
use std::{fs, path::Path};
use vocabulary::{Contents, Description, KeyValue, ReadValue, Refusal, Subject, TensorEntry, escape};

/// The crate `ggus`.
pub struct Ggus;

impl Subject for Ggus {
    fn describe(&self) -> Description {
        description("ggus", "0.5.1")
    }

    fn read(&self, file: &Path) -> Result<Contents, Refusal> {
        let bytes = fs::read(file).map_err(unreadable)?;
        let file = GGuf::new(&bytes).map_err(|error| refusal(&error))?;
        // What it tells of the data is a slice of ours, so its beginning is told too; that of no data says nothing.
        let data_offset = file.data.as_ptr().addr() - bytes.as_ptr().addr();
        Ok(Contents {
            version: Some(file.header.version),
            data_offset: (!file.data.is_empty()).then(|| data_offset.to_string()),
            metadata: file.meta_kvs.values().map(key_value).collect::<Result<_, _>>()?,
            tensors: file.tensors.values().map(tensor).collect(),
        })
    }
}

fn refusal(error: &GGufError) -> Refusal {
    let message = error.to_string();
    match error {
        GGufError::EndianNotSupport | GGufError::VersionNotSupport => Refusal::Unsupported(message),
        GGufError::Reading(_)
        | GGufError::MagicMismatch
        | GGufError::AlignmentTypeMismatch(_)
        | GGufError::DuplicateMetaKey(_)
        | GGufError::DuplicateTensorName(_) => malformed(message),
    }
}

fn key_value(entry: &GGufMetaKV) -> Result<KeyValue, Refusal> {
    let value = value(&mut entry.value_reader(), entry.ty(), 0).map_err(|error| refusal(&GGufError::Reading(error)))?;
    Ok(KeyValue { key: escape(entry.key().as_bytes()), value })
}

/// Arrays within arrays that are followed.
const DEEPEST: usize = 256;

/// The value as the crate's own program `xtask show` takes it from the crate's reader.
///
/// What lies more than [`DEEPEST`] arrays down is untold, and with it all around it: it is the crate that is measured here, and
/// not the stack of this walk.
fn value(reader: &mut GGufReader, value_type: Type, depth: usize) -> Result<ReadValue, GGufReadError> {
    let name = value_type.name();
    Ok(match value_type {
        Type::U8 => ReadValue::number(name, reader.read::<u8>()?),
        Type::I8 => ReadValue::number(name, reader.read::<i8>()?),
        Type::U16 => ReadValue::number(name, reader.read::<u16>()?),
        Type::I16 => ReadValue::number(name, reader.read::<i16>()?),
        Type::U32 => ReadValue::number(name, reader.read::<u32>()?),
        Type::I32 => ReadValue::number(name, reader.read::<i32>()?),
        Type::F32 => ReadValue::float(name, reader.read::<f32>()?),
        Type::U64 => ReadValue::number(name, reader.read::<u64>()?),
        Type::I64 => ReadValue::number(name, reader.read::<i64>()?),
        Type::F64 => ReadValue::float(name, reader.read::<f64>()?),
        Type::Bool => ReadValue::number(name, reader.read_bool()?),
        Type::String => ReadValue::text(reader.read_str()?.as_bytes()),
        Type::Array if depth == DEEPEST => ReadValue::Untold {},
        Type::Array => {
            let (element_type, len) = reader.read_arr_header()?;
            let name = match element_type {
                Type::String => "string",
                Type::Array => "array",
                other => other.name(),
            };
            let mut values = Vec::new();
            for _ in 0..len {
                match value(reader, element_type, depth + 1)? {
                    ReadValue::Untold {} => return Ok(ReadValue::Untold {}),
                    value => values.push(value),
                }
            }
            ReadValue::Array { element_type: Some(name.into()), values }
        }
    })
}

fn tensor(tensor: &GGufTensorMeta) -> TensorEntry {
    let info = tensor.to_info();
    TensorEntry {
        name: escape(tensor.name().as_bytes()),
        dimensions: Some(decimal(info.shape())),
        // The variants have ggml's numbers.
        type_id: Some(info.ty() as u32),
        offset: Some(info.offset().to_string()),
    }
}
