//! Priority prefixes for the journal: `<3>` before a line (sd-daemon(3)). Without one, every line
//! has priority 6, and `journalctl -p warning` shows nothing.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Event format that puts the priority before each line.
pub(super) struct WithPriority<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for WithPriority<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        writeln!(writer, "{}", with_priority(*event.metadata().level(), text.trim_end()))
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
}
