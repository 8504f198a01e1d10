//! Texts of a checkout with figures in them.
//!
//! A *sentence* is some words of a text with holes for figures. A *passage* is what stands between `<!-- NAME -->` and `<!-- /NAME -->`.

use crate::{
    files::read,
    prose::{NUMBERS, find, no_prose, places},
};
use machine::{Error, files::write_whole, small};
use printable::cut;
use std::{collections::BTreeMap, ops::Range, path::PathBuf};

pub(crate) const README: &str = "README.md";
pub(crate) const CHANGELOG: &str = "CHANGELOG.md";
pub(crate) const CONTRIBUTING: &str = "CONTRIBUTING.md";
pub(crate) const GOLDENS: &str = "golden/README.md";
/// Where it is said what is put where.
pub(crate) const SOURCE: &str = "conformance/figures";

/// Figures that come from runs which no test can repeat.
pub const MEASUREMENTS: &str = "conformance/policy/measurements.toml";

/// Texts with figures in them, as they are and as they should be.
pub struct Texts {
    pub(crate) root: PathBuf,
    texts: BTreeMap<String, Text>,
}

/// A text, as it is and as it should be.
#[derive(Default)]
pub(crate) struct Text {
    pub(crate) now: String,
    /// Where figures stand in it, and what should stand there.
    pub(crate) figures: Vec<(Range<usize>, String)>,
    /// Where words stand that are known to be so.
    known: Vec<Range<usize>>,
}

impl Text {
    fn should_be(&self) -> String {
        let mut figures = self.figures.clone();
        figures.sort_by_key(|(range, _)| range.start);
        let (mut out, mut end) = (String::new(), 0);
        for (range, figure) in figures {
            out += self.now.get(end..range.start).unwrap_or_default();
            out += &figure;
            end = range.end;
        }
        out + self.now.get(end..).unwrap_or_default()
    }
}

