//! Seeded random lives of many clients in the rooms of the signaling: joins, drops, resumes,
//! floods, silence.
//!
//! Each client believes what it hears and nothing else; after every step its beliefs are held
//! against what truly happened. `BYWAY_SEED=17 cargo test --test rooms` replays one run; a failure
//! names its seed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use byway::access::grant::Role;
use byway::signaling::protocol::{ErrorCode, MemberId, Peer, RoomName, Text};
use byway::signaling::room::{Delivery, Entered, HostRule, Newcomer, Resumed, RoomLimits, Rooms};
use byway_turn::client_network::ClientNetwork;
use byway_turn::prng::Prng;
use serde_json::Value;
use serde_json::value::RawValue;

const CLIENTS: usize = 12;
const STEPS: usize = 800;
const WINDOW: Duration = Duration::from_secs(30);
const LIMITS: RoomLimits = RoomLimits { rooms: 3, members: 4, viewers: 2, kept: 4_000, kept_in_all: 9_000 };

#[test]
fn simulation() {
    match std::env::var("BYWAY_SEED") {
        Ok(seed) => drop(run(seed.parse().expect("BYWAY_SEED is a number"))),
        Err(_) => {
            let reached: BTreeSet<Outcome> = (0..100).flat_map(run).collect();
            assert_eq!(reached.into_iter().collect::<Vec<_>>(), Outcome::ALL, "each of these happened");
        }
    }
}

/// Events of a run. A run without many of them proves little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Joined,
    RoomFull,
    ViewersFull,
    RoomLocked,
    TooManyRooms,
    Said,
    NoSuchPeer,
    /// Too much is kept for one who is absent.
    Waits,
    Left,
    Lost,
    /// Back, with something missed.
    Resumed,
    /// Back, before the server knew of the loss.
    TookOver,
    /// Back too late.
    TooLate,
    /// Back in time, but more was said than is kept.
    TooMuch,
    GivenUp,
    /// Another member is the host now.
    Succeeded,
    Locked,
    Unlocked,
    NotHost,
    /// The lock ended with the last member.
    LockEnded,
}

impl Outcome {
    const ALL: [Self; 20] = [
        Self::Joined,
        Self::RoomFull,
        Self::ViewersFull,
        Self::RoomLocked,
        Self::TooManyRooms,
        Self::Said,
        Self::NoSuchPeer,
        Self::Waits,
        Self::Left,
        Self::Lost,
        Self::Resumed,
        Self::TookOver,
        Self::TooLate,
        Self::TooMuch,
        Self::GivenUp,
        Self::Succeeded,
        Self::Locked,
        Self::Unlocked,
        Self::NotHost,
        Self::LockEnded,
    ];
}

fn run(seed: u64) -> BTreeSet<Outcome> {
    let named = NamedOnFailure(seed);
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        world.check();
    }
    world.wind_down();
    drop(named);
    world.reached
}

/// Says which seed replays a failure.
struct NamedOnFailure(u64);

impl Drop for NamedOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with BYWAY_SEED={}", self.0);
        }
    }
}

/// The truth, and what each client makes of it.
struct World {
    rooms: Rooms,
    random: Prng,
    now: Duration,
    next_id: u128,
    clients: Vec<Client>,
    /// Every signal that was accepted, by receiver, in order.
    said: BTreeMap<MemberId, Vec<String>>,
    /// Members in order of arrival.
    truth: Vec<(MemberId, String)>,
    /// Those of them that are viewers.
    viewers: BTreeSet<MemberId>,
    /// Locked rooms.
    locked: BTreeSet<String>,
    /// Until when the absent ones are waited for.
    absences: BTreeMap<MemberId, Duration>,
    reached: BTreeSet<Outcome>,
}

/// A client and the connection that it has, or had.
#[derive(Default)]
struct Client {
    membership: Option<Membership>,
    /// On its way to the client. With the connection it is lost.
    line: Option<VecDeque<Text>>,
    /// Signals that the server has written to the line.
    written: u64,
}

