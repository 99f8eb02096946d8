//! What the shards of one server hold in common.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache, Guard};

use super::Pairing;
use super::allocation::Allocation;
use super::bandwidth::Bandwidth;
use super::discovery::Discovery;
use super::host::{HostAddresses, RelayAddress, View};
use super::nonce::Nonces;
use super::peer_policy::{Denied, Peer, PeerPolicy};
use super::ports::{PortPool, PortRequest};
use super::quota::{Quota, QuotaUse};
use super::relayed::{ByFamily, Relayed};
use super::reserve::{ReservationToken, Reservations};
use crate::address_set::AddressSet;
use crate::auth::Revocations;
use crate::auth::Secrets;
use crate::client_network::ClientNetwork;
use crate::lock::lock;
use crate::prng::Prng;
use crate::rate_limit::KeyedRateLimiter;
use crate::time::Now;
use crate::wire::{AddressFamily, ErrorCode};

/// What a relay is told.
#[derive(Debug)]
pub struct Settings {
    /// The realm of the long-term credentials.
    pub realm: String,
    /// The secrets that sign them.
    pub secrets: Secrets,
    /// Whose credentials are good no longer, though they have not expired.
    pub revocations: Arc<Revocations>,
    /// Whether a credential that has expired is of no use to the allocations that were made with it
    /// either.
    pub strict_expiry: bool,
    /// Where relay sockets bind, one address for each family.
    pub addresses: Vec<RelayAddress>,
    /// The ports of each.
    pub ports: RangeInclusive<u16>,
    /// How long a closed port stays unused.
    pub port_rest: Duration,
    /// Whom clients may reach.
    pub peer_policy: PeerPolicy,
    /// Limits of use.
    pub quota: Quota,
    /// Which listeners help clients to learn about their NAT.
    pub discovery: Discovery,
}

/// A shard's own handle of the machine's addresses.
pub(super) type CachedView = Cache<Arc<ArcSwap<View>>, Arc<View>>;

/// What the shards of one server hold in common. Datagrams read it; only the beginning and the end
/// of an allocation take its locks, for a few instructions, which is why they are `std` mutexes.
pub struct Shared {
    pub(super) realm: String,
    pub(super) secrets: Secrets,
    pub(super) revocations: Arc<Revocations>,
    pub(super) strict_expiry: bool,
    pub(super) nonces: Nonces,
    pub(super) unauthenticated: KeyedRateLimiter,
    /// Exchanged when the machine's addresses change.
    view: Arc<ArcSwap<View>>,
    /// The addresses that are the server's own whatever the machine has.
    own: AddressSet,
    ports: RangeInclusive<u16>,
    port_rest: Duration,
    seed: [u8; 32],
    quota: QuotaUse,
    /// No allocation begins any more.
    draining: AtomicBool,
    bandwidth: u64,
    reservations: Mutex<Reservations>,
}

impl Shared {
    /// Shared by all shards that are given this very value.
    #[must_use]
    pub fn new(settings: Settings, seed: &[u8; 32]) -> Arc<Self> {
        let quota = settings.quota;
        let Settings { realm, secrets, revocations, strict_expiry, .. } = settings;
        let Settings { addresses, ports, port_rest, peer_policy, discovery, .. } = settings;
        let (own, listeners) = (peer_policy.own.clone(), peer_policy.listeners.clone());
        let view = View::new(peer_policy, Discovery::default());
        let shared = Self {
            realm,
            secrets,
            revocations,
            strict_expiry,
            nonces: Nonces::new(seed),
            unauthenticated: KeyedRateLimiter::new(
                quota.unauthenticated_per_second,
                Duration::from_secs(1),
                Prng::new(seed, "strangers").number(),
            ),
            view: Arc::new(ArcSwap::from_pointee(view)),
            own,
            ports,
            port_rest,
            seed: *seed,
            quota: QuotaUse::new(quota, port_rest),
            draining: AtomicBool::new(false),
            bandwidth: quota.bandwidth_per_allocation,
            reservations: Mutex::new(Reservations::new(Prng::new(seed, "reservations"))),
        };
        shared.set_host_addresses(HostAddresses {
            relays: addresses,
            listeners,
            discovery,
            ..HostAddresses::default()
        });
        Arc::new(shared)
    }

    /// Takes in what addresses the machine has by now. They are the server's own: without this, one
    /// that came after the start would be a door to whatever listens there. One thread at a time
    /// calls it, and has every shard's [`Relay::enforce`](super::Relay::enforce) called afterwards,
    /// which ends what is no longer allowed.
    pub fn set_host_addresses(&self, host: HostAddresses) {
        let ports = |address: &RelayAddress| {
            let name = if address.bind.is_ipv4() { "ports v4" } else { "ports v6" };
            PortPool::new(self.ports.clone(), self.port_rest, Prng::new(&self.seed, name))
        };
        let next = self.view.load().next(host, &self.own, ports, &self.ports);
        self.view.store(Arc::new(next));
    }

