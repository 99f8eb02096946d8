//! Rooms that may span the nodes of a cluster. Pure: the caller hands in the time and the items of
//! other nodes, and everything leaves as [`Output`] values.
//!
//! Each room has one **owner**, the node that decides: who is admitted, who is the host, whether
//! the room is locked, and which absent member is given up. The **home** of a member is the node
//! with its connection. It counts the signals to its members and keeps them.
//!
//! ```text
//!   client ── home A ── join, signal, ... ──► owner ── room, deliver ──► home B ── client
//!                  ◄── room, deliver ──────
//! ```
//!
//! A home has a **replica** of each room in which it has members, **attached** to the owner. The
//! replica has all members, so the home tells its own clients by itself what changes.
//!
//! Each node chooses the owner by itself, with a rendezvous hash over the nodes that it sees. When
//! its choice changes, a home attaches itself to the new owner, and hands in what it knows
//! ([`item::Adoption`]): its members with their state, and the members of other homes. The new
//! owner takes in the latter as absent, until their own homes attach themselves. So an owner that
//! dies, a bus that is away, and two parts of a cluster that meet again are one case.
//!
//! - A home that does not see the owner is the owner by its own choice. Members of other homes are
//!   absent then. While this node is *alone*, which means that the bus is away, none is given up.
//! - A member that has left is not brought back by a home that has not heard of it.
//! - The order of arrival is set once, so of two members the same one stays polite. A newcomer that
//!   two owners admitted has the place that its home was told. Where another one of two members is
//!   polite by that, both are told that the other has left and joined.
//! - A home that turns to another owner waits until the former one has answered what it was asked,
//!   unless that has died. So signals stay in order.
//! - An owner that turns to another one hands over the signals of members whose home is away.
//! - Signals have numbers of the sender's home, and the receiver's home passes none on twice. One
//!   that comes after a later one of the same sender is dropped.
//! - If one part gave up a member that the other part has, all members of the two meet for the
//!   first time again: each is told that the other has left and joined.
//!
//! A single server owns every room, and nothing of this costs it anything.

mod adoption;
mod early;
mod home;
pub mod item;
mod output;
mod owner;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;
use byway_turn::time::Now;
use serde_json::value::RawValue;

use self::adoption::Departed;
use self::early::Early;
use self::home::Attachment;
use self::item::{Adopted, Body, Notice, Request, RoomItem, SharedSignal};
use super::protocol::{ByeCode, Ending, ErrorCode, MemberId, RoomName, Topic};
use super::room::{Delivery, HostRule, Newcomer, RoomLimits, Rooms, UNTIL_TOLD};
use crate::access::grant::Role;
use crate::access::names::NodeName;

pub use self::output::Output;
pub use self::view::{RoomView, owner_among};

/// Time after which a home asks an owner again that has not taken it in.
const RETRY: Duration = Duration::from_millis(200);

/// Shortest time that members of a home wait for it to attach itself to a new owner.
const LEAST_WAIT: Duration = Duration::from_secs(10);

/// Signals for one member that did not reach its home.
const MOST_UNDELIVERED: usize = 1_024;

/// All rooms with members of this node, and all that this node owns.
#[derive(Debug)]
pub struct SharedRooms {
    rooms: Rooms,
    /// This node, in a cluster.
    node: Option<OwnNode>,
    view: RoomView,
    /// Rooms that span nodes, or that another node owns.
    shared: BTreeMap<RoomName, Shared>,
    /// Clients of this node that wait for an owner.
    waiting: BTreeMap<MemberId, Waiting>,
    /// Signals that did not reach the home of their receiver, until that is back.
    undelivered: BTreeMap<MemberId, VecDeque<SharedSignal>>,
    /// Signals for clients of this node that have to wait.
    early: Early,
    /// Time before which no owner is to be asked again. `None`: none is. It spares a look at all
    /// rooms after each item.
    retry_at: Option<Duration>,
    /// Members that have left, so that no home that does not know it brings them back.
    departed: Departed,
    /// Time that an absent member stays.
    window: Duration,
    outputs: Vec<Output>,
}

