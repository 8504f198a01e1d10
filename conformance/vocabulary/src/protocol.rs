//! What harness and worker say to each other. `PROTOCOL.md` beside this crate tells it to people who write a worker.
//!
//! One JSON object a line, strictly one answer to each request; numbers travel in safetensors files, not here.

use crate::{Contents, Description, Rejection, Schedule};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Version of this protocol. A worker says its version first, and the harness accepts this one only.
pub const VERSION: u32 = 1;

/// No line is longer: prompts are the longest thing sent, and the contents of a small file's header the longest answer.
pub const LONGEST_LINE: usize = 4 << 20;

/// From harness to worker, on stdin. The end of stdin asks the worker to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Load a model and keep it until the next load. Answer: `loaded`.
    Load {
        /// Path of the GGUF file.
        model: PathBuf,
    },
    /// Evaluate a prompt from an empty cache and write the logits. Answer: `evaluated`.
    Evaluate {
        /// Token ids.
        tokens: Vec<u32>,
        /// How to feed them.
        schedule: Schedule,
        /// Where to write the transcript; the folder exists.
        transcript: PathBuf,
    },
    /// Continue a prompt, from an empty cache, with the likeliest token again and again. Answer: `continued`.
    Continue {
        /// Token ids.
        tokens: Vec<u32>,
        /// How many tokens to add.
        count: u32,
    },
    /// Turn text into tokens with the vocabulary of a model. Answer: `tokenized`.
    Tokenize {
        /// Path of the GGUF file; it need not be loaded.
        model: PathBuf,
        /// The text.
        text: String,
    },
    /// Read the header, metadata and tensor table of a file, and no tensor data. Answer: `contents`.
    Read {
        /// Path of the GGUF file.
        file: PathBuf,
    },
}

/// From worker to harness, on stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Response {
    /// The first line, sent unasked.
    Hello {
        /// [`VERSION`].
        protocol: u32,
        /// What the subject is.
        description: Description,
    },
    /// The model is loaded.
    Loaded {
        /// Number of logits in a row.
        vocabulary_size: u64,
    },
    /// The transcript is written.
    Evaluated {
        /// CPU time of the process in this request, in seconds; 0 where it is not measured.
        #[serde(default, with = "crate::number")]
        cpu_seconds: f64,
        /// The part of it that went into the transcript file rather than the runtime.
        #[serde(default, with = "crate::number")]
        transcript_cpu_seconds: f64,
    },
    /// What the prompt goes on with.
    Continued {
        /// Token ids, at most as many as were asked for.
        tokens: Vec<u32>,
        /// For each, the lead of its logit over the next likeliest token's.
        #[serde(with = "crate::numbers")]
        margins: Vec<f32>,
        /// Wall-clock time for the prompt, fed in one call, in seconds.
        #[serde(with = "crate::number")]
        prefill_seconds: f64,
        /// Wall-clock time for the tokens after the first, one call each, in seconds.
        #[serde(with = "crate::number")]
        decode_seconds: f64,
    },
    /// The text's tokens.
    Tokenized {
        /// Token ids.
        tokens: Vec<u32>,
    },
    /// What the file holds, as this reader understands it.
    Contents {
        /// Everything that it tells.
        contents: Contents,
    },
    /// The subject refuses the input.
    Rejected(Rejection),
    /// The subject cannot do this at all.
    Unsupported {
        /// Why, in its own words.
        reason: String,
    },
    /// The worker could not write the transcript; the case is not judged.
    TranscriptFailed {
        /// The system's words.
        message: String,
    },
}
