//! Goldens: what a case gave, as a text that people review, and which differences between two of them are noise.
//!
//! A golden has the digests of the model and its parts, so that a changed model is a difference even where the logits hardly move; and for
//! a few positions of the prompt the likeliest tokens, the log-sum-exp and the logits of a fixed set of tokens. All numbers are logits. They may
//! differ by a limit that is made for exactly them: what rounding makes of this prompt's logits in the reference, times what calibration found
//! correct runtimes to make of that ([`Limits::drift`]).
//!
//! Nothing here knows where goldens lie or who accepts them: that is `golden/` and its tests.

use gguf::File;
use harness::{
    answer::{bad_transcript, outcome_of},
    event::{Done, Event, Listener},
    judge::Executed,
};
use machine::{
    Error,
    files::{self, digest},
    small,
};
use printable::{LONGEST_WORDS, Page, cut};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};
use supply::{files::Files, fingerprint::Fingerprint, models::Model, prompts::Prompt};
use toml_writer::{ToTomlValue, TomlStringBuilder};
use vocabulary::{Case, Continuation, Limits, Outcome, Scale, Schedule, transcript::Reader};

/// Tokens that a prompt is continued by, for people to read.
pub const CONTINUED: u32 = 32;
/// Tokens that are listed as likeliest.
const TOP: usize = 5;
/// Tokens whose logits are always listed, spread over the vocabulary.
const FIXED: u64 = 8;
/// Parts of the prompt at whose ends there is a position that is listed, beside the first one.
const PARTS: usize = 4;
/// How far the noise itself may be from what it was: it comes from the reference, whose sums other processors order differently.
const NOISE_AGREES: std::ops::RangeInclusive<f64> = 0.9..=1.1;

/// What a case gave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Golden {
    /// The case's id.
    pub case: String,
    /// What became of it, in words that do not come from the subject.
    pub outcome: String,
    /// The model.
    pub model: Fingerprint,
    /// The prompt.
    pub prompt: PromptDigest,
    /// What the numbers may move by; none where the reference gave nothing.
    pub noise: Option<Noise>,
    /// Positions of the prompt.
    #[serde(default)]
    pub position: Vec<Position>,
    /// What the prompt goes on with. For people, not judged.
    pub continuation: Option<Text>,
}

/// Which tokens were fed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptDigest {
    /// How many.
    pub tokens: usize,
    /// The beginning of the sha256 of their ids.
    pub sha256: String,
}

/// The noise of a case.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// How far the way that the subject rounds moves the reference's logits: root mean square of the worst position.
    pub rms: f64,
    /// How far a logit may be from what it was.
    pub limit: f64,
}

impl Noise {
    /// The noise of a case from its scale, and what is allowed for it.
    pub fn of(scale: &Scale, limits: &Limits) -> Self {
        Self { rms: scale.rms, limit: limits.drift }
    }
}

/// The logits after one position.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Position {
    /// The position, counted from 0.
    pub at: u64,
    /// The token there.
    pub input: String,
    /// Logarithm of the sum of the exponentials of all logits.
    pub log_sum_exp: f64,
    /// The lead of the likeliest token.
    pub margin: f64,
    /// The likeliest tokens, the likeliest first: id, logit, text.
    pub top: Vec<(u32, f64, String)>,
    /// The logits of tokens spread over the vocabulary.
    pub fixed: Vec<f64>,
}

/// A continuation of the prompt.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Text {
    /// The text.
    pub text: String,
    /// The ids.
    pub tokens: Vec<u32>,
    /// The first token that the noise could have made another, counted from 0.
    pub uncertain_from: Option<usize>,
}

/// A number or a word that is not what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where.
    pub place: String,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
    /// How often the limit goes into the difference, for numbers.
    pub times_limit: Option<f64>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, old, new, times_limit } = self;
        write!(f, "{place}: {old}, now {new}")?;
        times_limit.map_or(Ok(()), |times| write!(f, " ({times:.1} x its limit)"))
    }
}