#[derive(Debug)]
struct OwnNode {
    name: NodeName,
    /// Number of the last request.
    sent: u64,
    /// Number of the last attachment. Its upper half tells one process of a node from another.
    attached: u64,
}

/// Room that spans nodes, or that another node owns.
#[derive(Debug)]
struct Shared {
    part: Part,
    /// Members of nodes that this node, as the owner, did not see, and has given up.
    gave_up: BTreeSet<MemberId>,
}

impl Shared {
    /// A room of this node, with no members of others yet.
    fn owned() -> Self {
        let part = Part::Owner(Homes::default());
        Self { part, gave_up: BTreeSet::new() }
    }
}

#[derive(Debug)]
enum Part {
    /// This node owns the room.
    Owner(Homes),
    /// Another node does.
    Home(Attachment),
}

/// Homes of a room that this node owns.
#[derive(Debug, Default)]
struct Homes {
    /// Homes by the number of their attachment.
    attached: BTreeMap<NodeName, u64>,
    /// Numbers of the last attachments of homes that are away.
    former: BTreeMap<NodeName, u64>,
    /// Parts of adoptions, by home and number.
    adopting: BTreeMap<NodeName, (u64, Vec<Adopted>)>,
}

impl Homes {
    /// Takes a home out; the number of its attachment.
    fn detach(&mut self, home: &NodeName) -> Option<u64> {
        self.adopting.remove(home);
        let number = self.attached.remove(home)?;
        self.former.insert(home.clone(), number);
        Some(number)
    }
}

/// Client that waits for the owner of its room.
#[derive(Debug)]
enum Waiting {
    Join(Newcomer, RoomName),
    Resume { room: RoomName, seq: Option<u64>, network: ClientNetwork },
}

impl SharedRooms {
    /// No rooms, on a single server.
    #[must_use]
    pub fn new(limits: RoomLimits, rule: HostRule, window: Duration) -> Self {
        Self {
            rooms: Rooms::new(limits, rule),
            node: None,
            view: RoomView::default(),
            shared: BTreeMap::new(),
            waiting: BTreeMap::new(),
            undelivered: BTreeMap::new(),
            early: Early::default(),
            retry_at: None,
            departed: Departed::default(),
            window,
            outputs: Vec::new(),
        }
    }

    /// No rooms, on the node `name` of a cluster. `run` is random and differs at each start.
    #[must_use]
    pub fn of_node(limits: RoomLimits, rule: HostRule, window: Duration, name: NodeName, run: u64) -> Self {
        let node = OwnNode { name, sent: 0, attached: run << 32 };
        Self { node: Some(node), ..Self::new(limits, rule, window) }
    }

    /// Replaces the limits, the rule and the time that an absent member stays.
    pub fn configure(&mut self, limits: RoomLimits, rule: HostRule, window: Duration) {
        self.rooms.configure(limits, rule);
        self.window = window;
    }

    /// The rooms, with members of other nodes among them.
    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Clients of this node that wait for an owner.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Owner of `room`, if it is another node.
    #[must_use]
    pub fn owner(&self, room: &RoomName) -> Option<&NodeName> {
        match &self.shared.get(room)?.part {
            Part::Home(attachment) => Some(&attachment.owner),
            Part::Owner(_) => None,
        }
    }

    /// Takes what is to be done by now, in order. To be called after each other call.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Asks for a newcomer of this node to be let into `room`. [`Output::Entered`] or
    /// [`Output::Refused`] answers, at once where this node owns the room.
    pub fn join(&mut self, room: &RoomName, newcomer: Newcomer) {
        if self.rooms.place(newcomer.id).is_some() || self.waiting.contains_key(&newcomer.id) {
            let (id, code) = (newcomer.id, ErrorCode::AlreadyJoined);
            return self.report_refusal(id, code);
        }
        if self.is_owner(room) {
            return self.join_here(room, newcomer);
        }
        if !self.rooms.exists(room) && !self.rooms.may_open(newcomer.network) {
            let (id, code) = (newcomer.id, ErrorCode::TooManyRooms);
            return self.report_refusal(id, code);
        }
        self.wait(room, newcomer.id, Waiting::Join(newcomer, room.clone()));
    }

