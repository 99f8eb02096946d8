//! Rooms that another node decides about, and members whose home is another node.
//!
//! Nothing here is admitted or refused: the owner of the room has decided, or a member of a part of
//! the cluster is taken in after the parts have met again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Absence, Delivery, Entered, HostRule, Member, Resumed, Room, Rooms, Standing, member, size_of_kept,
};
use crate::access::grant::Role;
use crate::access::names::{NodeName, Region};
use crate::signaling::protocol::{DisplayName, ErrorCode, MemberId, Peer, RoomName, ServerMessage, Text};

/// Time of an absence that the owner of the room ends, or the other nodes when they are back.
pub const UNTIL_TOLD: Duration = Duration::MAX;

/// Member, as nodes tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Id in the room.
    pub id: MemberId,
    /// Name that others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DisplayName>,
    /// Part in the room.
    pub role: Role,
    /// Members of the room by the limit of its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_members: Option<usize>,
    /// Name in its credentials.
    pub user: String,
    /// Region that its token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Node with its connection.
    pub home: NodeName,
    /// Place in the order of arrival: microseconds since 1970-01-01 UTC.
    pub arrival: u64,
    /// Time since which its home has it, in seconds since 1970-01-01 UTC. The later of two has it.
    #[serde(default)]
    pub since: u64,
    /// Whether its connection was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// Signal without its number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptSignal {
    /// Sender.
    pub from: MemberId,
    /// Data as sent.
    pub data: Box<RawValue>,
}

/// The last signal of one member to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Sender.
    pub from: MemberId,
    /// Time since which its home had it then.
    pub since: u64,
    /// Number of the signal at that home.
    pub n: u64,
}

/// Senders of which a member's last signal is known.
const MOST_HEARD: usize = 256;

impl Rooms {
    /// Notes the signal number `n` of a sender to `id`; whether it is new. The home of a sender
    /// counts up, and the next one has it since later. One that may come `again` is not new if
    /// nobody is left who knows.
    pub fn note(&mut self, id: MemberId, from: MemberId, since: u64, n: u64, again: bool) -> bool {
        let Some(member) = self.find_mut(id) else { return false };
        let last = member.heard.get(&from).copied();
        if last.map_or(again && member.has_forgotten, |last| (since, n) <= last) {
            return false;
        }
        if last.is_none() && member.heard.len() >= MOST_HEARD {
            // Most of them have left by then.
            member.heard.pop_first();
        }
        member.heard.insert(from, (since, n));
        true
    }

    /// The last signals to `id`.
    #[must_use]
    pub fn heard(&self, id: MemberId) -> Vec<Heard> {
        let heard = self.find(id).into_iter().flat_map(|m| &m.heard);
        heard.map(|(from, (since, n))| Heard { from: *from, since: *since, n: *n }).collect()
    }

    /// Sets the last signals to `id`, as its home or the owner says.
    pub fn set_heard(&mut self, id: MemberId, heard: Vec<Heard>) {
        if let Some(member) = self.find_mut(id) {
            let heard = heard.into_iter().take(MOST_HEARD);
            member.has_forgotten = false;
            member.heard = heard.map(|Heard { from, since, n }| (from, (since, n))).collect();
        }
    }

    /// Whether all that the home of `id` knows of its signals is known here: it counts `said` of
    /// them, and `heard` are the last ones.
    #[must_use]
    pub fn is_in_step(&self, id: MemberId, said: u64, heard: &[Heard]) -> bool {
        let Some(member) = self.find(id).filter(|m| !m.is_floating && m.said >= said) else { return false };
        heard
            .iter()
            .all(|Heard { from, since, n }| member.heard.get(from).is_some_and(|last| (*since, *n) <= *last))
    }

    /// Members whose home is this node, absent ones and viewers among them.
    #[must_use]
    pub fn locals(&self) -> usize {
        self.places.len() - self.foreign
    }

    /// Whether `room` has members whose home is this node.
    #[must_use]
    pub fn has_locals(&self, room: &RoomName) -> bool {
        self.list(room).iter().any(|m| m.home.is_none())
    }

    /// Whether the home of `id` is this node.
    #[must_use]
    pub fn is_local(&self, id: MemberId) -> bool {
        self.find(id).is_some_and(|m| m.home.is_none())
    }

