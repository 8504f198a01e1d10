//! What the files of a model hold, and the rules of the format: rows of what `ggauge inspect` and `ggauge rules` tell.

use printable::Text;
use serde::{Serialize, Serializer};
use strum::Display;
use vocabulary::Upshot;

/// What strict reading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileVerdict {
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
    pub verdict: FileVerdict,
    /// `general.architecture` of the first file, where it is a text.
    pub architecture: Option<Text>,
    /// The files, in order.
    pub files: Vec<FileHeader>,
    /// The keys of all files, in order.
    pub metadata: Vec<KeyRow>,
    /// The tensors of all files, in order.
    pub tensors: Vec<TensorRow>,
    /// What each weight type takes, the largest first.
    pub weights: Vec<WeightTotals>,
    /// Every rule that is broken, at the first place where it is; of weights every tensor that has one that is odd.
    pub findings: Vec<Breach>,
    /// Keys of the architecture that the exact reference passes over, because they change nothing, in the file's order. Empty
    /// where it refuses the model.
    pub ignored_by_the_reference: Vec<Text>,
    /// It has words and no tensor, and no rule about tensors concerns it.
    #[serde(skip)]
    pub is_vocabulary: bool,
    /// Why no weight was looked at, though that was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights_not_read: Option<&'static str>,
}

/// What stands at the beginning of a file, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileHeader {
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
pub struct KeyRow {
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
pub struct WeightTotals {
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

/// What breaking a rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RuleSeverity {
    /// Strict reading refuses the file, or the weight is none.
    Invalid,
    /// Strict reading takes the file, and lists the finding.
    Acceptable,
    /// Strict reading cannot read the file, which may be valid.
    Unsupported,
    /// Well-known files have it too: it is told, and makes no file invalid.
    Note,
}

/// A rule that the files break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Id of the rule.
    pub rule: &'static str,
    /// What breaking it means.
    pub severity: RuleSeverity,
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
    /// The rule is about weights: it is told once for each tensor that breaks it.
    #[serde(skip)]
    pub is_of_weights: bool,
}

impl Inspection {
    /// What it comes to.
    pub fn upshot(&self) -> Upshot {
        match self.verdict {
            FileVerdict::Valid | FileVerdict::Acceptable => Upshot::Good,
            FileVerdict::Invalid => Upshot::Bad,
        }
    }

    /// True where there are several files to tell apart.
    pub fn is_split(&self) -> bool {
        self.files.len() > 1
    }
}

/// Bits that an element takes; `None` where there is no element.
pub fn bits_per_weight(bytes: u64, elements: u64) -> Option<f64> {
    (elements > 0).then(|| bytes as f64 * 8.0 / elements as f64)
}

fn as_map<S: Serializer>(pairs: &[(&'static str, &'static str)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

/// A rule of the format, as `ggauge rules` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleRow {
    /// The id.
    pub id: &'static str,
    /// What breaking it means.
    pub severity: RuleSeverity,
    /// What the rule asks for, and where that comes from.
    pub meaning: &'static str,
    /// The names of runtimes, and what each does with a model that breaks it.
    #[serde(flatten, serialize_with = "as_map")]
    pub runtimes: Vec<(&'static str, &'static str)>,
    /// The rule is about weights, which strict reading does not look at.
    #[serde(skip)]
    pub is_of_weights: bool,
}
