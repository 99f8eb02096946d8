//! Log: lines on standard error, any of which may be lost.
//!
//! Standard error may not accept lines: the reader of a pipe has gone or stopped, a terminal is
//! closed, a disk is full. That must neither end nor delay a call. Lines therefore go through a
//! bounded queue to a separate thread, the only one that waits for standard error. A line that
//! finds the queue full, or that standard error rejects, is dropped and counted. `tracing-appender`
//! has such a queue, but it panics if it cannot spawn a thread, and does not count failed writes.
//!
//! The log starts before the configuration is read, as text at level `info`. [`LogControl::apply`]
//! then changes format and level, also while the server runs.

mod format;
mod json;
mod panics;
mod queue;
mod settings;

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::metrics::ProcessCounters;
use format::{LineFormat, with_priority};
use queue::Queue;

pub use settings::{LogFormat, LogLevel, LogLevelError, LogSettings};

/// Log of this process. On drop it waits a moment for queued lines to be written.
#[derive(Debug)]
pub struct Log {
    control: LogControl,
    last_words: LastWords,
}

/// Handle that changes the settings of the running log, and knows its counters.
#[derive(Clone, Debug)]
pub struct LogControl {
    counters: Arc<ProcessCounters>,
    format: LineFormat,
    /// `None` if the log is disabled.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

impl Log {
    /// Starts the log as text at `level`, which `RUST_LOG` overrides. From then on each panic is a
    /// line of the log.
    ///
    /// # Errors
    /// The thread cannot be spawned.
    pub fn start(level: &LogLevel) -> io::Result<Self> {
        let counters = Arc::<ProcessCounters>::default();
        let queue = Queue::start(io::stderr(), counters.clone())?;
        let format = LineFormat::new(is_journal(io::stderr()));
        let colour = !format.is_journal()
            && io::stderr().is_terminal()
            && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (filter, remark) = filter(level);
        let (filter, handle) = reload::Layer::new(filter);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer({
                let queue = queue.clone();
                move || queue.clone()
            })
            .with_ansi(colour)
            // They would go to standard error directly, and panic if it does not accept them.
            .log_internal_errors(false)
            .event_format(format.clone());
        tracing_subscriber::registry().with(filter).with(lines).with(filter_fn(may_be_told)).init();
        let last_words = LastWords { format: format.clone(), queue: Some(queue) };
        panics::log(counters.clone(), last_words.clone());
        if let Some(remark) = remark {
            tracing::warn!("{remark}");
        }
        Ok(Self { control: LogControl { counters, format, filter: Some(handle) }, last_words })
    }

    /// Returns a disabled log, for a process that cannot spawn the thread.
    #[must_use]
    pub fn off() -> Self {
        let counters = Arc::<ProcessCounters>::default();
        let format = LineFormat::new(is_journal(io::stderr()));
        let last_words = LastWords { format: format.clone(), queue: None };
        panics::log(counters.clone(), last_words.clone());
        Self { control: LogControl { counters, format, filter: None }, last_words }
    }

    /// Returns the handle that changes the settings.
    #[must_use]
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }

    /// Writes the reason for the end of the process to standard error, after the queued lines and
    /// at any level.
    pub fn last_words(&self, words: &str) {
        self.last_words.say(words);
        self.last_words.drain();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.last_words.drain();
    }
}

impl LogControl {
    /// Applies format and level to all later lines. `RUST_LOG` still overrides the level. Any
    /// thread may call this at any time.
    pub fn apply(&self, settings: &LogSettings) {
        self.format.set(settings.format);
        let Some(handle) = &self.filter else { return };
        // The subscriber lives as long as the process.
        let _ = handle.reload(filter(&settings.level).0);
        // The `log` crate, through which some libraries log, has a level of its own.
        let level = match LevelFilter::current().into_level() {
            None => log::LevelFilter::Off,
            Some(Level::ERROR) => log::LevelFilter::Error,
            Some(Level::WARN) => log::LevelFilter::Warn,
            Some(Level::INFO) => log::LevelFilter::Info,
            Some(Level::DEBUG) => log::LevelFilter::Debug,
            Some(Level::TRACE) => log::LevelFilter::Trace,
        };
        log::set_max_level(level);
    }

    /// Returns the counters of lost lines, panics and background tasks.
    #[must_use]
    pub fn counters(&self) -> Arc<ProcessCounters> {
        self.counters.clone()
    }
}

/// Lines at level `ERROR` that come from no event and that no level suppresses.
#[derive(Clone, Debug)]
struct LastWords {
    format: LineFormat,
    queue: Option<Queue>,
}

impl LastWords {
    fn say(&self, words: &str) {
        let line = self.format.error(words);
        match &self.queue {
            Some(queue) => queue.put(line.as_bytes()),
            // A failed write cannot be reported anywhere.
            None => {
                let _ = io::stderr().write_all(line.as_bytes());
            }
        }
    }

    fn drain(&self) {
        if let Some(queue) = &self.queue {
            queue.drain();
        }
    }
}

/// Writes an error of the command line to standard error, before the log has started.
pub fn say_before_start(text: &str) {
    LastWords { format: LineFormat::new(is_journal(io::stderr())), queue: None }.say(text);
}

/// Whether standard error goes to the systemd journal.
#[must_use]
pub fn stderr_is_journal() -> bool {
    is_journal(io::stderr())
}

/// Returns a warning on standard output, with its priority if the journal reads it. Other lines
/// there need none: the journal takes them as informational.
#[must_use]
pub fn warning_on_stdout(line: &str) -> String {
    if is_journal(io::stdout()) { with_priority(Level::WARN, line) } else { line.to_owned() }
}

/// Returns the filter of `RUST_LOG`, else that of `level`, and a remark if `RUST_LOG` is invalid.
fn filter(level: &LogLevel) -> (EnvFilter, Option<String>) {
    let configured = || level.filter().expect("a level that was parsed is a filter");
    match env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.is_empty()) {
        None => (configured(), None),
        Some(directives) => match EnvFilter::builder().parse(directives) {
            Ok(filter) => (filter, None),
            Err(error) => {
                let remark = format!(
                    "RUST_LOG is ignored, because it is invalid ({error}): write it as in \
                     \"info,byway::signaling=debug\""
                );
                (configured(), Some(remark))
            }
        },
    }
}

/// Whether an event may be logged. The WebSocket library logs every frame below `info`, and so
/// credentials, room names and messages, which no level may show. The HTTP/2 library warns of
/// malformed frames one by one, so unauthenticated clients could fill the disk.
fn may_be_told(event: &Metadata<'_>) -> bool {
    let is_of = |library| event.target().starts_with(library);
    !is_of("h2::") && (!is_of("tungstenite") || *event.level() <= Level::INFO)
}

/// Whether a stream goes to the systemd journal, which adds a timestamp to every line itself.
/// `JOURNAL_STREAM` then holds the device and inode (systemd.exec(5)).
fn is_journal(stream: impl AsFd) -> bool {
    let Ok(journal) = env::var("JOURNAL_STREAM") else { return false };
    let stream = stream.as_fd().try_clone_to_owned().and_then(|stream| File::from(stream).metadata());
    stream.is_ok_and(|stream| journal == format!("{}:{}", stream.dev(), stream.ino()))
}
