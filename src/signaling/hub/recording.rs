//! Events of rooms and members: for those who record them, and for the timelines of calls.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use byway_turn::lock::lock;
use byway_turn::time::Now;

use super::Hub;
use crate::events::Event;
use crate::signaling::membership::MessageRefusal;
use crate::signaling::protocol::report::{ReportEvent, RoomFact};
use crate::signaling::protocol::{ByeCode, Ending, ErrorCode, MemberId, RoomName, ServerMessage, Text};
use crate::signaling::timeline::{CallSummary, CallTimeline, Participant, TimelinePage, Timelines};

impl Hub {
    /// Reports a newcomer, after its room if it `opens` one. Called under the lock, so that events
    /// have the order of the changes.
    pub(super) fn record_join(&self, now: Now, room: &RoomName, participant: Participant, opens: bool) {
        let events = &self.parts.events;
        if !events.is_idle() {
            let name: Arc<str> = room.as_str().into();
            if opens {
                events.send(now.unix, Event::RoomOpened { room: name.clone() });
            }
            let Participant { id, ref user, viewer, .. } = participant;
            let (member, user) = (id.to_string().into(), user.clone());
            events.send(now.unix, Event::MemberJoined { room: name, member, user, viewer });
        }
        self.recorded().joined(now, room, participant);
    }

    /// Reports a member that has come from another node, which goes on as before. Called under the
    /// lock.
    pub(super) fn record_arrival(&self, now: Now, room: &RoomName, participant: Participant, opens: bool) {
        let events = &self.parts.events;
        if opens && !events.is_idle() {
            events.send(now.unix, Event::RoomOpened { room: room.as_str().into() });
        }
        self.recorded().came(now, room, participant);
    }

    /// Reports a member that has moved to another node. Called under the lock.
    pub(super) fn record_move(&self, now: Now, room: &RoomName, id: MemberId, closes: bool) {
        let events = &self.parts.events;
        if closes && !events.is_idle() {
            events.send(now.unix, Event::RoomClosed { room: room.as_str().into() });
        }
        self.recorded().left(now, room, id, "moved", closes);
    }

    /// Adds an event of a member to its timeline.
    pub(super) fn record(&self, now: Now, id: MemberId, fact: RoomFact) {
        self.recorded().note(now, id, fact);
    }

    /// Reports a member that is gone, and then its room if that `closes`. Called under the lock.
    pub(super) fn record_departure(
        &self,
        now: Now,
        room: &RoomName,
        id: MemberId,
        user: &Arc<str>,
        ending: Ending,
        closes: bool,
    ) {
        let events = &self.parts.events;
        let reason = reason(ending);
        if !events.is_idle() {
            let room: Arc<str> = room.as_str().into();
            let (member, user) = (id.to_string().into(), user.clone());
            events.send(now.unix, Event::MemberLeft { room: room.clone(), member, user, reason });
            if closes {
                events.send(now.unix, Event::RoomClosed { room });
            }
        }
        self.recorded().left(now, room, id, reason, closes);
    }

    /// Adds an event of the relay to the timeline of its member.
    pub fn record_relay(&self, event: &Event) {
        self.recorded().relay(self.connections.clock.now(), event);
    }

    /// Discards the timelines whose time is over, until all connections end.
    pub async fn discard_timelines(&self) {
        while !self.connections.are_ending() {
            tokio::time::sleep(DISCARD_EVERY).await;
            self.recorded().expire(self.connections.clock.now().mono);
        }
    }

    /// The calls that have a timeline.
    pub fn timelines(&self) -> Vec<CallSummary> {
        self.recorded().calls(self.connections.clock.now())
    }

    /// The timeline of the last call in `room`.
    pub fn timeline(&self, room: &RoomName) -> Option<CallTimeline> {
        self.recorded().call(self.connections.clock.now(), room)
    }

    /// Allows or ends the reports of the member `id`.
    pub(in crate::signaling) fn consent(&self, now: Now, id: MemberId, on: bool) {
        self.recorded().consent(now, id, on);
    }

    /// Adds what the page of the member `id` has observed.
    pub(in crate::signaling) fn report(
        &self,
        now: Now,
        id: MemberId,
        events: Vec<ReportEvent>,
    ) -> Result<(), ErrorCode> {
        self.recorded().report(now, id, events)
    }

    /// The next part of the timeline for the member `id`.
    pub(in crate::signaling) fn timeline_page(
        &self,
        now: Now,
        id: MemberId,
        after: u64,
    ) -> Result<Text, MessageRefusal> {
        let page = self.recorded().page(now, id, after);
        let TimelinePage { members, events, next, more, dropped } =
            page.map_err(|wait| MessageRefusal { code: ErrorCode::RateLimited, wait: Some(wait) })?;
        Ok(ServerMessage::Timeline { members, events, next, more, dropped }.text())
    }

    fn recorded(&self) -> MutexGuard<'_, Timelines> {
        lock(&self.timelines)
    }
}

/// Time between two looks for timelines whose time is over. Requests look, too.
const DISCARD_EVERY: Duration = Duration::from_secs(60);

/// Label of the cause of a departure.
fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::Client => "left",
        Ending::Lost | Ending::Bye(ByeCode::Silent | ByeCode::TooSlow) => "lost",
        Ending::Bye(ByeCode::Removed) => "removed",
        Ending::Violation | Ending::NotUtf8 | Ending::Bye(_) => "rejected",
    }
}
