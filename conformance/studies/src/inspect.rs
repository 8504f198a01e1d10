//! What a GGUF file holds, for people and as JSON: header, keys, tensors, weight types, and the rules that it breaks.
//!
//! Data flows as in the main job: [`Source`] finds the bytes behind an argument, [`inspect`] turns files that were read into an
//! [`Inspection`], and [`report`] reads nothing but that.
//!
//! Files come from anywhere, so no byte of theirs reaches a terminal as it is: a [`Text`] is escaped where it is shown, as
//! [`printable`] does.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table};
use gguf::{File, Finding, Mode, Rule, Severity, ShardName, Split, Stance, Tolerated, Value, WeightType};
use indicatif::{HumanBytes, ProgressBar};
use machine::{Error, MappedFile, cache::Cache, files};
use printable::{Page, Text, ruled_table, short};
use serde::Serialize;
use smith::Recipe;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write,
    io,
    ops::Deref,
    path::Path,
};
use supply::{
    files::Misplaced,
    fingerprint,
    models::{self, Manifest},
    weights::{self, NOTE, Odd, WeightRule},
};
use vocabulary::Upshot;

/// Columns of a report that does not go to a terminal.
pub const DEFAULT_WIDTH: u16 = 100;
/// Columns below which nothing is made to fit any more.
const LEAST_WIDTH: u16 = 40;
/// Rows of a table where not all of them are asked for.
const MOST_ROWS: usize = 200;
/// Sentences below the tensor table, and items in one of them.
const MOST_ITEMS: usize = 12;
/// Elements of an array that JSON gives.
const MOST_ELEMENTS: usize = 64;
/// Arrays within each other whose elements JSON gives. A file may have 64, and many JSON libraries stop at 128 levels.
const DEEPEST_ARRAY: usize = 8;

/// The bytes of one file.
enum Bytes {
    Mapped(MappedFile),
    Made(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped,
            Self::Made(bytes) => bytes,
        }
    }
}

/// One file of a model, which most often is the only one.
struct Shard {
    /// Its number in a split model, counted from 1.
    number: u32,
    /// Its name, without folders.
    name: String,
    /// What errors call it.
    shown: String,
    bytes: Bytes,
}

/// The files behind an argument.
pub struct Source {
    name: String,
    shards: Vec<Shard>,
    /// Names of the files of a split model that are not there.
    missing: Vec<String>,
}

impl Source {
    /// Finds the files behind an argument: a pinned model's name, a recipe, or a path. A file of a split model stands for all.
    /// Nothing is fetched.
    ///
    /// # Errors
    /// Where there is no such file, or it cannot be read.
    pub fn open(argument: &str, cache: &Cache) -> Result<Self, Error> {
        let manifests = Manifest::all()?;
        if let Some(manifest) = manifests.iter().find(|manifest| manifest.name == argument) {
            let path = manifest.path(cache)?;
            if !path.exists() {
                let next = format!("run `ggauge fetch {argument}` with a network");
                return Err(Error::input(format!("model {argument}"), "it is not in the cache", next));
            }
            let shard = Shard::open(1, manifest.file.clone(), &path).map_err(|error| unreadable(&path, error))?;
            return Ok(Self { name: argument.into(), shards: vec![shard], missing: Vec::new() });
        }
        let path = Path::new(argument);
        if !path.exists() {
            let recipe: Recipe = argument.parse().map_err(|_| models::unknown(argument, &manifests))?;
            let (name, shown, bytes) = (recipe.to_string(), recipe.to_string(), Bytes::Made(models::build(&recipe)?));
            let shards = vec![Shard { number: 1, name: name.clone(), shown, bytes }];
            return Ok(Self { name, shards, missing: Vec::new() });
        }
        let name = path.file_name().map_or_else(|| argument.into(), |name| name.to_string_lossy().into_owned());
        match ShardName::parse(&name) {
            Some(shard) => Self::open_split(path, &shard),
            None => {
                let shard = Shard::open(1, name.clone(), path).map_err(|error| unreadable(path, error))?;
                Ok(Self { name, shards: vec![shard], missing: Vec::new() })
            }
        }
    }

    fn open_split(path: &Path, name: &ShardName) -> Result<Self, Error> {
        let mut source = Self { name: name.prefix.clone(), shards: Vec::new(), missing: Vec::new() };
        for (number, sibling) in (1..).zip(name.siblings()) {
            let path = path.with_file_name(&sibling);
            match Shard::open(number, sibling.clone(), &path) {
                Ok(shard) => source.shards.push(shard),
                Err(error) if error.kind() == io::ErrorKind::NotFound => source.missing.push(sibling),
                Err(error) => return Err(unreadable(&path, error)),
            }
        }
        Ok(source)
    }

