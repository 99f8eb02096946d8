//! What the sessions share: the rooms, and a way to reach every member.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use byway_turn::auth::Revocations;
use byway_turn::time::{Now, StepDetector};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::connection::Connections;
use super::outbox::Outbox;
use super::protocol::{
    ByeCode, DisplayName, Ending, ErrorCode, Join, MemberId, RoomName, Secret, ServerMessage,
};
use super::room::{Delivery, Resumed, Rooms};
use super::session::Visitor;
use super::ticket::Tickets;
use crate::access::tokens::TokenError;
use crate::access::{Access, Refused};
use crate::ice::{Host, IceConfiguration, IceServers};

/// Time between two comparisons of the clocks.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// Ends what a name has on the relay; the composition root knows how.
pub type EndUser = Box<dyn Fn(&str) + Send + Sync>;

/// Counts the allocations that a name has on the relay; the composition root knows how.
pub type CountUser = Box<dyn Fn(&str) -> u32 + Send + Sync>;

/// What the rooms need of the house.
pub struct Parts {
    /// Limits, clock and counters.
    pub connections: Arc<Connections>,
    /// What browsers are told.
    pub ice: Arc<IceServers>,
    /// Who is here, for the relay to see.
    pub revocations: Arc<Revocations>,
    /// Gatekeeper of joins.
    pub access: Arc<Access>,
    /// Called for the user name of each member that has left.
    pub end_user: EndUser,
    /// What a member has on the relay.
    pub count_user: CountUser,
    /// Of the tickets.
    pub seed: [u8; 32],
}

/// The rooms, and a way to reach every member.
pub struct Hub {
    pub(super) connections: Arc<Connections>,
    /// A `std` mutex: what is done under it is a few look-ups and pushes, which take less time than parking a task
    /// would; it is never held across an await, and clippy denies that it could be.
    state: Mutex<State>,
    tickets: Tickets,
    /// Woken when there is an absent member where there was none.
    absence: Notify,
    parts: Parts,
}

struct State {
    rooms: Rooms,
    /// The outbox of every member of `rooms` that is connected.
    outboxes: BTreeMap<MemberId, Arc<Outbox>>,
}

/// A membership, as its connection holds it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: MemberId,
    /// The name in its credentials.
    pub(super) user: String,
}

/// Why something is refused, and how long it will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) wait: Option<Duration>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, wait: None }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::RateLimited(wait) => {
                return Self { code: ErrorCode::RateLimited, wait: Some(wait) };
            }
            Refused::TokenRequired => ErrorCode::TokenRequired,
            Refused::Token(TokenError::Expired) => ErrorCode::TokenExpired,
            Refused::Token(TokenError::NotYetValid) => ErrorCode::TokenNotYetValid,
            Refused::Token(TokenError::TooFarAhead) => ErrorCode::TokenTooFarAhead,
            Refused::WrongRoom => ErrorCode::WrongRoom,
            Refused::Token(TokenError::Bad)
            // No answers to a join: an API key opens no room, and a server that drains closes its connections.
            | Refused::ApiKeyRequired
            | Refused::BadApiKey
            | Refused::NoPlaceForToken
            | Refused::Draining => ErrorCode::BadToken,
        };
        code.into()
    }
}

/// A member of a room, for a backend.
#[derive(Debug, Serialize)]
pub struct Present {
    /// Who.
    pub id: MemberId,
    /// What the others are shown.
    pub name: Option<DisplayName>,
    /// Whether there is a connection at this moment.
    pub connected: bool,
    /// The name in its credentials.
    pub user: String,
    /// Its allocations on the relay at this moment.
    pub allocations: u32,
}