/// What a subject gave in a case.
#[derive(Debug, Clone, Copy)]
pub struct Gave<'a> {
    /// The logits, or what else became of the case.
    pub answer: &'a Result<Reader, Outcome>,
    /// Its noise, where the reference gave something.
    pub noise: Option<Noise>,
    /// What the prompt goes on with, where that was asked for.
    pub continuation: Option<&'a Continuation>,
}

/// A folder for the texts that goldens are made of: it hears a run and writes one for each case, in files named by the cases' ids.
pub struct Outputs {
    folder: PathBuf,
    /// Of the model that was run last, by its sha256.
    card: Option<(String, Card)>,
}

impl Outputs {
    /// Into this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, card: None }
    }

    fn write(&mut self, done: &mut Done<'_>) -> Result<(), Error> {
        let Done { executed, model, prompt, worker, .. } = done;
        let Executed { case, answer, noise, limits } = executed;
        let card = match self.card.take().filter(|(sha256, _)| *sha256 == model.sha256) {
            Some(known) => known,
            None => (model.sha256.clone(), Card::of(model)?),
        };
        // Text that is read needs a vocabulary, and one schedule of feeding the prompt is enough for it.
        let room = model.context_length.unwrap_or(u64::MAX).saturating_sub(prompt.tokens.len() as u64);
        let count = u64::from(CONTINUED).min(room) as u32;
        let continuation = if answer.is_ok() && !model.is_tiny() && case.schedule == Schedule::SingleShot && count > 0 {
            worker.continue_greedily(&model.path, model.vocabulary_size, &prompt.tokens, count)?.ok()
        } else {
            None
        };
        let noise = noise.as_ref().ok().zip(limits.as_ref()).map(|(scale, limits)| Noise::of(scale, limits));
        let golden = Golden::of(case, &card.1, prompt, Gave { answer, noise, continuation: continuation.as_ref() });
        self.card = Some(card);
        files::write_whole(&self.folder.join(format!("{case}.toml")), golden.text().as_bytes())
    }
}

impl Listener for Outputs {
    fn hear(&mut self, event: &mut Event<'_>) -> Result<(), Error> {
        match event {
            Event::Executed(done) => self.write(done),
            _ => Ok(()),
        }
    }
}

/// What goldens of a model's cases share: its fingerprint and its vocabulary.
pub struct Card {
    fingerprint: Fingerprint,
    vocabulary: Vec<String>,
}

impl Card {
    /// Reads a model's files.
    ///
    /// # Errors
    /// Where it cannot be read any more.
    pub fn of(model: &Model) -> Result<Self, Error> {
        let files = Files::open(&model.path)?;
        let files = files.read()?;
        let vocabulary = files.files().first().map(texts).unwrap_or_default();
        Ok(Self { fingerprint: Fingerprint::of(files.files(), &model.sha256), vocabulary })
    }

    fn text(&self, token: u32) -> String {
        self.vocabulary.get(token as usize).map_or_else(String::new, |text| cut(text, LONGEST_WORDS).into_owned())
    }
}

/// The text of every token of a file's vocabulary, as far as there is one.
fn texts(file: &File<'_>) -> Vec<String> {
    let metadata = file.metadata();
    let letters = match metadata.str("tokenizer.ggml.model") {
        Ok(Some("gpt2")) => byte_letters(),
        _ => BTreeMap::new(),
    };
    let Ok(Some(tokens)) = metadata.array("tokenizer.ggml.tokens") else { return Vec::new() };
    let text = |value: gguf::Value<'_>| {
        let gguf::Value::String(bytes) = value else { return String::new() };
        let token = String::from_utf8_lossy(bytes);
        let bytes: Option<Vec<u8>> = token.chars().map(|letter| letters.get(&letter).copied()).collect();
        match bytes {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => token.replace('\u{2581}', " "),
        }
    };
    tokens.values().map(text).collect()
}

