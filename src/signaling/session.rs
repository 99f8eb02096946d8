//! The conversation of `docs/signaling.md` with one client.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use byway_turn::time::Now;

use super::connection::{Conversation, Halves};
use super::hub::Hub;
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
        let now = hub.connections.clock.now();
        let mut session =
            Session { hub: &hub, queue: queue.clone(), visitor, membership: None, next: Duration::ZERO };
        session.wait_for_join(now);
        hub.connections.run(socket, &queue, &mut session).await;
    }
}

struct Session<'a> {
    hub: &'a Hub,
    queue: Arc<SendQueue>,
    visitor: Visitor,
    /// While in a room.
    membership: Option<Membership>,
    /// In a room: when the client needs a fresh configuration. In none: when it has been that for
    /// too long.
    next: Duration,
}

impl Session<'_> {
    fn obey(&mut self, now: Now, text: &str) -> Result<(), MessageRefusal> {
        match ClientMessage::parse(text)? {
            ClientMessage::Join(_) if self.membership.is_some() => {
                return Err(ErrorCode::AlreadyJoined.into());
            }
            ClientMessage::Join(join) => {
                self.membership = Some(self.hub.enter(now, &self.queue, &self.visitor, &join)?);
                self.wait_for_refresh(now);
            }
            ClientMessage::Signal { to, data } => {
                self.hub.signal(self.member()?, to, data)?;
            }
            ClientMessage::Leave {} => {
                let membership = self.membership.take().ok_or(ErrorCode::NotJoined)?;
                self.hub.leave(now, membership.id, &self.queue, Ending::Client);
                self.wait_for_join(now);
            }
            ClientMessage::Ping { seq } => {
                if let Some(seq) = seq {
                    self.confirm(seq);
                }
                self.queue.say(ServerMessage::Pong {}.text());
            }
            ClientMessage::Remove { id } => self.hub.remove_by_host(self.member()?, id)?,
            ClientMessage::Lock { locked } => self.hub.lock_room(self.member()?, locked)?,
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

    fn refuse_until(&self, refusal: MessageRefusal) {
        let error = match refusal.wait {
            Some(wait) => ServerMessage::error_until(refusal.code, wait),
            None => ServerMessage::error(refusal.code),
        };
        self.queue.say(error.text());
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
        if let Some(membership) = &self.membership {
            self.hub.confirm(membership.id, &self.queue, seq);
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        Some(self.next)
    }

    fn wake(&mut self, now: Now) -> Option<ByeCode> {
        if self.membership.is_none() {
            return Some(ByeCode::Idle);
        }
        self.renew(now);
        None
    }

    fn renew(&mut self, now: Now) {
        let Some(membership) = &self.membership else { return };
        let ice = self.hub.configuration(now, &self.visitor, membership);
        self.queue.say(ServerMessage::Ice(ice).text());
        self.wait_for_refresh(now);
    }

    fn end(&mut self, now: Now, ending: Ending) -> Option<Text> {
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
        if let Some(membership) = self.membership.take() {
            let now = self.hub.connections.clock.now();
            self.hub.leave(now, membership.id, &self.queue, Ending::Client);
        }
    }
}
