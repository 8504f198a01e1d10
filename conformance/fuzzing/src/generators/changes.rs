//! The changes that make a valid model a hostile one.

use super::{
    arrays::{array, elements, put},
    keys::architecture,
    tables::{ARCHITECTURES, EDGES, GLOBAL_KEYS, KEYS, Kind, REALS, TEXTS},
};
use arbitrary::{Result, Unstructured};
use gguf::{Draft, DraftTensor, ValueType, WeightType};
use std::borrow::Cow;

/// No tensor is made larger than this, in bytes.
pub(super) const LARGEST: u64 = 1 << 16;

/// Changes one thing.
pub(super) fn change(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=31u8)? {
        0 => {}
        1..=6 => change_number(draft, u)?,
        7 => {
            if let Some(key) = pick(&mut draft.keys, u)? {
                key.type_id = u.choose(ValueType::ALL)?.id();
            }
        }
        8 => {
            if !draft.keys.is_empty() {
                let at = u.choose_index(draft.keys.len())?;
                draft.keys.remove(at);
            }
        }
        9 | 10 => resize_array(draft, u)?,
        11..=13 => change_element(draft, u)?,
        14 => change_text(draft, u)?,
        15..=19 => {
            let prefix = architecture(draft);
            let &(name, kind) = u.choose(&KEYS)?;
            set(draft, &format!("{prefix}.{name}"), kind, u)?;
        }
        20..=22 => {
            let &(name, kind) = u.choose(&GLOBAL_KEYS)?;
            set(draft, name, kind, u)?;
        }
        23 => rename_architecture(draft, u)?,
        24 | 25 => change_shape(draft, u)?,
        26 => {
            if let Some(tensor) = pick(&mut draft.tensors, u)? {
                let weight_type = *u.choose(WeightType::ALL)?;
                tensor.type_id = weight_type.id();
                fill(tensor);
            }
        }
        27 => {
            if let Some(tensor) = pick(&mut draft.tensors, u)? {
                if u.arbitrary()? {
                    tensor.offset = Some(number(u)?);
                } else {
                    tensor.type_id = number(u)? as u32;
                }
            }
        }
        28 => {
            if !draft.tensors.is_empty() {
                let at = u.choose_index(draft.tensors.len())?;
                draft.tensors.remove(at);
            }
        }
        29 => rename_tensor(draft, u)?,
        _ => change_weights(draft, u)?,
    }
    Ok(())
}

/// Changes values of a tensor: a number, or a byte.
fn change_weights(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    if let Some(tensor) = pick(&mut draft.tensors, u)? {
        let real = u.choose(&REALS)?.to_le_bytes();
        let (at, byte) = (usize::from(u.arbitrary::<u16>()?), u.arbitrary::<u8>()?);
        let data = tensor.data.to_mut();
        let from = at % data.len().max(1);
        if byte & 1 == 0 {
            data.iter_mut().skip(from & !3).zip(real).for_each(|(to, new)| *to = new);
        } else if let Some(to) = data.get_mut(from) {
            *to = byte;
        }
    }
    Ok(())
}

/// One of a list, where it has any.
fn pick<'a, T>(list: &'a mut [T], u: &mut Unstructured<'_>) -> Result<Option<&'a mut T>> {
    if list.is_empty() {
        return Ok(None);
    }
    let at = u.choose_index(list.len())?;
    Ok(list.get_mut(at))
}

/// A number at the edge of something, or any small one.
fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    if u.arbitrary()? { u.arbitrary::<u8>().map(u64::from) } else { u.choose(&EDGES).copied() }
}

/// A real number at the edge of something, or any.
fn real(u: &mut Unstructured<'_>) -> Result<f32> {
    if u.arbitrary()? { u.arbitrary() } else { u.choose(&REALS).copied() }
}