    /// Every key and tensor of each file with its digest.
    ///
    /// # Errors
    /// As [`Source::inspect`].
    pub fn digests(&self) -> Result<Page, Error> {
        let mut out = Page::default();
        for shard in &self.shards {
            let file = shard.read()?;
            out.append(&fingerprint::listing(&file, &files::digest(&shard.bytes)));
        }
        Ok(out)
    }

    /// Reads every file as leniently as the runtimes do, and says what they hold: their headers, and unless that is not wanted their
    /// weights.
    ///
    /// # Errors
    /// Where one of them breaks a rule after which there is nothing to read on, and [`Error::Interrupted`].
    pub fn inspect(&self, reads: Reads, progress: &ProgressBar) -> Result<Inspection, Error> {
        let mut parts = Vec::new();
        for shard in &self.shards {
            parts.push(Part { number: shard.number, name: &shard.name, file: shard.read()? });
        }
        let mut inspection = inspect(&self.name, &parts, &self.missing);
        if reads == Reads::Weights {
            let files: Vec<File<'_>> = parts.iter().map(|part| part.file.clone()).collect();
            match weights::look(&files, progress)? {
                Some(odd) => inspection.add(&odd, &parts),
                None => inspection.weights_not_read = Some("tensors lie upon each other"),
            }
        }
        Ok(inspection)
    }
}

impl Shard {
    fn open(number: u32, name: String, path: &Path) -> io::Result<Self> {
        let bytes = Bytes::Mapped(MappedFile::open(path)?);
        Ok(Self { number, name, shown: path.display().to_string(), bytes })
    }

    fn read(&self) -> Result<File<'_>, Error> {
        File::lenient(&self.bytes).map_err(|finding| {
            let next =
                format!("download or convert the file again; `ggauge rules {}` says what the rule asks for", finding.rule);
            Error::input(&self.shown, finding, next)
        })
    }
}

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Its header alone.
    Header,
    /// Its weights too.
    Weights,
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::input(path.display(), error, "give the path of a GGUF file that you may read")
}

/// What strict reading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every rule is kept.
    Valid,
    /// Strict reading accepts the file, and lists findings.
    Acceptable,
    /// Strict reading refuses the file.
    Invalid,
}

/// What the files of a model hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The file's name, a split model's prefix, a pinned model's name, or a recipe.
    pub name: Text,
    /// What strict reading says.
    pub verdict: Verdict,
    /// `general.architecture` of the first file, where it is a text.
    pub architecture: Option<Text>,
    /// The files, in order.
    pub files: Vec<Header>,
    /// The keys of all files, in order.
    pub metadata: Vec<Key>,
    /// The tensors of all files, in order.
    pub tensors: Vec<TensorRow>,
    /// What each weight type takes, the largest first.
    pub weights: Vec<Weights>,
    /// Every rule that is broken, at the first place where it is; of weights every tensor that has one that is odd.
    pub findings: Vec<Breach>,
    /// It has words and no tensor, and no rule about tensors concerns it.
    #[serde(skip)]
    pub is_vocabulary: bool,
    /// Why no weight was looked at, though that was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights_not_read: Option<&'static str>,
}

/// What stands at the beginning of a file, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header {
    /// The file's number in a split model, counted from 1.
    pub file: u32,
    /// The file's name, without folders.
    pub name: Text,
    /// Size of the file.
    pub bytes: u64,
    /// The format version.
    pub version: u32,
    /// Alignment of tensor data, in bytes.
    pub alignment: u64,
    /// First byte after the tensor table.
    pub table_end: u64,
    /// First byte of the data section.
    pub data_offset: u64,
    /// Number of keys.
    pub keys: usize,
    /// Number of tensors.
    pub tensors: usize,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Key {
    /// Number of the file.
    pub file: u32,
    /// The key.
    pub key: Text,
    /// The type, as the specification names it.
    #[serde(rename = "type")]
    pub value_type: &'static str,
    /// The value. An array is an object of its element type, its length and its first elements; of numbers JSON has no notation
    /// for, this has the text.
    pub value: serde_json::Value,
    /// The value for people.
    #[serde(skip)]
    pub summary: String,
}

