//! State of rooms, for backends and the operator.

use byway_turn::auth::MemberId;
use serde::Serialize;

use super::{Hub, HubState};
use crate::access::grant::Role;
use crate::signaling::protocol::{DisplayName, RoomName};
use crate::signaling::room::Listed;

/// A room, for a backend.
#[derive(Debug, Serialize)]
pub struct RoomState {
    /// Whether newcomers are refused.
    pub locked: bool,
    /// Members in order of arrival, viewers and members of other nodes among them.
    pub members: Vec<Present>,
}

/// A room with its name, for the operator.
#[derive(Debug, Serialize)]
pub struct NamedRoom {
    /// Name of the room.
    pub room: String,
    /// State of the room.
    #[serde(flatten)]
    pub state: RoomState,
}

/// A member of a room, for a backend.
#[derive(Debug, Serialize)]
pub struct Present {
    /// Id in the room.
    pub id: MemberId,
    /// Name that the others are shown.
    pub name: Option<DisplayName>,
    /// Whether it is a host of the room.
    pub host: bool,
    /// Whether it receives only.
    pub viewer: bool,
    /// Whether there is a connection at this moment.
    pub connected: bool,
    /// The name in its credentials.
    pub user: String,
    /// Its allocations on the relay of this node at this moment.
    pub allocations: u32,
}

impl Hub {
    /// State of `room`, as far as this node knows it.
    pub fn room(&self, room: &RoomName) -> RoomState {
        let found = self.lock().listed(room);
        self.with_allocations(found)
    }

    /// Number of rooms that this node knows, and the first `limit` of them by name.
    pub fn rooms(&self, limit: usize) -> (usize, Vec<NamedRoom>) {
        let state = self.lock();
        let total = state.rooms.rooms().rooms();
        let names: Vec<RoomName> = state.rooms.rooms().names().take(limit).cloned().collect();
        drop(state);
        // Locked for one room at a time: members join meanwhile.
        let found = names.into_iter().map(|name| {
            let state = self.room(&name);
            NamedRoom { room: name.as_str().to_owned(), state }
        });
        (total, found.filter(|room| !room.state.members.is_empty()).collect())
    }

    /// Number of members of this node, and of rooms with such members before it.
    pub fn sizes(&self) -> (u64, u64) {
        let state = self.lock();
        (state.rooms_here as u64, state.rooms.rooms().locals() as u64)
    }

    /// Counts the allocations, without the lock of the hub.
    fn with_allocations(&self, mut room: RoomState) -> RoomState {
        for member in &mut room.members {
            member.allocations = (self.parts.count_user)(&member.user);
        }
        room
    }
}

impl HubState {
    fn listed(&self, room: &RoomName) -> RoomState {
        let present = |Listed { id, name, role, connected, network: _, user }: Listed<'_>| Present {
            id,
            name: name.cloned(),
            host: role == Role::Host,
            viewer: role == Role::Viewer,
            connected,
            user: user.to_string(),
            allocations: 0,
        };
        let rooms = self.rooms.rooms();
        RoomState { locked: rooms.is_locked(room), members: rooms.members_of(room).map(present).collect() }
    }
}
