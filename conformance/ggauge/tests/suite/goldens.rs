//! Yesterday's answers: what cases gave when somebody last looked, in `golden/`. `golden/README.md` says how to review a difference.

use crate::support::{GGAUGE, GOLDEN, assert_golden_in, ggauge, golden_settings, id, policy, ramp, stderr, stdout, tiny};
use gguf::{Draft, File, WeightType};
use harness::{
    plan::{Filter, Plan},
    reproduce,
    rig::Rig,
    run, subjects,
    worker::{launch::WorkerLimits, pool::Workers},
};
use indicatif::ProgressBar;
use insta::{
    Comparator, Snapshot,
    internals::{Content, SnapshotContents},
};
use machine::{cache::Cache, files::digest};
use record::{Record, SubjectRecord};
use report::digests;
use rstest::rstest;
use smith::Recipe;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};
use studies::{
    goldens::{golden::Golden, held, outputs::Outputs},
    matrix,
};
use supply::{
    fingerprint,
    manifests::Manifest,
    models::Model,
    prompts::{self, Prompt},
};
use vocabulary::{Schedule, Settings, SubjectId};

/// The models of the slice of the matrix: every architecture, and a mixture of experts.
fn slice() -> Vec<String> {
    matrix::own_recipes(WeightType::F32).iter().map(Recipe::model).collect()
}

/// The weight types of the slice, each in the settings in which it says most.
const SLICE_WEIGHTS: [(&str, Settings); 2] = [("f32", Settings::Strict), ("q4_k", Settings::Default)];

/// Takes what noise can make of a golden for the same golden.
#[derive(Clone)]
struct Within;

impl Comparator for Within {
    fn matches(&self, reference: &Snapshot, test: &Snapshot) -> bool {
        let golden = |snapshot: &Snapshot| match snapshot.contents() {
            SnapshotContents::Text(text) => Golden::parse(&text.to_string()).ok(),
            SnapshotContents::Binary(_) => None,
        };
        match (golden(reference), golden(test)) {
            (Some(old), Some(new)) => new.differences(&old).is_empty(),
            _ => false,
        }
    }

    fn dyn_clone(&self) -> Box<dyn Comparator> {
        Box::new(self.clone())
    }
}

fn blessed(case: &str) -> Option<Golden> {
    Golden::blessed(&Path::new(GOLDEN).join("outputs"), case).unwrap()
}

