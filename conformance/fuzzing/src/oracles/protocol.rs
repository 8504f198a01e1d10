//! What people and workers write, on any bytes: no panic, and what was read is written so that it reads back equal.

use crate::statistics;
use policy::{Divergences, Expectations, Tolerances};
use smith::Recipe;
use std::{fmt, str::FromStr};
use vocabulary::{
    Schedule, SubjectId,
    protocol::{Request, Response},
};

/// Reads a text as what its first byte says.
///
/// # Panics
/// Where it is not so.
pub fn check(input: &[u8]) {
    let Some((&kind, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match kind % 8 {
        0 => json::<Request>(text),
        1 => json::<Response>(text),
        2 => reads_back::<Recipe>(text),
        3 => {
            if let Ok(expectations) = Expectations::parse(text, "fuzz") {
                statistics::count("expectations");
                assert!(!expectations.rows().iter().any(|row| row.reason.is_empty()), "a row without a reason was accepted");
            }
        }
        4 => {
            if let Ok(tolerances) = Tolerances::parse(text, "fuzz") {
                statistics::count("tolerances");
                assert!(!tolerances.tolerance.is_empty(), "limits without a row were accepted");
            }
        }
        5 => reads_back::<SubjectId>(text),
        6 => reads_back::<Schedule>(text),
        _ => statistics::count(if Divergences::parse(text, "fuzz").is_ok() { "divergences" } else { "refused" }),
    }
}

fn json<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + fmt::Debug>(text: &str) {
    let Ok(read) = serde_json::from_str::<T>(text) else { return };
    statistics::count("read");
    let written =
        serde_json::to_string(&read).unwrap_or_else(|error| panic!("{read:?} was read and cannot be written: {error}"));
    assert!(!written.contains('\n'), "{read:?} does not fit a line");
    let again = serde_json::from_str::<T>(&written);
    // By their text: a number that is none is not equal to itself.
    let same = again.as_ref().is_ok_and(|again| format!("{again:?}") == format!("{read:?}"));
    assert!(same, "{read:?} reads back as {again:?}");
}

fn reads_back<T: FromStr<Err: fmt::Debug> + fmt::Display>(text: &str) {
    let Ok(read) = text.parse::<T>() else { return };
    statistics::count("read");
    let written = read.to_string();
    match written.parse::<T>() {
        Ok(again) => assert_eq!(again.to_string(), written, "`{text}` reads back as something else"),
        Err(error) => panic!("`{text}` was read, and written as `{written}` it cannot be: {error:?}"),
    }
}
