//! The load: many clients in one thread, which act on schedule, regardless of the server.
//!
//! Times count from the scheduled moment. So a server that delays its clients is also charged for
//! the requests that they would have sent meanwhile. The thread never sleeps: it has its own core.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use byway::clock::Clock;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::dialect::{CANDIDATE, Dialect, Word, byway_join, description};
use crate::stalled::Stall;
use crate::websocket::{Heard, WebSocket};

/// Number of idle clients that connect at the same time.
const GATHERING: usize = 64;
/// Time that a guest stays after joining.
const STAY: Duration = Duration::from_millis(500);
/// Maximum number of guests at a time if the server does not keep up. Each is a file descriptor.
const MAX_GUESTS: usize = 6_000;
/// Maximum time until all clients have joined.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time that the last signals may take.
const GRACE: Duration = Duration::from_secs(1);

/// A repeated action.
pub(crate) struct Schedule {
    pub(crate) every: Duration,
    pub(crate) next: Duration,
}

impl Schedule {
    pub(crate) fn new(per_second: u32, start: Duration) -> Self {
        Self { every: Duration::from_secs(1) / per_second, next: start }
    }

    /// Returns the scheduled time if it has come.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Duration> {
        let due = (self.next <= now).then_some(self.next)?;
        self.next += self.every;
        Some(due)
    }
}

/// Role of a client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Stays and receives signals.
    Idle,
    /// Joins and leaves.
    Guest,
    /// Sends to the member that does not read.
    Sender,
    /// The member that does not read.
    Staller,
}

pub(crate) struct Client {
    pub(crate) socket: WebSocket,
    pub(crate) role: Role,
    /// Number within its role.
    number: usize,
    pub(crate) peer: Option<String>,
    has_joined: bool,
    /// Whether it reads nothing.
    pub(crate) is_deaf: bool,
}

/// Room of two idle clients, which may be on two servers.
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) servers: [SocketAddr; 2],
}

/// Scheduled times and durations; no duration if it has not happened.
type Taken = Vec<(Duration, Option<Duration>)>;

pub(crate) struct Crowd {
    pub(crate) dialect: Dialect,
    server: SocketAddr,
    /// Rooms of the idle clients. Empty: named by their number, on the one server.
    rooms: Vec<Room>,
    pub(crate) clock: Clock,
    poll: Poll,
    pub(crate) clients: Slab<Client>,
    idle: Vec<usize>,
    /// Number of idle clients that know their peer.
    paired: usize,
    guests: usize,
    /// Departures of guests: time, key and number.
    going: VecDeque<(Duration, usize, usize)>,
    joins: Taken,
    signals: Taken,
    /// Content of the next signal.
    what: String,
    /// Scheduled time of each signal, and how late this program sent it.
    late: Vec<(Duration, Duration)>,
    buffer: Vec<u8>,
}

/// Actions of guests and idle clients during a [`Crowd::run`].
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) joins: Option<Schedule>,
    pub(crate) signals: Option<Schedule>,
    pub(crate) stall: Option<Stall>,
}

/// Result of a load.
pub(crate) struct Outcome {
    /// Joins that completed meanwhile.
    pub(crate) joins: usize,
    /// Sorted times from the scheduled join to `joined`, with the connect.
    pub(crate) join_times: Vec<Duration>,
    pub(crate) signal_times: Vec<Duration>,
    /// Signals that did not arrive.
    pub(crate) lost: usize,
    /// Sorted delays by which this program itself was late with a signal.
    pub(crate) late: Vec<Duration>,
}

