//! Side of a home: replicas of rooms that other nodes own.

use std::collections::BTreeSet;
use std::time::Duration;

use byway_turn::time::Now;

use super::item::{Adopted, Adoption, Body, Label, Notice, Request, RoomItem, RoomUpdate, SharedSignal};
use super::{Held, Output, Part, RETRY, Shared, SharedRooms, Waiting};
use crate::access::names::NodeName;
use crate::signaling::protocol::{ByeCode, Ending, ErrorCode, MemberId, RoomName, ServerMessage};
use crate::signaling::room::{
    Delivery, Heard, KeptSignal, MemberRecord, Newcomer, UNTIL_TOLD, network_of_nodes,
};

/// Items that wait for an attachment to one room.
const MOST_HELD: usize = 4_096;

/// Bytes of kept signals in one part of an adoption.
const PART: usize = 64 << 10;

/// Attachment of this home to the owner of a room.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) owner: NodeName,
    pub(super) number: u64,
    pub(super) state: AttachmentState,
    /// Whether the stream to the owner was reset, and nothing has come from it since.
    pub(super) is_cut: bool,
    /// Requests that wait, unless it is open.
    pub(super) held: Held,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AttachmentState {
    /// Requests are sent as they come.
    Open,
    /// The former owner has to answer what it was asked, so that the order is kept.
    Parting(NodeName),
    /// The owner has not taken this home in, and is asked again then.
    Retry(Duration),
}

impl Attachment {
    pub(super) fn retry_at(&self) -> Option<Duration> {
        match self.state {
            AttachmentState::Retry(at) => Some(at),
            AttachmentState::Open | AttachmentState::Parting(_) => None,
        }
    }
}

impl SharedRooms {
    /// Lets a client wait for the owner of `room`, which is another node.
    pub(super) fn wait(&mut self, room: &RoomName, id: MemberId, waiting: Waiting) {
        self.waiting.insert(id, waiting);
        if self.shared.contains_key(room) {
            self.ask_for(room, id);
        } else if let Some(owner) = self.owner_of(room) {
            self.attach_to(room, owner);
        }
    }

    /// Sends the request of a client that waits.
    fn ask_for(&mut self, room: &RoomName, id: MemberId) {
        let Some(name) = self.own_name().cloned() else { return };
        let request = match self.waiting.get(&id) {
            Some(Waiting::Join(newcomer, _)) => {
                Request::Join { member: asked(newcomer, name), passes_lock: newcomer.passes_lock }
            }
            Some(Waiting::Resume { seq, .. }) => Request::Resume { id, seq: *seq },
            None => return,
        };
        self.tell_owner(room, request);
    }

    /// Turns to `owner`. A former owner has to finish first what it was asked, unless it has died.
    pub(super) fn attach_to(&mut self, room: &RoomName, owner: NodeName) {
        let Some(node) = &mut self.node else { return };
        node.attached += 1;
        let number = node.attached;
        let shared = self.shared.entry(room.clone()).or_insert_with(Shared::owned);
        let state = AttachmentState::Open;
        let mut attachment = Attachment { owner, number, state, is_cut: false, held: Held::new() };
        let mut detached = None;
        if let Part::Home(former) = &mut shared.part {
            attachment.held = std::mem::take(&mut former.held);
            if former.owner == attachment.owner {
                attachment.is_cut = former.is_cut;
            }
            if let AttachmentState::Parting(_) = &former.state {
                attachment.state = former.state.clone();
            } else if former.owner != attachment.owner && !former.is_cut {
                attachment.state = AttachmentState::Parting(former.owner.clone());
                detached = Some((former.owner.clone(), former.number));
            }
        }
        let is_open = attachment.state == AttachmentState::Open;
        shared.part = Part::Home(attachment);
        if let Some((former, at)) = detached {
            self.ask(&former, room, at, Request::Detach);
        }
        if is_open {
            self.open(room);
        }
    }

