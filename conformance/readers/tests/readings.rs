//! What each reader makes of files that are built here byte by byte: alike where it is right, and as it stands in its source
//! where it is not. Places are given as `file:line` of the pinned release.

use std::{fs, path::Path};
use vocabulary::{Contents, KeyValue, ReadValue, Refusal, Rejection, RejectionClass, Stage, TensorEntry};

const U8: u32 = 0;
const U32: u32 = 4;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// A GGUF file in the making.
struct File {
    version: u32,
    keys: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    alignment: usize,
    data: usize,
}

impl File {
    fn new() -> Self {
        Self { version: 3, keys: Vec::new(), tensors: Vec::new(), alignment: 32, data: 0 }
    }

    fn key(self, key: &str, value_type: u32, value: impl AsRef<[u8]>) -> Self {
        self.key_of_bytes(key.as_bytes(), value_type, value)
    }

    fn key_of_bytes(mut self, key: &[u8], value_type: u32, value: impl AsRef<[u8]>) -> Self {
        self.keys.push([&string(key), &value_type.to_le_bytes()[..], value.as_ref()].concat());
        self
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a tensor's entry")]
    fn tensor(mut self, name: &str, dimensions: &[u64], type_id: u32, offset: u64, len: usize) -> Self {
        let mut entry = string(name.as_bytes());
        entry.extend((dimensions.len() as u32).to_le_bytes());
        entry.extend(dimensions.iter().flat_map(|dimension| dimension.to_le_bytes()));
        entry.extend(type_id.to_le_bytes());
        entry.extend(offset.to_le_bytes());
        self.tensors.push(entry);
        self.data = self.data.max(offset as usize + len);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        bytes.extend(self.keys.concat());
        bytes.extend(self.tensors.concat());
        bytes.resize(bytes.len().next_multiple_of(self.alignment) + self.data, 0);
        bytes
    }

    fn read(&self, reader: &str) -> Result<Contents, Refusal> {
        read(reader, &self.bytes())
    }

    /// The value of the only key.
    fn value(&self, reader: &str) -> ReadValue {
        let [KeyValue { value, .. }] = <[KeyValue; 1]>::try_from(self.read(reader).unwrap().metadata).unwrap();
        value
    }
}

fn read(reader: &str, bytes: &[u8]) -> Result<Contents, Refusal> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.gguf");
    fs::write(&path, bytes).unwrap();
    readers::create(reader).unwrap().read(&path)
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat()
}

fn array(element_type: u32, elements: &[Vec<u8>]) -> Vec<u8> {
    [&element_type.to_le_bytes()[..], &(elements.len() as u64).to_le_bytes(), &elements.concat()].concat()
}

fn number(value_type: &str, text: &str) -> ReadValue {
    ReadValue::Number { value_type: Some(value_type.into()), text: text.into() }
}

fn text(text: &str) -> ReadValue {
    ReadValue::Text { text: text.into() }
}

