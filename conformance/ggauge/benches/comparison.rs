//! What the harness does per case, at the size of `SmolLM2` with the 200-token prompt: writing, reading and comparing transcripts.

use divan::{Bencher, counter::BytesCount};
use harness::judge::oracle;
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;
use vocabulary::transcript::{Reader, Writer};

const POSITIONS: usize = 200;
const VOCABULARY: usize = 49_152;

fn main() {
    divan::main();
}

fn row(seed: usize) -> Vec<f32> {
    (0..VOCABULARY).map(|i| ((i * 31 + seed * 7919) % 1009) as f32 / 100.0).collect()
}

fn write(folder: &TempDir, name: &str, noise: f32) -> PathBuf {
    let path = folder.path().join(name);
    let mut out = Writer::create(&path, VOCABULARY, || Duration::ZERO).expect("the temporary folder is writable");
    for position in 0..POSITIONS {
        let mut row = row(position);
        row.iter_mut().step_by(3).for_each(|x| *x += noise);
        out.row(position, &row).expect("the temporary folder has space");
    }
    out.finish().expect("all rows are whole");
    path
}

#[divan::bench]
fn write_a_transcript(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let rows: Vec<_> = (0..POSITIONS).map(row).collect();
    bencher.counter(BytesCount::new(POSITIONS * VOCABULARY * 4)).bench_local(|| {
        let path = folder.path().join("written");
        let mut out = Writer::create(&path, VOCABULARY, || Duration::ZERO).expect("the temporary folder is writable");
        for (position, row) in rows.iter().enumerate() {
            out.row(position, row).expect("the temporary folder has space");
        }
        out.finish().expect("all rows are whole")
    });
}

#[divan::bench]
fn compare_two_transcripts(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let (a, b) = (write(&folder, "a", 0.01), write(&folder, "b", 0.0));
    bencher.counter(BytesCount::new(2 * POSITIONS * VOCABULARY * 4)).bench_local(|| {
        let (a, b) = (Reader::open(&a).expect("it is whole"), Reader::open(&b).expect("it is whole"));
        oracle::compare(&a, &b).expect("they fit").scale()
    });
}

/// One position, in memory: the arithmetic alone, at the vocabularies of `SmolLM2` and Gemma 3.
#[divan::bench(args = [49_152, 262_144])]
fn compare_two_rows(bencher: Bencher, vocabulary: usize) {
    let row = |noise: f32| (0..vocabulary).map(|i| ((i * 31) % 1009) as f32 / 100.0 + (i % 3) as f32 * noise).collect();
    let (a, b): (Vec<f32>, Vec<f32>) = (row(0.01), row(0.0));
    let (a, b) = ([(0, a)], [(0, b)]);
    bencher.counter(BytesCount::new(2 * vocabulary * 4)).bench_local(|| oracle::compare_rows_of(&a, &b));
}