    /// Tells the owner all that is known of the room, and all that waits.
    pub(super) fn open(&mut self, room: &RoomName) {
        let Some(Shared { part: Part::Home(attachment), .. }) = self.shared.get_mut(room) else { return };
        attachment.state = AttachmentState::Open;
        let mut held: Vec<_> = std::mem::take(&mut attachment.held).into();
        held.sort_by_key(|(n, _)| *n);
        if self.rooms.exists(room) {
            self.adopt_me(room);
        }
        let waiting = self.waiting.iter().filter(|(_, waiting)| waiting.room() == room).map(|(id, _)| *id);
        for id in waiting.collect::<Vec<_>>() {
            self.ask_for(room, id);
        }
        for (n, request) in held {
            // One of a member that has moved to another node comes too late.
            if self.is_in_time(&request) {
                self.request(room, n, request);
            }
        }
        self.forget_unused(room);
    }

    /// Whether the member that asks is where it was.
    fn is_in_time(&self, request: &Request) -> bool {
        match request {
            Request::Signal(SharedSignal { node, from, .. }) => {
                self.rooms.home(*from).or(self.own_name()) == Some(node)
            }
            Request::Remove { by: Some(id), .. } | Request::Lock { by: id, .. } => self.rooms.is_local(*id),
            _ => true,
        }
    }

    /// Tells the owner the state of the room at this home, in parts.
    fn adopt_me(&mut self, room: &RoomName) {
        let Some(name) = self.own_name() else { return };
        let mut parts = vec![Vec::new()];
        let mut bytes = 0;
        for member in self.rooms.records(room, name) {
            let mut rest = self.adopted(member, name);
            let (mut kept, mut late) = (rest.kept.into_iter().peekable(), rest.late.into_iter().peekable());
            loop {
                (rest.kept, rest.late) = (Vec::new(), Vec::new());
                while let Some(signal) = kept.next_if(|_| bytes < PART) {
                    bytes += signal.data.get().len();
                    rest.kept.push(signal);
                }
                while let Some(signal) = late.next_if(|_| bytes < PART) {
                    bytes += signal.data.get().len();
                    rest.late.push(signal);
                }
                if let Some(part) = parts.last_mut() {
                    part.push(rest.clone());
                }
                if kept.peek().is_none() && late.peek().is_none() {
                    break;
                }
                parts.push(Vec::new());
                bytes = 0;
            }
        }
        let asking = self.waiting.iter().filter(|(_, waiting)| waiting.room() == room).map(|(id, _)| *id);
        let asking: Vec<_> = asking.collect();
        let locked = self.rooms.is_locked(room);
        let gave_up = self.shared.get(room).map(|shared| shared.gave_up.clone()).unwrap_or_default();
        let last = parts.len() - 1;
        for (index, members) in parts.into_iter().enumerate() {
            let more = index < last;
            let gave_up = if more { BTreeSet::new() } else { gave_up.clone() };
            let adoption = Adoption { locked, members, gave_up, asking: asking.clone(), more };
            self.tell_owner(room, Request::Adopt(adoption));
        }
    }

    /// Member with its signals, for the owner to take in. A node that drains hands over all, since
    /// it is about to go.
    fn adopted(&self, member: MemberRecord, name: &NodeName) -> Adopted {
        let id = member.id;
        let is_own = member.home == *name;
        let late = self.undelivered.get(&id).filter(|_| !is_own);
        let late = late.into_iter().flatten().cloned().collect();
        if self.rooms.is_floating(id) {
            return Adopted { member, said: None, kept: Vec::new(), heard: Vec::new(), late };
        }
        let has_copy = is_own && !member.absent && !self.view.draining;
        let kept = if has_copy { Vec::new() } else { self.rooms.kept_signals(id) };
        Adopted { member, said: Some(self.rooms.said(id)), kept, heard: self.rooms.heard(id), late }
    }

    /// Sends a new request to the owner of `room`, or holds it until that takes this home in.
    pub(super) fn tell_owner(&mut self, room: &RoomName, request: Request) {
        let Some(node) = &mut self.node else { return };
        node.sent += 1;
        let n = node.sent;
        self.request(room, n, request);
    }

