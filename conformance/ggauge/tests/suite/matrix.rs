//! A slice of the matrix: every architecture in every weight type, in both settings and both schedules of every run, judged by the
//! policy that ships. `ggauge matrix` runs the rest.

use crate::support::{GGAUGE, execute, id, policy, ramp, run_relations};
use harness::{
    plan::{Filter, Plan},
    rig::Policy,
    worker::{launch::WorkerLimits, pool::Workers},
};
use indicatif::ProgressBar;
use machine::cache::Cache;
use policy::{Expectations, Tolerances};
use record::faults::{Confirmation, Noticed};
use rstest::rstest;
use smith::{Architecture, Recipe};
use std::{collections::BTreeMap, path::Path, time::Duration};
use studies::{
    faults::{
        experiments,
        files::{self, Edit},
        trial,
    },
    matrix,
};
use supply::models::Model;
use vocabulary::{Judgement, Oracle, Relation, Schedule, Settings, Upshot};

const FINDINGS: &str = include_str!("../../../policy/FINDINGS.md");

fn workers(folder: &Path) -> Workers {
    let limits = WorkerLimits { time: Duration::from_mins(2), memory: 4 << 30 };
    Workers::new(GGAUGE.into(), BTreeMap::new(), limits, folder.into())
}

#[rstest]
fn cells(
    #[values(
        "llama",
        "llama+experts=4",
        "qwen2",
        "qwen3",
        "qwen3moe",
        "gemma3",
        "phi2",
        "phi3",
        "glm4",
        "lfm2",
        "smollm3",
        "gemma2",
        "olmo2",
        "granite"
    )]
    model: &str,
    #[values(
        "f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq1_s", "iq1_m",
        "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4", "nvfp4", "q1_0",
        "q2_0"
    )]
    weights: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let recipe: Recipe = format!("{model}/{weights}").parse().unwrap();
    let models = vec![Model::make(&recipe, folder.path()).unwrap()];
    let subjects = ["llama-cpp@cpu", "candle@cpu"].map(id);
    let schedules = Schedule::OF_EVERY_RUN;
    let plan = Plan::new(models, &[vec![ramp(8)]], &schedules, &Settings::ALL, &subjects, |_, _, _| true, &Filter::All);
    let policy = Policy { tolerances: Tolerances::shipped().unwrap(), expectations: Expectations::shipped().unwrap() };
    let cache = Cache::at(folder.path());
    let mut workers = workers(folder.path());
    let record = execute(&mut workers, (folder.path(), &cache), &policy, &plan).unwrap();
    let bad: Vec<String> = record
        .comparisons
        .iter()
        .filter(|comparison| comparison.judgement.is_bad())
        .map(|c| format!("{} {}: {:?} {:?}", c.judgement.words(), c.id, c.verdict, c.reason))
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    // llama.cpp has every architecture in every weight type.
    let passes = |c: &&record::ComparisonRecord| c.candidate == subjects[0] && c.judgement == Judgement::Pass;
    assert_eq!(record.comparisons.iter().filter(passes).count(), 4);
}

/// The lists above are those of the generator.
#[test]
fn the_slice_is_whole() {
    let source = include_str!("matrix.rs");
    for recipe in matrix::own_recipes(gguf::WeightType::F32) {
        assert!(source.contains(&format!("\"{}\"", recipe.model())), "{}", recipe.model());
    }
    for weights in Recipe::WEIGHTS {
        assert!(source.contains(&format!("\"{}\"", weights.name())), "{weights}");
    }
    for architecture in Architecture::ALL {
        assert!(reference::architectures::known().any(|known| known == architecture.name()), "{architecture:?}");
    }
}

/// Every cause that an expectation names gives the subject's own numbers when it is put into the reference.
#[test]
fn causes_of_known_divergences_are_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let expectations = Expectations::shipped().unwrap();
    let tolerances = Tolerances::shipped().unwrap();
    let all = experiments::run_all(&expectations, &tolerances, &mut workers(folder.path()), folder.path()).unwrap();
    assert!(all.len() >= 16, "{}", all.len());
    assert!(all.iter().all(Confirmation::holds), "{}", report::faults::experiments(&all));
}

