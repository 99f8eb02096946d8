//! Side of an owner: decisions about rooms, for members of this node and of others.

use std::collections::{BTreeSet, VecDeque};

use byway_turn::client_network::ClientNetwork;
use byway_turn::time::Now;
use serde_json::value::RawValue;

use super::home::newcomer;
use super::item::{Body, Label, Notice, Request, RoomItem, RoomUpdate, SharedSignal};
use super::{MOST_UNDELIVERED, Output, Part, Shared, SharedRooms, new_hosts};
use crate::access::names::NodeName;
use crate::signaling::protocol::{ByeCode, Ending, ErrorCode, MemberId, RoomName};
use crate::signaling::room::{Delivery, Entered, MemberRecord, Newcomer, Resumed, without_number};

impl SharedRooms {
    /// Takes the next item of another node.
    pub fn hear(&mut self, now: Now, from: &NodeName, json: &RawValue) {
        // One of a later version has nothing that this one could do.
        let Some(RoomItem { room, at, n, body }) = RoomItem::parse(json) else { return };
        match body {
            Body::Notice(notice) => self.notice(now, from, &room, at, n, notice),
            Body::Request(Request::Detach) => self.detach(now, from, &room, at),
            Body::Request(request) if self.serves(from, &room, at, &request) => {
                self.obey(now, from, &room, at, request);
                self.let_homes_go(&room);
            }
            Body::Request(request) => {
                let body = Body::Notice(Notice::Bounced(request));
                self.outputs.push(Output::Send { to: from.clone(), item: RoomItem { room, at, n, body } });
            }
        }
    }

    /// Whether this node obeys a request of `from`.
    fn serves(&self, from: &NodeName, room: &RoomName, at: u64, request: &Request) -> bool {
        // A home without members is not attached, and may have said so for the last one.
        let is_free = matches!(request, Request::Remove { by: None, .. } | Request::Left { .. });
        self.is_owner(room) && (request.attaches() || is_free || self.is_home(room, from, at))
    }

    /// Obeys a request of this node itself, which another owner did not answer.
    pub(super) fn obey_own(&mut self, now: Now, room: &RoomName, request: Request) {
        if let Some(name) = self.own_name().cloned() {
            self.obey(now, &name, room, 0, request);
        }
    }

    fn obey(&mut self, now: Now, from: &NodeName, room: &RoomName, at: u64, request: Request) {
        match request {
            Request::Join { member, passes_lock } => self.join_from(from, room, at, member, passes_lock),
            Request::Resume { id, seq } => self.resume_from(now, from, room, at, id, seq),
            Request::Adopt(adoption) => self.adopt(now, from, room, at, adoption),
            Request::Signal(signal) => self.signal_from(from, room, signal),
            Request::Lost { id, written } => {
                if self.is_at(room, id, from) && !self.rooms.is_absent(id) {
                    self.rooms.lose(id, now.mono + self.window, written);
                    self.publish(room, &[id], &[]);
                }
            }
            Request::Left { id } => {
                if self.is_at(room, id, from) {
                    self.depart(id, Ending::Client);
                }
            }
            Request::Confirm { id, seq } => {
                if self.is_at(room, id, from) {
                    self.rooms.confirm(id, seq);
                }
            }
            Request::Remove { by, id } => {
                let may = by.is_none_or(|by| self.rooms.check_removal(by, id).is_ok());
                if may && self.rooms.place(id) == Some(room) {
                    self.evict(id, ByeCode::Removed);
                    self.depart(id, Ending::Bye(ByeCode::Removed));
                }
            }
            Request::Lock { by, locked } => {
                if self.is_at(room, by, from)
                    && let Ok(told) = self.rooms.lock(by, locked)
                {
                    self.say(told);
                    self.publish(room, &[], &[]);
                }
            }
            Request::Said { id, said } => {
                if self.is_at(room, id, from) {
                    self.rooms.set_signals(id, said, Vec::new());
                }
            }
            Request::Detach => {}
        }
    }

