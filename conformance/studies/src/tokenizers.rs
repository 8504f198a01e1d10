//! Tokenizers: what the runtimes make of the same texts, held against pinned ids where there are some, and against each other.
//!
//! Every text is tokenised with special tokens parsed and none added. llama.cpp's own test of these files parses none; the
//! two are the same for texts without special tokens, and a test shows that the pinned texts have none.

use harness::{progress, subjects};
use indicatif::ProgressBar;
use machine::{Error, interrupt};
use policy::{Divergence, Divergences};
use record::tokenizers::{Ended, Token, TokenDifference, TokenizerComparison, TokenizerRecord, VocabularyRecord};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use supply::{
    prompts::PromptFile,
    vocabularies::{self, Vocabulary},
};
use vocabulary::{Judgement, Outcome, SubjectId};

/// The subjects whose tokenizers are compared.
pub fn subjects() -> [SubjectId; 2] {
    [&subjects::LLAMA_CPP_CPU, &subjects::CANDLE_CPU].map(|id| SubjectId::clone(id))
}

/// The known divergences that ship with ggauge, each of a vocabulary and a subject that there are.
///
/// # Errors
/// Where the file is wrong, or a row matches nothing.
pub fn divergences() -> Result<Divergences, Error> {
    let shipped = Divergences::shipped()?;
    shipped.check_all_match(&vocabularies::known()?, &subjects())?;
    Ok(shipped)
}

/// What a subject made of the texts: ids for each, until a worker gave none.
struct Answers<'t> {
    subject: SubjectId,
    tokens: BTreeMap<&'t str, Vec<u32>>,
    ended: Option<Ended>,
}

/// Tokenises every text with every vocabulary and both subjects, and judges what comes out. `tokenize` asks a worker.
///
/// # Errors
/// Where the harness itself cannot go on, and where two divergences match the same comparison. What becomes of a worker is an
/// outcome, not an error.
pub fn run(
    vocabularies: &[Vocabulary],
    prompts: &BTreeMap<String, PromptFile>,
    divergences: &Divergences,
    mut tokenize: impl FnMut(&SubjectId, &Path, &str) -> Result<Result<Vec<u32>, Outcome>, Error>,
    progress: &ProgressBar,
) -> Result<TokenizerRecord, Error> {
    let mut record = TokenizerRecord { vocabularies: Vec::new(), comparisons: Vec::new() };
    // BOS alone has no text.
    let prompts: Vec<&str> = prompts.values().map(|prompt| prompt.text.as_str()).filter(|text| !text.is_empty()).collect();
    progress::count(progress, vocabularies.len() as u64 * 2);
    for vocabulary in vocabularies {
        let texts: BTreeSet<&str> = vocabulary.tests.iter().map(|test| test.text.as_str()).chain(prompts.clone()).collect();
        let mut ask = |subject: SubjectId| -> Result<Answers<'_>, Error> {
            progress.set_message(format!("{} with {subject}", vocabulary.name));
            let mut answers = Answers { subject, tokens: BTreeMap::new(), ended: None };
            for text in &texts {
                interrupt::check()?;
                match tokenize(&answers.subject, &vocabulary.path, text)? {
                    Ok(tokens) => answers.tokens.insert(text, tokens),
                    Err(outcome) => {
                        let (subject, text) = (answers.subject.clone(), (*text).to_owned());
                        answers.ended = Some(Ended { subject, text, outcome });
                        break;
                    }
                };
            }
            progress.inc(1);
            Ok(answers)
        };
        let [one, other] = subjects();
        let (one, other) = (ask(one)?, ask(other)?);
        let mut comparisons = Vec::new();
        if !vocabulary.tests.is_empty() {
            let expected = || vocabulary.tests.iter().map(|test| (test.text.as_str(), Some(&test.tokens)));
            comparisons.extend([&one, &other].map(|answers| compare(vocabulary, answers, None, expected())));
        }
        let others = prompts.iter().map(|text| (*text, other.tokens.get(text)));
        comparisons.push(compare(vocabulary, &one, Some(&other), others));
        for comparison in &mut comparisons {
            if let Some(divergence) = divergences.find(comparison)? {
                apply(comparison, divergence);
            }
        }
        record.vocabularies.push(VocabularyRecord {
            name: vocabulary.name.clone(),
            kind: vocabulary.kind(),
            expected: vocabulary.tests.len(),
        });
        record.comparisons.extend(comparisons);
    }
    Ok(record)
}

/// Holds a subject's ids against those of `expected`, which are another subject's where `other` is given.
fn compare<'t>(
    vocabulary: &Vocabulary,
    answers: &Answers<'_>,
    other: Option<&Answers<'_>>,
    expected: impl Iterator<Item = (&'t str, Option<&'t Vec<u32>>)>,
) -> TokenizerComparison {
    let (mut texts, mut exact, mut first) = (0, 0, None);
    for (text, expected) in expected {
        texts += 1;
        let (Some(got), Some(expected)) = (answers.tokens.get(text), expected) else { continue };
        if got == expected {
            exact += 1;
        } else if first.is_none() {
            first = Some(difference(vocabulary, text, expected, got));
        }
    }
    // What is unsupported must not hide what crashed.
    let mut ended = [Some(answers), other].into_iter().flatten().filter_map(|answers| answers.ended.as_ref());
    let crashed = ended.clone().find(|ended| !matches!(ended.outcome, Outcome::Unsupported { .. }));
    let outcome = crashed.or_else(|| ended.next()).cloned();
    let (judgement, reason) = match &outcome {
        Some(Ended { outcome: Outcome::Unsupported { reason }, .. }) => (Judgement::Unsupported, Some(reason.clone())),
        Some(ended) => (Judgement::Fail, ended.outcome.detail().map(str::to_owned)),
        None if texts == 0 => (Judgement::Vacuous, Some("there is no text to compare".into())),
        None if exact == texts => (Judgement::Pass, None),
        None => (Judgement::Fail, None),
    };
    TokenizerComparison {
        vocabulary: vocabulary.name.clone(),
        subject: answers.subject.clone(),
        other: other.map(|other| other.subject.clone()),
        texts,
        exact,
        first,
        outcome,
        judgement,
        reason,
        issue: None,
    }
}

/// Where two lists of ids that are not equal differ first.
fn difference(vocabulary: &Vocabulary, text: &str, expected: &[u32], got: &[u32]) -> TokenDifference {
    let position = expected.iter().zip(got).take_while(|(expected, got)| expected == got).count();
    let token = |ids: &[u32]| ids.get(position).map(|&id| Token { id, text: vocabulary.text_of(id) });
    TokenDifference { text: text.into(), position, expected: token(expected), got: token(got) }
}

/// Puts a known divergence on a comparison: it must still occur, and as the row says.
fn apply(comparison: &mut TokenizerComparison, divergence: &Divergence) {
    comparison.judgement = match comparison.judgement {
        Judgement::Fail if divergence.is_met_by(comparison) => Judgement::ExpectedFail,
        Judgement::Pass => Judgement::UnexpectedPass,
        // Whoever does not tokenise at all does not diverge, and a failure of another kind is no known one.
        _ => return,
    };
    comparison.reason = Some(divergence.reason.trim().replace('\n', " "));
    comparison.issue.clone_from(&divergence.issue);
}
