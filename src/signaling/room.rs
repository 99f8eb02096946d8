//! Rooms, presence, the polite role, and signals kept for members whose connection was lost. Pure:
//! the caller hands in the time, and messages leave as [`Delivery`] values.
//!
//! A room exists while it has members. The order of arrival decides the roles: a newcomer is
//! polite towards the members that are already there, so of any two members exactly one is polite.
//!
//! ```text
//!          join              lose                 expire, leave
//! (none) ───────► present ─────────► absent ─────────────────────► (none)
//!                    ▲                 │
//!                    └──── resume ─────┘
//! ```
//!
//! Only signals are kept for a member: a client that resumes gets the present members. A signal is
//! kept until the client has confirmed it, within a bound. If an unconfirmed signal was dropped,
//! the member cannot resume from before it, so it never misses one unnoticed.
//!
//! Rooms and bytes kept are [shares](byway_turn::shares): a room is charged to the network of its
//! oldest member, and kept signals to that of their receiver. Present members are never removed for
//! either limit; only newcomers are refused.
//!
//! The maps are ordered trees: clients choose the keys, and a tree needs no seed against
//! collisions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;
use byway_turn::shares::{Shares, biggest};
use serde_json::value::RawValue;

use super::protocol::{DisplayName, ErrorCode, MemberId, Peer, RoomName, ServerMessage, Text};

/// Limits of the rooms.
#[derive(Clone, Copy, Debug)]
pub struct RoomLimits {
    /// Rooms at one time.
    pub rooms: usize,
    /// Members of one room, absent ones among them.
    pub members: usize,
    /// Bytes of signals kept for one member.
    pub kept: usize,
    /// Bytes of signals kept for all members.
    pub kept_in_all: usize,
}

/// The part of what may be kept for a member that its network's share and the last tenth do not
/// limit: by default 16 KiB, an offer and its candidates. Where all members together have more of
/// it than there is, the biggest holders lose theirs.
pub const SHARE: usize = 32;

/// Message to one member.
#[derive(Debug)]
pub struct Delivery {
    /// Receiver.
    pub to: MemberId,
    /// Message.
    pub text: Text,
}

/// State of the room for a client that is back.
#[derive(Debug)]
pub struct Resumed {
    /// Other members by now, in order of arrival.
    pub peers: Vec<Peer>,
    /// The last signal that it has.
    pub seq: u64,
    /// The signals that it missed, in their order.
    pub missed: Vec<Text>,
}

/// All rooms and their members.
#[derive(Debug)]
pub struct Rooms {
    limits: RoomLimits,
    /// Members in order of arrival; never empty.
    rooms: BTreeMap<RoomName, Vec<Member>>,
    /// Room of each member; holds exactly the members of `rooms`.
    places: BTreeMap<MemberId, RoomName>,
    /// Times at which absent members are given up, in order; holds exactly those.
    absences: BTreeSet<(Duration, MemberId)>,
    /// Rooms, by the network of the eldest member.
    shares: Shares,
    /// Bytes kept, by the network of the receiver.
    kept: Shares,
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    name: Option<DisplayName>,
    /// The network that it came from last.
    network: ClientNetwork,
    /// Number of signals to this member so far; the `seq` of the last one.
    said: u64,
    /// The last of them.
    kept: VecDeque<Text>,
    kept_bytes: usize,
    absence: Option<Absence>,
}

/// A member without a connection.
#[derive(Clone, Copy, Debug)]
struct Absence {
    until: Duration,
    /// The `seq` of the last signal written to the connection that was lost.
    written: u64,
}

impl Rooms {
    /// No rooms.
    #[must_use]
    pub fn new(limits: RoomLimits) -> Self {
        Self {
            limits,
            rooms: BTreeMap::new(),
            places: BTreeMap::new(),
            absences: BTreeSet::new(),
            shares: Shares::of(limits.rooms),
            kept: Shares::of(limits.kept_in_all),
        }
    }

    /// Rooms at this moment.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Members of all rooms at this moment, absent ones among them.
    #[must_use]
    pub fn members(&self) -> usize {
        self.places.len()
    }

    /// Members without a connection at this moment.
    #[must_use]
    pub fn absent(&self) -> usize {
        self.absences.len()
    }

