//! Whether this node is alone, because the bus is away or has just come back. Pure: the caller
//! hands in the time.
//!
//! ```text
//!             connected                 3 s
//!   Start ───────────────► Settling ───────────► Joined ◄──── connected within 1.5 s ────┐
//!                             ▲                    │                                     │
//!                             │                    └──────────── lost ──────────► Lost ──┤
//!                             │  5 s, or all nodes known before are heard                │ 1.5 s
//!                             └────────────────────── connected ◄─────────────── Away ◄──┘
//! ```
//!
//! The node is alone but in `Joined` and `Lost`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::access::names::NodeName;

/// Time without the bus after which a node is alone. A hiccup changes nothing.
const ALONE_AFTER: Duration = Duration::from_millis(1500);

/// Time with the bus after which a node that knew none before is no longer alone.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Time with the bus after which nodes that were known before and are not heard are gone.
const MISSED_AFTER: Duration = Duration::from_secs(5);

/// Isolation of this node.
#[derive(Debug, Default)]
pub struct Isolation {
    stage: Stage,
    /// Nodes that were known before, and were not heard since the bus is back.
    missing: BTreeSet<NodeName>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// The bus is away, and the node is alone.
    #[default]
    Away,
    /// The bus is back, and the node is alone until this time.
    Settling(Duration),
    Joined,
    /// The bus is away, and the node is alone from this time on.
    Lost(Duration),
}

impl Isolation {
    /// Returns the isolation of a node at its start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that the bus is there.
    pub fn connected(&mut self, now: Duration) {
        self.tick(now);
        self.stage = match self.stage {
            Stage::Away if self.missing.is_empty() => Stage::Settling(now + SETTLED_AFTER),
            Stage::Away => Stage::Settling(now + MISSED_AFTER),
            Stage::Lost(_) => Stage::Joined,
            stage => stage,
        }
    }

    /// Notes that the bus is away. `known` are the nodes that were not dead.
    pub fn lost(&mut self, now: Duration, known: impl IntoIterator<Item = NodeName>) {
        self.tick(now);
        self.stage = match self.stage {
            Stage::Joined => {
                self.missing = known.into_iter().collect();
                Stage::Lost(now + ALONE_AFTER)
            }
            Stage::Settling(_) => {
                self.missing.extend(known);
                Stage::Away
            }
            stage => stage,
        }
    }

    /// Notes that a node is heard, or that it says it stops.
    pub fn heard(&mut self, node: &NodeName) {
        if let Stage::Settling(_) = self.stage
            && self.missing.remove(node)
            && self.missing.is_empty()
        {
            self.stage = Stage::Joined;
        }
    }

    /// Notes that time passes.
    pub fn tick(&mut self, now: Duration) {
        match self.stage {
            Stage::Lost(at) if at <= now => self.stage = Stage::Away,
            Stage::Settling(at) if at <= now => {
                self.missing.clear();
                self.stage = Stage::Joined;
            }
            _ => {}
        }
    }

    /// Time at which [`Isolation::tick`] changes something.
    #[must_use]
    pub fn next_change(&self) -> Option<Duration> {
        match self.stage {
            Stage::Lost(at) | Stage::Settling(at) => Some(at),
            Stage::Away | Stage::Joined => None,
        }
    }

    /// Whether this node is alone.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        matches!(self.stage, Stage::Away | Stage::Settling(_))
    }

    /// Whether the bus has been away for so short that what was known still counts.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.stage, Stage::Lost(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn is_alone_at(isolation: &mut Isolation, ms: u64) -> bool {
        isolation.tick(at(ms));
        isolation.is_alone()
    }

    /// A node that knows others, at 10 s.
    fn joined() -> Isolation {
        let mut isolation = Isolation::new();
        isolation.connected(at(0));
        isolation.tick(at(10_000));
        assert!(!isolation.is_alone() && isolation.next_change().is_none());
        isolation
    }

    #[test]
    fn a_node_is_alone_until_3_s_after_its_first_connection() {
        let mut isolation = Isolation::new();
        assert!(is_alone_at(&mut isolation, 60_000) && isolation.next_change().is_none());
        isolation.lost(at(60_000), []);
        isolation.connected(at(61_000));
        isolation.heard(&name("a"));
        isolation.connected(at(62_000));
        assert_eq!(isolation.next_change(), Some(at(64_000)));
        assert!(is_alone_at(&mut isolation, 63_999));
        assert!(!is_alone_at(&mut isolation, 64_000));
    }

    #[test]
    fn a_hiccup_of_the_bus_changes_nothing() {
        let mut isolation = joined();
        isolation.lost(at(20_000), [name("a")]);
        isolation.lost(at(21_000), []);
        assert!(!is_alone_at(&mut isolation, 21_499) && isolation.is_interrupted());
        isolation.connected(at(21_499));
        assert!(!is_alone_at(&mut isolation, 60_000) && !isolation.is_interrupted());
    }

    #[test]
    fn a_node_without_the_bus_is_alone_until_all_are_heard_again_or_5_s_have_passed() {
        for (heard, until) in [(&["a", "b"][..], 40_000), (&["a"], 45_000), (&["c"], 45_000)] {
            let mut isolation = joined();
            isolation.lost(at(20_000), [name("a"), name("b")]);
            isolation.heard(&name("a"));
            assert_eq!(isolation.next_change(), Some(at(21_500)));
            assert!(is_alone_at(&mut isolation, 21_500) && is_alone_at(&mut isolation, 39_000));
            isolation.connected(at(40_000));
            assert!(isolation.is_alone());
            heard.iter().for_each(|node| isolation.heard(&name(node)));
            assert_eq!(isolation.is_alone(), until > 40_000, "{heard:?}");
            assert!(until == 40_000 || is_alone_at(&mut isolation, until - 1));
            assert!(!is_alone_at(&mut isolation, until));
        }
    }

    #[test]
    fn a_connection_that_is_lost_again_begins_from_the_start() {
        let mut isolation = joined();
        isolation.lost(at(20_000), [name("a"), name("b")]);
        isolation.connected(at(30_000));
        isolation.heard(&name("a"));
        isolation.lost(at(31_000), [name("a")]);
        isolation.connected(at(34_000));
        isolation.heard(&name("b"));
        assert!(is_alone_at(&mut isolation, 38_999), "the other was heard before, not now");
        isolation.heard(&name("a"));
        assert!(!isolation.is_alone());
    }

    #[test]
    fn a_node_that_knew_no_other_settles_as_at_the_start() {
        let mut isolation = joined();
        isolation.lost(at(20_000), []);
        isolation.connected(at(30_000));
        assert!(is_alone_at(&mut isolation, 32_999));
        assert!(!is_alone_at(&mut isolation, 33_000));
    }
}