/// A client's own state.
struct Membership {
    id: MemberId,
    room: String,
    /// Peers that it knows, and its role towards each.
    peers: BTreeMap<String, bool>,
    heard: u64,
    /// The host that it knows: its id, or none.
    host: Option<String>,
    locked: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            rooms: Rooms::new(LIMITS, HostRule::Longest),
            random: Prng::new(&bytes, "simulation"),
            now: Duration::from_secs(1_000),
            next_id: 0,
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            said: BTreeMap::new(),
            truth: Vec::new(),
            viewers: BTreeSet::new(),
            locked: BTreeSet::new(),
            absences: BTreeMap::new(),
            reached: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        let n = self.random.below(CLIENTS);
        match self.random.below(100) {
            0..=14 => self.enter(n),
            15..=49 => self.say(n),
            50..=54 => self.flood(n),
            55..=74 => self.listen(n),
            75..=79 => self.confirm(n),
            80..=86 => self.lose(n),
            87..=94 => self.come_back(n),
            95 => self.leave(n),
            96 => self.lock(n),
            _ => self.wait(),
        }
    }

    /// Joins a room, as someone new.
    fn enter(&mut self, n: usize) {
        let former = self.clients[n].membership.as_ref().map(|me| me.id);
        if self.clients[n].line.is_some() && former.is_some() {
            return;
        }
        self.next_id += 1;
        let id = MemberId(self.next_id.to_be_bytes());
        let room = ["oak", "elm", "ash", "fir"][self.random.below(4)].to_owned();
        let role = if self.random.below(3) == 0 { Role::Viewer } else { Role::Member };
        let newcomer = Newcomer {
            id,
            name: None,
            network: network(n),
            role,
            max_members: None,
            passes_lock: self.random.below(8) == 0,
            user: id.to_string().into(),
            region: None,
            home: None,
            came: 0,
        };
        let is_viewer = role == Role::Viewer;
        let passes = newcomer.passes_lock;
        match self.rooms.join(name(&room), newcomer) {
            Ok(Entered { peers, standing, told }) => {
                self.reached.insert(Outcome::Joined);
                assert!(passes || !self.locked.contains(&room));
                let first = !is_viewer && self.in_room(&room).all(|other| self.viewers.contains(&other));
                self.truth.push((id, room.clone()));
                if is_viewer {
                    self.viewers.insert(id);
                }
                assert_eq!(peers.iter().map(|peer| peer.id).collect::<Vec<_>>(), self.seen_by(id));
                assert_eq!(told.iter().map(|delivery| delivery.to).collect::<Vec<_>>(), self.seen_by(id));
                assert_eq!((standing.role == Role::Host, standing.role == Role::Viewer), (first, is_viewer));
                self.said.insert(id, Vec::new());
                // A lost client without its ticket joins again; the server removes the old
                // member later.
                if let Some(former) = former {
                    self.miss(former, self.clients[n].written);
                }
                let host = host_of(id, standing.role, &peers);
                self.clients[n] = Client {
                    membership: Some(Membership {
                        id,
                        room,
                        peers: known(&peers),
                        heard: 0,
                        host,
                        locked: standing.locked,
                    }),
                    line: Some(VecDeque::new()),
                    written: 0,
                };
                self.deliver(told);
            }
            Err(code) => {
                let (viewers, members): (Vec<_>, Vec<_>) =
                    self.in_room(&room).partition(|id| self.viewers.contains(id));
                let (expected, outcome) = match is_viewer {
                    _ if self.locked.contains(&room) && !passes => {
                        (ErrorCode::RoomLocked, Outcome::RoomLocked)
                    }
                    true if viewers.len() == LIMITS.viewers => (ErrorCode::ViewersFull, Outcome::ViewersFull),
                    false if members.len() == LIMITS.members => (ErrorCode::RoomFull, Outcome::RoomFull),
                    _ => (ErrorCode::TooManyRooms, Outcome::TooManyRooms),
                };
                assert_eq!(code, expected);
                self.reached.insert(outcome);
            }
        }
    }

    /// Locks or unlocks the room, whether that is allowed or not.
    fn lock(&mut self, n: usize) {
        let Some(id) = self.connected(n) else { return };
        let room = self.room_of(id).unwrap().clone();
        let locked = self.random.below(3) == 0;
        match self.rooms.lock(id, locked) {
            Ok(told) => {
                assert_eq!(self.host(&room), Some(id));
                let changes =
                    if locked { self.locked.insert(room.clone()) } else { self.locked.remove(&room) };
                let heard: Vec<_> = if changes { self.in_room(&room).collect() } else { vec![id] };
                assert_eq!(told.iter().map(|delivery| delivery.to).collect::<Vec<_>>(), heard);
                self.deliver(told);
                self.reached.insert(if locked { Outcome::Locked } else { Outcome::Unlocked });
            }
            Err(code) => {
                assert!(code == ErrorCode::NotHost && self.host(&room) != Some(id));
                self.reached.insert(Outcome::NotHost);
            }
        }
    }

    /// Says something to anybody, whether that is allowed or not.
    fn say(&mut self, n: usize) {
        let Some(from) = self.connected(n) else { return };
        if self.truth.is_empty() {
            return;
        }
        let (to, room) = self.truth[self.random.below(self.truth.len())].clone();
        let payload = format!("{:?}", format!("{room} {} {}", from, self.random.number() % 1_000));
        let data = RawValue::from_string(payload.clone()).unwrap();
        let among_viewers = [from, to].iter().all(|id| self.viewers.contains(id));
        let allowed = from != to && self.room_of(from) == Some(&room) && !among_viewers;
        let reads = !self.absences.contains_key(&to);
        match self.rooms.signal(from, to, data, reads) {
            Ok(delivery) => {
                assert!(allowed && delivery.to == to);
                self.said.get_mut(&to).unwrap().push(payload);
                self.deliver(vec![delivery]);
                self.reached.insert(Outcome::Said);
            }
            Err(ErrorCode::RateLimited) => {
                assert!(allowed && !reads);
                self.reached.insert(Outcome::Waits);
            }
            Err(code) => {
                assert!(!allowed && code == ErrorCode::NoSuchPeer);
                self.reached.insert(Outcome::NoSuchPeer);
            }
        }
    }

    fn flood(&mut self, n: usize) {
        for _ in 0..60 {
            self.say(n);
        }
    }

    /// Reads some of what has come.
    fn listen(&mut self, n: usize) {
        for _ in 0..self.random.below(20) {
            self.hear(n);
        }
    }

    fn hear(&mut self, n: usize) -> bool {
        let client = &mut self.clients[n];
        let (Some(line), Some(me)) = (&mut client.line, &mut client.membership) else { return false };
        let Some(text) = line.pop_front() else { return false };
        let message: Value = serde_json::from_str(&text.json).unwrap();
        let id = |field: &str| message[field].as_str().unwrap().to_owned();
        match message["type"].as_str().unwrap() {
            "signal" => {
                // Once, in order, without a gap, from the room, and as it was sent.
                assert_eq!(message["seq"], me.heard + 1, "{message}");
                let payload = message["data"].to_string();
                assert_eq!(payload, self.said[&me.id][usize::try_from(me.heard).unwrap()]);
                assert!(message["data"].as_str().unwrap().starts_with(&format!(
                    "{} {}",
                    me.room,
                    id("from")
                )));
                me.heard += 1;
            }
            "peer-joined" => {
                let polite = message["polite"].as_bool().unwrap();
                assert_eq!(me.peers.insert(id("id"), polite), None, "{message}");
                if message["host"] == true {
                    assert_eq!(me.host.replace(id("id")), None, "one at a time");
                }
            }
            "peer-left" => {
                assert!(me.peers.remove(&id("id")).is_some(), "{message}");
                me.host.take_if(|host| *host == id("id"));
            }
            "host" => {
                assert_eq!(me.host.replace(id("id")), None, "one at a time");
                assert!(id("id") == me.id.to_string() || me.peers.contains_key(&id("id")), "{message}");
            }
            "locked" => me.locked = message["locked"].as_bool().unwrap(),
            other => panic!("{other}"),
        }
        true
    }

    /// Tells the server what it has.
    fn confirm(&mut self, n: usize) {
        if let Some(me) = self.clients[n].membership.as_ref().filter(|_| self.clients[n].line.is_some()) {
            self.rooms.confirm(me.id, me.heard);
        }
    }

    /// The connection breaks, and with it goes what was on its way. The server may learn of it or
    /// not.
    fn lose(&mut self, n: usize) {
        let Some(id) = self.connected(n) else { return };
        self.clients[n].line = None;
        if self.random.below(3) > 0 {
            self.miss(id, self.clients[n].written);
        }
        self.reached.insert(Outcome::Lost);
    }

    /// The server learns that a connection is no more.
    fn miss(&mut self, id: MemberId, written: u64) {
        self.rooms.lose(id, self.now + WINDOW, written);
        if self.room_of(id).is_some() {
            self.absences.entry(id).or_insert(self.now + WINDOW);
        }
    }

    /// Resumes; where that fails, the old member leaves, as the hub has it.
    fn come_back(&mut self, n: usize) {
        let client = &self.clients[n];
        let Some(me) = client.membership.as_ref().filter(|_| client.line.is_none()) else { return };
        let (id, room, heard) = (me.id, me.room.clone(), me.heard);
        let was_known = self.absences.contains_key(&id);
        // Before the server knows of the loss, the new connection tells it.
        self.miss(id, self.clients[n].written);
        let on_time = self.absences.get(&id).is_some_and(|until| self.now < *until);
        let before = self.said.get(&id).map_or(0, |said| said.len() as u64);
        // Most come back from where they were.
        let from = network(if self.random.below(4) > 0 { n } else { self.random.below(CLIENTS) });
        let resumed = self.rooms.resume(self.now, id, &name(&room), Some(heard), from);
        let Some(Resumed { peers, missed, standing, .. }) = resumed else {
            assert!(!on_time || before > heard, "what was all heard can be resumed");
            self.reached.insert(if on_time { Outcome::TooMuch } else { Outcome::TooLate });
            self.clients[n].membership = None;
            self.part(id);
            return;
        };
        assert!(on_time);
        self.absences.remove(&id);
        assert_eq!(missed.len() as u64, before - heard);
        if !missed.is_empty() {
            self.reached.insert(if was_known { Outcome::Resumed } else { Outcome::TookOver });
        }
        assert_eq!(standing.role == Role::Viewer, self.viewers.contains(&id), "in the same role");
        let client = &mut self.clients[n];
        let me = client.membership.as_mut().unwrap();
        (me.peers, me.locked) = (known(&peers), standing.locked);
        me.host = host_of(id, standing.role, &peers);
        client.written = before;
        client.line = Some(missed.into());
    }

    fn leave(&mut self, n: usize) {
        if let Some(id) = self.connected(n) {
            self.clients[n] = Client::default();
            self.part(id);
            self.reached.insert(Outcome::Left);
        }
    }

    fn part(&mut self, id: MemberId) {
        let Some(room) = self.room_of(id).cloned() else {
            assert!(self.rooms.leave(id).is_empty());
            return;
        };
        let (was_host, seeing) = (self.host(&room) == Some(id), self.seen_by(id));
        self.truth.retain(|(other, _)| *other != id);
        self.said.remove(&id);
        self.absences.remove(&id);
        self.viewers.remove(&id);
        let told = self.rooms.leave(id);
        let mut receivers = seeing;
        let all: Vec<_> = self.in_room(&room).collect();
        if was_host && self.host(&room).is_some() {
            receivers.extend(&all);
            self.reached.insert(Outcome::Succeeded);
        }
        if self.host(&room).is_none() && self.locked.remove(&room) {
            receivers.extend(&all);
            self.reached.insert(Outcome::LockEnded);
        }
        assert_eq!(told.iter().map(|delivery| delivery.to).collect::<Vec<_>>(), receivers);
        self.deliver(told);
    }

    /// Lets time pass, until members that are absent for too long are removed.
    fn wait(&mut self) {
        self.now += Duration::from_secs(self.random.below(20) as u64);
        while let Some(id) = self.rooms.overdue(self.now) {
            assert!(self.absences[&id] <= self.now);
            self.part(id);
            self.reached.insert(Outcome::GivenUp);
        }
        assert!(self.rooms.next_deadline().is_none_or(|next| next > self.now));
    }

    fn deliver(&mut self, deliveries: Vec<Delivery>) {
        for Delivery { to, text } in deliveries {
            let is_to = |client: &&mut Client| client.membership.as_ref().is_some_and(|me| me.id == to);
            let absent = self.absences.contains_key(&to);
            let Some(client) = self.clients.iter_mut().find(is_to) else { continue };
            // A server that does not know of the loss writes on, to nobody.
            if !absent && text.json.starts_with(r#"{"type":"signal""#) {
                client.written += 1;
            }
            if let Some(line) = &mut client.line {
                line.push_back(text);
            }
        }
    }

    /// Holds what is true of all at any time.
    fn check(&self) {
        assert_eq!(self.rooms.members(), self.truth.len());
        assert_eq!(self.rooms.absent(), self.absences.len());
        assert!(self.rooms.rooms() <= LIMITS.rooms);
        for (id, room) in &self.truth {
            assert_eq!(self.rooms.place(*id), Some(&name(room)));
            assert!(self.in_room(room).count() <= LIMITS.in_one());
        }
        assert_eq!((self.rooms.viewers(), self.rooms.locked()), (self.viewers.len(), self.locked.len()));
        assert!(self.rooms.kept() <= LIMITS.kept_in_all);
    }

    /// Everyone who is connected hears everything there is; then all leave, and nothing is left
    /// behind.
    fn wind_down(&mut self) {
        for n in 0..CLIENTS {
            while self.hear(n) {}
        }
        let present: Vec<&Membership> = self
            .clients
            .iter()
            .filter(|client| client.line.is_some())
            .filter_map(|client| client.membership.as_ref())
            .collect();
        for me in &present {
            assert_eq!(me.heard, self.said[&me.id].len() as u64, "nothing was lost");
            let others: BTreeSet<String> = self.seen_by(me.id).iter().map(ToString::to_string).collect();
            assert_eq!(me.peers.keys().cloned().collect::<BTreeSet<_>>(), others, "who is there is known");
            assert_eq!(me.host, self.host(&me.room).map(|id| id.to_string()), "so is the host");
            assert_eq!(me.locked, self.locked.contains(&me.room), "and the lock");
            for peer in present.iter().filter(|peer| others.contains(&peer.id.to_string())) {
                let roles = [me.peers[&peer.id.to_string()], peer.peers[&me.id.to_string()]];
                assert_ne!(roles[0], roles[1], "exactly one of two is polite");
            }
        }
        for (id, _) in self.truth.clone() {
            self.part(id);
        }
        assert_eq!((self.rooms.rooms(), self.rooms.members(), self.rooms.absent()), (0, 0, 0));
        assert_eq!((self.rooms.kept(), self.rooms.next_deadline()), (0, None));
    }

    fn connected(&self, n: usize) -> Option<MemberId> {
        let client = &self.clients[n];
        client.membership.as_ref().filter(|_| client.line.is_some()).map(|me| me.id)
    }

    fn room_of(&self, id: MemberId) -> Option<&String> {
        self.truth.iter().find(|(other, _)| *other == id).map(|(_, room)| room)
    }

    /// The member that is there longest, viewers aside.
    fn host(&self, room: &str) -> Option<MemberId> {
        self.in_room(room).find(|id| !self.viewers.contains(id))
    }

    /// The others that a member knows of, in order of arrival.
    fn seen_by(&self, id: MemberId) -> Vec<MemberId> {
        let is_viewer = self.viewers.contains(&id);
        let room = self.room_of(id).unwrap();
        self.in_room(room)
            .filter(|other| *other != id && !(is_viewer && self.viewers.contains(other)))
            .collect()
    }

    fn in_room(&self, room: &str) -> impl Iterator<Item = MemberId> {
        self.truth.iter().filter(move |(_, other)| other == room).map(|(id, _)| *id)
    }
}

fn name(room: &str) -> RoomName {
    RoomName::new(room.to_owned()).unwrap()
}

/// Four clients share one; the third is a proxy, which may have all.
fn network(n: usize) -> ClientNetwork {
    let n = u8::try_from(n / 4).unwrap();
    ClientNetwork::of(if n == 2 { [127, 0, 0, 1] } else { [192, 0, 2, n] }.into())
}

fn host_of(id: MemberId, role: Role, peers: &[Peer]) -> Option<String> {
    let other = peers.iter().find(|peer| peer.host).map(|peer| peer.id.to_string());
    if role == Role::Host { Some(id.to_string()) } else { other }
}

fn known(peers: &[Peer]) -> BTreeMap<String, bool> {
    peers.iter().map(|peer| (peer.id.to_string(), peer.polite)).collect()
}
