//! The reader: bytes in, a checked [`File`] out.
//!
//! Every count is checked against the bytes that are left before anything is allocated for it, so memory stays in proportion
//! to the input, and nothing here recurses.

use crate::{
    DEFAULT_ALIGNMENT, File, Finding, MAGIC, MAX_DIMENSIONS, Mode, Rule, Tensor, Value, ValueType, WeightType,
    conformity::{self, View},
    cursor::Cursor,
    layout,
    metadata::{Entry, Metadata},
    rules::{Findings, shown},
    split,
    tensor::{Dimensions, tensor_size},
    tokenizer,
};
use bstr::BStr;

/// The longest key that the specification allows, in bytes.
const LONGEST_KEY: usize = 65535;
/// The longest tensor name that the specification allows, in bytes.
const LONGEST_NAME: usize = 64;

impl<'a> File<'a> {
    /// Reads a file that keeps to the specification.
    ///
    /// # Errors
    /// The first breach of a rule whose severity is not acceptable.
    pub fn strict(bytes: &'a [u8]) -> Result<Self, Finding> {
        Self::read(bytes, Mode::Strict)
    }

    /// Reads what the runtimes read, but for shapes and depths that no program should go on with; [`File::tolerated`] lists what the
    /// specification has against it.
    ///
    /// # Errors
    /// A breach after which there is nothing to read on.
    pub fn lenient(bytes: &'a [u8]) -> Result<Self, Finding> {
        Self::read(bytes, Mode::Lenient)
    }

    /// Reads and checks header, metadata and tensor table; of tensor data only the place is checked, and the padding around it.
    ///
    /// # Errors
    /// As [`File::strict`] and [`File::lenient`].
    pub fn read(bytes: &'a [u8], mode: Mode) -> Result<Self, Finding> {
        let mut findings = Findings::new(mode);
        let mut cursor = Cursor { bytes, at: 0, wide: true };
        let version = read_version(&mut cursor, &mut findings)?;
        cursor.wide = version != 1;
        let length = cursor.length_bytes();
        // Name length, dimension count, type and offset: no tensor is shorter.
        let tensor_count = cursor.count(Rule::TensorCount, length + 4 + 4 + 8, || "the tensor count".into())?;
        // Key length, type and a value of one byte.
        let key_count = cursor.count(Rule::KeyCount, length + 4 + 1, || "the key count".into())?;

        let metadata = read_metadata(&mut cursor, key_count, &mut findings)?;
        let alignment = read_alignment(&metadata, &mut findings)?;
        let (mut tensors, by_name) = read_tensors(&mut cursor, tensor_count, alignment, &mut findings)?;
        let table_end = cursor.at as u64;
        let data_offset = layout::place(&mut tensors, table_end, alignment, bytes.len() as u64)?;
        let mut file =
            Self { bytes, version, alignment, table_end, data_offset, metadata, tensors, by_name, tolerated: Vec::new() };
        layout::check(&file, &mut findings)?;
        tokenizer::check(&file.metadata, &mut findings)?;
        file.check_architecture(&mut findings)?;
        file.tolerated = findings.into_tolerated();
        Ok(file)
    }

    fn check_architecture(&self, findings: &mut Findings) -> Result<(), Finding> {
        let place = split::place(&self.metadata, findings)?;
        // The first file of a split model has the metadata, and any file may have any tensors.
        if place.is_some_and(|place| place.number > 0) {
            return Ok(());
        }
        let view = View {
            metadata: &self.metadata,
            tensors: vec![&self.tensors],
            find: &|name| self.tensor(name),
            partial: place.is_some_and(|place| place.count > 1),
        };
        conformity::check(&view, findings)
    }
}

fn read_version(cursor: &mut Cursor<'_>, findings: &mut Findings) -> Result<u32, Finding> {
    let magic = cursor.take(4, || "the magic bytes".into())?;
    if magic != MAGIC {
        let finding = || cursor.finding(Rule::Magic, 4, "the magic bytes", shown(magic), "`GGUF`".into());
        // candle reads a file that begins with the reversed bytes; everybody else stops here.
        if !magic.iter().eq(MAGIC.iter().rev()) {
            return Err(finding());
        }
        findings.report(Rule::Magic, finding)?;
    }
    let version = cursor.u32(|| "the version".into())?;
    match version {
        1 => findings
            .report(Rule::VersionOne, || cursor.finding(Rule::VersionOne, 4, "the version", "1".into(), "2 or 3".into()))?,
        2 | 3 => {}
        // A little-endian version has its low half in the first two bytes; a small big-endian one has zeros there.
        _ if version & 0xffff == 0 && version != 0 => {
            let found = format!("{}, read as big-endian", version.swap_bytes());
            return Err(cursor.finding(Rule::BigEndian, 4, "the version", found, "a little-endian 2 or 3".into()));
        }
        _ => return Err(cursor.finding(Rule::Version, 4, "the version", version.to_string(), "2 or 3".into())),
    }
    Ok(version)
}