/// The letters by which byte-level vocabularies write bytes: those that can be seen stand for themselves, the others are the letters from
/// U+0100 on, in order (the byte encoder of GPT-2, Radford and others 2019).
fn byte_letters() -> BTreeMap<char, u8> {
    let (visible, hidden): (Vec<u8>, Vec<u8>) =
        (0..=u8::MAX).partition(|byte| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff));
    let hidden = ('\u{100}'..).zip(hidden);
    visible.into_iter().map(|byte| (char::from(byte), byte)).chain(hidden).collect()
}

impl Golden {
    /// The golden of a case, from its transcript where it completed.
    pub fn of(case: &Case, card: &Card, prompt: &Prompt, gave: Gave<'_>) -> Self {
        let Gave { answer, noise, continuation } = gave;
        let ids: Vec<u8> = prompt.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        let listed = answer.as_ref().map(|reader| positions(reader, card, prompt));
        let (outcome, position) = match listed {
            Ok(Ok(position)) => (outcome_of(answer), position),
            Ok(Err(error)) => (bad_transcript(error.to_string()), Vec::new()),
            Err(outcome) => (outcome.clone(), Vec::new()),
        };
        let text = continuation.map(|continuation| {
            let limit = noise.map_or(0.0, |noise| 2.0 * noise.limit);
            let text: String = continuation.tokens.iter().map(|&token| card.text(token)).collect();
            let uncertain_from = continuation.margins.iter().position(|&margin| f64::from(margin) <= limit);
            Text { text, tokens: continuation.tokens.clone(), uncertain_from }
        });
        Self {
            case: case.to_string(),
            outcome: outcome.kind(),
            model: card.fingerprint.clone(),
            prompt: PromptDigest { tokens: prompt.tokens.len(), sha256: digest(&ids).get(..12).unwrap_or_default().into() },
            noise,
            position,
            continuation: text,
        }
    }