    /// The machine's addresses for the datagrams of one shard: compares a pointer, where
    /// [`Self::view`] has to announce that it reads. A change is seen by the next look.
    pub(super) fn cached_view(&self) -> CachedView {
        Cache::new(self.view.clone())
    }

    /// The machine's addresses at this moment.
    pub(super) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// Whether a family that the configuration relays by has no address at present.
    pub(super) fn lacks_relay(&self) -> bool {
        self.view().lacks_relay
    }

    /// Whether an address is the server's own at this moment: of an interface, a listener or the
    /// configuration.
    #[must_use]
    pub fn owns(&self, ip: IpAddr) -> bool {
        self.view().owns(ip)
    }

    /// Lets no allocation begin any more: from now on Allocate is answered with 508. Those there
    /// are live on.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// How many allocations there are, on all shards together.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.quota.allocations()
    }

    /// Number of them that a name has, the part of a username beside its expiry.
    #[must_use]
    pub fn allocations_of(&self, name: &str) -> u32 {
        self.quota.allocations_of(name)
    }

    /// Whether a name has allocations, or ports in reserve.
    #[must_use]
    pub fn has_any(&self, name: &str) -> bool {
        self.quota.has_any(name)
    }

    /// Asks the peer policy about a peer's transport address.
    pub(super) fn peer(&self, address: SocketAddr) -> Result<Peer, Denied> {
        self.view().peer(address)
    }

    /// Asks the peer policy about an address alone.
    pub(super) fn permission(&self, ip: IpAddr) -> Result<(), Denied> {
        self.view().permission(ip)
    }

    /// Publishes what the relay ports of this server may deliver to an allocation's client.
    pub(super) fn publish(&self, allocation: &Allocation) {
        let view = self.view();
        for relayed in allocation.relayed.iter() {
            if let Some(routes) = view.routes_of(relayed.address.ip()) {
                routes
                    .publish(relayed.address.port(), Some(allocation.route(relayed, |ip| view.is_relay(ip))));
            }
        }
    }

    /// The cap of a new allocation.
    pub(super) fn bandwidth(&self) -> Option<Arc<Bandwidth>> {
        Bandwidth::new(self.bandwidth).map(Arc::new)
    }

    /// Takes what an allocation of `name` and for this client needs, and counts it.
    ///
    /// # Errors
    /// 401 if the name was revoked since the request was authenticated; else what the answer says.
    pub(super) fn take(
        &self,
        now: Now,
        families: Families,
        request: PortRequest,
        name: &str,
        client: IpAddr,
    ) -> Result<Taken, ErrorCode> {
        // The place of a port that the name has in reserve becomes the allocation's.
        let is_own = matches!(request, PortRequest::Reserved(token) if self.is_reserved_by(now, token, name));
        self.quota.take(name, is_own.into())?;
        // Only now: whoever sends a name away, or waits for the last allocation to end, has either
        // seen to it by here, or finds this one counted.
        let may_begin = if !self.revocations.is_good(now, name) {
            Err(ErrorCode::Unauthenticated)
        } else if self.is_draining() {
            Err(ErrorCode::InsufficientCapacity)
        } else {
            Ok(())
        };
        let client = ClientNetwork::of(client);
        let port = |family| match request {
            PortRequest::Reserved(token) => self.claim(now, token, client),
            PortRequest::Any | PortRequest::Even { .. } => self.take_port(now, family, request, name, client),
        };
        let taken = may_begin.and_then(|()| match families {
            Families::One(family) => port(family).map(Taken::one),
            Families::Both => Taken::both(port(AddressFamily::V4), port(AddressFamily::V6)),
        });
        taken.inspect_err(|_| self.quota.give_back(name))
    }

    /// Takes a port and counts it against the quota of `client`; with the next one, where that is
    /// to be held in reserve.
    fn take_port(
        &self,
        now: Now,
        family: AddressFamily,
        request: PortRequest,
        name: &str,
        client: ClientNetwork,
    ) -> Result<Port, ErrorCode> {
        let view = self.view();
        if !view.serves(family) {
            return Err(ErrorCode::AddressFamilyNotSupported);
        }
        let count = request.ports();
        if request.reserves() {
            self.quota.reserve(name)?;
        }
        let port = self.quota.take_ports(now.mono, client, count).and_then(|()| {
            view.take(now, family, request, client).ok_or_else(|| {
                (0..count).for_each(|_| self.quota.give_port_back_unused(client));
                ErrorCode::InsufficientCapacity
            })
        });
        port.inspect_err(|_| {
            if request.reserves() {
                self.quota.release(name);
            }
        })
    }

    /// Takes another port in the place of one that another program has, just as was `asked` for;
    /// that one rests meanwhile, and so does the one above it where either may be the one in use. A
    /// reservation token names its port, so for it there is no other.
    pub(super) fn take_another(&self, now: Now, relayed: &Relayed, asked: PortRequest) -> Option<Port> {
        self.view().take_another(now, relayed, asked)
    }

    /// Takes back a port of `client`, to rest, and its place in the quota.
    pub(super) fn give_port_back(&self, now: Now, relayed: SocketAddr, client: IpAddr) {
        self.view().give_back(now, relayed, ClientNetwork::of(client));
        self.quota.give_port_back(now.mono, ClientNetwork::of(client));
    }

    /// Takes back a port that was never bound, and so need not rest.
    pub(super) fn give_port_back_unused(&self, relayed: SocketAddr, client: IpAddr) {
        self.view().give_back_unused(relayed, ClientNetwork::of(client));
        self.quota.give_port_back_unused(ClientNetwork::of(client));
    }

    /// Takes back the place of an allocation in the quota of its name; its ports have been given
    /// back.
    pub(super) fn give_back(&self, allocation: &Allocation) {
        self.quota.give_back(allocation.name());
    }

    /// Takes back the place in the quota of `name` of a port that was to be held in reserve.
    pub(super) fn give_reserve_back(&self, name: &str) {
        self.quota.release(name);
    }

    /// Local address of the socket behind a relayed transport address.
    pub(super) fn bind_of(&self, relayed: SocketAddr) -> SocketAddr {
        self.view().bind_of(relayed)
    }

    /// The ports in reserve. Callers hold no other lock.
    pub(super) fn reservations(&self) -> MutexGuard<'_, Reservations> {
        // They are whole between any two statements: what panicked elsewhere does not concern them.
        lock(&self.reservations)
    }

    fn is_reserved_by(&self, now: Now, token: ReservationToken, name: &str) -> bool {
        self.reservations().get(now.mono, token).is_some_and(|reservation| *reservation.name == *name)
    }

    /// Takes the port in reserve under `token` for a client, who pays for it from now on.
    fn claim(&self, now: Now, token: ReservationToken, client: ClientNetwork) -> Result<Port, ErrorCode> {
        let mut reservations = self.reservations();
        let reservation = reservations.get(now.mono, token).ok_or(ErrorCode::InsufficientCapacity)?;
        let (bind, relayed) = (reservation.bind, reservation.relayed);
        let view = self.view();
        if !view.has(bind.ip()) {
            return Err(ErrorCode::InsufficientCapacity);
        }
        // Under the lock, so that the reservation either has this owner or ends as the former
        // one's.
        self.quota.move_port(now.mono, reservation.client, client)?;
        view.hand_over(relayed, reservation.client, client);
        self.quota.release(&reservation.name);
        reservations.remove(token);
        Ok(Port { bind, relayed, pairing: Pairing::Held, unrested: false })
    }

    /// Ends a reservation whose token was not used; yields where its socket is bound.
    pub(super) fn end_reservation(&self, now: Now, token: ReservationToken) -> Option<SocketAddr> {
        let reservation = self.reservations().remove(token)?;
        self.view().give_back(now, reservation.relayed, reservation.client);
        self.quota.give_port_back(now.mono, reservation.client);
        self.quota.release(&reservation.name);
        Some(reservation.bind)
    }
}