    /// Lets a home go that turns to another owner.
    fn detach(&mut self, now: Now, home: &NodeName, room: &RoomName, at: u64) {
        if self.is_home(room, home, at) {
            if let Some(Shared { part: Part::Owner(homes), .. }) = self.shared.get_mut(room) {
                homes.detach(home);
            }
            self.wait_for_home(now, room, home);
            // The next owner may get what follows before what this node hands over. So the home has
            // them first, and sends them in their order. One that comes twice is known again.
            let theirs = self.rooms.homes(room).filter_map(|(id, _)| self.undelivered.get(&id)).flatten();
            for signal in theirs.filter(|signal| signal.node == *home).cloned().collect::<Vec<_>>() {
                let body = Body::Notice(Notice::Bounced(Request::Signal(signal.clone())));
                let item = RoomItem { room: room.clone(), at, n: signal.n, body };
                self.outputs.push(Output::Send { to: home.clone(), item });
            }
        }
        self.tell(home, room, at, Notice::Detached);
    }

    /// Whether `home` is the home of the member `id` of `room`.
    pub(super) fn is_at(&self, room: &RoomName, id: MemberId, home: &NodeName) -> bool {
        self.rooms.place(id) == Some(room) && self.rooms.home(id).or(self.own_name()) == Some(home)
    }

    /// Admits a newcomer of this node to a room of this node.
    pub(super) fn join_here(&mut self, room: &RoomName, newcomer: Newcomer) {
        let (id, opens) = (newcomer.id, !self.rooms.has_locals(room));
        match self.rooms.join(room.clone(), newcomer) {
            Ok(Entered { peers, standing, told }) => {
                let entered = Entered { peers, standing, told: Vec::new() };
                self.outputs.push(Output::Entered { id, entered, opens });
                self.say(told);
                self.pass_early(room, id);
                self.publish(room, &[id], &[]);
            }
            Err(code) => self.report_refusal(id, code),
        }
    }

    fn join_from(
        &mut self,
        from: &NodeName,
        room: &RoomName,
        at: u64,
        member: MemberRecord,
        passes_lock: bool,
    ) {
        let (id, is_attached) = (member.id, self.is_home(room, from, at));
        if self.is_at(room, id, from) {
            // The home asks again, because it has attached itself again meanwhile.
            self.attach(room, from, at);
            if let Some(known) = self.own_name().and_then(|name| self.rooms.record(id, name)) {
                // It counted as absent while its home was away.
                let told = self.rooms.set_foreign(room, MemberRecord { absent: false, ..known });
                self.say(told);
            }
            self.publish_but(room, &[id], &[], Some(from));
            return self.publish_whole(room, from, false);
        }
        match self.rooms.join(room.clone(), newcomer(member, passes_lock)) {
            Ok(Entered { told, .. }) => {
                self.say(told);
                if is_attached {
                    self.publish(room, &[id], &[]);
                } else {
                    self.attach(room, from, at);
                    self.publish_but(room, &[id], &[], Some(from));
                    self.publish_whole(room, from, false);
                }
            }
            Err(code) => {
                self.tell(from, room, at, Notice::Refused { id, code: Label(code) });
            }
        }
    }

    /// Lets a client of this node resume a membership in a room of this node.
    pub(super) fn resume_here(
        &mut self,
        now: Now,
        room: &RoomName,
        id: MemberId,
        seq: Option<u64>,
        network: ClientNetwork,
    ) {
        let is_local = self.rooms.is_local(id);
        let resumed = if is_local {
            self.rooms.resume(now.mono, id, room, seq, network)
        } else {
            self.move_member(now, room, id, seq, None)
        };
        let Some(resumed) = resumed else {
            let role = self.rooms.role(room, id);
            if self.rooms.place(id) == Some(room) {
                self.depart(id, Ending::Lost);
            }
            return self.report_no_resumption(id, role);
        };
        self.rooms.set_network(id, network);
        self.rooms.set_since(id, now.unix.max(self.rooms.since(id) + 1));
        if !is_local {
            self.report_arrival(room, id);
        }
        self.outputs.push(Output::Resumed { id, resumed });
        self.pass_early(room, id);
        self.publish(room, &[id], &[]);
    }

