//! Rooms, presence, roles, and signals kept for members whose connection was lost. Pure: the caller
//! hands in the time, and messages leave as [`Delivery`] values.
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
//! Viewers receive only. They see the other members and are seen by them, but they neither learn of
//! other viewers nor reach them. A room may have viewers alone, and is unlocked then.
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

mod hosts;
mod member;
mod replica;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;
use byway_turn::shares::{Shares, biggest};
use serde_json::value::RawValue;

use self::member::{Absence, Member, size_of_kept};
pub use self::replica::{Heard, KeptSignal, MemberRecord, UNTIL_TOLD, network_of_nodes, without_number};
use super::protocol::{DisplayName, ErrorCode, MemberId, Peer, RoomName, ServerMessage, Text};
use crate::access::grant::Role;
use crate::access::names::{NodeName, Region};

/// Limits of the rooms.
#[derive(Clone, Copy, Debug)]
pub struct RoomLimits {
    /// Rooms at one time.
    pub rooms: usize,
    /// Members of one room other than viewers, absent ones among them.
    pub members: usize,
    /// Viewers of one room, absent ones among them.
    pub viewers: usize,
    /// Bytes of signals kept for one member.
    pub kept: usize,
    /// Bytes of signals kept for all members.
    pub kept_in_all: usize,
}

/// The part of what may be kept for a member that its network's share and the last tenth do not
/// limit: by default 16 KiB, an offer and its candidates. Where all members together have more of
/// it than there is, the biggest holders lose theirs.
pub const SHARE: usize = 32;

/// Rule by which a room gets its hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// Newcomers bring [`Role::Host`] along.
    Named,
    /// The member that is there longest is the host, viewers aside.
    Longest,
}

/// Client that wants to enter a room.
#[derive(Debug)]
pub struct Newcomer {
    /// Its id, if it enters.
    pub id: MemberId,
    /// Name that others see.
    pub name: Option<DisplayName>,
    /// The network that it comes from.
    pub network: ClientNetwork,
    /// Part in the room.
    pub role: Role,
    /// Members of the room, viewers and the newcomer included, by its own limit.
    pub max_members: Option<usize>,
    /// Whether it may enter a locked room.
    pub passes_lock: bool,
    /// Name in its credentials.
    pub user: Arc<str>,
    /// Region that its token names.
    pub region: Option<Region>,
    /// Node with its connection; `None` = this one.
    pub home: Option<NodeName>,
    /// Time of its arrival, in microseconds since 1970-01-01 UTC.
    pub came: u64,
}

/// State of the room for a newcomer.
#[derive(Debug)]
pub struct Entered {
    /// Present members that it sees, in order of arrival.
    pub peers: Vec<Peer>,
    /// Its own position.
    pub standing: Standing,
    /// Notices to the others.
    pub told: Vec<Delivery>,
}

/// Position of a member in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Part in the room.
    pub role: Role,
    /// Whether the room is locked.
    pub locked: bool,
}

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
    /// Other members that it sees by now, in order of arrival.
    pub peers: Vec<Peer>,
    /// Its own position.
    pub standing: Standing,
    /// The last signal that it has.
    pub seq: u64,
    /// The signals that it missed, in their order.
    pub missed: Vec<Text>,
}

/// Member of a room, for a list of them.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Id in the room.
    pub id: MemberId,
    /// Name that others see.
    pub name: Option<&'a DisplayName>,
    /// Part in the room.
    pub role: Role,
    /// Whether it has a connection.
    pub connected: bool,
    /// Network that is charged for it.
    pub network: ClientNetwork,
    /// Name in its credentials.
    pub user: &'a Arc<str>,
}

/// All rooms and their members.
#[derive(Debug)]
pub struct Rooms {
    limits: RoomLimits,
    rule: HostRule,
    rooms: BTreeMap<RoomName, Room>,
    /// Room of each member; holds exactly the members of `rooms`.
    places: BTreeMap<MemberId, RoomName>,
    /// Times at which absent members are given up, in order; holds exactly those.
    absences: BTreeSet<(Duration, MemberId)>,
    /// Rooms, by the network of the eldest member.
    shares: Shares,
    /// Bytes kept, by the network of the receiver.
    kept: Shares,
    /// Number of viewers in `rooms`.
    viewers: usize,
    /// Number of members in `rooms` whose home is another node.
    foreign: usize,
    /// Number of locked rooms in `rooms`.
    locked: usize,
}

#[derive(Debug, Default)]
struct Room {
    /// In order of arrival; never empty.
    members: Vec<Member>,
    locked: bool,
}