/// A cause that is not the cause is not confirmed.
#[test]
fn a_wrong_cause_is_not_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = r#"
        [[expectation]]
        architecture = "qwen3"
        subject = "candle@cpu"
        class = "diverges"
        reason = "it is something else"
        experiment = { recipe = "qwen3/f32", tokens = 8, schedule = "single-shot", subject = "candle@cpu", faults = ["half-precision-frequencies"] }
    "#;
    let expectations = Expectations::parse(wrong, "test.toml").unwrap();
    let tolerances = Tolerances::shipped().unwrap();
    let all = experiments::run_all(&expectations, &tolerances, &mut workers(folder.path()), folder.path()).unwrap();
    assert!(!all[0].without.holds() && !all[0].with.holds());
    // A fault that does not exist is an error that says where to look.
    let nothing = wrong.replace("half-precision-frequencies", "gremlins");
    let expectations = Expectations::parse(&nothing, "test.toml").unwrap();
    let error = experiments::run_all(&expectations, &tolerances, &mut workers(folder.path()), folder.path()).err().unwrap();
    assert!(error.to_string().contains("gremlins"), "{error}");
}

/// Every expectation has its entry in FINDINGS.md, and every entry is an expectation's, or says why the matrix does not show it.
#[test]
fn findings_and_expectations_are_the_same() {
    let expectations = Expectations::shipped().unwrap();
    let named: Vec<&str> = expectations.rows().iter().map(|row| row.finding.as_deref().unwrap_or_default()).collect();
    let entries: Vec<&str> = FINDINGS.split("\n### ").skip(1).collect();
    let id = |entry: &&str| entry.split_whitespace().next().unwrap_or_default().to_owned();
    let ids: Vec<String> = entries.iter().map(id).collect();
    for name in &named {
        assert!(ids.iter().any(|id| id == name), "{name:?} has no entry");
    }
    for (entry, id) in entries.iter().zip(&ids) {
        assert!(named.contains(&id.as_str()) || entry.contains("\n- not in the matrix: "), "{id} is no expectation's");
        assert!(entry.contains("\n- cause: ") && entry.contains("\n- shows: `"), "{id}");
    }
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len());
}

/// Faults are noticed where they are, and a limit that is too wide lets them escape: the survey can say both.
#[test]
fn faults_are_noticed_and_a_wide_limit_lets_them_escape() {
    let bar = ProgressBar::hidden();
    let tolerances = Tolerances::shipped().unwrap();
    let rows = trial::try_all(Some("llama+tied=1"), &tolerances, &Expectations::default(), &bar).unwrap();
    assert_eq!(Noticed::of(&rows).upshot(), Upshot::Good, "{}", report::faults::survey(&rows, true));
    assert!(rows.len() > 50, "{}", rows.len());
    let mut wide = tolerances;
    for row in &mut wide.tolerance {
        for multiplier in [&mut row.nmse, &mut row.kl_mean, &mut row.kl_max] {
            multiplier.multiplier = 1e30;
        }
    }
    let rows = trial::try_all(Some("llama+tied=1"), &wide, &Expectations::default(), &bar).unwrap();
    assert_eq!(Noticed::of(&rows).upshot(), Upshot::Bad);
}

/// An edit changes what its name says and nothing else, and the file stays one that a reader takes.
#[test]
fn edits_of_files_change_one_thing() {
    let bytes = "llama/q4_0".parse::<Recipe>().unwrap().build().unwrap();
    let file = gguf::File::lenient(&bytes).unwrap();
    let changed = |edit: &Edit| {
        let edited = files::apply(&bytes, edit).unwrap();
        let edited = gguf::File::lenient(&edited).unwrap();
        let tensors: Vec<String> = file
            .tensors()
            .iter()
            .filter(|tensor| {
                edited.tensor(&tensor.name.to_string()).is_none_or(|other| edited.data(other) != file.data(tensor))
            })
            .map(|tensor| tensor.name.to_string())
            .collect();
        tensors.join(" ")
    };
    assert_eq!(changed(&Edit::RowsOffByOne("attn_q.weight".into())), "blk.0.attn_q.weight blk.1.attn_q.weight");
    assert_eq!(changed(&Edit::NibblesSwapped("token_embd.weight".into())), "token_embd.weight");
    assert_eq!(changed(&Edit::Tied), "output.weight");
    assert_eq!(changed(&Edit::Constant("output_norm.weight".into(), 1.0)), "output_norm.weight");
    assert_eq!(changed(&Edit::Swapped("ffn_gate.weight", "ffn_up.weight")).split(' ').count(), 4);
    assert_eq!(changed(&Edit::Key("rope.freq_base".into(), files::Number::Real(1.0))), "");
    let last = changed(&Edit::WithoutLastLayer);
    assert!(last.split(' ').all(|name| name.starts_with("blk.1.")) && last.split(' ').count() == 9, "{last}");
}

