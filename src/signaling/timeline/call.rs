//! One call: its members and their events.

use std::collections::VecDeque;
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;
use byway_turn::rate_limit::Gcra;
use byway_turn::time::Now;

use super::{
    CallMember, CallSummary, CallTimeline, DescribedEvent, OBSERVATION, OBSERVATIONS_AT_ONCE, Participant,
};
use crate::signaling::protocol::report::{Happening, Observation, RelayFact, TimelineEvent, TimelineMember};
use crate::signaling::protocol::{DisplayName, MemberId, RoomName};

/// Bytes of an entry of an event's map, with its share of a node.
const MAP_ENTRY: usize = 64;

/// Bytes of a member in the maps of the store, and of its part of the call.
const MEMBER: usize = 512;

/// Call in a room.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) room: RoomName,
    began: Now,
    pub(super) ended: Option<Duration>,
    /// In order of arrival.
    pub(super) members: Vec<Recorded>,
    /// Number of the last event.
    pub(super) said: u64,
    pub(super) dropped: u64,
}

/// Recorded member.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) participant: Participant,
    pub(super) joined: Duration,
    /// Number of the last event before it joined.
    pub(super) since: u64,
    pub(super) is_present: bool,
    pub(super) reports: bool,
    rate: Gcra,
    pub(super) answers: Gcra,
    /// In order of their numbers.
    pub(super) events: VecDeque<Entry>,
    /// Charged for the member and its events.
    pub(super) bytes: usize,
}

/// Event of a member.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) n: u64,
    pub(super) at: Duration,
    pub(super) peer: Option<MemberId>,
    pub(super) what: Happening,
    bytes: usize,
}

/// Bytes that are charged for a member.
pub(super) fn bytes_of_member(participant: &Participant, room: &RoomName) -> usize {
    let name = participant.name.as_ref().map_or(0, |name| name.as_str().len());
    MEMBER + size_of::<Recorded>() + name + participant.user.len() + 2 * room.as_str().len()
}

/// Bytes that are charged for an event.
pub(super) fn bytes_of_event(what: &Happening) -> usize {
    let entries = match what {
        Happening::Relay(RelayFact::Released { drops, refused, .. }) => drops.len() + refused.len(),
        Happening::Relay(RelayFact::Allocated { addresses, .. }) => addresses.len(),
        _ => 0,
    };
    size_of::<Entry>() + MAP_ENTRY * entries
}

impl Call {
    pub(super) fn new(began: Now, room: RoomName) -> Self {
        Self { room, began, ended: None, members: Vec::new(), said: 0, dropped: 0 }
    }

    pub(super) fn add(&mut self, joined: Duration, participant: Participant, bytes: usize) {
        self.members.push(Recorded {
            participant,
            joined,
            since: self.said,
            is_present: true,
            reports: false,
            rate: Gcra::default(),
            answers: Gcra::default(),
            events: VecDeque::new(),
            bytes,
        });
    }

    pub(super) fn member(&mut self, id: MemberId) -> Option<&mut Recorded> {
        self.members.iter_mut().find(|member| member.participant.id == id)
    }

    /// Whether a member of `network` is recorded.
    pub(super) fn is_of(&self, network: ClientNetwork) -> bool {
        self.members.iter().any(|member| member.participant.network == network)
    }

    pub(super) fn push(
        &mut self,
        at: Duration,
        id: MemberId,
        peer: Option<MemberId>,
        what: Happening,
        bytes: usize,
    ) {
        let n = self.said + 1;
        let Some(member) = self.member(id) else { return };
        member.events.push_back(Entry { n, at, peer, what, bytes });
        member.bytes += bytes;
        self.said = n;
    }

    /// Removes the member that left first, if one has left.
    pub(super) fn forget_departed(&mut self) -> Option<Recorded> {
        let at = self.members.iter().position(|member| !member.is_present)?;
        self.dropped += self.members[at].events.len() as u64;
        Some(self.members.remove(at))
    }

