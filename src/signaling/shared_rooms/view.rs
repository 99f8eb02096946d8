//! Nodes that may own rooms, and what follows when that set changes.

use std::collections::BTreeSet;

use byway_turn::time::Now;
use sha1::{Digest as _, Sha1};

use super::home::Attachment;
use super::item::Notice;
use super::{LEAST_WAIT, Part, Shared, SharedRooms, Waiting};
use crate::access::names::NodeName;
use crate::signaling::protocol::{MemberId, RoomName};
use crate::signaling::room::UNTIL_TOLD;

/// Nodes that may own rooms, as this node sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomView {
    /// Other nodes that live and do not drain.
    pub nodes: BTreeSet<NodeName>,
    /// Whether nothing is known of the other nodes, because the bus is away.
    pub alone: bool,
    /// Whether this node drains.
    pub draining: bool,
}

impl SharedRooms {
    /// Takes in the nodes that may own rooms. Rooms whose owner changes by that are handed over.
    pub fn set_view(&mut self, now: Now, view: RoomView) {
        let came: BTreeSet<_> = view.nodes.difference(&self.view.nodes).cloned().collect();
        let before = self.candidates();
        let was_alone = std::mem::replace(&mut self.view, view).alone;
        let candidates = Candidates::new(&before, self.candidates());
        let mut rooms: BTreeSet<_> = self.rooms.names().cloned().collect();
        rooms.extend(self.shared.keys().cloned());
        for room in rooms {
            self.reconsider(now, &room, &candidates);
            self.remind_homes(&room, &came);
        }
        if was_alone && !self.view.alone {
            self.end_waits(now);
        }
    }

    /// Owner of `room` by the present view, if it is another node.
    pub(super) fn owner_of(&self, room: &RoomName) -> Option<NodeName> {
        let name = self.own_name()?;
        let owner = owner_among(room, self.view.nodes.iter().chain(self.own_candidate()));
        owner.filter(|owner| *owner != name).cloned()
    }

    /// All nodes that may own rooms.
    fn candidates(&self) -> BTreeSet<NodeName> {
        self.view.nodes.iter().chain(self.own_candidate()).cloned().collect()
    }

    /// This node, if it may own rooms.
    fn own_candidate(&self) -> Option<&NodeName> {
        self.own_name().filter(|_| !self.view.draining || self.view.nodes.is_empty())
    }

    /// Follows the owner of `room` where it has changed.
    fn reconsider(&mut self, now: Now, room: &RoomName, candidates: &Candidates) {
        let Some(name) = self.own_name() else { return };
        let owner = candidates.owner(room, self.owner(room).unwrap_or(name));
        let owner = owner.filter(|owner| *owner != name).cloned();
        debug_assert_eq!(owner, self.owner_of(room));
        match (self.owner(room).cloned(), owner) {
            (None, None) => self.detach_unseen(now, room),
            (None, Some(owner)) => self.hand_over(room, owner),
            (Some(_), None) => self.take_over(now, room),
            (Some(former), Some(owner)) if former != owner => self.attach_to(room, owner),
            (Some(_), Some(_)) => {}
        }
    }

    /// Lets homes go that this node does not see, in a room of its own.
    fn detach_unseen(&mut self, now: Now, room: &RoomName) {
        if !self.view.alone {
            // A node that drains owns nothing, and is a home until it stops. Its stream is reset
            // then.
            return;
        }
        let Some(Shared { part: Part::Owner(homes), .. }) = self.shared.get_mut(room) else { return };
        let unseen = homes.attached.keys().filter(|home| !self.view.nodes.contains(*home));
        let unseen: Vec<_> = unseen.cloned().collect();
        unseen.iter().for_each(|home| _ = homes.detach(home));
        for home in unseen {
            self.wait_for_home(now, room, &home);
        }
    }

    /// Reminds homes that this node sees again, and that may not know that it had let them go.
    fn remind_homes(&mut self, room: &RoomName, came: &BTreeSet<NodeName>) {
        let Some(Shared { part: Part::Owner(homes), .. }) = self.shared.get(room) else { return };
        let away: BTreeSet<_> = self.rooms.homes(room).filter_map(|(_, home)| home.cloned()).collect();
        let away = away.intersection(came).filter(|home| !homes.attached.contains_key(*home));
        for home in away.cloned().collect::<Vec<_>>() {
            self.tell(&home, room, 0, Notice::Detached);
        }
    }

    /// Keeps the members of a home that is away for a while.
    pub(super) fn wait_for_home(&mut self, now: Now, room: &RoomName, home: &NodeName) {
        let theirs = self.rooms.homes(room).filter(|(_, of)| *of == Some(home)).map(|(id, _)| id);
        let theirs: Vec<_> = theirs.collect();
        for id in &theirs {
            self.keep_for_a_while(now, *id);
        }
        self.publish(room, &theirs, &[]);
    }

