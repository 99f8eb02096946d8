//! PeerJS: pages with the npm package `peerjs`, as it is, call each other by ids of their own
//! choice.
//!
//! [`protocol`] and [`registry`] are pure; here are their connections.

pub mod protocol;
pub mod registry;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use byway_turn::auth::Secrets;
use byway_turn::client_network::ClientNetwork;
use byway_turn::lock::lock;
use byway_turn::time::Now;
use serde_json::value::RawValue;

use self::protocol::{PeerId, PeerJsMessage, PeerJsRefusal, Token};
use self::registry::{Arrived, IdLease, Moment, PeerRegistry, Received, RegistryLimits, Said};
use super::ConnectionLimits;
use super::connection::{Conversation, SignalingConnections};
use super::neighbours::Neighbours;
use super::protocol::{ByeCode, Ending, ErrorCode, Text};
use super::send_queue::SendQueue;
use crate::access::names::NodeName;
use crate::net::memory_budget::Reservation;

/// Time that a message waits for its receiver: the `expire_timeout` of `peerjs-server`.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that wait for receivers in all: of the usual waiting message, an offer of some 4 KiB,
/// thousands.
const KEPT_IN_ALL: usize = 64 << 20;

fn limits(settings: ConnectionLimits) -> RegistryLimits {
    RegistryLimits {
        // PeerJS has no rooms: as many clients as all rooms may have members.
        peers: settings.rooms.rooms.saturating_mul(settings.rooms.members),
        // A new client gets this much and still has room for more, so that waiting messages cannot
        // make it too slow.
        kept: settings.max_queue / 2,
        kept_in_all: KEPT_IN_ALL,
        patience: PATIENCE,
        message: settings.max_message,
    }
}

/// Connection of a client that has an id, or had one.
#[derive(Clone, Debug)]
struct Holder {
    queue: Arc<SendQueue>,
    /// Whether another client has its id, on another node.
    is_outdone: Arc<AtomicBool>,
}

/// All clients of PeerJS.
#[derive(Debug)]
pub struct PeerJs {
    connections: Arc<SignalingConnections>,
    /// A `std` mutex: held for a few look-ups and pushes, never across an await.
    peers: Mutex<PeerRegistry<Holder>>,
    neighbours: Option<Neighbours>,
}

impl PeerJs {
    /// Nobody. In a cluster, whose nodes share the secrets, ids span its nodes.
    #[must_use]
    pub fn new(connections: Arc<SignalingConnections>, cluster: Option<(Neighbours, Secrets)>) -> Self {
        let limits = limits(connections.settings());
        let (neighbours, peers) = match cluster {
            Some((others, secrets)) => {
                let (node, first) = (others.node.clone(), others.first_number());
                (Some(others), PeerRegistry::of_node(limits, node, secrets, first))
            }
            None => (None, PeerRegistry::new(limits)),
        };
        Self { connections, peers: Mutex::new(peers), neighbours }
    }

    /// Replaces the secrets of the cluster.
    pub fn set_secrets(&self, secrets: Secrets) {
        if self.neighbours.is_some() {
            let mut peers = self.lock();
            peers.set_secrets(secrets);
            self.send(&mut peers);
        }
    }

    /// Takes an item of another node. Those that are not about ids are ignored.
    pub fn hear(&self, from: &NodeName, item: &RawValue) {
        let mut peers = self.lock();
        let received = peers.hear(self.now(), from, item);
        self.follow(&mut peers, received);
    }

    /// Notes that the stream to or from a node was reset, with the own items that did not arrive.
    pub fn reset(&self, peer: &NodeName, unsent: &[Box<RawValue>]) {
        let mut peers = self.lock();
        let received = peers.reset(self.now(), peer, unsent);
        self.follow(&mut peers, received);
    }

    /// Takes in the other nodes, or that this node is alone.
    pub fn set_view(&self, nodes: &BTreeSet<NodeName>, alone: bool) {
        let mut peers = self.lock();
        peers.set_view(self.now(), nodes, alone);
        self.send(&mut peers);
    }

    /// Serves one connection from `client` until it ends. What its URL `asked` for may already be
    /// refused. Its `memory` is released when it has its id.
    pub async fn run(
        &self,
        socket: WebSocket,
        client: IpAddr,
        asked: Result<(PeerId, Token), PeerJsRefusal>,
        memory: Arc<Reservation>,
    ) {
        let queue = self.connections.send_queue(client, memory);
        let holder = Holder { queue: queue.clone(), is_outdone: Arc::default() };
        match asked.and_then(|(id, token)| self.enter(id, token, &holder, ClientNetwork::of(client))) {
            Ok(lease) => {
                // A client that takes an id over inherits the expiry of its earlier messages.
                let next = self.lock().next_deadline(&lease);
                let mut session = Session { all: self, holder, lease: Some(lease), next };
                self.connections.run(socket, &queue, &mut session).await;
            }
            Err(refusal) => self.connections.turn_away(socket, refusal.text()).await,
        }
    }

