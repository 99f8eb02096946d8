//! Nodes of a cluster, their views of each other, and the streams between them, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use byway_turn::prng::Prng;

use super::client::{Client, Connection, Record};
use super::links::{Arrival, Stream};
use crate::access::names::NodeName;
use crate::signaling::protocol::{MemberId, RoomName};
use crate::signaling::room::{HostRule, RoomLimits};
use crate::signaling::shared_rooms::{RoomView, SharedRooms};
use byway_turn::time::Now;

const TICK: u64 = 100;
const HELLO: u64 = 1_000;
const SUSPECT: u64 = 2_500;
pub(super) const DEAD: u64 = 5_000;
const ALONE: u64 = 1_500;
const AFTER_ALONE: u64 = 5_000;
const AFTER_START: u64 = 3_000;
pub(super) const WINDOW: u64 = 20_000;
const START: u64 = 1_000_000;

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) random: Prng,
    /// Milliseconds.
    pub(super) now: u64,
    events: BTreeMap<(u64, u64), Event>,
    order: u64,
    pub(super) nodes: Vec<Option<Process>>,
    runs: u64,
    streams: BTreeMap<(usize, usize), Stream>,
    /// Groups of nodes that hear each other.
    pub(super) group: Vec<u8>,
    pub(super) clients: Vec<Client>,
    pub(super) records: BTreeMap<MemberId, Record>,
    /// Nodes that crashed, with the time.
    pub(super) last_crash: u64,
    /// Time of the last moment at which two nodes could not hear each other.
    pub(super) parted: Parted,
    log: Vec<String>,
    pub(super) limits: RoomLimits,
    pub(super) rule: HostRule,
    pub(super) slow: u64,
}

/// Last time that nodes could not hear each other.
#[derive(Default)]
pub(super) struct Parted {
    pub(super) since: Option<u64>,
    /// End of the last parting that was long enough to give members up.
    pub(super) long_until: u64,
    /// End of the last parting.
    pub(super) until: u64,
}

pub(super) struct Process {
    pub(super) run: u64,
    pub(super) rooms: SharedRooms,
    pub(super) connections: BTreeMap<MemberId, Connection>,
    pub(super) waiting: BTreeMap<MemberId, (usize, u64)>,
    peers: Vec<Peer>,
    pub(super) is_connected: bool,
    away_since: u64,
    /// Since when it is back, for how long it waits, and the nodes that it waits for.
    back: Option<(u64, u64, BTreeSet<usize>)>,
    pub(super) is_alone: bool,
    pub(super) is_draining: bool,
    view: RoomView,
}

#[derive(Clone, Default)]
struct Peer {
    run: Option<u64>,
    at: u64,
    reach: Reach,
    is_draining: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    Down,
    Suspect,
    Live,
}

#[derive(Clone, Copy)]
pub(super) enum Event {
    Hello { from: usize, to: usize, run: u64, is_draining: bool, is_gone: bool },
    Packets { from: usize, to: usize },
    Acknowledge { from: usize, to: usize, run: u64, epoch: u64, number: u64 },
    Client { client: usize, connection: u64 },
    Lost { node: usize, run: u64, id: MemberId, connection: u64 },
}

pub(super) fn name(node: usize) -> NodeName {
    format!("n{node}").parse().unwrap()
}

pub(super) fn room(room: usize) -> RoomName {
    RoomName::new(format!("room-{room}")).unwrap()
}

