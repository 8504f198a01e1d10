//! One cache for several runs, users and containers at once, on disks that fail and with files that change meanwhile: nothing in it is believed
//! unseen, and nobody's files are deleted or written through.

use crate::support::{GGAUGE, execute, fake_subject, ggauge, id, policy, ramp, settle, stderr, stdout, tiny};
use harness::{
    plan::{Filter, Plan},
    truth::kept::{Origin, Truths},
    worker::{launch::WorkerLimits, pool::Workers},
};
use indicatif::ProgressBar;
use machine::{Error, cache::Cache, files};
use record::{Folder, Record, Timings};
use reference::Rounding;
use rstest::rstest;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, SystemTime},
};
use supply::{models::Model, prompts::Prompt};
use tempfile::TempDir;
use vocabulary::{Schedule, Settings, Upshot, transcript::Writer};

/// The files of one kind in the folder of truths.
fn truths(cache: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join("reference")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    paths.sort();
    paths
}

fn run_tokens(cache: &Path, tokens: &str) -> Output {
    ggauge(cache, &["run", "llama/f32@0", "--subject", "candle@cpu", "--tokens", tokens])
}

fn assert_passes(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(output), stderr(output));
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

fn transcript(cache: &Path) -> PathBuf {
    truths(cache, "safetensors").remove(0)
}

#[rstest]
#[case::a_logit(|cache: &Path| flip(&transcript(cache), 1024 + 1280 + 3))]
#[case::the_last_byte(|cache: &Path| flip(&transcript(cache), fs::metadata(transcript(cache)).unwrap().len() - 1))]
#[case::its_length(|cache: &Path| File::options().write(true).open(transcript(cache)).unwrap().set_len(2000).unwrap())]
#[case::its_checksum(|cache: &Path| {
    let path = transcript(cache);
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(6).position(|window| window == b"crc32 ").unwrap();
    flip(&path, at as u64 + 7);
})]
#[case::no_checksum(|cache: &Path| {
    let path = transcript(cache);
    let reader = vocabulary::transcript::Reader::open(&path).unwrap();
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    for index in 0..reader.positions().len() {
        reader.read_row(index, &mut row).unwrap();
        rows.push(row.clone());
    }
    rows[0][3] += 1.0;
    let mut writer = vocabulary::transcript::Writer::create(&path, row.len(), || Duration::ZERO).unwrap();
    rows.iter().enumerate().for_each(|(position, row)| writer.row(position, row).unwrap());
    writer.finish().unwrap();
})]
#[case::another_prompts(|cache: &Path| {
    let own = transcript(cache);
    assert_passes(&run_tokens(cache, "3,4"));
    let other = truths(cache, "safetensors").into_iter().find(|path| *path != own).unwrap();
    fs::copy(other, own).unwrap();
})]
#[case::a_noise_scale(|cache: &Path| {
    for path in truths(cache, "json") {
        let text = fs::read_to_string(&path).unwrap();
        let at = text.find("\"nmse\":").unwrap() + "\"nmse\":".len();
        let digit = if text.as_bytes()[at] == b'9' { "8" } else { "9" };
        fs::write(&path, format!("{}{digit}{}", &text[..at], &text[at + 1..])).unwrap();
    }
})]
fn a_damaged_truth_blames_nobody(#[case] damage: fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    assert_passes(&run_tokens(folder.path(), "1,2"));
    damage(folder.path());
    let again = run_tokens(folder.path(), "1,2");
    assert_passes(&again);
    let said = stderr(&again);
    assert!(said.contains("it is dropped and computed anew") && said.contains("/reference/"), "{said}");
    let whole = run_tokens(folder.path(), "1,2");
    assert_passes(&whole);
    assert!(!stderr(&whole).contains("dropped"), "{}", stderr(&whole));
}