/// `rejected: CLASS: MESSAGE`, `unsupported: MESSAGE`, or `accepted`.
fn outcome(result: &Result<Contents, Refusal>) -> String {
    match result {
        Ok(_) => "accepted".into(),
        Err(Refusal::Rejected(Rejection { stage: Stage::Read, class, message })) => format!("{class:?}: {message}"),
        Err(Refusal::Unsupported(reason)) => format!("Unsupported: {reason}"),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_file_is_read_alike() {
    let strings = [string(b"a\\b"), string("Zürich".as_bytes()), string(b"")];
    let file = File::new()
        .key("t.u8", 0, [200])
        .key("t.i8", 1, (-100i8).to_le_bytes())
        .key("t.u16", 2, 60_000u16.to_le_bytes())
        .key("t.i16", 3, (-30_000i16).to_le_bytes())
        .key("t.u32", 4, u32::MAX.to_le_bytes())
        .key("t.i32", 5, i32::MIN.to_le_bytes())
        .key("t.f32", 6, 0.1f32.to_le_bytes())
        .key("t.bool", 7, [1])
        .key("t.string", 8, string(b"text"))
        .key("t.strings", 9, array(STRING, &strings))
        .key("t.u64", 10, u64::MAX.to_le_bytes())
        .key("t.i64", 11, i64::MIN.to_le_bytes())
        .key("t.f64", 12, 0.1f64.to_le_bytes())
        .tensor("first", &[32, 2], 8, 0, 68)
        .tensor("second", &[3], 0, 96, 12);
    let key = |key: &str, value| KeyValue { key: key.into(), value };
    let strings = vec![text("a\\\\b"), text("Zürich"), text("")];
    let tensor = |name: &str, dimensions: &[&str], type_id, offset: &str| TensorEntry {
        name: name.into(),
        dimensions: Some(dimensions.iter().map(|&dimension| dimension.into()).collect()),
        type_id: Some(type_id),
        offset: Some(offset.into()),
    };
    let expected = Contents {
        version: Some(3),
        data_offset: Some((file.bytes().len() - 108).to_string()),
        metadata: vec![
            key("t.u8", number("u8", "200")),
            key("t.i8", number("i8", "-100")),
            key("t.u16", number("u16", "60000")),
            key("t.i16", number("i16", "-30000")),
            key("t.u32", number("u32", "4294967295")),
            key("t.i32", number("i32", "-2147483648")),
            key("t.f32", number("f32", "0.1")),
            key("t.bool", number("bool", "true")),
            key("t.string", text("text")),
            key("t.strings", ReadValue::Array { element_type: Some("string".into()), values: strings }),
            key("t.u64", number("u64", "18446744073709551615")),
            key("t.i64", number("i64", "-9223372036854775808")),
            key("t.f64", number("f64", "0.1")),
        ],
        tensors: vec![tensor("first", &["32", "2"], 8, "0"), tensor("second", &["3"], 0, "96")],
    };
    for reader in readers::NAMES {
        let contents = file.read(reader).unwrap();
        assert_eq!(contents.difference(&expected), None, "{reader}");
        // What is not told is not compared: so that the line above says something, nothing more may be missing than this.
        let typed = |entry: &KeyValue| matches!(&entry.value, ReadValue::Number { value_type: Some(_), .. });
        assert_eq!(contents.data_offset.is_none(), reader == "gguf");
        assert_eq!(contents.metadata.iter().filter(|entry| typed(entry)).count(), if reader == "gguf-rs" { 0 } else { 11 });
        assert!(contents.tensors.iter().all(|tensor| tensor.type_id.is_some() && tensor.offset.is_some()));
    }
}

#[test]
fn every_release_is_the_one_that_is_pinned() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    for reader in readers::NAMES {
        let runtime = readers::create(reader).unwrap().describe().runtime;
        let (name, version) = runtime.split_once(' ').unwrap();
        assert_eq!(name, reader);
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{runtime}");
    }
    assert!(readers::create("nobody's").is_none());
}

#[test]
fn a_missing_file_is_unreadable() {
    for reader in readers::NAMES {
        let refusal = readers::create(reader).unwrap().read(Path::new("no such file")).unwrap_err();
        let Refusal::Rejected(rejection) = refusal else { panic!("{refusal:?}") };
        assert_eq!((rejection.stage, rejection.class), (Stage::Read, RejectionClass::Unreadable), "{reader}");
    }
}

#[test]
fn a_file_that_ends_early_is_malformed() {
    let bytes = File::new().key("k", STRING, string(b"text")).bytes();
    for reader in readers::NAMES {
        let outcome = outcome(&read(reader, &bytes[..bytes.len() - 32]));
        assert!(outcome.starts_with("Malformed: "), "{reader}: {outcome}");
    }
}

#[test]
fn other_versions_and_byte_orders() {
    let of_version = |reader, version| outcome(&File { version, ..File::new() }.read(reader));
    let big_endian = [b"GGUF", &3u32.to_be_bytes()[..], &[0; 16], &[0; 8]].concat();
    for (reader, two, four, big) in [
        // No look at the version at all (parser.rs:88), so byte order goes unnoticed as long as nothing is counted.
        // source: gguf `src/parser.rs:88` `let (i, version) = le_u32(i)?;`
        ("gguf", "accepted", "accepted", "accepted"),
        // Big endian is told by magic bytes in reverse (lib.rs:117), which nobody writes.
        // source: gguf-rs `src/lib.rs:117` `pub const FILE_MAGIC_GGUF_BE: i32 = 0x47475546;`
        (
            "gguf-rs",
            "accepted",
            "Unsupported: invalid version 4, only support version: 1 | 2 | 3",
            "Unsupported: invalid version 50331648, only support version: 1 | 2 | 3",
        ),
        (
            "gguf-rs-lib",
            "Unsupported: Unsupported GGUF version: 2",
            "Unsupported: Unsupported GGUF version: 4",
            "Unsupported: Unsupported GGUF version: 50331648",
        ),
        // It means to look at the byte order, but compares the version with itself (header.rs:53).
        // source: ggus `src/header.rs:53` `self.version == u32::from_le(self.version)`
        ("ggus", "Unsupported: version not support", "Unsupported: version not support", "Unsupported: version not support"),
    ] {
        assert_eq!((of_version(reader, 2).as_str(), of_version(reader, 4).as_str()), (two, four), "{reader}");
        assert_eq!(outcome(&read(reader, &big_endian)), big, "{reader}");
    }
}

#[test]
fn arrays_of_arrays() {
    let inner = |values: &[u8]| array(U8, &values.iter().map(|&value| vec![value]).collect::<Vec<_>>());
    let file = File::new().key("k", ARRAY, array(ARRAY, &[inner(&[1, 2]), inner(&[3])]));
    let told = |values: &[&str]| ReadValue::Array {
        element_type: Some("u8".into()),
        values: values.iter().map(|value| number("u8", value)).collect(),
    };
    let expected = ReadValue::Array { element_type: Some("array".into()), values: vec![told(&["1", "2"]), told(&["3"])] };
    assert_eq!(file.value("gguf"), expected);
    assert_eq!(file.value("gguf-rs-lib"), expected);
    // source: gguf-rs `src/lib.rs:898` `_ => return Err(anyhow!("Unsupport item value type: Array"))`
    assert_eq!(outcome(&file.read("gguf-rs")), "Unsupported: Unsupport item value type: Array");
    // It reads the first element only (metadata/meta_kv.rs:48) and goes on in the middle of the second.
    // source: ggus `src/metadata/meta_kv.rs:48` `Ty::Array => {`
    assert_eq!(outcome(&file.read("ggus")), "Malformed: reading error: Eos");
}

#[test]
fn truth_values_that_are_neither() {
    let file = File::new().key("k", BOOL, [2]);
    assert!(outcome(&file.read("gguf")).starts_with("Malformed: failed to parse GGUF file"));
    // source: gguf-rs `src/lib.rs:850` `Ok(reader.read_u8()? != 0)`
    assert_eq!(file.value("gguf-rs"), ReadValue::Number { value_type: None, text: "true".into() });
    let refused = "Malformed: Invalid metadata: Invalid boolean value: 2 (expected 0 or 1)";
    assert_eq!(outcome(&file.read("gguf-rs-lib")), refused);
    assert_eq!(outcome(&file.read("ggus")), "Malformed: reading error: Bool(2)");
}

#[test]
fn bytes_that_are_not_text() {
    let file = File::new().key_of_bytes(b"\xff", STRING, string(b"\xfe"));
    // Replaced, in keys too (lib.rs:866).
    // source: gguf-rs `src/lib.rs:866` `Ok(String::from_utf8_lossy(&buffer).to_string())`
    let told = &file.read("gguf-rs").unwrap().metadata;
    assert_eq!(told[..], [KeyValue { key: "\u{fffd}".into(), value: text("\u{fffd}") }]);
    for reader in ["gguf", "gguf-rs-lib", "ggus"] {
        let outcome = outcome(&file.read(reader));
        assert!(outcome.starts_with("Malformed: "), "{reader}: {outcome}");
    }
}

#[test]
fn a_key_that_stands_twice() {
    let file = File::new().key("k", U8, [1]).key("k", U8, [2]);
    let values = |reader| file.read(reader).unwrap().metadata.into_iter().map(|entry| entry.value).collect::<Vec<_>>();
    assert_eq!(values("gguf"), [number("u8", "1"), number("u8", "2")]);
    // The last one stays (lib.rs:675).
    // source: gguf-rs `src/lib.rs:675` `self.kv.insert(key, value);`
    assert_eq!(values("gguf-rs"), [ReadValue::Number { value_type: None, text: "2".into() }]);
    assert_eq!(outcome(&file.read("gguf-rs-lib")), "Malformed: Invalid metadata: Duplicate metadata key: k");
    assert_eq!(outcome(&file.read("ggus")), "Malformed: duplicate meta key: k");
}

#[test]
fn numbers_that_json_cannot_say() {
    for (value, told) in [(f32::NAN, "nan"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let file = File::new().key("k", F32, value.to_le_bytes());
        // A null (lib.rs:663): the value is lost.
        // source: gguf-rs `src/lib.rs:663` `MetadataValueType::Float32 => Value::from(self.read_f32(&mut`
        assert_eq!(file.value("gguf-rs"), ReadValue::Untold {});
        for reader in ["gguf", "gguf-rs-lib", "ggus"] {
            assert_eq!(file.value(reader), number("f32", told), "{reader}");
        }
    }
}

#[test]
fn an_alignment_that_is_no_power_of_two() {
    let file = File { alignment: 24, ..File::new() }.key("general.alignment", U32, 24u32.to_le_bytes());
    let file = file.tensor("a", &[1], 0, 0, 4);
    let begin = (file.bytes().len() - 4).to_string();
    for reader in ["gguf-rs", "gguf-rs-lib", "ggus"] {
        assert_eq!(file.read(reader).unwrap().data_offset.as_ref(), Some(&begin), "{reader}");
    }
}

#[test]
fn tensor_types_under_other_names() {
    let type_of = |reader, type_id| {
        let contents = File::new().tensor("a", &[256], type_id, 0, 66).read(reader)?;
        Ok::<_, Refusal>(contents.tensors[0].type_id)
    };
    // IQ2_XXS, which `gguf` takes for 8-bit integers, as the first version of the format had them (lib.rs:111).
    // source: gguf `src/lib.rs:111` `16 => GGMLType::I8,`
    assert_eq!(type_of("gguf", 16).unwrap(), Some(24));
    // IQ1_S, which it takes for the number of types (lib.rs:114).
    // source: gguf `src/lib.rs:114` `19 => GGMLType::Count,`
    assert_eq!(type_of("gguf", 19).unwrap(), None);
    for reader in ["gguf-rs", "gguf-rs-lib", "ggus"] {
        assert_eq!(type_of(reader, 16).unwrap(), Some(16), "{reader}");
    }
}

#[test]
#[should_panic(expected = "GGMLType::Count is not a real data format")]
fn gguf_rs_dies_of_nvfp4() {
    // source: gguf-rs `src/lib.rs:747` `GGMLType::Count => unreachable!("GGMLType::Count is not a`
    let _ = File::new().tensor("a", &[64], 40, 0, 36).read("gguf-rs");
}

#[test]
#[should_panic(expected = "out of range")]
fn ggus_dies_of_missing_data() {
    // source: ggus `src/file.rs:135` `&data[..data_len]`
    let bytes = File::new().tensor("a", &[64], 0, 0, 256).bytes();
    let _ = read("ggus", &bytes[..bytes.len() - 1]);
}

#[test]
#[should_panic(expected = "not implemented")]
fn ggus_dies_of_a_type_that_was_removed() {
    // source: ggus `src/tensor.rs:142` `_              => unimplemented!(),`
    let _ = File::new().tensor("a", &[32], 4, 0, 0).read("ggus");
}
