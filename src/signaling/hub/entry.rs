//! Entrance to rooms, for newcomers and for clients that resume a membership.
//!
//! The node that owns the room decides. If that is this one, the answer comes within the call.
//! Otherwise the client waits, and its session looks for the answer before anything else.

use std::sync::{Arc, Mutex, MutexGuard};

use byway_turn::lock::lock;
use byway_turn::time::Now;

use super::{Hub, HubState};
use crate::access::grant::{Grant, Role};
use crate::access::names::Region;
use crate::ice::IceConfiguration;
use crate::signaling::membership::{Membership, MessageRefusal, Visitor};
use crate::signaling::protocol::report::RoomFact;
use crate::signaling::protocol::{
    ByeCode, DisplayName, Ending, Join, MemberId, Peer, RoomName, Secret, ServerMessage, Text,
};
use crate::signaling::room::{Entered, Listed, Newcomer, Resumed, Standing};
use crate::signaling::send_queue::SendQueue;
use crate::signaling::timeline::Participant;

/// Request of one connection to enter a room, and its answer.
pub(in crate::signaling) struct Entry {
    queue: Arc<SendQueue>,
    visitor: Visitor,
    join: Join,
    /// A `std` mutex. It is taken under that of the state or alone, and held for a look.
    answer: Mutex<Answer>,
}

/// Answer to a request.
enum Answer {
    /// None yet. The client waits under this id, if it has one.
    Awaited(Option<MemberId>),
    /// The client is in the room.
    Entered(Membership),
    /// It is not, and was told. Or it does not wait any more.
    Over,
}

/// Client that waits for the owner of its room.
pub(super) struct Waiting {
    entry: Arc<Entry>,
    /// Whether it is a newcomer; whose membership is resumed otherwise.
    is_newcomer: bool,
}

/// Rights of a newcomer in its room.
struct Rights {
    name: Option<DisplayName>,
    role: Role,
    /// Members of the room, the newcomer included.
    max_members: Option<usize>,
    passes_lock: bool,
    /// Region of its relay.
    region: Option<Region>,
}