    /// Bytes of signals kept at this moment.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.held()
    }

    /// Members of `room` in order of arrival, each with its name and whether it is connected.
    pub fn members_of(
        &self,
        room: &RoomName,
    ) -> impl Iterator<Item = (MemberId, Option<&DisplayName>, bool)> {
        let members = self.rooms.get(room).map_or(&[][..], Vec::as_slice);
        members.iter().map(|m| (m.id, m.name.as_ref(), m.absence.is_none()))
    }

    /// Room of `id`.
    #[must_use]
    pub fn place(&self, id: MemberId) -> Option<&RoomName> {
        self.places.get(&id)
    }

    /// Adds `id` from `network` to `room`, if it has fewer than `max_members`. Returns the present
    /// members, and the notices to them.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyJoined`], [`ErrorCode::RoomFull`] or [`ErrorCode::TooManyRooms`].
    pub fn join(
        &mut self,
        id: MemberId,
        room: RoomName,
        name: Option<DisplayName>,
        max_members: usize,
        network: ClientNetwork,
    ) -> Result<(Vec<Peer>, Vec<Delivery>), ErrorCode> {
        if self.places.contains_key(&id) {
            return Err(ErrorCode::AlreadyJoined);
        }
        let there = self.rooms.get(&room).map_or(&[][..], Vec::as_slice);
        if there.len() >= self.limits.members.min(max_members) {
            return Err(ErrorCode::RoomFull);
        }
        if there.is_empty() {
            self.shares.take(network, 1).map_err(|_| ErrorCode::TooManyRooms)?;
        }
        let peers = there.iter().map(|m| m.seen(true)).collect();
        let newcomer =
            Member { id, name, network, said: 0, kept: VecDeque::new(), kept_bytes: 0, absence: None };
        let text = ServerMessage::PeerJoined(newcomer.seen(false)).text();
        let told = there.iter().map(|m| Delivery { to: m.id, text: text.clone() }).collect();
        self.places.insert(id, room.clone());
        self.rooms.entry(room).or_default().push(newcomer);
        Ok((peers, told))
    }

    /// Forwards `data` from one member to another of the same room, with its sender, and keeps it.
    /// If the kept signals reach their limit and the receiver `reads`, its oldest ones are dropped,
    /// which have been written by then. If it does not read, none is dropped and the sender has to
    /// wait: otherwise a fast sender could end the memberships of others.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] if the signals for a receiver that does not read have reached
    /// their limit; [`ErrorCode::NotJoined`]; or [`ErrorCode::NoSuchPeer`]. The latter is the same
    /// for a member of another room and for an unknown one, so that a room cannot be explored from
    /// outside.
    pub fn signal(
        &mut self,
        from: MemberId,
        to: MemberId,
        data: Box<RawValue>,
        reads: bool,
    ) -> Result<Delivery, ErrorCode> {
        let place = self.places.get(&from).ok_or(ErrorCode::NotJoined)?;
        let receiver = self
            .rooms
            .get_mut(place)
            .and_then(|members| members.iter_mut().find(|m| m.id == to && m.id != from))
            .ok_or(ErrorCode::NoSuchPeer)?;
        let text = ServerMessage::Signal { from, seq: receiver.said + 1, data }.text();
        let (limit, bytes, network) = (self.limits.kept, size_of_kept(&text), receiver.network);
        let fits = |own: usize, kept: &Shares| {
            own + bytes <= limit && (own + bytes <= limit / SHARE || kept.check(network, bytes).is_ok())
        };
        if !reads && !fits(receiver.kept_bytes, &self.kept) {
            return Err(ErrorCode::RateLimited);
        }
        receiver.said += 1;
        while receiver.kept_bytes > 0 && !fits(receiver.kept_bytes, &self.kept) {
            self.kept.give_back(network, receiver.forget_oldest());
        }
        if fits(receiver.kept_bytes, &self.kept) {
            receiver.kept.push_back(text.clone());
            receiver.kept_bytes += bytes;
            self.kept.charge(network, bytes);
        }
        if self.kept.held() > self.limits.kept_in_all {
            self.forget_the_biggest();
        }
        Ok(Delivery { to, text })
    }

    /// Drops the signals of the members with the most kept bytes, in the networks with the most,
    /// until a sixteenth of the limit is free.
    fn forget_the_biggest(&mut self) {
        let too_many = self.kept.held() - (self.limits.kept_in_all - self.limits.kept_in_all / 16);
        let members = self.rooms.values_mut().flatten().filter(|m| m.kept_bytes > 0);
        for member in biggest(members.map(|m| (m.network, m.kept_bytes, m)), too_many) {
            self.kept.give_back(member.network, member.forget_up_to(member.said));
        }
    }

    /// Discards the signals of `id` up to `seq`, which the client has.
    pub fn confirm(&mut self, id: MemberId, seq: u64) {
        if let Some(member) = member(&self.places, &mut self.rooms, id) {
            self.kept.give_back(member.network, member.forget_up_to(seq));
        }
    }

    /// Marks `id` as absent: its connection was lost after the signal `written` was written. It may
    /// resume `until` then.
    pub fn lose(&mut self, id: MemberId, until: Duration, written: u64) {
        let Some(member) = member(&self.places, &mut self.rooms, id) else { return };
        if member.absence.is_none() {
            member.absence = Some(Absence { until, written });
            self.absences.insert((until, id));
        }
    }

    /// Resumes the absent member `id` of `room` from `network`. Its client has the signals up to
    /// `seq`, or without a `seq` all that were written. Returns `None` if no such member exists, or
    /// if a signal that it missed was dropped.
    pub fn resume(
        &mut self,
        now: Duration,
        id: MemberId,
        room: &RoomName,
        seq: Option<u64>,
        network: ClientNetwork,
    ) -> Option<Resumed> {
        let members = self.rooms.get_mut(room)?;
        let at = members.iter().position(|m| m.id == id)?;
        let member = &mut members[at];
        let Absence { until, written } = member.absence.filter(|absence| absence.until > now)?;
        let seq = seq.unwrap_or(written);
        let oldest = member.said - member.kept.len() as u64;
        if !(oldest..=member.said).contains(&seq) {
            return None;
        }
        self.kept.give_back(member.network, member.forget_up_to(seq));
        // A client that changes its network takes its shares along.
        let former = std::mem::replace(&mut member.network, network);
        self.kept.hand_over(former, network, member.kept_bytes);
        if at == 0 {
            self.shares.hand_over(former, network, 1);
        }
        member.absence = None;
        self.absences.remove(&(until, id));
        let missed = member.kept.iter().cloned().collect();
        // An earlier member is impolite towards later ones.
        let others = members.iter().enumerate().filter(|(place, _)| *place != at);
        let peers = others.map(|(place, m)| m.seen(place < at)).collect();
        Some(Resumed { peers, seq, missed })
    }

    /// Removes `id` from its room. Returns the notices to the others, none if it was in no room.
    pub fn leave(&mut self, id: MemberId) -> Vec<Delivery> {
        let Some(place) = self.places.remove(&id) else { return Vec::new() };
        let Some(members) = self.rooms.get_mut(&place) else { return Vec::new() };
        let eldest = members.first().map(|m| m.network);
        for gone in members.extract_if(.., |m| m.id == id) {
            self.kept.give_back(gone.network, gone.kept_bytes);
            if let Some(Absence { until, .. }) = gone.absence {
                self.absences.remove(&(until, id));
            }
        }
        let text = ServerMessage::PeerLeft { id }.text();
        let told = members.iter().map(|m| Delivery { to: m.id, text: text.clone() }).collect();
        match (eldest, members.first().map(|m| m.network)) {
            (Some(former), Some(eldest)) => self.shares.hand_over(former, eldest, 1),
            (Some(former), None) => self.shares.give_back(former, 1),
            (None, _) => {}
        }
        if members.is_empty() {
            self.rooms.remove(&place);
        }
        told
    }

    /// Time at which the next absent member is given up.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.absences.first().map(|(until, _)| *until)
    }

    /// An absent member that is given up by `now`, if there is one: it has to [leave](Self::leave).
    #[must_use]
    pub fn overdue(&self, now: Duration) -> Option<MemberId> {
        self.absences.first().filter(|(until, _)| *until <= now).map(|(_, id)| *id)
    }
}

