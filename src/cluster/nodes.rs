//! The other nodes of a cluster, and which of them live. Pure: the caller hands in the time.
//!
//! ```text
//!             3 s silent            5 s silent            1 h dead
//!   Live ───────────────► Suspect ────────────► Dead ───────────────► forgotten
//!    ▲ ▲                     │                    │
//!    │ └─────── heard ───────┘                    │      gone (any) ──► forgotten
//!    └───────────────── heard ────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::NodeState;
use crate::access::names::NodeName;

/// Time between two heartbeats of a node.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// Silence after which a node is suspect.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(3);

/// Silence after which a node is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(5);

/// Time for which a dead node is remembered.
pub const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// Nodes that are remembered.
pub const MAX_NODES: usize = 1024;

/// Whether a node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It was heard just now.
    Live,
    /// It has been silent for [`SUSPECT_AFTER`]. No client is sent to it.
    Suspect,
    /// It has been silent for [`DEAD_AFTER`].
    Dead,
}

impl Presence {
    fn after(silence: Duration) -> Self {
        if silence >= DEAD_AFTER {
            Self::Dead
        } else if silence >= SUSPECT_AFTER {
            Self::Suspect
        } else {
            Self::Live
        }
    }
}

/// Node of the cluster, other than this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its state, when it was heard last.
    pub state: NodeState,
    /// Whether it lives.
    pub presence: Presence,
    /// Its clock less ours, in milliseconds.
    pub skew_ms: i64,
    /// Time at which it was heard last, on the monotonic clock of this process.
    pub heard: Duration,
    /// Number of its process.
    pub run: u64,
}

/// Change of the set of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeChange {
    /// A node was heard for the first time.
    Joined(NodeName),
    /// A node is another process now.
    Restarted(NodeName),
    /// A node that was suspect or dead is live, or has connected to the broker again.
    Recovered(NodeName),
    /// A live node has become suspect.
    Suspected(NodeName),
    /// A node has died.
    Died(NodeName),
    /// A node has stopped, and said so.
    Left(NodeName),
    /// A node was dead for [`FORGET_AFTER`], and is no longer listed.
    Forgotten(NodeName),
}

impl NodeChange {
    /// Name of the node.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        match self {
            Self::Joined(name)
            | Self::Restarted(name)
            | Self::Recovered(name)
            | Self::Suspected(name)
            | Self::Died(name)
            | Self::Left(name)
            | Self::Forgotten(name) => name,
        }
    }

    /// Whether the node may have missed what was sent before: it needs all revocations again.
    #[must_use]
    pub fn may_have_missed(&self) -> bool {
        matches!(self, Self::Joined(_) | Self::Restarted(_) | Self::Recovered(_))
    }
}

/// The other nodes, at most [`MAX_NODES`].
#[derive(Debug, Default)]
pub struct Nodes(BTreeMap<NodeName, Node>);

impl Nodes {
    /// Returns an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a node lives.
    ///
    /// If the table is full, the node that has been dead for the longest makes room. If none is
    /// dead, the new one is ignored. Behind an [`Opener`](super::message::Opener) that does not
    /// happen: it admits no more senders in [`DEAD_AFTER`] than the table holds.
    pub fn heard(
        &mut self,
        now: Duration,
        from: &NodeName,
        run: u64,
        state: NodeState,
        skew_ms: i64,
    ) -> Option<NodeChange> {
        let before =
            self.0.get(from).map(|node| (node.run, node.presence == Presence::Live, node.state.connection));
        let change = match before {
            None if !self.makes_room() => return None,
            None => Some(NodeChange::Joined(from.clone())),
            Some((before, ..)) if before != run => Some(NodeChange::Restarted(from.clone())),
            Some((_, was_live, connection)) if !was_live || connection != state.connection => {
                Some(NodeChange::Recovered(from.clone()))
            }
            Some(_) => None,
        };
        let node = Node { name: from.clone(), state, presence: Presence::Live, skew_ms, heard: now, run };
        self.0.insert(from.clone(), node);
        change
    }

    /// Notes that the process `run` of a node stops.
    pub fn gone(&mut self, from: &NodeName, run: u64) -> Option<NodeChange> {
        self.0.get(from).filter(|node| node.run == run)?;
        self.0.remove(from).map(|node| NodeChange::Left(node.name))
    }

    /// Notes which nodes have been silent for long. To be called about each [`HEARTBEAT`], after
    /// the messages that have arrived.
    pub fn tick(&mut self, now: Duration) -> Vec<NodeChange> {
        let mut changes = Vec::new();
        self.0.retain(|name, node| {
            let silence = now.saturating_sub(node.heard);
            if silence >= DEAD_AFTER + FORGET_AFTER {
                changes.push(NodeChange::Forgotten(name.clone()));
                return false;
            }
            let presence = Presence::after(silence);
            if presence != node.presence {
                node.presence = presence;
                changes.push(match presence {
                    Presence::Live => NodeChange::Recovered(name.clone()),
                    Presence::Suspect => NodeChange::Suspected(name.clone()),
                    Presence::Dead => NodeChange::Died(name.clone()),
                });
            }
            true
        });
        changes
    }

