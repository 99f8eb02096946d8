//! Hub of the sessions: the rooms, and a way to reach every member.

mod hosts;
mod listing;
mod recording;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use byway_turn::auth::Revocations;
use byway_turn::lock::lock;
use byway_turn::time::{Now, StepDetector};
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::ConnectionLimits;
use super::connection::SignalingConnections;
use super::membership::{Membership, MessageRefusal, Visitor};
use super::protocol::report::RoomFact;
use super::protocol::{
    ByeCode, DisplayName, Ending, ErrorCode, Join, MemberId, Peer, RoomName, Secret, ServerMessage, Text,
};
use super::room::{Delivery, Entered, HostRule, Newcomer, Resumed, Rooms, Standing};
use super::send_queue::SendQueue;
use super::ticket::Tickets;
use super::timeline::{Participant, TimelineLimits, Timelines};
use crate::access::grant::{Grant, Role};
use crate::access::names::Region;
use crate::access::{Access, Policy};
use crate::events::EventSender;
use crate::ice::{IceConfiguration, IceServers};
use crate::live::Live;

pub use listing::{NamedRoom, Present, RoomState};

/// Time between two comparisons of the clocks.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// Ends what a name has on the relay; the composition root knows how.
pub type EndUser = Box<dyn Fn(&str) + Send + Sync>;

/// Counts the allocations that a name has on the relay; the composition root knows how.
pub type CountUser = Box<dyn Fn(&str) -> u32 + Send + Sync>;

/// Parts that a hub is made from.
pub struct HubParts {
    /// Limits, clock and counters.
    pub connections: Arc<SignalingConnections>,
    /// ICE servers for browsers.
    pub ice: Arc<IceServers>,
    /// Members that are here, for the relay to check credentials by.
    pub revocations: Arc<Revocations>,
    /// Gatekeeper of joins.
    pub access: Live<Access>,
    /// Called for the user name of each member that has left.
    pub end_user: EndUser,
    /// Counts the allocations of a member.
    pub count_user: CountUser,
    /// Told of rooms that begin and end, and of members that come and go.
    pub events: EventSender,
    /// Of the tickets.
    pub seed: [u8; 32],
}

/// The rooms, and a way to reach every member.
pub struct Hub {
    pub(super) connections: Arc<SignalingConnections>,
    /// A `std` mutex: what is done under it is a few look-ups and pushes, which take less time than
    /// parking a task would; it is never held across an await, and clippy denies that it could be.
    state: Mutex<HubState>,
    /// A `std` mutex, like that of the state. It is taken under that of the state or alone.
    timelines: Mutex<Timelines>,
    tickets: Tickets,
    /// Woken when there is an absent member where there was none.
    absence: Notify,
    parts: HubParts,
}

struct HubState {
    rooms: Rooms,
    /// The queue of every member of `rooms` that is connected.
    queues: BTreeMap<MemberId, Arc<SendQueue>>,
    /// The membership of every member of `rooms`, with the name in its credentials. It is kept,
    /// because the secret and the policy that the name was made by may change.
    users: BTreeMap<MemberId, Membership>,
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

impl Hub {
    /// A hub without rooms.
    #[must_use]
    pub fn new(parts: HubParts) -> Self {
        let limits = parts.connections.settings().rooms;
        let rooms = Rooms::new(limits, host_rule(parts.access.load().policy));
        let state = Mutex::new(HubState { rooms, queues: BTreeMap::new(), users: BTreeMap::new() });
        let tickets = Tickets::new(&parts.seed);
        let timelines = Mutex::new(Timelines::new(TimelineLimits::default()));
        let (connections, absence) = (parts.connections.clone(), Notify::new());
        Self { connections, state, timelines, tickets, absence, parts }
    }

    /// The limits and the end of all connections.
    #[must_use]
    pub fn connections(&self) -> &Arc<SignalingConnections> {
        &self.connections
    }