    /// Lets a client of another node resume a membership.
    fn resume_from(
        &mut self,
        now: Now,
        from: &NodeName,
        room: &RoomName,
        at: u64,
        id: MemberId,
        seq: Option<u64>,
    ) {
        let is_attached = self.is_home(room, from, at);
        match self.move_member(now, room, id, seq, Some(from)) {
            Some(Resumed { seq, missed, .. }) => {
                self.rooms.set_since(id, now.unix.max(self.rooms.since(id) + 1));
                if is_attached {
                    self.publish(room, &[id], &[]);
                } else {
                    self.attach(room, from, at);
                    self.publish_but(room, &[id], &[], Some(from));
                    self.publish_whole(room, from, false);
                }
                let missed = missed.iter().filter_map(without_number).collect();
                if let Some(member) = self.own_name().cloned().and_then(|name| self.rooms.record(id, &name)) {
                    let heard = self.rooms.heard(id);
                    self.tell(from, room, at, Notice::Resumed { member, seq, missed, heard });
                }
            }
            None => {
                let role = self.rooms.role(room, id);
                if self.rooms.place(id) == Some(room) {
                    self.depart(id, Ending::Lost);
                }
                self.tell(from, room, at, Notice::NotResumed { id, role });
            }
        }
    }

    /// Moves a member of `room` to another home, or to this node. Its former connection ends.
    fn move_member(
        &mut self,
        now: Now,
        room: &RoomName,
        id: MemberId,
        seq: Option<u64>,
        home: Option<&NodeName>,
    ) -> Option<Resumed> {
        if self.rooms.place(id) != Some(room) {
            return None;
        }
        if !self.rooms.is_absent(id) {
            self.evict(id, ByeCode::Replaced);
            let said = self.rooms.said(id);
            self.rooms.lose(id, now.mono + self.window.max(super::RETRY), said);
        }
        let moves = home.is_some() && self.rooms.is_local(id);
        if moves {
            // They are among those that it missed.
            self.pass_early(room, id);
        }
        let resumed = self.rooms.move_home(now.mono, id, room, seq, home)?;
        if moves {
            self.report_move(room, id);
        }
        self.undelivered.remove(&id);
        Some(resumed)
    }

    /// Passes a signal of another node on.
    fn signal_from(&mut self, from: &NodeName, room: &RoomName, signal: SharedSignal) {
        let sender = signal.from;
        // One of a member that has moved comes too late. A former owner may have kept it.
        if !self.is_at(room, sender, &signal.node) {
            return;
        }
        let result = self.pass(room, signal);
        if let Err(code) = result {
            if Some(from) == self.own_name() {
                return self.rejected(sender, code);
            }
            self.tell(from, room, 0, Notice::Rejected { id: sender, code: Label(code) });
        }
    }

    /// Passes a signal on to its receiver, which may be of this node.
    pub(super) fn pass(&mut self, room: &RoomName, signal: SharedSignal) -> Result<(), ErrorCode> {
        let (sender, to) = (signal.from, signal.to);
        self.rooms.check_signal(sender, to)?;
        if !self.rooms.is_local(to) {
            return self.deliver(room, signal, true);
        }
        if self.early.has(sender, to) {
            self.early.push(signal);
            return Ok(());
        }
        if self.rooms.note(to, sender, signal.since, signal.n, signal.again) {
            let reads = !self.rooms.is_absent(to);
            let delivery = self.rooms.signal(sender, to, signal.data, reads)?;
            self.outputs.push(Output::Say(delivery));
        }
        Ok(())
    }

