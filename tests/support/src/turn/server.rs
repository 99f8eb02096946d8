//! Shards of one server, driven as the data plane drives them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use byway_turn::address_set::AddressSet;
use byway_turn::auth::{Revocations, Secrets};
use byway_turn::server::{
    Account, Action, AllocationId, Answer, BindError, Discovery, DropReason, Effect, FiveTuple,
    HostAddresses, Pairing, PeerPolicy, Quota, Record, Relay, RelayAddress, RelayId, Settings, Shared,
    Transport, Usage,
};
use byway_turn::time::Now;
use byway_turn::wire::{AddressFamily, ChannelNumber, Icmp, Reply};
use ipnet::IpNet;

use super::{at, seconds};

/// Realm of all servers in virtual time.
pub const REALM: &str = "example.org";
/// Secrets of their credentials.
pub const SECRETS: [&str; 2] = ["north", "south"];

/// Observed outcome of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The client received this reply.
    Reply(SocketAddr, Answer, Vec<u8>),
    /// The peer received a payload.
    ToPeer {
        /// Address of the relay socket.
        from: SocketAddr,
        /// Address of the peer.
        peer: SocketAddr,
        /// Payload.
        payload: Vec<u8>,
    },
    /// The peer received a payload, in a packet with DF set.
    ToPeerWhole {
        /// Address of the relay socket.
        from: SocketAddr,
        /// Address of the peer.
        peer: SocketAddr,
        /// Payload.
        payload: Vec<u8>,
    },
    /// The client received this message.
    ToClient(SocketAddr, Vec<u8>),
    /// The server has requested the bind of a relay socket, and the result is pending.
    Waiting,
    /// The server dropped it.
    Dropped(DropReason),
}

/// Outcome of the next bind of a relay socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// Succeeds.
    Works,
    /// Fails with this error.
    Fails(BindError),
    /// Stays pending until [`Server::answer_bind`].
    Hangs,
}

/// One or more shards and their shared state. It acts as the driver and checks that every effect is
/// consistent with the effects before it.
pub struct Server {
    /// Revoked credentials.
    pub revocations: Arc<Revocations>,
    /// State that the shards share.
    pub shared: Arc<Shared>,
    /// Current time.
    pub now: Now,
    shards: Vec<Relay>,
    /// Relay sockets with their latest addresses.
    sockets: BTreeMap<(usize, RelayId), SocketAddr>,
    /// Announced channels, by shard, allocation and number, with the relay sockets that carry them.
    channels: BTreeMap<(usize, AllocationId, ChannelNumber), RelayId>,
    /// Results of the next binds; after the last, binds succeed.
    pub binds: VecDeque<Bind>,
    hanging: VecDeque<(usize, RelayId, Option<SocketAddr>)>,
    /// Sockets that are held in reserve.
    reserved: BTreeSet<SocketAddr>,
    /// Number of ports that were reused before their rest was over.
    pub unrested: usize,
    /// Listener of the last reply, and its address.
    pub replied_from: Option<(IpAddr, Transport)>,
    /// Every address for which a bind was requested.
    pub tried: Vec<SocketAddr>,
}

/// Returns settings for a relay at these addresses. Its only quota is 1,000 allocations.
pub fn settings(addresses: Vec<RelayAddress>) -> Settings {
    Settings {
        realm: REALM.into(),
        secrets: Secrets::new(&SECRETS).unwrap(),
        users: Vec::new(),
        revocations: Arc::new(Revocations::new(&[9; 32])),
        strict_expiry: true,
        addresses,
        ports: 49_152..=65_535,
        port_rest: seconds(120),
        peer_policy: PeerPolicy {
            allow: vec![],
            deny: vec![],
            own: AddressSet::default(),
            listeners: vec![],
        },
        quota: Quota {
            allocations_per_user: 0,
            allocations_per_address: 0,
            bandwidth_per_allocation: 0,
            allocations: 1000,
            unauthenticated_per_second: 0,
        },
        discovery: Discovery::default(),
    }
}

fn listeners() -> Vec<SocketAddr> {
    ["0.0.0.0:3478", "[::]:3478", "45.0.0.1:443", "127.0.0.1:8080"].map(at).to_vec()
}

impl Server {
    /// Creates a server of one shard, at 45.0.0.1 and 2a0a::1, with ports 50000 to 50063.
    pub fn new() -> Self {
        Self::with(1, |_| {})
    }

