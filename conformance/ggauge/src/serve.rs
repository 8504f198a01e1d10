//! A worker of somebody else's runtime, in a binary of theirs.

use clap::{Parser, Subcommand};
use harness::worker::serve;
use std::io;
use subject_reference::ReferenceSubject;
use vocabulary::{Refusal, Settings, Subject, SubjectId};

/// Serves a runtime for ggauge.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve one subject over the worker protocol on stdin and stdout. ggauge starts this itself.
    Worker {
        /// The subject, as RUNTIME@DEVICE.
        subject: SubjectId,
        /// How exactly it computes: default or strict. `GGAUGE_SETTINGS` says so otherwise.
        #[arg(long)]
        settings: Option<Settings>,
    },
}

/// Makes this process a worker that serves the subjects of a runtime, `RUNTIME@DEVICE`, and those of the exact reference, until its stdin ends:
/// all of a product's binary for [`Gauge::program`](crate::Gauge::program).
///
/// `create` makes the subject from its id and settings; it is called once. A panic ends the process and is told as such.
///
/// ```no_run
/// # use ggauge::{Refusal, Session, Settings, Subject, subject::Description};
/// # use std::path::Path;
/// # struct Ours;
/// # impl Ours { fn new(_: &str, _: Settings) -> Result<Self, Refusal> { Ok(Self) } }
/// # impl Subject for Ours {
/// #     fn describe(&self) -> Description { Description { runtime: "ours 1.0".into(), ..Description::default() } }
/// #     fn load(&self, _: &Path) -> Result<Box<dyn Session + '_>, Refusal> { Err(Refusal::Unsupported("no".into())) }
/// # }
/// fn main() -> std::io::Result<()> {
///     ggauge::serve("ours", |subject, settings| Ok(Box::new(Ours::new(subject.device(), settings)?)))
/// }
/// ```
///
/// The protocol itself, for other languages, is in `conformance/vocabulary/PROTOCOL.md`.
///
/// # Errors
/// Where the process cannot be set up, or whoever started it has gone.
pub fn serve(runtime: &str, create: impl FnOnce(&SubjectId, Settings) -> Result<Box<dyn Subject>, Refusal>) -> io::Result<()> {
    let Role::Worker { subject, settings } = Arguments::parse().role;
    let of_environment = || std::env::var("GGAUGE_SETTINGS").map_or(Ok(Settings::Default), |name| name.parse());
    let settings = settings.map_or_else(of_environment, Ok);
    serve::serve(|| match subject.runtime() {
        name if name == runtime => create(&subject, settings.map_err(Refusal::Unsupported)?),
        "reference" => Ok(Box::new(ReferenceSubject::new(subject.device())?)),
        other => Err(Refusal::Unsupported(format!("this program serves {runtime} and the reference, and not {other}"))),
    })
}
