//! What a relay ought to do, written down a second time and as simply as can be: lists, whole seconds, no indices.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::support::{at, seconds};

pub(super) const PORTS: RangeInclusive<u16> = 50_000..=50_007;
const REST: Duration = Duration::from_secs(120);
const FOREVER: Duration = Duration::MAX;

/// Which port an Allocate request asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    Any,
    Even {
        reserve: bool,
    },
    /// This one, reserved at that time.
    Reserved(SocketAddr, Duration),
}

/// Where a payload goes.
#[derive(Debug)]
pub(super) enum Delivery {
    /// From this relay socket to this peer.
    Peer(SocketAddr, SocketAddr),
    /// To this client, on this channel if there is one, as from this peer.
    Client(usize, Option<u16>, SocketAddr),
}

#[derive(Default)]
pub(super) struct Model {
    allocations: BTreeMap<usize, Allocation>,
    /// Ports that are not free, until when.
    busy: BTreeMap<SocketAddr, Duration>,
    reservations: BTreeMap<SocketAddr, Duration>,
}

struct Allocation {
    name: &'static str,
    relayed: SocketAddr,
    began: Duration,
    expires: Duration,
    permissions: BTreeMap<IpAddr, Duration>,
    channels: Vec<(u16, SocketAddr, Duration)>,
}

impl Allocation {
    fn permits(&self, now: Duration, ip: IpAddr) -> bool {
        now < self.expires && self.permissions.get(&ip).is_some_and(|until| now < *until)
    }

    fn number_of(&self, now: Duration, peer: SocketAddr) -> Option<u16> {
        self.channels.iter().find(|(_, of, until)| *of == peer && now < *until).map(|(number, ..)| *number)
    }
}

impl Model {
    pub(super) fn len(&self) -> usize {
        self.allocations.len()
    }

    pub(super) fn relayed(&self) -> impl Iterator<Item = SocketAddr> {
        self.allocations.values().map(|allocation| allocation.relayed)
    }

    pub(super) fn is_live(&self, n: usize, now: Duration) -> bool {
        self.live(n, now).is_some()
    }

    fn live(&self, n: usize, now: Duration) -> Option<&Allocation> {
        self.allocations.get(&n).filter(|allocation| now < allocation.expires)
    }

    /// The timer has run from one time to another.
    pub(super) fn sweep(&mut self, from: Duration, to: Duration) {
        let over: Vec<usize> = self.allocations.keys().copied().filter(|n| !self.is_live(*n, to)).collect();
        for n in over {
            let at = self.allocations[&n].expires.max(from);
            self.end(n, at);
        }
    }

    /// A request finds its own allocation over.
    pub(super) fn sweep_one(&mut self, n: usize, now: Duration) {
        if !self.is_live(n, now) {
            self.end(n, now);
        }
    }

    fn end(&mut self, n: usize, now: Duration) {
        if let Some(allocation) = self.allocations.remove(&n) {
            self.busy.insert(allocation.relayed, now + REST);
        }
    }

    /// The answer to Allocate, given which addresses were tried on the way.
    #[expect(clippy::too_many_arguments, reason = "all of what the answer depends on")]
    pub(super) fn allocate(
        &mut self,
        n: usize,
        name: &'static str,
        now: Duration,
        v6: bool,
        port: Port,
        fails: bool,
        tried: &[SocketAddr],
    ) -> u16 {
        if self.is_live(n, now) {
            return 437;
        }
        if self.allocations.values().filter(|other| other.name == name).count() >= 3 {
            return 486;
        }
        if self.len() >= 8 {
            return 508;
        }
        self.busy.retain(|_, until| now < *until);
        self.reservations.retain(|_, until| now < *until);
        let free = |address: &SocketAddr| {
            PORTS.contains(&address.port())
                && !self.busy.contains_key(address)
                && !self.reservations.contains_key(address)
        };
        let ip = if v6 { "[2a0a::1]:0" } else { "45.0.0.1:0" };
        let candidates: Vec<SocketAddr> = match port {
            Port::Reserved(reserved, at) if self.reservations.get(&reserved) == Some(&(at + seconds(30))) => {
                self.reservations.remove(&reserved);
                vec![reserved]
            }
            Port::Reserved(..) => Vec::new(),
            _ => PORTS
                .map(|port| SocketAddr::new(at(ip).ip(), port))
                .filter(|address| match port {
                    Port::Even { reserve } => {
                        address.port().is_multiple_of(2)
                            && free(address)
                            && (!reserve || free(&next_port(*address)))
                    }
                    _ => free(address),
                })
                .collect(),
        };
        assert!(tried.iter().all(|address| candidates.contains(address)), "only free ports are tried");
        if candidates.is_empty() {
            return 508;
        }
        if let Port::Even { reserve: true } = port {
            self.reservations.insert(next_port(tried[0]), now + seconds(30));
        }
        let substitute = matches!(port, Port::Any) && candidates.len() > 1;
        if fails {
            self.busy.insert(tried[0], now + REST);
        }
        assert_eq!(tried.len(), if fails && substitute { 2 } else { 1 });
        if fails && !substitute {
            return 508;
        }
        self.allocations.insert(
            n,
            Allocation {
                name,
                relayed: tried[tried.len() - 1],
                began: now,
                expires: now,
                permissions: BTreeMap::new(),
                channels: Vec::new(),
            },
        );
        0
    }