    /// Asks for a membership to go on over a connection of this node. Its client has the signals up
    /// to `seq`, or without a `seq` all that were written. [`Output::Resumed`] or
    /// [`Output::NotResumed`] answers.
    pub fn resume(
        &mut self,
        now: Now,
        room: &RoomName,
        id: MemberId,
        seq: Option<u64>,
        network: ClientNetwork,
    ) {
        if self.waiting.contains_key(&id) {
            return self.report_no_resumption(id, None);
        }
        if self.is_owner(room) {
            return self.resume_here(now, room, id, seq, network);
        }
        self.wait(room, id, Waiting::Resume { room: room.clone(), seq, network });
    }

    /// The client that waits as `id` has gone.
    pub fn cancel(&mut self, id: MemberId) {
        let Some(waiting) = self.waiting.remove(&id) else { return };
        let room = waiting.room().clone();
        self.early.forget(id);
        // Behind the request itself, so that the owner has obeyed that.
        let request = match waiting {
            Waiting::Join(..) => Request::Left { id },
            Waiting::Resume { seq, .. } => Request::Lost { id, written: seq.unwrap_or(0) },
        };
        self.tell_owner(&room, request);
        self.forget_unused(&room);
    }

    /// Sends data from a member of this node to another member of its room. `reads` tells whether
    /// the receiver's connection, if it is of this node, takes more.
    ///
    /// # Errors
    /// As [`Rooms::signal`]; where another node owns the room, some of them come later.
    pub fn signal(
        &mut self,
        from: MemberId,
        to: MemberId,
        data: Box<RawValue>,
        reads: bool,
    ) -> Result<(), ErrorCode> {
        self.rooms.check_signal(from, to)?;
        let room = self.rooms.place(from).cloned().ok_or(ErrorCode::NotJoined)?;
        let is_owner = self.is_owner(&room);
        if is_owner && self.rooms.is_local(to) {
            if let Some(node) = &mut self.node {
                // One that was asked of a former owner before, and comes back, is too late by now.
                node.sent += 1;
                let (since, n) = (self.rooms.since(from), node.sent);
                self.rooms.note(to, from, since, n, false);
            }
            let delivery = self.rooms.signal(from, to, data, reads)?;
            self.outputs.push(Output::Say(delivery));
            return Ok(());
        }
        let Some(node) = &mut self.node else { return Err(ErrorCode::NoSuchPeer) };
        node.sent += 1;
        let signal = SharedSignal {
            from,
            to,
            node: node.name.clone(),
            since: self.rooms.since(from),
            n: node.sent,
            again: false,
            data,
        };
        if is_owner {
            return self.deliver(&room, signal, reads);
        }
        self.request(&room, signal.n, Request::Signal(signal));
        Ok(())
    }

    /// The client of the member `id` has every signal up to `seq`.
    pub fn confirm(&mut self, id: MemberId, seq: u64) {
        self.rooms.confirm(id, seq);
        if let Some(room) = self.rooms.place(id).filter(|_| self.node.is_some()).cloned() {
            self.tell_owner(&room, Request::Confirm { id, seq });
        }
    }

    /// The member `id` of this node has lost its connection after the signal `written`.
    pub fn lose(&mut self, now: Now, id: MemberId, written: u64) {
        let Some(room) = self.rooms.place(id).filter(|_| self.rooms.is_local(id)).cloned() else { return };
        let until = if self.is_owner(&room) { now.mono + self.window } else { UNTIL_TOLD };
        self.rooms.lose(id, until, written);
        if self.is_owner(&room) {
            self.publish(&room, &[id], &[]);
        } else {
            self.tell_owner(&room, Request::Lost { id, written });
        }
    }

