//! PeerJS: pages with the npm package `peerjs`, as it is, call each other by ids of their own choice.
//!
//! [`protocol`] and [`registry`] are pure; here are their connections.

pub mod protocol;
pub mod registry;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use byway_turn::client_network::ClientNetwork;
use byway_turn::time::Now;

use self::protocol::{ClientMessage, PeerId, Refusal, Token};
use self::registry::{Arrived, Limits, Peers, Said, Seat};
use super::connection::{Connections, Conversation};
use super::outbox::Outbox;
use super::protocol::{ByeCode, Ending, ErrorCode, Text};
use crate::net::memory_budget::Reservation;

/// How long a message waits for its receiver: what `peerjs-server` calls `expire_timeout`.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that wait for receivers in all: of the usual waiting message, an offer of some 4 KiB, thousands.
const KEPT_IN_ALL: usize = 64 << 20;

/// All clients of PeerJS.
#[derive(Debug)]
pub struct PeerJs {
    connections: Arc<Connections>,
    /// A `std` mutex: held for a few look-ups and pushes, never across an await.
    peers: Mutex<Peers<Arc<Outbox>>>,
}

impl PeerJs {
    /// Nobody.
    #[must_use]
    pub fn new(connections: Arc<Connections>) -> Self {
        let settings = &connections.settings;
        let limits = Limits {
            // PeerJS knows no rooms: as many as there may be in all of ours.
            peers: settings.limits.rooms.saturating_mul(settings.limits.members),
            // Whoever arrives finds as much and has room for more, so that what waited for it cannot make it too slow.
            kept: settings.max_queue / 2,
            kept_in_all: KEPT_IN_ALL,
            patience: PATIENCE,
        };
        Self { connections, peers: Mutex::new(Peers::new(limits)) }
    }

    /// Serves one connection from `client` until it ends. What its URL `asked` for may already be refused. Its `memory` is
    /// released when it has its id.
    pub async fn run(
        &self,
        socket: WebSocket,
        client: IpAddr,
        asked: Result<(PeerId, Token), Refusal>,
        memory: Arc<Reservation>,
    ) {
        let outbox = self.connections.outbox(client, memory);
        match asked.and_then(|(id, token)| self.enter(id, token, &outbox, ClientNetwork::of(client))) {
            Ok(seat) => {
                // Whoever takes an id over has what it said before to see expire.
                let next = self.lock().next_deadline(&seat);
                let mut session = Session { all: self, outbox: outbox.clone(), seat: Some(seat), next };
                self.connections.run(socket, &outbox, &mut session).await;
            }
            Err(refusal) => self.connections.turn_away(socket, refusal.text()).await,
        }
    }

    fn enter(
        &self,
        id: PeerId,
        token: Token,
        outbox: &Arc<Outbox>,
        network: ClientNetwork,
    ) -> Result<Seat, Refusal> {
        let mut peers = self.lock();
        let Arrived { seat, replaced, missed, told } = peers.arrive(id, token, outbox.clone(), network)?;
        if let Some(former) = replaced {
            former.evict(ByeCode::Replaced);
        }
        outbox.admit();
        // Under the lock, so that nothing that is said from here on comes before.
        outbox.say(protocol::open());
        self.connections.counters.signals.add(missed.len() as u64);
        for text in missed {
            outbox.say(text);
        }
        for (sender, text) in told {
            sender.say(text);
        }
        self.count(&peers);
        Ok(seat)
    }

    fn leave(&self, seat: &Seat) {
        let mut peers = self.lock();
        peers.depart(seat);
        self.count(&peers);
    }

    fn count(&self, peers: &Peers<Arc<Outbox>>) {
        self.connections.counters.peerjs.set(peers.count() as u64);
    }

    fn lock(&self) -> MutexGuard<'_, Peers<Arc<Outbox>>> {
        // A panic under the lock would be a bug in the registry; the others go on.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Session<'a> {
    all: &'a PeerJs,
    outbox: Arc<Outbox>,
    /// Until the client gives its id back.
    seat: Option<Seat>,
    /// With an id: when something that it said expires. Without: when it has been so for too long.
    next: Option<Duration>,
}

impl Session<'_> {
    fn obey(&mut self, now: Now, text: &str) -> Result<(), ErrorCode> {
        match ClientMessage::parse(text)? {
            ClientMessage::Heartbeat => {}
            ClientMessage::Leave => {
                self.leave();
                self.next.get_or_insert(now.mono + self.all.connections.settings.idle_after);
            }
            ClientMessage::Pass(message) => {
                let seat = self.seat.as_ref().ok_or(ErrorCode::NotJoined)?;
                let mut peers = self.all.lock();
                match peers.say(now.mono, seat, &message) {
                    Said::Passed(receiver, text) => {
                        receiver.say(text);
                        self.all.connections.counters.signals.add(1);
                    }
                    Said::Expired(text) => self.outbox.say(text),
                    Said::Waits | Said::Ignored => {}
                }
                self.next = peers.next_deadline(seat);
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.all.leave(&seat);
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

    /// Is counted. PeerJS knows no error that leaves the connection: it would give up all that it has.
    fn refuse(&mut self, _code: ErrorCode) {}

    fn next_deadline(&self) -> Option<Duration> {
        self.next
    }

    fn wake(&mut self, now: Now) -> Option<ByeCode> {
        let Some(seat) = &self.seat else { return Some(ByeCode::Idle) };
        let mut peers = self.all.lock();
        for text in peers.expire(now.mono, seat) {
            self.outbox.say(text);
        }
        self.next = peers.next_deadline(seat);
        None
    }

    fn end(&mut self, _now: Now, ending: Ending) -> Option<Text> {
        self.leave();
        // After the others a client may come back as it is, which it takes a close without a word for.
        let why = match ending {
            Ending::Bye(ByeCode::TooLarge) => ErrorCode::TooLarge,
            Ending::Bye(ByeCode::Flooding) => ErrorCode::RateLimited,
            _ => return None,
        };
        Some(Refusal::Error(why.sentence()).text())
    }
}

impl Drop for Session<'_> {
    /// A conversation that was broken off, by a panic or with the runtime, leaves nobody behind.
    fn drop(&mut self) {
        self.leave();
    }
}
