//! Serves one subject.

use anyhow::Context as _;
use clap::Args;
use ggauge::runtimes;
use harness::worker::serve;
use vocabulary::{Settings, SubjectId, Tuning, Upshot};

/// Serve one subject over the worker protocol on stdin and stdout. The harness starts this itself.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The subject, such as llama-cpp@cpu.
    subject: SubjectId,
    /// How exactly it computes.
    #[arg(long, default_value_t = Settings::Default)]
    settings: Settings,
    /// Threads, where not as many as the settings say.
    #[arg(long)]
    threads: Option<u32>,
    /// Tokens that one call of the runtime takes.
    #[arg(long)]
    batch: Option<u32>,
    /// Tokens that the runtime computes together.
    #[arg(long)]
    micro_batch: Option<u32>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let Arguments { subject, settings, threads, batch, micro_batch } = arguments;
    let tuning = Tuning { threads: *threads, batch: *batch, micro_batch: *micro_batch };
    serve::serve(|| runtimes::create(subject, *settings, tuning)).context("the worker cannot go on")?;
    Ok(Upshot::Good)
}