/// Another run prunes a truth at any moment of its being looked for: that is told to nobody.
#[test]
fn a_truth_that_another_run_prunes_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let (model, prompt) = (tiny("llama/f32@0", folder.path()), ramp(8));
    let origin = Origin::of(&model, &prompt, Rounding::EXACT);
    let (made, kept) = (folder.path().join("made"), folder.path().join("kept"));
    let row = vec![0.5; model.vocabulary_size as usize];
    let mut writer = Writer::create(&made, row.len(), || Duration::ZERO).unwrap();
    (0..8).for_each(|position| writer.row(position, &row).unwrap());
    writer.finish().unwrap();
    let mut results = Truths::of(&cache);
    drop(results.keep(&origin, &made).unwrap());
    let path = transcript(folder.path());
    fs::rename(&path, &kept).unwrap();
    for round in 0..3000 {
        fs::hard_link(&kept, &path).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..round % 30 * 100).for_each(|_| std::hint::spin_loop());
                fs::remove_file(&path).unwrap();
            });
            results.find(&origin).unwrap();
        });
        assert_eq!(results.damaged, Vec::<String>::new(), "in round {round}");
    }
}

fn open(path: &Path, cache: &Path) -> Model {
    Model::open(path, None, None, &Cache::at(cache), &ProgressBar::hidden()).unwrap()
}

/// The judgement of each comparison of one model on two prompts.
fn judge(folder: &Path, model: Model, subjects: &[&str]) -> Result<Record, Error> {
    let commands = [(id("a-fake@cpu"), format!("exec {} change-model", fake_subject().display()))];
    let limits = WorkerLimits { time: Duration::from_mins(1), memory: 4 << 30 };
    let mut workers = Workers::new(GGAUGE.into(), commands.into_iter().collect(), limits, folder.into());
    let subjects: Vec<_> = subjects.iter().map(|name| id(name)).collect();
    let prompts = [vec![ramp(8), Prompt { name: "other".into(), ..ramp(9) }]];
    let schedules = [Schedule::SingleShot];
    let plan = Plan::new(vec![model], &prompts, &schedules, &[Settings::Strict], &subjects, |_, _, _| true, &Filter::All);
    execute(&mut workers, (folder, &Cache::at(folder)), &policy(""), &plan)
}

/// A worker flips a bit of the model when it is first asked. What the reference then gives is not of the file that was hashed.
#[rstest]
#[case::made_from_a_recipe(true)]
#[case::of_the_users(false)]
fn a_model_that_changes_during_a_run_ends_it_and_leaves_no_truth(#[case] made: bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.gguf");
    let original = "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap();
    fs::write(&path, &original).unwrap();
    let model = || if made { tiny("llama/f32@0", folder.path()) } else { open(&path, folder.path()) };
    let (model_path, error) = {
        let model = model();
        (model.path.clone(), judge(folder.path(), model, &["a-fake@cpu", "candle@cpu"]).unwrap_err().to_string())
    };
    assert!(error.contains("the file changed while it was in use\nnext: "), "{error}");
    assert!(error.contains(&model_path.display().to_string()), "{error}");
    fs::write(&model_path, &original).unwrap();
    let record = judge(folder.path(), model(), &["candle@cpu"]).unwrap();
    assert_eq!((record.upshot(), record.comparisons.len()), (Upshot::Good, 2), "{:#?}", record.comparisons);
}

/// As above, before the reference has even begun; and with the command itself.
#[test]
fn a_model_that_changed_since_it_was_hashed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.gguf");
    let original = "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap();
    fs::write(&path, &original).unwrap();
    let shown = path.to_str().unwrap();
    let worker = format!(
        "fake@cpu=printf '\\101' | dd of={shown} bs=1 seek={} conv=notrunc status=none; exec {} top-logit",
        original.len() - 1,
        fake_subject().display()
    );
    let arguments = ["run", shown, "--subject", "candle@cpu", "--tokens", "1,2,3"];
    let output = ggauge(folder.path(), &[&arguments[..], &["--worker", &worker]].concat());
    assert_eq!(output.status.code(), Some(2), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("mine.gguf: the file changed while it was in use\nnext: "), "{}", stderr(&output));
    fs::write(&path, &original).unwrap();
    assert_passes(&ggauge(folder.path(), &arguments));
}