    /// Sends the request number `n` to the owner of `room`, or holds it.
    pub(super) fn request(&mut self, room: &RoomName, n: u64, request: Request) {
        let Some(Shared { part: Part::Home(attachment), .. }) = self.shared.get_mut(room) else { return };
        if attachment.state == AttachmentState::Open {
            let (to, at) = (attachment.owner.clone(), attachment.number);
            let item = RoomItem { room: room.clone(), at, n, body: Body::Request(request) };
            self.outputs.push(Output::Send { to, item });
        } else if request.is_repeated() && attachment.held.len() < MOST_HELD {
            attachment.held.push_back((n, request));
        }
    }

    /// Sends a request to a node that need not be the owner.
    pub(super) fn ask(&mut self, to: &NodeName, room: &RoomName, at: u64, request: Request) {
        let Some(node) = &mut self.node else { return };
        node.sent += 1;
        let item = RoomItem { room: room.clone(), at, n: node.sent, body: Body::Request(request) };
        self.outputs.push(Output::Send { to: to.clone(), item });
    }

    /// Removes a member of this node from a replica.
    pub(super) fn depart_from_replica(&mut self, id: MemberId, ending: Ending) {
        self.report_departure(id, ending);
        let told = self.rooms.drop_member(id);
        self.say(told);
    }

    /// Takes what an owner says.
    pub(super) fn notice(
        &mut self,
        now: Now,
        from: &NodeName,
        room: &RoomName,
        at: u64,
        n: u64,
        notice: Notice,
    ) {
        let is_attached = self.is_attached(from, room, at);
        if is_attached && let Some(Shared { part: Part::Home(attachment), .. }) = self.shared.get_mut(room) {
            attachment.is_cut = false;
        }
        match notice {
            Notice::Deliver { seq, signal } => self.delivered(from, room, is_attached, seq, signal),
            Notice::Rejected { id, code } => self.rejected(id, code.0),
            Notice::Evict { id, code } => self.evicted(room, id, code.0),
            Notice::Bounced(request) => self.bounced(now, room, is_attached, n, request),
            Notice::Detached => self.detached(room, from, at),
            _ if !is_attached => {}
            Notice::Room(update) => self.update(room, update),
            Notice::Resumed { member, seq, missed, heard } => {
                self.resumed(now, room, member, seq, missed, heard);
            }
            Notice::Refused { id, code } => {
                if self.waiting.remove(&id).is_some() {
                    self.report_refusal(id, code.0);
                    self.forget_unused(room);
                }
            }
            Notice::NotResumed { id, role } => {
                if self.waiting.remove(&id).is_some() {
                    self.report_no_resumption(id, role);
                    self.forget_unused(room);
                }
            }
        }
    }

    /// The owner has let this home go, which attaches itself again; or the former owner has.
    fn detached(&mut self, room: &RoomName, from: &NodeName, at: u64) {
        self.parted(room, from);
        let Some(Shared { part: Part::Home(attachment), .. }) = self.shared.get(room) else { return };
        let is_meant = at == 0 || at == attachment.number;
        if attachment.owner == *from && is_meant && attachment.state == AttachmentState::Open {
            self.attach_to(room, from.clone());
        }
    }

    /// The former owner has answered all that it was asked.
    pub(super) fn parted(&mut self, room: &RoomName, from: &NodeName) {
        if let Some(Shared { part: Part::Home(attachment), .. }) = self.shared.get(room)
            && attachment.state == AttachmentState::Parting(from.clone())
        {
            self.open(room);
        }
    }

    fn evicted(&mut self, room: &RoomName, id: MemberId, code: ByeCode) {
        if self.rooms.place(id) != Some(room) || !self.rooms.is_local(id) {
            return;
        }
        self.outputs.push(Output::Evict { id, code });
        if code == ByeCode::Removed {
            self.depart_from_replica(id, Ending::Bye(ByeCode::Removed));
            self.forget_unused(room);
        }
    }

