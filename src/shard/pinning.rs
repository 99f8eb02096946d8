//! CPU pinning: each shard's thread stays on one core, and its listeners get the datagrams that
//! arrive there.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Pins the calling thread to one of its allowed cores, chosen by `index`. Returns that core.
///
/// # Errors
/// The kernel or a system call filter forbids it.
pub(super) fn pin(index: u16) -> io::Result<usize> {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread)?;
    let cores: Vec<usize> = (0..CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true)).collect();
    let core = cores[usize::from(index) % cores.len().max(1)];
    let mut own = CpuSet::new();
    own.set(core)?;
    sched_setaffinity(this_thread, &own)?;
    Ok(core)
}
