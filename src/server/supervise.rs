//! Supervision of background tasks, which must not end while the server runs.
//!
//! A task that panics or returns would stop its work silently. A [`Supervisor`] therefore runs each
//! task. It logs and counts such an end and restarts the task with increasing pauses.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::metrics::ProcessCounters;

/// Shortest and longest pause before a restart. It is doubled each time up to the longest. It is
/// reset if the task has run for the longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Runs background tasks.
#[derive(Clone, Debug)]
pub(super) struct Supervisor {
    counters: Arc<ProcessCounters>,
    clock: Clock,
    pauses: (Duration, Duration),
}

impl Supervisor {
    pub(super) fn new(counters: Arc<ProcessCounters>, clock: Clock) -> Self {
        Self { counters, clock, pauses: PAUSES }
    }

    /// Runs the futures that `make` returns, one after the other, until the runtime ends. `name`
    /// appears in the log and labels `byway_tasks_ended_total`.
    pub(super) fn keep<F>(&self, name: &'static str, mut make: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (ended, clock, (shortest, longest)) = (self.counters.task(name), self.clock, self.pauses);
        tokio::spawn(async move {
            let mut pause = shortest;
            loop {
                let begun = clock.now().mono;
                // All shared state is behind locks, which report by themselves that a holder
                // panicked.
                let run = AssertUnwindSafe(async { make().await }).catch_unwind().await;
                ended.add(1);
                if clock.now().mono - begun >= longest {
                    pause = shortest;
                }
                let how = if run.is_ok() { "returned" } else { "panicked" };
                tracing::error!("the background task `{name}` {how}; it is started again in {pause:?}");
                sleep(pause).await;
                pause = (2 * pause).min(longest);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A supervisor with pauses of milliseconds.
    fn supervisor() -> (Supervisor, Arc<ProcessCounters>) {
        let counters = Arc::<ProcessCounters>::default();
        let pauses = (Duration::from_millis(1), Duration::from_millis(2));
        (Supervisor { pauses, ..Supervisor::new(counters.clone(), Clock::start()) }, counters)
    }

    #[tokio::test]
    async fn threat_30_a_task_that_panics_or_returns_is_counted_and_started_again() {
        let (supervisor, counters) = supervisor();
        let (run, mut runs) = tokio::sync::mpsc::unbounded_channel();
        let mut number = 0;
        supervisor.keep("of-a-test", move || {
            number += 1;
            let (run, number) = (run.clone(), number);
            async move {
                run.send(number).unwrap();
                match number {
                    1 => panic!("a fault"),
                    2 => {}
                    _ => std::future::pending().await,
                }
            }
        });
        for number in 1..=3 {
            assert_eq!(runs.recv().await, Some(number));
        }
        assert_eq!(counters.task("of-a-test").get(), 2);
    }

    #[tokio::test]
    async fn threat_30_a_task_that_cannot_even_be_made_is_no_end_of_it() {
        let (supervisor, counters) = supervisor();
        let (made, mut is_made) = tokio::sync::mpsc::unbounded_channel();
        let mut tries = 0;
        supervisor.keep("of-a-test", move || {
            tries += 1;
            assert!(tries > 2, "as where no thread is to be had");
            made.send(()).unwrap();
            std::future::pending()
        });
        assert_eq!(is_made.recv().await, Some(()));
        assert_eq!(counters.task("of-a-test").get(), 2);
    }
}