    /// Takes in what the owner says of a room.
    fn update(&mut self, room: &RoomName, update: RoomUpdate) {
        let RoomUpdate { whole, locked, mut gone, members, again } = update;
        let Some(name) = self.own_name().cloned() else { return };
        if whole {
            self.forget_state(room);
            let is_listed = |id| members.iter().any(|member| member.id == id);
            gone = self.rooms.homes(room).map(|(id, _)| id).filter(|id| !is_listed(*id)).collect();
        }
        for id in gone {
            if self.rooms.place(id) == Some(room) {
                // If its client is here, that joins again.
                if self.rooms.is_local(id) {
                    self.evict(id, ByeCode::Silent);
                }
                self.depart_from_replica(id, Ending::Lost);
            }
        }
        let told = self.rooms.set_locked(room, locked);
        self.say(told);
        for member in members {
            if member.home == name {
                self.update_own(room, member, locked);
            } else {
                let (id, moves) = (member.id, self.rooms.is_local(member.id));
                if moves {
                    self.evict(id, ByeCode::Replaced);
                }
                let told = self.rooms.set_foreign(room, member);
                self.say(told);
                if moves {
                    self.report_move(room, id);
                }
            }
            // The first member has opened the room.
            let told = self.rooms.set_locked(room, locked);
            self.say(told);
        }
        if again {
            self.meet_again(room);
        }
        self.pass_early_in(room, |_| whole);
        self.forget_unused(room);
    }

    /// Forgets what this node knew as the owner, which the present one has by now.
    fn forget_state(&mut self, room: &RoomName) {
        if let Some(shared) = self.shared.get_mut(room) {
            shared.gave_up.clear();
        }
        let foreign = self.rooms.homes(room).filter(|(_, home)| home.is_some()).map(|(id, _)| id);
        for id in foreign.collect::<Vec<_>>() {
            self.rooms.forget_signals(id);
            self.undelivered.remove(&id);
        }
    }

    /// Takes in what the owner says of a member of this node. What the home knows better, it keeps.
    fn update_own(&mut self, room: &RoomName, member: MemberRecord, locked: bool) {
        let id = member.id;
        if let Some(Waiting::Join(..)) = self.waiting.get(&id)
            && let Some(Waiting::Join(newcomer, _)) = self.waiting.remove(&id)
        {
            let opens = !self.rooms.has_locals(room);
            let told = self.rooms.admit(room, newcomer, member.role, member.arrival);
            self.say(told);
            self.rooms.set_locked(room, locked);
            self.enter(room, id, opens);
        } else if self.rooms.is_local(id) {
            let told = self.rooms.set_role(id, member.role);
            self.say(told);
        } else if self.waiting.contains_key(&id) {
            // It is about to be resumed.
            let told = self.rooms.set_foreign(room, member);
            self.say(told);
        } else {
            // It was removed, or its client has gone, while this home was away.
            self.tell_owner(room, Request::Lost { id, written: 0 });
        }
    }

    fn enter(&mut self, room: &RoomName, id: MemberId, opens: bool) {
        if let Some(entered) = self.rooms.entered(id) {
            self.outputs.push(Output::Entered { id, entered, opens });
            self.pass_early(room, id);
        }
    }

    /// Has all members of this node in `room` meet those of other nodes for the first time again.
    pub(super) fn meet_again(&mut self, room: &RoomName) {
        let locals = self.rooms.homes(room).filter(|(_, home)| home.is_none()).map(|(id, _)| id);
        let locals: Vec<_> = locals.collect();
        for id in locals {
            let told = self.rooms.meets_foreign_again(id);
            self.say(told);
        }
    }

    /// Ends the connection of a member of this node, or has its home do so.
    pub(super) fn evict(&mut self, id: MemberId, code: ByeCode) {
        match (self.rooms.home(id).cloned(), self.rooms.place(id).cloned()) {
            (Some(home), Some(room)) => {
                let at = self.attachment_of(&room, &home);
                self.tell(&home, &room, at, Notice::Evict { id, code: Label(code) });
            }
            _ => self.outputs.push(Output::Evict { id, code }),
        }
    }