    /// Creates a server of `shards` shards with changed settings.
    pub fn with(shards: u8, change: impl FnOnce(&mut Settings)) -> Self {
        let both = |ip: &str| RelayAddress { bind: ip.parse().unwrap(), public: ip.parse().unwrap() };
        let mut settings = settings(vec![both("45.0.0.1"), both("2a0a::1")]);
        settings.ports = 50_000..=50_063;
        settings.peer_policy.own =
            ["45.0.0.1", "2a0a::1"].map(|ip| ip.parse::<IpAddr>().unwrap()).into_iter().collect();
        settings.peer_policy.listeners = listeners();
        change(&mut settings);
        let revocations = settings.revocations.clone();
        let shared = Shared::new(settings, &[1; 32]);
        Self {
            revocations,
            shared: Arc::clone(&shared),
            now: Now { mono: seconds(1000), unix: 1_763_640_000 },
            shards: (0..shards).map(|n| Relay::new(Arc::clone(&shared), &[n; 32])).collect(),
            sockets: BTreeMap::new(),
            channels: BTreeMap::new(),
            binds: VecDeque::new(),
            hanging: VecDeque::new(),
            reserved: BTreeSet::new(),
            unrested: 0,
            replied_from: None,
            tried: Vec::new(),
        }
    }

    /// Ends all allocations of a name, as the data plane does when the name is revoked. Returns
    /// their number.
    pub fn end(&mut self, name: &str) -> usize {
        if !self.shared.has_any(name) {
            return 0;
        }
        let mut ended = 0;
        for shard in 0..self.shards.len() {
            ended += self.shards[shard].end_all_of(self.now, name);
            assert_eq!(self.drain(shard), None);
        }
        assert_eq!((self.shared.allocations_of(name), self.shared.has_any(name)), (0, false));
        ended
    }

    /// Changes the machine's addresses to `own` (which may contain ranges) and the relay's to
    /// `relays`, and tells every shard. Returns the number of relayed addresses that ended.
    pub fn on_machine(&mut self, own: &str, relays: &str) -> usize {
        self.learn(own, relays);
        self.enforce()
    }

    /// Changes the addresses without telling the shards.
    pub fn learn(&mut self, own: &str, relays: &str) {
        let relay = |pair: &str| {
            let (bind, public) = pair.split_once("->").unwrap_or((pair, pair));
            RelayAddress { bind: bind.parse().unwrap(), public: public.parse().unwrap() }
        };
        let relays: Vec<RelayAddress> = relays.split_whitespace().map(relay).collect();
        self.shared.set_host_addresses(HostAddresses {
            own: own.split_whitespace().map(|net| net.parse::<IpNet>().unwrap()).collect(),
            lacks_relay: relays.len() < 2,
            relays,
            listeners: listeners(),
            discovery: Discovery::default(),
        });
    }

    /// Tells every shard that the machine's addresses have changed. Returns the number of relayed
    /// addresses that ended.
    pub fn enforce(&mut self) -> usize {
        let mut ended = 0;
        for shard in 0..self.shards.len() {
            ended += self.shards[shard].enforce(self.now);
            assert_eq!(self.drain(shard), None);
        }
        ended
    }

