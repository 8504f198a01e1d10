//! A subject that is wrong on purpose, one way at a time: what the oracles and the worker's supervision are tested with.
//!
//! It also shows how little a worker needs: read JSON lines, write safetensors, answer. `fake-subject BEHAVIOUR` begins with the
//! exact logits and then does what its name says; `--pid FILE` makes it write its process id there first.
#![allow(clippy::disallowed_methods, reason = "it is started where the tests say")]

use reference::Rounding;
use rustix::process::{Signal, getpid, kill_process};
use std::{
    fs::{self, File},
    io::{self, BufRead, Write},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{FileExt, symlink},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};
use subject_reference::ReferenceSubject;
use vocabulary::{
    Description, Schedule, Session, Subject,
    protocol::{Request, Response, VERSION},
    transcript::{Reader, Writer},
};

/// What a child of this program is told to do.
const EATS_AT_ONCE: &str = "eat-memory-at-once";

#[expect(clippy::too_many_lines, reason = "one conversation, in its order")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let behaviour = arguments.next().unwrap_or_default();
    if behaviour == EATS_AT_ONCE {
        misbehave("eat-memory");
    }
    if let (Some("--pid"), Some(path)) = (arguments.next().as_deref(), arguments.next()) {
        fs::write(path, std::process::id().to_string())?;
    }
    let version = if behaviour == "old-protocol" { 0 } else { VERSION };
    answer(&Response::Hello {
        protocol: version,
        description: Description { runtime: format!("fake ({behaviour})"), ..Description::default() },
    })?;
    if behaviour == "deaf" {
        thread::sleep(Duration::from_hours(1));
    }
    let subject = ReferenceSubject { rounding: Rounding::EXACT };
    let mut session: Option<Box<dyn Session>> = None;
    let mut changed_file = false;
    let mut file = PathBuf::new();
    let mut evaluations = 0;
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    for line in io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Request::Load { model } => {
                if behaviour == "hang-at-load" {
                    thread::sleep(Duration::from_hours(1));
                }
                changed_file = model.file_stem().is_some_and(|stem| stem == "changed");
                file.clone_from(&model);
                // The session borrows nothing that ends before the process does.
                let loaded = Box::leak(Box::new(subject)).load(&model).map_err(|refusal| format!("{refusal:?}"))?;
                let claimed = if behaviour == "too-wide" { 1 << 33 } else { loaded.vocabulary_size() as u64 };
                answer(&Response::Loaded { vocabulary_size: claimed })?;
                session = Some(loaded);
            }
            Request::Evaluate { tokens, transcript, .. } => {
                let session = session.as_mut().ok_or("no model")?;
                if behaviour.starts_with("flood") {
                    // Mostly holes: what it would take to read them is the harness's, not ours.
                    File::create(&transcript)?.set_len(64 << 30)?;
                }
                if behaviour == "flood-and-answer" {
                    answer(&Response::Evaluated { cpu_seconds: 0.0, transcript_cpu_seconds: 0.0 })?;
                    continue;
                }
                misbehave(&behaviour);
                if behaviour == "change-model" {
                    flip_a_bit(&file)?;
                }
                let exact = transcript.with_extension("exact");
                let mut out = Writer::create(&exact, session.vocabulary_size(), || Duration::ZERO)?;
                vocabulary::evaluate(session.as_mut(), &tokens, Schedule::SingleShot, &mut out)
                    .map_err(|refusal| format!("{refusal:?}"))?;
                out.finish()?;
                let rows = read(&exact)?;
                fs::remove_file(exact)?;
                // Wrong in one way on every file, and in another on one that a relation has changed.
                evaluations += 1;
                let behaviour = match behaviour.as_str() {
                    "undecided" if evaluations % 2 == 0 => "top-logit",
                    "by-file" if changed_file => "constant",
                    "by-file" => "top-logit",
                    other => other,
                };
                write(&transcript, falsify(behaviour, rows))?;
                if behaviour == "truncated" {
                    let file = File::options().write(true).open(&transcript)?;
                    file.set_len(file.metadata()?.len() / 2)?;
                }
                answer(&Response::Evaluated { cpu_seconds: 0.0, transcript_cpu_seconds: 0.0 })?;
                if behaviour == "chatty" {
                    println!("and by the way");
                }
                change_afterwards(behaviour, &transcript)?;
            }
            Request::Continue { .. } | Request::Tokenize { .. } | Request::Read { .. } => {
                answer(&Response::Unsupported {
                    reason: "a fake neither continues prompts nor tokenizes nor reads headers".into(),
                })?;
                if behaviour == "hoard" {
                    hoard.push(vec![1; 64 << 20]);
                }
            }
        }
    }
    Ok(())
}

fn answer(response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    io::stdout().write_all(&line)?;
    io::stdout().flush()
}