fn read_metadata<'a>(cursor: &mut Cursor<'a>, count: u64, findings: &mut Findings) -> Result<Metadata<'a>, Finding> {
    // The count fits the file, so this is in proportion to it.
    let mut entries = Vec::with_capacity(count as usize);
    for index in 0..count {
        let offset = cursor.at as u64;
        let key = cursor.string(|| format!("key {index}"))?;
        check_key(key, index, offset, findings)?;
        let field = || format!("key {}", shown(key));
        let value = match cursor.value_type(field)? {
            ValueType::Array => Value::Array(cursor.array(findings, field)?),
            value_type => cursor.scalar(value_type, findings, field)?,
        };
        entries.push(Entry { key, offset, value });
    }
    let (by_key, twice) = sorted(entries.len(), |index| entries[index].key);
    for index in twice {
        let entry = &entries[index];
        findings.report(Rule::KeyDuplicate, || {
            Metadata::finding(Rule::KeyDuplicate, entry, "a second value".into(), "a key that stands once")
        })?;
    }
    Ok(Metadata { entries, by_key })
}

fn check_key(key: &[u8], index: u64, offset: u64, findings: &mut Findings) -> Result<(), Finding> {
    // Nearly all keys keep to every rule, and one look at each byte tells.
    if key.len() <= LONGEST_KEY && is_snake_case(key) {
        return Ok(());
    }
    let finding = |rule, found: String, expected: &str| Finding {
        rule,
        offset,
        field: format!("key {index}"),
        found,
        expected: expected.into(),
    };
    if key.is_empty() {
        findings.report(Rule::KeyEmpty, || finding(Rule::KeyEmpty, "an empty key".into(), "a name"))?;
    }
    if key.len() > LONGEST_KEY {
        let found = || format!("{} bytes", key.len());
        findings.report(Rule::KeyLength, || finding(Rule::KeyLength, found(), "at most 65535 bytes"))?;
    }
    if !key.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        findings.report(Rule::KeyCharset, || finding(Rule::KeyCharset, shown(key), "printable ASCII"))?;
    } else if !key.is_empty() && !is_snake_case(key) {
        let expected = "segments of a-z, 0-9 and _, joined by dots";
        findings.report(Rule::KeySnakeCase, || finding(Rule::KeySnakeCase, shown(key), expected))?;
    }
    Ok(())
}

/// True for one segment or more, joined by dots.
fn is_snake_case(key: &[u8]) -> bool {
    let mut before = b'.';
    for &byte in key {
        let fits = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => true,
            b'.' => before != b'.',
            _ => false,
        };
        if !fits {
            return false;
        }
        before = byte;
    }
    before != b'.'
}

fn read_alignment(metadata: &Metadata<'_>, findings: &mut Findings) -> Result<u64, Finding> {
    let Some(entry) = metadata.entry("general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    if entry.value.value_type() != ValueType::U32 {
        findings.report(Rule::AlignmentType, || {
            let found = format!("{} {}", entry.value.value_type().name(), entry.value.summary());
            Metadata::finding(Rule::AlignmentType, entry, found, "uint32")
        })?;
    }
    // candle takes 32 where the value is no integer of up to 32 bits; any integer is taken here.
    let alignment = entry.value.as_u64().unwrap_or(DEFAULT_ALIGNMENT);
    let finding = |rule, expected| Metadata::finding(rule, entry, alignment.to_string(), expected);
    if alignment == 0 {
        return Err(finding(Rule::AlignmentValue, "a multiple of 8 above 0"));
    }
    if !alignment.is_multiple_of(8) {
        findings.report(Rule::AlignmentValue, || finding(Rule::AlignmentValue, "a multiple of 8"))?;
    } else if !alignment.is_power_of_two() {
        findings.report(Rule::AlignmentPowerOfTwo, || finding(Rule::AlignmentPowerOfTwo, "a power of two"))?;
    }
    Ok(alignment)
}

/// The tensor table, with offsets still counted from the data section, and the tensors' order by name.
fn read_tensors<'a>(
    cursor: &mut Cursor<'a>,
    count: u64,
    alignment: u64,
    findings: &mut Findings,
) -> Result<(Vec<Tensor<'a>>, Vec<usize>), Finding> {
    let mut tensors = Vec::with_capacity(count as usize);
    for index in 0..count {
        tensors.push(read_tensor(cursor, index, alignment, findings)?);
    }
    let (by_name, twice) = sorted(tensors.len(), |index| tensors[index].name);
    for index in twice {
        let tensor = &tensors[index];
        findings.report(Rule::TensorDuplicate, || Finding {
            rule: Rule::TensorDuplicate,
            offset: tensor.entry,
            field: format!("tensor {}", shown(tensor.name)),
            found: "a second tensor of this name".into(),
            expected: "a name that stands once".into(),
        })?;
    }
    Ok((tensors, by_name))
}

