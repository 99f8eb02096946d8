//! The conversation of `docs/signaling.md` with one client.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use byway_turn::time::Now;

use super::connection::{Conversation, Halves};
use super::hub::{Entry, Hub};
use super::membership::{Membership, MessageRefusal, Visitor};
use super::protocol::{ByeCode, ClientMessage, Ending, ErrorCode, MemberId, ServerMessage, Text};
use super::send_queue::SendQueue;
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
        let queue = hub.connections.send_queue(visitor.address, memory);
        let mut session = Session::new(&hub, queue.clone(), visitor);
        hub.connections.run(socket, &queue, &mut session).await;
    }
}

/// Conversation with one client.
pub(super) struct Session<'a> {
    hub: &'a Hub,
    queue: Arc<SendQueue>,
    visitor: Visitor,
    /// While it waits to come into a room, which another node may decide.
    entry: Option<Arc<Entry>>,
    /// While in a room.
    membership: Option<Membership>,
    /// In a room: when the client needs a fresh configuration. In none: when it has been that for
    /// too long.
    next: Duration,
}

impl<'a> Session<'a> {
    /// A conversation that begins now, outside of a room.
    pub(super) fn new(hub: &'a Hub, queue: Arc<SendQueue>, visitor: Visitor) -> Self {
        let mut session = Self { hub, queue, visitor, entry: None, membership: None, next: Duration::ZERO };
        session.wait_for_join(hub.connections.clock.now());
        session
    }

    fn obey(&mut self, now: Now, text: &str) -> Result<(), MessageRefusal> {
        match ClientMessage::parse(text)? {
            ClientMessage::Join(_) if self.membership.is_some() || self.entry.is_some() => {
                return Err(ErrorCode::AlreadyJoined.into());
            }
            ClientMessage::Join(join) => {
                self.visitor.nearest.clone_from(&join.region);
                self.entry = Some(self.hub.enter(now, &self.queue, &self.visitor, join));
                self.look(now);
            }
            ClientMessage::Signal { to, data } => {
                self.hub.signal(now, self.member()?, to, data)?;
            }
            ClientMessage::Leave {} => {
                if self.entry.is_none() && self.membership.is_none() {
                    return Err(ErrorCode::NotJoined.into());
                }
                self.leave(now);
                self.wait_for_join(now);
            }
            ClientMessage::Ping { seq } => {
                if let Some(seq) = seq {
                    self.confirm(seq);
                }
                self.queue.say(ServerMessage::Pong {}.text());
            }
            ClientMessage::Remove { id } => self.hub.remove_by_host(now, self.member()?, id)?,
            ClientMessage::Lock { locked } => self.hub.lock_room(now, self.member()?, locked)?,
            ClientMessage::Invite { ttl, viewer } => {
                let text = self.hub.invite(now, &self.visitor, self.member()?, ttl, viewer)?;
                self.queue.say(text);
            }
            ClientMessage::Consent { reports } => self.hub.consent(now, self.member()?, reports),
            ClientMessage::Report { events } => self.hub.report(now, self.member()?, events)?,
            ClientMessage::Timeline { after } => {
                let text = self.hub.timeline_page(now, self.member()?, after.unwrap_or(0))?;
                self.queue.say(text);
            }
        }
        Ok(())
    }

    /// Takes in the answer to a request to enter a room, if it has come. To be called before all
    /// else: the client may already have read it.
    fn look(&mut self, now: Now) {
        let Some(answer) = self.entry.as_ref().and_then(|entry| entry.answer()) else { return };
        self.entry = None;
        if let Some(membership) = answer {
            self.membership = Some(membership);
            self.wait_for_refresh(now);
        }
    }

    /// Leaves the room, or does not enter it any more.
    fn leave(&mut self, now: Now) {
        if let Some(entry) = self.entry.take() {
            self.membership = self.hub.cancel(now, &entry);
        }
        if let Some(membership) = self.membership.take() {
            self.hub.leave(now, membership.id, &self.queue, Ending::Client);
        }
    }

    fn member(&self) -> Result<MemberId, ErrorCode> {
        self.membership.as_ref().map(|membership| membership.id).ok_or(ErrorCode::NotJoined)
    }

    fn wait_for_join(&mut self, now: Now) {
        self.next = now.mono + self.hub.connections.settings().idle_after;
    }

    /// Half of the lifetime, so that there is time to move to the fresh credential, and more than
    /// one try.
    fn wait_for_refresh(&mut self, now: Now) {
        self.next = now.mono + (self.hub.ttl() / 2).max(Duration::from_secs(1));
    }
}

impl Conversation for Session<'_> {
    fn hear(&mut self, now: Now, text: &str) {
        self.look(now);
        if let Err(refusal) = self.obey(now, text) {
            self.hub.connections.counters.refused(refusal.code);
            self.queue.say(refusal.text());
        }
    }

    fn refuse(&mut self, code: ErrorCode) {
        self.queue.say(MessageRefusal::from(code).text());
    }

    fn confirm(&mut self, seq: u64) {
        if let Some(membership) = &self.membership {
            self.hub.confirm(self.hub.connections.clock.now(), membership.id, &self.queue, seq);
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        Some(self.next)
    }

    fn wake(&mut self, now: Now) -> Option<ByeCode> {
        self.look(now);
        if self.membership.is_none() {
            return Some(ByeCode::Idle);
        }
        // Unless it has just come in.
        if self.next <= now.mono {
            self.renew(now);
        }
        None
    }

    fn answered(&mut self, now: Now) {
        self.look(now);
    }

    fn renew(&mut self, now: Now) {
        self.look(now);
        let Some(membership) = &self.membership else { return };
        let ice = self.hub.configuration(now, &self.visitor, membership);
        self.queue.say(ServerMessage::Ice(ice).text());
        self.wait_for_refresh(now);
    }

    fn end(&mut self, now: Now, ending: Ending) -> Option<Text> {
        self.look(now);
        if let Some(entry) = self.entry.take() {
            self.membership = self.hub.cancel(now, &entry);
        }
        if let Some(membership) = self.membership.take() {
            self.hub.part(now, membership.id, &self.queue, ending);
        }
        match ending {
            Ending::Bye(code) => Some(ServerMessage::bye(code).text()),
            _ => None,
        }
    }
}

impl Drop for Session<'_> {
    /// Removes the member of a session that ends by a panic or with the runtime.
    fn drop(&mut self) {
        if self.entry.is_some() || self.membership.is_some() {
            self.leave(self.hub.connections.clock.now());
        }
    }
}
