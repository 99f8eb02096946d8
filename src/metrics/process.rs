//! Counts of the process itself: lost log lines, panics, unexpected ends of background tasks, and
//! what the process uses.

use std::fmt;
use std::sync::{Arc, Mutex};

use byway_turn::lock::lock;

use super::process_usage::ProcessUsage;
use super::{Counters, Page, SharedCount};

/// Kinds of threads by which panics are counted. The names of shard threads end with a number.
const THREADS: [&str; 5] = ["main", "http", "handshakes", "shard", "other"];

/// Count of the ends of one background task. The code names the task.
pub type TaskCount = Arc<SharedCount>;

/// Counts of the process itself.
#[derive(Debug, Default)]
pub struct ProcessCounters {
    /// Log lines that standard error did not accept.
    pub log_lines_lost: SharedCount,
    /// Start of the server, in seconds since 1970.
    pub started: SharedCount,
    panics: [SharedCount; THREADS.len()],
    // Written once per task at startup, and read at scrape time.
    tasks: Mutex<Vec<(&'static str, TaskCount)>>,
}

impl ProcessCounters {
    /// Counts a panic of the thread with this name.
    pub fn panicked(&self, thread: Option<&str>) {
        let is_of = |name: &&str| thread.is_some_and(|thread| thread.starts_with(name));
        let place = THREADS.iter().position(is_of).unwrap_or(THREADS.len() - 1);
        self.panics[place].add(1);
    }

    /// Returns the count of the ends of the task `name`. The code fixes the names, so they are a
    /// closed set.
    #[must_use]
    pub fn task(&self, name: &'static str) -> TaskCount {
        // A panic elsewhere leaves this list consistent.
        let mut tasks = lock(&self.tasks);
        if let Some((_, count)) = tasks.iter().find(|(other, _)| *other == name) {
            return count.clone();
        }
        let count = TaskCount::default();
        tasks.push((name, count.clone()));
        count
    }
}

impl Counters for ProcessCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counter(
            "log_lines_lost",
            "Log lines lost because standard error did not accept them.",
            self.log_lines_lost.get(),
        )?;
        page.counters(
            "panics",
            "Panics, by kind of thread. Each is a bug in this program: report it.",
            "thread",
            std::array::from_fn::<_, { THREADS.len() }, _>(|i| (THREADS[i], self.panics[i].get())),
        )?;
        let tasks = lock(&self.tasks);
        page.counters(
            "tasks_ended",
            "Unexpected ends of background tasks, by task. The server restarts them.",
            "task",
            tasks.iter().map(|(name, count)| (*name, count.get())),
        )?;
        drop(tasks);
        ProcessUsage::read().encode(self.started.get(), page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_counted_by_closed_kinds_of_threads() {
        let counters = ProcessCounters::default();
        for thread in [Some("shard-3"), Some("http"), Some("a-name-from-elsewhere"), None] {
            counters.panicked(thread);
        }
        assert_eq!(counters.panics.each_ref().map(SharedCount::get), [0, 1, 0, 1, 2]);
    }
}
