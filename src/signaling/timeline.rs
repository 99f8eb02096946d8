//! Timelines of calls: the reports of pages beside what the signaling and the relay saw. Pure: the
//! caller hands in the time.
//!
//! A call begins with the first member of a room and ends with the last. Its timeline is kept for
//! an hour after that, in memory only.
//!
//! ```text
//!          joined                    left (the last)          an hour later, or
//! (none) ─────────► under way ───────────────────────► ended ──────────────────► (none)
//!                                                             memory is needed
//! ```
//!
//! Members and events are bounded per call and member, and by bytes in all. Bytes are
//! [shares](byway_turn::shares), charged to the member's network. So one network can neither fill
//! the store nor push out the timelines of others. Where a limit is reached, ended calls go first,
//! the oldest ones first, then the oldest events of the member itself.
//!
//! A member reads what happened since it joined: what all members can see, its own events, and
//! those of the members that report. The operator reads everything.

mod call;
mod page;
mod text;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;
use byway_turn::shares::{Refused, Shares};
use byway_turn::time::Now;
use serde::Serialize;

use self::call::{Call, Recorded};
use super::protocol::report::{
    AddressKind, Happening, RelayFact, RelayedTraffic, ReportEvent, RoomFact, TimelineEvent, TimelineMember,
};
use super::protocol::{DisplayName, ErrorCode, MemberId, RoomName};
use crate::events::{AllocationFacts, Event, Traffic};

pub use page::TimelinePage;

/// Limits of the timelines.
#[derive(Clone, Copy, Debug)]
pub struct TimelineLimits {
    /// Recorded members of one call.
    pub members: usize,
    /// Events of one member.
    pub events: usize,
    /// Bytes of all timelines.
    pub bytes: usize,
    /// Time that a timeline is kept after its call.
    pub keep: Duration,
}

impl Default for TimelineLimits {
    /// A call of eight, each with a report every ten seconds to all others, has the last minutes of
    /// figures and all else that happened in an hour.
    fn default() -> Self {
        Self { members: 64, events: 256, bytes: 16 << 20, keep: Duration::from_secs(3_600) }
    }
}

/// Time that one observation of a member costs.
const OBSERVATION: Duration = Duration::from_millis(250);

/// Observations of a member at once: those of a call that begins.
const OBSERVATIONS_AT_ONCE: u32 = 128;

/// Time that an answer to one member costs, and answers at once.
const ANSWER: Duration = Duration::from_millis(200);
const ANSWERS_AT_ONCE: u32 = 10;

/// Oldest time of an observation before its report: as long as a page keeps it while the server is
/// out of reach.
const OLDEST: Duration = Duration::from_secs(600);

/// Member of a call, as it joins.
#[derive(Clone, Debug)]
pub struct Participant {
    /// Id in the room.
    pub id: MemberId,
    /// Name that others see.
    pub name: Option<DisplayName>,
    /// Name in its credentials.
    pub user: Arc<str>,
    /// Network that is charged.
    pub network: ClientNetwork,
    /// Whether it receives only.
    pub viewer: bool,
}

/// Call in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallSummary {
    /// Name of the room.
    pub room: String,
    /// Start, in seconds since 1970-01-01 UTC.
    pub began: u64,
    /// End, unless it is under way.
    pub ended: Option<u64>,
    /// Members that were recorded.
    pub members: usize,
    /// Events of the timeline.
    pub events: usize,
    /// Events that exceeded a limit.
    pub dropped: u64,
}

/// Timeline of a call, for the operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallTimeline {
    /// Name of the room.
    pub room: String,
    /// Start, in seconds since 1970-01-01 UTC.
    pub began: u64,
    /// End, unless it is under way.
    pub ended: Option<u64>,
    /// Events that exceeded a limit.
    pub dropped: u64,
    /// Members in order of arrival.
    pub members: Vec<CallMember>,
    /// Events in order of their numbers.
    pub events: Vec<DescribedEvent>,
}

/// Member of a call, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallMember {
    /// Member.
    #[serde(flatten)]
    pub member: TimelineMember,
    /// Name in its credentials.
    pub user: String,
}

