//! Use of the machine by this process, under the names that the client libraries of Prometheus
//! share.

use std::fmt;
use std::fs;

use nix::time::{ClockId, clock_gettime};
use rlimit::Resource;

use super::Page;

/// Use of the machine by this process. What cannot be read is absent from the page.
#[derive(Debug)]
pub(super) struct ProcessUsage {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    threads: Option<u64>,
    open_descriptors: Option<u64>,
    max_descriptors: Option<u64>,
}

impl ProcessUsage {
    /// Reads it from the kernel.
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            cpu_seconds: cpu_seconds(),
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib << 10),
            virtual_bytes: field(&status, "VmSize:").map(|kib| kib << 10),
            threads: field(&status, "Threads:"),
            open_descriptors: open_descriptors(),
            max_descriptors: Resource::NOFILE.get_soft().ok(),
        }
    }

    /// Writes it. `started`: start of the process, in seconds since 1970.
    pub(super) fn encode(&self, started: u64, page: &mut Page<'_>) -> fmt::Result {
        if let Some(seconds) = self.cpu_seconds {
            page.standard_counter(
                "process_cpu_seconds",
                "Time on a processor, in user and system mode.",
                seconds,
            )?;
        }
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory.", self.resident_bytes),
            ("process_virtual_memory_bytes", "Virtual memory.", self.virtual_bytes),
            ("process_threads", "Threads.", self.threads),
            ("process_open_fds", "Open file descriptors.", self.open_descriptors),
            ("process_max_fds", "Limit of open file descriptors.", self.max_descriptors),
            ("process_start_time_seconds", "Start of the process, in seconds since 1970.", Some(started)),
        ] {
            if let Some(value) = value {
                page.standard_gauge(name, help, value)?;
            }
        }
        Ok(())
    }
}

/// Returns the processor time of all threads.
fn cpu_seconds() -> Option<f64> {
    let spent = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
    Some(std::time::Duration::from(spent).as_secs_f64())
}

/// Counts the open file descriptors, without the one that lists them.
fn open_descriptors() -> Option<u64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(listed.saturating_sub(1))
}

/// Returns the number of a field in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_name() {
        let status = "Name:\tbyway\nVmSize:\t  2048 kB\nVmRSS:\t     12 kB\nThreads:\t7\nVmSwap:\tx kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(12));
        assert_eq!(field(status, "VmSize:"), Some(2048));
        assert_eq!(field(status, "Threads:"), Some(7));
        assert_eq!(field(status, "VmSwap:"), None);
        assert_eq!(field(status, "VmPeak:"), None);
    }

    #[test]
    fn everything_is_there_on_linux() {
        let usage = ProcessUsage::read();
        assert!(usage.cpu_seconds.is_some_and(|seconds| seconds > 0.0), "{usage:?}");
        assert!(usage.resident_bytes < usage.virtual_bytes, "{usage:?}");
        assert!(
            usage.open_descriptors > Some(2) && usage.open_descriptors < usage.max_descriptors,
            "{usage:?}"
        );
        assert!(usage.threads.is_some_and(|threads| threads > 0), "{usage:?}");
    }
}
