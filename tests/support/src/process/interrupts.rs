//! Reads that survive the process being stopped and continued.
//!
//! A blocking read starts again after SIGCONT, unless its socket has a timeout (SO_RCVTIMEO): then
//! it fails with EINTR, without any signal handler (signal(7), "Interruption of system calls and
//! library functions by stop signals"). A frozen container or a debugger that attaches does the
//! same. Every test that waits sets such a timeout, and std's `recv`, `recv_from` and `read` do not
//! retry, as `read_exact` and `read_to_end` do. `tests/tidy/main.rs` finds reads without this.

use std::io::{self, ErrorKind, Read, Write};

/// Repeats a system call for as long as a signal interrupts it.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A stream for a library that does not retry by itself.
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