/// Of which address families a client asks for relayed transport addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Families {
    /// This one.
    One(AddressFamily),
    /// A dual allocation; one of the two will do.
    Both,
}

/// What was taken for an allocation: at least one port.
pub(super) struct Taken {
    pub(super) ports: ByFamily<Port>,
    /// The family that a dual allocation has to do without, and why: 440 or 508.
    pub(super) lacking: Option<(AddressFamily, ErrorCode)>,
}

impl Taken {
    fn one(port: Port) -> Self {
        let family = AddressFamily::of(port.relayed.ip());
        Self { ports: ByFamily::new(|of| (of == family).then_some(port)), lacking: None }
    }

    fn both(v4: Result<Port, ErrorCode>, v6: Result<Port, ErrorCode>) -> Result<Self, ErrorCode> {
        use ErrorCode::{AddressFamilyNotSupported as Unsupported, InsufficientCapacity};
        let lacking = match (v4, v6) {
            // What can change is the better news.
            (Err(Unsupported), Err(error)) | (Err(error), Err(_)) => return Err(error),
            (Err(error), Ok(_)) => Some((AddressFamily::V4, error)),
            (Ok(_), Err(error)) => Some((AddressFamily::V6, error)),
            (Ok(_), Ok(_)) => None,
        };
        let ports = ByFamily::new(|family| match family {
            AddressFamily::V4 => v4.ok(),
            AddressFamily::V6 => v6.ok(),
        });
        // RFC 8656 section 7.2 knows these two reasons; a quota that is used up is a capacity, too.
        let reason = |error| if error == Unsupported { Unsupported } else { InsufficientCapacity };
        Ok(Self { ports, lacking: lacking.map(|(family, error)| (family, reason(error))) })
    }
}

/// A port that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    pub(super) bind: SocketAddr,
    pub(super) relayed: SocketAddr,
    pub(super) pairing: Pairing,
    /// It had not rested its time.
    pub(super) unrested: bool,
}
