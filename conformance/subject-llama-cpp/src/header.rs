//! The header as ggml's own reader (`gguf.cpp`) takes it, through the C functions that programs use.
//!
//! It is read as llama.cpp's loader reads it: with the tensor table, without tensor data.

use crate::log;
use llama_cpp_sys_2 as sys;
use std::{
    ffi::{CString, c_void},
    path::Path,
    ptr,
};
use vocabulary::{Contents, KeyValue, ReadValue, Refusal, RejectionClass, TensorEntry, escape};

/// A parsed header, freed when it goes.
struct Header {
    gguf: *mut sys::gguf_context,
    tensors: *mut sys::ggml_context,
}

impl Drop for Header {
    fn drop(&mut self) {
        // SAFETY: both came from ggml's reader, and nothing else frees them; both functions take null.
        unsafe {
            sys::gguf_free(self.gguf);
            sys::ggml_free(self.tensors);
        }
    }
}

impl Header {
    /// # Safety
    /// The context is valid.
    unsafe fn contents(&self) -> Contents {
        let gguf = self.gguf;
        // SAFETY: the context is valid, and every index below is less than the count that it gives.
        unsafe {
            Contents {
                version: Some(sys::gguf_get_version(gguf)),
                // Without tensors there is no data section.
                data_offset: (sys::gguf_get_n_tensors(gguf) > 0).then(|| sys::gguf_get_data_offset(gguf).to_string()),
                metadata: (0..sys::gguf_get_n_kv(gguf)).map(|key| key_value(gguf, key)).collect(),
                tensors: (0..sys::gguf_get_n_tensors(gguf)).map(|tensor| row(gguf, tensor)).collect(),
            }
        }
    }
}

/// Reads a header from memory through `read`, which is `gguf_init_from_buffer`; `None` where it is refused.
#[cfg(feature = "probe")]
pub(crate) fn read_with(
    read: impl FnOnce(sys::gguf_init_params) -> *mut sys::gguf_context,
    with_data: bool,
) -> Option<Contents> {
    let mut header = Header { gguf: ptr::null_mut(), tensors: ptr::null_mut() };
    header.gguf = read(sys::gguf_init_params { no_alloc: !with_data, ctx: &raw mut header.tensors });
    // SAFETY: a context that is not null is valid.
    (!header.gguf.is_null()).then(|| unsafe { header.contents() })
}

pub(crate) fn read(file: &Path) -> Result<Contents, Refusal> {
    let unreadable = |why: String| Refusal::read(RejectionClass::Unreadable, why);
    std::fs::File::open(file).map_err(|error| unreadable(error.to_string()))?;
    let path = CString::new(file.as_os_str().as_encoded_bytes()).map_err(|error| unreadable(error.to_string()))?;
    log::forget_errors();
    let mut header = Header { gguf: ptr::null_mut(), tensors: ptr::null_mut() };
    // SAFETY: the path ends in NUL, and `tensors` is where the table's context goes.
    header.gguf = unsafe {
        let params = sys::gguf_init_params { no_alloc: true, ctx: &raw mut header.tensors };
        sys::gguf_init_from_file(path.as_ptr(), params)
    };
    if header.gguf.is_null() {
        let message = log::errors();
        // The only refusals that say that the file may be all right.
        return Err(
            if ["no longer supported", "only supports up to version", "endianness"].iter().any(|w| message.contains(w)) {
                Refusal::Unsupported(message)
            } else {
                Refusal::read(RejectionClass::Malformed, message)
            },
        );
    }
    // SAFETY: the context is valid.
    Ok(unsafe { header.contents() })
}

/// # Safety
/// `gguf` is valid and has the key.
unsafe fn key_value(gguf: *const sys::gguf_context, key: i64) -> KeyValue {
    // SAFETY: as the caller promises.
    unsafe { KeyValue { key: escape(&bytes(sys::gguf_get_key(gguf, key))), value: value(gguf, key) } }
}