impl Crowd {
    pub(crate) fn new(dialect: Dialect, server: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            dialect,
            server,
            rooms: Vec::new(),
            clock: Clock::start(),
            poll: Poll::new()?,
            clients: Slab::new(),
            idle: Vec::new(),
            paired: 0,
            guests: 0,
            going: VecDeque::new(),
            joins: Vec::new(),
            signals: Vec::new(),
            what: CANDIDATE.to_owned(),
            late: Vec::new(),
            buffer: vec![0; 256 * 1024],
        })
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now().mono
    }

    /// Opens `rooms` with two idle clients each, and waits until all know their peers.
    pub(crate) fn gather_in(&mut self, rooms: Vec<Room>) -> Result<(), String> {
        self.rooms = rooms;
        self.gather(self.rooms.len() * 2)
    }

    /// Opens `count` idle clients in rooms of two, and waits until all know their peers.
    pub(crate) fn gather(&mut self, count: usize) -> Result<(), String> {
        let until = self.now() + PATIENCE;
        while self.paired < count {
            let unfinished = self.idle.len() - self.paired;
            for _ in unfinished..GATHERING {
                if self.idle.len() < count {
                    let client = self.open(Role::Idle, self.idle.len()).map_err(|error| error.to_string())?;
                    self.idle.push(client);
                }
            }
            self.turn(&mut Plan::default());
            if self.now() > until {
                return Err(format!("{} of {count} joined within {PATIENCE:?}", self.paired));
            }
        }
        Ok(())
    }

    /// Runs the plan for this time.
    pub(crate) fn run(&mut self, time: Duration, plan: &mut Plan) {
        let until = self.now() + time;
        let mut hearts = self.dialect.heartbeat().map(|(text, every)| {
            let of_all =
                every / u32::try_from(self.idle.len().max(1)).expect("the number of clients fits 32 bits");
            (text, Schedule { every: of_all, next: self.now() })
        });
        let mut next_heart = 0;
        while self.now() < until {
            if let Some((text, schedule)) = &mut hearts {
                while schedule.due(self.clock.now().mono).is_some() {
                    self.clients[self.idle[next_heart % self.idle.len()]].socket.text(text);
                    next_heart += 1;
                }
            }
            self.turn(plan);
        }
    }

    /// Starts a call of every idle client: each sends its peer a description.
    pub(crate) fn describe(&mut self) {
        const PER_SECOND: u32 = 5_000;
        self.what = description();
        let signals = Some(Schedule::new(PER_SECOND, self.now()));
        let mut plan = Plan { signals, ..Plan::default() };
        let wanted = self.signals.len() + self.idle.len();
        while self.signals.len() < wanted {
            self.turn(&mut plan);
        }
        self.what = CANDIDATE.to_owned();
    }

    /// Runs these joins and signals per second for `time`, after a warm-up.
    pub(crate) fn load(&mut self, joins: u32, signals: u32, warm_up: Duration, time: Duration) -> Outcome {
        let start = self.now();
        let mut plan = Plan {
            joins: Some(Schedule::new(joins, start)),
            signals: Some(Schedule::new(signals, start)),
            stall: None,
        };
        self.run(warm_up, &mut plan);
        let from = self.now();
        self.run(time, &mut plan);
        let until = self.now();
        // The load continues while the last measured signals arrive.
        self.run(GRACE, &mut plan);
        let joined = self.joins.iter().filter_map(|(due, taken)| Some(*due + (*taken)?));
        let outcome = Outcome {
            // A join counts when it completes, regardless of its schedule.
            joins: joined.filter(|at| (from..until).contains(at)).count(),
            join_times: self.times(&self.joins, from, until),
            signal_times: self.signal_times(from, until),
            lost: due_within(&self.signals, from, until).filter(|(_, taken)| taken.is_none()).count(),
            late: self.late(from, until),
        };
        self.leave();
        outcome
    }

    /// Returns the sorted times of the signals scheduled in this period. A signal that has not
    /// arrived counts with its waiting time so far.
    pub(crate) fn signal_times(&self, from: Duration, until: Duration) -> Vec<Duration> {
        self.times(&self.signals, from, until)
    }

    /// Returns the sorted times of the signals scheduled in this period in some of the rooms, by
    /// their number, and the count of those that did not arrive.
    pub(crate) fn signal_times_in(
        &self,
        from: Duration,
        until: Duration,
        is_in: impl Fn(usize) -> bool,
    ) -> (Vec<Duration>, usize) {
        let of_rooms = self.signals.iter().enumerate().filter(|(number, _)| is_in(self.sender(*number) / 2));
        let of_rooms: Taken = of_rooms.map(|(_, signal)| *signal).collect();
        let lost = due_within(&of_rooms, from, until).filter(|(_, taken)| taken.is_none()).count();
        (self.times(&of_rooms, from, until), lost)
    }

    /// Returns the sorted delays by which this program itself was late with the signals scheduled
    /// in this period.
    pub(crate) fn late(&self, from: Duration, until: Duration) -> Vec<Duration> {
        sorted(self.late.iter().filter(|(due, _)| (from..until).contains(due)).map(|(_, by)| *by))
    }

    /// Returns the number of the idle client that sends a signal. Steps by a prime number of
    /// clients, so that the order differs from the order in memory.
    fn sender(&self, signal: usize) -> usize {
        signal * 7919 % self.idle.len()
    }

    fn times(&self, of: &Taken, from: Duration, until: Duration) -> Vec<Duration> {
        let now = self.now();
        sorted(due_within(of, from, until).map(|(due, taken)| taken.unwrap_or(now - *due)))
    }

    /// Waits until the last guest has left.
    fn leave(&mut self) {
        let until = self.now() + PATIENCE / 10;
        while self.guests > 0 && self.now() < until {
            self.turn(&mut Plan::default());
        }
    }

    /// Does everything that is due, and reads what has arrived.
    fn turn(&mut self, plan: &mut Plan) {
        let now = self.now();
        if let Some(schedule) = &mut plan.joins {
            while let Some(due) = schedule.due(now) {
                let number = self.joins.len();
                self.joins.push((due, None));
                // A guest that cannot even connect counts as not joined.
                if self.guests < MAX_GUESTS && self.open(Role::Guest, number).is_ok() {
                    self.guests += 1;
                }
            }
        }
        if let Some(schedule) = &mut plan.signals {
            while let Some(due) = schedule.due(now) {
                let number = self.signals.len();
                self.signals.push((due, None));
                let from = self.idle[self.sender(number)];
                let client = &mut self.clients[from];
                if let Some(peer) = &client.peer {
                    let text = self.dialect.signal(peer, number, &self.what);
                    client.socket.text(text.as_bytes());
                }
                self.late.push((due, self.clock.now().mono - due));
            }
        }
        while let Some((_, key, number)) = self.going.pop_front_if(|(at, ..)| *at <= now) {
            let is_it = |client: &&mut Client| (client.role, client.number) == (Role::Guest, number);
            if let Some(client) = self.clients.get_mut(key).filter(is_it) {
                client.socket.close();
            }
        }
        if let Some(mut stall) = plan.stall.take() {
            let hears_again = stall.turn(self, now);
            plan.stall = Some(stall);
            if let Some(key) = hears_again {
                self.read(key, true, plan);
            }
        }
        // Few events at a time, so that scheduled actions are not late.
        let mut events = Events::with_capacity(32);
        if self.poll.poll(&mut events, Some(Duration::ZERO)).is_err() {
            return;
        }
        for event in &events {
            let Token(key) = event.token();
            if event.is_writable()
                && let Some(client) = self.clients.get_mut(key)
            {
                client.socket.flush();
            }
            self.read(key, event.is_read_closed(), plan);
        }
    }

    /// Starts to connect a client.
    pub(crate) fn open(&mut self, role: Role, number: usize) -> io::Result<usize> {
        let room = self.rooms.get(number / 2).filter(|_| role == Role::Idle);
        let server = room.map_or(self.server, |room| room.servers[number % 2]);
        let mut socket = WebSocket::connect(server, number)?;
        let entry = self.clients.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket.stream, Token(entry.key()), interest)?;
        socket.head(&self.dialect.request(crowd(role), number));
        let key = entry.key();
        entry.insert(Client { socket, role, number, peer: None, has_joined: false, is_deaf: false });
        Ok(key)
    }

    /// Reads a client's messages.
    pub(crate) fn read(&mut self, key: usize, is_closed: bool, plan: &mut Plan) {
        let Some(client) = self.clients.get_mut(key).filter(|client| !client.is_deaf) else { return };
        let Client { role, number, .. } = *client;
        let (dialect, clock) = (self.dialect, self.clock);
        let (mut words, mut has_met, mut has_ended) = (Vec::new(), false, false);
        client.socket.read(&mut self.buffer, is_closed, |heard| match heard {
            Heard::Head(head) => {
                assert!(head.starts_with("HTTP/1.1 101"), "no WebSocket: {head}");
                has_met = true;
            }
            Heard::Text(text) => words.push((clock.now().mono, dialect.hear(crowd(role), number, text))),
            // `End` follows.
            Heard::Close => {}
            Heard::End => has_ended = true,
        });
        if has_met {
            let room = self.rooms.get(number / 2).filter(|_| role == Role::Idle);
            let join = match (&plan.stall, role, room) {
                (Some(stall), Role::Sender | Role::Staller, _) => Some(stall.join(role)),
                (.., Some(room)) => Some(byway_join(&room.name)),
                _ => dialect.join(crowd(role), number),
            };
            if let Some(join) = join {
                client.socket.text(join.as_bytes());
            }
        }
        for (now, word) in words {
            self.take(key, now, word, plan);
        }
        if has_ended {
            self.end(key, plan);
        }
    }

    fn take(&mut self, key: usize, now: Duration, word: Word, plan: &mut Plan) {
        let client = &mut self.clients[key];
        if let (Role::Sender | Role::Staller, Some(stall)) = (client.role, &mut plan.stall) {
            return stall.take(client, now, word);
        }
        match word {
            Word::Joined { peer, .. } if !client.has_joined => {
                client.has_joined = true;
                if let Some(peer) = peer {
                    self.meets(key, peer);
                }
                if self.clients[key].role == Role::Guest {
                    if let Some((due, taken)) = self.joins.get_mut(self.clients[key].number) {
                        *taken = Some(now.saturating_sub(*due));
                    }
                    self.going.push_back((now + STAY, key, self.clients[key].number));
                }
            }
            Word::Peer(peer) => self.meets(key, peer),
            Word::Signal(number) => {
                if let Some((due, taken)) = self.signals.get_mut(number) {
                    *taken = Some(now.saturating_sub(*due));
                }
            }
            // Without access, there is nothing to measure.
            Word::Bye(why) | Word::Error(why) => panic!("the server says: {why}"),
            Word::Joined { .. } | Word::Other => {}
        }
    }

    fn meets(&mut self, key: usize, peer: String) {
        let client = &mut self.clients[key];
        self.paired += usize::from(client.role == Role::Idle && client.peer.is_none());
        client.peer = Some(peer);
    }

    fn end(&mut self, key: usize, plan: &mut Plan) {
        let client = self.clients.remove(key);
        match client.role {
            Role::Idle => panic!("the server closed an idle connection"),
            Role::Guest => self.guests -= 1,
            Role::Sender | Role::Staller => {
                if let Some(stall) = &mut plan.stall {
                    stall.ended(client.role);
                }
            }
        }
    }
}

fn due_within(
    of: &Taken,
    from: Duration,
    until: Duration,
) -> impl Iterator<Item = &(Duration, Option<Duration>)> {
    of.iter().filter(move |(due, _)| (from..until).contains(due))
}

/// Returns the name of a role's rooms.
fn crowd(role: Role) -> &'static str {
    match role {
        Role::Idle => "idle",
        Role::Guest => "guest",
        Role::Sender | Role::Staller => "stalled",
    }
}

pub(crate) fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}
