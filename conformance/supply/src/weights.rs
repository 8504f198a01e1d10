//! Weights that are no numbers: NaN, infinity, and tensors of nothing but zeros, found as fast as a disk reads.
//!
//! The format's reader takes a header and looks at no weight, so these are rules of their own, beside those of [`gguf::Rule`].

use gguf::{
    File, Rule, Split, Tensor,
    codec::{Numbers, Places, numbers_in},
};
use indicatif::{HumanBytes, ProgressBar};
use machine::{Error, interrupt};
use printable::Text;
use rayon::prelude::*;
use record::inspection::RuleSeverity;
use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

/// Bytes that one core looks at before the next piece: few enough to end soon where the user asks to stop.
const PIECE: usize = 4 << 20;
/// Bytes that are read before anybody is told: what takes no time needs no words.
const SAID_FROM: u64 = 256 << 20;

/// What can be wrong with weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeightRule {
    /// NaN.
    Nan,
    /// Infinity.
    Infinite,
    /// Nothing but zeros.
    Zero,
}

impl WeightRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Nan, Self::Infinite, Self::Zero];

    /// The id, as of [`Rule::id`].
    pub fn id(self) -> &'static str {
        match self {
            Self::Nan => "weight-nan",
            Self::Infinite => "weight-infinite",
            Self::Zero => "weight-zero",
        }
    }

    /// What the rule asks for.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Nan => {
                "Every weight is a number. The specification is silent; one NaN makes everything NaN that it is part of, which most often is every \
                 logit, and runtimes load it without a word."
            }
            Self::Infinite => {
                "Every weight is finite. The specification is silent; an infinity turns into NaN in the first product with a zero or in the next \
                 norm, and runtimes load it without a word."
            }
            Self::Zero => {
                "Some weight of a tensor is not 0. Published models have biases of zeros, which do no harm. A matrix of zeros switches off \
                 what it is part of; most often it was lost on the way."
            }
        }
    }

    /// How severe a breach is.
    pub fn severity(self) -> RuleSeverity {
        match self {
            Self::Nan | Self::Infinite => RuleSeverity::Invalid,
            Self::Zero => RuleSeverity::Note,
        }
    }

    /// What the rule asks for in a tensor.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Nan | Self::Infinite => "a finite number",
            Self::Zero => "a weight that is not 0",
        }
    }

    /// What the values are called.
    fn value(self) -> &'static str {
        match self {
            Self::Nan => "NaN",
            Self::Infinite => "infinity",
            Self::Zero => "0",
        }
    }
}

/// A tensor with weights that break a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// The rule.
    pub rule: WeightRule,
    /// Index of the tensor's file.
    pub file: usize,
    /// Index of the tensor in it.
    pub number: usize,
    /// The tensor's name, escaped.
    pub tensor: String,
    /// Where the block with the first of them is, in bytes from the start of its file.
    pub offset: u64,
    /// Which elements.
    pub places: Places,
    /// How many elements the tensor has.
    pub elements: u64,
    /// More than one row: no bias and no gain of a norm.
    pub is_matrix: bool,
}

impl Odd {
    /// What was found, without the tensor's name.
    pub fn found(&self) -> String {
        let Places { first, count } = self.places;
        match (self.rule, count) {
            (WeightRule::Zero, _) => format!("nothing but zeros in {} weights", self.elements),
            (rule, 1) => format!("{} at index {first}", rule.value()),
            (rule, _) => format!("{} at index {first} (and {} more)", rule.value(), count - 1),
        }
    }
}

