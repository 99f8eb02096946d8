//! A second, deliberately simple implementation of a relay, with lists and whole seconds and
//! without indices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use byway_test_support::turn::{at, seconds};

pub(super) const PORTS: RangeInclusive<u16> = 50_000..=50_007;
const REST: Duration = Duration::from_secs(120);
const FOREVER: Duration = Duration::MAX;

/// Port that an Allocate request asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    Any,
    Even {
        reserve: bool,
    },
    /// This port, reserved at that time.
    Reserved(SocketAddr, Duration),
}

/// Families for which an Allocate request asks for addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Families {
    V4,
    V6,
    Both,
}

impl Families {
    fn addresses(self) -> &'static [&'static str] {
        match self {
            Self::V4 => &["45.0.0.1:0"],
            Self::V6 => &["[2a0a::1]:0"],
            Self::Both => &["45.0.0.1:0", "[2a0a::1]:0"],
        }
    }
}

/// Destination of a payload.
#[derive(Debug)]
pub(super) enum Delivery {
    /// From this relay socket to this peer.
    Peer(SocketAddr, SocketAddr),
    /// To this client, on this channel if it is bound, from this peer.
    Client(usize, Option<u16>, SocketAddr),
}

#[derive(Default)]
pub(super) struct Model {
    /// Whether an expired credential is also rejected for a living allocation.
    strict: bool,
    /// Name and expiry of each client's credential.
    credentials: BTreeMap<usize, (String, Duration)>,
    gone: BTreeSet<String>,
    /// The machine's own addresses, without the relay's.
    own: BTreeSet<IpAddr>,
    allocations: BTreeMap<usize, Allocation>,
    /// Ports that are in use or resting, with the end of that time.
    busy: BTreeMap<SocketAddr, Duration>,
    reservations: BTreeMap<SocketAddr, Reservation>,
    /// Whether a port had to be given that had not rested its time.
    pub(super) gave_unrested: bool,
}

/// A reserved port.
struct Reservation {
    until: Duration,
    name: String,
}

struct Allocation {
    name: String,
    /// One or two addresses, each with its own expiry.
    relayed: Vec<(SocketAddr, Duration)>,
    began: Duration,
    permissions: BTreeMap<IpAddr, Duration>,
    channels: Vec<(u16, SocketAddr, Duration)>,
}

impl Allocation {
    fn permits(&self, now: Duration, ip: IpAddr) -> bool {
        self.relayed_to(now, ip).is_some() && self.permissions.get(&ip).is_some_and(|until| now < *until)
    }

    fn has_family_of(&self, ip: IpAddr) -> bool {
        self.relayed.iter().any(|(address, _)| address.is_ipv4() == ip.is_ipv4())
    }

    fn relayed_to(&self, now: Duration, ip: IpAddr) -> Option<SocketAddr> {
        let (address, until) = self.relayed.iter().find(|(address, _)| address.is_ipv4() == ip.is_ipv4())?;
        (now < *until).then_some(*address)
    }

    fn number_of(&self, now: Duration, peer: SocketAddr) -> Option<u16> {
        self.channels.iter().find(|(_, of, until)| *of == peer && now < *until).map(|(number, ..)| *number)
    }
}

impl Model {
    pub(super) fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    /// Records a new credential of a client.
    pub(super) fn issued(&mut self, n: usize, name: &str, until: Duration) {
        self.credentials.insert(n, (name.to_owned(), until));
    }

    /// Records that a name has left, which makes it invalid.
    pub(super) fn left(&mut self, name: &str) {
        self.gone.insert(name.to_owned());
    }

    /// Changes the machine's own addresses; returns how many permissions and channels that ended.
    pub(super) fn becomes_own(&mut self, own: Vec<IpAddr>, now: Duration) -> usize {
        self.own = own.into_iter().collect();
        self.allocations.keys().copied().collect::<Vec<_>>().iter().for_each(|n| self.sweep_one(*n, now));
        let mut ended = 0;
        for allocation in self.allocations.values_mut() {
            let before = allocation.permissions.len();
            allocation.permissions.retain(|ip, _| !self.own.contains(ip));
            ended += before - allocation.permissions.len();
            for (_, peer, until) in &mut allocation.channels {
                if self.own.contains(&peer.ip()) && now < *until {
                    *until = now;
                    ended += 1;
                }
            }
        }
        ended
    }