/// By its id. A function of the two maps, so that the count of what is kept can be changed beside
/// it.
fn member<'m>(
    places: &BTreeMap<MemberId, RoomName>,
    rooms: &'m mut BTreeMap<RoomName, Vec<Member>>,
    id: MemberId,
) -> Option<&'m mut Member> {
    rooms.get_mut(places.get(&id)?)?.iter_mut().find(|m| m.id == id)
}

impl Member {
    /// As another member sees it, that is `polite` towards it.
    fn seen(&self, polite: bool) -> Peer {
        Peer { id: self.id, name: self.name.clone(), polite }
    }

    /// Forgets the oldest signal; how many bytes that frees.
    fn forget_oldest(&mut self) -> usize {
        let bytes = self.kept.pop_front().as_ref().map_or(0, size_of_kept);
        self.kept_bytes -= bytes;
        if self.kept.is_empty() {
            // Most members are silent most of the time, and there are many.
            self.kept = VecDeque::new();
        }
        bytes
    }

    /// Forgets the signals up to `seq`; how many bytes that frees.
    fn forget_up_to(&mut self, seq: u64) -> usize {
        let newer = self.said.saturating_sub(seq);
        let mut freed = 0;
        while self.kept.len() as u64 > newer {
            freed += self.forget_oldest();
        }
        freed
    }
}

/// Bytes of a signal that is kept: its text, and what holding it costs.
fn size_of_kept(text: &Text) -> usize {
    size_of::<Text>() + text.json.len()
}

#[cfg(test)]
mod tests;
