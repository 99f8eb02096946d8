//! Events of rooms and members, for those who record them.

use std::sync::Arc;

use byway_turn::time::Now;

use super::Hub;
use crate::access::grant::Role;
use crate::events::Event;
use crate::signaling::membership::Membership;
use crate::signaling::protocol::{ByeCode, Ending, MemberId, RoomName};

impl Hub {
    /// Reports a newcomer, after its room if it `opens` one. Called under the lock, so that events
    /// have the order of the changes.
    pub(super) fn record_join(
        &self,
        now: Now,
        room: &RoomName,
        membership: &Membership,
        role: Role,
        opens: bool,
    ) {
        let events = &self.parts.events;
        if events.is_idle() {
            return;
        }
        let room: Arc<str> = room.as_str().into();
        if opens {
            events.send(now.unix, Event::RoomOpened { room: room.clone() });
        }
        let member = membership.id.to_string().into();
        let (user, viewer) = (membership.user.clone(), role == Role::Viewer);
        events.send(now.unix, Event::MemberJoined { room, member, user, viewer });
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
        if events.is_idle() {
            return;
        }
        let room: Arc<str> = room.as_str().into();
        let (member, user, reason) = (id.to_string().into(), user.clone(), reason(ending));
        events.send(now.unix, Event::MemberLeft { room: room.clone(), member, user, reason });
        if closes {
            events.send(now.unix, Event::RoomClosed { room });
        }
    }
}

/// Label of the cause of a departure.
pub(super) fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::Client => "left",
        Ending::Lost | Ending::Bye(ByeCode::Silent | ByeCode::TooSlow) => "lost",
        Ending::Bye(ByeCode::Removed) => "removed",
        Ending::Violation | Ending::NotUtf8 | Ending::Bye(_) => "rejected",
    }
}
