//! Measures the messages between nodes without any: their bytes, and the time to write, read and
//! obey them. [`docs/cluster.md`](../../docs/cluster.md) computes with these figures.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use byway::access::grant::Role;
use byway::access::names::{DisplayName, NodeName, RoomName};
use byway::clock::Clock;
use byway::cluster::NodeState;
use byway::cluster::message::{Ack, Message, Opener, Revoked, Sealer, Segment};
use byway::cluster::revocation_log::MAX_BATCH;
use byway::signaling::room::{HostRule, Newcomer, RoomLimits};
use byway::signaling::shared_rooms::item::RoomItem;
use byway::signaling::shared_rooms::{Output, RoomView, SharedRooms, owner_among};
use byway_turn::auth::{MemberId, Secrets};
use byway_turn::client_network::ClientNetwork;
use byway_turn::time::Now;
use serde_json::value::RawValue;

use crate::dialect::{CANDIDATE, description};

/// Argument that selects this measurement.
pub(crate) const ARGUMENT: &str = "messages";

const NODES: [&str; 3] = ["eu-1", "eu-2", "eu-3"];
const NOW: Now = Now { mono: Duration::from_secs(1_000), unix: 1_764_500_000 };
const UNIX_MS: u64 = NOW.unix * 1000;
/// Repetitions of what is timed.
const TIMES: u32 = 10_000;
/// Nodes and rooms of a node of the large cluster.
const LARGE: usize = 1_000;

/// Three nodes without a network.
struct Cluster {
    names: Vec<NodeName>,
    rooms: Vec<SharedRooms>,
}

/// Measures all. Returns the table.
pub(crate) fn measure() -> String {
    let mut table = format!("{:<44} {:>8} {:>8}\n", "message", "item", "sealed");
    let beat = Message::Node(state());
    let _ = writeln!(table, "{:<44} {:>8} {:>8}", "heartbeat", "-", sealed(&beat).len());
    let _ = writeln!(table, "{:<44} {:>8} {:>8}", "acknowledgement alone", "-", sealed(&link(vec![])).len());
    let _ =
        writeln!(table, "{:<44} {:>8} {:>8}", "revocation of one name", "-", sealed(&revocation(1)).len());
    let name = format!("revocation of {MAX_BATCH} names");
    let _ = writeln!(table, "{name:<44} {:>8} {:>8}", "-", sealed(&revocation(MAX_BATCH)).len());
    let candidate = format!("{{{CANDIDATE}}}");
    let mut cluster = Cluster::new();
    for (step, items) in [
        ("join by node 1", cluster.join(0)),
        ("join by node 2", cluster.join(1)),
        ("candidate from 1 to 2", cluster.signal(&candidate)),
        ("description of 5 kB from 1 to 2", cluster.signal(&format!("{{{}}}", description()))),
    ] {
        for item in items {
            let name = format!("{step}: {}", kind(&item));
            let json = item.to_json();
            let (item, sealed) = (json.get().len(), sealed(&link(vec![json])).len());
            let _ = writeln!(table, "{name:<44} {item:>8} {sealed:>8}");
        }
    }
    let _ = writeln!(table, "\n{:<60} {:>10}", "work", "us");
    let mut time = |work: &str, each: Duration| {
        let _ = writeln!(table, "{work:<60} {:>10.2}", each.as_secs_f64() * 1e6);
    };
    for (name, message) in [
        ("heartbeat", beat),
        ("revocation of one name", revocation(1)),
        ("revocation of 200 names", revocation(MAX_BATCH)),
        ("candidate between nodes", cluster.candidate(&candidate)),
    ] {
        let (seal, open) = seal_and_open(&message);
        time(&format!("write and sign a {name}"), seal);
        time(&format!("verify and read a {name}"), open);
    }
    time("owner: take in a candidate and pass it on", cluster.pass_on(&candidate));
    for count in [3, 100, LARGE] {
        time(&format!("choose the owner of a room among {count} nodes"), choose(count));
    }
    let large = large();
    time(&format!("{LARGE} rooms, {LARGE} nodes: one node dies"), large);
    table
}