/// What happens instead of an answer.
fn misbehave(behaviour: &str) {
    match behaviour {
        "exit" => std::process::exit(7),
        "abort" => std::process::abort(),
        "segfault" => {
            // Rust's own handler lets the first one pass, as it may have been a stack overflow.
            for _ in 0..2 {
                let _ = kill_process(getpid(), Signal::SEGV);
            }
        }
        "hang" | "flood" => thread::sleep(Duration::from_hours(1)),
        "eat-memory" => {
            let mut eaten: Vec<Vec<u8>> = Vec::new();
            loop {
                eaten.push(vec![1; 16 << 20]);
                thread::sleep(Duration::from_millis(5));
            }
        }
        "child-eats-memory" => {
            let mut child = Command::new(std::env::current_exe().unwrap_or_default());
            // Neither of our group nor, once we ended, of our session's.
            let _ = child.arg(EATS_AT_ONCE).process_group(0).status();
        }
        "share-memory" => share_memory(),
        "garbage" => println!("Segmentation fault? No, only a debugging print."),
        "endless-line" => loop {
            if io::stdout().write_all(&[b'x'; 1 << 12]).is_err() {
                std::process::exit(0);
            }
        },
        _ => {}
    }
}

/// What becomes of a transcript once it was said to be whole.
fn change_afterwards(behaviour: &str, transcript: &Path) -> io::Result<()> {
    let resize = |len| File::options().write(true).open(transcript)?.set_len(len);
    match behaviour {
        "then-zeros" => {
            fs::remove_file(transcript)?;
            symlink("/dev/zero", transcript)
        }
        "then-pipe" => {
            fs::remove_file(transcript)?;
            Ok(rustix::fs::mkfifoat(rustix::fs::CWD, transcript, rustix::fs::Mode::RWXU)?)
        }
        "then-long" => resize(64 << 30),
        "then-short" => resize(fs::metadata(transcript)?.len() / 2),
        "then-gone" => fs::remove_file(transcript),
        _ => Ok(()),
    }
}

/// Flips the highest bit of an exponent in the last tensor.
fn flip_a_bit(model: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(model)?;
    let at = file.metadata()?.len() - 1;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 0x40], at)
}

/// Maps memory that other processes could map, too, and looks at each page.
fn share_memory() {
    let file = rustix::fs::memfd_create("shared", rustix::fs::MemfdFlags::empty());
    let mut file = File::from(file.expect("Linux has it"));
    for _ in 0..64 {
        file.write_all(&vec![1; 16 << 20]).expect("there is memory");
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mapped = machine::MappedFile::open(Path::new(&path)).expect("it is there");
    let touched: u64 = mapped.iter().step_by(4096).map(|&byte| u64::from(byte)).sum();
    thread::sleep(Duration::from_hours(touched.min(1)));
}

type Row = (u64, Vec<f32>);

fn read(path: &Path) -> Result<Vec<Row>, String> {
    let reader = Reader::open(path)?;
    let mut rows = Vec::new();
    for (index, &position) in reader.positions().iter().enumerate() {
        let mut row = Vec::new();
        reader.read_row(index, &mut row).map_err(|error| error.to_string())?;
        rows.push((position, row));
    }
    Ok(rows)
}

fn write(path: &Path, rows: Vec<Row>) -> io::Result<()> {
    let mut out = Writer::create(path, rows.first().map_or(0, |(_, row)| row.len()), || Duration::ZERO)?;
    for (position, row) in rows {
        out.row(position as usize, &row)?;
    }
    out.finish().map(|_| ())
}

/// What happens to the numbers.
fn falsify(behaviour: &str, mut rows: Vec<Row>) -> Vec<Row> {
    let each = |rows: &mut [Row], change: &dyn Fn(&mut [f32])| rows.iter_mut().for_each(|(_, row)| change(row));
    match behaviour {
        "top-logit" => each(&mut rows, &|row| {
            if let Some(top) = row.iter_mut().max_by(|a, b| a.total_cmp(b)) {
                *top *= 1.1;
            }
        }),
        "shifted" => {
            let mut before = rows[0].1.clone();
            for (_, row) in &mut rows {
                std::mem::swap(row, &mut before);
            }
        }
        "constant" => each(&mut rows, &|row| row.iter_mut().for_each(|x| *x += 3.0)),
        "zeros" => each(&mut rows, &|row| row.fill(0.0)),
        "nan" => rows[1].1[5] = f32::NAN,
        "first-only" => rows.truncate(1),
        "swapped" => {
            let row = std::mem::take(&mut rows[2].1);
            rows[2].1 = std::mem::replace(&mut rows[3].1, row);
        }
        "wrong-shape" => each(&mut rows, &|_| {}),
        _ => {}
    }
    if behaviour == "wrong-shape" {
        for (_, row) in &mut rows {
            row.pop();
        }
    }
    rows
}