    /// Reads a golden's text.
    ///
    /// # Errors
    /// In words: where it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Reads the snapshot of a golden in `folder`, `golden/outputs` of a checkout; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub fn blessed(folder: &Path, case: &str) -> Result<Option<Self>, Error> {
        let path = folder.join(format!("{case}.snap"));
        let wrong = |why: String| {
            Error::input(path.display(), why, "restore the file, or delete it and run the tests, which write it anew")
        };
        let text = match small::read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        // Behind the header, which says where it comes from.
        let body = text.splitn(3, "---\n").nth(2).ok_or_else(|| wrong("it is no snapshot".into()))?;
        Self::parse(body).map(Some).map_err(wrong)
    }

    /// The text, which reads back as the same golden.
    pub fn text(&self) -> String {
        // Always on one line, whatever a token is made of.
        let quoted = |text: &str| TomlStringBuilder::new(text).as_basic().to_toml_value();
        let decimals = self.noise.map_or(9, |noise| (1.0 - noise.limit.log10()).ceil().clamp(2.0, 9.0) as usize);
        let real = |value: f64| match value {
            value if value.is_nan() => "nan".into(),
            value if value.is_infinite() => format!("{}inf", if value < 0.0 { "-" } else { "" }),
            // What rounds to zero has no sign.
            value => format!("{:.decimals$}", value + 0.0),
        };
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!("case = {}", quoted(&self.case)));
        line(format!("outcome = {}\n\n[model]", quoted(&self.outcome)));
        let Fingerprint { file, hyper_parameters, tokenizer, chat_template, weights } = &self.model;
        line(format!("file = {}\nhyper-parameters = {}", quoted(file), quoted(hyper_parameters)));
        line(format!("tokenizer = {}\nchat-template = {}", quoted(tokenizer), quoted(chat_template)));
        line(format!("weights = {}\n\n[prompt]", quoted(weights)));
        line(format!("tokens = {}\nsha256 = {}", self.prompt.tokens, quoted(&self.prompt.sha256)));
        if let Some(Noise { rms, limit }) = self.noise {
            line(format!("\n[noise]\nrms = {rms:.3e}\nlimit = {limit:.3e}"));
        }
        for position in &self.position {
            line(format!("\n[[position]]\nat = {}\ninput = {}", position.at, quoted(&position.input)));
            line(format!("log-sum-exp = {}\nmargin = {}", real(position.log_sum_exp), real(position.margin)));
            line("top = [".into());
            for (id, logit, text) in &position.top {
                line(format!("    [{id}, {}, {}],", real(*logit), quoted(text)));
            }
            line("]".into());
            line(format!("fixed = [{}]", position.fixed.iter().map(|&logit| real(logit)).collect::<Vec<_>>().join(", ")));
        }
        if let Some(Text { text, tokens, uncertain_from }) = &self.continuation {
            line(format!("\n# For people to read: not judged.\n[continuation]\ntext = {}\ntokens = {tokens:?}", quoted(text)));
            if let Some(from) = uncertain_from {
                line(format!("uncertain-from = {from}"));
            }
        }
        out
    }

    /// Everything in which this differs from an older one by more than noise can. The limits are the older one's: a build cannot bring
    /// its own.
    pub fn differences(&self, old: &Self) -> Vec<Difference> {
        let mut all = Vec::new();
        let mut words = |place: &str, old: String, new: String| {
            if old != new {
                all.push(Difference { place: place.into(), old, new, times_limit: None });
            }
        };
        words("case", old.case.clone(), self.case.clone());
        words("outcome", old.outcome.clone(), self.outcome.clone());
        for change in self.model.changes(&old.model) {
            let (place, values) = change.split_once(": ").unwrap_or((&change, ""));
            let (before, after) = values.split_once(", now ").unwrap_or(("", values));
            words(place, before.into(), after.into());
        }
        words("prompt", format!("{:?}", old.prompt), format!("{:?}", self.prompt));
        match (old.noise, self.noise) {
            (Some(a), Some(b)) if NOISE_AGREES.contains(&(b.limit / a.limit)) => {}
            (a, b) => {
                let shown = |noise: Option<Noise>| noise.map_or("not known".into(), |noise| format!("{:.3e}", noise.limit));
                words("limit", shown(a), shown(b));
            }
        }
        let listed = |golden: &Self| golden.position.iter().map(|position| position.at).collect::<Vec<_>>();
        words("positions", format!("{:?}", listed(old)), format!("{:?}", listed(self)));
        let limit = old.limit();
        for (before, after) in old.position.iter().zip(&self.position).filter(|(a, b)| a.at == b.at) {
            after.differences(before, limit, &mut all);
        }
        all
    }

    fn limit(&self) -> f64 {
        self.noise.map_or(0.0, |noise| noise.limit)
    }

    /// This golden with the digits of an older one wherever they did not leave their limit: what a reviewer is shown is what changed.
    #[must_use]
    pub fn keeping(mut self, old: &Self) -> Self {
        if self.differences(old).is_empty() {
            return old.clone();
        }
        let limit = old.limit();
        let mut moved = self.position.len() != old.position.len();
        for (after, before) in self.position.iter_mut().zip(&old.position).filter(|(a, b)| a.at == b.at) {
            let mut differences = Vec::new();
            after.differences(before, limit, &mut differences);
            moved |= !differences.is_empty();
            if differences.is_empty() {
                after.clone_from(before);
            } else {
                after.keep(before, limit);
            }
        }
        if self.noise.zip(old.noise).is_some_and(|(new, old)| NOISE_AGREES.contains(&(new.limit / old.limit))) {
            self.noise = old.noise;
        }
        if !moved {
            self.continuation.clone_from(&old.continuation);
        }
        self
    }
}

/// Differences of one case that are listed.
const SHOWN: usize = 4;