impl Texts {
    /// The texts of the checkout in `root`.
    pub fn of(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), texts: BTreeMap::new() }
    }

    pub(crate) fn text(&mut self, path: &str) -> Result<&mut Text, Error> {
        if !self.texts.contains_key(path) {
            let now = read(&self.root.join(path))?;
            self.texts.insert(path.into(), Text { now, ..Text::default() });
        }
        Ok(self.texts.entry(path.into()).or_default())
    }

    /// Puts figures into the holes `{}` of a sentence that a text has once, whatever its lines are broken at.
    ///
    /// # Errors
    /// Where the text does not have it, or more than once.
    pub fn sentence(&mut self, path: &str, sentence: &str, figures: &[String]) -> Result<(), Error> {
        let text = self.text(path)?;
        let mut found = find(&text.now, sentence);
        match (found.pop(), found.len()) {
            (Some(holes), 0) if holes.len() == figures.len() => {
                text.figures.extend(holes.into_iter().zip(figures.iter().cloned()));
                Ok(())
            }
            (found, more) => {
                let times = more + usize::from(found.is_some());
                let why = format!("it says `{sentence}` {times} times, and should once: figures are put there");
                Err(Error::input(path, why, format!("correct the text, or what {SOURCE} puts into it")))
            }
        }
    }

    /// Asks that a text has these words once; what they say is known to `source`.
    ///
    /// # Errors
    /// Where it does not.
    pub(crate) fn words(&mut self, path: &str, words: &str, source: &str) -> Result<(), Error> {
        let text = self.text(path)?;
        let every_word: Vec<Range<usize>> = places(&text.now);
        let wanted: Vec<&str> = words.split_whitespace().collect();
        let stands = |window: &&[Range<usize>]| {
            window.iter().zip(&wanted).all(|(range, word)| text.now.get(range.clone()) == Some(word))
        };
        let found: Vec<_> = every_word.windows(wanted.len().max(1)).filter(stands).collect();
        if let [[first, .., last]] = found[..] {
            text.known.push(first.start..last.end);
            return Ok(());
        }
        let why = format!("it says `{words}` {} times, and should once, as {source} has it", found.len());
        Err(Error::input(path, why, format!("measure it again and name the run in {MEASUREMENTS}, or take it out of both")))
    }

    /// What stands in a passage now, with what its opening says beyond the name.
    ///
    /// # Errors
    /// Where the text has no such passage.
    pub fn passage(&mut self, path: &str, name: &str) -> Result<(String, String), Error> {
        let (_, note, content) = self.find_passage(path, name)?;
        Ok((note, content))
    }

    fn find_passage(&mut self, path: &str, name: &str) -> Result<(Range<usize>, String, String), Error> {
        let text = self.text(path)?;
        let (opening, closing) = (format!("<!-- {name} "), format!("<!-- /{name} -->"));
        let found = || {
            let start = text.now.find(&opening)?;
            let rest = text.now.get(start + opening.len()..)?;
            let (note, rest) = rest.split_once("-->\n")?;
            let (content, _) = rest.split_once(&closing)?;
            let end = start + opening.len() + note.len() + "-->\n".len() + content.len() + closing.len();
            Some((start..end, note.trim().to_owned(), content.to_owned()))
        };
        let next = format!("put it back where the figures are to stand, or take it out of {SOURCE}");
        found().ok_or_else(|| Error::input(path, format!("it has no passage `{opening}-->` to `{closing}`"), next))
    }

    /// Puts `content` into a passage, and `note` beside its name.
    ///
    /// # Errors
    /// As [`Texts::passage`].
    pub fn put(&mut self, path: &str, name: &str, note: &str, content: &str) -> Result<(), Error> {
        let (range, ..) = self.find_passage(path, name)?;
        let note = if note.is_empty() { String::new() } else { format!("{note} ") };
        let content = format!("<!-- {name} {note}-->\n{content}<!-- /{name} -->");
        self.text(path)?.figures.push((range, content));
        Ok(())
    }

    /// Makes a whole file what it should be; it may not be there yet.
    pub fn file(&mut self, path: &str, content: String) {
        let now = small::read_text(&self.root.join(path)).unwrap_or_default();
        let figures = vec![(0..now.len(), content)];
        self.texts.insert(path.into(), Text { now, figures, ..Text::default() });
    }

    /// What is not as it should be: file, line, what stands there and what should.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (path, text) in &self.texts {
            for (range, figure) in &text.figures {
                let now = text.now.get(range.clone()).unwrap_or_default();
                if now != figure {
                    let same = now.lines().zip(figure.lines()).take_while(|(a, b)| a == b).count();
                    let line = text.now.get(..range.start).unwrap_or_default().matches('\n').count() + 1 + same;
                    let of =
                        |text: &str| text.lines().nth(same).map_or_else(String::new, |line| cut(line.trim(), 160).into_owned());
                    wrong.push(format!("{path}:{line} has `{}`, and should have `{}`", of(now), of(figure)));
                }
            }
        }
        wrong
    }

    /// Writes what is not as it should be, and gives the paths.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self) -> Result<Vec<PathBuf>, Error> {
        let mut written = Vec::new();
        for (path, text) in &self.texts {
            let should_be = text.should_be();
            if should_be != text.now {
                let path = self.root.join(path);
                write_whole(&path, should_be.as_bytes())?;
                written.push(path);
            }
        }
        Ok(written)
    }

    /// Figures in the prose of README and its like, as `path:line: word`, that nothing here puts there: numbers in digits, and in words from
    /// four on. Code, the targets of links, names such as Gemma 3 and numbers of lists are none.
    pub fn unheld(&self) -> Vec<String> {
        let mut unheld = Vec::new();
        for (path, text) in
            self.texts.iter().filter(|(path, _)| [README, CHANGELOG, CONTRIBUTING, GOLDENS].contains(&path.as_str()))
        {
            let mut prose = text.now.clone().into_bytes();
            for range in
                text.figures.iter().map(|(range, _)| range.clone()).chain(text.known.clone()).chain(no_prose(&text.now))
            {
                prose.get_mut(range).into_iter().flatten().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
            }
            for (number, line) in String::from_utf8_lossy(&prose).lines().enumerate() {
                let mut before = "";
                for word in line.split(|c: char| c.is_whitespace() || "/()[]".contains(c)) {
                    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
                    let spelled = NUMBERS.iter().skip(4).any(|number| word.eq_ignore_ascii_case(number));
                    let digits = word.starts_with(|c: char| c.is_ascii_digit())
                        && word.chars().all(|c| c.is_ascii_digit() || ",.e-".contains(c))
                        && !NAMES.contains(&before);
                    // `1. First`, `2. Then`.
                    let item = line.trim_start().strip_prefix(word).is_some_and(|rest| rest.starts_with(". "));
                    if spelled || digits && !item {
                        unheld.push(format!("{path}:{}: {word}", number + 1));
                    }
                    before = if word.is_empty() { before } else { word };
                }
            }
        }
        unheld
    }
}

/// What a number follows in a name.
const NAMES: [&str; 9] = ["Debian", "Ubuntu", "Gemma", "Phi", "Qwen", "LFM", "SmolLM", "Llama", "License"];
