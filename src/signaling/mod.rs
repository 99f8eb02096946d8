//! Signaling: rooms in which browsers find each other and exchange what a call needs to begin.
//!
//! `docs/signaling.md` is the specification. [`protocol`], [`room`] and [`rate`] are pure; [`session`] drives one
//! WebSocket; the [`Hub`] is what the sessions share.

mod outbox;

pub mod protocol;
pub mod rate;
pub mod room;
pub mod session;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::watch;

use self::outbox::Outbox;
use self::protocol::{DisplayName, ErrorCode, MemberId, RoomName, ServerMessage};
use self::rate::Rate;
use self::room::{Delivery, Limits, Rooms};
use crate::clock::Clock;
use crate::config;
use crate::ice::{IceConfiguration, IceServers};
use crate::metrics::SignalingCounters;
use crate::random::Random;

/// What bounds a connection, and when.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What there may be at one time.
    pub limits: Limits,
    /// Bytes of one message.
    pub max_message: usize,
    /// Bytes that may wait for one reader.
    pub max_queue: usize,
    /// How fast a client may talk.
    pub rate: Rate,
    /// Between two pings of the server. A client that lets two of them pass is gone.
    pub ping_every: Duration,
    /// How long a connection may be in no room.
    pub idle_after: Duration,
    /// How long a closing handshake may take.
    pub close_within: Duration,
}

impl Settings {
    /// The configured limits; the others are constants of this server.
    #[must_use]
    pub fn new(config: &config::Signaling) -> Self {
        Self {
            limits: Limits { rooms: config.max_rooms, members: config.max_members },
            max_message: config.max_message,
            // Room for a few of the largest messages: a reader that is merely behind catches up.
            max_queue: config.max_message.saturating_mul(4),
            // A browser gathers a few dozen candidates per peer within a second; with 7 peers that is a burst of 200.
            rate: Rate { interval: Duration::from_millis(20), burst: 200, patience: 500 },
            ping_every: Duration::from_secs(30),
            idle_after: Duration::from_secs(60),
            close_within: Duration::from_secs(2),
        }
    }
}

/// What the sessions share: the rooms, and a way to reach every member.
#[derive(Debug)]
pub struct Hub {
    /// A `std` mutex: what is done under it is a few look-ups and pushes, which take less time than parking a task
    /// would; it is never held across an await, and clippy denies that it could be.
    state: Mutex<State>,
    settings: Settings,
    ice: Arc<IceServers>,
    random: Arc<Random>,
    clock: Clock,
    counters: Arc<SignalingCounters>,
    stopping: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    rooms: Rooms,
    /// The outbox of every member of `rooms`.
    outboxes: BTreeMap<MemberId, Arc<Outbox>>,
}

impl Hub {
    /// A hub without rooms.
    #[must_use]
    pub fn new(
        settings: Settings,
        ice: Arc<IceServers>,
        random: Arc<Random>,
        clock: Clock,
        counters: Arc<SignalingCounters>,
    ) -> Self {
        let state = Mutex::new(State { rooms: Rooms::new(settings.limits), outboxes: BTreeMap::new() });
        Self { state, settings, ice, random, clock, counters, stopping: watch::Sender::new(false) }
    }

    /// What bounds a connection.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Says `bye` to everyone and waits until the last connection is closed. Connections that come later are closed
    /// alike.
    pub async fn shut_down(&self) {
        self.stopping.send_replace(true);
        self.stopping.closed().await;
    }

    /// Lets the connection behind `outbox` into `room`: tells it who is there, and those there who came.
    fn join(
        &self,
        outbox: &Arc<Outbox>,
        room: RoomName,
        name: Option<DisplayName>,
        ice: IceConfiguration,
    ) -> Result<MemberId, ErrorCode> {
        let id = MemberId(self.random.bytes());
        let mut state = self.lock();
        let (peers, told) = state.rooms.join(id, room, name)?;
        // Under the lock, so that nothing can reach the newcomer before its `joined`.
        outbox.say(&ServerMessage::Joined { id, peers, resume: (), ice });
        state.outboxes.insert(id, outbox.clone());
        state.deliver(&told);
        self.count(&state);
        Ok(id)
    }

    fn signal(&self, from: MemberId, to: MemberId, data: Box<RawValue>) -> Result<(), ErrorCode> {
        let mut state = self.lock();
        // Under the lock, so that `seq` counts up in the order in which signals arrive.
        let delivery = state.rooms.signal(from, to, data)?;
        state.deliver(&[delivery]);
        self.counters.signals.add(1);
        Ok(())
    }

    fn leave(&self, id: MemberId) {
        let mut state = self.lock();
        state.outboxes.remove(&id);
        let told = state.rooms.leave(id);
        state.deliver(&told);
        self.count(&state);
    }

    fn count(&self, state: &State) {
        self.counters.rooms.set(state.rooms.rooms() as u64);
        self.counters.members.set(state.rooms.members() as u64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug in the pure rooms; the other rooms go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deliver(&self, deliveries: &[Delivery]) {
        for Delivery { to, message } in deliveries {
            if let Some(outbox) = self.outboxes.get(to) {
                outbox.say(message);
            }
        }
    }
}
