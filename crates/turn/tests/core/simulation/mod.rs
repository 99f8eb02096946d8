//! Random seeded operations of many clients over two shards. An independent model predicts every
//! outcome.
//!
//! `BYWAY_SEED=17 cargo test --test core simulation` replays one run; a failure prints its seed.

mod model;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use byway_test_support::turn::{Bind, Client, Request, Response, Seen, Server, at, channel_data, seconds};
use byway_turn::auth::MemberId;
use byway_turn::server::BindError;
use ipnet::IpNet;
use stun::attributes::{ATTR_EVEN_PORT, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_RESERVATION_TOKEN};

use model::{Delivery, Families, Model, PORTS, Port};

const CLIENTS: usize = 12;
const STEPS: usize = 1500;
const OUTSIDE: [&str; 5] = ["8.8.8.1:53", "8.8.8.1:54", "8.8.8.2:53", "[2a00::8]:53", "[2a00::9]:53"];
const CLOSED: [&str; 4] = ["10.0.0.1:9", "45.0.0.1:3478", "45.0.0.1:49999", "[fe80::1]:9"];

#[test]
fn simulation() {
    match std::env::var("BYWAY_SEED") {
        Ok(seed) => drop(run(seed.parse().expect("BYWAY_SEED is a number"))),
        Err(_) => {
            let mut reached: BTreeSet<Outcome> = (0..100).flat_map(run).collect();
            for code in [0, 400, 401, 403, 437, 441, 443, 486, 508] {
                assert!(reached.remove(&Outcome::Code(code)), "{code} never happened");
            }
            let others = [
                Outcome::ToPeer,
                Outcome::OnChannel,
                Outcome::InData,
                Outcome::Dropped,
                Outcome::Dual,
                Outcome::Lacking,
                Outcome::Revoked,
                Outcome::Claimed,
                Outcome::Unrested,
                Outcome::Closed,
            ];
            assert_eq!(reached.into_iter().collect::<Vec<_>>(), others, "exactly these events");
        }
    }
}

/// Events of a run. All of them must occur, because a run without them proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Code(u16),
    ToPeer,
    OnChannel,
    InData,
    Dropped,
    /// An allocation with two relayed transport addresses.
    Dual,
    /// An allocation with one of the two requested addresses.
    Lacking,
    /// An allocation that ended because its name left.
    Revoked,
    /// An allocation on a port that was held in reserve.
    Claimed,
    /// An allocation on a port that had not rested.
    Unrested,
    /// A permission or channel that ended because its peer became the machine's own.
    Closed,
}

fn run(seed: u64) -> BTreeSet<Outcome> {
    let named = NamedOnFailure(seed);
    let mut simulation = Simulation::new(seed);
    for _ in 0..STEPS {
        simulation.step();
        simulation.check();
    }
    simulation.wind_down();
    drop(named);
    simulation.reached
}

/// Prints the seed that replays a failure.
struct NamedOnFailure(u64);

impl Drop for NamedOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with BYWAY_SEED={}", self.0);
        }
    }
}

/// SplitMix64: sufficiently random, and the same on every machine.
struct Prng(u64);

impl Prng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

