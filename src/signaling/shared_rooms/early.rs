//! Signals that come before their receiver is in, or before their sender is known.
//!
//! A client gets no signal of a member that it was not told of. Where a home has turned to another
//! owner, it takes signals of the former one, and not what that says of the room. The next owner
//! says who is there.

use std::collections::{BTreeMap, VecDeque};

use super::item::{Request, SharedSignal};
use super::{MOST_UNDELIVERED, Output, SharedRooms};
use crate::access::names::NodeName;
use crate::signaling::protocol::{MemberId, RoomName};

/// Signals for clients of this node that have to wait, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// By receiver.
    pub(super) signals: BTreeMap<MemberId, VecDeque<SharedSignal>>,
    /// Signals that were dropped, because their sender never came.
    strangers: u64,
}

impl Early {
    pub(super) fn push(&mut self, signal: SharedSignal) {
        let signals = self.signals.entry(signal.to).or_default();
        if signals.len() < MOST_UNDELIVERED {
            signals.push_back(signal);
        }
    }

    /// Whether a signal of `from` waits for `to`.
    pub(super) fn has(&self, from: MemberId, to: MemberId) -> bool {
        self.signals.get(&to).is_some_and(|signals| signals.iter().any(|signal| signal.from == from))
    }

    /// Forgets the signals for a client that has gone.
    pub(super) fn forget(&mut self, to: MemberId) {
        self.signals.remove(&to);
    }
}

impl SharedRooms {
    /// Signals that were dropped, because their sender never came.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.early.strangers
    }

    /// Takes a signal for a member of this node. `is_attached` tells whether the owner says so to
    /// which this home is attached.
    pub(super) fn delivered(
        &mut self,
        from: &NodeName,
        room: &RoomName,
        is_attached: bool,
        seq: u64,
        signal: SharedSignal,
    ) {
        let (sender, to) = (signal.from, signal.to);
        if self.waiting.contains_key(&to) {
            // The owner has let it in, and does not know that this is not known here.
            return self.early.push(signal);
        }
        if !self.rooms.is_local(to) || self.rooms.place(to) != Some(room) {
            return;
        }
        let is_known = self.is_known(room, sender);
        if !is_known && is_attached {
            // The owner has told of all who are there.
            self.early.strangers += 1;
            return;
        }
        // What else the former owner sends waits, too, so that the two count alike.
        let others_wait = !is_attached && self.early.signals.contains_key(&to);
        if !is_known || others_wait || self.early.has(sender, to) {
            return self.early.push(signal);
        }
        self.pass_to_client(signal);
        let said = self.rooms.said(to);
        if said != seq && self.owner(room) == Some(from) {
            self.tell_owner(room, Request::Said { id: to, said });
        }
    }

    /// Whether `id` is in `room`, or has left: signals that it sent before may come late.
    fn is_known(&self, room: &RoomName, id: MemberId) -> bool {
        self.rooms.place(id) == Some(room) || self.departed.ids.contains(&id)
    }

    fn pass_to_client(&mut self, signal: SharedSignal) {
        let SharedSignal { from, to, since, n, again, data, .. } = signal;
        if self.rooms.note(to, from, since, n, again)
            && let Some(delivery) = self.rooms.pass_on(to, from, data)
        {
            self.outputs.push(Output::Say(delivery));
        }
    }

    /// Passes on what came for a client of `room` while it waited.
    pub(super) fn pass_early(&mut self, room: &RoomName, id: MemberId) {
        self.pass_early_to(room, id, |_| true);
    }

    /// Passes on what waited in `room` for the senders that are in by now. Signals of a home whose
    /// members are all known (`is_told`) wait no longer for a sender that is not there.
    pub(super) fn pass_early_in(&mut self, room: &RoomName, is_told: impl Fn(&NodeName) -> bool) {
        let here = self.early.signals.keys().filter(|to| self.rooms.is_local(**to));
        let here: Vec<_> = here.filter(|to| self.rooms.place(**to) == Some(room)).copied().collect();
        for to in here {
            self.pass_early_to(room, to, &is_told);
        }
    }

    fn pass_early_to(&mut self, room: &RoomName, to: MemberId, is_told: impl Fn(&NodeName) -> bool) {
        for signal in self.early.signals.remove(&to).unwrap_or_default() {
            if self.is_known(room, signal.from) {
                self.pass_to_client(signal);
            } else if is_told(&signal.node) {
                self.early.strangers += 1;
            } else {
                self.early.push(signal);
            }
        }
    }
}