    /// Sends a signal to the home of its receiver, which is another node.
    pub(super) fn deliver(
        &mut self,
        room: &RoomName,
        signal: SharedSignal,
        reads: bool,
    ) -> Result<(), ErrorCode> {
        let to = signal.to;
        let Some(home) = self.rooms.home(to).cloned() else { return Ok(()) };
        let at = self.attachment_of(room, &home);
        let undelivered = self.undelivered.get(&to).map_or(0, VecDeque::len);
        if at == 0 && undelivered >= MOST_UNDELIVERED {
            return Err(ErrorCode::RateLimited);
        }
        if at == 0 && signal.again && self.rooms.is_floating(to) {
            // Its home knows whether it came before. If that has died, it comes at most once.
            self.undelivered.entry(to).or_default().push_back(signal);
            return Ok(());
        }
        if !self.rooms.note(to, signal.from, signal.since, signal.n, signal.again) {
            return Ok(());
        }
        let reads = reads && !self.rooms.is_absent(to);
        let _: Delivery = self.rooms.signal(signal.from, to, signal.data.clone(), reads)?;
        if at == 0 {
            // It gets this behind all that was sent to it before.
            self.undelivered.entry(to).or_default().push_back(signal);
        } else {
            let seq = self.rooms.said(to);
            self.tell(&home, room, at, Notice::Deliver { seq, signal });
        }
        Ok(())
    }

    /// Takes the member `id` out of a room of this node.
    pub(super) fn depart(&mut self, id: MemberId, ending: Ending) {
        let Some(room) = self.rooms.place(id).cloned() else { return };
        self.report_departure(id, ending);
        let told = self.rooms.leave(id);
        let mut changed = vec![id];
        changed.extend(new_hosts(&told));
        self.say(told);
        self.publish(&room, &changed, &[]);
        self.let_homes_go(&room);
    }

    /// Gives up a member that has been absent for too long.
    pub(super) fn give_up(&mut self, id: MemberId) {
        let room = self.rooms.place(id).cloned();
        let home = self.rooms.home(id).cloned();
        if let (Some(room), Some(home)) = (room, home)
            && let Some(Shared { part: Part::Owner(homes), gave_up, .. }) = self.shared.get_mut(&room)
            && !homes.attached.contains_key(&home)
        {
            gave_up.insert(id);
        }
        self.depart(id, Ending::Lost);
    }

    /// The stream to or from `peer` was reset. `unsent` did not reach it.
    pub fn reset(&mut self, now: Now, peer: &NodeName, unsent: &[Box<RawValue>]) {
        let rooms: Vec<_> = self.shared.keys().cloned().collect();
        let mut parted = Vec::new();
        for room in rooms {
            match self.shared.get_mut(&room).map(|shared| &mut shared.part) {
                Some(Part::Owner(homes)) => {
                    if let Some(at) = homes.detach(peer) {
                        self.wait_for_home(now, &room, peer);
                        self.tell(peer, &room, at, Notice::Detached);
                    }
                }
                Some(Part::Home(attachment)) if attachment.owner == *peer => {
                    attachment.is_cut = true;
                    self.attach_to(&room, peer.clone());
                }
                Some(Part::Home(_)) => parted.push(room),
                None => {}
            }
        }
        let mut returned = Vec::new();
        for RoomItem { room, n, body, .. } in unsent.iter().filter_map(|json| RoomItem::parse(json)) {
            match body {
                Body::Notice(Notice::Deliver { signal, .. }) => {
                    if !self.is_owner(&room) {
                        let n = signal.n;
                        let request = Request::Signal(SharedSignal { again: true, ..signal });
                        self.ask_again(now, &room, n, request);
                    } else if self.rooms.home(signal.to) == Some(peer) {
                        returned.push(signal);
                    }
                }
                Body::Request(mut request) if request.is_repeated() => {
                    if let Request::Signal(signal) = &mut request {
                        signal.again = true;
                    }
                    self.ask_again(now, &room, n, request);
                }
                _ => {}
            }
        }
        // Held requests are younger than the returned ones, which are held by now as well.
        for room in parted {
            self.parted(&room, peer);
        }
        // They were sent before those that did not leave.
        for signal in returned.into_iter().rev() {
            let undelivered = self.undelivered.entry(signal.to).or_default();
            if undelivered.len() < MOST_UNDELIVERED {
                undelivered.push_front(signal);
            }
        }
    }

