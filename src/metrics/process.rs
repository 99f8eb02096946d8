//! Counts of the process itself: lost lines of its log, panics, and background tasks that ended
//! unasked.

use std::fmt;
use std::sync::{Arc, Mutex};

use byway_turn::lock::lock;

use super::{Counters, Page, SharedCount};

/// The threads that panics are counted by. Names of shards have a number behind.
const THREADS: [&str; 5] = ["main", "http", "handshakes", "shard", "other"];

/// Count of one background task, by the name that the code gives it.
pub type TaskCount = Arc<SharedCount>;

/// Counts of the process itself.
#[derive(Debug, Default)]
pub struct ProcessCounters {
    /// Lines of the log that standard error did not take.
    pub log_lines_lost: SharedCount,
    panics: [SharedCount; THREADS.len()],
    // Written once for each task at the start, and read at scrape time.
    tasks: Mutex<Vec<(&'static str, TaskCount)>>,
}

impl ProcessCounters {
    /// Counts a panic on the thread of this name.
    pub fn panicked(&self, thread: Option<&str>) {
        let is_of = |name: &&str| thread.is_some_and(|thread| thread.starts_with(name));
        let place = THREADS.iter().position(is_of).unwrap_or(THREADS.len() - 1);
        self.panics[place].add(1);
    }

    /// Count of the ends of the task `name`. The names stand in the code, so they are a closed set.
    #[must_use]
    pub fn task(&self, name: &'static str) -> TaskCount {
        // A panic leaves nothing half done here.
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
            "Lines of the log that standard error did not take.",
            self.log_lines_lost.get(),
        )?;
        page.counters(
            "panics",
            "Panics, by the kind of thread. Each is a fault of this program.",
            "thread",
            std::array::from_fn::<_, { THREADS.len() }, _>(|i| (THREADS[i], self.panics[i].get())),
        )?;
        let tasks = lock(&self.tasks);
        page.counters(
            "tasks_ended",
            "Background tasks that ended unasked, by task. They are started again.",
            "task",
            tasks.iter().map(|(name, count)| (*name, count.get())),
        )
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
