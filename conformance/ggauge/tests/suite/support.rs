//! What the integration tests share.
use harness::{
    plan::{Filter, Plan, Product},
    reproduce,
    rig::{Policy, Rig},
    run,
    worker::{
        launch::{Launch, WorkerLimits},
        pool::Workers,
        process::Worker,
    },
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache, files::Stamp};
use policy::{Expectations, Tolerances};
use record::Record;
use smith::Recipe;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    thread,
    time::{Duration, Instant, SystemTime},
};
use supply::{models::Model, prompts::Prompt};
use vocabulary::{Relation, Schedule, Settings, SubjectId};

/// The `ggauge` executable.
pub(crate) const GGAUGE: &str = env!("CARGO_BIN_EXE_ggauge");

/// The fake subject, which cargo builds beside the tests.
pub(crate) fn fake_subject() -> PathBuf {
    let path = Path::new(GGAUGE).with_file_name("examples").join("fake-subject");
    assert!(path.exists(), "{} is missing: build the examples", path.display());
    path
}

pub(crate) fn id(text: &str) -> SubjectId {
    text.parse().unwrap()
}

/// Limits that let a test of hanging and memory end soon.
pub(crate) fn short_limits() -> WorkerLimits {
    WorkerLimits { time: Duration::from_secs(2), memory: 512 << 20 }
}

/// A worker of the fake subject.
pub(crate) fn fake_worker(behaviour: &str, folder: &Path) -> Worker {
    let launch = Launch {
        subject: id("fake@cpu"),
        settings: Settings::Strict,
        tuning: vocabulary::Tuning::default(),
        program: GGAUGE.into(),
        command: Some(format!("exec {} {behaviour}", fake_subject().display())),
    };
    Worker::new(launch, short_limits(), folder.join("stderr.log"))
}

/// The F32 tiny model.
pub(crate) fn tiny(recipe: &str, folder: &Path) -> Model {
    Model::make(&recipe.parse::<Recipe>().unwrap(), folder).unwrap()
}

/// A file that was written with `bytes` into `folder`.
pub(crate) fn written(folder: &Path, name: &str, bytes: &[u8]) -> Model {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    Model::open(&path, None, None, &Cache::at(folder), &ProgressBar::hidden()).unwrap()
}

pub(crate) fn ramp(len: usize) -> Prompt {
    Prompt { name: format!("ramp-{len}"), tokens: Recipe::ramp(len), short: true }
}

/// The policy that ships, with other expectations.
pub(crate) fn policy(expectations: &str) -> Policy {
    Policy { tolerances: Tolerances::shipped().unwrap(), expectations: Expectations::parse(expectations, "test.toml").unwrap() }
}

/// Runs tiny models on subjects, of which those in `commands` are fake.
#[expect(clippy::too_many_arguments, reason = "a test says all of it in a line")]
pub(crate) fn run(
    folder: &Path,
    recipes: &[&str],
    subjects: &[&str],
    commands: &[(&str, &str)],
    settings: Settings,
    policy: &Policy,
) -> Record {
    let models: Vec<_> = recipes.iter().map(|recipe| tiny(recipe, folder)).collect();
    run_models(folder, models, subjects, commands, settings, policy)
}

/// Runs models on subjects, of which those in `commands` are fake.
#[expect(clippy::too_many_arguments, reason = "a test says all of it in a line")]
pub(crate) fn run_models(
    folder: &Path,
    models: Vec<Model>,
    subjects: &[&str],
    commands: &[(&str, &str)],
    settings: Settings,
    policy: &Policy,
) -> Record {
    let cache = Cache::at(folder);
    let commands =
        commands.iter().map(|(name, behaviour)| (id(name), format!("exec {} {behaviour}", fake_subject().display())));
    // Time enough for a machine that is busy with other tests.
    let limits = WorkerLimits { time: Duration::from_mins(1), memory: 4 << 30 };
    let mut workers = Workers::new(GGAUGE.into(), commands.collect(), limits, folder.into());
    let prompts = vec![vec![ramp(8)]; models.len()];
    let subjects: Vec<_> = subjects.iter().map(|name| id(name)).collect();
    let plan = Plan::new(models, &prompts, &Schedule::OF_EVERY_RUN, &[settings], &subjects, |_, _, _| true, &Filter::All);
    execute(&mut workers, (folder, &cache), policy, &plan).unwrap()
}

/// Runs the F32 tiny Llama on one subject under relations.
pub(crate) fn run_relations(
    folder: &Path,
    subject: &str,
    behaviour: Option<&str>,
    relations: &[Relation],
    policy: &Policy,
) -> Record {
    let commands = behaviour.map(|behaviour| (id(subject), format!("exec {} {behaviour}", fake_subject().display())));
    let limits = WorkerLimits { time: Duration::from_mins(1), memory: 4 << 30 };
    let mut workers = Workers::new(GGAUGE.into(), commands.into_iter().collect(), limits, folder.into());
    let mut plan = Plan::of(vec![tiny("llama/f32", folder)]);
    let product = Product {
        models: &[0],
        prompts: &|_| vec![ramp(8)],
        schedules: &|_| vec![Schedule::SingleShot],
        settings: &[Settings::Strict],
        subjects: &[id(subject)],
        relations,
        runs: &|_, _, _| true,
    };
    plan.add(&product, &Filter::All);
    execute(&mut workers, (folder, &Cache::at(folder)), policy, &plan).unwrap()
}

/// Runs a plan with a scratch folder and a cache.
pub(crate) fn execute(
    workers: &mut Workers,
    (scratch, cache): (&Path, &Cache),
    policy: &Policy,
    plan: &Plan,
) -> Result<Record, Error> {
    let mut rig = Rig { workers, cache, scratch, policy, listeners: Vec::new() };
    run::run(&mut rig, plan, Vec::new(), &reproduce::run(""))
}

/// Waits until a change of a file would show in its times, which some file systems count in seconds.
pub(crate) fn settle(path: &Path) {
    let started = Instant::now();
    while !Stamp::of(path).unwrap().is_settled(SystemTime::now()) {
        assert!(started.elapsed() < Duration::from_secs(10), "{} has a time to come", path.display());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a program of ours, which was just started, listens to Ctrl-C: before that it dies of it.
pub(crate) fn wait_until_it_listens(child: &Child) {
    let started = Instant::now();
    if !cfg!(target_os = "linux") {
        return thread::sleep(Duration::from_secs(1));
    }
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        // The bit of SIGINT.
        if u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0 {
            // It is caught a moment before somebody is told of it.
            return thread::sleep(Duration::from_millis(300));
        }
        assert!(started.elapsed() < Duration::from_mins(1), "it does not listen to Ctrl-C: {caught}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// `ggauge` with a cache of its own.
pub(crate) fn ggauge(cache: &Path, arguments: &[&str]) -> Output {
    Command::new(GGAUGE).args(arguments).env("GGAUGE_CACHE", cache).output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Holds a text against its snapshot in `golden/harness/`, where people review it.
pub(crate) fn assert_golden(name: &str, text: &str) {
    assert_golden_in("harness", name, text);
}

/// Holds a text against its snapshot in a folder of `golden/`.
pub(crate) fn assert_golden_in(folder: &str, name: &str, text: &str) {
    golden_settings(folder).bind(|| insta::assert_snapshot!(name, text));
}

/// Where goldens lie.
pub(crate) const GOLDEN: &str = ::golden::FOLDER;

/// How insta is told about a folder of `golden/`.
pub(crate) fn golden_settings(folder: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("{GOLDEN}/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}