    /// The member `id` leaves its room.
    pub fn leave(&mut self, id: MemberId, ending: Ending) {
        let Some(room) = self.rooms.place(id).cloned() else { return };
        if self.is_owner(&room) {
            return self.depart(id, ending);
        }
        if self.rooms.is_local(id) {
            self.depart_from_replica(id, ending);
            self.tell_owner(&room, Request::Left { id });
            self.forget_unused(&room);
        }
    }

    /// Removes the member `id` from its room, for the operator; whether it is there, as far as this
    /// node knows.
    pub fn remove(&mut self, room: &RoomName, id: MemberId) -> bool {
        if self.rooms.place(id) != Some(room) {
            return false;
        }
        self.remove_by(None, room, id);
        true
    }

    /// Removes the member `id` for a host of its room.
    ///
    /// # Errors
    /// As [`Rooms::check_removal`].
    pub fn remove_by_host(&mut self, host: MemberId, id: MemberId) -> Result<(), ErrorCode> {
        self.rooms.check_removal(host, id)?;
        let room = self.rooms.place(id).cloned().ok_or(ErrorCode::NoSuchPeer)?;
        self.remove_by(Some(host), &room, id);
        Ok(())
    }

    /// Has the owner of a room of which nothing is known here remove the member `id`, for the
    /// operator. Whether there is such an owner; whether it has the member is not known.
    pub fn remove_elsewhere(&mut self, room: &RoomName, id: MemberId) -> bool {
        if self.rooms.exists(room) || self.shared.contains_key(room) {
            return false;
        }
        let Some(owner) = self.owner_of(room) else { return false };
        self.ask(&owner, room, 0, Request::Remove { by: None, id });
        true
    }

    fn remove_by(&mut self, by: Option<MemberId>, room: &RoomName, id: MemberId) {
        if self.is_owner(room) {
            self.evict(id, ByeCode::Removed);
            self.depart(id, Ending::Bye(ByeCode::Removed));
        } else {
            self.tell_owner(room, Request::Remove { by, id });
        }
    }

    /// Locks or unlocks the room of `host`.
    ///
    /// # Errors
    /// As [`Rooms::lock`].
    pub fn lock(&mut self, host: MemberId, locked: bool) -> Result<(), ErrorCode> {
        let room = self.rooms.inviter(host)?.0.clone();
        if self.is_owner(&room) {
            let told = self.rooms.lock(host, locked)?;
            self.say(told);
            self.publish(&room, &[], &[]);
        } else {
            self.tell_owner(&room, Request::Lock { by: host, locked });
        }
        Ok(())
    }

