//! Reads that survive stopping and continuing the process.
//!
//! A blocking read restarts after SIGCONT, unless its socket has a timeout (SO_RCVTIMEO). Then it
//! fails with EINTR, even without a signal handler. See signal(7), "Interruption of system calls
//! and library functions by stop signals". Freezing a container or attaching a debugger has the
//! same effect.
//!
//! Every waiting test sets such a timeout. `read_exact` and `read_to_end` retry, but std's `recv`,
//! `recv_from` and `read` do not. `tests/tidy/main.rs` finds reads without this module.

use std::io::{self, ErrorKind, Read, Write};

/// Repeats a system call until no signal interrupts it.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A stream that retries interrupted calls, for libraries that do not.
pub struct Uninterrupted<S>(pub S);

impl<S: Read> Read for Uninterrupted<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.read(room))
    }
}

impl<S: Write> Write for Uninterrupted<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
