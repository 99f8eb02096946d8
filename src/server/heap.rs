//! Return of free heap pages to the kernel after connections have ended.

use std::sync::Arc;
use std::time::Duration;

use byway_udp::return_free_pages;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::net::connection_limit::ConnectionCounters;

/// Interval between checks of the number of ended connections.
const EVERY: Duration = Duration::from_secs(1);

/// Ended connections after which pages are returned at once: they held some 10 MiB.
const FLOOD: u64 = 256;

/// Ended connections after which pages are returned once it is quiet. Fewer held a MiB at most.
const SOME: u64 = 16;

/// Consecutive checks without an ended connection after which it is quiet. What an ended connection
/// still holds is freed after 5 s, the longest deadline of its leftovers.
const QUIET: u32 = 6;

/// Factor of the pause to the duration of the last return. With it, returns take a twentieth of one
/// core.
const PAUSE: u32 = 20;

/// Longest pause. On a busy machine a return takes long because its thread waits for a core.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Returns free pages during and after each flood of connections.
pub(super) async fn return_after_floods(connections: [Arc<ConnectionCounters>; 3], clock: Clock) {
    let mut floods = Floods::default();
    let mut pause = EVERY;
    loop {
        sleep(pause).await;
        pause = EVERY;
        if floods.look(connections.iter().map(|connections| connections.ended.get()).sum()) {
            let began = clock.now().mono;
            // The task does not panic; if the runtime ends, this task ends, too.
            let _ = spawn_blocking(return_free_pages).await;
            let took = clock.now().mono - began;
            tracing::debug!(?took, "returned free pages of the heap");
            pause = (took * PAUSE).clamp(EVERY, LONGEST_PAUSE);
        }
    }
}

/// Decides when to return free pages.
#[derive(Debug, Default)]
struct Floods {
    /// Connections that had ended at the last check.
    ended: u64,
    /// Connections that have ended since pages were last returned.
    since: u64,
    /// Set after a flood, because its last connections may free their memory later.
    is_late: bool,
    /// Consecutive checks without an ended connection.
    quiet: u32,
}

impl Floods {
    /// Records that `ended` connections have ended so far. Returns whether to return free pages
    /// now.
    fn look(&mut self, ended: u64) -> bool {
        let more = ended - self.ended;
        self.quiet = if more > 0 { 0 } else { self.quiet.saturating_add(1) };
        (self.ended, self.since) = (ended, self.since + more);
        let is_flood = self.since >= FLOOD;
        let is_over = self.quiet >= QUIET && (self.is_late || self.since >= SOME);
        if is_flood || is_over {
            (self.since, self.is_late) = (0, is_flood);
        }
        is_flood || is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checks at which pages are returned, for the count of ended connections at each check.
    fn returned(ended: impl IntoIterator<Item = u64>) -> Vec<usize> {
        let mut floods = Floods::default();
        ended.into_iter().enumerate().filter_map(|(at, ended)| floods.look(ended).then_some(at)).collect()
    }

    #[test]
    fn threat_29_the_last_connections_of_a_flood_return_their_memory_too() {
        let after = |counts: &[u64]| {
            let last = *counts.last().unwrap();
            returned(counts.iter().copied().chain(std::iter::repeat_n(last, 60)))
        };
        assert_eq!(after(&[312, 512]), [0, 7], "at once, and when the other 200 have ended");
        assert_eq!(after(&[256]), [0, 6], "what was freed late is returned once more, and no more than that");
        assert_eq!(after(&[255, 255, 256]), [2, 8]);
        assert_eq!(after(&[16]), [6]);
        assert!(after(&[15]).is_empty(), "not worth it");
    }

    #[test]
    fn whoever_comes_and_goes_all_the_time_costs_little() {
        // Three a second for an hour.
        let looks = (1..3_600).map(|second| 3 * second);
        assert_eq!(returned(looks).len(), 3 * 3_600 / 258);
    }
}
