//! Workers: every subject runs in a child process, because C++ asserts abort and drivers segfault.
//!
//! [`serve`] is the child's side, [`process`] the parent's; between them goes [`vocabulary::protocol`], and [`machine::attend`] where the child is not
//! ours.

pub mod crowd;
pub mod environment;
pub mod launch;
mod lines;
pub mod pool;
pub mod process;
mod running;
pub mod serve;
mod transcripts;

/// CPU time this process has used.
pub fn cpu_time() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