/// Event with a sentence, for the operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DescribedEvent {
    /// Event.
    #[serde(flatten)]
    pub event: TimelineEvent,
    /// The same in words.
    pub text: String,
}

/// Running number of a call.
type CallNumber = u64;

/// All timelines.
#[derive(Debug)]
pub struct Timelines {
    limits: TimelineLimits,
    calls: BTreeMap<CallNumber, Call>,
    /// Number of the last call.
    last: CallNumber,
    /// Calls that are under way.
    rooms: BTreeMap<RoomName, CallNumber>,
    /// Ended calls with the time at which each is discarded, in order.
    ended: VecDeque<(Duration, CallNumber)>,
    /// Call of each recorded member.
    members: BTreeMap<MemberId, CallNumber>,
    /// Recorded member of each name in credentials.
    users: BTreeMap<Arc<str>, MemberId>,
    /// Bytes, by the network of the member.
    shares: Shares,
}

impl Timelines {
    /// No timelines.
    #[must_use]
    pub fn new(limits: TimelineLimits) -> Self {
        Self {
            limits,
            calls: BTreeMap::new(),
            last: 0,
            rooms: BTreeMap::new(),
            ended: VecDeque::new(),
            members: BTreeMap::new(),
            users: BTreeMap::new(),
            shares: Shares::of(limits.bytes),
        }
    }

