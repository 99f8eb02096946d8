//! Log: lines on standard error, any of which may be lost.
//!
//! Standard error may not accept lines: the reader of a pipe has gone or stopped, a terminal is
//! closed, a disk is full. That must neither end nor delay a call. Lines therefore go through a
//! bounded queue to a separate thread, the only one that waits for standard error. A line that
//! finds the queue full, or that standard error rejects, is dropped and counted. `tracing-appender`
//! has such a queue, but it panics if it cannot spawn a thread, and does not count failed writes.

mod format;
mod panics;
mod queue;

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::metrics::ProcessCounters;
use format::{WithPriority, with_priority};
use queue::Queue;

/// Log of this process. On drop it waits a moment for queued lines to be written.
#[derive(Debug)]
pub struct Log {
    counters: Arc<ProcessCounters>,
    queue: Option<Queue>,
    is_journal: bool,
}

impl Log {
    /// Starts the log at `level`, which `RUST_LOG` overrides. From then on each panic is a line of
    /// the log; at level `off` it goes to standard error.
    ///
    /// # Errors
    /// The thread cannot be spawned.
    pub fn start(level: &str) -> io::Result<Self> {
        let counters = Arc::<ProcessCounters>::default();
        // Without this filter, the library that embeds the page logs each file.
        let filter = EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new(format!("{level},memory_serve=warn")));
        let queue = Queue::start(io::stderr(), counters.clone())?;
        let is_journal = stderr_is_the_journal();
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer({
                let queue = queue.clone();
                move || queue.clone()
            })
            .with_target(false);
        if is_journal {
            let format = WithPriority(tracing_subscriber::fmt::format().with_target(false).without_time());
            lines.with_ansi(false).event_format(format).finish().with(filter_fn(may_be_told)).init();
        } else {
            let colour =
                io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            lines.with_ansi(colour).finish().with(filter_fn(may_be_told)).init();
        }
        if level == "off" {
            panics::say(counters.clone());
        } else {
            panics::log(counters.clone());
        }
        Ok(Self { counters, queue: Some(queue), is_journal })
    }

    /// Returns a disabled log, for a process that cannot spawn the thread.
    #[must_use]
    pub fn off() -> Self {
        let counters = Arc::<ProcessCounters>::default();
        panics::say(counters.clone());
        Self { counters, queue: None, is_journal: stderr_is_the_journal() }
    }

    /// Returns the counters of lost lines and of panics.
    #[must_use]
    pub fn counters(&self) -> Arc<ProcessCounters> {
        self.counters.clone()
    }

    /// Writes the reason for the end of the process to standard error, after the queued lines and
    /// at any level.
    pub fn last_words(&self, words: &str) {
        let mut text = if self.is_journal { with_priority(Level::ERROR, words) } else { words.to_owned() };
        text.push('\n');
        match &self.queue {
            Some(queue) => {
                queue.put(text.as_bytes());
                queue.drain();
            }
            // A failed write cannot be reported anywhere.
            None => {
                let _ = io::stderr().write_all(text.as_bytes());
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.drain();
        }
    }
}

/// Whether an event may be logged. The WebSocket library logs every frame below `info`, and so
/// credentials, room names and messages, which no level may show. The HTTP/2 library warns of
/// malformed frames one by one, so unauthenticated clients could fill the disk.
fn may_be_told(event: &Metadata<'_>) -> bool {
    let is_of = |library| event.target().starts_with(library);
    !is_of("h2::") && (!is_of("tungstenite") || *event.level() <= Level::INFO)
}

/// Whether stderr goes to the systemd journal, which adds a timestamp to every line itself.
/// `JOURNAL_STREAM` then holds the device and inode (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(|stderr| File::from(stderr).metadata());
    stderr.is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