/// Looks at the weights of every tensor of a model's files, and lists what breaks a rule in the order of the files. Says how far it is,
/// and ends early where the user asks to stop.
///
/// Where tensors lie upon each other a small file can have any number of weights, so those of such a file are passed over: `None`.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn look(files: &[File<'_>], progress: &ProgressBar) -> Result<Option<Vec<Odd>>, Error> {
    if files.iter().flat_map(File::tolerated).any(|tolerated| tolerated.finding.rule == Rule::TensorOverlap) {
        return Ok(None);
    }
    let total: u64 = files.iter().flat_map(File::tensors).map(|tensor| tensor.size).sum();
    let done = AtomicU64::new(0);
    let mut odd = Vec::new();
    for (index, file) in files.iter().enumerate() {
        for (number, tensor) in file.tensors().iter().enumerate() {
            let numbers = numbers_of(file, tensor, &|bytes| {
                let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                if total > SAID_FROM {
                    progress.set_message(format!("reading weights: {} of {}", HumanBytes(done), HumanBytes(total)));
                }
            });
            interrupt::check()?;
            odd.extend(broken_by(&numbers).map(|(rule, places)| Odd {
                rule,
                file: index,
                number,
                tensor: Text::new(tensor.name).cut(),
                offset: offset_of(tensor, places.first),
                places,
                elements: numbers.elements,
                is_matrix: tensor.rows() > 1,
            }));
        }
    }
    Ok(Some(odd))
}

fn numbers_of(file: &File<'_>, tensor: &Tensor<'_>, read: &(impl Fn(u64) + Sync)) -> Numbers {
    let blocks = (PIECE / tensor.weight_type.block_bytes()).max(1);
    let pieces = file.data(tensor).par_chunks(blocks * tensor.weight_type.block_bytes()).map(|piece| {
        if interrupt::requested() {
            return Numbers::NONE;
        }
        let numbers = numbers_in(tensor.weight_type, piece);
        read(piece.len() as u64);
        numbers
    });
    // In order, so that the first is the first.
    pieces.collect::<Vec<_>>().into_iter().fold(Numbers::NONE, Numbers::followed_by)
}

fn broken_by(numbers: &Numbers) -> impl Iterator<Item = (WeightRule, Places)> + use<> {
    let zero = (numbers.zero && numbers.elements > 0).then_some(Places { first: 0, count: numbers.elements });
    [(WeightRule::Nan, numbers.nan), (WeightRule::Infinite, numbers.infinite), (WeightRule::Zero, zero)]
        .into_iter()
        .filter_map(|(rule, places)| Some((rule, places?)))
}

fn offset_of(tensor: &Tensor<'_>, element: u64) -> u64 {
    let block = element / tensor.weight_type.block_len() as u64;
    tensor.offset + block * tensor.weight_type.block_bytes() as u64
}

/// Why no logits of a model mean anything, where its weights are the reason: the first tensor with one that is no number, and the first
/// matrix of zeros. Where there is neither, the first other tensor of zeros that is no bias: without the gains of a norm nothing is left, and
/// a bias of zeros harms nothing.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn reason(files: &Split<'_>, progress: &ProgressBar) -> Result<Option<String>, Error> {
    let odd = look(files.files(), progress)?.unwrap_or_default();
    let (zeros, no_numbers): (Vec<&Odd>, Vec<&Odd>) = odd.iter().partition(|odd| odd.rule == WeightRule::Zero);
    let (matrices, mut vectors): (Vec<&Odd>, Vec<&Odd>) = zeros.into_iter().partition(|odd| odd.is_matrix);
    vectors.retain(|odd| odd.tensor.strip_suffix(".bias").is_none());
    let first = [no_numbers, matrices].iter().filter_map(|odd| named(odd)).collect::<Vec<_>>().join("; ");
    Ok(Some(first).filter(|words| !words.is_empty()).or_else(|| named(&vectors)))
}

/// The first tensor with all that is wrong with it, and how many more there are.
fn named(odd: &[&Odd]) -> Option<String> {
    let mut tensors = odd.chunk_by(|a, b| (a.file, a.number) == (b.file, b.number));
    let of_first = tensors.next()?;
    let found: Vec<String> = of_first.iter().map(|odd| odd.found()).collect();
    let mut words = format!("{} holds {}", of_first.first()?.tensor, found.join(" and "));
    match tensors.count() {
        0 => {}
        1 => words += ", and 1 more tensor is like it",
        count => _ = write!(words, ", and {count} more tensors are like it"),
    }
    Some(words)
}
