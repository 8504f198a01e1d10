//! Where tensor data lies: within the file, aligned, without overlap, with zeros in between.

use crate::{
    File, Finding, Rule, Tensor,
    rules::{Findings, shown},
};

fn about(rule: Rule, tensor: &Tensor<'_>, found: String, expected: String) -> Finding {
    Finding { rule, offset: tensor.entry, field: format!("tensor {} data", shown(tensor.name)), found, expected }
}

/// Turns offsets within the data section into offsets within the file, and gives the start of the data section.
///
/// # Errors
/// Where data lies outside the file, or the sizes do not add up to anything that could be one.
pub(crate) fn place(tensors: &mut [Tensor<'_>], table_end: u64, alignment: u64, file_size: u64) -> Result<u64, Finding> {
    let start = table_end.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    let mut total: u64 = 0;
    for tensor in tensors.iter() {
        let sum = tensor.size.checked_next_multiple_of(alignment).and_then(|padded| padded.checked_add(total));
        total = sum.filter(|&sum| i64::try_from(sum).is_ok()).ok_or_else(|| {
            let found = format!("{} bytes after {total} of others", tensor.size);
            about(Rule::TensorSize, tensor, found, "a total that fits a signed 64-bit integer".into())
        })?;
    }
    for tensor in tensors.iter_mut() {
        let offset = start.checked_add(tensor.offset);
        let end = offset.and_then(|offset| offset.checked_add(tensor.size));
        match (offset, end) {
            (Some(offset), Some(end)) if end <= file_size => tensor.offset = offset,
            _ => {
                let found = end.map_or("an end beyond 64 bits".into(), |end| format!("an end at byte {end}"));
                return Err(about(Rule::DataBounds, tensor, found, format!("data within the file's {file_size} bytes")));
            }
        }
    }
    // Without tensors there is no data section to align.
    Ok(if tensors.is_empty() { table_end } else { start })
}

/// Checks overlap, order and padding.
pub(crate) fn check(file: &File<'_>, findings: &mut Findings) -> Result<(), Finding> {
    let mut by_offset: Vec<&Tensor<'_>> = file.tensors.iter().collect();
    by_offset.sort_unstable_by_key(|tensor| (tensor.offset, tensor.size, tensor.entry));

    let mut end = file.table_end();
    let mut disjoint = true;
    for tensor in by_offset.iter().filter(|tensor| tensor.size > 0) {
        if tensor.offset < end {
            disjoint = false;
            findings.report(Rule::TensorOverlap, || {
                let found = format!("a beginning at byte {}", tensor.offset);
                about(Rule::TensorOverlap, tensor, found, format!("bytes after {end}, where the tensor before it ends"))
            })?;
        } else {
            check_zero(file, end, tensor.offset, findings)?;
        }
        end = end.max(tensor.end());
    }
    // A tensor off its alignment or on top of another is out of order too, and that has been said.
    let aligned = |tensor: &Tensor<'_>| (tensor.offset - file.data_offset).is_multiple_of(file.alignment());
    if disjoint && file.tensors.iter().all(aligned) {
        check_order(file, findings)?;
    }

    let padded = end.next_multiple_of(file.alignment()).max(file.data_offset);
    check_zero(file, end, file.size().min(padded), findings)?;
    // Nothing needs padding after a table without tensors.
    let bare = file.tensors.is_empty() && file.size() == end;
    if file.size() != padded && !bare {
        findings.report(Rule::FinalPadding, || Finding {
            rule: Rule::FinalPadding,
            offset: end.min(file.size()),
            field: "the end of the file".into(),
            found: format!("{} bytes in the file", file.size()),
            expected: format!("{padded}, where the last tensor's padding ends"),
        })?;
    }
    Ok(())
}

/// llama.cpp's order: each tensor at the first aligned byte after the one before it in the table.
fn check_order(file: &File<'_>, findings: &mut Findings) -> Result<(), Finding> {
    let mut expected = file.data_offset;
    for tensor in &file.tensors {
        if tensor.offset != expected {
            findings.report(Rule::TensorOrder, || {
                let found = format!("a beginning at byte {}", tensor.offset);
                about(Rule::TensorOrder, tensor, found, format!("byte {expected}, right after the tensor before it"))
            })?;
        }
        let size = (tensor.end() - file.data_offset).next_multiple_of(file.alignment());
        expected = file.data_offset + size;
    }
    Ok(())
}

/// Reports the first byte of a gap that is not 0.
fn check_zero(file: &File<'_>, from: u64, to: u64, findings: &mut Findings) -> Result<(), Finding> {
    let gap = file.bytes.get(from as usize..to as usize).unwrap_or(&[]);
    let Some(index) = gap.iter().position(|&byte| byte != 0) else {
        return Ok(());
    };
    findings.report(Rule::Padding, || Finding {
        rule: Rule::Padding,
        offset: from + index as u64,
        field: "padding".into(),
        found: format!("the byte 0x{:02x}", gap[index]),
        expected: "0".into(),
    })
}