/// What somebody writes through a shared mapping sets no time while its page is dirty: the file is other bytes under the old stamp.
#[cfg(target_os = "linux")]
#[test]
fn a_change_through_a_mapping_is_seen() {
    // Beside the program, because /tmp is often a file system without a disk, where nothing helps.
    let folder = tempfile::tempdir_in(Path::new(GGAUGE).parent().unwrap()).unwrap();
    let tmpfs = rustix::fs::statfs(folder.path()).unwrap().f_type == 0x0102_1994;
    if tmpfs {
        eprintln!("unsupported: {} is on a tmpfs, which does not set the times", folder.path().display());
        return;
    }
    let path = folder.path().join("mapped.gguf");
    let original = "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap();
    fs::write(&path, &original).unwrap();
    let mut python = Command::new("python3");
    let script = "import mmap, sys\n\
                  file = open(sys.argv[1], 'r+b')\n\
                  map = mmap.mmap(file.fileno(), 0)\n\
                  map[-1] = map[-1]\n\
                  print('dirty', flush=True)\n\
                  input()\n\
                  map[-1] ^= 64\n\
                  print('changed', flush=True)\n\
                  input()\n";
    python.args(["-c", script]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let (mut to, mut from) = (python.stdin.take().unwrap(), BufReader::new(python.stdout.take().unwrap()));
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    thread::sleep(Duration::from_millis(300));
    let before = open(&path, folder.path());
    let mut in_use = before.ensure().unwrap();
    in_use.check().unwrap();
    to.write_all(b"\n").unwrap();
    from.read_line(&mut line).unwrap();
    assert_eq!(line, "dirty\nchanged\n");
    let said = in_use.check().unwrap_err().to_string();
    assert!(said.contains("the file changed while it was in use"), "{said}");
    let after = open(&path, folder.path());
    assert_eq!((&before.sha256, &after.sha256), (&files::digest(&original), &files::sha256(&path).unwrap()));
    assert_ne!(before.sha256, after.sha256);
    drop(to);
    python.wait().unwrap();
}

/// Backups make links, people change permissions, and neither is another model.
#[rstest]
#[case::a_link(|path: &Path| fs::hard_link(path, path.with_extension("link")).unwrap())]
#[case::permissions(|path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap())]
#[case::a_touch(|path: &Path| File::open(path).unwrap().set_modified(SystemTime::now()).unwrap())]
#[case::the_same_bytes_again(|path: &Path| fs::write(path, fs::read(path).unwrap()).unwrap())]
fn a_model_whose_bytes_stay_stays_in_use(#[case] change: fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.gguf");
    fs::write(&path, "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let mut in_use = open(&path, folder.path()).ensure().unwrap();
    change(&path);
    in_use.check().unwrap();
    in_use.check().unwrap();
    flip(&path, 1000);
    in_use.check().unwrap_err();
    // It is not forgotten either.
    in_use.check().unwrap_err();
}

#[rstest]
#[case::a_digit(|json: String, sha256: &str| {
    let digit = if sha256.starts_with('0') { "1" } else { "0" };
    json.replacen(sha256, &format!("{digit}{}", &sha256[1..]), 1)
})]
#[case::no_sha256(|json: String, sha256: &str| json.replacen(sha256, "", 1))]
#[case::of_an_older_ggauge(|json: String, _: &str| json[..json.find(",\"crc32\"").unwrap()].to_owned() + "}")]
#[case::cut_short(|json: String, _: &str| json[..json.len() / 2].to_owned())]
fn a_damaged_note_of_a_hash_is_not_believed(#[case] damage: fn(String, &str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    fs::write(&path, "words").unwrap();
    thread::sleep(Duration::from_millis(300));
    let cache = Cache::at(folder.path());
    let hash = || cache.sha256(&[&path], &ProgressBar::hidden()).unwrap();
    let right = hash();
    let notes: Vec<_> = fs::read_dir(folder.path().join("hashes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [note] = &notes[..] else { panic!("{notes:?}") };
    let whole = fs::read_to_string(note).unwrap();
    fs::write(note, damage(whole.clone(), &right)).unwrap();
    assert_ne!(fs::read_to_string(note).unwrap(), whole);
    assert_eq!(hash(), right);
    assert_eq!(fs::read_to_string(note).unwrap(), whole, "it is remembered anew");
}

/// A file of a Record, a policy or an input can be a link to what never ends, or a pipe that nobody writes to.
#[test]
fn what_is_no_small_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (endless, pipe) = (folder.path().join("endless"), folder.path().join("pipe"));
    let of = |folder: &Path| {
        fs::create_dir(folder).unwrap();
        folder.join("record.json")
    };
    symlink("/dev/zero", of(&endless)).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, of(&pipe), mode).unwrap();
    // A folder that was written to again, with the timings of a hostile one.
    let given = folder.path().join("given");
    fs::create_dir(&given).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, given.join("timings.json"), mode).unwrap();
    leave(1, folder.path(), |left| left.write(&given).unwrap());
    for place in [endless, pipe] {
        let (place, file) = (place.to_str().unwrap(), place.join("record.json"));
        let file = file.to_str().unwrap();
        let lines: [&[&str]; 6] = [
            &["compare", place, place],
            &["run", "llama/f32@0", "--subject", "candle@cpu", "--tokens", "1", "--expectations", file],
            &["vectors", "keys/twice-*", "--findings", file],
            &["replay", "header_ours", file],
            &["replay", "header_ours", "--write", place, file],
            &["promote", "--target", "header_ours", file],
        ];
        for line in lines {
            let output = ggauge(folder.path(), line);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{line:?}: {said}");
            assert!(said.contains("record.json: it is not a regular file\nnext: "), "{line:?}: {said}");
        }
    }
}