    /// Gives a client of this node the membership that the owner let it resume.
    pub(super) fn resumed(
        &mut self,
        now: Now,
        room: &RoomName,
        member: MemberRecord,
        seq: u64,
        missed: Vec<KeptSignal>,
        heard: Vec<Heard>,
    ) {
        let (id, since) = (member.id, member.since);
        let network = match self.waiting.get(&id) {
            Some(Waiting::Resume { network, .. }) => Some(*network),
            _ => None,
        };
        if !self.rooms.is_local(id) {
            let told = self.rooms.set_foreign(room, member);
            self.say(told);
            self.rooms.set_signals(id, seq + missed.len() as u64, missed);
            self.rooms.bring_home(id);
            self.rooms.set_heard(id, heard);
            self.report_arrival(room, id);
        }
        self.rooms.set_since(id, since);
        self.rooms.lose(id, UNTIL_TOLD, seq);
        let Some(network) = network else {
            // The client has gone meanwhile.
            return self.tell_owner(room, Request::Lost { id, written: seq });
        };
        self.waiting.remove(&id);
        self.rooms.set_absence(id, UNTIL_TOLD);
        match self.rooms.resume(now.mono, id, room, Some(seq), network) {
            Some(resumed) => {
                self.outputs.push(Output::Resumed { id, resumed });
                self.pass_early(room, id);
            }
            None => {
                let role = self.rooms.role(room, id);
                self.leave(id, Ending::Lost);
                self.report_no_resumption(id, role);
            }
        }
    }

    /// Tells a member of this node that its request was rejected.
    pub(super) fn rejected(&mut self, id: MemberId, code: ErrorCode) {
        if self.rooms.is_local(id) {
            let text = ServerMessage::error(code).text();
            self.outputs.push(Output::Say(Delivery { to: id, text }));
        }
    }

    /// The node that was asked is not the owner, or does not know the attachment. Asks again a
    /// little later, unless this home has turned to another owner meanwhile.
    fn bounced(&mut self, now: Now, room: &RoomName, is_attached: bool, n: u64, request: Request) {
        if is_attached
            && let Some(Shared { part: Part::Home(attachment), .. }) = self.shared.get_mut(room)
            && attachment.state == AttachmentState::Open
        {
            let at = now.mono + RETRY;
            attachment.state = AttachmentState::Retry(at);
            self.retry_at = Some(self.retry_at.map_or(at, |before| before.min(at)));
        }
        if request.is_repeated() {
            self.ask_again(now, room, n, request);
        }
    }

    /// Repeats a request that did not reach an owner.
    pub(super) fn ask_again(&mut self, now: Now, room: &RoomName, n: u64, request: Request) {
        if self.is_owner(room) {
            self.obey_own(now, room, request);
        } else {
            self.request(room, n, request);
        }
    }

    /// Asks the owners again whose time has come.
    pub(super) fn retry(&mut self, now: Now) {
        if self.retry_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let due = self.shared.iter().filter_map(|(room, shared)| match &shared.part {
            Part::Home(attachment) if attachment.retry_at().is_some_and(|at| at <= now.mono) => {
                Some((room.clone(), attachment.owner.clone()))
            }
            _ => None,
        });
        let due: Vec<_> = due.collect();
        for (room, owner) in due {
            self.attach_to(&room, owner);
        }
        let retries = self.shared.values().filter_map(|shared| match &shared.part {
            Part::Home(attachment) => attachment.retry_at(),
            Part::Owner(_) => None,
        });
        self.retry_at = retries.min();
    }

    pub(super) fn is_attached(&self, from: &NodeName, room: &RoomName, at: u64) -> bool {
        match self.shared.get(room).map(|shared| &shared.part) {
            Some(Part::Home(attachment)) => attachment.owner == *from && attachment.number == at,
            _ => false,
        }
    }
}

/// Record of a newcomer that the owner has not admitted yet.
fn asked(newcomer: &Newcomer, home: NodeName) -> MemberRecord {
    MemberRecord {
        id: newcomer.id,
        name: newcomer.name.clone(),
        role: newcomer.role,
        max_members: newcomer.max_members,
        user: newcomer.user.as_ref().to_owned(),
        region: newcomer.region.clone(),
        home,
        arrival: newcomer.came,
        since: newcomer.came / 1_000_000,
        absent: false,
    }
}

/// A newcomer of another home, for the owner to admit.
pub(super) fn newcomer(member: MemberRecord, passes_lock: bool) -> Newcomer {
    Newcomer {
        id: member.id,
        name: member.name,
        network: network_of_nodes(),
        role: member.role,
        max_members: member.max_members,
        passes_lock,
        user: member.user.into(),
        region: member.region,
        home: Some(member.home),
        came: member.arrival,
    }
}
