//! Faults in what is read of a file: numbers nudged, tensors forgotten, mixed up or read wrongly.

use gguf::{Draft, DraftTensor, File, Finding, Value, WeightType, codec};
use half::f16;

/// A change to what a file says.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// A key of the architecture has another value.
    Key(String, Number),
    /// A key of the architecture is not read.
    WithoutKeys(Vec<String>),
    /// Tensors whose names end like this are not read.
    WithoutTensors(&'static str),
    /// Matrices whose names end like this have their rows off by one.
    RowsOffByOne(String),
    /// The first block of a matrix's second row, which is that of BOS in the embedding, has the halves of its bytes swapped.
    NibblesSwapped(String),
    /// Vectors whose names end like this are read as this constant.
    Constant(String, f32),
    /// The last layer is left out.
    WithoutLastLayer,
    /// The output is not the embedding, but the embedding with its rows off by one.
    NotTied,
    /// The output is the embedding, although the file has one of its own.
    Tied,
    /// Matrices whose names end like this are rounded to `Q8_0`; the embedding becomes the output in that type.
    RequantizedHead(Vec<&'static str>),
    /// Two kinds of tensors are taken for each other.
    Swapped(&'static str, &'static str),
}

/// A number as a key has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count.
    Count(u32),
    /// A real number.
    Real(f32),
    /// A truth value.
    Flag(bool),
}

/// The file with an edit applied.
///
/// # Errors
/// Where the bytes are no valid file.
pub fn apply(bytes: &[u8], edit: &Edit) -> Result<Vec<u8>, Finding> {
    let file = File::lenient(bytes)?;
    let architecture = file.architecture()?;
    let mut draft = Draft::from(&file);
    draft.tail = None;
    draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    match edit {
        Edit::Key(suffix, number) => {
            let key = format!("{architecture}.{suffix}");
            draft.remove_key(&key);
            match *number {
                Number::Count(value) => draft.u32(&key, value),
                Number::Real(value) => draft.f32(&key, value),
                Number::Flag(value) => draft.bool(&key, value),
            };
        }
        Edit::WithoutKeys(suffixes) => {
            for suffix in suffixes {
                draft.remove_key(&format!("{architecture}.{suffix}"));
            }
        }
        Edit::WithoutTensors(part) => draft.tensors.retain(|tensor| !ends(tensor, part)),
        Edit::RowsOffByOne(part) => {
            for tensor in draft.tensors.iter_mut().filter(|tensor| ends(tensor, part)) {
                let row = row_bytes(tensor);
                tensor.data.to_mut().rotate_left(row);
            }
        }
        Edit::NibblesSwapped(part) => {
            if let Some(tensor) = draft.tensors.iter_mut().find(|tensor| ends(tensor, part)) {
                swap_nibbles(tensor);
            }
        }
        Edit::Constant(part, value) => {
            for tensor in draft.tensors.iter_mut().filter(|tensor| ends(tensor, part)) {
                let len = tensor.dimensions.iter().product::<u64>() as usize;
                tensor.data = value.to_le_bytes().repeat(len).into();
            }
        }
        Edit::WithoutLastLayer => leave_last_layer_out(&mut draft, &file, architecture)?,
        Edit::NotTied => {
            if let Some(mut output) = draft.tensors.iter().find(|tensor| ends(tensor, "token_embd.weight")).cloned() {
                let row = row_bytes(&output);
                output.data.to_mut().rotate_left(row);
                output.name = b"output.weight".to_vec().into();
                draft.tensors.push(output);
            }
        }
        Edit::Tied => draft.tensors.retain(|tensor| !ends(tensor, "output.weight") || ends(tensor, "attn_output.weight")),
        Edit::RequantizedHead(parts) => requantize_head(&mut draft, &file, parts),
        Edit::Swapped(a, b) => {
            for tensor in &mut draft.tensors {
                swap_names(tensor, a, b);
            }
        }
    }
    Ok(draft.finish())
}

fn ends(tensor: &DraftTensor<'_>, part: &str) -> bool {
    ends_with(&String::from_utf8_lossy(&tensor.name), part)
}