/// Where the numbers come from. It stands in a golden's header, and is not compared.
fn provenance(subject: &SubjectId, settings: Settings, subjects: &[SubjectRecord]) -> Content {
    let described = subjects.iter().find(|record| record.subject == *subject && record.settings == settings);
    let description = described.map(|record| record.description.clone()).unwrap_or_default();
    let features = description.features.join(", ");
    let rows = [
        ("runtime", description.runtime),
        ("device", description.device),
        ("driver", description.driver),
        ("features", features),
        ("settings", settings.to_string()),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    Content::Map(rows.map(|(name, value)| (Content::from(name), Content::from(value))).collect())
}

/// True for the subjects whose answers are kept: the CPUs, and the Vulkan device that every machine can have, which is emulated. Another GPU
/// has other kernels.
fn has_goldens(subject: &SubjectId, subjects: &[SubjectRecord]) -> bool {
    let software = || subjects.iter().any(|record| record.subject == *subject && record.description.software);
    subject.device() == "cpu" || (subject.device() == "vulkan0" && software())
}

/// Holds every text below `folder` against its golden; all of them, before it fails.
pub(crate) fn assert_outputs(folder: &Path, subjects: &[SubjectRecord]) {
    let mut summary = String::new();
    let all = files(folder, "toml");
    assert!(!all.is_empty(), "nothing was run");
    for case in &all {
        let new = Golden::parse(&fs::read_to_string(folder.join(format!("{case}.toml"))).unwrap()).unwrap();
        if !has_goldens(&id(case.rsplit_once('/').unwrap().1), subjects) {
            continue;
        }
        let old = blessed(case);
        // What did not leave its limit keeps its digits, so that a reviewer sees what did.
        let shown = old.as_ref().map_or_else(|| new.clone(), |old| new.clone().keeping(old));
        let (parent, name) = case.rsplit_once('/').unwrap();
        let settings = case.split('/').nth_back(1).unwrap();
        let settings = Settings::ALL.into_iter().find(|known| known.name() == settings).unwrap();
        let mut insta = golden_settings(&format!("outputs/{parent}"));
        insta.set_comparator(Box::new(Within));
        insta.set_raw_info(&provenance(&id(name), settings, subjects));
        let assertion = || insta.bind(|| insta::assert_snapshot!(name, shown.text()));
        if catch_unwind(AssertUnwindSafe(assertion)).is_err() {
            // The text may differ where the numbers do not: a header by hand, say.
            let explained = held::differs(&new, old.as_ref()).map(|case| report::goldens::explain(&case));
            summary.push_str(&explained.map_or_else(|| format!("\n{case}\n    in its text\n"), |page| page.to_string()));
        }
    }
    let next = "next: golden/README.md says what to look at; `cargo insta review` shows each, accepts or rejects it";
    assert!(summary.is_empty(), "not what it was:\n{summary}\n{next}");
}

/// Files with an extension below a folder, without it, as paths from the folder.
fn files(folder: &Path, extension: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(&inner).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(name) =
                path.strip_prefix(folder).unwrap().to_str().unwrap().strip_suffix(&format!(".{extension}"))
            {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

/// Runs one prompt in single shot and writes the outputs; the outputs' folder and the Record.
#[expect(clippy::too_many_arguments, reason = "a test says all of it in a line")]
fn run_one(
    model: Model,
    prompt: Prompt,
    subjects: &[SubjectId],
    settings: Settings,
    folder: &Path,
    cache: &Cache,
) -> (PathBuf, Record) {
    let limits = WorkerLimits { time: Duration::from_mins(5), memory: 8 << 30 };
    let mut workers = Workers::new(GGAUGE.into(), BTreeMap::new(), limits, folder.into());
    let probe = tiny("llama/f32", folder).path;
    let records = subjects.iter().map(|subject| workers.describe(subject, settings, &probe).unwrap()).collect();
    let (prompts, schedules) = ([vec![prompt]], [Schedule::SingleShot]);
    let plan = Plan::new(vec![model], &prompts, &schedules, &[settings], subjects, |_, _, _| true, &Filter::All);
    let (policy, outputs) = (policy(""), folder.join("outputs"));
    let mut texts = Outputs::new(outputs.clone());
    let mut rig = Rig { workers: &mut workers, cache, scratch: folder, policy: &policy, listeners: vec![&mut texts] };
    let record = run::run(&mut rig, &plan, records, &reproduce::run("")).unwrap();
    (outputs, record)
}

#[rstest]
fn the_slice_gives_yesterdays_answers(
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
) {
    assert!(slice().iter().any(|known| known == model));
    for (weights, settings) in SLICE_WEIGHTS {
        let folder = tempfile::tempdir().unwrap();
        let model = tiny(&format!("{model}/{weights}"), folder.path());
        let subjects = [id("llama-cpp@cpu"), id("candle@cpu")];
        let (outputs, record) = run_one(model, ramp(8), &subjects, settings, folder.path(), &Cache::at(folder.path()));
        assert_outputs(&outputs, &record.subjects);
    }
}

#[test]
#[ignore = "needs the downloaded models: ggauge fetch"]
fn real_models_are_what_they_were() {
    let cache = Cache::find().unwrap();
    for manifest in Manifest::all().unwrap() {
        let bytes = fs::read(manifest.path(&cache)).unwrap();
        let file = File::strict(&bytes).unwrap();
        assert_golden_in("models", &manifest.name, &digests::report(&fingerprint::digests(&[file], &digest(&bytes))));
    }
}

/// No golden is missing and none is left over. One of a subject that is not available here is neither.
#[test]
fn goldens_are_those_of_the_cases() {
    let mut expected = BTreeSet::new();
    let cpus = ["llama-cpp@cpu", "candle@cpu"];
    for model in slice() {
        for (weights, settings) in SLICE_WEIGHTS {
            expected.extend(cpus.map(|subject| format!("{model}/{weights}/ramp-8/single-shot/{settings}/{subject}")));
        }
    }
    for manifest in Manifest::all().unwrap() {
        for (name, prompt) in prompts::all().unwrap() {
            for schedule in Schedule::OF_EVERY_RUN {
                let emulated = prompt.short.then_some("llama-cpp@vulkan0");
                for subject in cpus.into_iter().chain(emulated) {
                    expected.insert(format!("{}/{}/{name}/{schedule}/default/{subject}", manifest.name, manifest.weights));
                }
            }
        }
    }
    let known: BTreeSet<SubjectId> = subjects::known().into_iter().collect();
    assert!(expected.iter().all(|case| known.contains(&id(case.rsplit_once('/').unwrap().1))));
    let found = files(&Path::new(GOLDEN).join("outputs"), "snap");
    let missing: Vec<_> = expected.difference(&found).collect();
    let stale: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:#?}\nstale, to be deleted: {stale:#?}");
    let models: BTreeSet<String> = Manifest::all().unwrap().into_iter().map(|manifest| manifest.name).collect();
    assert_eq!(files(&Path::new(GOLDEN).join("models"), "snap"), models);
}

/// What noise cannot make is a difference, and says where.
#[test]
fn a_wrong_answer_is_no_noise() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = [id("llama-cpp@cpu")];
    let cache = Cache::at(folder.path());
    let (outputs, _) = run_one(tiny("llama/f32", folder.path()), ramp(8), &subjects, Settings::Strict, folder.path(), &cache);
    let case = "llama/f32/ramp-8/single-shot/strict/llama-cpp@cpu";
    let new = Golden::parse(&fs::read_to_string(outputs.join(format!("{case}.toml"))).unwrap()).unwrap();
    let old = blessed(case).unwrap();
    assert_eq!(new.differences(&old), []);
    let limit = old.noise.unwrap().limit;
    let mut moved = new.clone();
    moved.position[1].fixed[2] += 0.5 * limit;
    assert_eq!(moved.differences(&new), []);
    moved.position[1].fixed[2] += limit;
    let differences = moved.differences(&new);
    assert_eq!(differences.len(), 1);
    assert!(differences[0].place.contains("fixed token 3"), "{:?}", differences[0]);
}

/// What a change of a model looks like to a reviewer: its goldens say which part changed, and the listing which key or tensor.
#[rstest]
#[case::a_bit_of_a_weight("the weights of the model", "blk.7.ffn_up.weight")]
#[case::the_rotary_base("the hyper-parameters of the model", "llama.rope.freq_base")]
#[case::a_token("the tokenizer of the model", "tokenizer.ggml.tokens")]
#[ignore = "needs the downloaded models: ggauge fetch"]
fn a_changed_model_shows_as_what_was_changed(#[case] part: &str, #[case] entry: &str) {
    let cache = Cache::find().unwrap();
    let manifest = Manifest::all().unwrap().into_iter().find(|manifest| manifest.name.starts_with("smollm2")).unwrap();
    let bytes = fs::read(manifest.path(&cache)).unwrap();
    let file = File::strict(&bytes).unwrap();
    let mut draft = Draft::from(&file);
    match entry {
        "llama.rope.freq_base" => {
            let base = file.metadata().f64(entry).unwrap().unwrap() as f32;
            draft.find_key(entry).unwrap().value = (base * 1.01).to_le_bytes().to_vec().into();
        }
        "tokenizer.ggml.tokens" => {
            // The last letter of the last token.
            *draft.find_key(entry).unwrap().value.to_mut().last_mut().unwrap() ^= 1;
        }
        tensor => {
            let data = draft.tensors.iter_mut().find(|other| other.name == tensor.as_bytes()).unwrap().data.to_mut();
            // The lowest bit of one of its codes, behind the scale and the minimum of a block.
            data[4] ^= 1;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.gguf");
    let changed = draft.finish();
    fs::write(&path, &changed).unwrap();
    let listing = |bytes: &[u8]| digests::report(&fingerprint::digests(&[File::lenient(bytes).unwrap()], &digest(bytes)));
    let (before, after) = (listing(&bytes), listing(&changed));
    let lines: Vec<&str> = before.lines().zip(after.lines()).filter(|(a, b)| a != b).map(|(_, b)| b).collect();
    assert_eq!(lines.len(), 3, "the file, the section, and the entry: {lines:#?}");
    assert!(lines[2].trim_start().starts_with(entry), "{lines:#?}");

    let model =
        Model::open(&path, Some(&manifest.name), Some(&manifest.weights), &Cache::at(folder.path()), &ProgressBar::hidden())
            .unwrap();
    let prompt =
        Prompt { name: "no-bos".into(), tokens: prompts::all().unwrap()["no-bos"].tokens[&manifest.name].clone(), short: true };
    let own = Cache::at(folder.path());
    let (outputs, _) = run_one(model, prompt, &[id("llama-cpp@cpu")], Settings::Default, folder.path(), &own);
    let case = files(&outputs, "toml").pop_first().unwrap();
    let new = Golden::parse(&fs::read_to_string(outputs.join(format!("{case}.toml"))).unwrap()).unwrap();
    let differences = new.differences(&blessed(&case).unwrap());
    assert_eq!(
        differences.iter().filter(|difference| difference.place.contains("of the model")).count(),
        1,
        "{differences:#?}"
    );
    assert_eq!(differences[0].place, part, "{differences:#?}");
}

/// Why files do not load, in the words that subjects share.
#[test]
fn loads_fail_as_they_did() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(tiny("llama/q4_0", folder.path()).path).unwrap();
    let file = File::strict(&bytes).unwrap();
    let edited = |edit: &dyn Fn(&mut Draft<'_>)| {
        let mut draft = Draft::from(&file);
        edit(&mut draft);
        draft.finish()
    };
    let tensor = |name: &'static [u8]| move |draft: &mut Draft<'_>| draft.tensors.retain(|tensor| tensor.name != name);
    let broken: [(&str, Vec<u8>); 11] = [
        ("nothing", Vec::new()),
        ("not GGUF", b"PK\x03\x04 and so on, as in an archive".to_vec()),
        ("cut in the header", bytes[..100].to_vec()),
        ("cut in the data", bytes[..bytes.len() - 1000].to_vec()),
        (
            "unknown architecture",
            edited(&|draft| _ = draft.remove_key("general.architecture").str("general.architecture", "nonesuch")),
        ),
        ("no architecture", edited(&|draft| _ = draft.remove_key("general.architecture"))),
        ("a key missing", edited(&|draft| _ = draft.remove_key("llama.attention.head_count"))),
        ("a key of the wrong type", edited(&|draft| _ = draft.remove_key("llama.block_count").str("llama.block_count", "two"))),
        ("no heads", edited(&|draft| draft.find_key("llama.attention.head_count").unwrap().value = vec![0; 4].into())),
        ("a tensor missing", edited(&tensor(b"blk.0.attn_k.weight"))),
        (
            "a tensor of another shape",
            edited(&|draft| {
                let norm = draft.tensors.iter_mut().find(|tensor| &tensor.name[..] == b"output_norm.weight").unwrap();
                norm.dimensions[0] /= 2;
                let len = norm.data.len() / 2;
                norm.data.to_mut().truncate(len);
                draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
            }),
        ),
    ];
    let mut workers = Workers::plain(GGAUGE.into(), folder.path());
    let mut text = String::new();
    for (name, bytes) in broken {
        let path = folder.path().join(format!("{}.gguf", name.replace(' ', "-")));
        fs::write(&path, bytes).unwrap();
        for subject in ["llama-cpp@cpu", "candle@cpu"] {
            let outcome = workers.get(&id(subject), Settings::Default).load(&path).unwrap();
            let words = outcome.map_or_else(|outcome| outcome.kind(), |_| "loaded".into());
            let _ = writeln!(text, "{name:26} {subject:14} {words}");
        }
    }
    assert_golden_in("failures", "loads", &text);
}

/// What somebody with another build or machine runs: the same goldens, without cargo.
#[test]
fn a_run_is_held_against_a_folder_of_goldens() {
    let cache = tempfile::tempdir().unwrap();
    let held = |goldens: &Path| {
        let arguments = ["run", "llama/f32", "--settings", "strict", "--subject", "candle@cpu", "--filter", "/single-shot/"];
        let output = ggauge(cache.path(), &[&arguments[..], &["--goldens", goldens.to_str().unwrap()]].concat());
        (output.status.code().unwrap(), stdout(&output) + &stderr(&output))
    };
    let goldens = Path::new(GOLDEN).join("outputs");
    let (code, words) = held(&goldens);
    assert!(code == 0 && words.contains("0 of 1 goldens differ"), "{code}: {words}");
    let case = "llama/f32/ramp-8/single-shot/strict/candle@cpu.snap";
    let text = fs::read_to_string(goldens.join(case)).unwrap();
    let other = tempfile::tempdir().unwrap();
    assert_eq!(held(other.path()).0, 4, "nothing to compare with");
    fs::create_dir_all(other.path().join(case).parent().unwrap()).unwrap();
    fs::write(other.path().join(case), text.replace("\noutcome = \"1 positions\"", "\noutcome = \"aborted\"")).unwrap();
    let (code, words) = held(other.path());
    assert!(
        code == 1 && words.contains("1 of 1 goldens differ") && words.contains("outcome: aborted, now 1 positions"),
        "{words}"
    );
    fs::write(other.path().join(case), "nothing of the kind").unwrap();
    let (code, words) = held(other.path());
    assert!(code == 2 && words.contains("it is no snapshot") && words.contains("next: "), "{words}");
}