/// Sets a key to a value of a kind, in place of the one it has.
fn set(draft: &mut Draft<'static>, key: &str, kind: Kind, u: &mut Unstructured<'_>) -> Result<()> {
    draft.remove_key(key);
    match kind {
        Kind::Count => drop(draft.u32(key, number(u)? as u32)),
        Kind::Real => drop(draft.f32(key, real(u)?)),
        Kind::Switch => drop(draft.bool(key, u.arbitrary()?)),
        Kind::Text => {
            let text = *u.choose(&TEXTS)?;
            draft.str(key, text);
        }
        Kind::Counts => {
            let len = u.int_in_range(0..=4usize)?;
            let numbers = (0..len).map(|_| Ok(number(u)? as i32)).collect::<Result<Vec<_>>>()?;
            draft.i32s(key, &numbers);
        }
        Kind::Reals => {
            let len = u.int_in_range(0..=4usize)?;
            let numbers = (0..len).map(|_| real(u)).collect::<Result<Vec<_>>>()?;
            draft.f32s(key, &numbers);
        }
        Kind::Switches => {
            let len = u.int_in_range(0..=4u8)?;
            let bits = vec![u.int_in_range(0..=1u8)?; len.into()];
            draft.array(key, ValueType::Bool.id(), len.into(), &bits);
        }
        Kind::Texts => {
            let len = u.int_in_range(0..=4usize)?;
            let texts = (0..len).map(|_| u.choose(&TEXTS).copied()).collect::<Result<Vec<_>>>()?;
            draft.strings(key, &texts);
        }
        Kind::Bytes => {
            let bytes = u.bytes(u.len().min(8))?;
            draft.array(key, ValueType::U8.id(), bytes.len() as u64, bytes);
        }
    }
    Ok(())
}

/// Changes a number among the keys, which keeps its type.
fn change_number(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let size = |key: &gguf::DraftKey<'_>| ValueType::from_id(key.type_id).and_then(ValueType::size);
    let mut numbers: Vec<_> = draft.keys.iter_mut().filter(|key| size(key).is_some()).collect();
    let Some(key) = pick(&mut numbers, u)? else { return Ok(()) };
    let bytes = match ValueType::from_id(key.type_id) {
        Some(ValueType::F32) => real(u)?.to_le_bytes().to_vec(),
        Some(ValueType::F64) => f64::from(real(u)?).to_le_bytes().to_vec(),
        _ => number(u)?.to_le_bytes().iter().take(size(key).unwrap_or(0) as usize).copied().collect(),
    };
    key.value = Cow::Owned(bytes);
    Ok(())
}

/// One of the keys that are arrays.
fn pick_array<'d>(draft: &'d mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<Option<&'d mut gguf::DraftKey<'static>>> {
    let mut arrays: Vec<_> = draft.keys.iter_mut().filter(|key| array(key).is_some()).collect();
    if arrays.is_empty() {
        return Ok(None);
    }
    let at = u.choose_index(arrays.len())?;
    Ok(Some(arrays.swap_remove(at)))
}

/// Makes an array shorter or longer, or only says so.
fn resize_array(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(key) = pick_array(draft, u)? else { return Ok(()) };
    let Some((element, len, bytes)) = array(key) else { return Ok(()) };
    let mut elements = elements(element, len, bytes);
    if u.int_in_range(0..=7u8)? == 7 {
        let claimed = number(u)?.to_le_bytes();
        key.value.to_mut().iter_mut().skip(4).zip(claimed).for_each(|(to, new)| *to = new);
        return Ok(());
    }
    let new = usize::from(u.arbitrary::<u16>()?) % (elements.len() + 8);
    let last = elements.last().cloned().unwrap_or_else(|| vec![0; element.size().unwrap_or(1) as usize]);
    elements.resize(new, last);
    put(key, element, &elements);
    Ok(())
}

/// Changes an element of an array.
fn change_element(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(key) = pick_array(draft, u)? else { return Ok(()) };
    let Some((element, len, bytes)) = array(key) else { return Ok(()) };
    let mut elements = elements(element, len, bytes);
    let at = usize::from(u.arbitrary::<u16>()?) % elements.len().max(1);
    // Some other element of the same array, for what must not stand twice.
    let other = elements.get(usize::from(u.arbitrary::<u8>()?) % elements.len().max(1)).cloned();
    let repeats = u.int_in_range(0..=3u8)? == 3;
    let Some(bytes) = elements.get_mut(at) else { return Ok(()) };
    match (element, element.size()) {
        _ if repeats => bytes.clone_from(&other.unwrap_or_default()),
        (ValueType::F32, _) => *bytes = real(u)?.to_le_bytes().to_vec(),
        (_, Some(size)) => *bytes = number(u)?.to_le_bytes().iter().take(size as usize).copied().collect(),
        (_, None) => {
            *bytes = u.choose(&TEXTS)?.as_bytes().to_vec();
            if u.arbitrary()? {
                bytes.extend(u.bytes(u.len().min(4))?);
            }
        }
    }
    put(key, element, &elements);
    Ok(())
}