/// A row of the tensor table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorRow {
    /// Number of the file.
    pub file: u32,
    /// The name.
    pub name: Text,
    /// Dimensions, the row first.
    pub dimensions: Vec<u64>,
    /// The weight type.
    #[serde(rename = "type")]
    pub weight_type: &'static str,
    /// Offset of the data from the start of the file.
    pub offset: u64,
    /// Bytes of data.
    pub bytes: u64,
}

/// What the tensors of one weight type come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Weights {
    /// The weight type.
    #[serde(rename = "type")]
    pub weight_type: &'static str,
    /// Number of tensors.
    pub tensors: u64,
    /// Number of elements.
    pub elements: u64,
    /// Bytes of data.
    pub bytes: u64,
    /// Part of all tensors' bytes, from 0 to 1.
    pub share: f64,
    /// Bits an element; `None` where there is no element.
    pub bits_per_weight: Option<f64>,
}

/// A rule that the files break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Id of the rule.
    pub rule: &'static str,
    /// What breaking it means.
    pub severity: &'static str,
    /// What the rule asks for.
    pub meaning: &'static str,
    /// Number of the file; `None` for what no file breaks alone.
    pub file: Option<u32>,
    /// Where the first breach is, in bytes from the start of the file; 0 for what is not there at all.
    pub offset: u64,
    /// What is wrong.
    pub field: String,
    /// What the file has.
    pub found: String,
    /// What the rule asks for there.
    pub expected: String,
    /// How often the rule is broken.
    pub times: u64,
}

impl Inspection {
    /// The exit code of the binary.
    pub fn upshot(&self) -> Upshot {
        match self.verdict {
            Verdict::Valid | Verdict::Acceptable => Upshot::Good,
            Verdict::Invalid => Upshot::Bad,
        }
    }

    fn is_split(&self) -> bool {
        self.files.len() > 1
    }

    /// Adds what is wrong with weights.
    fn add(&mut self, odd: &[Odd], parts: &[Part<'_>]) {
        let mut odd: Vec<&Odd> = odd.iter().collect();
        // Among equals the order of the files stays.
        odd.sort_by_key(|odd| odd.rule);
        self.findings.extend(odd.iter().map(|odd| Breach {
            rule: odd.rule.id(),
            severity: odd.rule.severity(),
            meaning: odd.rule.meaning(),
            file: parts.get(odd.file).map(|part| part.number),
            offset: odd.offset,
            field: format!("tensor `{}`", odd.tensor),
            found: odd.found(),
            expected: if odd.rule == WeightRule::Zero { "a weight that is not 0" } else { "a finite number" }.into(),
            times: if odd.rule == WeightRule::Zero { 1 } else { odd.places.count },
        }));
        if odd.iter().any(|odd| odd.rule.severity() != NOTE) {
            self.verdict = Verdict::Invalid;
        }
    }
}

/// A file that was read.
pub struct Part<'a> {
    /// Its number in a split model, counted from 1.
    pub number: u32,
    /// Its name, without folders.
    pub name: &'a str,
    /// What it holds.
    pub file: File<'a>,
}

