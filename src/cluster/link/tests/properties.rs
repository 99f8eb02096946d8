//! Three nodes over a bus that loses, delays, doubles, reorders and parts, while they start again.

use std::collections::BTreeSet;

use byway_turn::prng::Prng;
use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];
const STEP_MS: u64 = 5;

/// Item of the tests: the process that sent it, its stream and its number among all items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    run: u64,
    stream: u64,
    number: u64,
}

impl Sent {
    fn item(self) -> Item {
        item(format!("[{},{},{}]", self.run, self.stream, self.number))
    }

    fn read(item: &Item) -> Self {
        let [run, stream, number] = serde_json::from_str(item.json().get()).unwrap();
        Self { run, stream, number }
    }
}

/// Items between a process and one other node.
#[derive(Default)]
struct Record {
    sent: u64,
    /// Items that were given back.
    returned: BTreeSet<Sent>,
    /// Item that came last.
    last: Option<Sent>,
    /// Items that came.
    came: BTreeSet<Sent>,
    /// Whether a reset was told since the last item came.
    is_reset: bool,
}

struct Process {
    end: End,
    records: [Record; 3],
}

impl Process {
    fn new(node: usize, run: u64) -> Self {
        Self { end: End::new(NAMES[node], run), records: Default::default() }
    }

    /// Takes all events, and checks them against what was sent.
    fn listen(&mut self) {
        while let Some(event) = self.end.links.next_event() {
            let (LinkEvent::Items(peer, _) | LinkEvent::Reset(peer, _)) = &event;
            let record = &mut self.records[NAMES.iter().position(|name| *name == peer.as_str()).unwrap()];
            match event {
                LinkEvent::Reset(_, unsent) => {
                    record.is_reset = true;
                    let unsent: Vec<_> = unsent.iter().map(Sent::read).collect();
                    assert!(unsent.is_sorted() && unsent.iter().all(|item| item.run == self.end.run));
                    assert!(unsent.iter().all(|item| record.returned.insert(*item)), "given back twice");
                }
                LinkEvent::Items(_, items) => items.iter().map(Sent::read).for_each(|item| record.take(item)),
            }
        }
    }
}

impl Record {
    fn take(&mut self, item: Sent) {
        assert!(self.came.insert(item), "{item:?} came twice");
        if let Some(last) = self.last {
            assert!(item > last, "{item:?} came after {last:?}");
            let is_next = item.run == last.run && item.number == last.number + 1;
            assert!(is_next || self.is_reset, "between {last:?} and {item:?} something is missing");
            let is_same = (item.run, item.stream) == (last.run, last.stream);
            assert_eq!(is_same, !self.is_reset, "{item:?} after {last:?}");
        }
        (self.last, self.is_reset) = (Some(item), false);
    }
}

struct Sim {
    random: Prng,
    now_ms: u64,
    runs: u64,
    sent: u64,
    nodes: [Process; 3],
    /// Items that came to processes which have ended.
    came: BTreeSet<(usize, usize, Sent)>,
    /// Segments on their way, by the time of their arrival, with the sender and its run.
    bus: BTreeMap<(u64, u64), (usize, u64, Segment)>,
    parted: Option<usize>,
    is_sound: bool,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Send { from: usize, to: usize, items: u64, size: usize },
    Restart(usize),
    Up { node: usize, other: usize },
    Suspect { node: usize, other: usize },
    Down { node: usize, other: usize },
    Connected(usize, bool),
    Part(Option<usize>),
    Pass(u64),
}

fn any_event() -> impl Strategy<Value = Event> {
    let node = || 0..3_usize;
    let pair = || (0..3_usize, 1..3_usize).prop_map(|(node, step)| (node, (node + step) % 3));
    prop_oneof![
        24 => (pair(), 1..20_u64, prop_oneof![9 => Just(0_usize), 1 => Just(60_000_usize)])
            .prop_map(|((from, to), items, size)| Event::Send { from, to, items, size }),
        1 => pair().prop_map(|(from, to)| Event::Send { from, to, items: MAX_ITEMS as u64 + 5, size: 0 }),
        4 => node().prop_map(Event::Restart),
        16 => pair().prop_map(|(node, other)| Event::Up { node, other }),
        2 => pair().prop_map(|(node, other)| Event::Suspect { node, other }),
        4 => pair().prop_map(|(node, other)| Event::Down { node, other }),
        4 => (node(), any::<bool>()).prop_map(|(node, is_up)| Event::Connected(node, is_up)),
        2 => prop::option::of(node()).prop_map(Event::Part),
        24 => (1..200_u64).prop_map(Event::Pass),
    ]
}

impl Sim {
    fn new(seed: u8) -> Self {
        let nodes = [0, 1, 2].map(|node| Process::new(node, node as u64 + 1));
        let random = Prng::new(&[seed; 32], "link");
        Self {
            random,
            now_ms: 0,
            runs: 3,
            sent: 0,
            nodes,
            came: BTreeSet::new(),
            bus: BTreeMap::new(),
            parted: None,
            is_sound: false,
        }
    }