/// Bytes of one row of a matrix.
fn row_bytes(tensor: &DraftTensor<'_>) -> usize {
    let rows = tensor.dimensions.iter().skip(1).product::<u64>() as usize;
    tensor.data.len() / rows.max(1)
}

fn swap_nibbles(tensor: &mut DraftTensor<'_>) {
    let block = WeightType::from_id(tensor.type_id).map_or(1, WeightType::block_bytes);
    let row = row_bytes(tensor);
    // The codes stand in the middle of every block type; scales stand at one of its ends.
    let codes = row + block / 4..row + block - block / 4;
    for byte in tensor.data.to_mut().get_mut(codes).into_iter().flatten() {
        *byte = byte.rotate_left(4);
    }
}

fn leave_last_layer_out(draft: &mut Draft<'_>, file: &File<'_>, architecture: &str) -> Result<(), Finding> {
    let key = format!("{architecture}.block_count");
    let last = file.metadata().u64(&key)?.unwrap_or(1).saturating_sub(1);
    let prefix = format!("blk.{last}.");
    draft.tensors.retain(|tensor| !tensor.name.starts_with(prefix.as_bytes()));
    draft.remove_key(&key).u32(&key, last as u32);
    shorten_array(draft, file, &format!("{architecture}.attention.head_count_kv"));
    Ok(())
}

fn requantize_head(draft: &mut Draft<'_>, file: &File<'_>, parts: &[&str]) {
    draft.tensors.retain(|tensor| *tensor.name != *b"output.weight");
    let embedding = draft.tensors.iter().find(|tensor| *tensor.name == *b"token_embd.weight").cloned();
    if let Some(mut output) = embedding {
        output.name = b"output.weight".to_vec().into();
        draft.tensors.push(output);
    }
    let is_meant = |tensor: &DraftTensor<'_>| *tensor.name == *b"output.weight" || parts.iter().any(|part| ends(tensor, part));
    draft.tensors.iter_mut().filter(|tensor| is_meant(tensor)).for_each(to_q8_0);
    if file.metadata().get("general.quantization_version").is_none() {
        draft.u32("general.quantization_version", 2);
    }
}

fn swap_names(tensor: &mut DraftTensor<'_>, a: &str, b: &str) {
    let name = String::from_utf8_lossy(&tensor.name).into_owned();
    let other = [(a, b), (b, a)].into_iter().find(|(part, _)| ends_with(&name, part));
    if let Some((part, other)) = other {
        let stem = name.strip_suffix(part).unwrap_or_default();
        tensor.name = format!("{stem}{other}").into_bytes().into();
    }
}

/// True where a tensor's name is this, or ends in it after a point.
fn ends_with(name: &str, part: &str) -> bool {
    name == part || name.strip_suffix(part).is_some_and(|stem| stem.ends_with('.'))
}

/// Takes the last element of an array of counts away, where the key is one.
fn shorten_array(draft: &mut Draft<'_>, file: &File<'_>, key: &str) {
    if let Some(Value::Array(array)) = file.metadata().get(key) {
        let mut values: Vec<i32> = array.values().filter_map(Value::as_u64).map(|value| value as i32).collect();
        values.pop();
        draft.remove_key(key).i32s(key, &values);
    }
}

/// A tensor as `Q8_0`, by ggml's `quantize_row_q8_0_ref`.
fn to_q8_0(tensor: &mut DraftTensor<'_>) {
    let Some(weight_type) = WeightType::from_id(tensor.type_id) else { return };
    let mut values = vec![0.0; tensor.dimensions.iter().product::<u64>() as usize];
    if codec::decode(weight_type, &tensor.data, &mut values).is_err() {
        return;
    }
    let mut data = Vec::with_capacity(values.len() / 32 * 34);
    for block in values.chunks(32) {
        let largest = block.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let scale = largest / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        data.extend(f16::from_f32(scale).to_le_bytes());
        data.extend(block.iter().map(|x| (x * inverse).round() as i8 as u8));
    }
    tensor.type_id = WeightType::Q8_0.id();
    tensor.data = data.into();
}
