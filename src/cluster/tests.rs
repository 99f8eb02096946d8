//! Cluster in virtual time, over a bus that loses, delays, doubles, reorders and parts.
//!
//! Its driver is as simple as can be: a heartbeat each second, and all revocations again for a node
//! that may have missed some, and every half a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use byway_turn::auth::Secrets;
use byway_turn::prng::Prng;
use proptest::prelude::*;

use super::NodeState;
use super::choice::{Choice, choose};
use super::message::{Message, Opener, Rejection, Revoked, Sealer};
use super::nodes::{Nodes, Presence, SUSPECT_AFTER};
use super::revocation_log::RevocationLog;
use crate::access::names::NodeName;

const NODES: usize = 4;
const STEP_MS: u64 = 100;
/// Time between two times that a node sends all its revocations again.
const RESEND_MS: u64 = 30_000;
const START_MS: u64 = 1_764_500_000_000;

/// Process of a node.
struct Process {
    run: u64,
    sealer: Sealer,
    opener: Opener,
    nodes: Nodes,
    log: RevocationLog,
    /// Names that this process takes for revoked.
    revoked: BTreeSet<String>,
    /// Names that it revoked itself.
    own: BTreeSet<String>,
    must_resend: bool,
}

struct Sim {
    random: Prng,
    secrets: Secrets,
    now_ms: u64,
    processes: [Option<Process>; NODES],
    /// Clock of each node less the true time, in milliseconds.
    skews: [i64; NODES],
    /// Payloads on their way, by the time of their arrival.
    bus: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    sent: u64,
    runs: u64,
    /// Nodes that are cut off from the others.
    cut_off: BTreeSet<usize>,
    is_sound: bool,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Crash(usize),
    Stop(usize),
    Start(usize),
    Revoke(usize),
    CutOff(usize),
    Join(usize),
}

fn any_event() -> impl Strategy<Value = (u64, Event)> {
    let event = (0..NODES).prop_flat_map(|node| {
        prop_oneof![
            2 => Just(Event::Crash(node)),
            1 => Just(Event::Stop(node)),
            4 => Just(Event::Start(node)),
            5 => Just(Event::Revoke(node)),
            2 => Just(Event::CutOff(node)),
            2 => Just(Event::Join(node)),
        ]
    });
    (0_u64..40, event)
}

fn name(node: usize) -> NodeName {
    format!("node-{node}").parse().unwrap()
}

fn state(node: usize) -> NodeState {
    let urls = vec![format!("turn:relay-{node}.example.org:3478")];
    NodeState { urls, allocations: node as u64, ..NodeState::default() }
}

impl Sim {
    fn new(seed: u8) -> Self {
        let mut sim = Self {
            random: Prng::new(&[seed; 32], "cluster"),
            secrets: Secrets::new(&["north"]).unwrap(),
            now_ms: 0,
            processes: [const { None }; NODES],
            skews: [0, 20_000, -20_000, 1],
            bus: BTreeMap::new(),
            sent: 0,
            runs: 0,
            cut_off: BTreeSet::new(),
            is_sound: false,
        };
        (0..NODES).for_each(|node| sim.start(node));
        sim
    }

    fn start(&mut self, node: usize) {
        if self.processes[node].is_some() {
            return;
        }
        self.runs += 1;
        let run = self.runs;
        self.processes[node] = Some(Process {
            run,
            sealer: Sealer::new(name(node), run),
            opener: Opener::new(name(node), run),
            nodes: Nodes::new(),
            log: RevocationLog::new(),
            revoked: BTreeSet::new(),
            own: BTreeSet::new(),
            must_resend: false,
        });
    }

    fn clock(&self, node: usize) -> u64 {
        (START_MS + self.now_ms).checked_add_signed(self.skews[node]).unwrap()
    }

    fn chance(&self, of: u64) -> bool {
        self.random.number().is_multiple_of(of)
    }