impl Hub {
    /// A hub without rooms.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let limits = parts.connections.settings.limits;
        let state = Mutex::new(State { rooms: Rooms::new(limits), outboxes: BTreeMap::new() });
        let tickets = Tickets::new(&parts.seed);
        Self { connections: parts.connections.clone(), state, tickets, absence: Notify::new(), parts }
    }

    /// The limits and the end of all connections.
    #[must_use]
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Gives up members that have been absent for too long, until all connections end: from then on they cannot come back, and
    /// their calls go on as those of others do.
    pub async fn give_up_the_absent(&self) {
        loop {
            let woken = self.absence.notified();
            let next = self.lock().rooms.next_deadline();
            match next {
                None => woken.await,
                // The window is the same for all, so nobody who is lost meanwhile is due before.
                Some(next) => {
                    sleep(next.saturating_sub(self.connections.clock.now().mono)).await;
                    if self.connections.are_ending() {
                        return;
                    }
                    let now = self.connections.clock.now();
                    while self.give_up_one(now) {}
                }
            }
        }
    }

    /// Gives every member a fresh configuration whenever the wall clock is set, until all connections end: by another time of
    /// day their credentials have expired, or are good for longer than was meant. Absent members get one as they come back.
    pub async fn follow_the_clock(&self) {
        let clock = self.connections.clock;
        let mut detector = StepDetector::new(clock.now());
        while !self.connections.are_ending() {
            sleep(CLOCK_EVERY).await;
            if let Some(seconds) = detector.step(clock.now()) {
                tracing::warn!(seconds, "the system clock was set: members are sent fresh credentials");
                self.lock().outboxes.values().for_each(|outbox| outbox.renew());
            }
        }
    }

    /// Who is in `room`.
    pub fn members(&self, room: &RoomName) -> Vec<Present> {
        let present = |(id, name, connected): (_, Option<&DisplayName>, _)| {
            let user = self.user(room, id);
            Present { id, name: name.cloned(), connected, user, allocations: 0 }
        };
        let mut members: Vec<Present> = self.lock().rooms.members_of(room).map(present).collect();
        for member in &mut members {
            member.allocations = (self.parts.count_user)(&member.user);
        }
        members
    }

    /// Removes a member from `room`; whether it was there.
    pub fn remove(&self, room: &RoomName, id: MemberId) -> bool {
        let state = self.lock();
        if state.rooms.place(id) != Some(room) {
            return false;
        }
        if let Some(outbox) = state.outboxes.get(&id) {
            outbox.evict(ByeCode::Removed);
        }
        self.take_out(state, id);
        true
    }

    /// How long a configuration is good for.
    pub(super) fn ttl(&self) -> Duration {
        self.parts.ice.ttl()
    }

    /// A fresh configuration for the member whose credentials are of `user`.
    pub(super) fn configuration(&self, now: Now, host: Option<&Host>, user: &str) -> IceConfiguration {
        self.parts.ice.issue(now, host, user)
    }

    /// Lets the connection behind `outbox` into a room, or back into it: tells it who is there and what it missed.
    pub(super) fn enter(
        &self,
        now: Now,
        outbox: &Arc<Outbox>,
        visitor: &Visitor,
        join: Join,
    ) -> Result<Seat, Refusal> {
        let former = join.resume.as_ref().and_then(|Secret(ticket)| self.tickets.read(ticket));
        if let Some(id) = former
            && let Some(seat) = self.resume(now, outbox, visitor, &join, id)
        {
            return Ok(seat);
        }
        let token = join.token.as_ref().map(|Secret(token)| token.as_str());
        let grant = self.parts.access.join(now, visitor.address, &join.room, token)?;
        let (granted, max_members) = grant.map_or((None, None), |grant| (grant.name, grant.max_members));
        let (name, max_members) = (granted.or(join.name), max_members.unwrap_or(usize::MAX));

        let id = self.parts.revocations.enter();
        let seat = Seat { id, user: self.user(&join.room, id) };
        let ice = self.configuration(now, visitor.host.as_ref(), &seat.user);
        let mut state = self.lock();
        let (peers, told) = match state.rooms.join(id, join.room, name, max_members, visitor.network()) {
            Ok(joined) => joined,
            Err(code) => {
                self.parts.revocations.leave(id);
                return Err(code.into());
            }
        };
        // Under the lock, so that nothing can reach the newcomer before its `joined`.
        outbox.begin(0);
        outbox.say(ServerMessage::Joined { id, peers, resume: self.ticket(id), ice }.text());
        state.outboxes.insert(id, outbox.clone());
        state.deliver(told);
        self.count(&state);
        Ok(seat)
    }

    /// Gives the connection behind `outbox` the membership `id`, if there still is one; else whatever is left of it ends.
    fn resume(
        &self,
        now: Now,
        outbox: &Arc<Outbox>,
        visitor: &Visitor,
        join: &Join,
        id: MemberId,
    ) -> Option<Seat> {
        let seat = Seat { id, user: self.user(&join.room, id) };
        let ice = self.configuration(now, visitor.host.as_ref(), &seat.user);
        let mut state = self.lock();
        // The client may know of its loss before we do.
        if let Some(former) = state.outboxes.remove(&id) {
            former.evict(ByeCode::Replaced);
            state.rooms.lose(id, now.mono + self.window(), former.written());
        }
        let resumed = state.rooms.resume(now.mono, id, &join.room, join.seq, visitor.network());
        let Some(Resumed { peers, seq, missed }) = resumed else {
            self.take_out(state, id);
            return None;
        };
        let joined = ServerMessage::Joined { id, peers, resume: self.ticket(id), ice }.text();
        outbox.begin(seq);
        outbox.replay(std::iter::once(joined).chain(missed));
        state.outboxes.insert(id, outbox.clone());
        self.connections.counters.resumed.add(1);
        self.count(&state);
        Some(seat)
    }

    pub(super) fn signal(&self, from: MemberId, to: MemberId, data: Box<RawValue>) -> Result<(), ErrorCode> {
        let mut state = self.lock();
        // Under the lock, so that `seq` counts up in the order in which signals arrive.
        let reads = state.outboxes.get(&to).is_some_and(|outbox| !outbox.is_shut());
        let delivery = state.rooms.signal(from, to, data, reads)?;
        state.deliver([delivery]);
        self.count(&state);
        self.connections.counters.signals.add(1);
        Ok(())
    }

    /// The client behind `outbox` has every signal up to `seq`.
    pub(super) fn confirm(&self, id: MemberId, outbox: &Arc<Outbox>, seq: u64) {
        let mut state = self.lock();
        if state.is_connected(id, outbox) {
            // It cannot have what was not written.
            state.rooms.confirm(id, seq.min(outbox.written()));
            self.count(&state);
        }
    }

    /// The member `id` leaves its room.
    pub(super) fn leave(&self, id: MemberId, outbox: &Arc<Outbox>) {
        let state = self.lock();
        if state.is_connected(id, outbox) {
            self.take_out(state, id);
        }
    }

    /// The connection of the member `id` has ended.
    pub(super) fn part(&self, now: Now, id: MemberId, outbox: &Arc<Outbox>, ending: Ending) {
        // A server that stops lets calls go on: whoever is sent away by that keeps what they have, and no others are told that
        // they have gone, at which calls would end.
        if ending == Ending::Bye(ByeCode::ShuttingDown) {
            return;
        }
        if !ending.stays() || self.window().is_zero() {
            return self.leave(id, outbox);
        }
        let mut state = self.lock();
        if state.is_connected(id, outbox) {
            state.outboxes.remove(&id);
            state.rooms.lose(id, now.mono + self.window(), outbox.written());
            self.count(&state);
            self.absence.notify_one();
        }
    }

    /// Takes a member out of its room and its credentials from it: whatever they have begun ends with them.
    fn take_out(&self, mut state: MutexGuard<'_, State>, id: MemberId) {
        let Some(room) = state.rooms.place(id).cloned() else { return };
        state.outboxes.remove(&id);
        let told = state.rooms.leave(id);
        state.deliver(told);
        self.count(&state);
        drop(state);
        // In this order: what the relay allocates from here on, it refuses; what it allocated before, it ends.
        self.parts.revocations.leave(id);
        (self.parts.end_user)(&self.user(&room, id));
    }

    /// Gives up a member that has been absent for too long; whether there was one.
    fn give_up_one(&self, now: Now) -> bool {
        // Under one lock: in between it might come back.
        let state = self.lock();
        let overdue = state.rooms.overdue(now.mono);
        overdue.map(|id| self.take_out(state, id)).is_some()
    }

    /// The name in a member's credentials: `room.member`.
    fn user(&self, room: &RoomName, id: MemberId) -> String {
        format!("{}.{id}", self.parts.ice.label(self.parts.access.policy, room.as_str()))
    }

    fn ticket(&self, id: MemberId) -> Option<String> {
        (!self.window().is_zero()).then(|| self.tickets.issue(id))
    }

    fn window(&self) -> Duration {
        self.connections.settings.resume_window
    }

    fn count(&self, state: &State) {
        let counters = &self.connections.counters;
        counters.rooms.set(state.rooms.rooms() as u64);
        counters.members.set(state.rooms.members() as u64);
        counters.absent.set(state.rooms.absent() as u64);
        counters.kept.set(state.rooms.kept() as u64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug in the pure rooms; the other rooms go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({} rooms)", self.lock().rooms.rooms())
    }
}

impl State {
    /// Whether `outbox` is the connection of `id`, rather than one that was replaced.
    fn is_connected(&self, id: MemberId, outbox: &Arc<Outbox>) -> bool {
        self.outboxes.get(&id).is_some_and(|current| Arc::ptr_eq(current, outbox))
    }

    fn deliver(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        for Delivery { to, text } in deliveries {
            if let Some(outbox) = self.outboxes.get(&to) {
                outbox.say(text);
            }
        }
    }
}