/// Row `index` of the tensor table.
fn read_tensor<'a>(
    cursor: &mut Cursor<'a>,
    index: u64,
    alignment: u64,
    findings: &mut Findings,
) -> Result<Tensor<'a>, Finding> {
    let entry = cursor.at as u64;
    let name = cursor.string(|| format!("the name of tensor {index}"))?;
    check_name(name, index, entry, findings)?;
    let field = |part: &str| format!("tensor {} {part}", shown(name));
    let dimension_count = cursor.u32(|| field("dimension count"))?;
    if dimension_count as usize > MAX_DIMENSIONS {
        let (found, expected) = (dimension_count.to_string(), format!("at most {MAX_DIMENSIONS}"));
        return Err(cursor.finding(Rule::DimensionCount, 4, &field("dimension count"), found, expected));
    }
    if dimension_count == 0 {
        findings.report(Rule::DimensionCountZero, || {
            cursor.finding(Rule::DimensionCountZero, 4, &field("dimension count"), "0".into(), "at least 1".into())
        })?;
    }
    let mut dimensions = [1; MAX_DIMENSIONS];
    let dimensions = &mut dimensions[..dimension_count as usize];
    for (number, dimension) in dimensions.iter_mut().enumerate() {
        *dimension = cursor.length(|| field(&format!("dimension {number}")))?;
        if *dimension == 0 {
            findings.report(Rule::DimensionZero, || {
                let back = cursor.length_bytes() as usize;
                let field = field(&format!("dimension {number}"));
                cursor.finding(Rule::DimensionZero, back, &field, "0".into(), "at least 1".into())
            })?;
        }
    }
    let type_id = cursor.u32(|| field("type"))?;
    let weight_type = WeightType::from_id(type_id).ok_or_else(|| {
        let expected = "the id of a tensor type that ggml has".into();
        cursor.finding(Rule::TensorType, 4, &field("type"), type_id.to_string(), expected)
    })?;
    let about_size = |rule, found, expected| Finding { rule, offset: entry, field: field("size"), found, expected };
    let size = tensor_size(dimensions, weight_type, about_size, |finding| findings.report(Rule::RowSize, || finding))?;
    let offset = cursor.u64(|| field("offset"))?;
    if !offset.is_multiple_of(alignment) {
        findings.report(Rule::OffsetAlignment, || {
            let expected = format!("a multiple of the alignment {alignment}");
            cursor.finding(Rule::OffsetAlignment, 8, &field("offset"), offset.to_string(), expected)
        })?;
    }
    let dimensions = Dimensions::new(dimensions.iter().copied());
    Ok(Tensor { name: BStr::new(name), dimensions, weight_type, offset, size, entry })
}

fn check_name(name: &[u8], index: u64, offset: u64, findings: &mut Findings) -> Result<(), Finding> {
    let finding = |rule, found: String, expected: &str| Finding {
        rule,
        offset,
        field: format!("the name of tensor {index}"),
        found,
        expected: expected.into(),
    };
    if name.is_empty() {
        findings.report(Rule::TensorNameEmpty, || finding(Rule::TensorNameEmpty, "an empty name".into(), "a name"))?;
    }
    if name.len() > LONGEST_NAME {
        let found = || format!("{} bytes", name.len());
        findings.report(Rule::TensorNameLength, || finding(Rule::TensorNameLength, found(), "at most 64 bytes"))?;
    }
    if std::str::from_utf8(name).is_err() {
        findings.report(Rule::TensorNameUtf8, || finding(Rule::TensorNameUtf8, shown(name), "valid UTF-8"))?;
    }
    if name.contains(&0) {
        findings.report(Rule::TensorNameNul, || finding(Rule::TensorNameNul, shown(name), "a name without NUL"))?;
    }
    Ok(())
}

/// The indices `0..len` sorted by name and place, and in the order of the file those whose name stood before.
fn sorted<'n, N: Ord + ?Sized + 'n>(len: usize, name: impl Fn(usize) -> &'n N) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_unstable_by(|&a, &b| name(a).cmp(name(b)).then(a.cmp(&b)));
    let mut twice: Vec<usize> = order.windows(2).filter(|pair| name(pair[0]) == name(pair[1])).map(|pair| pair[1]).collect();
    twice.sort_unstable();
    (order, twice)
}
