//! What a worker writes on its stdout: lines of bounded length, each an answer in words that a Record has room for.

use printable::{LONGEST_WORDS, cut};
use std::{
    io::{BufRead, BufReader, Read},
    sync::mpsc::SyncSender,
};
use vocabulary::{
    BadAnswer, Description, Rejection,
    protocol::{self, Response},
};

/// What the reading thread saw on the worker's stdout.
pub(super) enum Line {
    Text(String),
    TooLong,
    End,
}

/// Reads lines until the last, and sends each; waits where nobody takes them.
pub(super) fn read_lines(stdout: impl Read, sender: &SyncSender<Line>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(protocol::LONGEST_LINE as u64).read_until(b'\n', &mut line);
        let message = match read {
            Ok(0) | Err(_) => Line::End,
            Ok(_) if line.ends_with(b"\n") => Line::Text(String::from_utf8_lossy(&line).into_owned()),
            Ok(len) if len >= protocol::LONGEST_LINE => Line::TooLong,
            // The last words of a process that ended in the middle of a line.
            Ok(_) => Line::End,
        };
        let last = !matches!(message, Line::Text(_));
        if sender.send(message).is_err() || last {
            return;
        }
    }
}

/// What a line says.
pub(super) fn response(line: &str) -> Result<Response, BadAnswer> {
    serde_json::from_str(line).map(shortened).map_err(|_| BadAnswer::Garbage { line: beginning(line) })
}

/// As much of a line as an error quotes.
pub(super) fn beginning(line: &str) -> String {
    line.chars().take(200).collect()
}

/// A worker's answer with words that are no longer than a Record has room for: our own workers see to that, others need not.
fn shortened(response: Response) -> Response {
    const MOST_FEATURES: usize = 200;
    let short = |words: String| cut(&words, LONGEST_WORDS).into_owned();
    match response {
        Response::Hello { protocol, description } => {
            let Description { runtime, device, driver, features, software } = description;
            let features = features.into_iter().take(MOST_FEATURES).map(short).collect();
            let description =
                Description { runtime: short(runtime), device: short(device), driver: short(driver), features, software };
            Response::Hello { protocol, description }
        }
        Response::Rejected(rejection) => Response::Rejected(Rejection { message: short(rejection.message), ..rejection }),
        Response::Unsupported { reason } => Response::Unsupported { reason: short(reason) },
        Response::TranscriptFailed { message } => Response::TranscriptFailed { message: short(message) },
        other => other,
    }
}