    pub(super) fn summary(&self) -> CallSummary {
        CallSummary {
            room: self.room.as_str().to_owned(),
            began: self.began.unix,
            ended: self.ended.map(|ended| self.began.unix + ended.saturating_sub(self.began.mono).as_secs()),
            members: self.members.len(),
            events: self.members.iter().map(|member| member.events.len()).sum(),
            dropped: self.dropped,
        }
    }

    /// Everything, for the operator.
    pub(super) fn timeline(&self) -> CallTimeline {
        let mut events: Vec<_> = self
            .members
            .iter()
            .flat_map(|member| member.events.iter().map(move |entry| (member, entry)))
            .collect();
        events.sort_unstable_by_key(|(_, entry)| entry.n);
        let described = |(member, entry): (&Recorded, &Entry)| {
            let event = self.event(member, entry);
            let name = |id: MemberId| self.name_of(id);
            let text = super::text::describe(&event.what, event.peer.map(name));
            DescribedEvent { event, text }
        };
        let CallSummary { room, began, ended, dropped, .. } = self.summary();
        CallTimeline {
            room,
            began,
            ended,
            dropped,
            members: self.members.iter().map(Recorded::for_operator).collect(),
            events: events.into_iter().map(described).collect(),
        }
    }

    /// The event as it is on the wire.
    pub(super) fn event(&self, member: &Recorded, entry: &Entry) -> TimelineEvent {
        // Relative to the start, so that a step of the wall clock does not reorder events.
        let since = entry.at.saturating_sub(self.began.mono).as_millis();
        let millis = u128::from(self.began.unix) * 1_000 + since;
        // A time of day in milliseconds has 41 bits, and a float 53.
        let at = millis as f64 / 1_000.0;
        TimelineEvent {
            n: entry.n,
            at,
            member: member.participant.id,
            peer: entry.peer,
            source: entry.what.source(),
            what: entry.what.clone(),
        }
    }

    fn name_of(&self, id: MemberId) -> &str {
        let member = self.members.iter().find(|member| member.participant.id == id);
        member.and_then(|member| member.participant.name.as_ref()).map_or("a member", DisplayName::as_str)
    }
}

impl Recorded {
    /// The member as others see it.
    pub(super) fn seen(&self) -> TimelineMember {
        let Participant { id, ref name, .. } = self.participant;
        TimelineMember { id, name: name.clone(), reports: self.reports }
    }

    fn for_operator(&self) -> CallMember {
        CallMember { member: self.seen(), user: self.participant.user.to_string() }
    }

    /// Charges its rate for one event of its page; whether there is a place for it.
    pub(super) fn may_say(&self, now: Now) -> bool {
        self.rate.take(now.mono, OBSERVATION, OBSERVATION * OBSERVATIONS_AT_ONCE).is_ok()
    }

    /// Discards the oldest figures, or else the oldest event. Returns its bytes; 0 = there is none.
    pub(super) fn forget_least(&mut self) -> usize {
        let is_figures = |entry: &Entry| matches!(entry.what, Happening::Page(Observation::Stats { .. }));
        let at = self.events.iter().position(is_figures).unwrap_or(0);
        let bytes = self.events.remove(at).map_or(0, |entry| entry.bytes);
        self.bytes -= bytes;
        bytes
    }

    /// Discards all observations of the page. Returns their bytes.
    pub(super) fn forget_reports(&mut self) -> usize {
        let before = self.bytes;
        self.events.retain(|entry| {
            let stays = !matches!(entry.what, Happening::Page(_));
            self.bytes -= if stays { 0 } else { entry.bytes };
            stays
        });
        before - self.bytes
    }

    /// Counts a refused request that repeats the last event of the relay; whether it does.
    pub(super) fn repeats(&mut self, fact: &RelayFact) -> bool {
        let last = self.events.iter_mut().rev().find_map(|entry| match &mut entry.what {
            Happening::Relay(fact) => Some(fact),
            _ => None,
        });
        let (
            Some(RelayFact::Refused { method, code, address, count }),
            RelayFact::Refused { method: new_method, code: new_code, address: new_address, .. },
        ) = (last, fact)
        else {
            return false;
        };
        let same = (&*method, &*code, &*address) == (new_method, new_code, new_address);
        *count = if same { count.saturating_add(1) } else { *count };
        same
    }
}