/// Whoever waits for a lock longer than a moment is told for which.
#[test]
fn a_run_that_waits_for_another_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let alone = Cache::at(folder.path()).alone("records").unwrap();
    let mut command = Command::new(GGAUGE);
    command.args(["run", "llama/f32@0", "--subject", "candle@cpu", "--tokens", "1"]).env("GGAUGE_CACHE", folder.path());
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut words = BufReader::new(run.stderr.take().unwrap());
    while !said.contains("locks/records") {
        assert_ne!(words.read_line(&mut said).unwrap(), 0, "{said}");
    }
    assert!(said.contains("waiting for another ggauge"), "{said}");
    drop(alone);
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

/// A lock says that a folder is in use: process numbers are other ones in every container.
#[test]
fn scratch_of_living_runs_stays_whatever_their_number_and_that_of_killed_ones_goes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let place = |name: &str| folder.path().join("scratch").join(name);
    // No process here has such a number: it is above the largest that Linux gives.
    let names = ["run-4194999-living", "run-4194998-killed", "run-4194997-new", "run-4194996-old"];
    for name in names {
        fs::create_dir_all(place(name)).unwrap();
    }
    let alive = File::create(place(names[0]).join("alive")).unwrap();
    alive.try_lock().unwrap();
    File::create(place(names[1]).join("alive")).unwrap();
    // The two others have no lock: one is being made now, one is of an older ggauge.
    let days_ago = SystemTime::now() - Duration::from_hours(48);
    File::open(place(names[3])).unwrap().set_modified(days_ago).unwrap();
    // A link is nobody's scratch folder.
    let theirs = tempfile::tempdir().unwrap();
    fs::write(theirs.path().join("alive"), "").unwrap();
    symlink(theirs.path(), place("run-link")).unwrap();

    let mine = cache.scratch().unwrap();
    let other = cache.scratch().unwrap();
    assert!(mine.path().exists() && other.path().exists(), "a living process keeps its own");
    assert_eq!(names.map(|name| place(name).exists()), [true, false, true, false]);
    assert!(theirs.path().join("alive").exists());
    let mode = fs::metadata(mine.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let path = mine.path().to_owned();
    drop(mine);
    assert!(!path.exists());
}