/// What the files of a model hold, of which those called `missing` are not there.
pub fn inspect(name: &str, parts: &[Part<'_>], missing: &[String]) -> Inspection {
    let findings = findings(parts, missing);
    let acceptable = |(_, tolerated): &(_, Tolerated)| tolerated.finding.rule.severity() == Severity::Acceptable;
    let verdict = match findings.as_slice() {
        [] => Verdict::Valid,
        all if all.iter().all(acceptable) => Verdict::Acceptable,
        _ => Verdict::Invalid,
    };
    Inspection {
        name: Text::new(name),
        verdict,
        architecture: parts.first().and_then(|part| part.file.architecture().ok()).map(Text::new),
        files: parts.iter().map(header).collect(),
        metadata: parts.iter().flat_map(keys).collect(),
        tensors: parts.iter().flat_map(tensors).collect(),
        weights: weights_of(parts),
        findings: findings.into_iter().map(breach).collect(),
        is_vocabulary: is_vocabulary(parts),
        weights_not_read: None,
    }
}

fn header(part: &Part<'_>) -> Header {
    let file = &part.file;
    Header {
        file: part.number,
        name: Text::new(part.name),
        bytes: file.size(),
        version: file.version(),
        alignment: file.alignment(),
        table_end: file.table_end(),
        data_offset: file.data_offset(),
        keys: file.metadata().len(),
        tensors: file.tensors().len(),
    }
}

fn keys<'p>(part: &'p Part<'_>) -> impl Iterator<Item = Key> + 'p {
    part.file.metadata().iter().map(|(key, value)| Key {
        file: part.number,
        key: Text::new(key),
        value_type: value.value_type().name(),
        value: to_json(value, 0),
        summary: value.summary(),
    })
}

fn tensors<'p>(part: &'p Part<'_>) -> impl Iterator<Item = TensorRow> + 'p {
    part.file.tensors().iter().map(|tensor| TensorRow {
        file: part.number,
        name: Text::new(tensor.name),
        dimensions: tensor.dimensions.to_vec(),
        weight_type: tensor.weight_type.name(),
        offset: tensor.offset,
        bytes: tensor.size,
    })
}

fn weights_of(parts: &[Part<'_>]) -> Vec<Weights> {
    // In tensors that lie upon each other, bytes count more than once, so sums are not bounded by the file's size.
    let mut sums: BTreeMap<WeightType, (u64, u64, u64)> = BTreeMap::new();
    for tensor in parts.iter().flat_map(|part| part.file.tensors()) {
        let (tensors, elements, bytes) = sums.entry(tensor.weight_type).or_default();
        *tensors += 1;
        *elements = elements.saturating_add(tensor.elements());
        *bytes = bytes.saturating_add(tensor.size);
    }
    let total = sums.values().map(|sums| sums.2).fold(0, u64::saturating_add);
    let of_type = |(weight_type, (tensors, elements, bytes)): (WeightType, _)| Weights {
        weight_type: weight_type.name(),
        tensors,
        elements,
        bytes,
        share: bytes as f64 / total.max(1) as f64,
        bits_per_weight: bits_per_weight(bytes, elements),
    };
    let mut weights: Vec<_> = sums.into_iter().map(of_type).collect();
    weights.sort_by_key(|weights| std::cmp::Reverse(weights.bytes));
    weights
}

fn bits_per_weight(bytes: u64, elements: u64) -> Option<f64> {
    (elements > 0).then(|| bytes as f64 * 8.0 / elements as f64)
}

/// What has no tensor at all, but words, was never meant to be run.
fn is_vocabulary(parts: &[Part<'_>]) -> bool {
    matches!(parts, [part] if models::is_vocabulary(&part.file.clone().into()))
}

/// What each file breaks, and what they break together.
fn findings(parts: &[Part<'_>], missing: &[String]) -> Vec<(Option<u32>, Tolerated)> {
    let only_words = is_vocabulary(parts);
    let concerns = |tolerated: &&Tolerated| !(only_words && tolerated.finding.rule == Rule::TensorMissing);
    let of_part = |part: &Part<'_>| {
        let number = part.number;
        let tolerated = part.file.tolerated().iter().filter(concerns);
        tolerated.map(|tolerated| (Some(number), tolerated.clone())).collect::<Vec<_>>()
    };
    let mut findings: Vec<_> = parts.iter().flat_map(of_part).collect();
    // A file that lies where it should not is told as that, and not as what follows from it.
    let misplaced = parts.iter().filter_map(|part| Some((part, Misplaced::find(&part.file, part.name)?)));
    let misplaced: Vec<_> =
        misplaced.map(|(part, misplaced)| (Some(part.number), Tolerated { finding: misplaced.finding(), times: 1 })).collect();
    if !misplaced.is_empty() {
        findings.extend(misplaced);
        return findings;
    }
    let together = match missing.first() {
        Some(first) => Some(Finding {
            rule: Rule::SplitShards,
            offset: 0,
            field: format!("file `{}`", Text::new(first)),
            found: "no such file".into(),
            expected: format!("all {} files of the split model in one folder", parts.len() + missing.len()),
        }),
        None => match Split::join(parts.iter().map(|part| part.file.clone()).collect(), Mode::Lenient) {
            Ok(split) => {
                findings.extend(split.tolerated().iter().map(|tolerated| (None, tolerated.clone())));
                None
            }
            Err(finding) => Some(finding),
        },
    };
    if let Some(finding) = together {
        findings.push((None, Tolerated { finding, times: missing.len().max(1) as u64 }));
    }
    findings
}

fn breach((file, Tolerated { finding, times }): (Option<u32>, Tolerated)) -> Breach {
    let Finding { rule, offset, field, found, expected } = finding;
    let (id, severity, meaning) = (rule.id(), rule.severity().name(), rule.meaning());
    Breach { rule: id, severity, meaning, file, offset, field, found, expected, times }
}

fn to_json(value: Value<'_>, depth: usize) -> serde_json::Value {
    match value {
        Value::U8(v) => v.into(),
        Value::I8(v) => v.into(),
        Value::U16(v) => v.into(),
        Value::I16(v) => v.into(),
        Value::U32(v) => v.into(),
        Value::I32(v) => v.into(),
        Value::U64(v) => v.into(),
        Value::I64(v) => v.into(),
        Value::F32(v) => real(v.to_string()),
        Value::F64(v) => real(v.to_string()),
        Value::Bool(v) => v.into(),
        Value::String(bytes) => serde_json::json!(Text::new(bytes)),
        Value::Array(array) => {
            let shown = if depth < DEEPEST_ARRAY { MOST_ELEMENTS } else { 0 };
            let values: Vec<_> = array.values().take(shown).map(|value| to_json(value, depth + 1)).collect();
            serde_json::json!({ "type": array.element_type().name(), "length": array.len(), "values": values })
        }
    }
}

/// A real number from its shortest digits, so that an f32 is not written as the many digits of the f64 it equals.
fn real(digits: String) -> serde_json::Value {
    let number = digits.parse().ok().and_then(serde_json::Number::from_f64);
    number.map_or(serde_json::Value::String(digits), serde_json::Value::Number)
}

/// How a report is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Columns of the terminal.
    pub width: u16,
    /// Every key and every tensor, instead of one layer of those that are alike.
    pub all: bool,
}

/// The whole report.
pub fn report(inspection: &Inspection, layout: Layout) -> Page {
    let layout = Layout { width: layout.width.max(LEAST_WIDTH), ..layout };
    let architecture = inspection.architecture.as_ref().map_or_else(|| "no architecture".into(), Text::cut);
    let mut page = Page::of(format_args!("{} ({architecture})", inspection.name));
    page.append(&Page::of_lines(&format!(
        "{}\n{}\n{}\n{}\n{}",
        headers_table(inspection, layout),
        keys_table(inspection, layout),
        tensors_table(inspection, layout),
        weights_table(inspection, layout),
        findings_text(inspection, layout),
    )));
    page
}

/// A table that is no wider than the terminal.
fn new_table(layout: Layout, header: &[&str]) -> Table {
    let mut table = ruled_table();
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(layout.width);
    table.set_header(header);
    table
}

/// Adds a row of one line: what does not fit ends in dots.
fn add_line(table: &mut Table, cells: Vec<String>) {
    let mut row = Row::from(cells);
    row.max_height(1);
    table.add_row(row);
}

/// The table as text, with numbers on the right in the columns given. Without rows there is nothing to print.
fn drawn(mut table: Table, numbers: &[usize]) -> String {
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if table.is_empty() { String::new() } else { format!("{}\n", table.trim_fmt()) }
}

fn headers_table(inspection: &Inspection, layout: Layout) -> String {
    let columns = ["name", "bytes", "version", "alignment", "data begins", "keys", "tensors"];
    let mut table = new_table(layout, &columns.into_iter().chain(file_heading(inspection)).collect::<Vec<_>>());
    for header in &inspection.files {
        let cells = [
            header.name.cut(),
            header.bytes.to_string(),
            header.version.to_string(),
            header.alignment.to_string(),
            header.data_offset.to_string(),
            header.keys.to_string(),
            header.tensors.to_string(),
        ];
        add_line(&mut table, cells.into_iter().chain(file_cell(inspection, header.file)).collect());
    }
    drawn(table, &[1, 2, 3, 4, 5, 6, 7])
}

fn file_heading(inspection: &Inspection) -> Option<&'static str> {
    inspection.is_split().then_some("file")
}

/// The number of a file, where there are several to tell apart.
fn file_cell(inspection: &Inspection, file: u32) -> Option<String> {
    inspection.is_split().then(|| file.to_string())
}

fn keys_table(inspection: &Inspection, layout: Layout) -> String {
    let header: Vec<&str> = ["key", "type", "value"].into_iter().chain(file_heading(inspection)).collect();
    let mut table = new_table(layout, &header);
    let most = if layout.all { usize::MAX } else { MOST_ROWS };
    for key in inspection.metadata.iter().take(most) {
        let cells = [key.key.cut(), key.value_type.into(), key.summary.clone()];
        add_line(&mut table, cells.into_iter().chain(file_cell(inspection, key.file)).collect());
    }
    // Of a key and its value, it is the value that may be cut.
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    let mut out = drawn(table, &[3]);
    let more = inspection.metadata.len().saturating_sub(most);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more; `--all` lists every key");
    }
    out
}

