//! Requests of hosts: to remove a member, to lock the room, to invite a guest.

use std::num::NonZeroU64;
use std::time::Duration;

use byway_turn::time::Now;

use super::Hub;
use crate::access::{HostInvitation, Policy};
use crate::ice::rfc3339;
use crate::signaling::membership::{MessageRefusal, Visitor};
use crate::signaling::protocol::{ErrorCode, MemberId, ServerMessage, Text};

impl Hub {
    /// Removes the member `id` from the room of `host`.
    pub(in crate::signaling) fn remove_by_host(
        &self,
        now: Now,
        host: MemberId,
        id: MemberId,
    ) -> Result<(), ErrorCode> {
        let mut state = self.lock();
        let result = state.rooms.remove_by_host(host, id);
        self.settle(now, state);
        result?;
        self.connections.counters.removed_by_hosts.add(1);
        Ok(())
    }

    /// Locks or unlocks the room of `host`.
    pub(in crate::signaling) fn lock_room(
        &self,
        now: Now,
        host: MemberId,
        locked: bool,
    ) -> Result<(), ErrorCode> {
        let mut state = self.lock();
        let result = state.rooms.lock(host, locked);
        self.settle(now, state);
        result
    }

    /// Issues a join token for a guest of `host`. Returns the answer.
    pub(in crate::signaling) fn invite(
        &self,
        now: Now,
        visitor: &Visitor,
        host: MemberId,
        ttl: Option<NonZeroU64>,
        viewer: bool,
    ) -> Result<Text, MessageRefusal> {
        let state = self.lock();
        let rooms = state.rooms.rooms();
        let (room, max_members) = rooms.inviter(host)?;
        let room = room.clone();
        let region = rooms.credentials(host).and_then(|(_, region)| region.cloned());
        drop(state);
        let access = self.parts.access.load();
        if access.policy == Policy::Open {
            return Err(ErrorCode::NoTokens.into());
        }
        let ttl = ttl.map(|seconds| Duration::from_secs(seconds.get()));
        let invitation = HostInvitation { room, max_members, region, viewer, ttl };
        let (token, end) = access.invite(now, visitor.address, invitation)?;
        self.connections.counters.invitations.add(1);
        Ok(ServerMessage::Invitation { token, expires_at: rfc3339(end) }.text())
    }
}