    /// Ends all allocations and reservations of a name, as the shards do; returns the number of
    /// allocations.
    pub(super) fn end_all_of(&mut self, name: &str, now: Duration) -> usize {
        let has = |(n, allocation): (&usize, &Allocation)| (allocation.name == name).then_some(*n);
        let ended: Vec<usize> = self.allocations.iter().filter_map(has).collect();
        ended.iter().for_each(|n| self.end(*n, |_| Some(now)));
        self.end_reservations(|reservation| (reservation.name == name).then_some(now));
        ended.len()
    }

    /// Whether a client's request gets a 401. A Refresh that deletes a living allocation is exempt.
    fn is_refused(&self, n: usize, now: Duration) -> bool {
        let (name, until) = &self.credentials[&n];
        self.gone.contains(name) || (now >= *until && (self.strict || !self.is_live(n, now)))
    }

    pub(super) fn len(&self) -> usize {
        self.allocations.len()
    }

    pub(super) fn relayed(&self) -> impl Iterator<Item = SocketAddr> {
        self.allocations
            .values()
            .flat_map(|allocation| allocation.relayed.iter().map(|(address, _)| *address))
    }

    /// Returns the reserved ports.
    pub(super) fn reserved(&self) -> impl Iterator<Item = SocketAddr> {
        self.reservations.keys().copied()
    }

    pub(super) fn is_live(&self, n: usize, now: Duration) -> bool {
        self.live(n, now).is_some()
    }

    fn live(&self, n: usize, now: Duration) -> Option<&Allocation> {
        self.allocations.get(&n).filter(|allocation| allocation.relayed.iter().any(|(_, until)| now < *until))
    }

    /// Runs the timer from one time to another.
    pub(super) fn sweep(&mut self, from: Duration, to: Duration) {
        let all: Vec<usize> = self.allocations.keys().copied().collect();
        for n in all {
            self.end(n, |until| (until <= to).then_some(until.max(from)));
        }
        self.end_reservations(|Reservation { until, .. }| (*until <= to).then_some(from.max(*until)));
    }

    /// Ends reservations at the time that `when` returns. Their ports rest.
    fn end_reservations(&mut self, when: impl Fn(&Reservation) -> Option<Duration>) {
        let ends = |(address, reservation): (&SocketAddr, &Reservation)| Some((*address, when(reservation)?));
        let ended: Vec<_> = self.reservations.iter().filter_map(ends).collect();
        for (address, end) in ended {
            self.reservations.remove(&address);
            self.busy.insert(address, end + REST);
        }
    }

    /// Ends the addresses of `n` that have expired, as a request does that finds them.
    pub(super) fn sweep_one(&mut self, n: usize, now: Duration) {
        self.end(n, |until| (until <= now).then_some(now));
    }

    /// Ends the addresses of `n` at the time that `when` returns.
    fn end(&mut self, n: usize, when: impl Fn(Duration) -> Option<Duration>) {
        self.end_some(n, |_, until| when(until));
    }

    fn end_some(&mut self, n: usize, when: impl Fn(SocketAddr, Duration) -> Option<Duration>) {
        let Some(allocation) = self.allocations.get_mut(&n) else { return };
        for (address, until) in allocation.relayed.clone() {
            if let Some(end) = when(address, until) {
                self.busy.insert(address, end + REST);
                allocation.relayed.retain(|(other, _)| *other != address);
                allocation.permissions.retain(|ip, _| ip.is_ipv4() != address.is_ipv4());
                allocation.channels.retain(|(_, peer, _)| peer.is_ipv4() != address.is_ipv4());
            }
        }
        if allocation.relayed.is_empty() {
            self.allocations.remove(&n);
        }
    }