impl Cluster {
    fn new() -> Self {
        let names: Vec<NodeName> = names(NODES.len());
        let rooms = names.iter().map(|name| {
            let mut rooms = node(name);
            let nodes = names.iter().filter(|other| *other != name).cloned().collect();
            rooms.set_view(NOW, RoomView { nodes, alone: false, draining: false });
            rooms.take_outputs();
            rooms
        });
        let rooms = rooms.collect();
        Self { names, rooms }
    }

    /// Returns a room that the last node owns.
    fn room(&self) -> RoomName {
        let rooms = (0..).map(|number| RoomName::new(format!("amber-otter-{number}")).expect("a name"));
        let mut of_last = rooms.filter(|room| owner_among(room, self.names.iter()) == self.names.last());
        of_last.next().expect("one of three")
    }

    /// Lets a member of the node `at` join. Returns the items that are sent for that.
    fn join(&mut self, at: usize) -> Vec<RoomItem> {
        let room = self.room();
        self.rooms[at].join(&room, newcomer(at, &room));
        self.settle()
    }

    /// Sends data from the member of the first node to that of the second.
    fn signal(&mut self, data: &str) -> Vec<RoomItem> {
        let data = RawValue::from_string(data.to_owned()).expect("JSON");
        self.rooms[0].signal(id(0), id(1), data, true).expect("both are there");
        self.settle()
    }

    /// Returns the message with which a candidate reaches the owner.
    fn candidate(&mut self, data: &str) -> Message {
        link(vec![self.signal(data)[0].to_json()])
    }

    /// Carries items until there are no more. Returns them.
    fn settle(&mut self) -> Vec<RoomItem> {
        let mut sent = Vec::new();
        loop {
            let before = sent.len();
            for at in 0..self.rooms.len() {
                for output in self.rooms[at].take_outputs() {
                    let Output::Send { to, item } = output else { continue };
                    let to = self.names.iter().position(|name| *name == to).expect("a node");
                    self.rooms[to].hear(NOW, &self.names[at], &item.to_json());
                    sent.push(item);
                }
            }
            if sent.len() == before {
                return sent;
            }
        }
    }

    /// Time for the owner to read the item of a signal, count it and write the item for its home.
    fn pass_on(&mut self, data: &str) -> Duration {
        let Cluster { names, rooms } = self;
        let [home, .., owner] = &mut rooms[..] else { unreachable!("three nodes") };
        let data = RawValue::from_string(data.to_owned()).expect("JSON");
        let items = (0..TIMES).map(|_| {
            home.signal(id(0), id(1), data.clone(), true).expect("both are there");
            match home.take_outputs().pop() {
                Some(Output::Send { item, .. }) => item.to_json(),
                other => panic!("an item for the owner, not {other:?}"),
            }
        });
        let items: Vec<_> = items.collect();
        each(items.len(), || {
            for item in &items {
                owner.hear(NOW, &names[0], item);
                for output in owner.take_outputs() {
                    if let Output::Send { item, .. } = output {
                        black_box(item.to_json());
                    }
                }
            }
        })
    }
}

/// Time of the change of the view of a node with rooms of its own when another node dies.
fn large() -> Duration {
    let names = names(LARGE);
    let mut rooms = node(&names[0]);
    let mut nodes: std::collections::BTreeSet<_> = names[1..].iter().cloned().collect();
    rooms.set_view(NOW, RoomView { nodes: nodes.clone(), alone: false, draining: false });
    for number in 0..LARGE {
        let room = RoomName::new(format!("amber-otter-{number}")).expect("a name");
        rooms.join(&room, newcomer(number, &room));
    }
    rooms.take_outputs();
    nodes.pop_last();
    let view = RoomView { nodes, alone: false, draining: false };
    each(1, || rooms.set_view(NOW, view))
}

/// Time to choose the owner of a room.
fn choose(count: usize) -> Duration {
    let names = names(count);
    let rooms: Vec<_> =
        (0..200).map(|number| RoomName::new(format!("amber-otter-{number}")).expect("a name")).collect();
    each(rooms.len(), || {
        for room in &rooms {
            black_box(owner_among(room, names.iter()));
        }
    })
}