    /// Bytes that are charged for all timelines.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shares.held()
    }

    /// Records a newcomer of `room`. Its call begins with the first one.
    pub fn joined(&mut self, now: Now, room: &RoomName, participant: Participant) {
        self.expire(now.mono);
        let (id, network, viewer) = (participant.id, participant.network, participant.viewer);
        let bytes = call::bytes_of_member(&participant, room);
        if self.calls_are_full(room) || !self.make_room(network, bytes) {
            if let Some(call) = self.under_way(room) {
                call.dropped += 1;
            }
            return;
        }
        self.shares.charge(network, bytes);
        let number = match self.rooms.get(room) {
            Some(number) => *number,
            None => {
                self.last += 1;
                self.rooms.insert(room.clone(), self.last);
                self.calls.insert(self.last, Call::new(now, room.clone()));
                self.last
            }
        };
        self.members.insert(id, number);
        self.users.insert(participant.user.clone(), id);
        if let Some(call) = self.calls.get_mut(&number) {
            call.add(now.mono, participant, bytes);
        }
        self.record(now.mono, id, None, Happening::Room(RoomFact::Joined { viewer }));
    }

    /// Records that a member has come from another node. It may have been here before.
    pub fn came(&mut self, now: Now, room: &RoomName, participant: Participant) {
        let id = participant.id;
        let is_known = self.rooms.get(room).is_some_and(|number| self.members.get(&id) == Some(number));
        match self.member(id).filter(|_| is_known) {
            Some(member) => member.is_present = true,
            None => self.joined(now, room, participant),
        }
    }

    /// Records that the connection of a member was lost, or that the member is back, or that it
    /// began or ended its reports.
    pub fn note(&mut self, now: Now, id: MemberId, fact: RoomFact) {
        self.record(now.mono, id, None, Happening::Room(fact));
    }

    /// Records that a member left. Its call `ends` with the last one.
    pub fn left(&mut self, now: Now, room: &RoomName, id: MemberId, reason: &'static str, ends: bool) {
        self.record(now.mono, id, None, Happening::Room(RoomFact::Left { reason }));
        if let Some(member) = self.member(id) {
            member.is_present = false;
        }
        if ends && let Some(number) = self.rooms.remove(room) {
            self.ended.push_back((now.mono + self.limits.keep, number));
            if let Some(call) = self.calls.get_mut(&number) {
                call.ended = Some(now.mono);
            }
        }
        self.expire(now.mono);
    }

    /// Allows or ends the reports of a member. Those of a member that ends them are discarded.
    pub fn consent(&mut self, now: Now, id: MemberId, on: bool) {
        let Some(member) = self.member(id) else { return };
        if std::mem::replace(&mut member.reports, on) == on {
            return;
        }
        if !on {
            let (network, bytes) = (member.participant.network, member.forget_reports());
            self.shares.give_back(network, bytes);
        }
        // A page that flips it all the time makes no event of each.
        if self.member(id).is_some_and(|member| member.may_say(now)) {
            self.note(now, id, RoomFact::Reports { on });
        }
    }

    /// Records observations of a member's page. Those beyond its rate are dropped and counted.
    ///
    /// # Errors
    /// [`ErrorCode::NoConsent`].
    pub fn report(&mut self, now: Now, id: MemberId, events: Vec<ReportEvent>) -> Result<(), ErrorCode> {
        // A member that could not be recorded is told nothing: its reports are dropped.
        if !self.members.contains_key(&id) {
            return Ok(());
        }
        for ReportEvent { peer, ago, what } in events {
            let Some(call) = self.members.get(&id).and_then(|number| self.calls.get_mut(number)) else {
                break;
            };
            let peer = peer.filter(|peer| *peer != id && call.member(*peer).is_some());
            let Some(member) = call.member(id) else { break };
            if !member.reports {
                return Err(ErrorCode::NoConsent);
            }
            if !member.may_say(now) {
                call.dropped += 1;
                continue;
            }
            let ago = Duration::from_millis(ago.into()).min(OLDEST);
            let at = now.mono.saturating_sub(ago).max(member.joined);
            self.record(at, id, peer, Happening::Page(what));
        }
        Ok(())
    }

    /// Records an event of the relay, if it is about a recorded member.
    pub fn relay(&mut self, now: Now, event: &Event) {
        let (user, fact) = match event {
            Event::AllocationBegan(facts) => (&facts.user, allocated(facts)),
            Event::AllocationEnded { facts, usage, reason } => {
                let fact = RelayFact::Released {
                    transport: label(facts.transport),
                    reason: label(*reason),
                    to_peer: traffic(usage.to_peer),
                    to_client: traffic(usage.to_client),
                    drops: usage.drops.iter().copied().collect(),
                    refused: usage.refused.iter().copied().collect(),
                };
                (&facts.user, fact)
            }
            Event::RequestRefused { user, method, code, peer } => {
                let address = peer.map(|peer| kind_of(peer.ip()));
                (user, RelayFact::Refused { method, code: *code, address, count: 1 })
            }
            _ => return,
        };
        let Some(id) = self.users.get(user).copied() else { return };
        // A client that repeats a refused request takes one event, not the place of all others.
        if let RelayFact::Refused { .. } = fact
            && self.member(id).is_some_and(|member| member.repeats(&fact))
        {
            return;
        }
        self.record(now.mono, id, None, Happening::Relay(fact));
    }

    /// Discards the timelines whose time is over.
    pub fn expire(&mut self, now: Duration) {
        while let Some((until, number)) = self.ended.front().copied()
            && until <= now
        {
            self.discard(number);
        }
    }

    /// Calls in the order in which they began.
    pub fn calls(&mut self, now: Now) -> Vec<CallSummary> {
        self.expire(now.mono);
        self.calls.values().map(Call::summary).collect()
    }

    /// The last call of `room`, with everything that was recorded.
    pub fn call(&mut self, now: Now, room: &RoomName) -> Option<CallTimeline> {
        self.expire(now.mono);
        self.calls.values().rev().find(|call| call.room == *room).map(Call::timeline)
    }

    /// The events behind number `after` that `reader` may see.
    ///
    /// # Errors
    /// Time to wait, if the member asks too often.
    pub fn page(&mut self, now: Now, reader: MemberId, after: u64) -> Result<TimelinePage, Duration> {
        let Some(call) = self.members.get(&reader).and_then(|number| self.calls.get_mut(number)) else {
            return Ok(TimelinePage::empty(after));
        };
        if let Some(member) = call.member(reader) {
            member.answers.take(now.mono, ANSWER, ANSWER * ANSWERS_AT_ONCE)?;
        }
        Ok(call.page(reader, after))
    }

    /// Adds an event of `id`, in place of the oldest ones where a limit is reached.
    fn record(&mut self, at: Duration, id: MemberId, peer: Option<MemberId>, what: Happening) {
        let bytes = call::bytes_of_event(&what);
        let limit = self.limits.events;
        let Some(member) = self.member(id) else { return };
        let network = member.participant.network;
        let mut dropped = 0;
        let mut freed = 0;
        while member.events.len() >= limit {
            freed += member.forget_least();
            dropped += 1;
        }
        self.shares.give_back(network, freed);
        // Another member of the network may hold its share, so that this one keeps less.
        while !self.make_room(network, bytes) {
            let freed = self.member(id).map_or(0, Recorded::forget_least);
            dropped += 1;
            if freed == 0 {
                self.count_dropped(id, dropped);
                return;
            }
            self.shares.give_back(network, freed);
        }
        // Its own call may have been the oldest of those that ended.
        if let Some(call) = self.members.get(&id).and_then(|number| self.calls.get_mut(number)) {
            self.shares.charge(network, bytes);
            call.dropped += dropped;
            call.push(at, id, peer, what, bytes);
        }
    }

    /// Discards ended calls until `network` may hold `bytes` more; false if it may not even so.
    fn make_room(&mut self, network: ClientNetwork, bytes: usize) -> bool {
        loop {
            let oldest = match self.shares.check(network, bytes) {
                Ok(()) => return true,
                Err(Refused::Cap) => self.ended.front().map(|(_, number)| *number),
                Err(Refused::Share) => {
                    let of_network = |number: &&(Duration, CallNumber)| {
                        self.calls.get(&number.1).is_some_and(|call| call.is_of(network))
                    };
                    self.ended.iter().find(of_network).map(|(_, number)| *number)
                }
            };
            let Some(oldest) = oldest else { return false };
            self.discard(oldest);
        }
    }

    /// Whether a call has as many recorded members as it may, after those that have left made room.
    fn calls_are_full(&mut self, room: &RoomName) -> bool {
        let limit = self.limits.members;
        let Some(call) = self.under_way(room) else { return false };
        if call.members.len() < limit {
            return false;
        }
        let Some(gone) = call.forget_departed() else { return true };
        self.forget_member(&gone);
        false
    }

    /// Discards an ended call.
    fn discard(&mut self, number: CallNumber) {
        self.ended.retain(|(_, ended)| *ended != number);
        let Some(call) = self.calls.remove(&number) else { return };
        for member in &call.members {
            self.forget_member(member);
        }
    }

    /// Returns the bytes of a member that is in no call any more, and forgets its names.
    fn forget_member(&mut self, member: &Recorded) {
        self.shares.give_back(member.participant.network, member.bytes);
        self.members.remove(&member.participant.id);
        self.users.remove(&member.participant.user);
    }

    fn count_dropped(&mut self, id: MemberId, dropped: u64) {
        if let Some(call) = self.members.get(&id).and_then(|number| self.calls.get_mut(number)) {
            call.dropped += dropped;
        }
    }

    fn under_way(&mut self, room: &RoomName) -> Option<&mut Call> {
        self.calls.get_mut(self.rooms.get(room)?)
    }

    fn member(&mut self, id: MemberId) -> Option<&mut Recorded> {
        self.calls.get_mut(self.members.get(&id)?)?.member(id)
    }
}

fn allocated(facts: &AllocationFacts) -> RelayFact {
    let addresses = facts.relayed.iter().map(|address| kind_of(address.ip())).collect();
    RelayFact::Allocated { transport: label(facts.transport), addresses }
}

fn kind_of(ip: std::net::IpAddr) -> AddressKind {
    if ip.is_ipv4() { AddressKind::Ipv4 } else { AddressKind::Ipv6 }
}

fn label(value: impl byway_turn::closed_set::ClosedSet) -> &'static str {
    value.label()
}

fn traffic(Traffic { packets, bytes }: Traffic) -> RelayedTraffic {
    RelayedTraffic { packets, bytes }
}

#[cfg(test)]
mod tests;
