//! A golden: what a case gave, in few numbers.
//!
//! It has the digests of the model and its parts, so that a changed model is a difference even where the logits hardly move; and for a few
//! positions of the prompt the likeliest tokens, the log-sum-exp and the logits of a fixed set of tokens. All numbers are logits.

use gguf::token_texts;
use harness::answer::{bad_transcript, outcome_of};
use machine::{Error, files::digest};
use printable::{LONGEST_WORDS, cut, short_digest};
use record::fingerprint::Fingerprint;
use serde::Deserialize;
use std::io;
use supply::{files::Files, fingerprint, models::Model, prompts::Prompt};
use vocabulary::{Case, Continuation, Limits, Outcome, Scale, transcript::Reader};

/// Tokens that are listed as likeliest.
const TOP: usize = 5;
/// Tokens whose logits are always listed, spread over the vocabulary.
const FIXED: u64 = 8;
/// Parts of the prompt at whose ends there is a position that is listed, beside the first one.
const PARTS: usize = 4;

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
    pub noise: Option<GoldenNoise>,
    /// Positions of the prompt.
    #[serde(default)]
    pub position: Vec<GoldenPosition>,
    /// What the prompt goes on with. For people, not judged.
    pub continuation: Option<GoldenContinuation>,
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
pub struct GoldenNoise {
    /// How far the way that the subject rounds moves the reference's logits: root mean square of the worst position.
    pub rms: f64,
    /// How far a logit may be from what it was.
    pub limit: f64,
}

impl GoldenNoise {
    /// The noise of a case from its scale, and what is allowed for it.
    pub fn of(scale: &Scale, limits: &Limits) -> Self {
        Self { rms: scale.rms, limit: limits.drift }
    }
}

/// The logits after one position.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GoldenPosition {
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
pub struct GoldenContinuation {
    /// The text.
    pub text: String,
    /// The ids.
    pub tokens: Vec<u32>,
    /// The first token that the noise could have made another, counted from 0.
    pub uncertain_from: Option<usize>,
}

/// What a subject gave in a case.
#[derive(Debug, Clone, Copy)]
pub struct CaseAnswer<'a> {
    /// The logits, or what else became of the case.
    pub answer: &'a Result<Reader, Outcome>,
    /// Its noise, where the reference gave something.
    pub noise: Option<GoldenNoise>,
    /// What the prompt goes on with, where that was asked for.
    pub continuation: Option<&'a Continuation>,
}

/// What goldens of a model's cases share: its fingerprint and its vocabulary.
pub struct GoldenModel {
    fingerprint: Fingerprint,
    vocabulary: Vec<String>,
}

impl GoldenModel {
    /// Reads a model's files.
    ///
    /// # Errors
    /// Where it cannot be read any more.
    pub fn of(model: &Model) -> Result<Self, Error> {
        let files = Files::open(&model.path)?;
        let files = files.read()?;
        let vocabulary = files.files().first().map(|file| token_texts(file.metadata())).unwrap_or_default();
        Ok(Self { fingerprint: fingerprint::of(files.files(), &model.sha256), vocabulary })
    }

    /// True where it was read from this model.
    pub fn is_of(&self, model: &Model) -> bool {
        self.fingerprint.file == model.sha256
    }

    fn text(&self, token: u32) -> String {
        self.vocabulary.get(token as usize).map_or_else(String::new, |text| cut(text, LONGEST_WORDS).into_owned())
    }
}

impl Golden {
    /// The golden of a case, from its transcript where it completed.
    pub fn of(case: &Case, model: &GoldenModel, prompt: &Prompt, given: CaseAnswer<'_>) -> Self {
        let CaseAnswer { answer, noise, continuation } = given;
        let ids: Vec<u8> = prompt.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        let listed = answer.as_ref().map(|reader| positions(reader, model, prompt));
        let (outcome, position) = match listed {
            Ok(Ok(position)) => (outcome_of(answer), position),
            Ok(Err(error)) => (bad_transcript(error.to_string()), Vec::new()),
            Err(outcome) => (outcome.clone(), Vec::new()),
        };
        let text = continuation.map(|continuation| {
            let limit = noise.map_or(0.0, |noise| 2.0 * noise.limit);
            let text: String = continuation.tokens.iter().map(|&token| model.text(token)).collect();
            let uncertain_from = continuation.margins.iter().position(|&margin| f64::from(margin) <= limit);
            GoldenContinuation { text, tokens: continuation.tokens.clone(), uncertain_from }
        });
        Self {
            case: case.to_string(),
            outcome: outcome.kind(),
            model: model.fingerprint.clone(),
            prompt: PromptDigest { tokens: prompt.tokens.len(), sha256: short_digest(&digest(&ids)).into() },
            noise,
            position,
            continuation: text,
        }
    }
}

/// The positions that are listed of a prompt, as far as the transcript has them.
fn positions(reader: &Reader, model: &GoldenModel, prompt: &Prompt) -> io::Result<Vec<GoldenPosition>> {
    let len = prompt.tokens.len();
    let mut wanted: Vec<u64> = (1..=PARTS).map(|part| (len * part / PARTS).saturating_sub(1) as u64).chain([0]).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut row = Vec::new();
    let mut all = Vec::new();
    for at in wanted {
        let Some(index) = reader.positions().iter().position(|&position| position == at) else { continue };
        reader.read_row(index, &mut row)?;
        let input = prompt.tokens.get(at as usize).map_or_else(String::new, |&token| model.text(token));
        all.push(GoldenPosition::of(at, input, &row, model));
    }
    Ok(all)
}

impl GoldenPosition {
    fn of(at: u64, input: String, row: &[f32], model: &GoldenModel) -> Self {
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
        let top: Vec<(u32, f64, String)> = order.iter().map(|&id| (id, logit(id), model.text(id))).collect();
        let largest = top.first().map_or(f64::NAN, |(_, logit, _)| *logit);
        let sum: f64 = row.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        let fixed = (0..FIXED).map(|part| logit(((2 * part + 1) * row.len() as u64 / (2 * FIXED)) as u32)).collect();
        let margin = largest - top.get(1).map_or(f64::NAN, |(_, logit, _)| *logit);
        Self { at, input, log_sum_exp: largest + sum.ln(), margin, top, fixed }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn golden() -> Golden {
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
            noise: Some(GoldenNoise { rms: 0.01, limit: 0.125 }),
            position: [0, 3]
                .map(|at| GoldenPosition {
                    at,
                    input: "x".into(),
                    log_sum_exp: 4.0,
                    margin: 1.0,
                    top: top.clone(),
                    fixed: vec![0.5; 8],
                })
                .into(),
            continuation: Some(GoldenContinuation { text: "so".into(), tokens: vec![1, 2], uncertain_from: Some(1) }),
        }
    }
}