fn tensors_table(inspection: &Inspection, layout: Layout) -> String {
    let columns = ["tensor", "dimensions", "type", "offset", "bytes"];
    let header: Vec<&str> = columns.into_iter().chain(file_heading(inspection)).collect();
    let mut table = new_table(layout, &header);
    let (rows, mut notes) =
        if layout.all { (inspection.tensors.iter().collect(), Vec::new()) } else { folded(&inspection.tensors) };
    let most = if layout.all { usize::MAX } else { MOST_ROWS };
    for tensor in rows.iter().take(most) {
        let cells = [
            tensor.name.cut(),
            shape(&tensor.dimensions),
            tensor.weight_type.into(),
            tensor.offset.to_string(),
            tensor.bytes.to_string(),
        ];
        add_line(&mut table, cells.into_iter().chain(file_cell(inspection, tensor.file)).collect());
    }
    if rows.len() > most {
        notes.insert(0, format!("and {} more rows", rows.len() - most));
    }
    if rows.len().min(most) < inspection.tensors.len() {
        notes.push(format!("`--all` lists all {} tensors", inspection.tensors.len()));
    }
    let notes: String = notes.iter().map(|note| wrapped("  ", note, layout)).collect();
    drawn(table, &[3, 4, 5]) + &notes
}

fn shape(dimensions: &[u64]) -> String {
    let dimensions: Vec<_> = dimensions.iter().map(u64::to_string).collect();
    if dimensions.is_empty() { "-".into() } else { dimensions.join(" x ") }
}

