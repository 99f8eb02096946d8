//! Clients that behave as real ones, the connections to their nodes, and all that they may expect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use byway_turn::client_network::ClientNetwork;
use serde_json::Value;
use serde_json::value::RawValue;

use super::world::{Event, Process, World, room};
use crate::access::grant::Role;
use crate::signaling::protocol::{ByeCode, Ending, ErrorCode, MemberId, Peer, Topic};
use crate::signaling::room::{Delivery, Newcomer, Standing};
use crate::signaling::shared_rooms::Output;

/// Connection of a member, at its node.
#[derive(Clone, Copy)]
pub(super) struct Connection {
    pub(super) client: usize,
    pub(super) number: u64,
    /// The last signal written.
    pub(super) written: u64,
}

pub(super) struct Client {
    pub(super) room: usize,
    pub(super) viewer: bool,
    pub(super) id: Option<MemberId>,
    pub(super) state: State,
    /// Number of its present connection.
    connection: u64,
    inbox: VecDeque<Message>,
    /// The last signal that it has.
    pub(super) seq: u64,
    pub(super) peers: BTreeMap<MemberId, (bool, bool)>,
    pub(super) is_host: bool,
    pub(super) is_locked: bool,
    /// Node of its last connection.
    node: usize,
    /// Whether it wants to be in a room.
    pub(super) is_active: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Without a connection until then.
    Away { until: u64 },
    /// Asks to enter since then.
    Asks { node: usize, since: u64 },
    /// In the room.
    In { node: usize },
}

/// Message on the way to a client.
enum Message {
    Joined {
        id: MemberId,
        peers: Vec<Peer>,
        standing: Standing,
        resumed: Option<u64>,
    },
    Text(String),
    /// A signal that it missed, perhaps of one that has come and left meanwhile.
    Missed(String),
}

/// All that is to be known of a membership.
#[derive(Default)]
pub(super) struct Record {
    pub(super) room: usize,
    /// Number of the last signal to another member.
    pub(super) sent: BTreeMap<MemberId, u64>,
    pub(super) got: BTreeMap<MemberId, BTreeSet<u64>>,
    /// Numbers of signals that may be lost, by sender.
    pub(super) excused: BTreeMap<MemberId, BTreeSet<u64>>,
    /// Whether it has ended.
    pub(super) has_ended: bool,
    pub(super) may_be_removed: bool,
    /// Members that it was told had left.
    pub(super) left: BTreeSet<MemberId>,
    pub(super) errors: u64,
}

impl World {
    pub(super) fn add_client(&mut self, room: usize, viewer: bool) -> usize {
        let state = State::Away { until: self.now };
        self.clients.push(Client {
            room,
            viewer,
            id: None,
            state,
            connection: 0,
            inbox: VecDeque::new(),
            seq: 0,
            peers: BTreeMap::new(),
            is_host: false,
            is_locked: false,
            node: 0,
            is_active: true,
        });
        self.clients.len() - 1
    }

    fn process(&mut self, node: usize) -> &mut Process {
        self.nodes[node].as_mut().unwrap()
    }

    /// Opens a connection to `node`, and asks to enter or to resume there.
    pub(super) fn enter(&mut self, client: usize, node: usize) {
        let (now, network) = (self.clock(), ClientNetwork::of([192, 0, 2, 1].into()));
        let at = self.now;
        let new = MemberId(self.random.bytes());
        let c = &mut self.clients[client];
        c.connection += 1;
        c.inbox.clear();
        c.state = State::Asks { node, since: at };
        let (number, of, viewer, seq) = (c.connection, room(c.room), c.viewer, c.seq);
        match c.id {
            Some(id) => {
                if self.clients[client].node != node {
                    self.excuse_signals_of(id);
                }
                self.note(|| format!("client {client} resumes {id} at n{node} from {seq}"));
                let process = self.process(node);
                if let Some(former) = process.connections.remove(&id) {
                    process.rooms.lose(now, id, former.written);
                    self.drive(node);
                }
                let process = self.process(node);
                process.waiting.insert(id, (client, number));
                process.rooms.resume(now, &of, id, Some(seq), network);
            }
            None => {
                self.note(|| format!("client {client} joins room {of:?} as {new} at n{node}"));
                let place = self.clients[client].room;
                self.records.insert(new, Record { room: place, ..Record::default() });
                let process = self.process(node);
                process.waiting.insert(new, (client, number));
                let role = if viewer { Role::Viewer } else { Role::Member };
                let newcomer = Newcomer {
                    id: new,
                    name: None,
                    network,
                    role,
                    max_members: None,
                    passes_lock: false,
                    user: new.to_string().into(),
                    region: None,
                    home: None,
                    came: 1_800_000_000_000_000 + at * 1_000,
                };
                process.rooms.join(&of, newcomer);
            }
        }
        self.drive(node);
    }