    /// Tells all homes of `room` what has changed: members that came, changed or left. Those in
    /// `met` have left and joined.
    pub(super) fn publish(&mut self, room: &RoomName, changed: &[MemberId], met: &[MemberId]) {
        self.publish_but(room, changed, met, None);
    }

    pub(super) fn publish_but(
        &mut self,
        room: &RoomName,
        changed: &[MemberId],
        met: &[MemberId],
        but: Option<&NodeName>,
    ) {
        let Some(Shared { part: Part::Owner(homes), .. }) = self.shared.get(room) else { return };
        let Some(name) = self.own_name() else { return };
        let members = changed.iter().filter_map(|id| self.rooms.record(*id, name));
        let members: Vec<_> = members.collect();
        let is_gone = |id: &MemberId| self.rooms.place(*id) != Some(room) || met.contains(id);
        let gone: Vec<_> = changed.iter().copied().filter(is_gone).collect();
        let locked = self.rooms.is_locked(room);
        let updates = homes.attached.iter().filter(|(home, _)| Some(*home) != but).map(|(home, at)| {
            let (members, gone) = (members.clone(), gone.clone());
            let update = RoomUpdate { whole: false, locked, gone, members, again: false };
            let body = Body::Notice(Notice::Room(update));
            Output::Send { to: home.clone(), item: RoomItem { room: room.clone(), at: *at, n: 0, body } }
        });
        let updates: Vec<_> = updates.collect();
        self.outputs.extend(updates);
    }

    /// Tells one home all of `room`.
    pub(super) fn publish_whole(&mut self, room: &RoomName, home: &NodeName, again: bool) {
        let Some(Shared { part: Part::Owner(homes), .. }) = self.shared.get(room) else { return };
        let (Some(at), Some(name)) = (homes.attached.get(home).copied(), self.own_name()) else { return };
        let (members, locked) = (self.rooms.records(room, name), self.rooms.is_locked(room));
        let update = RoomUpdate { whole: true, locked, gone: vec![], members, again };
        self.tell(home, room, at, Notice::Room(update));
    }

    /// Lets homes go that have no member in `room`.
    fn let_homes_go(&mut self, room: &RoomName) {
        let Some(shared) = self.shared.get_mut(room) else { return };
        if let Part::Owner(homes) = &mut shared.part {
            let here: BTreeSet<_> = self.rooms.homes(room).filter_map(|(_, home)| home.cloned()).collect();
            homes.attached.retain(|home, _| here.contains(home));
            homes.former.retain(|home, _| here.contains(home));
        }
        self.forget_unused(room);
    }

    fn is_home(&self, room: &RoomName, home: &NodeName, at: u64) -> bool {
        match self.shared.get(room).map(|shared| &shared.part) {
            Some(Part::Owner(homes)) => homes.attached.get(home) == Some(&at),
            _ => false,
        }
    }

    /// Number of the attachment of `home`. 0: it has none.
    pub(super) fn attachment_of(&self, room: &RoomName, home: &NodeName) -> u64 {
        match self.shared.get(room).map(|shared| &shared.part) {
            Some(Part::Owner(homes)) => homes.attached.get(home).copied().unwrap_or(0),
            _ => 0,
        }
    }

    pub(super) fn attach(&mut self, room: &RoomName, home: &NodeName, at: u64) {
        let shared = self.shared.entry(room.clone()).or_insert_with(Shared::owned);
        if let Part::Owner(homes) = &mut shared.part {
            homes.attached.insert(home.clone(), at);
            homes.former.remove(home);
        }
    }
}