impl RoomLimits {
    /// Members of one room, viewers among them.
    #[must_use]
    pub fn in_one(&self) -> usize {
        self.members.saturating_add(self.viewers)
    }
}

impl Rooms {
    /// No rooms.
    #[must_use]
    pub fn new(limits: RoomLimits, rule: HostRule) -> Self {
        Self {
            limits,
            rule,
            rooms: BTreeMap::new(),
            places: BTreeMap::new(),
            absences: BTreeSet::new(),
            shares: Shares::of(limits.rooms),
            kept: Shares::of(limits.kept_in_all),
            viewers: 0,
            foreign: 0,
            locked: 0,
        }
    }

    /// Replaces the limits and the rule. Rooms and members beyond the limits stay until they end.
    pub fn configure(&mut self, limits: RoomLimits, rule: HostRule) {
        (self.limits, self.rule) = (limits, rule);
        self.shares.set_cap(limits.rooms);
        self.kept.set_cap(limits.kept_in_all);
    }

    /// Rooms at this moment.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Locked rooms at this moment.
    #[must_use]
    pub fn locked(&self) -> usize {
        self.locked
    }

    /// Viewers of all rooms at this moment, absent ones among them.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.viewers
    }

    /// Members of all rooms at this moment, absent ones and viewers among them.
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

    /// Names of the rooms in order.
    pub fn names(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.keys()
    }

    /// Members of `room` in order of arrival.
    pub fn members_of(&self, room: &RoomName) -> impl Iterator<Item = Listed<'_>> {
        let members = self.rooms.get(room).map_or(&[][..], |room| &room.members);
        members.iter().map(|m| Listed {
            id: m.id,
            name: m.name.as_ref(),
            role: m.role,
            connected: m.absence.is_none(),
            network: m.network,
            user: &m.user,
        })
    }

    /// Whether `room` has members.
    #[must_use]
    pub fn exists(&self, room: &RoomName) -> bool {
        self.rooms.contains_key(room)
    }

    /// Room of `id`.
    #[must_use]
    pub fn place(&self, id: MemberId) -> Option<&RoomName> {
        self.places.get(&id)
    }

    /// Adds a newcomer to `room`, if it is open to it and has a free place.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyJoined`], [`ErrorCode::RoomLocked`], [`ErrorCode::RoomFull`],
    /// [`ErrorCode::ViewersFull`] or [`ErrorCode::TooManyRooms`].
    pub fn join(&mut self, name: RoomName, mut newcomer: Newcomer) -> Result<Entered, ErrorCode> {
        if self.places.contains_key(&newcomer.id) {
            return Err(ErrorCode::AlreadyJoined);
        }
        match self.rooms.get(&name) {
            Some(room) => room.admit(&newcomer, &self.limits)?,
            None => {
                Room::default().admit(&newcomer, &self.limits)?;
                self.shares.take(newcomer.network, 1).map_err(|_| ErrorCode::TooManyRooms)?;
            }
        }
        let room = self.rooms.entry(name.clone()).or_default();
        if self.rule == HostRule::Longest && newcomer.role == Role::Member && !room.has_members() {
            newcomer.role = Role::Host;
        }
        let last = room.members.last().map_or(0, |last| last.arrival);
        newcomer.came = newcomer.came.max(last + 1);
        let newcomer = Member::from(newcomer);
        let peers = room.members.iter().filter(|m| m.sees(&newcomer)).map(|m| m.seen(true)).collect();
        let told = room.tell_those_who_see(&newcomer, &ServerMessage::PeerJoined(newcomer.seen(false)));
        let standing = Standing { role: newcomer.role, locked: room.locked };
        self.viewers += usize::from(newcomer.is_viewer());
        self.foreign += usize::from(newcomer.home.is_some());
        self.places.insert(newcomer.id, name);
        room.members.push(newcomer);
        Ok(Entered { peers, standing, told })
    }

    /// Forwards `data` from one member to another of the same room, with its sender, and keeps it.
    /// If the kept signals reach their limit and the receiver `reads`, its oldest ones are dropped,
    /// which have been written by then. If it does not read, none is dropped and the sender has to
    /// wait: otherwise a fast sender could end the memberships of others.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] if the signals for a receiver that does not read have reached
    /// their limit; [`ErrorCode::NotJoined`]; or [`ErrorCode::NoSuchPeer`]. The latter is the same
    /// for a member of another room, for an unknown one, and between viewers, so that a room cannot
    /// be explored.
    pub fn signal(
        &mut self,
        from: MemberId,
        to: MemberId,
        data: Box<RawValue>,
        reads: bool,
    ) -> Result<Delivery, ErrorCode> {
        let place = self.places.get(&from).ok_or(ErrorCode::NotJoined)?;
        let members = &mut self.rooms.get_mut(place).ok_or(ErrorCode::NotJoined)?.members;
        let from_viewer = members.iter().any(|m| m.id == from && m.is_viewer());
        let receiver = members
            .iter_mut()
            .find(|m| m.id == to && m.id != from && !(from_viewer && m.is_viewer()))
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
        let members = self.rooms.values_mut().flat_map(|room| &mut room.members);
        let members = members.filter(|m| m.kept_bytes > 0);
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
        let Room { members, locked } = self.rooms.get_mut(room)?;
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
        let standing = Standing { role: member.role, locked: *locked };
        let member = &members[at];
        // An earlier member is impolite towards later ones.
        let others = members.iter().enumerate().filter(|(place, m)| *place != at && m.sees(member));
        let peers = others.map(|(place, m)| m.seen(place < at)).collect();
        Some(Resumed { peers, standing, seq, missed })
    }

    /// Removes `id` from its room. Returns the notices to the others, none if it was in no room.
    pub fn leave(&mut self, id: MemberId) -> Vec<Delivery> {
        let Some(place) = self.places.get(&id).cloned() else { return Vec::new() };
        let was_host = self.role(&place, id) == Some(Role::Host);
        let mut told = self.take_out(id);
        let Some(room) = self.rooms.get_mut(&place) else { return told };
        if self.rule == HostRule::Longest && was_host {
            told.extend(room.succeed());
        }
        if room.locked && !room.has_members() {
            self.locked -= 1;
            told.extend(room.set_locked(false));
        }
        told
    }

    /// Removes `id`, and its room after the last member. Decides nothing that follows from it.
    fn take_out(&mut self, id: MemberId) -> Vec<Delivery> {
        let Some(place) = self.places.remove(&id) else { return Vec::new() };
        let Some(room) = self.rooms.get_mut(&place) else { return Vec::new() };
        let Some(at) = room.members.iter().position(|m| m.id == id) else { return Vec::new() };
        let former = room.members[0].network;
        let gone = room.members.remove(at);
        self.viewers -= usize::from(gone.is_viewer());
        self.foreign -= usize::from(gone.home.is_some());
        self.kept.give_back(gone.network, gone.kept_bytes);
        if let Some(Absence { until, .. }) = gone.absence {
            self.absences.remove(&(until, id));
        }
        match room.members.first() {
            Some(eldest) => self.shares.hand_over(former, eldest.network, 1),
            None => {
                self.shares.give_back(former, 1);
                self.locked -= usize::from(room.locked);
                self.rooms.remove(&place);
                return Vec::new();
            }
        }
        room.tell_those_who_see(&gone, &ServerMessage::PeerLeft { id })
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
    rooms: &'m mut BTreeMap<RoomName, Room>,
    id: MemberId,
) -> Option<&'m mut Member> {
    rooms.get_mut(places.get(&id)?)?.members.iter_mut().find(|m| m.id == id)
}

