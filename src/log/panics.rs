//! Panics as lines of the log, without the data that the panicking code processed.
//!
//! A formatted message may hold a client's address, a name or a secret. Only a message that is a
//! literal in the source is shown; otherwise the source location must suffice. `RUST_BACKTRACE=1`
//! adds the names of functions.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::thread;

use tracing::Level;

use super::LastWords;
use crate::metrics::ProcessCounters;

/// Installs a hook that counts panics and logs them. At level `off`, and within the log itself,
/// they are lines without an event.
pub(super) fn log(counters: Arc<ProcessCounters>, last_words: LastWords) {
    panic::set_hook(Box::new(move |panic| {
        counters.panicked(thread::current().name());
        let text = described(panic);
        if tracing::enabled!(Level::ERROR) {
            tracing::error!("{text}");
        } else {
            last_words.say(&text);
        }
    }));
}

fn described(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = thread::current();
    let mut text = format!("thread {} panicked at {place}", thread.name().unwrap_or("without a name"));
    if let Some(literal) = panic.payload().downcast_ref::<&'static str>() {
        text.push_str(": ");
        text.push_str(literal);
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text.push('\n');
        text.push_str(&backtrace.to_string());
    }
    text
}