    /// Predicts the response to Allocate from the addresses that were tried. `Ok` contains the
    /// missing family, if any.
    pub(super) fn allocate(
        &mut self,
        n: usize,
        now: Duration,
        families: Families,
        port: Port,
        fails: Option<usize>,
        tried: &[SocketAddr],
    ) -> Result<Option<bool>, u16> {
        if self.is_refused(n, now) {
            return Err(401);
        }
        let (name, _) = self.credentials[&n].clone();
        if self.is_live(n, now) {
            return Err(437);
        }
        if families == Families::Both && matches!(port, Port::Reserved(..) | Port::Even { reserve: true }) {
            return Err(400);
        }
        let claimed = match port {
            Port::Reserved(address, at) => self
                .reservations
                .get(&address)
                .filter(|reservation| reservation.until == at + seconds(30) && now < reservation.until),
            _ => None,
        };
        let own = claimed.is_some_and(|reservation| reservation.name == name);
        let allocations = self.allocations.values().filter(|other| other.name == name).count();
        let reserved = self.reservations.values().filter(|other| other.name == name).count();
        let reserves = matches!(port, Port::Even { reserve: true });
        if allocations + reserved + usize::from(reserves) - usize::from(own) >= 3 {
            return Err(486);
        }
        let mut places = 8_usize.saturating_sub(self.relayed().count() + self.reservations.len());
        self.busy.retain(|_, until| now < *until);
        if let Port::Reserved(address, _) = port {
            // The reserved port has its place in the quota already.
            places = usize::from(claimed.is_some());
            if claimed.is_some() {
                self.reservations.remove(&address);
            }
        } else if reserves && places < 2 {
            places = 0;
        }
        // The bind that fails, counted over the families that have a port.
        let (mut had, mut bind, mut lacking) = (Vec::new(), 0, None);
        for ip in families.addresses() {
            let v6 = at(ip).is_ipv6();
            let is_of = |address: &&SocketAddr| address.is_ipv6() == v6 || families != Families::Both;
            let tried: Vec<SocketAddr> = tried.iter().filter(is_of).copied().collect();
            if places == 0 || self.candidates(ip, port).is_empty() {
                assert!(tried.is_empty());
                lacking = Some(v6);
                continue;
            }
            places -= 1;
            let fails = fails == Some(bind);
            bind += 1;
            match self.bind(now, ip, port, fails, &tried) {
                Some(address) => had.push((address, now)),
                None => lacking = Some(v6),
            }
        }
        if had.is_empty() {
            return Err(508);
        }
        if reserves {
            let reservation = Reservation { until: now + seconds(30), name: name.clone() };
            self.reservations.insert(next_port(had[0].0), reservation);
        }
        let (permissions, channels) = (BTreeMap::new(), Vec::new());
        self.allocations.insert(n, Allocation { name, relayed: had, began: now, permissions, channels });
        Ok(lacking)
    }

    /// Returns the ports that may be given: all that have rested, or else the one that has rested
    /// longest.
    fn candidates(&mut self, ip: &str, port: Port) -> Vec<SocketAddr> {
        if let Port::Reserved(reserved, _) = port {
            return vec![reserved];
        }
        let free_from = |address: SocketAddr| {
            let is_had = !PORTS.contains(&address.port()) || self.reservations.contains_key(&address);
            let until = self.busy.get(&address).copied().unwrap_or_default();
            (!is_had && until != FOREVER).then_some(until)
        };
        let available: Vec<(Duration, SocketAddr)> = PORTS
            .map(|port| SocketAddr::new(at(ip).ip(), port))
            .filter(|address| !matches!(port, Port::Even { .. }) || address.port().is_multiple_of(2))
            .filter_map(|address| match port {
                Port::Even { reserve: true } => {
                    Some((free_from(address)?.max(free_from(next_port(address))?), address))
                }
                _ => Some((free_from(address)?, address)),
            })
            .collect();
        let rested = |(until, _): &&(Duration, SocketAddr)| until.is_zero();
        let best: Vec<_> = match available.iter().any(|one| rested(&one)) {
            true => available.iter().filter(rested).collect(),
            false => available.iter().min().into_iter().collect(),
        };
        self.gave_unrested |= best.iter().any(|one| !rested(one));
        best.into_iter().map(|(_, address)| *address).collect()
    }

    /// Binds one socket, or also the socket of the next higher port. The first bind may fail, and
    /// the next one works.
    fn bind(
        &mut self,
        now: Duration,
        ip: &str,
        port: Port,
        fails: bool,
        tried: &[SocketAddr],
    ) -> Option<SocketAddr> {
        let first = tried[0];
        assert!(self.candidates(ip, port).contains(&first), "{first} is not among the ports to give");
        if !fails {
            assert_eq!(tried.len(), 1);
            return Some(first);
        }
        let next = matches!(port, Port::Even { reserve: true }).then(|| next_port(first));
        let concerned: Vec<SocketAddr> = [first].into_iter().chain(next).collect();
        self.busy.extend(concerned.iter().map(|address| (*address, FOREVER)));
        let second = match port {
            Port::Reserved(..) => Vec::new(),
            _ => self.candidates(ip, port),
        };
        self.busy.extend(concerned.iter().map(|address| (*address, now + REST)));
        assert_eq!(tried.len(), if second.is_empty() { 1 } else { 2 });
        let substitute = tried.get(1).copied();
        assert!(substitute.iter().all(|substitute| second.contains(substitute)));
        substitute
    }

