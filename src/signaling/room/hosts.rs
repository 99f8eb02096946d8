//! Hosts of a room: succession, and requests that only hosts may make.
//!
//! By `HostRule::Longest` a room has one host while it has members other than viewers. If the host
//! leaves, the member that came next is the host. By `HostRule::Named` a room may have none or
//! several.

use super::{Delivery, Member, Room, Rooms};
use crate::access::grant::Role;
use crate::signaling::protocol::{ErrorCode, MemberId, RoomName, ServerMessage};

impl Rooms {
    /// Checks a host's request to remove the member `id`.
    ///
    /// # Errors
    /// [`ErrorCode::NotJoined`], [`ErrorCode::NotHost`]; or [`ErrorCode::NoSuchPeer`], also for the
    /// host itself.
    pub fn check_removal(&self, host: MemberId, id: MemberId) -> Result<(), ErrorCode> {
        let (name, _) = self.host(host)?;
        match self.place(id) {
            Some(place) if place == name && id != host => Ok(()),
            _ => Err(ErrorCode::NoSuchPeer),
        }
    }

    /// Locks or unlocks the room of `host`. Returns the notices: to everyone in the room, or to the
    /// host alone if nothing changes.
    ///
    /// # Errors
    /// [`ErrorCode::NotJoined`], [`ErrorCode::NotHost`]
    pub fn lock(&mut self, host: MemberId, locked: bool) -> Result<Vec<Delivery>, ErrorCode> {
        let name = self.host(host)?.0.clone();
        let room = self.rooms.get_mut(&name).ok_or(ErrorCode::NotJoined)?;
        if room.locked == locked {
            return Ok(vec![Delivery { to: host, text: ServerMessage::Locked { locked }.text() }]);
        }
        if locked {
            self.locked += 1;
        } else {
            self.locked -= 1;
        }
        Ok(room.set_locked(locked))
    }

    /// Returns the room of `host` and the limit of its token, for an invitation.
    ///
    /// # Errors
    /// [`ErrorCode::NotJoined`], [`ErrorCode::NotHost`]
    pub fn inviter(&self, host: MemberId) -> Result<(&RoomName, Option<usize>), ErrorCode> {
        let (name, member) = self.host(host)?;
        Ok((name, member.max_members))
    }

    /// Whether `room` is locked.
    #[must_use]
    pub fn is_locked(&self, room: &RoomName) -> bool {
        self.rooms.get(room).is_some_and(|room| room.locked)
    }

    /// Returns the role of `id` in `room`, if it is there.
    #[must_use]
    pub fn role(&self, room: &RoomName, id: MemberId) -> Option<Role> {
        let members = &self.rooms.get(room)?.members;
        members.iter().find(|m| m.id == id).map(|m| m.role)
    }

    fn host(&self, id: MemberId) -> Result<(&RoomName, &Member), ErrorCode> {
        let name = self.places.get(&id).ok_or(ErrorCode::NotJoined)?;
        let members = self.rooms.get(name).map_or(&[][..], |room| &room.members);
        let member = members.iter().find(|m| m.id == id).ok_or(ErrorCode::NotJoined)?;
        if member.is_host() { Ok((name, member)) } else { Err(ErrorCode::NotHost) }
    }
}

impl Room {
    /// Makes the member that is here longest the host, unless there is one: a room that two parts
    /// of a cluster opened has two. Returns the notices.
    pub(super) fn succeed(&mut self) -> Vec<Delivery> {
        if self.members.iter().any(Member::is_host) {
            return Vec::new();
        }
        let Some(host) = self.members.iter_mut().find(|m| !m.is_viewer()) else { return Vec::new() };
        host.role = Role::Host;
        let id = host.id;
        self.tell(&ServerMessage::Host { id })
    }

    pub(super) fn set_locked(&mut self, locked: bool) -> Vec<Delivery> {
        self.locked = locked;
        self.tell(&ServerMessage::Locked { locked })
    }
}
