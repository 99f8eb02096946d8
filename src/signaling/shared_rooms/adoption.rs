//! Side of an owner: the state of a room as a home that attaches itself has it.

use std::collections::{BTreeSet, VecDeque};

use byway_turn::time::Now;

use super::item::{Adopted, Adoption, Notice, SharedSignal};
use super::{Homes, Part, Shared, SharedRooms, new_hosts};
use crate::access::names::NodeName;
use crate::signaling::protocol::{ByeCode, Ending, MemberId, RoomName};
use crate::signaling::room::{Heard, MemberRecord};

/// Members that have left, of which this node knows that.
const MOST_DEPARTED: usize = 4_096;

/// The last members that have left.
#[derive(Debug, Default)]
pub(super) struct Departed {
    pub(super) ids: BTreeSet<MemberId>,
    order: VecDeque<MemberId>,
}

impl Departed {
    pub(super) fn insert(&mut self, id: MemberId) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        while self.order.len() > MOST_DEPARTED {
            self.order.pop_front().inspect(|oldest| _ = self.ids.remove(oldest));
        }
    }
}

impl SharedRooms {
    /// Takes in the state of a room at a home.
    pub(super) fn adopt(&mut self, now: Now, from: &NodeName, room: &RoomName, at: u64, adoption: Adoption) {
        let Adoption { locked, mut members, gave_up, asking, more } = adoption;
        let shared = self.shared.entry(room.clone()).or_insert_with(Shared::owned);
        let mut is_same_process = false;
        if let Part::Owner(Homes { attached, former, adopting }) = &mut shared.part {
            let mut all = match adopting.remove(from) {
                Some((number, parts)) if number == at => parts,
                _ => Vec::new(),
            };
            all.append(&mut members);
            if more {
                adopting.insert(from.clone(), (at, all));
                return;
            }
            members = joined(all);
            let last = former.remove(from).or(attached.get(from).copied());
            is_same_process = last.is_some_and(|last| last >> 32 == at >> 32);
        }
        let (members, others): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|adopted| adopted.member.home == *from);
        // One part of the cluster has given a member up that the other has.
        let is_here = |id: &MemberId| self.rooms.place(*id) == Some(room);
        let (here, not_here): (BTreeSet<_>, BTreeSet<_>) = gave_up.into_iter().partition(is_here);
        let again = !here.is_empty() || members.iter().any(|m| shared.gave_up.contains(&m.member.id));
        shared.gave_up.extend(not_here);
        for adopted in &members {
            shared.gave_up.remove(&adopted.member.id);
            self.departed.ids.remove(&adopted.member.id);
        }
        while shared.gave_up.len() > MOST_DEPARTED {
            shared.gave_up.pop_first();
        }
        self.attach(room, from, at);
        let (mut came, mut missing) = (BTreeSet::new(), Vec::new());
        for Adopted { member, said, kept, heard, late: _ } in members {
            let (id, said) = (member.id, said.unwrap_or_default());
            let knows = !again && is_same_process && self.is_at(room, id, from);
            let is_in_step = knows && self.rooms.is_in_step(id, said, &heard);
            if self.adopt_member(now, from, room, member, again) {
                if is_in_step {
                    // What it has not got yet is on its way, or has to be sent again.
                    missing.extend(self.missing(id, &heard));
                } else {
                    self.rooms.set_signals(id, said, kept);
                    self.rooms.set_heard(id, heard);
                }
                came.insert(id);
            }
        }
        // Clients of a former process may still come back. Those that have left go last, so that
        // the home has members here all the time.
        let gone = self.rooms.homes(room).filter(|(_, home)| *home == Some(from)).map(|(id, _)| id);
        let gone = gone.filter(|id| !came.contains(id) && !asking.contains(id));
        for id in gone.filter(|_| is_same_process).collect::<Vec<_>>() {
            self.depart(id, Ending::Lost);
        }
        let mut late = VecDeque::new();
        for other in others {
            self.adopt_other(now, from, room, other, &mut late);
        }
        if locked {
            let told = self.rooms.set_locked(room, true);
            self.say(told);
        }
        let told = self.rooms.ensure_host(room);
        came.extend(new_hosts(&told));
        self.say(told);
        self.pass_early_in(room, |home| home == from);
        let came: Vec<_> = came.into_iter().collect();
        let met: &[MemberId] = if again { &came } else { &[] };
        self.publish_but(room, &came, met, Some(from));
        self.publish_whole(room, from, again);
        for id in came {
            late.extend(self.undelivered.remove(&id).unwrap_or_default());
        }
        for (seq, signal) in missing {
            self.tell(from, room, at, Notice::Deliver { seq, signal });
        }
        for signal in late {
            // One whose sender or receiver has left is of no use.
            let _ = self.pass(room, signal);
        }
    }

    /// Takes the signals that did not reach the home of `id`, which has `heard`, with their
    /// numbers.
    fn missing(&mut self, id: MemberId, heard: &[Heard]) -> Vec<(u64, SharedSignal)> {
        let has = |signal: &SharedSignal| {
            let last = heard.iter().find(|heard| heard.from == signal.from);
            last.is_some_and(|last| (signal.since, signal.n) <= (last.since, last.n))
        };
        let late = self.undelivered.remove(&id).unwrap_or_default();
        let late: Vec<_> = late.into_iter().filter(|signal| !has(signal)).collect();
        let before = self.rooms.said(id).saturating_sub(late.len() as u64);
        (before + 1..).zip(late).collect()
    }

    /// Takes in a member of the home `from`; whether that is its home.
    fn adopt_member(
        &mut self,
        now: Now,
        from: &NodeName,
        room: &RoomName,
        member: MemberRecord,
        again: bool,
    ) -> bool {
        let (id, absent) = (member.id, member.absent);
        match self.rooms.place(id) {
            Some(place) if place != room => return false,
            // It has moved, and its present home has it.
            Some(_) if !self.is_at(room, id, from) => {
                if self.rooms.since(id) > member.since {
                    return false;
                }
                if !self.rooms.is_absent(id) {
                    self.evict(id, ByeCode::Replaced);
                }
            }
            _ => {}
        }
        if again {
            let told = self.rooms.drop_member(id);
            self.say(told);
        }
        self.early.forget(id);
        let told = self.rooms.set_foreign(room, MemberRecord { home: from.clone(), ..member });
        self.say(told);
        if absent {
            self.rooms.set_absence(id, now.mono + self.window);
        }
        true
    }

    /// Takes in a member of a third home, which has not attached itself yet. `late` gets the
    /// signals that are to be passed on then.
    fn adopt_other(
        &mut self,
        now: Now,
        from: &NodeName,
        room: &RoomName,
        other: Adopted,
        late: &mut VecDeque<SharedSignal>,
    ) {
        let Adopted { member, said, kept, heard, late: theirs } = other;
        let (id, place) = (member.id, self.rooms.place(member.id));
        let Some(Shared { part: Part::Owner(homes), .. }) = self.shared.get(room) else { return };
        let is_known = place == Some(room);
        // A home that is attached would have told of it.
        let is_gone = homes.attached.contains_key(&member.home) || Some(&member.home) == self.own_name();
        if !is_known && (place.is_some() || is_gone || self.departed.ids.contains(&id)) {
            return;
        }
        if !is_known {
            let told = self.rooms.set_foreign(room, member);
            self.say(told);
            self.keep_for_a_while(now, id);
            self.publish_but(room, &[id], &[], Some(from));
        }
        match said {
            // A former owner has its signals, which come before those that have come here.
            Some(said) if self.rooms.is_floating(id) => {
                late.extend(self.undelivered.remove(&id).unwrap_or_default());
                if !theirs.is_empty() {
                    self.undelivered.insert(id, theirs.into());
                }
                self.rooms.set_signals(id, said, kept);
                self.rooms.set_heard(id, heard);
            }
            _ => late.extend(theirs),
        }
    }
}

/// Members whose parts are put together.
fn joined(parts: Vec<Adopted>) -> Vec<Adopted> {
    let mut members: Vec<Adopted> = Vec::new();
    for mut part in parts {
        match members.last_mut() {
            Some(last) if last.member.id == part.member.id => {
                last.kept.append(&mut part.kept);
                last.late.append(&mut part.late);
            }
            _ => members.push(part),
        }
    }
    members
}
