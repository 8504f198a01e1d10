//! What the user's Ctrl-C does to a process that works on: a process of its own, because it concerns all of one.

use machine::{
    Error, external, interrupt,
    watched::{Bounds, End, Excess},
};
use rustix::process::{Signal, getpid, kill_process};
use std::{
    path::Path,
    time::{Duration, Instant},
};

fn sleep(seconds: &str) -> std::process::Command {
    let mut sleep = external::program("sleep", Path::new("/"));
    sleep.arg(seconds);
    sleep
}

#[test]
fn an_interrupt_ends_what_runs_and_is_set_aside_for_what_must_be_done() {
    interrupt::listen_patiently().unwrap();
    assert!(!interrupt::set_aside(interrupt::requested) && !interrupt::requested(), "nobody asked");
    kill_process(getpid(), Signal::INT).unwrap();
    let started = Instant::now();
    let interrupted = external::watch(sleep("100"), Bounds::default(), |_| ());
    assert!(matches!(interrupted, Err(Error::Interrupted)), "{interrupted:?}");
    assert!(started.elapsed() < Duration::from_secs(30));

    let bounds = Bounds { time: Some(Duration::from_millis(1500)), ..Bounds::default() };
    let done = interrupt::set_aside(|| external::watch(sleep("100"), bounds, |_| ()));
    assert_eq!(done.unwrap(), End::Stopped(Excess::Time), "neither the interrupt nor a moment's grace ended it");
    assert!(interrupt::requested(), "afterwards it is as it was");
}