    /// Time at which to call [`Self::wake`], monotonic, if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let absence = self.rooms.next_deadline().filter(|until| *until != UNTIL_TOLD);
        absence.into_iter().chain(self.retry_at).min()
    }

    /// Gives up members that have been absent for too long, and asks owners again.
    pub fn wake(&mut self, now: Now) {
        while let Some(id) = self.rooms.overdue(now.mono) {
            self.give_up(id);
        }
        self.retry(now);
    }

    /// Whether this node decides about `room`.
    fn is_owner(&self, room: &RoomName) -> bool {
        match self.shared.get(room) {
            Some(Shared { part: Part::Owner(_), .. }) => true,
            Some(Shared { part: Part::Home(_), .. }) => false,
            None => self.rooms.exists(room) || self.owner_of(room).is_none(),
        }
    }

    fn say(&mut self, told: Vec<Delivery>) {
        // Members of other homes are told by those.
        self.outputs.extend(told.into_iter().map(Output::Say));
    }

    /// Sends a notice to a home.
    fn tell(&mut self, to: &NodeName, room: &RoomName, at: u64, notice: Notice) {
        let item = RoomItem { room: room.clone(), at, n: 0, body: Body::Notice(notice) };
        self.outputs.push(Output::Send { to: to.clone(), item });
    }

    fn own_name(&self) -> Option<&NodeName> {
        self.node.as_ref().map(|node| &node.name)
    }

    /// Reports that `id`, which was of another node, is of this one by now.
    fn report_arrival(&mut self, room: &RoomName, id: MemberId) {
        let opens = self.rooms.homes(room).filter(|(_, home)| home.is_none()).count() == 1;
        self.outputs.push(Output::Came { room: room.clone(), id, opens });
    }

    /// Reports that a newcomer of this node was refused.
    fn report_refusal(&mut self, id: MemberId, code: ErrorCode) {
        self.early.forget(id);
        self.outputs.push(Output::Refused { id, code });
    }

    /// Reports that a client of this node cannot resume. `role` is as in [`Output::NotResumed`].
    fn report_no_resumption(&mut self, id: MemberId, role: Option<Role>) {
        self.early.forget(id);
        self.outputs.push(Output::NotResumed { id, role });
    }

    /// Reports that `id`, which was of this node, is of another by now.
    fn report_move(&mut self, room: &RoomName, id: MemberId) {
        let closes = !self.rooms.has_locals(room);
        self.early.forget(id);
        self.outputs.push(Output::Moved { room: room.clone(), id, closes });
    }

    /// Reports the departure of `id`, which is still in its room.
    fn report_departure(&mut self, id: MemberId, ending: Ending) {
        let Some(room) = self.rooms.place(id).cloned() else { return };
        let Some((user, _)) = self.rooms.credentials(id) else { return };
        let (user, is_local) = (user.clone(), self.rooms.is_local(id));
        let locals = self.rooms.homes(&room).filter(|(_, home)| home.is_none()).count();
        self.outputs.push(Output::Left { room, id, user, ending, is_local, closes: is_local && locals == 1 });
        if self.node.is_some() {
            self.departed.insert(id);
        }
        self.undelivered.remove(&id);
        self.early.forget(id);
    }

    /// Forgets what is shared of a room that no member of this node is in or waits for.
    fn forget_unused(&mut self, room: &RoomName) {
        let Some(shared) = self.shared.get(room) else { return };
        let is_used = match &shared.part {
            Part::Owner(homes) => {
                // Members of a node that is away keep the room.
                !homes.attached.is_empty() || (self.rooms.exists(room) && !self.only_has_locals(room))
            }
            Part::Home(attachment) => {
                self.rooms.has_locals(room)
                    || !attachment.held.is_empty()
                    || self.has_state(room)
                    || self.waiting.values().any(|waiting| waiting.room() == room)
            }
        };
        if !is_used {
            if matches!(shared.part, Part::Home(_)) {
                self.rooms.drop_room(room);
            }
            self.shared.remove(room);
        }
    }

    /// Whether this node has signals to members of other homes that the owner may not have.
    fn has_state(&self, room: &RoomName) -> bool {
        let mut foreign = self.rooms.homes(room).filter(|(_, home)| home.is_some());
        foreign.any(|(id, _)| self.rooms.has_kept(id) || self.undelivered.contains_key(&id))
    }

    fn only_has_locals(&self, room: &RoomName) -> bool {
        self.rooms.homes(room).all(|(_, home)| home.is_none())
    }
}

impl Waiting {
    fn room(&self) -> &RoomName {
        match self {
            Self::Join(_, room) | Self::Resume { room, .. } => room,
        }
    }
}

/// Members that the notices make hosts.
fn new_hosts(told: &[Delivery]) -> impl Iterator<Item = MemberId> {
    told.iter().filter_map(|delivery| match delivery.text.topic {
        Topic::Host(id) => Some(id),
        _ => None,
    })
}

/// Requests that wait for an attachment, with their numbers.
type Held = VecDeque<(u64, Request)>;

#[cfg(test)]
mod tests;