    /// Publishes a message to all nodes, the sender among them.
    fn publish(&mut self, from: usize, message: &Message) {
        let clock = self.clock(from);
        let Some(process) = &mut self.processes[from] else { return };
        let payload = process.sealer.seal(&self.secrets, clock, message);
        for to in 0..NODES {
            let is_parted = self.cut_off.contains(&from) != self.cut_off.contains(&to);
            if is_parted || (!self.is_sound && self.chance(5)) {
                continue;
            }
            let copies = if !self.is_sound && self.chance(5) { 2 } else { 1 };
            for _ in 0..copies {
                let delay = if self.is_sound { 0 } else { self.random.number() % 1500 };
                self.sent += 1;
                self.bus.insert((self.now_ms + delay, self.sent), (to, payload.clone()));
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Crash(node) => self.processes[node] = None,
            Event::Stop(node) => {
                self.publish(node, &Message::Gone);
                self.processes[node] = None;
            }
            Event::Start(node) => self.start(node),
            Event::Revoke(node) => {
                let Some(process) = &mut self.processes[node] else { return };
                let revoked = format!("user-{}", self.sent);
                process.own.insert(revoked.clone());
                process.revoked.insert(revoked.clone());
                process.log.note(0, &revoked, u64::MAX);
                let names = vec![Revoked { name: revoked, until: u64::MAX }];
                self.publish(node, &Message::Revoke(names));
            }
            Event::CutOff(node) => {
                self.cut_off.insert(node);
            }
            Event::Join(node) => {
                self.cut_off.remove(&node);
            }
        }
    }

    /// Lets a tenth of a second pass.
    fn step(&mut self) {
        self.now_ms += STEP_MS;
        let later = self.bus.split_off(&(self.now_ms + 1, 0));
        for (to, payload) in std::mem::replace(&mut self.bus, later).into_values() {
            self.deliver(to, &payload);
        }
        for node in 0..NODES {
            // Each at a time of its own.
            if self.now_ms % 1000 == node as u64 * 200 {
                self.beat(node);
            }
        }
    }

    fn deliver(&mut self, to: usize, payload: &[u8]) {
        let (clock, now) = (self.clock(to), Duration::from_millis(self.now_ms));
        let Some(process) = &mut self.processes[to] else { return };
        let received = match process.opener.open(&self.secrets, clock, payload) {
            Ok(None) => return,
            Ok(Some(received)) => received,
            Err(rejected) => {
                assert_eq!(rejected.reason, Rejection::Replayed, "the bus forges nothing");
                return;
            }
        };
        let from = &received.from;
        let change = match received.message {
            Message::Node(state) => process.nodes.heard(now, from, received.run, state, received.skew_ms),
            Message::Gone => process.nodes.gone(from, received.run),
            Message::Revoke(names) => {
                process.revoked.extend(names.into_iter().map(|revoked| revoked.name));
                None
            }
            Message::Link(_) | Message::Unknown => unreachable!("nobody sends one"),
        };
        process.must_resend |= change.is_some_and(|change| change.may_have_missed());
    }

    /// Ticks, resends and sends a heartbeat.
    fn beat(&mut self, node: usize) {
        let Some(process) = &mut self.processes[node] else { return };
        process.nodes.tick(Duration::from_millis(self.now_ms));
        process.must_resend |= self.now_ms % RESEND_MS < 1000;
        let batches = if std::mem::take(&mut process.must_resend) { process.log.current(0) } else { vec![] };
        for batch in batches {
            self.publish(node, &Message::Revoke(batch));
        }
        self.publish(node, &Message::Node(state(node)));
    }

    /// Checks what holds at any time.
    fn check(&self) {
        let now = Duration::from_millis(self.now_ms);
        for (node, process) in self.processes.iter().enumerate() {
            let Some(process) = process else { continue };
            assert!(process.nodes.list().all(|other| other.name != name(node)), "a node lists itself");
            let draining = NodeState { draining: true, ..state(node) };
            if let Choice::Other(other) = choose(&draining, process.nodes.list(), None) {
                let silence = now - other.heard;
                assert!(silence < SUSPECT_AFTER + Duration::from_secs(1), "{silence:?}");
            }
        }
    }

    /// Checks what holds when the bus has been sound for long enough.
    fn check_settled(&self) {
        for (node, process) in self.processes.iter().enumerate() {
            let Some(process) = process else { continue };
            for (other, other_process) in self.processes.iter().enumerate().filter(|(it, _)| *it != node) {
                let listed = process.nodes.list().find(|listed| listed.name == name(other));
                let is_live = listed.is_some_and(|listed| listed.presence == Presence::Live);
                assert_eq!(is_live, other_process.is_some(), "{node} about {other}");
                let Some(other_process) = other_process else { continue };
                let skew = self.skews[other] - self.skews[node];
                assert_eq!(listed.map(|listed| listed.skew_ms), Some(skew - STEP_MS as i64));
                let missed: Vec<_> = other_process.own.difference(&process.revoked).collect();
                assert!(missed.is_empty(), "{node} misses {missed:?} of {other}, run {}", other_process.run);
            }
        }
    }
}

/// A revocation counts within a second or two, so the node does not wait for the next half minute.
#[test]
fn a_node_that_starts_or_comes_back_learns_at_once_what_is_revoked() {
    for (away, back) in [
        (Event::Crash(1), Event::Start(1)),
        (Event::Stop(1), Event::Start(1)),
        (Event::CutOff(1), Event::Join(1)),
    ] {
        let mut sim = Sim::new(0);
        sim.is_sound = true;
        let run = |sim: &mut Sim, seconds: u64| (0..seconds * 1000 / STEP_MS).for_each(|_| sim.step());
        run(&mut sim, 2);
        sim.happen(away);
        sim.happen(Event::Revoke(0));
        // All of it is between two times at which all nodes send everything again.
        run(&mut sim, 8);
        sim.happen(back);
        run(&mut sim, 2);
        assert!(sim.now_ms < RESEND_MS);
        sim.check_settled();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn when_the_bus_is_sound_again_all_nodes_and_revocations_are_known(
        seed in any::<u8>(),
        events in prop::collection::vec(any_event(), 0..40),
    ) {
        let mut sim = Sim::new(seed);
        for (steps, event) in events {
            sim.happen(event);
            for _ in 0..steps {
                sim.step();
                sim.check();
            }
        }
        sim.cut_off.clear();
        sim.is_sound = true;
        for _ in 0..(RESEND_MS + 10_000) / STEP_MS {
            sim.step();
            sim.check();
        }
        sim.check_settled();
    }
}