/// What holding outputs against goldens came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    /// Cases that have a golden.
    pub compared: usize,
    /// Cases that have none.
    pub without: usize,
    /// Cases that are not what they were, in words.
    pub differ: Vec<Page>,
}

impl Held {
    /// Holds the texts that a run wrote into `outputs` against the goldens in a folder.
    ///
    /// # Errors
    /// Where a text or a golden cannot be read.
    pub fn against<'a>(goldens: &Path, outputs: &Path, cases: impl Iterator<Item = &'a str>) -> Result<Self, Error> {
        let mut held = Self::default();
        for case in cases {
            let path = outputs.join(format!("{case}.toml"));
            let Some(old) = Golden::blessed(goldens, case)? else {
                held.without += 1;
                continue;
            };
            let text = small::read_text(&path).map_err(|error| Error::file(&path, &error))?;
            let new = Golden::parse(&text).map_err(|why| Error::input(path.display(), why, "run the same again"))?;
            held.compared += 1;
            held.differ.extend(explain(&new, Some(&old)));
        }
        Ok(held)
    }

    /// One line, and below it what differs.
    pub fn report(&self) -> Page {
        let Self { compared, without, differ } = self;
        let none = if *without > 0 { format!(", {without} more cases have none") } else { String::new() };
        let mut out = Page::of(format_args!("{} of {compared} goldens differ{none}", differ.len()));
        for page in differ {
            out.append(page);
        }
        out
    }
}

/// What differs from a golden, in words; nothing where that is noise.
pub fn explain(new: &Golden, old: Option<&Golden>) -> Option<Page> {
    let mut out = Page::default();
    out.blank();
    writeln!(out, "{}", new.case);
    let Some(old) = old else {
        writeln!(out, "    has no golden");
        return Some(out);
    };
    let differences = new.differences(old);
    if differences.is_empty() {
        return None;
    }
    for difference in differences.iter().take(SHOWN) {
        writeln!(out, "    {difference}");
    }
    writeln!(out, "    {} differences; a logit may move by {:.2e}", differences.len(), old.limit());
    Some(out)
}

/// True where a number did not leave its limit.
fn agree(old: f64, new: f64, limit: f64) -> bool {
    (old - new).abs() <= limit || (old.is_nan() && new.is_nan()) || old == new
}

impl Position {
    fn differences(&self, old: &Self, limit: f64, all: &mut Vec<Difference>) {
        let place = format!("position {}", self.at);
        if old.fixed.len() != self.fixed.len() {
            let [old, new] = [old, self].map(|position| format!("{} fixed tokens", position.fixed.len()));
            all.push(Difference { place: place.clone(), old, new, times_limit: None });
        }
        let mut number = |what: String, old: f64, new: f64, limit: f64| {
            if !agree(old, new, limit) {
                let times_limit = Some((new - old).abs() / limit);
                all.push(Difference { place: format!("{place}, {what}"), old: shown(old), new: shown(new), times_limit });
            }
        };
        number("log-sum-exp".into(), old.log_sum_exp, self.log_sum_exp, limit);
        // The difference of two logits.
        number("margin".into(), old.margin, self.margin, 2.0 * limit);
        for (index, (&old, &new)) in old.fixed.iter().zip(&self.fixed).enumerate() {
            number(format!("fixed token {}", index + 1), old, new, limit);
        }
        let logit = |position: &Self, id: u32| position.top.iter().find(|(other, ..)| *other == id).map(|(_, logit, _)| *logit);
        let least = |position: &Self| position.top.last().map_or(f64::NAN, |(_, logit, _)| *logit);
        for (id, before, text) in &old.top {
            let name = format!("token {id} {text:?}");
            match logit(self, *id) {
                Some(after) => number(name, *before, after, limit),
                // It is no larger than the last one of the list now.
                None => number(format!("{name}, now at most"), *before, least(self).min(*before), limit),
            }
        }
        for (id, after, text) in self.top.iter().filter(|(id, ..)| logit(old, *id).is_none()) {
            number(format!("token {id} {text:?}, at most"), least(old).min(*after), *after, limit);
        }
        if self.input != old.input {
            all.push(Difference { place, old: old.input.clone(), new: self.input.clone(), times_limit: None });
        }
    }

