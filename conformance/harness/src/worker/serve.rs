//! The worker's side: reads requests from stdin, runs the subject, answers on stdout.

use crate::worker::cpu_time;
use machine::{family, interrupt};
use printable::{LONGEST_WORDS, cut};
use std::{
    fs::File,
    io::{self, BufRead, Write},
    path::Path,
};
use vocabulary::{
    Description, Refusal, Rejection, Session, Subject, evaluate,
    protocol::{self, Request, Response},
    transcript,
};

/// Serves requests for the subject that `create` makes until stdin ends.
///
/// # Errors
/// Where the process cannot be set up, or the harness has gone.
pub fn serve(create: impl FnOnce() -> Result<Box<dyn Subject>, Refusal>) -> io::Result<()> {
    let mut answers = claim_stdout()?;
    // If the harness dies in a way that cannot close our stdin in time, we go with it.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // Whatever a runtime starts stays where the harness finds it.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    family::without_core_files()?;
    interrupt::ignore_file_size_signal()?;
    // A panic is a finding like any other abort; the message has gone to stderr by then.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hook(info);
        std::process::abort();
    }));

    let subject = create();
    let mut description = subject.as_ref().map_or_else(|_| Description::default(), |subject| subject.describe());
    if description.device.is_empty() {
        description.device = processor();
    }
    send(&mut answers, &Response::Hello { protocol: protocol::VERSION, description })?;
    let subject = match subject {
        Ok(subject) => subject,
        Err(refusal) => {
            // Every request gets the same answer.
            let answer = refused(refusal);
            for line in io::stdin().lock().lines() {
                line?;
                send(&mut answers, &answer)?;
            }
            return Ok(());
        }
    };
    let mut session: Option<Box<dyn Session + '_>> = None;
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let answer = answer(subject.as_ref(), &mut session, request).unwrap_or_else(refused);
        send(&mut answers, &answer)?;
    }
    Ok(())
}

/// The processor's own name, for runtimes that do not say what they run on.
fn processor() -> String {
    let brand = || raw_cpuid::CpuId::new().get_processor_brand_string().map(|brand| brand.as_str().trim().to_owned());
    brand().unwrap_or_else(|| std::env::consts::ARCH.into())
}

/// Keeps stdout for answers alone: what C or C++ code prints there goes to stderr from now on.
fn claim_stdout() -> io::Result<File> {
    let answers = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(File::from(answers))
}

fn send(answers: &mut File, answer: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    // The contents of a real model's header do not fit; a line that is too long would look like a fault.
    if line.len() >= protocol::LONGEST_LINE {
        let (bytes, most) = (line.len(), protocol::LONGEST_LINE);
        let reason = format!("the answer takes {bytes} bytes, where the protocol has room for {most}");
        line = serde_json::to_vec(&Response::Unsupported { reason })?;
    }
    line.push(b'\n');
    answers.write_all(&line)
}

fn refused(refusal: Refusal) -> Response {
    // A runtime's words can quote a hostile file at any length.
    let shortened = |words: String| cut(&words, LONGEST_WORDS).into_owned();
    match refusal {
        Refusal::Rejected(rejection) => Response::Rejected(Rejection { message: shortened(rejection.message), ..rejection }),
        Refusal::Unsupported(reason) => Response::Unsupported { reason: shortened(reason) },
        Refusal::Transcript(error) => Response::TranscriptFailed { message: error.to_string() },
    }
}

fn answer<'s>(
    subject: &'s dyn Subject,
    session: &mut Option<Box<dyn Session + 's>>,
    request: Request,
) -> Result<Response, Refusal> {
    match request {
        Request::Load { model } => {
            // The old model goes first: two at a time may not fit.
            *session = None;
            let loaded = subject.load(&model)?;
            let vocabulary_size = loaded.vocabulary_size() as u64;
            *session = Some(loaded);
            Ok(Response::Loaded { vocabulary_size })
        }
        Request::Evaluate { tokens, schedule, transcript } => {
            let session = session.as_mut().ok_or_else(|| Refusal::Unsupported("no model is loaded".into()))?;
            run(session.as_mut(), &tokens, schedule, &transcript)
        }
        Request::Continue { tokens, count } => {
            let session = session.as_mut().ok_or_else(|| Refusal::Unsupported("no model is loaded".into()))?;
            let continuation = vocabulary::continue_greedily(session.as_mut(), &tokens, count as usize)?;
            Ok(Response::Continued {
                tokens: continuation.tokens,
                margins: continuation.margins,
                prefill_seconds: continuation.prefill.as_secs_f64(),
                decode_seconds: continuation.decode.as_secs_f64(),
            })
        }
        Request::Read { file } => Ok(Response::Contents { contents: subject.read(&file)?.shallow() }),
        Request::Tokenize { model, text } => Ok(Response::Tokenized { tokens: subject.tokenize(&model, &text)? }),
    }
}

fn run(session: &mut dyn Session, tokens: &[u32], schedule: vocabulary::Schedule, path: &Path) -> Result<Response, Refusal> {
    let started = cpu_time();
    let mut out = transcript::Writer::create(path, session.vocabulary_size(), cpu_time)?;
    evaluate(session, tokens, schedule, &mut out)?;
    let transcript_cpu_seconds = out.finish()?.as_secs_f64();
    Ok(Response::Evaluated { cpu_seconds: (cpu_time().saturating_sub(started)).as_secs_f64(), transcript_cpu_seconds })
}