    fn enter(
        &self,
        id: PeerId,
        token: Token,
        holder: &Holder,
        network: ClientNetwork,
    ) -> Result<IdLease, PeerJsRefusal> {
        let mut peers = self.lock();
        peers.set_limits(limits(self.connections.settings()));
        let clock = self.connections.clock;
        let now = Moment { mono: clock.now().mono, unix_ms: clock.unix_ms() };
        let Arrived { lease, replaced, missed, told } =
            peers.arrive(now, id, token, holder.clone(), network)?;
        if let Some(former) = replaced {
            former.queue.evict(ByeCode::Replaced);
        }
        let queue = &holder.queue;
        queue.admit();
        // Under the lock, so that no later message comes first.
        queue.say(protocol::open());
        self.connections.counters.signals.add(missed.len() as u64);
        for text in missed {
            queue.say(text);
        }
        for (sender, text) in told {
            sender.queue.say(text);
        }
        self.changed(&mut peers);
        Ok(lease)
    }

    /// Does what follows from an item of another node.
    fn follow(&self, peers: &mut PeerRegistry<Holder>, received: Received<Holder>) {
        let Received { passed, told, ousted, renewed } = received;
        self.connections.counters.signals.add(passed.len() as u64);
        for (to, text) in passed.into_iter().chain(told) {
            to.queue.say(text);
        }
        for (former, is_same) in ousted {
            former.is_outdone.store(!is_same, Relaxed);
            former.queue.evict(ByeCode::Replaced);
        }
        for sender in renewed {
            sender.queue.renew();
        }
        self.changed(peers);
    }

    fn leave(&self, lease: &IdLease) {
        let mut peers = self.lock();
        peers.depart(lease);
        self.changed(&mut peers);
    }

    /// Counts the clients, and sends what other nodes have to know of a change.
    fn changed(&self, peers: &mut PeerRegistry<Holder>) {
        self.connections.counters.peerjs.set(peers.count() as u64);
        self.send(peers);
    }

    /// Sends the items for other nodes, under the lock: so they leave in order.
    fn send(&self, peers: &mut PeerRegistry<Holder>) {
        if let Some(neighbours) = &self.neighbours {
            neighbours.send(peers.take_items());
        }
    }

    fn now(&self) -> Duration {
        self.connections.clock.now().mono
    }

    fn lock(&self) -> MutexGuard<'_, PeerRegistry<Holder>> {
        // A panic under the lock would be a bug in the registry; the others go on.
        lock(&self.peers)
    }
}

struct Session<'a> {
    all: &'a PeerJs,
    holder: Holder,
    /// Until the client gives its id back.
    lease: Option<IdLease>,
    /// With an id: the next expiry of its messages. Without: the end of its time without one.
    next: Option<Duration>,
}

impl Session<'_> {
    fn obey(&mut self, now: Now, text: &str) -> Result<(), ErrorCode> {
        match PeerJsMessage::parse(text)? {
            PeerJsMessage::Heartbeat => {}
            PeerJsMessage::Leave => {
                self.leave();
                self.next.get_or_insert(now.mono + self.all.connections.settings().idle_after);
            }
            PeerJsMessage::Pass(message) => {
                let lease = self.lease.as_ref().ok_or(ErrorCode::NotJoined)?;
                let mut peers = self.all.lock();
                match peers.say(now.mono, lease, &message) {
                    Said::Passed(receiver, text) => {
                        receiver.queue.say(text);
                        self.all.connections.counters.signals.add(1);
                    }
                    Said::Expired(text) => self.holder.queue.say(text),
                    Said::Waits | Said::Forwarded | Said::Ignored => {}
                }
                self.all.send(&mut peers);
                self.next = peers.next_deadline(lease);
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.all.leave(&lease);
            self.next = None;
        }
    }
}

impl Conversation for Session<'_> {
    fn hear(&mut self, now: Now, text: &str) {
        if let Err(code) = self.obey(now, text) {
            self.all.connections.counters.refused(code);
        }
    }

    /// Is counted. PeerJS knows no error that leaves the connection: it would give up all that it
    /// has.
    fn refuse(&mut self, _code: ErrorCode) {}

    fn next_deadline(&self) -> Option<Duration> {
        self.next
    }

    fn wake(&mut self, now: Now) -> Option<ByeCode> {
        let Some(lease) = &self.lease else { return Some(ByeCode::Idle) };
        let mut peers = self.all.lock();
        for text in peers.expire(now.mono, lease) {
            self.holder.queue.say(text);
        }
        self.next = peers.next_deadline(lease);
        None
    }

    /// A message of this client waits again, after another node gave it back.
    fn renew(&mut self, _now: Now) {
        if let Some(lease) = &self.lease {
            self.next = self.all.lock().next_deadline(lease);
        }
    }

    fn end(&mut self, _now: Now, ending: Ending) -> Option<Text> {
        self.leave();
        if self.holder.is_outdone.load(Relaxed) {
            return Some(PeerJsRefusal::Taken.text());
        }
        // After the others a client may come back as it is, which it takes a close without a word
        // for.
        let why = match ending {
            Ending::Bye(ByeCode::TooLarge) => ErrorCode::TooLarge,
            Ending::Bye(ByeCode::Flooding) => ErrorCode::RateLimited,
            _ => return None,
        };
        Some(PeerJsRefusal::Error(why.sentence()).text())
    }
}

impl Drop for Session<'_> {
    /// Removes the client of a session that ends by a panic or with the runtime.
    fn drop(&mut self) {
        self.leave();
    }
}
