//! The log: lines on standard error, any of which may be lost.
//!
//! Nobody may read them: the reader of a pipe is gone or stopped, a terminal is closed, a disk is
//! full. Neither may end a call or delay one. So lines go through a bounded queue to a thread of
//! their own, the only one that ever waits for standard error. A line that finds the queue full, or
//! that standard error does not take, is counted and gone. `tracing-appender` has such a queue; it
//! panics where there is no thread to be had, and counts no failed write.

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

/// The log of this process. Dropped, it gives the lines that still wait a moment to be written.
#[derive(Debug)]
pub struct Log {
    counters: Arc<ProcessCounters>,
    queue: Option<Queue>,
    is_journal: bool,
}

impl Log {
    /// Starts the log at `level`, which `RUST_LOG` overrides. From then on a panic is a line of it,
    /// too; where the level is `off`, it is said on standard error.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(level: &str) -> io::Result<Self> {
        let counters = Arc::<ProcessCounters>::default();
        // The library that embeds the page would announce each file.
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

    /// No log, where there is no thread for one.
    #[must_use]
    pub fn off() -> Self {
        let counters = Arc::<ProcessCounters>::default();
        panics::say(counters.clone());
        Self { counters, queue: None, is_journal: stderr_is_the_journal() }
    }

    /// Counters of what the log lost, and of panics.
    #[must_use]
    pub fn counters(&self) -> Arc<ProcessCounters> {
        self.counters.clone()
    }

    /// Says on standard error why the process ends, behind the lines that still wait, and whatever
    /// the level.
    pub fn last_words(&self, words: &str) {
        let mut text = if self.is_journal { with_priority(Level::ERROR, words) } else { words.to_owned() };
        text.push('\n');
        match &self.queue {
            Some(queue) => {
                queue.put(text.as_bytes());
                queue.drain();
            }
            // Nobody is left to be told that nobody listens.
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

/// The library of the WebSockets tells every frame, and so credentials, the names of rooms and what
/// is said in them. No level may show those. That of HTTP/2 warns of what a stranger sends, frame
/// by frame: whoever likes could fill the disk with it.
fn may_be_told(event: &Metadata<'_>) -> bool {
    let is_of = |library| event.target().starts_with(library);
    !is_of("h2::") && (!is_of("tungstenite") || *event.level() <= Level::INFO)
}

/// Whether stderr goes to the systemd journal, which stamps every line itself: then
/// `JOURNAL_STREAM` holds its device and inode (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(|stderr| File::from(stderr).metadata());
    stderr.is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