impl Entry {
    /// Takes the answer, if there is one: the membership, or `None` if the client is in no room.
    pub(in crate::signaling) fn answer(&self) -> Option<Option<Membership>> {
        match &*self.lock() {
            Answer::Awaited(_) => None,
            Answer::Entered(membership) => Some(Some(membership.clone())),
            Answer::Over => Some(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answer> {
        // It is replaced as a whole.
        lock(&self.answer)
    }
}

impl Hub {
    /// Adds the connection behind `queue` to a room, or resumes its membership. Sends it the
    /// members and the signals that it missed, or an error. Resuming is not charged.
    pub(in crate::signaling) fn enter(
        &self,
        now: Now,
        queue: &Arc<SendQueue>,
        visitor: &Visitor,
        join: Join,
    ) -> Arc<Entry> {
        let former = self.former(&join);
        let (queue, visitor) = (queue.clone(), visitor.clone());
        let entry = Arc::new(Entry { queue, visitor, join, answer: Mutex::new(Answer::Awaited(None)) });
        match former {
            Some(id) => self.resume(now, &entry, id),
            None => self.join(now, &entry, None),
        }
        entry
    }

    /// The client does not wait for the answer any more. Returns its membership if it came in
    /// between.
    pub(in crate::signaling) fn cancel(&self, now: Now, entry: &Entry) -> Option<Membership> {
        let mut state = self.lock();
        let id = match std::mem::replace(&mut *entry.lock(), Answer::Over) {
            Answer::Entered(membership) => return Some(membership),
            Answer::Awaited(id) => id?,
            Answer::Over => return None,
        };
        let waiting = state.waiting.remove(&id)?;
        state.rooms.cancel(id);
        self.settle(now, state);
        if waiting.is_newcomer {
            self.parts.revocations.leave(id);
        }
        None
    }

    /// Returns the member whose ticket the client shows.
    fn former(&self, join: &Join) -> Option<MemberId> {
        join.resume.as_ref().and_then(|Secret(ticket)| self.parts.tickets.load().read(ticket))
    }

    /// Has a newcomer admitted. `former` is its role in a membership that has just ended.
    pub(super) fn join(&self, now: Now, entry: &Arc<Entry>, former: Option<Role>) {
        let rights = match self.admit(now, &entry.visitor, &entry.join, former) {
            Ok(rights) => rights,
            Err(refusal) => {
                self.refuse(entry, refusal);
                return;
            }
        };
        let id = self.parts.revocations.enter();
        let newcomer = Newcomer {
            id,
            name: rights.name,
            network: entry.visitor.network(),
            role: rights.role,
            max_members: rights.max_members,
            passes_lock: rights.passes_lock,
            user: self.user(&entry.join.room, id).into(),
            region: rights.region,
            home: None,
            came: self.connections.clock.unix_ms().saturating_mul(1_000),
        };
        let mut state = self.lock();
        if !self.awaits(&mut state, entry, id, Waiting { entry: entry.clone(), is_newcomer: true }) {
            drop(state);
            self.parts.revocations.leave(id);
            return;
        }
        state.rooms.join(&entry.join.room, newcomer);
        self.settle(now, state);
        self.absence.notify_one();
    }

    /// Asks the gatekeeper for the rights of a newcomer. A lock does not keep out a client that was
    /// in the room in a `former` role until now, but it cannot be more than that.
    fn admit(
        &self,
        now: Now,
        visitor: &Visitor,
        join: &Join,
        former: Option<Role>,
    ) -> Result<Rights, MessageRefusal> {
        let token = join.token.as_ref().map(|Secret(token)| token.as_str());
        let grant = self.parts.access.load().join(now, visitor.address, &join.room, token)?;
        let (granted, max_members, granted_role, region) = match grant {
            Some(Grant { room: _, name, max_members, role, region }) => (name, max_members, role, region),
            None => (None, None, Role::Member, None),
        };
        let role = if join.viewer { Role::Viewer } else { granted_role };
        let returns = former.is_some_and(|former| former != Role::Viewer || role == Role::Viewer);
        Ok(Rights {
            name: granted.or_else(|| join.name.clone()),
            role,
            max_members,
            passes_lock: granted_role == Role::Host || returns,
            region,
        })
    }

    /// Has the membership `id` go on over the connection of `entry`, if it can still be resumed.
    /// Otherwise it ends, and its client is a newcomer.
    fn resume(&self, now: Now, entry: &Arc<Entry>, id: MemberId) {
        let (room, seq) = (&entry.join.room, entry.join.seq);
        let mut state = self.lock();
        let place = state.rooms.rooms().place(id).cloned();
        let was_here = state.rooms.rooms().is_local(id);
        if was_here {
            self.replace(&mut state, now, id);
        }
        if let Some(place) = &place
            && place != room
        {
            // It leaves one room for another.
            if was_here {
                state.rooms.leave(id, Ending::Lost);
            }
            self.settle(now, state);
            return self.join(now, entry, None);
        }
        if let Some(Waiting { entry: former, .. }) = state.waiting.remove(&id) {
            // The client knew of the loss of that connection before the server did.
            *former.lock() = Answer::Over;
            former.queue.evict(ByeCode::Replaced);
            state.rooms.cancel(id);
        }
        self.awaits(&mut state, entry, id, Waiting { entry: entry.clone(), is_newcomer: false });
        state.rooms.resume(now, room, id, seq, entry.visitor.network());
        self.settle(now, state);
        self.absence.notify_one();
    }

    /// Ends the former connection of `id`, if there is one: the client may know of its loss before
    /// the server does.
    fn replace(&self, state: &mut HubState, now: Now, id: MemberId) {
        if let Some(former) = state.queues.remove(&id) {
            former.evict(ByeCode::Replaced);
            state.rooms.lose(now, id, former.written());
            self.record(now, id, RoomFact::Lost {});
        }
    }

    /// Lets a client wait under `id`. Returns whether it does; it may have gone meanwhile.
    fn awaits(&self, state: &mut HubState, entry: &Entry, id: MemberId, waiting: Waiting) -> bool {
        let mut answer = entry.lock();
        let is_awaited = matches!(*answer, Answer::Awaited(_));
        if is_awaited {
            *answer = Answer::Awaited(Some(id));
            state.waiting.insert(id, waiting);
        }
        is_awaited
    }

    /// Takes in that a newcomer is in its room.
    pub(super) fn entered(
        &self,
        now: Now,
        state: &mut HubState,
        id: MemberId,
        entered: Entered,
        opens: bool,
    ) {
        let Some(Waiting { entry, .. }) = state.waiting.remove(&id) else { return };
        let Some((membership, participant)) = state.known(id) else { return };
        let ice = self.configuration(now, &entry.visitor, &membership);
        self.record_join(now, &entry.join.room, participant, opens);
        let Entered { peers, standing, told } = entered;
        // Before the client can read of it.
        *entry.lock() = Answer::Entered(membership);
        entry.queue.begin(0);
        entry.queue.say(self.joined(id, peers, standing, ice));
        entry.queue.answered();
        state.queues.insert(id, entry.queue.clone());
        state.rooms_here += usize::from(opens);
        state.deliver(told);
    }

    /// Takes in that a membership goes on over another connection.
    pub(super) fn resumed(&self, now: Now, state: &mut HubState, id: MemberId, resumed: Resumed) {
        let Some(Waiting { entry, .. }) = state.waiting.remove(&id) else { return };
        let Some((membership, _)) = state.known(id) else { return };
        let ice = self.configuration(now, &entry.visitor, &membership);
        let Resumed { peers, standing, seq, missed } = resumed;
        *entry.lock() = Answer::Entered(membership);
        entry.queue.begin(seq);
        entry.queue.replay(std::iter::once(self.joined(id, peers, standing, ice)).chain(missed));
        entry.queue.answered();
        state.queues.insert(id, entry.queue.clone());
        self.record(now, id, RoomFact::Resumed {});
        self.connections.counters.resumed.add(1);
    }

    /// Takes in that a newcomer was refused.
    pub(super) fn refused(&self, state: &mut HubState, id: MemberId, refusal: MessageRefusal) {
        let Some(Waiting { entry, .. }) = state.waiting.remove(&id) else { return };
        self.parts.revocations.leave(id);
        self.refuse(&entry, refusal);
    }

    /// Tells a client, unless it has gone, that it is not in a room.
    fn refuse(&self, entry: &Entry, refusal: MessageRefusal) {
        if matches!(std::mem::replace(&mut *entry.lock(), Answer::Over), Answer::Over) {
            return;
        }
        self.connections.counters.refused(refusal.code);
        entry.queue.say(refusal.text());
        entry.queue.answered();
    }

    fn joined(&self, id: MemberId, peers: Vec<Peer>, standing: Standing, ice: IceConfiguration) -> Text {
        let Standing { role, locked } = standing;
        let (host, viewer) = (role == Role::Host, role == Role::Viewer);
        ServerMessage::Joined { id, peers, host, viewer, locked, resume: self.ticket(id), ice }.text()
    }

    /// The name in a newcomer's credentials: `room.member`.
    fn user(&self, room: &RoomName, id: MemberId) -> String {
        format!("{}.{id}", self.parts.ice.label(self.parts.access.load().policy, room.as_str()))
    }

    fn ticket(&self, id: MemberId) -> Option<String> {
        (!self.window().is_zero()).then(|| self.parts.tickets.load().issue(id))
    }
}

impl HubState {
    /// The client that waits as `id`, which is no longer a member.
    pub(super) fn take_waiting(&mut self, id: MemberId) -> Option<Arc<Entry>> {
        let Waiting { entry, .. } = self.waiting.remove(&id)?;
        *entry.lock() = Answer::Awaited(None);
        Some(entry)
    }

    /// The membership of `id`, and what its timeline has of it.
    pub(super) fn known(&self, id: MemberId) -> Option<(Membership, Participant)> {
        let rooms = self.rooms.rooms();
        let (user, region) = rooms.credentials(id)?;
        let membership = Membership { id, user: user.clone(), region: region.cloned() };
        let Listed { name, role, network, .. } =
            rooms.members_of(rooms.place(id)?).find(|listed| listed.id == id)?;
        let participant = Participant {
            id,
            name: name.cloned(),
            user: user.clone(),
            network,
            viewer: role == Role::Viewer,
        };
        Some((membership, participant))
    }
}