/// # Safety
/// `pointer` is null or a string that ends in NUL.
unsafe fn bytes(pointer: *const std::ffi::c_char) -> Vec<u8> {
    if pointer.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises.
    unsafe { std::ffi::CStr::from_ptr(pointer) }.to_bytes().to_vec()
}

/// Gives the name of a type, and its number from `len` bytes at `data`.
macro_rules! scalars {
    ($id:expr, $data:expr, $len:expr, $($type:ident: $name:literal $number:ty, $constructor:ident;)*) => {
        match $id {
            $(sys::$type => Some((
                $name,
                (0..$len).map(|at| ReadValue::$constructor($name, $data.cast::<$number>().add(at).read_unaligned())).collect::<Vec<_>>(),
            )),)*
            _ => None,
        }
    };
}

/// # Safety
/// `gguf` is valid and has the key.
unsafe fn value(gguf: *const sys::gguf_context, key: i64) -> ReadValue {
    // SAFETY: as the caller promises; each function is called for a key of its own kind only, because it aborts otherwise.
    unsafe {
        let kind = sys::gguf_get_kv_type(gguf, key);
        if kind == sys::GGUF_TYPE_STRING {
            return ReadValue::text(&bytes(sys::gguf_get_val_str(gguf, key)));
        }
        if kind != sys::GGUF_TYPE_ARRAY {
            let one = numbers(kind, sys::gguf_get_val_data(gguf, key), 1);
            return one.and_then(|(_, mut values)| values.pop()).unwrap_or(ReadValue::Untold {});
        }
        let (element, len) = (sys::gguf_get_arr_type(gguf, key), sys::gguf_get_arr_n(gguf, key));
        if element == sys::GGUF_TYPE_STRING {
            let values = (0..len).map(|at| ReadValue::text(&bytes(sys::gguf_get_arr_str(gguf, key, at)))).collect();
            return ReadValue::Array { element_type: Some("string".into()), values };
        }
        match numbers(element, sys::gguf_get_arr_data(gguf, key), len) {
            Some((name, values)) => ReadValue::Array { element_type: Some(name.into()), values },
            None => ReadValue::Untold {},
        }
    }
}

/// Numbers of one type. `None` for types that are none.
///
/// # Safety
/// `data` points to `len` of them.
unsafe fn numbers(kind: sys::gguf_type, data: *const c_void, len: usize) -> Option<(&'static str, Vec<ReadValue>)> {
    // SAFETY: as the caller promises; booleans are read as bytes, because any byte may stand there.
    unsafe {
        if kind == sys::GGUF_TYPE_BOOL {
            let truth = (0..len).map(|at| ReadValue::number("bool", data.cast::<u8>().add(at).read() != 0)).collect();
            return Some(("bool", truth));
        }
        scalars! { kind, data, len,
            GGUF_TYPE_UINT8: "u8" u8, number;
            GGUF_TYPE_INT8: "i8" i8, number;
            GGUF_TYPE_UINT16: "u16" u16, number;
            GGUF_TYPE_INT16: "i16" i16, number;
            GGUF_TYPE_UINT32: "u32" u32, number;
            GGUF_TYPE_INT32: "i32" i32, number;
            GGUF_TYPE_FLOAT32: "f32" f32, float;
            GGUF_TYPE_UINT64: "u64" u64, number;
            GGUF_TYPE_INT64: "i64" i64, number;
            GGUF_TYPE_FLOAT64: "f64" f64, float;
        }
    }
}

/// # Safety
/// `gguf` is valid and has the tensor.
unsafe fn row(gguf: *const sys::gguf_context, tensor: i64) -> TensorEntry {
    // SAFETY: as the caller promises; there are always four dimensions.
    unsafe {
        let dimensions = std::slice::from_raw_parts(sys::gguf_get_tensor_ne(gguf, tensor), 4);
        TensorEntry {
            name: escape(&bytes(sys::gguf_get_tensor_name(gguf, tensor))),
            dimensions: Some(dimensions.iter().map(i64::to_string).collect()),
            type_id: Some(sys::gguf_get_tensor_type(gguf, tensor)),
            offset: Some(sys::gguf_get_tensor_offset(gguf, tensor).to_string()),
        }
    }
}