/// What makes two tensors of two layers alike: the name within the layer, shape and type.
type Like<'t> = (&'t str, &'t [u64], &'static str);

/// Layers with the same tensors.
struct Kind<'t> {
    first: u64,
    others: Vec<u64>,
    tensors: Vec<Like<'t>>,
}

impl<'t> Kind<'t> {
    /// What this kind has and `base` has not.
    fn differs_from<'k>(&'k self, base: &'k Self) -> impl Iterator<Item = Like<'t>> + 'k {
        self.tensors.iter().copied().filter(|like| base.tensors.binary_search(like).is_err())
    }

    /// Names that `base` has and this kind has not.
    fn lacks(&self, base: &Self) -> Vec<String> {
        let own: HashSet<&str> = self.tensors.iter().map(|like| like.0).collect();
        let lacking = base.tensors.iter().map(|like| like.0).filter(|name| !own.contains(name));
        lacking.map(|name| Text::new(name).cut()).collect()
    }
}

/// Splits `blk.7.attn_q.weight` into the layers it belongs to (`blk`), its layer (7), and its name there.
fn in_layer(tensor: &TensorRow) -> Option<(&str, u64, Like<'_>)> {
    let name = tensor.name.as_str()?;
    let at = name.find("blk.").filter(|&at| at == 0 || name[..at].ends_with('.'))?;
    let (layers, rest) = (&name[..at + 3], &name[at + 4..]);
    let (number, part) = rest.split_once('.')?;
    // Another spelling of the same number is another name.
    let layer: u64 = number.parse().ok().filter(|layer: &u64| layer.to_string() == number)?;
    Some((layers, layer, (part, &tensor.dimensions, tensor.weight_type)))
}

