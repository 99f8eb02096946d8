//! Hub of the sessions: the rooms, and a way to reach every member of this node.
//!
//! The rooms decide, and `outputs` obeys them. `entry` lets clients in, `hosts` has the requests of
//! hosts, `recording` the events, and `listing` the state for backends and the operator.

mod entry;
mod hosts;
mod listing;
mod outputs;
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

use self::entry::Waiting;
use super::ConnectionLimits;
use super::connection::SignalingConnections;
use super::membership::{Membership, Visitor};
use super::protocol::report::RoomFact;
use super::protocol::{ByeCode, Ending, ErrorCode, MemberId, RoomName};
use super::room::HostRule;
use super::send_queue::SendQueue;
use super::shared_rooms::SharedRooms;
use super::ticket::Tickets;
use super::timeline::{TimelineLimits, Timelines};
use crate::access::names::NodeName;
use crate::access::{Access, Policy};
use crate::events::EventSender;
use crate::ice::{IceConfiguration, IceServers};
use crate::live::Live;

pub(super) use entry::Entry;
pub use listing::{NamedRoom, Present, RoomState};

/// Time between two comparisons of the clocks.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// Ends what a name has on the relay; the composition root knows how.
pub type EndUser = Box<dyn Fn(&str) + Send + Sync>;

/// Counts the allocations that a name has on the relay; the composition root knows how.
pub type CountUser = Box<dyn Fn(&str) -> u32 + Send + Sync>;

/// Sends an item to another node, behind those that were sent before. Must not wait.
pub type SendToNode = Box<dyn Fn(&NodeName, Box<RawValue>) + Send + Sync>;

/// This node of a cluster.
pub struct HubNode {
    /// Name of the node.
    pub name: NodeName,
    /// Random number of this process.
    pub run: u64,
    /// Sends items about rooms.
    pub send: SendToNode,
}

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
    /// Called for the user name of each member of this node that has left, and of each that was
    /// removed.
    pub end_user: EndUser,
    /// Counts the allocations of a member.
    pub count_user: CountUser,
    /// Told of rooms that begin and end, and of members that come and go.
    pub events: EventSender,
    /// Tickets by which clients resume their memberships.
    pub tickets: Live<Tickets>,
    /// This node, in a cluster.
    pub node: Option<HubNode>,
}

/// The rooms, and a way to reach every member.
pub struct Hub {
    pub(super) connections: Arc<SignalingConnections>,
    /// A `std` mutex: what is done under it is a few look-ups and pushes, which take less time than
    /// parking a task would; it is never held across an await, and clippy denies that it could be.
    state: Mutex<HubState>,
    /// A `std` mutex, like that of the state. It is taken under that of the state or alone.
    timelines: Mutex<Timelines>,
    /// Woken when the rooms may have something to do earlier than they had.
    absence: Notify,
    parts: HubParts,
}

struct HubState {
    rooms: SharedRooms,
    /// The queue of every member of this node that is connected.
    queues: BTreeMap<MemberId, Arc<SendQueue>>,
    /// Clients that wait for the owner of their room.
    waiting: BTreeMap<MemberId, Waiting>,
    /// Rooms with members of this node.
    rooms_here: usize,
}

impl Hub {
    /// A hub without rooms.
    #[must_use]
    pub fn new(parts: HubParts) -> Self {
        let ConnectionLimits { rooms: limits, resume_window, .. } = parts.connections.settings();
        let rule = host_rule(parts.access.load().policy);
        let rooms = match &parts.node {
            Some(HubNode { name, run, .. }) => {
                SharedRooms::of_node(limits, rule, resume_window, name.clone(), *run)
            }
            None => SharedRooms::new(limits, rule, resume_window),
        };
        let (queues, waiting) = (BTreeMap::new(), BTreeMap::new());
        let state = Mutex::new(HubState { rooms, queues, waiting, rooms_here: 0 });
        let timelines = Mutex::new(Timelines::new(TimelineLimits::default()));
        let (connections, absence) = (parts.connections.clone(), Notify::new());
        Self { connections, state, timelines, absence, parts }
    }

    /// The limits and the end of all connections.
    #[must_use]
    pub fn connections(&self) -> &Arc<SignalingConnections> {
        &self.connections
    }