    /// Returns a node.
    pub fn get(&self, name: &NodeName) -> Option<&Node> {
        self.0.get(name)
    }

    /// Lists the nodes, by name.
    pub fn list(&self) -> impl Iterator<Item = &Node> {
        self.0.values()
    }

    /// Makes room for one more node. Returns whether there is room now.
    fn makes_room(&mut self) -> bool {
        if self.0.len() < MAX_NODES {
            return true;
        }
        let dead = self.0.values().filter(|node| node.presence == Presence::Dead);
        let oldest = dead.min_by_key(|node| node.heard).map(|node| node.name.clone());
        oldest.is_some_and(|name| self.0.remove(&name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn state(allocations: u64) -> NodeState {
        NodeState { allocations, ..NodeState::default() }
    }

    fn presence(nodes: &Nodes, of: &str) -> Option<Presence> {
        nodes.list().find(|node| node.name.as_str() == of).map(|node| node.presence)
    }

    #[test]
    fn a_silent_node_is_suspect_after_3_s_dead_after_5_s_and_forgotten_after_an_hour() {
        let mut nodes = Nodes::new();
        let a = name("a");
        assert_eq!(nodes.heard(at(0), &a, 1, state(7), 12), Some(NodeChange::Joined(a.clone())));
        assert_eq!(nodes.heard(at(1000), &a, 1, state(8), 13), None);
        let node = nodes.list().next().unwrap();
        assert_eq!((node.state.allocations, node.skew_ms, node.heard), (8, 13, at(1000)));
        for (ms, change, then) in [
            (3999, None, Some(Presence::Live)),
            (4000, Some(NodeChange::Suspected(a.clone())), Some(Presence::Suspect)),
            (5999, None, Some(Presence::Suspect)),
            (6000, Some(NodeChange::Died(a.clone())), Some(Presence::Dead)),
            (3_605_999, None, Some(Presence::Dead)),
            (3_606_000, Some(NodeChange::Forgotten(a.clone())), None),
            (3_607_000, None, None),
        ] {
            assert_eq!(nodes.tick(at(ms)), Vec::from_iter(change), "{ms}");
            assert_eq!(presence(&nodes, "a"), then, "{ms}");
        }
    }

    #[test]
    fn a_node_that_is_heard_again_recovers() {
        let a = name("a");
        for silence in [3, 5, 3000] {
            let mut nodes = Nodes::new();
            nodes.heard(at(0), &a, 1, state(0), 0);
            nodes.tick(at(silence * 1000));
            assert_ne!(presence(&nodes, "a"), Some(Presence::Live));
            let now = at(silence * 1000 + 1);
            assert_eq!(nodes.heard(now, &a, 1, state(0), 0), Some(NodeChange::Recovered(a.clone())));
            assert_eq!((presence(&nodes, "a"), nodes.tick(now)), (Some(Presence::Live), vec![]));
        }
    }

    /// A process that was stopped for long reads what has arrived before it counts the silence.
    #[test]
    fn a_heartbeat_that_is_read_late_counts_from_then() {
        let mut nodes = Nodes::new();
        nodes.heard(at(0), &name("a"), 1, state(0), 0);
        assert_eq!(nodes.heard(at(60_000), &name("a"), 1, state(0), 0), None);
        assert_eq!(nodes.tick(at(60_000)), []);
    }

    #[test]
    fn a_node_that_stops_is_no_longer_listed() {
        let mut nodes = Nodes::new();
        let a = name("a");
        nodes.heard(at(0), &a, 1, state(0), 0);
        assert_eq!(nodes.gone(&a, 2), None, "that is another process");
        assert_eq!(nodes.gone(&name("b"), 1), None);
        assert_eq!(nodes.gone(&a, 1), Some(NodeChange::Left(a.clone())));
        assert_eq!((nodes.gone(&a, 1), nodes.list().count(), nodes.tick(at(9000))), (None, 0, vec![]));
        assert_eq!(nodes.heard(at(9000), &a, 2, state(0), 0), Some(NodeChange::Joined(a)));
    }

    #[test]
    fn a_new_process_of_a_node_takes_its_place() {
        let mut nodes = Nodes::new();
        let a = name("a");
        nodes.heard(at(0), &a, 1, state(9), 0);
        assert_eq!(nodes.heard(at(500), &a, 2, state(0), 0), Some(NodeChange::Restarted(a.clone())));
        assert_eq!(nodes.gone(&a, 1), None, "the old one's last words change nothing");
        nodes.tick(at(6000));
        assert_eq!(nodes.heard(at(6000), &a, 3, state(0), 0), Some(NodeChange::Restarted(a)));
        assert_eq!(presence(&nodes, "a"), Some(Presence::Live));
    }

    #[test]
    fn those_that_may_have_missed_something_are_told_apart() {
        let of = |change: fn(NodeName) -> NodeChange| {
            let change = change(name("a"));
            assert_eq!(change.name().as_str(), "a");
            change.may_have_missed()
        };
        let came = [NodeChange::Joined, NodeChange::Restarted, NodeChange::Recovered];
        assert!(came.into_iter().all(of));
        let went = [NodeChange::Suspected, NodeChange::Died, NodeChange::Left, NodeChange::Forgotten];
        assert!(!went.into_iter().any(of));
    }

    #[test]
    fn threat_60_the_table_is_bounded_and_only_the_dead_make_room() {
        let mut nodes = Nodes::new();
        for number in 0..20_000 {
            let heard = nodes.heard(at(0), &name(&format!("n{number}")), 1, state(0), 0);
            assert_eq!(heard.is_some(), number < MAX_NODES);
        }
        assert_eq!(nodes.list().count(), MAX_NODES);
        assert_eq!(nodes.heard(at(1), &name("n7"), 1, state(1), 0), None);
        assert_eq!(nodes.heard(at(2), &name("n8"), 1, state(1), 0), None);
        // Two die later than the others.
        nodes.tick(at(5002));
        for number in 0..MAX_NODES {
            let late = name(&format!("late{number}"));
            assert_eq!(nodes.heard(at(5002), &late, 1, state(0), 0), Some(NodeChange::Joined(late)));
            let left = nodes.list().filter(|node| node.presence == Presence::Dead).count();
            assert_eq!(left, MAX_NODES - 1 - number);
            assert_eq!(presence(&nodes, "n8").is_some(), left > 0, "the last one to die is the last to go");
        }
        assert_eq!(nodes.heard(at(5003), &name("n8"), 1, state(0), 0), None);
    }

    const NAMES: [&str; 3] = ["a", "b", "c"];

    /// Follows a change of the nodes that are live, and checks that it is one.
    fn follow(live: &mut [bool; 3], change: &NodeChange) {
        let index = NAMES.iter().position(|name| *name == change.name().as_str()).unwrap();
        let was = std::mem::replace(&mut live[index], change.may_have_missed());
        let is_new = match change {
            NodeChange::Joined(_) | NodeChange::Recovered(_) => !was,
            NodeChange::Suspected(_) => was,
            _ => true,
        };
        assert!(is_new, "{change:?}");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Heard { node: usize, run: u64 },
        Gone { node: usize, run: u64 },
        Tick,
    }

    fn any_step() -> impl Strategy<Value = (u64, Step)> {
        let wait = prop_oneof![4 => 0_u64..1500, 1 => 0_u64..8000, 1 => Just(3_600_000_u64)];
        let (node, run) = (0..3_usize, 0..2_u64);
        let step = prop_oneof![
            4 => (node.clone(), run.clone()).prop_map(|(node, run)| Step::Heard { node, run }),
            1 => (node, run).prop_map(|(node, run)| Step::Gone { node, run }),
            4 => Just(Step::Tick),
        ];
        (wait, step)
    }

    proptest! {
        /// The silence alone decides. Each change is reported once.
        #[test]
        fn the_table_is_what_the_silence_says(steps in prop::collection::vec(any_step(), 0..80)) {
            let (mut nodes, mut now) = (Nodes::new(), Duration::ZERO);
            // The run of each node that is listed, and when it was heard.
            let mut model: [Option<(u64, Duration)>; 3] = [None; 3];
            // Nodes that are live by the changes that were reported.
            let mut live = [false; 3];
            for (wait, step) in steps {
                now += at(wait);
                match step {
                    Step::Heard { node, run } => {
                        let change = nodes.heard(now, &name(NAMES[node]), run, state(run), 0);
                        let is_other_run = model[node].is_none_or(|(before, _)| before != run);
                        prop_assert!(change.is_some() || !is_other_run);
                        change.iter().for_each(|change| follow(&mut live, change));
                        model[node] = Some((run, now));
                    }
                    Step::Gone { node, run } => {
                        let is_it = model[node].is_some_and(|(current, _)| current == run);
                        let change = nodes.gone(&name(NAMES[node]), run);
                        prop_assert_eq!(change.is_some(), is_it);
                        change.iter().for_each(|change| follow(&mut live, change));
                        if is_it {
                            model[node] = None;
                        }
                    }
                    Step::Tick => {
                        nodes.tick(now).iter().for_each(|change| follow(&mut live, change));
                        for entry in &mut model {
                            *entry = entry.filter(|(_, heard)| now - *heard < DEAD_AFTER + FORGET_AFTER);
                        }
                        for (entry, name) in model.iter().zip(NAMES) {
                            let expected = entry.map(|(_, heard)| Presence::after(now - heard));
                            prop_assert_eq!(presence(&nodes, name), expected);
                        }
                    }
                }
                for (index, name) in NAMES.iter().enumerate() {
                    let listed = nodes.list().find(|node| node.name.as_str() == *name);
                    prop_assert_eq!(listed.map(|node| (node.run, node.heard)), model[index]);
                    let is_live = listed.is_some_and(|node| node.presence == Presence::Live);
                    prop_assert_eq!(live[index], is_live);
                }
            }
        }
    }
}
