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

fn write_all(
    entries: Receiver<Entry>,
    mut out: impl Write,
    waiting: &AtomicUsize,
    counters: &ProcessCounters,
) {
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                let written = out.write_all(&line).and_then(|()| out.flush());
                waiting.fetch_sub(line.len(), Relaxed);
                if written.is_err() {
                    counters.log_lines_lost.add(1);
                }
            }
            Entry::Flushed(flushed) => {
                let _ = flushed.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
}