    /// Advances time, and fires the timer at each deadline.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now.after(by);
        while let Some(due) = self.next_deadline().filter(|due| *due <= end.mono) {
            self.now = self.now.after(due.saturating_sub(self.now.mono));
            self.expire();
        }
        self.now = end;
    }

    /// Advances time without firing the timer.
    pub fn advance_without_timer(&mut self, by: Duration) {
        self.now = self.now.after(by);
    }

    /// Fires the timer.
    pub fn expire(&mut self) {
        for shard in 0..self.shards.len() {
            self.shards[shard].expire(self.now);
            self.drain(shard);
        }
        assert!(
            self.next_deadline().is_none_or(|due| due > self.now.mono),
            "an overdue deadline is a busy loop"
        );
    }

    /// Returns the next deadline of the timer.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.shards.iter().filter_map(Relay::next_deadline).min()
    }

    /// Delivers a datagram to the listener of a shard.
    pub fn client_datagram(&mut self, shard: usize, five_tuple: FiveTuple, datagram: &[u8]) -> Seen {
        let mut reply = Reply::new();
        let action = self.shards[shard].client_datagram(self.now, five_tuple, datagram, &mut reply);
        if let Action::Reply { five_tuple, .. } = action {
            self.replied_from = Some((five_tuple.server, five_tuple.transport));
        }
        match (action, self.drain(shard)) {
            (Action::Wait, Some(answered)) => answered,
            (Action::Wait, None) => Seen::Waiting,
            (action, None) => self.see(shard, action, &reply, datagram),
            (action, Some(answered)) => panic!("{action:?} and a second answer: {answered:?}"),
        }
    }

    /// Delivers a datagram to the relay socket that is bound at `relay`.
    pub fn peer_datagram(&mut self, relay: SocketAddr, source: SocketAddr, payload: &[u8]) -> Seen {
        let (shard, relay) = self.socket_at(relay).expect("no relay socket is bound there");
        let action = self.shards[shard].peer_datagram(self.now, relay, source, payload.len());
        assert_eq!(self.drain(shard), None);
        self.see(shard, action, &Reply::new(), payload)
    }

    /// Reports an ICMP error for a datagram from the relay socket at `relay` to `peer`.
    pub fn peer_unreachable(&mut self, relay: SocketAddr, peer: SocketAddr, icmp: Icmp) -> Seen {
        let (shard, id) = self.socket_at(relay).expect("no relay socket is bound there");
        let mut reply = Reply::new();
        let action = self.shards[shard].peer_unreachable(self.now, id, peer, icmp, &mut reply);
        assert_eq!(self.drain(shard), None);
        self.see(shard, action, &reply, &[])
    }

    /// Completes the oldest pending bind.
    pub fn answer_bind(&mut self, bound: Result<(), BindError>) -> Seen {
        let (shard, relay, next) = self.hanging.pop_front().expect("no bind hangs");
        let seen = self.relay_bound(shard, relay, next, bound);
        match (seen, self.drain(shard)) {
            (Seen::Waiting, Some(answered)) => answered,
            (seen, _) => seen,
        }
    }

    /// Reports the result of a bind to the shard. On success, the `next` socket is bound, too.
    fn relay_bound(
        &mut self,
        shard: usize,
        relay: RelayId,
        next: Option<SocketAddr>,
        bound: Result<(), BindError>,
    ) -> Seen {
        // A driver that binds in the background closes both sockets if the allocation has ended
        // meanwhile.
        if bound.is_ok() && self.sockets.contains_key(&(shard, relay)) {
            self.reserved.extend(next);
        }
        let mut reply = Reply::new();
        let action = self.shards[shard].relay_bound(self.now, relay, bound, &mut reply);
        self.see(shard, action, &reply, &[])
    }

    /// Makes every shard keep accounting records.
    pub fn keep_records(&mut self) {
        self.shards.iter_mut().for_each(Relay::keep_records);
    }

    /// Takes the accounting records of all shards.
    pub fn records(&mut self) -> Vec<Record> {
        self.shards.iter_mut().flat_map(|shard| std::iter::from_fn(|| shard.next_record())).collect()
    }

    /// Returns the description of every live allocation, asked for in pages of `page`.
    pub fn accounts(&self, page: usize) -> Vec<Account<'_>> {
        let mut accounts = Vec::new();
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(first) = next {
                let (some, more) = shard.accounts(first, page);
                accounts.extend(some);
                next = more;
            }
        }
        accounts
    }

    /// Returns the traffic of the only allocation of a name.
    pub fn usage(&self, name: &str) -> Usage {
        let mut accounts = self.accounts(1000).into_iter().filter(|account| account.name == name);
        let usage = accounts.next().expect("the name has an allocation").usage;
        assert!(accounts.next().is_none(), "the name has one allocation");
        usage
    }

    /// Does something to a shard, and carries out the effects.
    pub fn on_shard<T>(&mut self, shard: usize, act: impl FnOnce(&mut Relay, Now) -> T) -> T {
        let done = act(&mut self.shards[shard], self.now);
        assert_eq!(self.drain(shard), None);
        done
    }

    /// Returns the number of allocations of all shards, whether expired or not.
    pub fn allocations(&self) -> usize {
        let allocations = self.shards.iter().map(Relay::allocations).sum();
        assert_eq!(self.shared.allocations(), allocations, "the quota counts them, too");
        allocations
    }

    /// Returns the addresses of the open relay sockets.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        self.sockets.values().copied().collect()
    }

    /// Returns the addresses of the sockets that are held in reserve.
    pub fn reserved(&self) -> Vec<SocketAddr> {
        self.reserved.iter().copied().collect()
    }

    /// Returns the number of channels that a data path below this one would carry.
    pub fn announced_channels(&self) -> usize {
        self.channels.len()
    }

    fn socket_at(&self, relay: SocketAddr) -> Option<(usize, RelayId)> {
        self.sockets.iter().find(|(_, address)| **address == relay).map(|(owner, _)| *owner)
    }

    /// Carries out the effects in order, and returns a reply to a client, if any.
    fn drain(&mut self, shard: usize) -> Option<Seen> {
        let mut answered = None;
        while let Some(effect) = self.shards[shard].next_effect() {
            match effect {
                Effect::BindRelay { relay, address, pairing, unrested } => {
                    assert_eq!(AddressFamily::of(address.ip()), relay.family);
                    self.tried.push(address);
                    self.sockets.insert((shard, relay), address);
                    let others = self.sockets.values().filter(|other| **other == address).count();
                    assert_eq!(others, 1, "{address} belongs to one allocation");
                    self.unrested += usize::from(unrested);
                    assert_eq!(self.reserved.remove(&address), pairing == Pairing::Held, "{address} is held");
                    let next = (pairing == Pairing::WithNext)
                        .then(|| SocketAddr::new(address.ip(), address.port() + 1));
                    let is_held = |next| self.reserved.contains(next) || self.socket_at(*next).is_some();
                    assert!(!next.as_ref().is_some_and(is_held), "the port above is free");
                    let bound = match self.binds.pop_front().unwrap_or(Bind::Works) {
                        Bind::Works => Ok(()),
                        Bind::Fails(error) => Err(error),
                        Bind::Hangs => {
                            self.hanging.push_back((shard, relay, next));
                            continue;
                        }
                    };
                    let seen = self.relay_bound(shard, relay, next, bound);
                    assert_eq!(answered, None, "an Allocate request is answered once");
                    answered = Some(seen).filter(|seen| *seen != Seen::Waiting);
                }
                Effect::CloseRelay { relay } => {
                    assert!(
                        self.sockets.remove(&(shard, relay)).is_some(),
                        "closed a socket that was not open"
                    );
                    let mut carried = self.channels.iter().map(|(channel, relay)| (channel.0, *relay));
                    let left = carried.any(|carried| carried == (shard, relay));
                    assert!(!left, "channels are unbound before their relay socket closes");
                }
                Effect::CloseReserved { address } => {
                    assert!(self.reserved.remove(&address), "closed a socket that was not held");
                }
                Effect::ChannelBound { allocation, number, peer } => {
                    let relay = RelayId { allocation, family: AddressFamily::of(peer.address().ip()) };
                    assert!(self.sockets.contains_key(&(shard, relay)), "a channel needs a relay socket");
                    let before = self.channels.insert((shard, allocation, number), relay);
                    assert_eq!(before, None, "a channel is bound once");
                }
                Effect::ChannelUnbound { allocation, number } => {
                    let bound = self.channels.remove(&(shard, allocation, number));
                    assert!(bound.is_some(), "unbound a channel that was not bound");
                }
            }
        }
        answered
    }

    fn see(&self, shard: usize, action: Action, reply: &Reply, datagram: &[u8]) -> Seen {
        match action {
            Action::Reply { five_tuple, answer } => {
                Seen::Reply(five_tuple.client, answer, reply.as_bytes().to_vec())
            }
            Action::ToPeer { relay, peer, payload, dont_fragment } => {
                let (from, peer) = (self.sockets[&(shard, relay)], peer.address());
                let payload = datagram[payload.range()].to_vec();
                if dont_fragment {
                    Seen::ToPeerWhole { from, peer, payload }
                } else {
                    Seen::ToPeer { from, peer, payload }
                }
            }
            Action::ToClient { five_tuple, encapsulation, payload } => {
                let header = encapsulation.around(payload.len()).expect("an Action guarantees that it fits");
                Seen::ToClient(five_tuple.client, header.with(&datagram[payload.range()]))
            }
            Action::Wait => Seen::Waiting,
            Action::Drop(reason) => Seen::Dropped(reason),
        }
    }
}