    fn keep(&mut self, old: &Self, limit: f64) {
        let keep = |new: &mut f64, old: f64, limit: f64| {
            if agree(old, *new, limit) {
                *new = old;
            }
        };
        keep(&mut self.log_sum_exp, old.log_sum_exp, limit);
        keep(&mut self.margin, old.margin, 2.0 * limit);
        for (new, &old) in self.fixed.iter_mut().zip(&old.fixed) {
            keep(new, old, limit);
        }
        for (id, new, _) in &mut self.top {
            if let Some((_, old, _)) = old.top.iter().find(|(other, ..)| other == id) {
                keep(new, *old, limit);
            }
        }
    }
}

fn shown(value: f64) -> String {
    printable::short(value)
}

/// The positions that are listed of a prompt, as far as the transcript has them.
fn positions(reader: &Reader, card: &Card, prompt: &Prompt) -> io::Result<Vec<Position>> {
    let len = prompt.tokens.len();
    let mut wanted: Vec<u64> = (1..=PARTS).map(|part| (len * part / PARTS).saturating_sub(1) as u64).chain([0]).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut row = Vec::new();
    let mut all = Vec::new();
    for at in wanted {
        let Some(index) = reader.positions().iter().position(|&position| position == at) else { continue };
        reader.read_row(index, &mut row)?;
        let input = prompt.tokens.get(at as usize).map_or_else(String::new, |&token| card.text(token));
        all.push(Position::of(at, input, &row, card));
    }
    Ok(all)
}

