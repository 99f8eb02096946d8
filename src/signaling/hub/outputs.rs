//! Consequences of a change of the rooms: messages, evictions, records, items for other nodes.

use std::sync::{Arc, MutexGuard};

use byway_turn::time::Now;
use serde_json::value::RawValue;

use super::entry::Entry;
use super::{Hub, HubState};
use crate::access::grant::Role;
use crate::access::names::NodeName;
use crate::signaling::protocol::{ByeCode, Ending, MemberId};
use crate::signaling::room::Delivery;
use crate::signaling::shared_rooms::{Output, RoomView};

/// Consequences that come once the lock is released.
#[derive(Default)]
pub(super) struct Sequel {
    /// Names of members that are gone, with the id of a member of this node.
    gone: Vec<(Option<MemberId>, Arc<str>)>,
    /// Clients that resumed nothing and are newcomers, with their role until now.
    newcomers: Vec<(Arc<Entry>, Option<Role>)>,
}

impl Hub {
    /// Takes the next item of another node.
    pub fn hear(&self, from: &NodeName, item: &RawValue) {
        let now = self.connections.clock.now();
        let mut state = self.lock();
        let before = state.rooms.next_deadline();
        state.rooms.hear(now, from, item);
        let after = state.rooms.next_deadline();
        self.settle(now, state);
        // Few items change it. To wake a task, and a thread for that, costs more than an item.
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.absence.notify_one();
        }
    }

    /// Notes that the stream to or from `peer` was reset. `unsent` did not reach it.
    pub fn reset(&self, peer: &NodeName, unsent: &[Box<RawValue>]) {
        let now = self.connections.clock.now();
        let mut state = self.lock();
        state.rooms.reset(now, peer, unsent);
        self.settle(now, state);
        self.absence.notify_one();
    }

    /// Takes in the nodes that may own rooms.
    pub fn set_view(&self, view: RoomView) {
        let now = self.connections.clock.now();
        let mut state = self.lock();
        state.rooms.set_view(now, view);
        self.settle(now, state);
        self.absence.notify_one();
    }

    /// Obeys the rooms after a change, and releases the lock.
    pub(super) fn settle(&self, now: Now, mut state: MutexGuard<'_, HubState>) {
        let mut sequel = Sequel::default();
        self.obey(now, &mut state, &mut sequel);
        self.count(&state);
        drop(state);
        self.follow(now, sequel);
    }

    /// Obeys all outputs, in order.
    fn obey(&self, now: Now, state: &mut HubState, sequel: &mut Sequel) {
        for output in state.rooms.take_outputs() {
            match output {
                Output::Say(delivery) => state.deliver([delivery]),
                Output::Entered { id, entered, opens } => self.entered(now, state, id, entered, opens),
                Output::Refused { id, code } => self.refused(state, id, code.into()),
                Output::Resumed { id, resumed } => self.resumed(now, state, id, resumed),
                Output::NotResumed { id, role } => {
                    sequel.newcomers.extend(state.take_waiting(id).map(|entry| (entry, role)));
                }
                Output::Evict { id, code } => {
                    if let Some(queue) = state.queues.remove(&id) {
                        queue.evict(code);
                    }
                }
                Output::Came { room, id, opens } => {
                    state.rooms_here += usize::from(opens);
                    if let Some((_, participant)) = state.known(id) {
                        self.record_arrival(now, &room, participant, opens);
                    }
                }
                Output::Moved { room, id, closes } => {
                    state.queues.remove(&id);
                    state.rooms_here -= usize::from(closes);
                    self.record_move(now, &room, id, closes);
                }
                Output::Left { room, id, user, ending, is_local: true, closes } => {
                    state.queues.remove(&id);
                    state.rooms_here -= usize::from(closes);
                    self.record_departure(now, &room, id, &user, ending, closes);
                    sequel.gone.push((Some(id), user));
                }
                // Its home ends what it has, unless that is away. Who removes a member does not
                // wait for that.
                Output::Left { user, ending: Ending::Bye(ByeCode::Removed), .. } => {
                    sequel.gone.push((None, user));
                }
                Output::Left { .. } => {}
                Output::Send { to, item } => {
                    if let Some(node) = &self.parts.node {
                        (node.send)(&to, item.to_json());
                    }
                }
            }
        }
    }

    fn follow(&self, now: Now, Sequel { gone, newcomers }: Sequel) {
        for (id, user) in gone {
            // In this order: what the relay allocates from here on, it refuses; what it allocated
            // before, it ends.
            if let Some(id) = id {
                self.parts.revocations.leave(id);
            }
            (self.parts.end_user)(&user);
        }
        for (entry, role) in newcomers {
            self.join(now, &entry, role);
        }
    }
}

impl HubState {
    pub(super) fn deliver(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        for Delivery { to, text } in deliveries {
            if let Some(queue) = self.queues.get(&to) {
                queue.say(text);
            }
        }
    }
}