    fn chance(&self, of: u64) -> bool {
        !self.is_sound && self.random.number().is_multiple_of(of)
    }

    fn up(&mut self, node: usize, other: usize) {
        let run = self.nodes[other].end.run;
        self.nodes[node].end.links.up(&name(NAMES[other]), run);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send { from, to, items, size } => {
                for _ in 0..items {
                    let process = &mut self.nodes[from];
                    let record = &mut process.records[to];
                    let stream =
                        process.end.links.peers.get(&name(NAMES[to])).map_or(1, |peer| peer.out.stream());
                    let sent = Sent { run: process.end.run, stream, number: record.sent };
                    let padded = item(format!("{}{}", sent.item().json().get(), " ".repeat(size)));
                    assert!(process.end.links.send(&name(NAMES[to]), padded).is_ok());
                    record.sent += 1;
                    assert!(process.end.links.bytes <= MAX_PEER_BYTES * 2);
                    process.listen();
                }
            }
            Event::Restart(node) => {
                self.runs += 1;
                let ended = std::mem::replace(&mut self.nodes[node], Process::new(node, self.runs));
                let came =
                    ended.records.into_iter().zip(0..).flat_map(|(record, from)| {
                        record.came.into_iter().map(move |item| (from, node, item))
                    });
                self.came.extend(came);
            }
            Event::Up { node, other } => self.up(node, other),
            Event::Suspect { node, other } => self.nodes[node].end.links.suspect(&name(NAMES[other])),
            Event::Down { node, other } => self.nodes[node].end.links.down(&name(NAMES[other])),
            Event::Connected(node, is_connected) => self.nodes[node].end.links.connected(is_connected),
            Event::Part(node) => self.parted = node,
            Event::Pass(ms) => (0..ms / STEP_MS).for_each(|_| self.step()),
        }
        self.nodes.iter_mut().for_each(Process::listen);
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        let later = self.bus.split_off(&(self.now_ms + 1, 0));
        for (from, run, segment) in std::mem::replace(&mut self.bus, later).into_values() {
            let to = NAMES.iter().position(|name| *name == segment.to.as_str()).unwrap();
            // The reader of messages refuses the others.
            let receiver = &mut self.nodes[to];
            if segment.to_run == receiver.end.run {
                receiver.end.links.receive(at(self.now_ms), &name(NAMES[from]), run, segment);
                receiver.listen();
            }
        }
        for from in 0..3 {
            let run = self.nodes[from].end.run;
            for segment in self.nodes[from].end.links.poll(at(self.now_ms)) {
                let is_parted =
                    self.parted.is_some_and(|node| (node == from) != (NAMES[node] == segment.to.as_str()));
                if is_parted || self.chance(5) {
                    continue;
                }
                for _ in 0..if self.chance(5) { 2 } else { 1 } {
                    let delay = if self.is_sound { 1 } else { self.random.number() % 400 };
                    self.sent += 1;
                    self.bus.insert((self.now_ms + delay, self.sent), (from, run, segment.clone()));
                }
            }
        }
    }

    /// Checks that each item that a living process sent has come, or was given back.
    fn check_settled(&self) {
        for (node, process) in self.nodes.iter().enumerate() {
            assert_eq!(process.end.links.bytes, 0);
            for (other, record) in process.records.iter().enumerate() {
                let came = self.nodes[other].records[node].came.iter();
                let former = self.came.iter().filter(|(from, to, _)| (*from, *to) == (node, other));
                let items = record.returned.iter().chain(came).chain(former.map(|(.., item)| item));
                let of_run = items.filter(|item| item.run == process.end.run);
                let known: BTreeSet<_> = of_run.map(|item| item.number).collect();
                assert!(known.into_iter().eq(0..record.sent), "{node} to {other}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_bus_does_each_item_comes_once_and_in_order_or_is_given_back(
        seed in any::<u8>(),
        events in prop::collection::vec(any_event(), 0..80),
    ) {
        let mut sim = Sim::new(seed);
        for event in events {
            sim.happen(event);
        }
        (sim.is_sound, sim.parted) = (true, None);
        for node in 0..3 {
            sim.nodes[node].end.links.connected(true);
            for other in (0..3).filter(|other| *other != node) {
                sim.up(node, other);
            }
        }
        sim.happen(Event::Pass(20_000));
        sim.check_settled();
        let totals = sim.nodes.iter().map(|process| process.end.links.totals().sent).sum::<u64>();
        for node in 0..3 {
            sim.happen(Event::Send { from: node, to: (node + 1) % 3, items: 3, size: 0 });
        }
        sim.happen(Event::Pass(200));
        sim.check_settled();
        let after = sim.nodes.iter().map(|process| process.end.links.totals().sent).sum::<u64>();
        prop_assert_eq!(after, totals + 9);
    }
}