impl World {
    pub(super) fn new(seed: u64, nodes: usize, rule: HostRule) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let limits = RoomLimits { rooms: 100, members: 50, viewers: 5, kept: 1 << 20, kept_in_all: 1 << 24 };
        let mut world = Self {
            seed,
            random: Prng::new(&bytes, "shared rooms"),
            now: START,
            events: BTreeMap::new(),
            order: 0,
            nodes: (0..nodes).map(|_| None).collect(),
            runs: 0,
            streams: BTreeMap::new(),
            group: vec![0; nodes],
            clients: Vec::new(),
            records: BTreeMap::new(),
            last_crash: 0,
            parted: Parted::default(),
            log: Vec::new(),
            limits,
            rule,
            slow: 50,
        };
        (0..nodes).for_each(|node| world.start(node));
        world
    }

    pub(super) fn clock(&self) -> Now {
        Now { mono: Duration::from_millis(self.now), unix: 1_800_000_000 + self.now / 1000 }
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        self.log.push(format!("{:>8} {}", self.now - START, text()));
        if self.log.len() > 400 {
            self.log.drain(..200);
        }
    }

    /// Ends the run.
    pub(super) fn fail(&self, text: &str) -> ! {
        let from = self.log.len().saturating_sub(40);
        panic!("seed {} at {}: {text}\n{}", self.seed, self.now - START, self.log[from..].join("\n"));
    }

    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.insert((at, self.order), event);
    }

    pub(super) fn chance(&self, of: u64) -> bool {
        self.random.number().is_multiple_of(of)
    }

    pub(super) fn between(&self, least: u64, most: u64) -> u64 {
        least + self.random.number() % (most - least + 1)
    }

    fn delay(&self) -> u64 {
        if self.chance(20) { self.between(0, self.slow * 10) } else { self.between(0, self.slow) }
    }

    pub(super) fn start(&mut self, node: usize) {
        self.runs += 1;
        let run = self.runs;
        let window = Duration::from_millis(WINDOW);
        let rooms = SharedRooms::of_node(self.limits, self.rule, window, name(node), run);
        let count = self.nodes.len();
        for other in 0..count {
            self.streams.insert((node, other), Stream::default());
            self.streams.entry((other, node)).or_default().forget();
        }
        self.nodes[node] = Some(Process {
            run,
            rooms,
            connections: BTreeMap::new(),
            waiting: BTreeMap::new(),
            peers: vec![Peer::default(); count],
            is_connected: true,
            away_since: 0,
            back: Some((self.now, AFTER_START, (0..count).filter(|peer| *peer != node).collect())),
            is_alone: true,
            is_draining: false,
            view: RoomView::default(),
        });
        self.note(|| format!("n{node} starts as {run}"));
        self.follow_view(node);
        self.say_hello(node, false);
    }

    fn hears(&self, from: usize, to: usize) -> bool {
        let is_connected = |node: usize| self.nodes[node].as_ref().is_some_and(|node| node.is_connected);
        is_connected(from) && is_connected(to) && self.group[from] == self.group[to]
    }

    pub(super) fn say_hello(&mut self, node: usize, is_gone: bool) {
        let Some(Process { run, is_draining, .. }) = self.nodes[node] else { return };
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            if self.hears(node, to) {
                let at = self.now + self.delay();
                self.schedule(at, Event::Hello { from: node, to, run, is_draining, is_gone });
            }
        }
    }

    /// Lets time pass, with what happens meanwhile.
    pub(super) fn run_to(&mut self, until: u64) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.handle(event);
        }
        self.now = until;
    }

    /// A tenth of a second.
    pub(super) fn tick(&mut self) {
        self.run_to(self.now + TICK);
        for node in 0..self.nodes.len() {
            if (self.now / TICK + node as u64 * 3).is_multiple_of(HELLO / TICK) {
                self.say_hello(node, false);
            }
            self.watch(node);
            let now = self.clock();
            if let Some(process) = &mut self.nodes[node]
                && process.rooms.next_deadline().is_some_and(|at| at <= now.mono)
            {
                process.rooms.wake(now);
                self.drive(node);
            }
        }
        let is_parted = (0..self.nodes.len())
            .any(|a| (0..a).any(|b| self.nodes[a].is_some() && self.nodes[b].is_some() && !self.hears(a, b)));
        if is_parted {
            self.parted.until = self.now;
        }
        match (is_parted, self.parted.since) {
            (true, None) => self.parted.since = Some(self.now),
            (true, Some(since)) if self.now - since > DEAD => self.parted.long_until = self.now,
            (false, Some(_)) => self.parted.since = None,
            _ => {}
        }
    }

    fn watch(&mut self, node: usize) {
        let now = self.now;
        let Some(process) = &mut self.nodes[node] else { return };
        if !process.is_connected {
            process.is_alone |= now - process.away_since >= ALONE;
            self.follow_view(node);
            return;
        }
        if let Some((since, wait, missing)) = &process.back
            && (missing.is_empty() || now - since >= *wait)
        {
            process.back = None;
            process.is_alone = false;
        }
        let mut died = Vec::new();
        if !process.is_alone {
            for (other, peer) in process.peers.iter_mut().enumerate() {
                if peer.reach != Reach::Down && now - peer.at >= DEAD {
                    peer.reach = Reach::Down;
                    died.push(other);
                } else if peer.reach == Reach::Live && now - peer.at >= SUSPECT {
                    peer.reach = Reach::Suspect;
                }
            }
        }
        self.bury(node, &died);
    }

    fn bury(&mut self, node: usize, died: &[usize]) {
        let first = self.chance(2);
        if first {
            self.follow_view(node);
        }
        for other in died {
            self.note(|| format!("n{node} holds n{other} for dead"));
            self.reset(node, *other);
        }
        self.follow_view(node);
    }

    fn follow_view(&mut self, node: usize) {
        let now = self.clock();
        let Some(process) = &mut self.nodes[node] else { return };
        let live = process.peers.iter().enumerate();
        let live = live.filter(|(_, peer)| peer.reach != Reach::Down && !peer.is_draining);
        let nodes = live.filter(|_| !process.is_alone).map(|(node, _)| name(node)).collect();
        let view = RoomView { nodes, alone: process.is_alone, draining: process.is_draining };
        if view != process.view {
            process.view = view.clone();
            process.rooms.set_view(now, view.clone());
            self.note(|| format!("n{node} sees {:?} alone {}", view.nodes, view.alone));
            self.drive(node);
        }
    }

    /// A node cuts its streams with a peer.
    pub(super) fn reset(&mut self, node: usize, peer: usize) {
        let at = self.now + self.delay();
        let arriving = self.random.below(self.streams[&(node, peer)].on_the_way() + 1);
        let unsent = self.streams.get_mut(&(node, peer)).unwrap().restart(at, arriving);
        self.streams.get_mut(&(peer, node)).unwrap().cut();
        self.expect_packets(node, peer);
        self.give_back(node, peer, &unsent);
    }

    fn give_back(&mut self, node: usize, peer: usize, unsent: &[Box<serde_json::value::RawValue>]) {
        let now = self.clock();
        self.note(|| format!("n{node} resets n{peer}, {} unsent", unsent.len()));
        let Some(process) = &mut self.nodes[node] else { return };
        process.rooms.reset(now, &name(peer), unsent);
        self.drive(node);
    }

    pub(super) fn send(&mut self, from: usize, to: usize, json: Box<serde_json::value::RawValue>) {
        let at = self.now + self.delay();
        self.note(|| format!("n{from} -> n{to} {}", json.get().chars().take(300).collect::<String>()));
        self.streams.get_mut(&(from, to)).unwrap().send(at, json);
        self.expect_packets(from, to);
    }

    fn expect_packets(&mut self, from: usize, to: usize) {
        let stream = self.streams.get_mut(&(from, to)).unwrap();
        if let Some(at) = stream.next_at().filter(|_| !stream.is_scheduled) {
            stream.is_scheduled = true;
            self.schedule(at.max(self.now), Event::Packets { from, to });
        }
    }

    fn passes(&self, from: usize, to: usize) -> bool {
        let (Some(sender), Some(receiver)) = (&self.nodes[from], &self.nodes[to]) else { return false };
        let knows = |process: &Process, peer: usize, run| process.peers[peer].run == Some(run);
        self.hears(from, to)
            && knows(sender, to, receiver.run)
            && knows(receiver, from, sender.run)
            && sender.peers[to].reach == Reach::Live
            && receiver.peers[from].reach != Reach::Down
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Hello { from, to, run, is_draining, is_gone } => {
                self.hear_hello(from, to, run, is_draining, is_gone);
            }
            Event::Packets { from, to } => {
                self.streams.get_mut(&(from, to)).unwrap().is_scheduled = false;
                if self.passes(from, to) {
                    self.arrive(from, to);
                    self.expect_packets(from, to);
                } else if self.streams[&(from, to)].next_at().is_some() {
                    self.streams.get_mut(&(from, to)).unwrap().is_scheduled = true;
                    self.schedule(self.now + 100, Event::Packets { from, to });
                }
            }
            Event::Acknowledge { from, to, run, epoch, number } => {
                if self.nodes[from].as_ref().is_some_and(|process| process.run == run) {
                    if self.hears(from, to) {
                        self.streams.get_mut(&(from, to)).unwrap().acknowledge(epoch, number);
                    } else if self.nodes[to].is_some() {
                        self.schedule(self.now + 100, Event::Acknowledge { from, to, run, epoch, number });
                    }
                }
            }
            Event::Client { client, connection } => self.read(client, connection),
            Event::Lost { node, run, id, connection } => self.notice_loss(node, run, id, connection),
        }
    }

    fn arrive(&mut self, from: usize, to: usize) {
        let Some(arrival) = self.streams.get_mut(&(from, to)).unwrap().arrive() else { return };
        match arrival {
            Arrival::Item { json, epoch, number } => {
                let run = self.nodes[from].as_ref().map_or(0, |process| process.run);
                let at = self.now + self.delay();
                self.schedule(at, Event::Acknowledge { from, to, run, epoch, number });
                self.note(|| {
                    format!("n{to} <- n{from} {}", json.get().chars().take(300).collect::<String>())
                });
                let now = self.clock();
                let Some(process) = &mut self.nodes[to] else { return };
                process.rooms.hear(now, &name(from), &json);
                self.drive(to);
            }
            Arrival::NewStream => {
                let at = self.now + self.delay();
                let unsent = self.streams.get_mut(&(to, from)).unwrap().follow(at);
                self.expect_packets(to, from);
                self.give_back(to, from, &unsent);
            }
        }
    }

    fn hear_hello(&mut self, from: usize, to: usize, run: u64, is_draining: bool, is_gone: bool) {
        if self.group[from] != self.group[to] {
            return;
        }
        let now = self.now;
        let Some(process) = self.nodes[to].as_mut().filter(|process| process.is_connected) else { return };
        let peer = &mut process.peers[from];
        if is_gone {
            if peer.run == Some(run) && peer.reach != Reach::Down {
                peer.reach = Reach::Down;
                self.bury(to, &[from]);
            }
            return;
        }
        if peer.run.is_some_and(|known| known > run) {
            return;
        }
        let is_other = peer.run.is_some_and(|known| known != run);
        *peer = Peer { run: Some(run), at: now, reach: Reach::Live, is_draining };
        if let Some((_, _, missing)) = &mut process.back {
            missing.remove(&from);
        }
        if is_other {
            self.reset(to, from);
            self.streams.get_mut(&(from, to)).unwrap().forget();
        }
        self.follow_view(to);
    }

    /// Nodes that may take a client.
    pub(super) fn open_nodes(&self) -> Vec<usize> {
        let is_open = |node: &usize| self.nodes[*node].as_ref().is_some_and(|process| !process.is_draining);
        (0..self.nodes.len()).filter(is_open).collect()
    }

    /// The process of a node ends, with or without a word to the others.
    pub(super) fn stop(&mut self, node: usize, says_so: bool) {
        if says_so {
            self.say_hello(node, true);
            self.excuse_losses(node);
        } else {
            self.excuse_losses(node);
            self.last_crash = self.now;
        }
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let some = self.random.below(self.streams[&(node, other)].on_the_way() + 1);
            // A node that stops sends what it has.
            let count = if says_so { self.streams[&(node, other)].on_the_way() } else { some };
            for _ in 0..count {
                if self.passes(node, other) {
                    self.arrive(node, other);
                }
            }
        }
        self.note(|| format!("n{node} ends"));
        self.nodes[node] = None;
        for other in 0..self.nodes.len() {
            self.streams.get_mut(&(other, node)).unwrap().lose_queue();
            let stream = self.streams.get_mut(&(node, other)).unwrap();
            stream.lose_queue();
        }
        self.lose_clients_of(node);
    }

    /// The broker goes away for a node, or is back.
    pub(super) fn connect(&mut self, node: usize, is_connected: bool) {
        let now = self.now;
        let Some(process) = self.nodes[node].as_mut() else { return };
        if process.is_connected == is_connected {
            return;
        }
        process.is_connected = is_connected;
        if is_connected {
            let live = process.peers.iter().enumerate().filter(|(_, peer)| peer.reach != Reach::Down);
            let missing: BTreeSet<_> = live.map(|(peer, _)| peer).collect();
            process.peers.iter_mut().for_each(|peer| peer.at = now);
            if process.is_alone {
                process.back = Some((now, AFTER_ALONE, missing));
            }
        } else {
            (process.away_since, process.back) = (now, None);
        }
        self.note(|| format!("bus of n{node}: {is_connected}"));
        self.say_hello(node, false);
    }
}
