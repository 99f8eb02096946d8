//! Form of a line: text or JSON, and the priority prefix for the journal.
//!
//! The prefix is `<3>` before a line (sd-daemon(3)). Without one, every line has priority 6, and
//! `journalctl -p warning` shows nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{self, Format, Full, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::json;
use super::settings::LogFormat;

/// Target of lines that no module logged: last words, and panics at level `off`.
const PROCESS: &str = "byway";

/// Form of all lines of the process. The format may change at any time.
#[derive(Clone, Debug)]
pub(super) struct LineFormat {
    is_json: Arc<AtomicBool>,
    /// The journal takes priorities, and adds a timestamp to every line itself.
    is_journal: bool,
    timed: Format<Full, SystemTime>,
    untimed: Format<Full, ()>,
}

impl LineFormat {
    pub(super) fn new(is_journal: bool) -> Self {
        let text = format::format().with_target(false);
        Self { is_json: Arc::default(), is_journal, timed: text.clone(), untimed: text.without_time() }
    }

    pub(super) fn set(&self, format: LogFormat) {
        self.is_json.store(format == LogFormat::Json, Relaxed);
    }

    pub(super) fn is_journal(&self) -> bool {
        self.is_journal
    }

    /// Returns a line at level `ERROR` that comes from no event.
    pub(super) fn error(&self, text: &str) -> String {
        if self.is_json.load(Relaxed) {
            return self.prioritized(Level::ERROR, &json::message(Level::ERROR, PROCESS, text));
        }
        self.prioritized(Level::ERROR, text)
    }

    fn prioritized(&self, level: Level, text: &str) -> String {
        let mut lines = if self.is_journal { with_priority(level, text) } else { text.to_owned() };
        lines.push('\n');
        lines
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if self.is_json.load(Relaxed) {
            return writer.write_str(&self.prioritized(level, &json::event(event)));
        }
        if !self.is_journal {
            return self.timed.format_event(context, writer, event);
        }
        let mut text = String::new();
        self.untimed.format_event(context, Writer::new(&mut text), event)?;
        writer.write_str(&self.prioritized(level, text.trim_end()))
    }
}

/// Returns the priority of a level (syslog(3)): error, warning, informational, debug.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Returns the text with its priority before each line, because the journal makes an entry of each.
pub(super) fn with_priority(level: Level, text: &str) -> String {
    let priority = priority(level);
    let lines: Vec<_> = text.lines().map(|line| format!("<{priority}>{line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_entry_has_its_priority() {
        assert_eq!(with_priority(Level::WARN, "one\ntwo"), "<4>one\n<4>two");
        assert_eq!([Level::ERROR, Level::INFO, Level::DEBUG, Level::TRACE].map(priority), [3, 6, 7, 7]);
    }

    #[test]
    fn a_line_without_an_event_has_the_format_of_the_others() {
        let journal = LineFormat::new(true);
        assert_eq!(journal.error("a cause\n  remedy: one"), "<3>a cause\n<3>  remedy: one\n");
        journal.set(LogFormat::Json);
        let line = journal.error("a cause\n  remedy: one");
        let object = line.strip_prefix("<3>").and_then(|line| line.strip_suffix('\n')).unwrap();
        let object: serde_json::Value = serde_json::from_str(object).unwrap();
        assert_eq!((&object["level"], &object["target"]), (&"ERROR".into(), &"byway".into()));
        assert_eq!(object["message"], "a cause\n  remedy: one");
    }
}
