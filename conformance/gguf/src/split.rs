//! Split models: several files, numbered by name and by key, that make up one model.
//!
//! The specification has the file names (`-00001-of-00003.gguf`); the keys `split.no` (from 0), `split.count` and
//! `split.tensors.count` are those that llama.cpp's `gguf-split` writes and its loader needs.

use crate::{
    File, Finding, MAGIC, Metadata, Rule, Tensor, Tolerated, Value, WeightType,
    conformity::{self, View},
    metadata::Entry,
    rules::{Findings, Mode, shown},
    tensor::dominant,
};

/// The name of one file of a split model: `PREFIX-00001-of-00003.gguf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardName {
    /// What stands before the numbers.
    pub prefix: String,
    /// The file's number, counted from 1.
    pub number: u32,
    /// How many files there are.
    pub count: u32,
}

impl ShardName {
    /// Reads a file name, without folders. `None` where it is not that of a file of a split model.
    pub fn parse(name: &str) -> Option<Self> {
        let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let five_digits = |text: &str| (text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok());
        let (number, count): (u32, u32) = (five_digits(number)??, five_digits(count)??);
        (1..=count).contains(&number).then(|| Self { prefix: prefix.into(), number, count })
    }

    /// The names of all files, in order.
    pub fn siblings(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count).map(|number| format!("{}-{number:05}-of-{:05}.gguf", self.prefix, self.count))
    }
}

/// What a file says of its place in a split model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u64,
    pub(crate) count: u64,
    tensors: u64,
}

const NUMBER: &str = "split.no";
const COUNT: &str = "split.count";
const TENSORS: &str = "split.tensors.count";

/// Reads the `split.*` keys. `None` where there are none, or they make no sense, which is reported.
pub(crate) fn place(metadata: &Metadata<'_>, findings: &mut Findings) -> Result<Option<Place>, Finding> {
    let [number, count, tensors] = [NUMBER, COUNT, TENSORS].map(|key| metadata.entry(key));
    if number.is_none() && count.is_none() && tensors.is_none() {
        return Ok(None);
    }
    let mut read = |key: &str, entry: Option<&Entry<'_>>, kinds: fn(Value<'_>) -> bool| -> Result<Option<u64>, Finding> {
        let Some(entry) = entry else {
            findings.report(Rule::SplitKeys, || Finding { rule: Rule::SplitKeys, ..metadata.missing(key) })?;
            return Ok(None);
        };
        let value = Some(entry.value).filter(|&value| kinds(value)).and_then(Value::as_u64);
        if value.is_none() {
            findings.report(Rule::SplitKeys, || {
                let expected = "uint16 (split.no, split.count) or int32 (split.tensors.count), not negative";
                Metadata::finding(Rule::SplitKeys, entry, entry.value.summary(), expected)
            })?;
        }
        Ok(value)
    };
    let short = |value: Value<'_>| matches!(value, Value::U16(_));
    let place =
        (read(NUMBER, number, short)?, read(COUNT, count, short)?, read(TENSORS, tensors, |v| matches!(v, Value::I32(_)))?);
    let (Some(number), Some(count), Some(tensors)) = place else {
        return Ok(None);
    };
    if number >= count {
        if let Some(entry) = metadata.entry(NUMBER) {
            findings.report(Rule::SplitKeys, || {
                Metadata::finding(Rule::SplitKeys, entry, number.to_string(), &format!("a number below the count {count}"))
            })?;
        }
        return Ok(None);
    }
    Ok(Some(Place { number, count, tensors }))
}

impl File<'_> {
    /// The file's number in a split model, counted from 0, and how many files there are, as its keys say; `None` where they say nothing
    /// that makes sense.
    pub fn place_in_split(&self) -> Option<(u64, u64)> {
        let place = place(&self.metadata, &mut Findings::new(Mode::Lenient)).ok()??;
        Some((place.number, place.count))
    }

    /// Where another GGUF file begins behind the data of this one: files that were glued together, of which readers see the first.
    pub fn glued(&self) -> Option<u64> {
        let end = self.tensors.iter().map(Tensor::end).fold(self.table_end(), u64::max);
        let padded = end.checked_next_multiple_of(self.alignment())?;
        let begins = |at: &u64| self.bytes.get(*at as usize..).is_some_and(|rest| rest.starts_with(&MAGIC));
        [end, padded].into_iter().find(begins)
    }
}

/// The files of a split model, read as one. A model that is not split is a split of one file.
#[derive(Debug, Clone)]
pub struct Split<'a> {
    files: Vec<File<'a>>,
    tolerated: Vec<Tolerated>,
}

