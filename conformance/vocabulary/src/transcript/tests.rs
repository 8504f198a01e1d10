//! Transcripts that are written, read, cut short, and swapped for something else.

use super::*;
use std::{fs::File, io, path::Path, time::Duration};

fn no_clock() -> Duration {
    Duration::ZERO
}

/// Writes a complete transcript of one row.
fn one_row(path: &Path) {
    let mut writer = Writer::create(path, 2, no_clock).unwrap();
    writer.row(0, &[1.0, 2.0]).unwrap();
    writer.finish().unwrap();
}

/// All bytes that a reader gives in pieces.
fn gathered(each_piece: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    each_piece(&mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

#[test]
fn rows_come_back_by_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    let mut writer = Writer::create(&path, 3, no_clock).unwrap();
    writer.row(4, &[1.0, 2.0, 3.0]).unwrap();
    writer.part(2, 0, &[4.0]).unwrap();
    writer.part(2, 1, &[5.0, f32::NAN]).unwrap();
    writer.finish().unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.positions(), reader.vocabulary_size()), ([4, 2].as_slice(), 3));
    let mut row = Vec::new();
    reader.read_row(1, &mut row).unwrap();
    assert!(row[0] == 4.0 && row[1] == 5.0 && row[2].is_nan());
}

#[test]
fn a_cut_transcript_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    one_row(&path);
    let whole = std::fs::read(&path).unwrap();
    assert!(safetensors::SafeTensors::deserialize(&whole).is_ok(), "other readers must be able to read it");
    for len in 0..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(Reader::open(&path).is_err(), "{len} bytes were accepted");
    }
}

#[test]
fn of_rows_that_are_not_kept_the_last_ones_likeliest_token_is() {
    let mut writer = Writer::discarding(4);
    assert_eq!(writer.likeliest(), None);
    writer.row(7, &[9.0, 1.0, 2.0, 3.0]).unwrap();
    writer.part(8, 0, &[1.0, 5.0]).unwrap();
    writer.part(8, 2, &[5.0, f32::NAN]).unwrap();
    assert_eq!(writer.likeliest(), Some(Likeliest { position: 8, token: 1, logit: 5.0, second: 5.0 }));
    assert!(writer.row(9, &[0.0; 5]).is_err());
}

#[test]
fn a_note_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    one_row(&path);
    let pieces = || gathered(|take| Reader::open(&path).unwrap().each_piece(take)).unwrap();
    let before = pieces();
    assert_eq!((before.len(), Reader::open(&path).unwrap().note()), (2 * 4 + 8, None));
    annotate(&path, "first").unwrap();
    annotate(&path, "second \"quoted\"").unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.note(), reader.positions(), reader.vocabulary_size()), (Some("second \"quoted\""), [0].as_slice(), 2));
    assert_eq!(pieces(), before);
    assert!(
        safetensors::SafeTensors::deserialize(&std::fs::read(&path).unwrap()).is_ok(),
        "other readers must be able to read it"
    );
    assert!(annotate(&path, &"long".repeat(1000)).is_err(), "there is no room for it");
    assert_eq!(pieces(), before);
}

/// Whoever wrote it may write on.
#[test]
fn a_transcript_is_what_it_was_when_it_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    one_row(&path);
    let whole = std::fs::read(&path).unwrap();
    let reader = Reader::open(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let pieces = || gathered(|take| reader.each_piece_of_file(take));
    file.set_len(64 << 30).unwrap();
    assert_eq!(pieces().unwrap(), whole);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(pieces().unwrap(), whole);
    file.set_len(whole.len() as u64 - 1).unwrap();
    assert_eq!(pieces().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, path) = (folder.path().join("whole"), folder.path().join("t.safetensors"));
    one_row(&whole);
    for target in [Path::new("/dev/zero"), &whole] {
        std::os::unix::fs::symlink(target, &path).unwrap();
        assert_eq!(Reader::open(&path).unwrap_err(), "the transcript is a link, not a regular file");
        std::fs::remove_file(&path).unwrap();
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(Reader::open(&path).unwrap_err(), "the transcript is not a regular file");
    assert_eq!(Reader::open(folder.path()).unwrap_err(), "the transcript is not a regular file");
    assert!(Reader::open(&folder.path().join("none")).unwrap_err().starts_with("the transcript cannot be opened"));
}

#[test]
fn an_unfinished_transcript_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    let mut writer = Writer::create(&path, 2, no_clock).unwrap();
    writer.row(0, &[1.0, 2.0]).unwrap();
    drop(writer);
    assert!(Reader::open(&path).is_err());
    let mut writer = Writer::create(&path, 2, no_clock).unwrap();
    writer.part(0, 0, &[1.0]).unwrap();
    assert!(writer.finish().is_err(), "half a row");
}