/// The rows that say it all: of layers that are alike the first, of those that differ what differs; and sentences on the rest.
fn folded(tensors: &[TensorRow]) -> (Vec<&TensorRow>, Vec<String>) {
    let mut layers: BTreeMap<(&str, u64), Vec<Like<'_>>> = BTreeMap::new();
    for (name, layer, like) in tensors.iter().filter_map(in_layer) {
        layers.entry((name, layer)).or_default().push(like);
    }
    let mut kinds: BTreeMap<&str, Vec<Kind<'_>>> = BTreeMap::new();
    let mut known: HashMap<(&str, Vec<Like<'_>>), usize> = HashMap::new();
    for ((name, layer), mut tensors) in layers {
        tensors.sort_unstable();
        let kinds = kinds.entry(name).or_default();
        match known.get(&(name, tensors.clone())) {
            Some(&kind) => kinds[kind].others.push(layer),
            None => {
                known.insert((name, tensors.clone()), kinds.len());
                kinds.push(Kind { first: layer, others: Vec::new(), tensors });
            }
        }
    }
    let mut shown: HashSet<(&str, u64, Like<'_>)> = HashSet::new();
    for (&name, kinds) in &kinds {
        for (index, kind) in kinds.iter().enumerate() {
            let own: Vec<_> = if index == 0 { kind.tensors.clone() } else { kind.differs_from(&kinds[0]).collect() };
            shown.extend(own.into_iter().map(|like| (name, kind.first, like)));
        }
    }
    let rows = tensors.iter().filter(|tensor| in_layer(tensor).is_none_or(|place| shown.contains(&place))).collect();
    let mut notes: Vec<String> = kinds.iter().flat_map(|(name, kinds)| notes_on(name, kinds)).collect();
    if notes.len() > MOST_ITEMS {
        notes.truncate(MOST_ITEMS);
        notes.push("more layers differ".into());
    }
    (rows, notes)
}

/// What the rows of the table do not say about layers.
fn notes_on(name: &str, kinds: &[Kind<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let name = Text::new(name).cut();
    for (index, kind) in kinds.iter().enumerate() {
        if index > 0 {
            let base = &kinds[0];
            let rows = if kind.differs_from(base).next().is_some() { " but for its rows above" } else { "" };
            let lacks = kind.lacks(base);
            let without = if lacks.is_empty() { String::new() } else { format!(", without {}", list(&lacks)) };
            notes.push(format!("{name}.{} is like {name}.{}{rows}{without}", kind.first, base.first));
        }
        let others = runs(&name, &kind.others);
        match kind.others.len() {
            0 => {}
            1 => notes.push(format!("{others} is like {name}.{}", kind.first)),
            _ => notes.push(format!("{others} are like {name}.{}", kind.first)),
        }
    }
    notes
}

/// Layers in words: `blk.1 .. blk.4, blk.7`.
fn runs(name: &str, layers: &[u64]) -> String {
    let runs: Vec<_> = layers
        .chunk_by(|a, b| a + 1 == *b)
        .map(|run| match run {
            [first, .., last] if run.len() > 2 => format!("{name}.{first} .. {name}.{last}"),
            _ => run.iter().map(|layer| format!("{name}.{layer}")).collect::<Vec<_>>().join(", "),
        })
        .collect();
    list(&runs)
}

fn list(items: &[String]) -> String {
    let more = items.len().saturating_sub(MOST_ITEMS);
    let shown = items[..items.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn weights_table(inspection: &Inspection, layout: Layout) -> String {
    let mut table = new_table(layout, &["weights", "tensors", "elements", "size", "share", "bits per weight"]);
    let mut add = |name: &str, weights: Weights| {
        let bits = weights.bits_per_weight.map_or_else(|| "-".into(), short);
        let cells = [
            name.into(),
            weights.tensors.to_string(),
            weights.elements.to_string(),
            HumanBytes(weights.bytes).to_string(),
            format!("{:.1} %", weights.share * 100.0),
            bits,
        ];
        add_line(&mut table, cells.into());
    };
    for weights in &inspection.weights {
        add(weights.weight_type, *weights);
    }
    if inspection.weights.len() > 1 {
        let sum = |of: fn(&Weights) -> u64| inspection.weights.iter().map(of).fold(0, u64::saturating_add);
        let (tensors, elements, bytes) = (sum(|w| w.tensors), sum(|w| w.elements), sum(|w| w.bytes));
        let bits_per_weight = bits_per_weight(bytes, elements);
        add("all", Weights { weight_type: "", tensors, elements, bytes, share: 1.0, bits_per_weight });
    }
    drawn(table, &[1, 2, 3, 4, 5])
}

fn findings_text(inspection: &Inspection, layout: Layout) -> String {
    let count = match inspection.findings.len() {
        1 => "1 finding".into(),
        count => format!("{count} findings"),
    };
    let is_fatal = |breach: &&Breach| breach.severity != Severity::Acceptable.name() && breach.severity != NOTE;
    let refused = inspection.findings.iter().find(is_fatal).map_or("-", |breach| breach.rule);
    let of_weights = WeightRule::ALL.iter().any(|rule| rule.id() == refused);
    let notes = if inspection.findings.is_empty() { String::new() } else { format!(", with {count}") };
    let verdict = match inspection.verdict {
        Verdict::Valid => format!("valid{notes}: no rule of the format is broken"),
        Verdict::Acceptable => format!("acceptable, with {count}: strict reading takes the file"),
        Verdict::Invalid if of_weights => format!("invalid, with {count}: not every weight is a number (rule {refused})"),
        Verdict::Invalid => format!("invalid, with {count}: strict reading refuses the file (rule {refused})"),
    };
    let mut out = wrapped("", &verdict, layout);
    if inspection.is_vocabulary {
        out += "it is only a vocabulary, of which no tensor is asked\n";
    }
    if let Some(why) = inspection.weights_not_read {
        out += &wrapped("", &format!("no weight was looked at: {why}"), layout);
    }
    for of_rule in
        inspection.findings.chunk_by(|a, b| WeightRule::ALL.iter().any(|rule| rule.id() == a.rule) && a.rule == b.rule)
    {
        let Some(Breach { rule, severity, meaning, .. }) = of_rule.first() else { continue };
        let times = match of_rule.iter().map(|breach| breach.times).fold(0, u64::saturating_add) {
            1 => "once".into(),
            2 => "twice".into(),
            times => format!("{times} times"),
        };
        let _ = writeln!(out, "\n{rule} ({severity}), {times}");
        let most = if layout.all { usize::MAX } else { MOST_ITEMS };
        for breach in of_rule.iter().take(most) {
            let file =
                breach.file.filter(|_| inspection.is_split()).map_or_else(String::new, |file| format!(" of file {file}"));
            // What is not there has no place.
            let place = if breach.offset > 0 { format!(" at byte {}{file}", breach.offset) } else { file };
            let first = format!("{}{place}: found {}, expected {}", breach.field, breach.found, breach.expected);
            out += &wrapped("    ", &first, layout);
        }
        if of_rule.len() > most {
            let _ = writeln!(out, "    and {} more tensors; `--all` lists every one", of_rule.len() - most);
        }
        out += &wrapped("    ", meaning, layout);
    }
    out
}

/// A paragraph whose lines begin with `indent` and end within the terminal.
fn wrapped(indent: &str, text: &str, layout: Layout) -> String {
    let options = textwrap::Options::new(usize::from(layout.width).saturating_sub(indent.len()))
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options).into_iter();
    lines.map(|line| format!("{indent}{}\n", printable::no_command(line.into_owned()))).collect()
}

/// A rule of the format, as `ggauge rules` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleRow {
    /// The id.
    pub id: &'static str,
    /// What breaking it means.
    pub severity: &'static str,
    /// What the rule asks for, and where that comes from.
    pub meaning: &'static str,
    /// What llama.cpp does with a model that breaks it.
    #[serde(rename = "llama.cpp")]
    pub llama_cpp: &'static str,
    /// What candle does with a model that breaks it.
    pub candle: &'static str,
}

impl From<Rule> for RuleRow {
    fn from(rule: Rule) -> Self {
        Self {
            id: rule.id(),
            severity: rule.severity().name(),
            meaning: rule.meaning(),
            llama_cpp: rule.llama_cpp().words(),
            candle: rule.candle().words(),
        }
    }
}

impl From<WeightRule> for RuleRow {
    fn from(rule: WeightRule) -> Self {
        let loads = Stance::Accepts.words();
        Self { id: rule.id(), severity: rule.severity(), meaning: rule.meaning(), llama_cpp: loads, candle: loads }
    }
}

/// Every rule: those of the format, in the order in which a file is read, and behind them those about weights.
pub fn rules() -> Vec<RuleRow> {
    let of_format = Rule::ALL.iter().copied().map(RuleRow::from);
    of_format.chain(WeightRule::ALL.into_iter().map(RuleRow::from)).collect()
}

/// The rules that `ggauge rules` prints, in the order in which a file is read.
pub fn rules_text(rules: &[RuleRow], layout: Layout) -> Page {
    let mut out = String::new();
    for rule in rules {
        let _ = writeln!(out, "{} ({})", rule.id, rule.severity);
        out += &wrapped("    ", rule.meaning, layout);
        let _ = writeln!(out, "    llama.cpp: {}", rule.llama_cpp);
        let _ = writeln!(out, "    candle:    {}", rule.candle);
    }
    Page::of_lines(&out)
}

/// One rule in full.
pub fn rule_text(rule: RuleRow, layout: Layout) -> Page {
    // Strict reading takes headers.
    let strict = match rule.id.parse::<Rule>().map(Rule::severity) {
        Ok(Severity::Invalid) => "refuses the file",
        Ok(Severity::Acceptable) => "takes the file, and lists the finding",
        Ok(Severity::Unsupported) => "cannot read the file, which may be valid",
        Err(_) => "reads no weights; `ggauge inspect` does",
    };
    Page::of_lines(&format!("{}    strict:    {strict}", rules_text(&[rule], layout)))
}
