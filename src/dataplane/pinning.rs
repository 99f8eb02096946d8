//! A shard for each core: its thread stays there, and its listeners get what comes in there.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use socket2::SockRef;

use super::core::Listener;

/// Pins the calling thread to one of the cores that it may use, its own by `index`, and has the kernel prefer `listeners`
/// for datagrams that come in on that core (SO_INCOMING_CPU).
///
/// # Errors
/// The kernel, or a filter of system calls, allows neither.
pub(super) fn pin(index: u16, listeners: &[Listener]) -> io::Result<()> {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread)?;
    let cores: Vec<usize> = (0..CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true)).collect();
    let core = cores[usize::from(index) % cores.len().max(1)];
    let mut own = CpuSet::new();
    own.set(core)?;
    sched_setaffinity(this_thread, &own)?;
    for listener in listeners {
        SockRef::from(&listener.socket).set_cpu_affinity(core)?;
    }
    Ok(())
}