    /// An allocation has begun.
    pub(super) fn granted(&mut self, n: usize, relayed: SocketAddr, now: Duration, lifetime: u32) {
        assert!((600..=3600).contains(&lifetime));
        self.busy.insert(relayed, FOREVER);
        self.allocations.get_mut(&n).unwrap().expires = now + seconds(lifetime.into());
    }

    pub(super) fn refresh(&mut self, n: usize, now: Duration, asked: u32) -> Option<u32> {
        let allocation = self.allocations.get_mut(&n)?;
        if asked == 0 {
            self.end(n, now);
            return Some(0);
        }
        let left = (allocation.began + seconds(24 * 3600) - now).as_secs();
        let lifetime = u64::from(asked.clamp(600, 3600)).min(left);
        allocation.expires = now + seconds(lifetime);
        Some(u32::try_from(lifetime).unwrap())
    }

    pub(super) fn permission(&mut self, n: usize, now: Duration, peers: &[SocketAddr]) -> u16 {
        let Some(allocation) = self.allocations.get_mut(&n) else { return 437 };
        for peer in peers {
            if peer.is_ipv4() != allocation.relayed.is_ipv4() {
                return 443;
            }
            if is_closed(peer.ip()) {
                return 403;
            }
        }
        allocation.permissions.extend(peers.iter().map(|peer| (peer.ip(), now + seconds(300))));
        0
    }

    pub(super) fn channel_bind(&mut self, n: usize, now: Duration, number: u16, peer: SocketAddr) -> u16 {
        let reachable = self.is_reachable(peer);
        let Some(allocation) = self.allocations.get_mut(&n) else { return 437 };
        if peer.is_ipv4() != allocation.relayed.is_ipv4() {
            return 443;
        }
        if !reachable {
            return 403;
        }
        allocation.channels.retain(|(.., until)| now < *until + seconds(300));
        let others = |channel: &&(u16, SocketAddr, Duration)| (channel.0 == number) != (channel.1 == peer);
        if allocation.channels.iter().any(|channel| others(&channel)) {
            return 400;
        }
        allocation.channels.retain(|channel| channel.0 != number);
        allocation.channels.push((number, peer, now + seconds(600)));
        allocation.permissions.insert(peer.ip(), now + seconds(300));
        0
    }

    pub(super) fn send(&self, n: usize, now: Duration, peer: SocketAddr) -> Option<Delivery> {
        let allocation = self.live(n, now)?;
        (allocation.permits(now, peer.ip()) && self.is_reachable(peer)).then_some(())?;
        self.outward(allocation, now, peer)
    }

    pub(super) fn channel_data(&self, n: usize, now: Duration, number: u16) -> Option<Delivery> {
        let allocation = self.live(n, now)?;
        let (_, peer, _) =
            allocation.channels.iter().find(|channel| channel.0 == number && now < channel.2)?;
        self.outward(allocation, now, *peer)
    }

    pub(super) fn peer_datagram(
        &self,
        relayed: SocketAddr,
        now: Duration,
        source: SocketAddr,
    ) -> Option<Delivery> {
        let (n, _) = self.allocations.iter().find(|(_, allocation)| allocation.relayed == relayed)?;
        self.is_reachable(source).then_some(())?;
        self.inward(*n, now, source)
    }

    fn outward(&self, from: &Allocation, now: Duration, peer: SocketAddr) -> Option<Delivery> {
        if !is_relay(peer.ip()) {
            return Some(Delivery::Peer(from.relayed, peer));
        }
        let (n, _) = self.allocations.iter().find(|(_, allocation)| allocation.relayed == peer)?;
        self.inward(*n, now, from.relayed)
    }

    /// Nothing reaches a client but from an address that it permits.
    fn inward(&self, n: usize, now: Duration, source: SocketAddr) -> Option<Delivery> {
        let allocation = self.live(n, now)?;
        let permitted = allocation.permits(now, source.ip());
        permitted.then(|| Delivery::Client(n, allocation.number_of(now, source), source))
    }

    fn is_reachable(&self, peer: SocketAddr) -> bool {
        !is_closed(peer.ip()) && (!is_relay(peer.ip()) || self.relayed().any(|relayed| relayed == peer))
    }
}

fn is_relay(ip: IpAddr) -> bool {
    ip == at("45.0.0.1:0").ip() || ip == at("[2a0a::1]:0").ip()
}

fn is_closed(ip: IpAddr) -> bool {
    ip == at("10.0.0.1:0").ip() || ip == at("[fe80::1]:0").ip()
}

/// The next higher port of the same address.
pub(super) fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + 1)
}