impl Position {
    fn of(at: u64, input: String, row: &[f32], card: &Card) -> Self {
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        let logit = |token: u32| row.get(token as usize).map_or(f64::NAN, |&logit| f64::from(logit));
        let listed = TOP.min(order.len());
        // NaN sorts above every number, and of equal logits the first token comes first.
        let likelier = |a: &u32, b: &u32| logit(*b).total_cmp(&logit(*a)).then(a.cmp(b));
        if listed < order.len() {
            order.select_nth_unstable_by(listed, likelier);
        }
        order.truncate(listed);
        order.sort_by(likelier);
        let top: Vec<(u32, f64, String)> = order.iter().map(|&id| (id, logit(id), card.text(id))).collect();
        let largest = top.first().map_or(f64::NAN, |(_, logit, _)| *logit);
        let sum: f64 = row.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        let fixed = (0..FIXED).map(|part| logit(((2 * part + 1) * row.len() as u64 / (2 * FIXED)) as u32)).collect();
        let margin = largest - top.get(1).map_or(f64::NAN, |(_, logit, _)| *logit);
        Self { at, input, log_sum_exp: largest + sum.ln(), margin, top, fixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change<'a> = &'a dyn Fn(&mut Golden);

    fn golden() -> Golden {
        let top = vec![(7, 3.0, " the".to_owned()), (9, 2.0, "\n\"".to_owned()), (4, 1.5, String::new())];
        Golden {
            case: "m/q4_0/p/single-shot/default/candle@cpu".into(),
            outcome: "completed".into(),
            model: Fingerprint {
                file: "f".repeat(64),
                hyper_parameters: "a".into(),
                tokenizer: "b".into(),
                chat_template: "c".into(),
                weights: "d".into(),
            },
            prompt: PromptDigest { tokens: 4, sha256: "0".into() },
            noise: Some(Noise { rms: 0.01, limit: 0.125 }),
            position: [0, 3]
                .map(|at| Position {
                    at,
                    input: "x".into(),
                    log_sum_exp: 4.0,
                    margin: 1.0,
                    top: top.clone(),
                    fixed: vec![0.5; 8],
                })
                .into(),
            continuation: Some(Text { text: "so".into(), tokens: vec![1, 2], uncertain_from: Some(1) }),
        }
    }

    #[test]
    fn a_golden_reads_back_and_looks_the_same() {
        let golden = golden();
        assert_eq!(Golden::parse(&golden.text()).unwrap(), golden);
        let mut broken = golden;
        broken.position[1].fixed = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
        let text = broken.text();
        assert!(text.contains("fixed = [nan, inf, -inf, 0.00]"), "{text}");
        assert!(Golden::parse(&text).unwrap().position[1].fixed[0].is_nan());
    }

    /// What each change is found by, the changes by less than noise included.
    #[test]
    fn noise_is_no_difference_and_everything_else_is() {
        let places = |change: Change<'_>| {
            let mut new = golden();
            change(&mut new);
            new.differences(&golden()).into_iter().map(|difference| difference.place).collect::<Vec<_>>().join("; ")
        };
        let none: [Change<'_>; 6] = [
            &|_| {},
            &|new| new.position[1].fixed[3] += 0.1,
            &|new| new.position[1].margin -= 0.2,
            &|new| new.position[0].top = vec![(9, 2.1, String::new()), (7, 2.9, String::new()), (5, 1.6, String::new())],
            &|new| new.continuation = None,
            &|new| new.noise = Some(Noise { rms: 0.01, limit: 0.13 }),
        ];
        for change in none {
            assert_eq!(places(change), "");
        }
        let some: [(Change<'_>, &str); 13] = [
            (&|new| new.outcome = "aborted".into(), "outcome"),
            (&|new| new.model.tokenizer = "B".into(), "the tokenizer of the model"),
            (&|new| new.model.file = "e".repeat(64), "the model's file, but neither"),
            (&|new| new.prompt.tokens = 5, "prompt"),
            (&|new| new.noise = None, "limit"),
            (&|new| new.noise = Some(Noise { rms: 0.1, limit: 1.25 }), "limit"),
            (&|new| drop(new.position.pop()), "positions"),
            (&|new| new.position[1].fixed[3] += 0.126, "position 3, fixed token 4"),
            (&|new| new.position[1].fixed[3] = f64::NAN, "position 3, fixed token 4"),
            (&|new| new.position[1].fixed.truncate(7), "position 3"),
            (&|new| new.position[0].log_sum_exp += 0.2, "position 0, log-sum-exp"),
            (&|new| new.position[0].top[1].1 -= 0.2, "position 0, token 9"),
            (&|new| new.position[0].top[0] = (5, 3.0, "a".into()), "position 0, token 7 \" the\", now at most"),
        ];
        for (change, place) in some {
            assert!(places(change).starts_with(place), "{place} is not what `{}` is about", places(change));
        }
    }

    #[test]
    fn on_acceptance_what_did_not_leave_its_limit_keeps_its_digits() {
        let mut new = golden();
        new.position[0].fixed = vec![0.45; 8];
        new.position[1].fixed = vec![0.45; 8];
        new.position[1].fixed[2] = 9.0;
        new.position[1].top[0].1 = 3.05;
        let kept = new.clone().keeping(&golden());
        assert_eq!(kept.position[0], golden().position[0]);
        assert_eq!(kept.position[1].top, golden().position[1].top);
        assert_eq!(kept.position[1].fixed, [0.5, 0.5, 9.0, 0.5, 0.5, 0.5, 0.5, 0.5]);
        new.position[1].fixed[2] = 0.5;
        assert_eq!(new.keeping(&golden()), golden());
    }

    #[test]
    fn bytes_have_letters() {
        let letters = byte_letters();
        assert_eq!(letters.len(), 256);
        assert_eq!((letters[&'A'], letters[&'\u{120}'], letters[&'\u{10a}']), (b'A', b' ', b'\n'));
    }
}
