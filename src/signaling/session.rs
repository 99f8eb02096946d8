//! The conversation of `docs/signaling.md`: what one client says, and what becomes of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use byway_turn::client_network::ClientNetwork;
use byway_turn::time::Now;

use super::connection::{Conversation, Halves};
use super::hub::{Hub, Refusal, Seat};
use super::outbox::Outbox;
use super::protocol::{ByeCode, ClientMessage, Ending, ErrorCode, ServerMessage, Text};
use crate::ice::Host;
use crate::net::memory_budget::Reservation;

/// Serves one connection until it ends. Its `memory` is released when it comes into a room.
pub fn run(
    socket: WebSocket,
    hub: Arc<Hub>,
    visitor: Visitor,
    memory: Arc<Reservation>,
) -> impl Future<Output = ()> + Send {
    let socket = Halves::from(socket);
    async move {
        let outbox = hub.connections.outbox(visitor.address, memory);
        let now = hub.connections.clock.now();
        let mut session =
            Session { hub: &hub, outbox: outbox.clone(), visitor, seat: None, next: Duration::ZERO };
        session.wait_for_join(now);
        hub.connections.run(socket, &outbox, &mut session).await;
    }
}

/// Who has opened a connection.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The client's address, for what is limited by address.
    pub address: IpAddr,
    /// What the client calls us.
    pub host: Option<Host>,
}

impl Visitor {
    /// The network that is charged for what the client holds.
    pub(super) fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.address)
    }
}

struct Session<'a> {
    hub: &'a Hub,
    outbox: Arc<Outbox>,
    visitor: Visitor,
    /// While in a room.
    seat: Option<Seat>,
    /// In a room: when the client needs a fresh configuration. In none: when it has been that for too long.
    next: Duration,
}

impl Session<'_> {
    fn obey(&mut self, now: Now, text: &str) -> Result<(), Refusal> {
        match ClientMessage::parse(text)? {
            ClientMessage::Join(_) if self.seat.is_some() => return Err(ErrorCode::AlreadyJoined.into()),
            ClientMessage::Join(join) => {
                self.seat = Some(self.hub.enter(now, &self.outbox, &self.visitor, join)?);
                self.wait_for_refresh(now);
            }
            ClientMessage::Signal { to, data } => {
                let seat = self.seat.as_ref().ok_or(ErrorCode::NotJoined)?;
                self.hub.signal(seat.id, to, data)?;
            }
            ClientMessage::Leave {} => {
                let seat = self.seat.take().ok_or(ErrorCode::NotJoined)?;
                self.hub.leave(seat.id, &self.outbox);
                self.wait_for_join(now);
            }
            ClientMessage::Ping { seq } => {
                if let Some(seq) = seq {
                    self.confirm(seq);
                }
                self.outbox.say(ServerMessage::Pong {}.text());
            }
        }
        Ok(())
    }

    fn wait_for_join(&mut self, now: Now) {
        self.next = now.mono + self.hub.connections.settings.idle_after;
    }

    /// Half of the lifetime, so that there is time to move to the fresh credential, and more than one try.
    fn wait_for_refresh(&mut self, now: Now) {
        self.next = now.mono + (self.hub.ttl() / 2).max(Duration::from_secs(1));
    }

    fn refuse_until(&self, refusal: Refusal) {
        let error = match refusal.wait {
            Some(wait) => ServerMessage::error_until(refusal.code, wait),
            None => ServerMessage::error(refusal.code),
        };
        self.outbox.say(error.text());
    }
}

impl Conversation for Session<'_> {
    fn hear(&mut self, now: Now, text: &str) {
        if let Err(refusal) = self.obey(now, text) {
            self.hub.connections.counters.refused(refusal.code);
            self.refuse_until(refusal);
        }
    }

    fn refuse(&mut self, code: ErrorCode) {
        self.refuse_until(code.into());
    }

    fn confirm(&mut self, seq: u64) {
        if let Some(seat) = &self.seat {
            self.hub.confirm(seat.id, &self.outbox, seq);
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        Some(self.next)
    }

    fn wake(&mut self, now: Now) -> Option<ByeCode> {
        if self.seat.is_none() {
            return Some(ByeCode::Idle);
        }
        self.renew(now);
        None
    }

    fn renew(&mut self, now: Now) {
        let Some(seat) = &self.seat else { return };
        let ice = self.hub.configuration(now, self.visitor.host.as_ref(), &seat.user);
        self.outbox.say(ServerMessage::Ice(ice).text());
        self.wait_for_refresh(now);
    }

    fn end(&mut self, now: Now, ending: Ending) -> Option<Text> {
        if let Some(seat) = self.seat.take() {
            self.hub.part(now, seat.id, &self.outbox, ending);
        }
        match ending {
            Ending::Bye(code) => Some(ServerMessage::bye(code).text()),
            _ => None,
        }
    }
}

impl Drop for Session<'_> {
    /// A conversation that was broken off, by a panic or with the runtime, leaves nobody behind.
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.hub.leave(seat.id, &self.outbox);
        }
    }
}