    /// Records a new allocation.
    pub(super) fn granted(&mut self, n: usize, relayed: &[SocketAddr], now: Duration, lifetime: u32) {
        assert!((600..=3600).contains(&lifetime));
        self.busy.extend(relayed.iter().map(|address| (*address, FOREVER)));
        let allocation = self.allocations.get_mut(&n).unwrap();
        assert!(allocation.relayed.iter().map(|(address, _)| address).eq(relayed));
        for (_, until) in &mut allocation.relayed {
            *until = now + seconds(lifetime.into());
        }
    }

    /// Predicts the response to Refresh: the lifetime or the error. `v6` is the family in the
    /// request, if any.
    pub(super) fn refresh(
        &mut self,
        n: usize,
        now: Duration,
        v6: Option<bool>,
        asked: u32,
    ) -> Result<u32, u16> {
        if self.is_refused(n, now) && !(asked == 0 && self.is_live(n, now)) {
            return Err(401);
        }
        let allocation = self.allocations.get_mut(&n).ok_or(437_u16)?;
        let is_meant = |address: SocketAddr| v6.is_none_or(|v6| address.is_ipv6() == v6);
        if !allocation.relayed.iter().any(|(address, _)| is_meant(*address)) {
            return Err(443);
        }
        if asked == 0 {
            self.end_some(n, |address, _| is_meant(address).then_some(now));
            return Ok(0);
        }
        let left = (allocation.began + seconds(24 * 3600) - now).as_secs();
        let lifetime = u64::from(asked.clamp(600, 3600)).min(left);
        for (_, until) in allocation.relayed.iter_mut().filter(|(address, _)| is_meant(*address)) {
            *until = now + seconds(lifetime);
        }
        Ok(u32::try_from(lifetime).unwrap())
    }

    pub(super) fn permission(&mut self, n: usize, now: Duration, peers: &[SocketAddr]) -> u16 {
        if self.is_refused(n, now) {
            return 401;
        }
        let Some(allocation) = self.allocations.get_mut(&n) else { return 437 };
        for peer in peers {
            if !allocation.has_family_of(peer.ip()) {
                return 443;
            }
            if is_closed(peer.ip()) || self.own.contains(&peer.ip()) {
                return 403;
            }
        }
        allocation.permissions.extend(peers.iter().map(|peer| (peer.ip(), now + seconds(300))));
        0
    }

    pub(super) fn channel_bind(&mut self, n: usize, now: Duration, number: u16, peer: SocketAddr) -> u16 {
        if self.is_refused(n, now) {
            return 401;
        }
        let reachable = self.is_reachable(peer);
        let Some(allocation) = self.allocations.get_mut(&n) else { return 437 };
        if !allocation.has_family_of(peer.ip()) {
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
        let n = self.owner(relayed)?;
        self.is_reachable(source).then_some(())?;
        self.inward(n, now, source)
    }

    fn owner(&self, relayed: SocketAddr) -> Option<usize> {
        let owns =
            |allocation: &Allocation| allocation.relayed.iter().any(|(address, _)| *address == relayed);
        self.allocations.iter().find(|(_, allocation)| owns(allocation)).map(|(n, _)| *n)
    }

    fn outward(&self, from: &Allocation, now: Duration, peer: SocketAddr) -> Option<Delivery> {
        let from = from.relayed_to(now, peer.ip())?;
        if !is_relay(peer.ip()) {
            return Some(Delivery::Peer(from, peer));
        }
        self.inward(self.owner(peer)?, now, from)
    }

    /// Delivers to a client only from addresses that it permits.
    fn inward(&self, n: usize, now: Duration, source: SocketAddr) -> Option<Delivery> {
        let allocation = self.live(n, now)?;
        let permitted = allocation.permits(now, source.ip());
        permitted.then(|| Delivery::Client(n, allocation.number_of(now, source), source))
    }

    fn is_reachable(&self, peer: SocketAddr) -> bool {
        let is_own = self.own.contains(&peer.ip());
        !is_closed(peer.ip())
            && !is_own
            && (!is_relay(peer.ip()) || self.relayed().any(|relayed| relayed == peer))
    }
}

fn is_relay(ip: IpAddr) -> bool {
    ip == at("45.0.0.1:0").ip() || ip == at("[2a0a::1]:0").ip()
}

fn is_closed(ip: IpAddr) -> bool {
    ip == at("10.0.0.1:0").ip() || ip == at("[fe80::1]:0").ip()
}

/// Returns the next higher port of the same address.
pub(super) fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + 1)
}