impl<'a> Split<'a> {
    /// Puts the files together, which must come in the order of their names, and checks what no file can be checked for alone. In
    /// lenient mode, [`Split::tolerated`] lists what the model as a whole breaks.
    ///
    /// # Errors
    /// A breach of [`Rule::SplitShards`]; in strict mode, of any rule about models.
    pub fn join(files: Vec<File<'a>>, mode: Mode) -> Result<Self, Finding> {
        let mut split = Self { files, tolerated: Vec::new() };
        let Some(first) = split.files.first() else {
            return Err(wrong("the split model", 0, "no file".into(), "at least one file".into()));
        };
        // Keys that make no sense were reported with the file.
        if split.files.len() == 1 && place(&first.metadata, &mut Findings::new(Mode::Lenient))?.is_none() {
            return Ok(split);
        }
        split.check_places()?;
        split.check_tensors()?;
        // What is there in one file was checked with that file.
        if split.files.len() > 1 {
            let mut findings = Findings::new(mode);
            let view = View {
                metadata: &first.metadata,
                tensors: split.files.iter().map(File::tensors).collect(),
                find: &|name| split.tensor(name).map(|(_, tensor)| tensor),
                partial: false,
            };
            conformity::check(&view, &mut findings)?;
            split.tolerated = findings.into_tolerated();
        }
        Ok(split)
    }

    /// What the model as a whole breaks, as far as its files alone do not show it. Offsets are those in the tensor's own file.
    pub fn tolerated(&self) -> &[Tolerated] {
        &self.tolerated
    }

    fn check_places(&self) -> Result<(), Finding> {
        let total: u64 = self.files.iter().map(|file| file.tensors().len() as u64).sum();
        for (index, file) in self.files.iter().enumerate() {
            let field = format!("file {} of the split model", index + 1);
            let Some(place) = place(&file.metadata, &mut Findings::new(Mode::Strict))? else {
                let expected = "the number of the file and the count".into();
                return Err(wrong(&field, 0, "no `split.*` keys".into(), expected));
            };
            let offset = |key: &str| file.metadata.entry(key).map_or(0, |entry| entry.offset);
            let expected = (index as u64, self.files.len() as u64);
            if (place.number, place.count) != expected {
                let found = format!("{NUMBER} {} and {COUNT} {}", place.number, place.count);
                let key = if place.number == expected.0 { COUNT } else { NUMBER };
                return Err(wrong(&field, offset(key), found, format!("{} and {}", expected.0, expected.1)));
            }
            if place.tensors != total {
                let found = format!("{TENSORS} {}", place.tensors);
                return Err(wrong(&field, offset(TENSORS), found, format!("{total}, which the files hold together")));
            }
        }
        Ok(())
    }

    fn check_tensors(&self) -> Result<(), Finding> {
        let names = |file: &File<'a>| file.tensors.iter().map(|tensor| tensor.name).collect::<Vec<_>>();
        let mut all: Vec<_> = self.files.iter().flat_map(names).collect();
        all.sort_unstable();
        match all.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                let field = format!("tensor {}", shown(pair[0]));
                Err(wrong(&field, 0, "a second one in the split model".into(), "a name that stands once".into()))
            }
            None => Ok(()),
        }
    }

    /// The files, in order. The first has the metadata.
    pub fn files(&self) -> &[File<'a>] {
        &self.files
    }

    /// The tensor of this name, and the index of its file.
    pub fn tensor(&self, name: &str) -> Option<(usize, &Tensor<'a>)> {
        self.files.iter().enumerate().find_map(|(index, file)| Some((index, file.tensor(name)?)))
    }

    /// The tensors of all files, in order.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor<'a>> {
        self.files.iter().flat_map(File::tensors)
    }

    /// The tensors of all files with their bytes, in order.
    pub fn data(&self) -> impl Iterator<Item = (&'a [u8], &Tensor<'a>)> {
        self.files.iter().flat_map(|file| file.tensors().iter().map(|tensor| (file.data(tensor), tensor)))
    }

    /// Tokens in the vocabulary, as [`File::vocabulary_size`].
    pub fn vocabulary_size(&self) -> Option<u64> {
        self.tensor("token_embd.weight").map(|(_, tensor)| tensor.rows())
    }

    /// The weight type that holds most of the bytes of all files.
    pub fn dominant_weight_type(&self) -> Option<WeightType> {
        dominant(self.tensors())
    }
}

/// A file that is a model of its own.
impl<'a> From<File<'a>> for Split<'a> {
    fn from(file: File<'a>) -> Self {
        Self { files: vec![file], tolerated: Vec::new() }
    }
}

fn wrong(field: &str, offset: u64, found: String, expected: String) -> Finding {
    Finding { rule: Rule::SplitShards, offset, field: field.into(), found, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_shards() {
        let name = ShardName::parse("model-00002-of-00003.gguf").unwrap();
        assert_eq!((name.prefix.as_str(), name.number, name.count), ("model", 2, 3));
        let siblings: Vec<_> = name.siblings().collect();
        assert_eq!(siblings, ["model-00001-of-00003.gguf", "model-00002-of-00003.gguf", "model-00003-of-00003.gguf"]);
        for not in [
            "model.gguf",
            "model-0001-of-0003.gguf",
            "model-00004-of-00003.gguf",
            "model-00000-of-00003.gguf",
            "m-+0001-of-00003.gguf",
        ] {
            assert_eq!(ShardName::parse(not), None, "{not}");
        }
    }
}