    /// The client has waited for long enough and goes.
    pub(super) fn cancel(&mut self, client: usize, node: usize) {
        let number = self.clients[client].connection;
        let process_waiting = &process_waiting(self.nodes[node].as_ref().unwrap(), client, number);
        for id in process_waiting {
            self.note(|| format!("client {client} goes away from n{node}"));
            let process = self.process(node);
            process.waiting.remove(id);
            process.rooms.cancel(*id);
            self.drive(node);
        }
    }

    /// The connection of a client breaks. Its node notices that at once, or later.
    pub(super) fn break_off(&mut self, client: usize, away: u64) {
        let State::In { node } = self.clients[client].state else { return };
        let c = &mut self.clients[client];
        let (Some(id), connection) = (c.id, c.connection) else { return };
        c.connection += 1;
        c.inbox.clear();
        c.state = State::Away { until: self.now + away };
        self.note(|| format!("client {client} breaks off"));
        let run = self.process(node).run;
        let at = if self.chance(2) { self.now } else { self.now + self.between(0, 8_000) };
        self.schedule(at, Event::Lost { node, run, id, connection });
    }

    pub(super) fn notice_loss(&mut self, node: usize, run: u64, id: MemberId, connection: u64) {
        let now = self.clock();
        let Some(process) = self.nodes[node].as_mut().filter(|process| process.run == run) else { return };
        let Some(lost) = process.connections.get(&id).filter(|of| of.number == connection) else { return };
        let written = lost.written;
        process.connections.remove(&id);
        process.rooms.lose(now, id, written);
        self.note(|| format!("n{node} notices the loss of {id}"));
        self.drive(node);
    }

    /// The client leaves its room and closes.
    pub(super) fn leave(&mut self, client: usize) {
        let State::In { node } = self.clients[client].state else { return };
        let Some(id) = self.clients[client].id else { return };
        self.note(|| format!("client {client} leaves"));
        self.end_membership(client, 1_000);
        let process = self.process(node);
        if process.connections.remove(&id).is_some() {
            process.rooms.leave(id, Ending::Client);
            self.drive(node);
        }
    }

    fn end_membership(&mut self, client: usize, away: u64) {
        let c = &mut self.clients[client];
        c.state = State::Away { until: self.now + away };
        c.connection += 1;
        c.inbox.clear();
        c.peers.clear();
        c.seq = 0;
        if let Some(id) = c.id.take() {
            self.records.get_mut(&id).unwrap().has_ended = true;
        }
    }

    pub(super) fn lose_clients_of(&mut self, node: usize) {
        for client in 0..self.clients.len() {
            let until = self.now + self.between(100, 3_000);
            let c = &mut self.clients[client];
            let is_here = match c.state {
                State::Away { .. } => false,
                State::Asks { node: at, .. } | State::In { node: at } => at == node,
            };
            if is_here {
                c.state = State::Away { until };
                c.connection += 1;
                c.inbox.clear();
            }
        }
    }

