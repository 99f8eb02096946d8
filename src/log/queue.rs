//! Queue before standard error, and the thread that drains it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use crate::metrics::ProcessCounters;

/// Maximum bytes of queued lines: some thousand lines.
const CAPACITY: usize = 1 << 20;

/// Time that the process waits at its end for queued lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Pause before the next write to a full pipe that does not block.
const FULL_PIPE: Duration = Duration::from_millis(10);

/// Item of the queue.
enum Entry {
    Line(Box<[u8]>),
    /// Marker: every earlier line has been written or lost.
    Flushed(SyncSender<()>),
}

/// Sending end of the queue, for any thread; sending never blocks.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    entries: Sender<Entry>,
    waiting: Arc<AtomicUsize>,
    counters: Arc<ProcessCounters>,
}

impl Queue {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The thread cannot be spawned.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        counters: Arc<ProcessCounters>,
    ) -> io::Result<Self> {
        let (entries, written) = channel();
        let queue = Self { entries, waiting: Arc::default(), counters };
        let (waiting, counters) = (queue.waiting.clone(), queue.counters.clone());
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(written, out, &waiting, &counters))?;
        Ok(queue)
    }

    /// Waits up to a second for the lines that were queued so far.
    pub(super) fn drain(&self) {
        let (flushed, wait) = sync_channel(1);
        if self.entries.send(Entry::Flushed(flushed)).is_ok() {
            let _ = wait.recv_timeout(LAST_LINES);
        }
    }

    /// Queues a line if there is room; counts it as lost otherwise.
    pub(super) fn put(&self, line: &[u8]) {
        let has_room = |waiting: usize| Some(waiting + line.len()).filter(|waiting| *waiting <= CAPACITY);
        let taken = self.waiting.fetch_update(Relaxed, Relaxed, has_room).is_ok()
            && self.entries.send(Entry::Line(line.into())).is_ok();
        if !taken {
            self.counters.log_lines_lost.add(1);
        }
    }
}

/// Each call writes one line and never fails: on a failure `tracing-subscriber` would write to
/// standard error, and panic there.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(entries: Receiver<Entry>, out: impl Write, waiting: &AtomicUsize, counters: &ProcessCounters) {
    let mut writer = LineWriter { out, is_torn: false };
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                if !writer.write(&line) {
                    counters.log_lines_lost.add(1);
                }
                waiting.fetch_sub(line.len(), Relaxed);
            }
            Entry::Flushed(flushed) => {
                let _ = flushed.send(());
            }
        }
    }
}

/// Writer of whole lines.
struct LineWriter<W> {
    out: W,
    /// Whether only a part of the last line was written, as on a disk that became full.
    is_torn: bool,
}

impl<W: Write> LineWriter<W> {
    /// Writes a line. Returns whether all of it was written. After a part of a line the next one
    /// begins on a new line, so that a program can read it.
    fn write(&mut self, line: &[u8]) -> bool {
        if self.is_torn && self.put(b"\n").is_err() {
            return false;
        }
        let written = self.put(line);
        self.is_torn = written.is_err_and(|written| written > 0);
        written.is_ok()
    }

    /// Writes all bytes. The error is the number of those that were written.
    fn put(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.out.write(&bytes[written..]) {
                Ok(0) => return Err(written),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process that shares the pipe or terminal has set O_NONBLOCK.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL_PIPE),
                Err(_) => return Err(written),
            }
        }
        self.out.flush().map_err(|_| 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc;

    use super::*;

    /// Writer that accepts one line per token and blocks without one.
    struct Gate(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.1.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn threat_30_a_reader_that_stopped_costs_lines_and_never_waiting() {
        let counters = Arc::<ProcessCounters>::default();
        let ((open, gate), (say, said)) = (mpsc::channel(), mpsc::channel());
        let mut queue = Queue::start(Gate(gate, say), counters.clone()).unwrap();
        let line = vec![b'.'; 64 << 10];
        (0..20).for_each(|_| queue.write_all(&line).unwrap());
        assert_eq!(counters.log_lines_lost.get(), 4, "16 lines of 64 KiB are all that wait");

        (0..16).for_each(|_| open.send(()).unwrap());
        assert!(said.iter().take(16).all(|written| written.len() == line.len()));
        // The reader is gone.
        drop(open);
        queue.drain();
        queue.write_all(b"lost").unwrap();
        queue.drain();
        assert_eq!(counters.log_lines_lost.get(), 5);
    }

    /// Writer that answers each call with the next result.
    struct Script(VecDeque<io::Result<usize>>, Vec<u8>);

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = self.0.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
            self.1.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer(results: impl IntoIterator<Item = io::Result<usize>>) -> LineWriter<Script> {
        LineWriter { out: Script(results.into_iter().collect(), Vec::new()), is_torn: false }
    }

    #[test]
    fn threat_30_a_line_cut_by_a_full_disk_spoils_no_other() {
        let full = || Err(io::ErrorKind::StorageFull.into());
        let mut writer = writer([Ok(2), full(), full(), Ok(100), full()]);
        let written = [(); 4].map(|()| writer.write(b"line\n"));
        assert_eq!(written, [false, false, false, true]);
        assert_eq!(String::from_utf8_lossy(&writer.out.1), "li\nline\n");
    }

    #[test]
    fn threat_30_a_full_pipe_that_does_not_block_loses_nothing() {
        let busy = || Err(io::ErrorKind::WouldBlock.into());
        let interrupted = Err(io::ErrorKind::Interrupted.into());
        let mut writer = writer([busy(), Ok(3), interrupted, busy()]);
        assert!(writer.write(b"line\n"));
        assert_eq!(writer.out.1, b"line\n");
    }
}