    /// Home of `id`, if it is another node.
    #[must_use]
    pub fn home(&self, id: MemberId) -> Option<&NodeName> {
        self.find(id)?.home.as_ref()
    }

    /// Checks that `from` may send a signal to `to`.
    ///
    /// # Errors
    /// [`ErrorCode::NotJoined`] or [`ErrorCode::NoSuchPeer`], as [`Self::signal`].
    pub fn check_signal(&self, from: MemberId, to: MemberId) -> Result<(), ErrorCode> {
        let sender = self.find(from).ok_or(ErrorCode::NotJoined)?;
        let is_peer = from != to && self.places.get(&from) == self.places.get(&to);
        let receiver = self.find(to).filter(|receiver| is_peer && receiver.sees(sender));
        receiver.map(|_| ()).ok_or(ErrorCode::NoSuchPeer)
    }

    /// Whether `id` is there and has no connection.
    #[must_use]
    pub fn is_absent(&self, id: MemberId) -> bool {
        self.find(id).is_some_and(|m| m.absence.is_some())
    }

    /// Whether only the home of `id` knows which signals it has got.
    #[must_use]
    pub fn is_floating(&self, id: MemberId) -> bool {
        self.find(id).is_some_and(|m| m.is_floating)
    }

    /// Time since which its home has `id`, in seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn since(&self, id: MemberId) -> u64 {
        self.find(id).map_or(0, |m| m.since)
    }

    /// Notes that its home has `id` since then.
    pub fn set_since(&mut self, id: MemberId, since: u64) {
        if let Some(member) = self.find_mut(id) {
            member.since = since.max(member.since);
        }
    }

    /// Name in the credentials of `id`, and the region of its token.
    #[must_use]
    pub fn credentials(&self, id: MemberId) -> Option<(&Arc<str>, Option<&Region>)> {
        self.find(id).map(|m| (&m.user, m.region.as_ref()))
    }

    /// Members of `room` with their homes, in order of arrival.
    pub fn homes(&self, room: &RoomName) -> impl Iterator<Item = (MemberId, Option<&NodeName>)> {
        self.list(room).iter().map(|m| (m.id, m.home.as_ref()))
    }

    /// Number of the last signal to `id`.
    #[must_use]
    pub fn said(&self, id: MemberId) -> u64 {
        self.find(id).map_or(0, |m| m.said)
    }

    /// Whether a newcomer from `network` may open one more room.
    #[must_use]
    pub fn may_open(&self, network: ClientNetwork) -> bool {
        self.shares.check(network, 1).is_ok()
    }

    /// Records of the members of `room`, in order of arrival. `own` is the name of this node.
    #[must_use]
    pub fn records(&self, room: &RoomName, own: &NodeName) -> Vec<MemberRecord> {
        self.list(room).iter().map(|m| m.record(own)).collect()
    }

    /// Record of `id`.
    #[must_use]
    pub fn record(&self, id: MemberId, own: &NodeName) -> Option<MemberRecord> {
        self.find(id).map(|m| m.record(own))
    }

    /// State of the room for the member `id`, as for a newcomer. Nobody is told.
    #[must_use]
    pub fn entered(&self, id: MemberId) -> Option<Entered> {
        let (peers, standing) = self.seen_by(id)?;
        Some(Entered { peers, standing, told: Vec::new() })
    }

    /// Takes in a member whose home is another node, as the owner says. Those who see it are told
    /// of a new member, and everyone of a new host.
    pub fn set_foreign(&mut self, name: &RoomName, record: MemberRecord) -> Vec<Delivery> {
        let MemberRecord { id, role, absent, since, arrival, .. } = record;
        // If it was admitted twice, the place in the order holds that its home was told.
        let mut told = self.set_arrival(id, arrival);
        let more = if let Some(known) = self.find_mut(id) {
            let home = known.home.replace(record.home);
            known.since = since;
            if home.is_none() {
                // The new home counts its signals.
                let (network, freed) = (known.network, known.forget_up_to(u64::MAX));
                (known.said, known.is_floating) = (0, true);
                self.kept.give_back(network, freed);
                self.foreign += 1;
                self.set_network(id, network_of_nodes());
            }
            self.set_role(id, role)
        } else {
            let member = Member {
                id,
                name: record.name,
                role,
                max_members: record.max_members,
                network: network_of_nodes(),
                said: 0,
                kept: VecDeque::new(),
                kept_bytes: 0,
                absence: None,
                user: record.user.into(),
                region: record.region,
                home: Some(record.home),
                arrival: record.arrival,
                since,
                heard: BTreeMap::new(),
                has_forgotten: false,
                is_floating: true,
            };
            self.insert(name, member)
        };
        told.extend(more);
        self.change_absence(id, absent.then_some(Absence { until: UNTIL_TOLD, written: 0 }));
        told
    }

    /// Gives `id` another place in the order of arrival. Members towards which another one of the
    /// two is polite by that are told that it has left and joined.
    fn set_arrival(&mut self, id: MemberId, arrival: u64) -> Vec<Delivery> {
        let Some(place) = self.places.get(&id) else { return Vec::new() };
        let Some(Room { members, .. }) = self.rooms.get_mut(place) else { return Vec::new() };
        let Some(from) = members.iter().position(|m| m.id == id && m.arrival != arrival) else {
            return Vec::new();
        };
        let former = members[0].network;
        let mut moved = members.remove(from);
        moved.arrival = arrival;
        let to = members.partition_point(|m| (m.arrival, m.id) < (arrival, id));
        let told =
            members.iter().enumerate().filter(|(at, m)| (*at >= from) != (*at >= to) && m.sees(&moved));
        let told = told.flat_map(|(at, m)| {
            let notices = [ServerMessage::PeerLeft { id }, ServerMessage::PeerJoined(moved.seen(at >= to))];
            notices.map(|notice| Delivery { to: m.id, text: notice.text() })
        });
        let told = told.collect();
        members.insert(to, moved);
        self.shares.hand_over(former, members[0].network, 1);
        told
    }

    /// Sets the part of `id` in its room, as the owner says. Returns the notices of a new host.
    pub fn set_role(&mut self, id: MemberId, role: Role) -> Vec<Delivery> {
        let Some(known) = self.find_mut(id) else { return Vec::new() };
        let becomes_host = role == Role::Host && !known.is_host();
        known.role = role;
        let room = self.places.get(&id).filter(|_| becomes_host).and_then(|place| self.rooms.get(place));
        room.map_or_else(Vec::new, |room| room.tell(&ServerMessage::Host { id }))
    }

    /// Makes the member that is here longest the host, if the rule asks for one and there is none.
    /// Returns the notices.
    pub fn ensure_host(&mut self, room: &RoomName) -> Vec<Delivery> {
        let found = self.rooms.get_mut(room).filter(|_| self.rule == HostRule::Longest);
        found.map_or_else(Vec::new, Room::succeed)
    }

    /// Adds a newcomer of this node that the owner has admitted, with its network and its place in
    /// the order of arrival.
    pub fn admit(
        &mut self,
        name: &RoomName,
        newcomer: super::Newcomer,
        role: Role,
        arrival: u64,
    ) -> Vec<Delivery> {
        let member = Member { role, arrival, ..Member::from(newcomer) };
        self.insert(name, member)
    }

    /// Removes `id`, as the owner of its room says. Returns the notices to the others.
    pub fn drop_member(&mut self, id: MemberId) -> Vec<Delivery> {
        self.take_out(id)
    }

    /// Removes every member of `room`, and tells nobody.
    pub fn drop_room(&mut self, room: &RoomName) {
        let ids: Vec<_> = self.list(room).iter().map(|m| m.id).collect();
        ids.into_iter().for_each(|id| drop(self.take_out(id)));
    }

    /// Locks or unlocks `room`, as its owner says. Returns the notices to everyone.
    pub fn set_locked(&mut self, room: &RoomName, locked: bool) -> Vec<Delivery> {
        let Some(found) = self.rooms.get_mut(room).filter(|room| room.locked != locked) else {
            return vec![];
        };
        self.locked = self.locked + usize::from(locked) - usize::from(!locked);
        found.set_locked(locked)
    }

    /// Tells `id` that every member of other nodes has left and joined, because their nodes tell
    /// them the same of `id`.
    #[must_use]
    pub fn meets_foreign_again(&self, id: MemberId) -> Vec<Delivery> {
        let Some((peers, _)) = self.seen_by(id) else { return vec![] };
        let notice = |message: ServerMessage| Delivery { to: id, text: message.text() };
        let foreign = peers.into_iter().filter(|peer| self.home(peer.id).is_some());
        let notices = foreign.map(|peer| {
            let left = notice(ServerMessage::PeerLeft { id: peer.id });
            [left, notice(ServerMessage::PeerJoined(peer))]
        });
        notices.flatten().collect()
    }

    /// Counts a signal to a member of this node that another node has passed on, and keeps it.
    pub fn pass_on(&mut self, to: MemberId, from: MemberId, data: Box<RawValue>) -> Option<Delivery> {
        let limit = self.limits.kept;
        let receiver = member(&self.places, &mut self.rooms, to)?;
        receiver.said += 1;
        let text = ServerMessage::Signal { from, seq: receiver.said, data }.text();
        let bytes = size_of_kept(&text);
        receiver.kept.push_back(text.clone());
        receiver.kept_bytes += bytes;
        let network = receiver.network;
        self.kept.charge(network, bytes);
        while let Some(receiver) = member(&self.places, &mut self.rooms, to).filter(|m| m.kept_bytes > limit)
        {
            let freed = receiver.forget_oldest();
            self.kept.give_back(network, freed);
        }
        if self.kept.held() > self.limits.kept_in_all {
            self.forget_the_biggest();
        }
        Some(Delivery { to, text })
    }

    /// Signals that are kept for `id`, in their order.
    #[must_use]
    pub fn kept_signals(&self, id: MemberId) -> Vec<KeptSignal> {
        self.find(id).map_or_else(Vec::new, |m| m.kept.iter().filter_map(without_number).collect())
    }

    /// Sets the number of the last signal to `id`, as its home says, and the signals that are kept.
    pub fn set_signals(&mut self, id: MemberId, said: u64, kept: Vec<KeptSignal>) {
        let Some(member) = member(&self.places, &mut self.rooms, id) else { return };
        let (network, freed) = (member.network, member.forget_up_to(u64::MAX));
        self.kept.give_back(network, freed);
        let Some(member) = self.find_mut(id) else { return };
        (member.is_floating, member.said) = (false, said - (kept.len() as u64).min(said));
        for KeptSignal { from, data } in kept {
            self.pass_on(id, from, data);
        }
    }

    /// Forgets the signals to `id`, of another home, which that or the owner has.
    pub fn forget_signals(&mut self, id: MemberId) {
        self.set_signals(id, 0, Vec::new());
        if let Some(member) = self.find_mut(id) {
            (member.is_floating, member.has_forgotten) = (true, false);
            member.heard.clear();
        }
    }

    /// Whether signals are kept for `id`.
    #[must_use]
    pub fn has_kept(&self, id: MemberId) -> bool {
        self.find(id).is_some_and(|m| !m.kept.is_empty())
    }

    /// Sets the time at which `id` is given up, if it is absent.
    pub fn set_absence(&mut self, id: MemberId, until: Duration) {
        let written = self.find(id).and_then(|m| m.absence).map(|absence| absence.written);
        if let Some(written) = written {
            self.change_absence(id, Some(Absence { until, written }));
        }
    }

    /// Ids of the members of `room` that are absent until then.
    #[must_use]
    pub fn absentees_until(&self, room: &RoomName, until: Duration) -> Vec<MemberId> {
        let is_until = |absence: Absence| absence.until == until;
        self.list(room).iter().filter(|m| m.absence.is_some_and(is_until)).map(|m| m.id).collect()
    }

    /// Makes this node the home of `id`.
    pub fn bring_home(&mut self, id: MemberId) {
        if let Some(member) = self.find_mut(id)
            && member.home.take().is_some()
        {
            self.foreign -= 1;
        }
    }

    /// Ids of the absent members of `room`.
    #[must_use]
    pub fn absentees(&self, room: &RoomName) -> Vec<MemberId> {
        self.list(room).iter().filter(|m| m.absence.is_some()).map(|m| m.id).collect()
    }

    /// Moves the absent member `id` to another home, or to this one (`None`). Its client has the
    /// signals up to `seq`. Returns the signals that it missed, and `None` if one of them was
    /// dropped.
    pub fn move_home(
        &mut self,
        now: Duration,
        id: MemberId,
        room: &RoomName,
        seq: Option<u64>,
        home: Option<&NodeName>,
    ) -> Option<Resumed> {
        let network = network_of_nodes();
        let member = self.find_mut(id)?;
        if member.is_floating {
            // Its former home knew the number of the last signal, and is gone. The client knows it,
            // too.
            let base = seq?;
            let kept: Vec<_> = member.kept.iter().filter_map(without_number).collect();
            let said = base + kept.len() as u64;
            member.has_forgotten = true;
            self.set_signals(id, said, kept);
        }
        let resumed = self.resume(now, id, room, seq, network)?;
        let member = self.find_mut(id)?;
        let was_foreign = member.home.is_some();
        member.home = home.cloned();
        self.foreign = self.foreign + usize::from(home.is_some()) - usize::from(was_foreign);
        Some(resumed)
    }

    /// Charges the network of a member that has moved to this node.
    pub fn set_network(&mut self, id: MemberId, network: ClientNetwork) {
        let Some(place) = self.places.get(&id) else { return };
        let Some(room) = self.rooms.get_mut(place) else { return };
        let Some(at) = room.members.iter().position(|m| m.id == id) else { return };
        let member = &mut room.members[at];
        let former = std::mem::replace(&mut member.network, network);
        self.kept.hand_over(former, network, member.kept_bytes);
        if at == 0 {
            self.shares.hand_over(former, network, 1);
        }
    }

    /// Adds a member at its place in the order of arrival.
    fn insert(&mut self, name: &RoomName, newcomer: Member) -> Vec<Delivery> {
        if self.places.contains_key(&newcomer.id) {
            return Vec::new();
        }
        let room = self.rooms.entry(name.clone()).or_default();
        let order = (newcomer.arrival, newcomer.id);
        let at = room.members.partition_point(|m| (m.arrival, m.id) < order);
        match room.members.first() {
            None => self.shares.charge(newcomer.network, 1),
            Some(eldest) if at == 0 => self.shares.hand_over(eldest.network, newcomer.network, 1),
            Some(_) => {}
        }
        let told = room.members.iter().enumerate().filter(|(_, m)| m.sees(&newcomer)).map(|(place, m)| {
            // The later one of two is polite.
            let joined = ServerMessage::PeerJoined(newcomer.seen(place >= at));
            Delivery { to: m.id, text: joined.text() }
        });
        let told = told.collect();
        self.viewers += usize::from(newcomer.is_viewer());
        self.foreign += usize::from(newcomer.home.is_some());
        self.places.insert(newcomer.id, name.clone());
        room.members.insert(at, newcomer);
        told
    }

    fn seen_by(&self, id: MemberId) -> Option<(Vec<Peer>, Standing)> {
        let Room { members, locked } = self.rooms.get(self.places.get(&id)?)?;
        let at = members.iter().position(|m| m.id == id)?;
        let own = &members[at];
        let others = members.iter().enumerate().filter(|(place, m)| *place != at && m.sees(own));
        let peers = others.map(|(place, m)| m.seen(place < at)).collect();
        Some((peers, Standing { role: own.role, locked: *locked }))
    }

    fn list(&self, room: &RoomName) -> &[Member] {
        self.rooms.get(room).map_or(&[][..], |room| &room.members)
    }

    fn find(&self, id: MemberId) -> Option<&Member> {
        self.list(self.places.get(&id)?).iter().find(|m| m.id == id)
    }

    fn find_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        member(&self.places, &mut self.rooms, id)
    }

    /// Replaces the absence of a member.
    fn change_absence(&mut self, id: MemberId, absence: Option<Absence>) {
        let Some(member) = member(&self.places, &mut self.rooms, id) else { return };
        if let Some(Absence { until, .. }) = std::mem::replace(&mut member.absence, absence) {
            self.absences.remove(&(until, id));
        }
        if let Some(Absence { until, .. }) = absence {
            self.absences.insert((until, id));
        }
    }
}

impl Member {
    fn record(&self, own: &NodeName) -> MemberRecord {
        MemberRecord {
            id: self.id,
            name: self.name.clone(),
            role: self.role,
            max_members: self.max_members,
            user: self.user.as_ref().to_owned(),
            region: self.region.clone(),
            home: self.home.as_ref().unwrap_or(own).clone(),
            arrival: self.arrival,
            since: self.since,
            absent: self.absence.is_some(),
        }
    }
}

/// Network that is charged for members of other nodes: each node charges its own.
#[must_use]
pub fn network_of_nodes() -> ClientNetwork {
    ClientNetwork::of([127, 0, 0, 1].into())
}

/// Signal without its number, from the message to its receiver.
#[must_use]
pub fn without_number(text: &Text) -> Option<KeptSignal> {
    serde_json::from_str(&text.json).ok()
}