    /// Signals that are on their way through a node that dies.
    pub(super) fn excuse_losses(&mut self, node: usize) {
        let Some(process) = &self.nodes[node] else { return };
        let mut excused = Vec::new();
        for (from, record) in &self.records {
            let owns = process.rooms.owner(&room(record.room)).is_none();
            for (to, sent) in &record.sent {
                let rooms = process.rooms.rooms();
                if owns || rooms.is_local(*from) || rooms.is_local(*to) {
                    excused.push((*from, *to, *sent));
                }
            }
        }
        self.excuse(excused);
    }

    /// Signals that a client sent last may arrive at the owner after it has moved to another node.
    fn excuse_signals_of(&mut self, id: MemberId) {
        let sent = self.records[&id].sent.iter().map(|(to, sent)| (id, *to, *sent));
        let sent = sent.collect();
        self.excuse(sent);
    }

    fn excuse(&mut self, sent: Vec<(MemberId, MemberId, u64)>) {
        for (from, to, sent) in sent {
            let Some(record) = self.records.get_mut(&to) else { continue };
            let got = record.got.get(&from).cloned().unwrap_or_default();
            record.excused.entry(from).or_default().extend((1..=sent).filter(|n| !got.contains(n)));
        }
    }

    /// Says something to another member, numbered.
    pub(super) fn signal(&mut self, client: usize, to: MemberId) {
        let State::In { node } = self.clients[client].state else { return };
        let Some(from) = self.clients[client].id else { return };
        let reads = self.process(node).connections.contains_key(&to);
        if !self.process(node).connections.contains_key(&from) {
            return;
        }
        let of = self.clients[client].room;
        let n = self.records[&from].sent.get(&to).copied().unwrap_or_default() + 1;
        let data = format!("{{\"room\":{of},\"n\":{n}}}");
        let data = RawValue::from_string(data).unwrap();
        let result = self.process(node).rooms.signal(from, to, data, reads);
        self.note(|| format!("client {client} at n{node} signals {n} to {to}: {result:?}"));
        match result {
            Ok(()) => {
                self.records.get_mut(&from).unwrap().sent.insert(to, n);
            }
            Err(ErrorCode::NoSuchPeer) => {}
            Err(code) => self.fail(&format!("{code:?} for a signal")),
        }
        self.drive(node);
    }