    /// Takes in new limits, and the access policy at present.
    pub fn configure(&self, limits: ConnectionLimits) {
        self.connections.set_limits(limits);
        self.lock().rooms.configure(limits.rooms, host_rule(self.parts.access.load().policy));
    }

    /// Sends every connected member a fresh configuration. Absent members get one as they return.
    pub fn renew_all(&self) {
        self.lock().queues.values().for_each(|queue| queue.renew());
    }

    /// Gives up members that have been absent for too long, until all connections end: from then on
    /// they cannot come back, and their calls go on as those of others do.
    pub async fn give_up_the_absent(&self) {
        loop {
            let woken = self.absence.notified();
            let next = self.lock().rooms.next_deadline();
            match next {
                None => woken.await,
                Some(next) => {
                    // The window may have become shorter, so a later loss may be due earlier.
                    tokio::select! {
                        () = sleep(next.saturating_sub(self.connections.clock.now().mono)) => {}
                        () = woken => {}
                    }
                    if self.connections.are_ending() {
                        return;
                    }
                    let now = self.connections.clock.now();
                    while self.give_up_one(now) {}
                }
            }
        }
    }

    /// Gives every member a fresh configuration whenever the wall clock is set, until all
    /// connections end: by another time of day their credentials have expired, or are good for
    /// longer than was meant. Absent members get one as they come back.
    pub async fn follow_the_clock(&self) {
        let clock = self.connections.clock;
        let mut detector = StepDetector::new(clock.now());
        while !self.connections.are_ending() {
            sleep(CLOCK_EVERY).await;
            if let Some(seconds) = detector.step(clock.now()) {
                tracing::warn!(seconds, "the system clock was set: members are sent fresh credentials");
                self.renew_all();
            }
        }
    }

    /// Removes a member from `room`; whether it was there.
    pub fn remove(&self, room: &RoomName, id: MemberId) -> bool {
        let state = self.lock();
        if state.rooms.place(id) != Some(room) {
            return false;
        }
        if let Some(queue) = state.queues.get(&id) {
            queue.evict(ByeCode::Removed);
        }
        self.take_out(self.connections.clock.now(), state, id, Ending::Bye(ByeCode::Removed));
        true
    }

    /// Lifetime of a configuration.
    pub(super) fn ttl(&self) -> Duration {
        self.parts.ice.ttl()
    }

    /// A fresh configuration for the member behind a connection.
    pub(super) fn configuration(
        &self,
        now: Now,
        visitor: &Visitor,
        membership: &Membership,
    ) -> IceConfiguration {
        self.parts.ice.issue(now, visitor.view(membership), &membership.user)
    }

    /// Adds the connection behind `queue` to a room, or resumes its membership. Sends it the
    /// members and the signals that it missed. Resuming is not charged.
    pub(super) fn enter(
        &self,
        now: Now,
        queue: &Arc<SendQueue>,
        visitor: &Visitor,
        join: &Join,
    ) -> Result<Membership, MessageRefusal> {
        let former = match self.former(join) {
            Some(id) => match self.resume(now, queue, visitor, join, id) {
                Ok(membership) => return Ok(membership),
                Err(former) => former,
            },
            None => None,
        };
        let rights = self.admit(now, visitor, join, former)?;
        let id = self.parts.revocations.enter();
        let user = self.user(&join.room, id).into();
        let newcomer = Membership { id, user, region: rights.region.clone() };
        match self.join(now, queue, visitor, &join.room, rights, &newcomer) {
            Ok(()) => Ok(newcomer),
            Err(code) => {
                self.parts.revocations.leave(newcomer.id);
                Err(code.into())
            }
        }
    }