    /// Takes in new limits, and the access policy at present.
    pub fn configure(&self, limits: ConnectionLimits) {
        self.connections.set_limits(limits);
        let rule = host_rule(self.parts.access.load().policy);
        self.lock().rooms.configure(limits.rooms, rule, limits.resume_window);
    }

    /// Sends every connected member a fresh configuration. Absent members get one as they return.
    pub fn renew_all(&self) {
        self.lock().queues.values().for_each(|queue| queue.renew());
    }

    /// Gives up members that have been absent for too long, and asks other nodes again that did not
    /// answer. A single server does so until all connections end: from then on its members cannot
    /// come back, and their calls go on as those of others do.
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
                    if self.connections.are_ending() && self.parts.node.is_none() {
                        return;
                    }
                    let now = self.connections.clock.now();
                    let mut state = self.lock();
                    state.rooms.wake(now);
                    self.settle(now, state);
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

    /// Removes a member from `room`; whether it was there. If another node has the room, that one
    /// is asked, and the member counts as there.
    pub fn remove(&self, room: &RoomName, id: MemberId) -> bool {
        let now = self.connections.clock.now();
        let mut state = self.lock();
        let is_there = state.rooms.remove(room, id) || state.rooms.remove_elsewhere(room, id);
        self.settle(now, state);
        is_there
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

    pub(super) fn signal(
        &self,
        now: Now,
        from: MemberId,
        to: MemberId,
        data: Box<RawValue>,
    ) -> Result<(), ErrorCode> {
        let mut state = self.lock();
        // Under the lock, so that `seq` counts up in the order in which signals arrive. Other nodes
        // watch the connections of their members themselves.
        let reads = match state.queues.get(&to) {
            Some(queue) => !queue.is_shut(),
            None => !state.rooms.rooms().is_local(to),
        };
        let result = state.rooms.signal(from, to, data, reads);
        self.settle(now, state);
        result?;
        self.connections.counters.signals.add(1);
        Ok(())
    }

    /// The client behind `queue` has every signal up to `seq`.
    pub(super) fn confirm(&self, now: Now, id: MemberId, queue: &Arc<SendQueue>, seq: u64) {
        let mut state = self.lock();
        if state.is_connected(id, queue) {
            // It cannot have what was not written.
            state.rooms.confirm(id, seq.min(queue.written()));
            self.settle(now, state);
        }
    }

    /// The member `id` leaves its room, by its own message or with its connection.
    pub(super) fn leave(&self, now: Now, id: MemberId, queue: &Arc<SendQueue>, ending: Ending) {
        let mut state = self.lock();
        if state.is_connected(id, queue) {
            state.rooms.leave(id, ending);
            self.settle(now, state);
        }
    }

    /// The connection of the member `id` has ended.
    pub(super) fn part(&self, now: Now, id: MemberId, queue: &Arc<SendQueue>, ending: Ending) {
        let shuts_down = ending == Ending::Bye(ByeCode::ShuttingDown);
        let may_stay = !self.window().is_zero();
        // On shutdown keep memberships and credentials: announcing the departure would make peers
        // hang up. In a cluster, members may return over another node.
        if shuts_down && !(may_stay && self.parts.node.is_some()) {
            return;
        }
        if !(shuts_down || ending.stays() && may_stay) {
            return self.leave(now, id, queue, ending);
        }
        let mut state = self.lock();
        if state.is_connected(id, queue) {
            state.queues.remove(&id);
            state.rooms.lose(now, id, queue.written());
            self.record(now, id, RoomFact::Lost {});
            self.settle(now, state);
            self.absence.notify_one();
        }
    }

    fn window(&self) -> Duration {
        self.connections.settings().resume_window
    }

    fn count(&self, state: &HubState) {
        let counters = &self.connections.counters;
        let rooms = state.rooms.rooms();
        counters.rooms.set(state.rooms_here as u64);
        counters.locked.set(rooms.locked() as u64);
        counters.members.set(rooms.locals() as u64);
        counters.viewers.set(rooms.viewers() as u64);
        counters.absent.set(rooms.absent() as u64);
        counters.kept.set(rooms.kept() as u64);
        counters.strangers.set(state.rooms.strangers());
    }

    fn lock(&self) -> MutexGuard<'_, HubState> {
        // A panic under the lock would be a bug in the pure rooms; the other rooms go on.
        lock(&self.state)
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({} rooms)", self.lock().rooms_here)
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
}

#[cfg(test)]
mod tests;