impl Room {
    /// Checks whether a newcomer may enter.
    fn admit(&self, newcomer: &Newcomer, limits: &RoomLimits) -> Result<(), ErrorCode> {
        if self.locked && !newcomer.passes_lock {
            return Err(ErrorCode::RoomLocked);
        }
        if newcomer.max_members.is_some_and(|max| self.members.len() >= max) {
            return Err(ErrorCode::RoomFull);
        }
        let viewers = self.members.iter().filter(|m| m.is_viewer()).count();
        match newcomer.role {
            Role::Viewer if viewers >= limits.viewers => Err(ErrorCode::ViewersFull),
            Role::Member | Role::Host if self.members.len() - viewers >= limits.members => {
                Err(ErrorCode::RoomFull)
            }
            _ => Ok(()),
        }
    }

    /// Whether it has members other than viewers.
    fn has_members(&self) -> bool {
        self.members.iter().any(|m| !m.is_viewer())
    }

    /// Returns `message` to everyone that sees `subject`.
    fn tell_those_who_see(&self, subject: &Member, message: &ServerMessage) -> Vec<Delivery> {
        let text = message.text();
        let seeing = self.members.iter().filter(|m| m.sees(subject));
        seeing.map(|m| Delivery { to: m.id, text: text.clone() }).collect()
    }

    /// Returns `message` to everyone.
    fn tell(&self, message: &ServerMessage) -> Vec<Delivery> {
        let text = message.text();
        self.members.iter().map(|m| Delivery { to: m.id, text: text.clone() }).collect()
    }
}

#[cfg(test)]
mod tests;