/// Changes a text among the keys.
fn change_text(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let mut texts: Vec<_> = draft.keys.iter_mut().filter(|key| key.type_id == ValueType::String.id()).collect();
    let Some(key) = pick(&mut texts, u)? else { return Ok(()) };
    let text = u.choose(&TEXTS)?.as_bytes();
    key.value = Cow::Owned([&(text.len() as u64).to_le_bytes(), text].concat());
    Ok(())
}

/// Says that the model is of another architecture, in all its keys.
fn rename_architecture(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let old = format!("{}.", architecture(draft));
    let new = *u.choose(&ARCHITECTURES)?;
    for key in &mut draft.keys {
        if let Some(rest) = key.key.strip_prefix(old.as_bytes()) {
            key.key = Cow::Owned([new.as_bytes(), b".", rest].concat());
        }
    }
    if let Some(key) = draft.find_key("general.architecture") {
        key.value = Cow::Owned([&(new.len() as u64).to_le_bytes(), new.as_bytes()].concat());
    }
    Ok(())
}

/// Gives a tensor as much data as its shape and type ask for, where that is not too much.
fn fill(tensor: &mut DraftTensor<'_>) {
    let elements = tensor.dimensions.iter().copied().fold(1u64, u64::saturating_mul);
    let size = WeightType::from_id(tensor.type_id).and_then(|weight_type| weight_type.row_bytes(elements));
    if let Some(size) = size.filter(|&size| size <= LARGEST) {
        tensor.data.to_mut().resize(size as usize, 0);
    }
}

/// Changes a dimension, or how many there are; with data to match, as often as not.
fn change_shape(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(tensor) = pick(&mut draft.tensors, u)? else { return Ok(()) };
    match u.int_in_range(0..=7u8)? {
        0 => tensor.dimensions.reverse(),
        1 => drop(tensor.dimensions.pop()),
        2 => {
            if tensor.dimensions.len() < 4 {
                tensor.dimensions.push(number(u)?);
            }
        }
        _ => {
            let new = number(u)?;
            if let Some(dimension) = pick(&mut tensor.dimensions, u)? {
                *dimension = new;
            }
        }
    }
    if u.arbitrary::<bool>()? {
        fill(tensor);
    }
    Ok(())
}

/// Gives a tensor another's name with another ending, or the name of one that loaders look for.
fn rename_tensor(draft: &mut Draft<'static>, u: &mut Unstructured<'_>) -> Result<()> {
    const NAMES: [&str; 16] = [
        "output.weight",
        "token_embd.weight",
        "rope_freqs.weight",
        "rope_factors_long.weight",
        "output_norm.bias",
        "blk.0.attn_q.bias",
        "blk.0.attn_norm.bias",
        "blk.0.attn_qkv.weight",
        "blk.0.attn_q_norm.weight",
        "blk.0.ffn_gate_inp.weight",
        "blk.0.ffn_gate_exps.weight",
        "blk.0.ffn_gate.0.weight",
        "blk.0.attn_q.scale",
        "blk.1.attn_q.weight",
        "blk.4294967295.attn_q.weight",
        "token_types.weight",
    ];
    let copy = u.arbitrary::<bool>()?;
    let name = u.choose(&NAMES)?.as_bytes().to_vec();
    let Some(tensor) = pick(&mut draft.tensors, u)? else { return Ok(()) };
    let renamed = DraftTensor { name: Cow::Owned(name), ..tensor.clone() };
    if copy {
        draft.tensors.push(renamed);
    } else {
        *tensor = renamed;
    }
    Ok(())
}