struct Simulation {
    random: Prng,
    server: Server,
    model: Model,
    clients: Vec<Client>,
    /// Members whose names are in the clients' credentials; the first four clients have the first
    /// name.
    members: [MemberId; 3],
    /// Names that have left and that the shards do not know of yet.
    leaving: Vec<String>,
    /// Tokens that were issued, valid or not.
    tokens: Vec<(Vec<u8>, Port)>,
    reached: BTreeSet<Outcome>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let server = Server::with(2, |settings| {
            settings.ports = PORTS;
            settings.quota.allocations_per_user = 3;
            settings.quota.allocations = 8;
            settings.strict_expiry = seed.is_multiple_of(2);
        });
        let members = [(); 3].map(|()| server.revocations.enter());
        let mut simulation = Self {
            random: Prng(seed),
            server,
            model: Model::new(seed.is_multiple_of(2)),
            clients: Vec::new(),
            members,
            leaving: Vec::new(),
            tokens: Vec::new(),
            reached: BTreeSet::new(),
        };
        simulation.clients = (0..CLIENTS).map(|n| simulation.client(n)).collect();
        simulation
    }

    /// Returns a client with a new credential that is valid for one hour.
    fn client(&mut self, n: usize) -> Client {
        let name = format!("room.{}", self.members[n / 4]);
        self.model.issued(n, &name, self.server.now.mono + seconds(3600));
        Client::on(n % 2, &self.server, &format!("203.0.113.9:{}", 5000 + n), &name)
    }

    fn step(&mut self) {
        let n = self.random.below(CLIENTS);
        match self.random.below(22) {
            0..=2 => self.allocate(n),
            3 => self.refresh(n),
            4 => self.someone_elses_refresh(n),
            5..=7 => self.permission(n),
            8..=10 => self.channel_bind(n),
            11..=12 => self.send(n),
            13..=15 => self.channel_data(n),
            16..=17 => self.peer_datagram(),
            18 => self.leave(),
            19 => self.own_addresses(),
            _ => self.pass_time(),
        }
    }

    /// Makes some peers' addresses the machine's own, and others no longer.
    fn own_addresses(&mut self) {
        let mut own: Vec<IpAddr> = OUTSIDE.iter().map(|peer| at(peer).ip()).collect();
        own.retain(|_| self.random.one_in(4));
        let nets: Vec<String> = own.iter().map(|ip| IpNet::from(*ip).to_string()).collect();
        let relays = "45.0.0.1 2a0a::1";
        assert_eq!(self.server.on_machine(&nets.join(" "), relays), 0, "no relay address is lost");
        let ended = self.model.becomes_own(own, self.server.now.mono);
        self.reached.extend((ended > 0).then_some(Outcome::Closed));
    }

    /// A member may leave and return under a new name. The shards may learn of earlier departures.
    fn leave(&mut self) {
        if self.random.one_in(4) {
            let who = self.random.below(3);
            let name = format!("room.{}", self.members[who]);
            self.server.revocations.leave(self.members[who]);
            self.model.left(&name);
            self.leaving.push(name);
            self.members[who] = self.server.revocations.enter();
        }
        if self.random.one_in(3) {
            for name in std::mem::take(&mut self.leaving) {
                let ended = self.server.end(&name);
                assert_eq!(ended, self.model.end_all_of(&name, self.server.now.mono));
                self.reached.extend((ended > 0).then_some(Outcome::Revoked));
            }
        }
    }

    /// Sends a request by `n`. Usually renews its credential first if it has no allocation.
    fn ask(&mut self, n: usize, request: &Request) -> Response {
        let now = self.server.now.mono;
        self.model.sweep_one(n, now);
        if !self.model.is_live(n, now) && !self.random.one_in(20) {
            self.clients[n] = self.client(n);
        }
        let response = self.clients[n].ask(&mut self.server, request);
        self.reached.insert(Outcome::Code(response.code()));
        response
    }

    fn peer(&mut self) -> SocketAddr {
        let relayed: Vec<SocketAddr> = self.model.relayed().collect();
        match self.random.below(8) {
            0..=2 if !relayed.is_empty() => relayed[self.random.below(relayed.len())],
            3 => at(CLOSED[self.random.below(CLOSED.len())]),
            _ => at(OUTSIDE[self.random.below(OUTSIDE.len())]),
        }
    }

    fn allocate(&mut self, n: usize) {
        let (base, families) = match self.random.below(6) {
            0..=2 => (Request::allocate(), Families::V4),
            3 => (Request::allocate_v6(), Families::V6),
            _ => (Request::allocate_dual(), Families::Both),
        };
        let (request, port) = match self.random.below(6) {
            0 => (base.with(ATTR_EVEN_PORT, &[0]), Port::Even { reserve: false }),
            1 => (base.with(ATTR_EVEN_PORT, &[0x80]), Port::Even { reserve: true }),
            2 if !self.tokens.is_empty() && families != Families::V6 => {
                let (token, port) = &self.tokens[self.random.below(self.tokens.len())];
                (base.with(ATTR_RESERVATION_TOKEN, token), *port)
            }
            _ => (base, Port::Any),
        };
        let lifetime = self.random.below(4000);
        let fails = self.random.one_in(6).then(|| self.random.below(2));
        self.server.binds.extend(fails.into_iter().flat_map(|works| {
            std::iter::repeat_n(Bind::Works, works).chain([Bind::Fails(BindError::PortInUse)])
        }));
        self.server.tried.clear();

        let response = self.ask(n, &request.lifetime(u32::try_from(lifetime).unwrap()));
        self.server.binds.clear();
        let tried = std::mem::take(&mut self.server.tried);
        let now = self.server.now.mono;
        let unrested = std::mem::take(&mut self.server.unrested) > 0;
        let foretold = self.model.allocate(n, now, families, port, fails, &tried);
        if !tried.is_empty() {
            assert_eq!(unrested, self.model.gave_unrested);
        }
        self.model.gave_unrested = false;
        self.reached.extend(unrested.then_some(Outcome::Unrested));
        let lacking = response.address_error().map(|(family, code)| (family == 2, code));
        let answered = if response.code() == 0 { Ok(lacking) } else { Err(response.code()) };
        let foretold = foretold.map(|lacking| lacking.map(|v6| (v6, 508)));
        assert_eq!(answered, foretold, "{families:?}, {port:?}, tried {tried:?}");
        if response.code() == 0 {
            self.model.granted(n, &response.all_relayed(), now, response.lifetime());
            self.reached.extend(lacking.map(|_| Outcome::Lacking));
            self.reached.extend((response.all_relayed().len() == 2).then_some(Outcome::Dual));
            self.reached.extend(matches!(port, Port::Reserved(..)).then_some(Outcome::Claimed));
            if response.kinds().contains(&ATTR_RESERVATION_TOKEN) {
                let port = Port::Reserved(model::next_port(response.relayed()), now);
                self.tokens.push((response.get(ATTR_RESERVATION_TOKEN), port));
            }
        }
    }

    fn refresh(&mut self, n: usize) {
        let lifetime =
            if self.random.one_in(3) { 0 } else { u32::try_from(self.random.below(4000)).unwrap() };
        let v6 = [None, None, Some(false), Some(true)][self.random.below(4)];
        let request = Request::refresh(lifetime);
        let request = match v6 {
            Some(v6) => request.with(ATTR_REQUESTED_ADDRESS_FAMILY, &[1 + u8::from(v6), 0, 0, 0]),
            None => request,
        };
        let response = self.ask(n, &request);
        let foretold = self.model.refresh(n, self.server.now.mono, v6, lifetime);
        let answered = if response.code() == 0 { Ok(response.lifetime()) } else { Err(response.code()) };
        assert_eq!(answered, foretold);
    }

    fn someone_elses_refresh(&mut self, n: usize) {
        self.model.sweep_one(n, self.server.now.mono);
        let mut thief = Client::on(n % 2, &self.server, &format!("203.0.113.9:{}", 5000 + n), "mallory");
        let code = if self.model.is_live(n, self.server.now.mono) { 441 } else { 437 };
        assert_eq!(thief.refused(&mut self.server, &Request::refresh(0)), code);
        self.reached.insert(Outcome::Code(code));
    }

    fn permission(&mut self, n: usize) {
        let peers: Vec<SocketAddr> = (0..=self.random.below(3)).map(|_| self.peer()).collect();
        let more = peers[1..].iter().fold(Request::permission(peers[0]), |request, peer| request.peer(*peer));
        let code = self.ask(n, &more).code();
        assert_eq!(code, self.model.permission(n, self.server.now.mono, &peers), "{peers:?}");
    }

    fn channel_bind(&mut self, n: usize) {
        let (number, peer) = (self.number(), self.peer());
        let code = self.ask(n, &Request::channel_bind(number, peer)).code();
        assert_eq!(
            code,
            self.model.channel_bind(n, self.server.now.mono, number, peer),
            "{number:#x} {peer}"
        );
    }

    fn number(&mut self) -> u16 {
        0x4000 + u16::try_from(self.random.below(5)).unwrap()
    }

    fn send(&mut self, n: usize) {
        let peer = self.peer();
        let seen = self.clients[n].send_unsigned(&mut self.server, &Request::send(peer, b"payload"));
        let foretold = self.model.send(n, self.server.now.mono, peer);
        self.compare(&seen, foretold);
    }

    fn channel_data(&mut self, n: usize) {
        let number = self.number();
        let seen = self.clients[n].send_on(&mut self.server, number, b"payload");
        let foretold = self.model.channel_data(n, self.server.now.mono, number);
        self.compare(&seen, foretold);
    }

    fn peer_datagram(&mut self) {
        let sockets = self.server.sockets();
        if sockets.is_empty() {
            return;
        }
        let relayed = sockets[self.random.below(sockets.len())];
        let source = at([OUTSIDE[self.random.below(5)], CLOSED[self.random.below(4)]][self.random.below(2)]);
        let seen = self.server.peer_datagram(relayed, source, b"payload");
        let foretold = self.model.peer_datagram(relayed, self.server.now.mono, source);
        self.compare(&seen, foretold);
    }

    fn compare(&mut self, seen: &Seen, foretold: Option<Delivery>) {
        let outcome = match (seen, foretold) {
            (Seen::Dropped(_), None) => Outcome::Dropped,
            (Seen::ToPeer { from, peer, payload }, Some(Delivery::Peer(by, to))) => {
                assert_eq!((*from, *peer, &payload[..]), (by, to, &b"payload"[..]));
                Outcome::ToPeer
            }
            (Seen::ToClient(to, bytes), Some(Delivery::Client(n, Some(number), _))) => {
                assert_eq!(
                    (*to, &bytes[..]),
                    (self.clients[n].address(), &channel_data(number, b"payload")[..])
                );
                Outcome::OnChannel
            }
            (Seen::ToClient(to, bytes), Some(Delivery::Client(n, None, peer))) => {
                let data = Response::read(bytes);
                let expected = (self.clients[n].address(), peer, b"payload".to_vec());
                assert_eq!((*to, data.peer(), data.data()), expected);
                Outcome::InData
            }
            (seen, foretold) => panic!("{seen:?}, but the model predicted {foretold:?}"),
        };
        self.reached.insert(outcome);
    }

    /// Advances time by some seconds; the timer may be late.
    fn pass_time(&mut self) {
        let by = [1, 10, 60, 150, 300][self.random.below(5)];
        let from = self.server.now.mono;
        if self.random.one_in(4) {
            self.server.advance_without_timer(seconds(by));
        } else {
            self.server.advance(seconds(by));
            self.model.sweep(from, self.server.now.mono);
        }
    }

    /// Checks the invariants after every step.
    fn check(&self) {
        assert_eq!(self.server.allocations(), self.model.len());
        let mut sockets = self.server.sockets();
        sockets.sort_unstable();
        let mut relayed: Vec<SocketAddr> = self.model.relayed().collect();
        relayed.sort_unstable();
        assert_eq!(sockets, relayed, "one open socket for each relayed transport address");
        assert!(self.model.reserved().eq(self.server.reserved()), "one open socket for each reserved port");
        let has_none = self.model.len() == 0 && self.server.reserved().is_empty();
        assert!(
            has_none || self.server.next_deadline().is_some(),
            "every allocation and reservation has a deadline"
        );
    }

    /// Ends everything, then checks that each port and each place in the quota is available again.
    fn wind_down(&mut self) {
        self.server.advance(seconds(2 * 3600));
        assert_eq!((self.server.allocations(), self.server.announced_channels()), (0, 0));
        assert_eq!((self.server.sockets().len(), self.server.next_deadline()), (0, None));
        assert!(self.server.reserved().is_empty());
        for request in [Request::allocate(), Request::allocate_v6()] {
            for n in PORTS {
                let address = format!("203.0.113.200:{}", n - PORTS.start() + 1);
                let mut client = Client::new(&self.server, &address, &format!("name {}", n / 3));
                client.granted(&mut self.server, &request);
            }
            self.server.advance(seconds(601));
        }
    }
}