/// Where the names of unfinished truths could be known beforehand, whoever may write into the cache could have any file overwritten.
#[test]
fn a_truth_is_not_written_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    assert_passes(&run_tokens(folder.path(), "1,2"));
    let path = transcript(folder.path());
    fs::remove_file(&path).unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    for process in std::process::id()..std::process::id() + 3000 {
        symlink(&precious, path.with_extension(format!("{process}.partial"))).unwrap();
    }
    symlink(&precious, &path).unwrap();
    assert_passes(&run_tokens(folder.path(), "1,2"));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(fs::symlink_metadata(&path).unwrap().is_file(), "the truth itself, and no link to something");
}

/// Linux has a second file system wherever there is a first: the memory.
#[cfg(target_os = "linux")]
#[test]
fn a_file_moves_to_another_disk_as_well() {
    // The tests' own folder is on the disk also where temporary files are in memory.
    let here = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let there = tempfile::tempdir_in("/dev/shm").unwrap();
    let disk = |folder: &TempDir| fs::metadata(folder.path()).unwrap().dev();
    assert_ne!(disk(&here), disk(&there), "both are on one disk: nothing is tested");
    let (from, to) = (here.path().join("from"), there.path().join("to"));
    fs::write(&from, "all of it").unwrap();
    files::adopt(&from, &to).unwrap();
    assert_eq!(fs::read_to_string(&to).unwrap(), "all of it");
    assert!(!from.exists());
    assert_eq!(fs::read_dir(there.path()).unwrap().count(), 1);
}

fn empty_record(mark: &str) -> Record {
    let (reference, ggauge) = (mark.to_owned(), String::new());
    Record { schema: 3, ggauge, reference, models: vec![], subjects: vec![], cases: vec![], comparisons: vec![] }
}

/// The marks of all that lies in a Record's folder.
fn marks(folder: &Path) -> Vec<String> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let record: Record = serde_json::from_str(&read("record.json")).unwrap();
    let timings: Timings = serde_json::from_str(&read("timings.json")).unwrap();
    let logs: Vec<_> = fs::read_dir(folder.join("logs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut marks = vec![record.reference, timings.seconds.to_string(), read("report.svg")];
    assert!(!logs.is_empty(), "the logs of {} are missing", folder.display());
    marks.extend(logs.iter().map(|log| fs::read_to_string(log).unwrap()));
    marks
}

/// Writes a Record of which every part has the same mark.
fn leave(number: u32, scratch: &Path, write: impl FnOnce(&Folder<'_>)) {
    let mark = number.to_string();
    let log = scratch.join(&mark);
    fs::write(&log, &mark).unwrap();
    let timings = Timings { seconds: f64::from(number), ..Timings::default() };
    let logs = [(format!("a@{}", number % 3), log)];
    write(&Folder { record: &empty_record(&mark), timings: &timings, logs: &logs, picture: &mark });
}

fn assert_one_runs(folder: &Path) {
    let mut marks = marks(folder);
    marks.dedup();
    assert_eq!(marks.len(), 1, "{} is a mixture", folder.display());
}

#[test]
fn records_of_runs_at_the_same_time_are_each_of_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, scratch) = (Cache::at(folder.path()), folder.path());
    let given = folder.path().join("given");
    thread::scope(|scope| {
        for writer in 0..6 {
            let (cache, given) = (&cache, &given);
            scope.spawn(move || {
                for turn in 0..20 {
                    let number = writer * 100 + turn;
                    leave(number, scratch, |left| drop(left.write_own(cache, "last", Some("previous")).unwrap()));
                    leave(number, scratch, |left| drop(left.write_own(cache, "matrix", None).unwrap()));
                    leave(number, scratch, |left| left.write(given).unwrap());
                }
            });
        }
    });
    let records = folder.path().join("records");
    for place in [records.join("last"), records.join("previous"), records.join("matrix"), given.clone()] {
        assert_one_runs(&place);
    }
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&records), ["last", "matrix", "previous"], "nothing else is left");
    assert_eq!(names(&given), ["logs", "record.json", "report.svg", "timings.json"]);
}