    /// Marks a member of a home that is away as absent.
    pub(super) fn keep_for_a_while(&mut self, now: Now, id: MemberId) {
        let until = self.end_of_wait(now);
        if self.rooms.is_absent(id) {
            self.rooms.set_absence(id, until);
        } else {
            let said = self.rooms.said(id);
            self.rooms.lose(id, until, said);
        }
    }

    /// Time until which members are kept whose home is away.
    fn end_of_wait(&self, now: Now) -> std::time::Duration {
        if self.view.alone { UNTIL_TOLD } else { now.mono + self.window.max(LEAST_WAIT) }
    }

    /// Begins the wait for homes that are not back, now that their absence means something.
    fn end_waits(&mut self, now: Now) {
        let own: Vec<_> = self.rooms.names().filter(|room| self.is_owner(room)).cloned().collect();
        let until = self.end_of_wait(now);
        for room in own {
            for id in self.rooms.absentees_until(&room, UNTIL_TOLD) {
                self.rooms.set_absence(id, until);
            }
        }
    }

    /// Becomes the owner of a room that another node owned.
    fn take_over(&mut self, now: Now, room: &RoomName) {
        let Some(shared) = self.shared.get_mut(room) else { return };
        let part = Shared::owned().part;
        let Part::Home(Attachment { mut held, .. }) = std::mem::replace(&mut shared.part, part) else {
            return;
        };
        let members: Vec<_> = self.rooms.homes(room).map(|(id, home)| (id, home.is_none())).collect();
        for (id, is_local) in members {
            if !is_local {
                self.keep_for_a_while(now, id);
            } else if self.rooms.is_absent(id) {
                self.rooms.set_absence(id, now.mono + self.window);
            }
        }
        held.make_contiguous().sort_by_key(|(n, _)| *n);
        for (_, request) in held {
            self.obey_own(now, room, request);
        }
        let waiting = self.waiting.iter().filter(|(_, waiting)| waiting.room() == room).map(|(id, _)| *id);
        let waiting: Vec<_> = waiting.collect();
        for id in waiting {
            match self.waiting.remove(&id) {
                Some(Waiting::Join(newcomer, room)) => self.join_here(&room, newcomer),
                Some(Waiting::Resume { room, seq, network }) => {
                    self.resume_here(now, &room, id, seq, network)
                }
                None => {}
            }
        }
        self.forget_unused(room);
    }

    /// Hands a room of this node over to another owner.
    fn hand_over(&mut self, room: &RoomName, owner: NodeName) {
        if let Some(Shared { part: Part::Owner(homes), .. }) = self.shared.get(room) {
            // Homes that are attached tell of their members by themselves.
            let is_attached = |home: &NodeName| homes.attached.contains_key(home);
            let theirs = self.rooms.homes(room).filter(|(_, home)| home.is_some_and(is_attached));
            for id in theirs.map(|(id, _)| id).collect::<Vec<_>>() {
                self.rooms.forget_signals(id);
            }
        }
        if !self.rooms.has_locals(room) && !self.has_state(room) {
            // Its homes turn to the new owner by themselves.
            self.rooms.drop_room(room);
            self.shared.remove(room);
            return;
        }
        for id in self.rooms.absentees(room) {
            self.rooms.set_absence(id, UNTIL_TOLD);
        }
        self.attach_to(room, owner);
    }
}

/// Nodes that may own rooms, before and after a change.
struct Candidates {
    now: BTreeSet<NodeName>,
    /// Those of them that were there before.
    stayed: BTreeSet<NodeName>,
    came: Vec<NodeName>,
}

impl Candidates {
    fn new(before: &BTreeSet<NodeName>, now: BTreeSet<NodeName>) -> Self {
        let came = now.difference(before).cloned().collect();
        Self { stayed: now.intersection(before).cloned().collect(), came, now }
    }

    /// Owner of `room`. `former` was the owner before the change. If it is still there, no other
    /// node that was there has a larger weight. That spares a hash per node for most rooms.
    fn owner<'c>(&'c self, room: &RoomName, former: &'c NodeName) -> Option<&'c NodeName> {
        if self.stayed.contains(former) {
            owner_among(room, self.came.iter().chain([former]))
        } else {
            owner_among(room, self.now.iter())
        }
    }
}

/// Owner of `room` among `nodes`.
#[must_use]
pub fn owner_among<'n>(room: &RoomName, nodes: impl Iterator<Item = &'n NodeName>) -> Option<&'n NodeName> {
    nodes.max_by_key(|node| weight(room, node))
}

/// Weight of a node for a room: the node with the largest one is the owner. A hash, so that rooms
/// are spread evenly, and few move when the set of nodes changes.
fn weight<'n>(room: &RoomName, node: &'n NodeName) -> ([u8; 8], &'n NodeName) {
    let digest =
        Sha1::new().chain_update(node.as_str()).chain_update("\n").chain_update(room.as_str()).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    (first, node)
}