fn of_relations(record: &record::Record) -> Vec<(Relation, Judgement)> {
    let trials = record.comparisons.iter().filter(|comparison| comparison.oracle == Oracle::Metamorphic);
    trials.map(|comparison| (comparison.relation.unwrap(), comparison.judgement)).collect()
}

/// llama.cpp keeps every relation; candle keeps all that it can be asked.
#[test]
fn both_runtimes_keep_the_relations() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = || Policy { tolerances: Tolerances::shipped().unwrap(), expectations: Expectations::shipped().unwrap() };
    let record = run_relations(folder.path(), "llama-cpp@cpu", None, &Relation::ALL, &shipped());
    assert_eq!(of_relations(&record), Relation::ALL.map(|relation| (relation, Judgement::Pass)));
    let record = run_relations(folder.path(), "candle@cpu", None, &Relation::ALL, &shipped());
    let expected = Relation::ALL.map(|relation| {
        let judgement = match relation {
            Relation::Batch | Relation::MicroBatch => Judgement::Unsupported,
            Relation::Shards => Judgement::ExpectedFail,
            _ => Judgement::Pass,
        };
        (relation, judgement)
    });
    assert_eq!(of_relations(&record), expected);
}

/// A subject that is known to be wrong must still be wrong in the same way: its divergence does not excuse that a file's layout matters.
#[test]
fn a_known_divergence_does_not_excuse_a_broken_relation() {
    let folder = tempfile::tempdir().unwrap();
    let known = policy("[[expectation]]\nsubject = 'fake@cpu'\nclass = 'diverges'\nreason = 'it is made to'");
    let relations = [Relation::Repeat, Relation::TensorOrder];
    let record = run_relations(folder.path(), "fake@cpu", Some("by-file"), &relations, &known);
    assert_eq!(record.comparisons[0].judgement, Judgement::ExpectedFail);
    let expected = [(Relation::Repeat, Judgement::Pass), (Relation::TensorOrder, Judgement::Fail)];
    assert_eq!(of_relations(&record), expected);
    // What ggauge does not start itself cannot be started otherwise, and says so.
    let record = run_relations(folder.path(), "fake@cpu", Some("honest"), &[Relation::Threads], &policy(""));
    assert_eq!(of_relations(&record), [(Relation::Threads, Judgement::Unsupported)]);
}

/// The reference refuses what it does not know rather than to compute something.
#[rstest]
#[case("lfm2/f32", "key", "shortconv.l_cache", "0")]
#[case("gemma2/f32", "key", "attention.sliding_window_pattern", "windows with a pattern of 1")]
#[case("gemma3/f32", "key", "attention.sliding_window_pattern", "windows with a pattern of 1")]
#[case("llama/f32", "key", "vocab_size", "same number of tokens")]
#[case("llama/f32", "key", "attention.clamp_kqv", "only where it changes nothing, at 0, and it is 1")]
#[case("llama/f32", "key", "attention.causal", "attention.causal")]
#[case("llama/f32", "key", "attention.value_length", "no layout")]
#[case("llama/f32", "key", "rope.dimension_count", "rotation of 1")]
#[case("lfm2/f32", "tensor", "blk.0.shortconv.in_proj.bias", "in_proj.bias")]
#[case("qwen2/f32", "tensor", "blk.0.attn_output.bias", "attn_output.bias")]
#[case("gemma2/f32", "tensor", "output.weight", "output.weight")]
#[case("llama/f32", "tensor", "output.weight", "output.weight")]
fn the_reference_refuses_what_it_does_not_know(
    #[case] recipe: &str,
    #[case] kind: &str,
    #[case] name: &str,
    #[case] words: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = recipe.parse::<Recipe>().unwrap().build().unwrap();
    let file = gguf::File::strict(&bytes).unwrap();
    let mut draft = gguf::Draft::from(&file);
    draft.tail = None;
    draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    if kind == "key" {
        let key = format!("{}.{name}", file.architecture().unwrap());
        // A key that was not there, or another number than the tensors follow.
        draft.remove_key(&key).u32(&key, u32::from(name != "shortconv.l_cache"));
    } else {
        draft.tensor(name, &[64], gguf::WeightType::F32, vec![0; 256]);
    }
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, draft.finish()).unwrap();
    let subject = subject_reference::ReferenceSubject { rounding: reference::Rounding::EXACT };
    let refusal = vocabulary::Subject::load(&subject, &path).err().unwrap();
    assert!(format!("{refusal:?}").contains(words), "{refusal:?}");
}