/// Times to write and to read a message.
fn seal_and_open(message: &Message) -> (Duration, Duration) {
    let secrets = secrets();
    let mut sealer = Sealer::new(names(1).remove(0), 1);
    let mut sealed = Vec::new();
    let seal = each(TIMES as usize, || {
        sealed.extend((0..TIMES).map(|_| sealer.seal(&secrets, UNIX_MS, message)));
    });
    let mut opener = Opener::new(names(3).remove(2), 3);
    let open = each(sealed.len(), || {
        for message in &sealed {
            black_box(opener.open(&secrets, UNIX_MS, message)).expect("authentic").expect("to this node");
        }
    });
    (seal, open)
}

/// Time of each of `count` things that `work` does.
fn each(count: usize, work: impl FnOnce()) -> Duration {
    let clock = Clock::start();
    work();
    clock.now().mono.div_f64(count as f64)
}

fn sealed(message: &Message) -> Vec<u8> {
    Sealer::new(names(1).remove(0), 1).seal(&secrets(), UNIX_MS, message)
}

fn secrets() -> Secrets {
    Secrets::new(&["a-secret-of-the-bench-as-long-as-usual"]).expect("one")
}

/// Message to the third node with these items.
fn link(items: Vec<Box<RawValue>>) -> Message {
    let first = if items.is_empty() { 0 } else { 12_345 };
    Message::Link(Segment {
        to: names(3).remove(2),
        to_run: 3,
        stream: 1,
        first,
        items: items.into_iter().map(Into::into).collect(),
        ack: Some(Ack { stream: 1, n: 12_345 }),
    })
}

/// Message that revokes members' names.
fn revocation(count: usize) -> Message {
    let revoked = |number| Revoked { name: user(number), until: NOW.unix + 600 };
    Message::Revoke((0..count).map(revoked).collect())
}

/// Name in the credentials of a member.
fn user(number: usize) -> String {
    format!("0123456789abcdef.{}", id(number))
}

/// Name of an item's content, of its JSON.
fn kind(item: &RoomItem) -> String {
    let json = serde_json::to_value(item).expect("texts and numbers");
    let mut body = &json["body"];
    let mut names = Vec::new();
    while names.len() < 2 {
        let Some((name, inner)) = body.as_object().and_then(|body| body.iter().next()) else { break };
        names.push(name.clone());
        body = inner;
    }
    names.join(" ")
}

/// Returns the heartbeat of a node, signed.
pub(crate) fn heartbeat() -> Vec<u8> {
    sealed(&Message::Node(state()))
}

fn state() -> NodeState {
    NodeState {
        version: "0.1.0".to_owned(),
        region: "eu".parse().ok(),
        urls: ["stun:fra.example.org:3478", "turn:fra.example.org:3478?transport=udp"]
            .into_iter()
            .chain(["turn:fra.example.org:3478?transport=tcp", "turns:fra.example.org:443?transport=tcp"])
            .map(str::to_owned)
            .collect(),
        allocations: 400,
        rooms: 700,
        members: 1_000,
        connection: 1,
        ..NodeState::default()
    }
}

fn names(count: usize) -> Vec<NodeName> {
    (1..=count).map(|number| format!("eu-{number}").parse().expect("a name")).collect()
}

fn node(name: &NodeName) -> SharedRooms {
    let limits = RoomLimits { rooms: 100_000, members: 8, viewers: 8, kept: 1 << 18, kept_in_all: 1 << 26 };
    SharedRooms::of_node(limits, HostRule::Longest, Duration::from_secs(30), name.clone(), 1)
}

fn id(number: usize) -> MemberId {
    MemberId::parse(&format!("AAAAAAAAAAAAAA{number:06}AA")).expect("an id")
}

fn newcomer(number: usize, room: &RoomName) -> Newcomer {
    let [.., high, low] = number.to_be_bytes();
    Newcomer {
        id: id(number),
        name: DisplayName::new("Guest".to_owned()),
        network: ClientNetwork::of([10, high, low, 1].into()),
        role: Role::Member,
        max_members: None,
        passes_lock: false,
        user: user(number).into(),
        region: None,
        home: None,
        came: NOW.unix * 1_000_000 + room.as_str().len() as u64,
    }
}
