//! A subject that is wrong on purpose, one way at a time: what the oracles and the worker's supervision are tested with.
//!
//! It also shows how little a worker needs: read JSON lines, write safetensors, answer. `fake-subject BEHAVIOUR` begins with the
//! exact logits and then does what its name says; `--pid FILE` makes it write its process id there first.

use reference::{ReferenceSubject, Rounding};
use rustix::process::{Signal, getpid, kill_process};
use std::{
    fs::{self, File},
    io::{self, BufRead, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use vocabulary::{
    Description, Schedule, Session, Subject,
    protocol::{Request, Response, VERSION},
    transcript::{Reader, Writer},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let behaviour = arguments.next().unwrap_or_default();
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
    for line in io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Request::Load { model } => {
                changed_file = model.file_stem().is_some_and(|stem| stem == "changed");
                file.clone_from(&model);
                // The session borrows nothing that ends before the process does.
                let loaded = Box::leak(Box::new(subject)).load(&model).map_err(|refusal| format!("{refusal:?}"))?;
                answer(&Response::Loaded { vocabulary_size: loaded.vocabulary_size() as u64 })?;
                session = Some(loaded);
            }
            Request::Evaluate { tokens, transcript, .. } => {
                let session = session.as_mut().ok_or("no model")?;
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
            }
            Request::Continue { .. } | Request::Tokenize { .. } | Request::Read { .. } => {
                answer(&Response::Unsupported {
                    reason: "a fake neither continues prompts nor tokenizes nor reads headers".into(),
                })?;
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
        "hang" => thread::sleep(Duration::from_hours(1)),
        "eat-memory" => {
            let mut eaten: Vec<Vec<u8>> = Vec::new();
            loop {
                eaten.push(vec![1; 16 << 20]);
                thread::sleep(Duration::from_millis(5));
            }
        }
        "garbage" => println!("Segmentation fault? No, only a debugging print."),
        "endless-line" => loop {
            if io::stdout().write_all(&[b'x'; 1 << 12]).is_err() {
                std::process::exit(0);
            }
        },
        _ => {}
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