/// The same with the command.
#[test]
fn four_runs_at_once_leave_two_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let start = |tokens: &str| {
        Command::new(GGAUGE)
            .args(["run", "llama/f32@0", "--subject", "candle@cpu", "--tokens", tokens])
            .env("GGAUGE_CACHE", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    for mut child in ["1", "1", "1,2", "1,2"].map(start) {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    for name in ["last", "previous"] {
        let place = folder.path().join("records").join(name);
        let record: Record = serde_json::from_slice(&fs::read(place.join("record.json")).unwrap()).unwrap();
        let timings: Timings = serde_json::from_slice(&fs::read(place.join("timings.json")).unwrap()).unwrap();
        assert!(record.cases.iter().all(|case| timings.cases.contains_key(&case.id)));
        assert!(place.join("logs/candle@cpu-default.log").exists() && place.join("report.svg").exists(), "{name}");
    }
    assert_eq!(fs::read_dir(folder.path().join("scratch")).unwrap().count(), 0, "scratch files are left");
}

#[test]
fn a_record_replaces_its_own_files_and_follows_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let (given, theirs) = (folder.path().join("given"), folder.path().join("theirs"));
    fs::create_dir_all(&given).unwrap();
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("mine@work.log"), "mine").unwrap();
    fs::write(theirs.join("a@1.log"), "mine").unwrap();
    fs::write(theirs.join("record.json"), "mine").unwrap();
    symlink(&theirs, given.join("logs")).unwrap();
    symlink(theirs.join("record.json"), given.join("record.json")).unwrap();
    leave(1, folder.path(), |left| left.write(&given).unwrap());
    assert_one_runs(&given);
    for name in ["mine@work.log", "a@1.log", "record.json"] {
        assert_eq!(fs::read_to_string(theirs.join(name)).unwrap(), "mine", "{name}");
    }
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 3);
    // In a folder of their own, too: a name that looks like one of ours is not ours.
    fs::write(given.join("logs/mine@work.log"), "mine").unwrap();
    fs::write(given.join("logs/notes.txt"), "mine").unwrap();
    leave(2, folder.path(), |left| left.write(&given).unwrap());
    assert_eq!(fs::read_to_string(given.join("logs/a@2.log")).unwrap(), "2");
    assert!(!given.join("logs/a@1.log").exists(), "of the run before");
    for name in ["mine@work.log", "notes.txt"] {
        assert_eq!(fs::read_to_string(given.join("logs").join(name)).unwrap(), "mine", "{name}");
    }
}

/// A list of logs that somebody else wrote deletes nothing elsewhere.
#[test]
fn a_hostile_list_of_logs_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let given = folder.path().join("given");
    fs::create_dir_all(given.join("logs")).unwrap();
    fs::write(folder.path().join("a@b.log"), "mine").unwrap();
    fs::write(given.join("logs/notes"), "mine").unwrap();
    let logs = ["../../a@b.log", "notes", "..", "/etc/a@b.log"].map(str::to_owned).to_vec();
    fs::write(given.join("timings.json"), serde_json::to_string(&Timings { logs, ..Timings::default() }).unwrap()).unwrap();
    leave(1, folder.path(), |left| left.write(&given).unwrap());
    assert!(folder.path().join("a@b.log").exists() && given.join("logs/notes").exists());
}