    /// Obeys a node's rooms as the hub does.
    pub(super) fn drive(&mut self, node: usize) {
        loop {
            let Some(process) = &mut self.nodes[node] else { return };
            let outputs = process.rooms.take_outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.obey(node, output);
            }
        }
    }

    fn obey(&mut self, node: usize, output: Output) {
        match output {
            Output::Say(Delivery { to, text }) => {
                let process = self.process(node);
                let Some(connection) = process.connections.get_mut(&to) else { return };
                if let Topic::Signal(seq) = text.topic {
                    connection.written = seq;
                }
                let connection = *connection;
                self.write(connection, Message::Text(text.json.to_string()));
            }
            Output::Entered { id, entered, .. } => {
                let Some((client, number)) = self.process(node).waiting.remove(&id) else {
                    self.fail(&format!("{id} has entered n{node} and does not wait"))
                };
                let connection = Connection { client, number, written: 0 };
                self.process(node).connections.insert(id, connection);
                let (peers, standing) = (entered.peers, entered.standing);
                assert!(entered.told.is_empty());
                self.write(connection, Message::Joined { id, peers, standing, resumed: None });
            }
            Output::Resumed { id, resumed } => {
                let Some((client, number)) = self.process(node).waiting.remove(&id) else {
                    self.fail(&format!("{id} has resumed at n{node} and does not wait"))
                };
                let written = resumed.seq + resumed.missed.len() as u64;
                let connection = Connection { client, number, written };
                self.process(node).connections.insert(id, connection);
                let (peers, standing) = (resumed.peers, resumed.standing);
                let resumed_from = Some(resumed.seq);
                self.write(connection, Message::Joined { id, peers, standing, resumed: resumed_from });
                for text in resumed.missed {
                    self.write(connection, Message::Missed(text.json.to_string()));
                }
            }
            Output::Refused { id, code } => {
                let Some((client, number)) = self.process(node).waiting.remove(&id) else {
                    self.fail(&format!("{id} is refused at n{node} and does not wait"))
                };
                self.note(|| format!("client {client} is refused: {code:?}"));
                if self.clients[client].connection == number {
                    self.clients[client].state = State::Away { until: self.now + 2_000 };
                }
                self.records.get_mut(&id).unwrap().has_ended = true;
            }
            Output::NotResumed { id, .. } => {
                let Some((client, number)) = self.process(node).waiting.remove(&id) else {
                    self.fail(&format!("{id} is not resumed at n{node} and does not wait"))
                };
                self.note(|| format!("client {client} cannot resume {id}"));
                if self.clients[client].connection == number {
                    self.end_membership(client, 100);
                } else {
                    self.records.get_mut(&id).unwrap().has_ended = true;
                }
            }
            Output::Evict { id, code } => self.evict(node, id, code),
            // For the driver's records alone.
            Output::Came { .. } | Output::Moved { .. } | Output::Left { .. } => {}
            Output::Send { to, item } => {
                let to: usize = to.as_str()[1..].parse().unwrap();
                assert_ne!(to, node, "an item for the node itself");
                self.send(node, to, item.to_json());
            }
        }
    }

    fn evict(&mut self, node: usize, id: MemberId, code: ByeCode) {
        let Some(connection) = self.process(node).connections.remove(&id) else { return };
        self.note(|| format!("n{node} evicts {id}: {code:?}"));
        let client = &self.clients[connection.client];
        let is_present = client.connection == connection.number && client.state == State::In { node };
        match code {
            ByeCode::Removed => {
                if is_present {
                    self.end_membership(connection.client, 1_000);
                }
                if !self.records[&id].may_be_removed {
                    self.fail(&format!("{id} is removed by nobody"));
                }
            }
            _ if is_present => self.fail(&format!("{id} is replaced by nobody")),
            _ => {}
        }
    }

    fn write(&mut self, connection: Connection, message: Message) {
        let client = &mut self.clients[connection.client];
        if client.connection != connection.number {
            return;
        }
        client.inbox.push_back(message);
        let at = self.now + self.between(0, 30);
        let (client, connection) = (connection.client, connection.number);
        self.schedule(at, Event::Client { client, connection });
    }

    /// A client reads its next message.
    pub(super) fn read(&mut self, client: usize, connection: u64) {
        let c = &mut self.clients[client];
        if c.connection != connection {
            return;
        }
        let Some(message) = c.inbox.pop_front() else { return };
        match message {
            Message::Joined { id, peers, standing, resumed } => {
                self.enters(client, id, &peers, standing, resumed);
            }
            Message::Text(text) => self.hears_text(client, &text, false),
            Message::Missed(text) => self.hears_text(client, &text, true),
        }
    }

    fn enters(&mut self, client: usize, id: MemberId, peers: &[Peer], is: Standing, resumed: Option<u64>) {
        let c = &mut self.clients[client];
        let State::Asks { node, .. } = c.state else { return };
        c.state = State::In { node };
        c.node = node;
        let before = std::mem::take(&mut c.peers);
        c.peers = peers.iter().map(|peer| (peer.id, (peer.polite, peer.host))).collect();
        (c.is_host, c.is_locked) = (is.role == Role::Host, is.locked);
        let (known, seq, now_peers) = (c.id, c.seq, c.peers.clone());
        c.id = Some(id);
        match resumed {
            Some(from) => {
                if known != Some(id) || from != seq {
                    self.fail(&format!(
                        "client {client}: resumed {id} from {from}, not {known:?} from {seq}"
                    ));
                }
                for (peer, (polite, _)) in before {
                    let is_sound = self.parted.until + 30_000 < self.now;
                    if is_sound && now_peers.get(&peer).is_some_and(|now| now.0 != polite) {
                        self.fail(&format!("client {client}: another one towards {peer} is polite now"));
                    }
                }
            }
            None => self.clients[client].seq = 0,
        }
        let count = now_peers.len();
        self.note(|| format!("client {client} is in with {count} peers"));
    }

    fn hears_text(&mut self, client: usize, text: &str, missed: bool) {
        self.note(|| format!("client {client} reads {text}"));
        let message: Value = serde_json::from_str(text).unwrap();
        let Some(own) = self.clients[client].id else { self.fail("a message to one that is nobody") };
        let id = |field: &str| MemberId::parse(message[field].as_str().unwrap()).unwrap();
        match message["type"].as_str().unwrap() {
            "signal" => {
                let from = id("from");
                let knows = self.clients[client].peers.contains_key(&from);
                // The last signals of one that has left may come late.
                let has_left = self.records[&from].has_ended || self.records[&own].left.contains(&from);
                if !(knows || missed || has_left) {
                    self.fail(&format!("client {client} does not know {from} that signals"));
                }
                self.hears_signal(client, own, from, &message);
            }
            "peer-joined" => {
                let peer = id("id");
                if self.records[&peer].room != self.clients[client].room {
                    self.fail("a member of another room");
                }
                let state = (message["polite"].as_bool().unwrap(), message["host"].as_bool().unwrap());
                if self.clients[client].peers.insert(peer, state).is_some() {
                    self.fail(&format!("client {client} was told twice that {peer} joined"));
                }
            }
            "peer-left" => {
                let peer = id("id");
                if self.clients[client].peers.remove(&peer).is_none() {
                    self.fail(&format!("client {client} does not know {peer} that left"));
                }
                self.records.get_mut(&own).unwrap().left.insert(peer);
                let is_in = |c: &Client| c.id == Some(peer) && matches!(c.state, State::In { .. });
                let may = self.records[&peer].may_be_removed;
                // If another one of the two is polite now, they meet again.
                let joined = format!("{{\"type\":\"peer-joined\",\"id\":\"{peer}\"");
                let next = self.clients[client].inbox.front();
                let returns =
                    next.is_some_and(|next| matches!(next, Message::Text(text) if text.starts_with(&joined)));
                if self.clients.iter().any(is_in)
                    && !may
                    && !returns
                    && self.parted.long_until + 30_000 < self.now
                {
                    self.fail(&format!("client {client} was told that {peer} left, which is there"));
                }
            }
            "host" => {
                let peer = id("id");
                if peer == own {
                    self.clients[client].is_host = true;
                } else if let Some(state) = self.clients[client].peers.get_mut(&peer) {
                    state.1 = true;
                } else {
                    self.fail(&format!("client {client} does not know {peer} that is host"));
                }
            }
            "locked" => self.clients[client].is_locked = message["locked"].as_bool().unwrap(),
            "error" => self.records.get_mut(&own).unwrap().errors += 1,
            other => self.fail(&format!("{other} to a client")),
        }
    }

    fn hears_signal(&mut self, client: usize, own: MemberId, from: MemberId, message: &Value) {
        let c = &mut self.clients[client];
        let (seq, n) = (message["seq"].as_u64().unwrap(), message["data"]["n"].as_u64().unwrap());
        c.seq += 1;
        let expected = c.seq;
        if message["data"]["room"] != self.clients[client].room
            || self.records[&own].room != self.records[&from].room
        {
            self.fail(&format!("client {client}: a signal of another room"));
        }
        if seq != expected {
            self.fail(&format!("client {client}: signal {seq}, not {expected}"));
        }
        let got = self.records.get_mut(&own).unwrap().got.entry(from).or_default();
        let last = got.last().copied().unwrap_or_default();
        got.insert(n);
        if n <= last {
            self.fail(&format!("client {client}: signal {n} of {from} after {last}"));
        }
    }

    /// Whether a node owns a room, by its own view.
    pub(super) fn is_owner(&self, node: usize, of: usize) -> bool {
        self.nodes[node].as_ref().is_some_and(|process| process.rooms.owner(&room(of)).is_none())
    }
}

fn process_waiting(process: &Process, client: usize, number: u64) -> Vec<MemberId> {
    let waiting = process.waiting.iter().filter(|(_, of)| **of == (client, number));
    waiting.map(|(id, _)| *id).collect()
}
