//! PeerJS: pages with the npm package `peerjs`, as it is, call each other by ids of their own
//! choice.
//!
//! [`protocol`] and [`registry`] are pure; here are their connections.

pub mod protocol;
pub mod registry;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use byway_turn::client_network::ClientNetwork;
use byway_turn::lock::lock;
use byway_turn::time::Now;

use self::protocol::{PeerId, PeerJsMessage, PeerJsRefusal, Token};
use self::registry::{Arrived, IdLease, PeerRegistry, RegistryLimits, Said};
use super::ConnectionLimits;
use super::connection::{Conversation, SignalingConnections};
use super::protocol::{ByeCode, Ending, ErrorCode, Text};
use super::send_queue::SendQueue;
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
    }
}

/// All clients of PeerJS.
#[derive(Debug)]
pub struct PeerJs {
    connections: Arc<SignalingConnections>,
    /// A `std` mutex: held for a few look-ups and pushes, never across an await.
    peers: Mutex<PeerRegistry<Arc<SendQueue>>>,
}

impl PeerJs {
    /// Nobody.
    #[must_use]
    pub fn new(connections: Arc<SignalingConnections>) -> Self {
        let limits = limits(connections.settings());
        Self { connections, peers: Mutex::new(PeerRegistry::new(limits)) }
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
        match asked.and_then(|(id, token)| self.enter(id, token, &queue, ClientNetwork::of(client))) {
            Ok(lease) => {
                // A client that takes an id over inherits the expiry of its earlier messages.
                let next = self.lock().next_deadline(&lease);
                let mut session = Session { all: self, queue: queue.clone(), lease: Some(lease), next };
                self.connections.run(socket, &queue, &mut session).await;
            }
            Err(refusal) => self.connections.turn_away(socket, refusal.text()).await,
        }
    }

    fn enter(
        &self,
        id: PeerId,
        token: Token,
        queue: &Arc<SendQueue>,
        network: ClientNetwork,
    ) -> Result<IdLease, PeerJsRefusal> {
        let mut peers = self.lock();
        peers.set_limits(limits(self.connections.settings()));
        let Arrived { lease, replaced, missed, told } = peers.arrive(id, token, queue.clone(), network)?;
        if let Some(former) = replaced {
            former.evict(ByeCode::Replaced);
        }
        queue.admit();
        // Under the lock, so that no later message comes first.
        queue.say(protocol::open());
        self.connections.counters.signals.add(missed.len() as u64);
        for text in missed {
            queue.say(text);
        }
        for (sender, text) in told {
            sender.say(text);
        }
        self.count(&peers);
        Ok(lease)
    }

    fn leave(&self, lease: &IdLease) {
        let mut peers = self.lock();
        peers.depart(lease);
        self.count(&peers);
    }

    fn count(&self, peers: &PeerRegistry<Arc<SendQueue>>) {
        self.connections.counters.peerjs.set(peers.count() as u64);
    }

    fn lock(&self) -> MutexGuard<'_, PeerRegistry<Arc<SendQueue>>> {
        // A panic under the lock would be a bug in the registry; the others go on.
        lock(&self.peers)
    }
}

struct Session<'a> {
    all: &'a PeerJs,
    queue: Arc<SendQueue>,
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
                        receiver.say(text);
                        self.all.connections.counters.signals.add(1);
                    }
                    Said::Expired(text) => self.queue.say(text),
                    Said::Waits | Said::Ignored => {}
                }
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
            self.queue.say(text);
        }
        self.next = peers.next_deadline(lease);
        None
    }

    fn end(&mut self, _now: Now, ending: Ending) -> Option<Text> {
        self.leave();
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