#[test]
fn files_for_others_have_the_mode_that_the_user_gives_to_files() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (ordinary, whole) = (folder.path().join("ordinary"), folder.path().join("whole"));
    fs::write(&ordinary, "").unwrap();
    files::write_whole(&whole, b"").unwrap();
    assert_eq!(mode(&whole), mode(&ordinary));
    // One that is there keeps its own.
    fs::set_permissions(&whole, fs::Permissions::from_mode(0o640)).unwrap();
    files::write_whole(&whole, b"new").unwrap();
    assert_eq!((mode(&whole), fs::read(&whole).unwrap()), (0o640, b"new".to_vec()));
    let given = folder.path().join("given");
    leave(1, folder.path(), |left| left.write(&given).unwrap());
    assert_eq!(mode(&given.join("record.json")), mode(&ordinary));
    let own = Cache::at(&folder.path().join("cache"));
    leave(1, folder.path(), |left| drop(left.write_own(&own, "last", None).unwrap()));
    let there = folder.path().join("cache/records/last");
    assert_eq!(mode(&there.join("record.json")), mode(&ordinary));
    assert_eq!(mode(&there), mode(&given));
}

#[test]
fn a_cache_is_private_and_one_that_others_can_write_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let own = folder.path().join("a/b");
    let output = ggauge(&own, &["subjects"]);
    assert_eq!((mode(&own), mode(&own.join("scratch"))), (0o700, 0o700));
    assert!(!stderr(&output).contains("others can write"), "{}", stderr(&output));
    // Also what is remembered of files, whoever comes first.
    let first = folder.path().join("first");
    fs::create_dir(&first).unwrap();
    fs::set_permissions(&first, fs::Permissions::from_mode(0o700)).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    settle(&file);
    Cache::at(&first).sha256(&[&file], &ProgressBar::hidden()).unwrap();
    assert_eq!(mode(&first.join("hashes")), 0o700);
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let said = stderr(&ggauge(&open, &["subjects"]));
    assert_eq!(said.matches("others can write into the cache").count(), 1, "{said}");
    assert!(said.contains("next: ") && said.contains("mode 777"), "{said}");
    // Somebody wants it shared, so they can.
    assert_eq!(mode(&open.join("scratch")), 0o777);
}

#[test]
fn only_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let first = cache.alone("something").unwrap();
    let path = folder.path().join("locks/something");
    assert!(File::open(&path).unwrap().try_lock().is_err());
    cache.alone("something else").unwrap();
    let waiting = thread::spawn(move || cache.alone("something").map(|_| ()));
    thread::sleep(Duration::from_millis(200));
    assert!(!waiting.is_finished());
    drop(first);
    waiting.join().unwrap().unwrap();
    // A link is not followed, and nothing is made behind it.
    let behind = folder.path().join("behind");
    symlink(&behind, folder.path().join("locks/link")).unwrap();
    assert!(Cache::at(folder.path()).alone("link").is_err());
    assert!(!behind.exists());
}

/// A run that ends in an error, and one that begins, leave no more transcripts than the limit allows.
#[test]
fn truths_beyond_the_limit_go_after_an_error_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.gguf");
    fs::write(&path, "llama/f32@0".parse::<smith::Recipe>().unwrap().build().unwrap()).unwrap();
    let model = open(&path, folder.path());
    let large = folder.path().join("reference/large.safetensors");
    fs::create_dir_all(large.parent().unwrap()).unwrap();
    // All of it is a hole.
    File::create(&large).unwrap().set_len(5 << 30).unwrap();
    flip(&path, 100);
    judge(folder.path(), model, &["candle@cpu"]).unwrap_err();
    assert!(!large.exists());
}