    /// Returns the member whose ticket the client shows.
    fn former(&self, join: &Join) -> Option<MemberId> {
        join.resume.as_ref().and_then(|Secret(ticket)| self.tickets.read(ticket))
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

    /// Adds a newcomer to its room.
    fn join(
        &self,
        now: Now,
        queue: &Arc<SendQueue>,
        visitor: &Visitor,
        room: &RoomName,
        Rights { name, role, max_members, passes_lock, region: _ }: Rights,
        membership: &Membership,
    ) -> Result<(), ErrorCode> {
        let id = membership.id;
        let ice = self.configuration(now, visitor, membership);
        let participant = Participant {
            id,
            name: name.clone(),
            user: membership.user.clone(),
            network: visitor.network(),
            viewer: role == Role::Viewer,
        };
        let newcomer = Newcomer { id, name, network: visitor.network(), role, max_members, passes_lock };
        // Locked to the end, so that nothing can reach the newcomer before its `joined`.
        let mut state = self.lock();
        let opens = !state.rooms.exists(room);
        let Entered { peers, standing, told } = state.rooms.join(room.clone(), newcomer)?;
        self.record_join(now, room, participant, opens);
        queue.begin(0);
        queue.say(self.joined(id, peers, standing, ice));
        state.queues.insert(id, queue.clone());
        state.users.insert(id, membership.clone());
        state.deliver(told);
        self.count(&state);
        Ok(())
    }

    /// Gives the connection behind `queue` the membership `id`, if it can still be resumed.
    /// Otherwise the membership ends.
    ///
    /// # Errors
    /// The role that the client had in the room until now, if it was there.
    fn resume(
        &self,
        now: Now,
        queue: &Arc<SendQueue>,
        visitor: &Visitor,
        join: &Join,
        id: MemberId,
    ) -> Result<Membership, Option<Role>> {
        let mut state = self.lock();
        // A member that has left before cannot resume.
        let Some(membership) = state.users.get(&id).cloned() else { return Err(None) };
        let ice = self.configuration(now, visitor, &membership);
        self.replace(&mut state, now, id);
        let resumed = state.rooms.resume(now.mono, id, &join.room, join.seq, visitor.network());
        let Some(Resumed { peers, standing, seq, missed }) = resumed else {
            let former = state.rooms.role(&join.room, id);
            self.take_out(now, state, id, Ending::Lost);
            return Err(former);
        };
        queue.begin(seq);
        queue.replay(std::iter::once(self.joined(id, peers, standing, ice)).chain(missed));
        state.queues.insert(id, queue.clone());
        self.record(now, id, RoomFact::Resumed {});
        self.connections.counters.resumed.add(1);
        self.count(&state);
        Ok(membership)
    }

    /// Ends the former connection of `id`, if there is one: the client may know of its loss before
    /// the server does.
    fn replace(&self, state: &mut HubState, now: Now, id: MemberId) {
        if let Some(former) = state.queues.remove(&id) {
            former.evict(ByeCode::Replaced);
            state.rooms.lose(id, now.mono + self.window(), former.written());
            self.record(now, id, RoomFact::Lost {});
        }
    }

    fn joined(&self, id: MemberId, peers: Vec<Peer>, standing: Standing, ice: IceConfiguration) -> Text {
        let Standing { role, locked } = standing;
        let (host, viewer) = (role == Role::Host, role == Role::Viewer);
        ServerMessage::Joined { id, peers, host, viewer, locked, resume: self.ticket(id), ice }.text()
    }

    pub(super) fn signal(&self, from: MemberId, to: MemberId, data: Box<RawValue>) -> Result<(), ErrorCode> {
        let mut state = self.lock();
        // Under the lock, so that `seq` counts up in the order in which signals arrive.
        let reads = state.queues.get(&to).is_some_and(|queue| !queue.is_shut());
        let delivery = state.rooms.signal(from, to, data, reads)?;
        state.deliver([delivery]);
        self.count(&state);
        self.connections.counters.signals.add(1);
        Ok(())
    }

    /// The client behind `queue` has every signal up to `seq`.
    pub(super) fn confirm(&self, id: MemberId, queue: &Arc<SendQueue>, seq: u64) {
        let mut state = self.lock();
        if state.is_connected(id, queue) {
            // It cannot have what was not written.
            state.rooms.confirm(id, seq.min(queue.written()));
            self.count(&state);
        }
    }

    /// The member `id` leaves its room, by its own message or with its connection.
    pub(super) fn leave(&self, now: Now, id: MemberId, queue: &Arc<SendQueue>, ending: Ending) {
        let state = self.lock();
        if state.is_connected(id, queue) {
            self.take_out(now, state, id, ending);
        }
    }

    /// The connection of the member `id` has ended.
    pub(super) fn part(&self, now: Now, id: MemberId, queue: &Arc<SendQueue>, ending: Ending) {
        // On shutdown keep memberships and credentials: announcing the departure would make peers
        // hang up.
        if ending == Ending::Bye(ByeCode::ShuttingDown) {
            return;
        }
        if !ending.stays() || self.window().is_zero() {
            return self.leave(now, id, queue, ending);
        }
        let mut state = self.lock();
        if state.is_connected(id, queue) {
            state.queues.remove(&id);
            state.rooms.lose(id, now.mono + self.window(), queue.written());
            self.record(now, id, RoomFact::Lost {});
            self.count(&state);
            self.absence.notify_one();
        }
    }

    /// Takes a member out of its room and its credentials from it: whatever they have begun ends
    /// with them.
    fn take_out(&self, now: Now, mut state: MutexGuard<'_, HubState>, id: MemberId, ending: Ending) {
        let Some(Membership { user, .. }) = state.users.remove(&id) else { return };
        state.queues.remove(&id);
        let room = state.rooms.place(id).cloned();
        let told = state.rooms.leave(id);
        if let Some(room) = room {
            self.record_departure(now, &room, id, &user, ending, !state.rooms.exists(&room));
        }
        state.deliver(told);
        self.count(&state);
        drop(state);
        // In this order: what the relay allocates from here on, it refuses; what it allocated
        // before, it ends.
        self.parts.revocations.leave(id);
        (self.parts.end_user)(&user);
    }

    /// Gives up a member that has been absent for too long; whether there was one.
    fn give_up_one(&self, now: Now) -> bool {
        // Under one lock: in between it might come back.
        let state = self.lock();
        let overdue = state.rooms.overdue(now.mono);
        overdue.map(|id| self.take_out(now, state, id, Ending::Lost)).is_some()
    }

    /// The name in a newcomer's credentials: `room.member`.
    fn user(&self, room: &RoomName, id: MemberId) -> String {
        format!("{}.{id}", self.parts.ice.label(self.parts.access.load().policy, room.as_str()))
    }

    fn ticket(&self, id: MemberId) -> Option<String> {
        (!self.window().is_zero()).then(|| self.tickets.issue(id))
    }

    fn window(&self) -> Duration {
        self.connections.settings().resume_window
    }

    fn count(&self, state: &HubState) {
        let counters = &self.connections.counters;
        counters.rooms.set(state.rooms.rooms() as u64);
        counters.locked.set(state.rooms.locked() as u64);
        counters.members.set(state.rooms.members() as u64);
        counters.viewers.set(state.rooms.viewers() as u64);
        counters.absent.set(state.rooms.absent() as u64);
        counters.kept.set(state.rooms.kept() as u64);
    }

    fn lock(&self) -> MutexGuard<'_, HubState> {
        // A panic under the lock would be a bug in the pure rooms; the other rooms go on.
        lock(&self.state)
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({} rooms)", self.lock().rooms.rooms())
    }
}

/// Hosts of a room under this policy.
fn host_rule(policy: Policy) -> HostRule {
    match policy {
        Policy::Open => HostRule::Longest,
        Policy::Token => HostRule::Named,
    }
}

impl HubState {
    /// Whether `queue` is the connection of `id`, rather than one that was replaced.
    fn is_connected(&self, id: MemberId, queue: &Arc<SendQueue>) -> bool {
        self.queues.get(&id).is_some_and(|current| Arc::ptr_eq(current, queue))
    }

    fn deliver(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        for Delivery { to, text } in deliveries {
            if let Some(queue) = self.queues.get(&to) {
                queue.say(text);
            }
        }
    }
}
