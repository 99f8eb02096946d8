//! State shared by the shards of one server.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache, Guard};

use super::Pairing;
use super::allocation::Allocation;
use super::discovery::Discovery;
use super::host::{HostAddresses, RelayAddress, View};
use super::nonce::Nonces;
use super::peer_policy::{Denied, Peer, PeerPolicy};
use super::ports::{PortPool, PortRequest};
use super::quota::{Quota, QuotaUse};
use super::relayed::{ByFamily, Relayed};
use super::reserve::{ReservationToken, Reservations};
use super::rules::{Current, Rules};
use crate::auth::{Revocations, Secrets, StaticUser};
use crate::client_network::ClientNetwork;
use crate::lock::lock;
use crate::prng::Prng;
use crate::time::Now;
use crate::wire::{AddressFamily, ErrorCode};

/// Settings of a relay.
#[derive(Debug)]
pub struct Settings {
    /// Realm of the long-term credentials (RFC 8489 section 9.2).
    pub realm: String,
    /// Secrets that sign the credentials.
    pub secrets: Secrets,
    /// Users with a password that does not expire.
    pub users: Vec<StaticUser>,
    /// Names whose credentials are revoked before they expire.
    pub revocations: Arc<Revocations>,
    /// Whether an expired credential also stops working for the allocations that were made with it.
    pub strict_expiry: bool,
    /// Addresses of the relay sockets, at most one of each family.
    pub addresses: Vec<RelayAddress>,
    /// Ports of each address.
    pub ports: RangeInclusive<u16>,
    /// Time for which a closed port stays unused.
    pub port_rest: Duration,
    /// Policy for the peer addresses that clients may reach.
    pub peer_policy: PeerPolicy,
    /// Limits on allocations, relay ports, bandwidth and unauthenticated requests.
    pub quota: Quota,
    /// Listeners that take part in NAT behaviour discovery (RFC 5780).
    pub discovery: Discovery,
}

/// Shard's own handle on the current [`View`].
pub(super) type CachedView = Cache<Arc<ArcSwap<View>>, Arc<View>>;

/// Shard's own handle on the current [`Rules`], see [`Shared::cached_rules`].
pub(super) type CachedRules = Cache<Arc<ArcSwap<Current>>, Arc<Current>>;

/// State shared by the shards of one server. Datagrams only read it. Its locks are `std` mutexes,
/// because only the beginning and end of an allocation take them, for a few instructions.
pub struct Shared {
    pub(super) revocations: Arc<Revocations>,
    pub(super) nonces: Nonces,
    /// Replaced when the configuration changes.
    rules: Arc<ArcSwap<Current>>,
    /// Replaced when the machine's addresses change.
    view: Arc<ArcSwap<View>>,
    ports: RangeInclusive<u16>,
    seed: [u8; 32],
    quota: QuotaUse,
    /// Whether the server is draining: no new allocation begins.
    draining: AtomicBool,
    reservations: Mutex<Reservations>,
}

impl Shared {
    /// Creates the state for one server; give every shard a clone of the `Arc`.
    #[must_use]
    pub fn new(settings: Settings, seed: &[u8; 32]) -> Arc<Self> {
        let rules = Rules::of(&settings);
        let Settings { revocations, addresses, ports, peer_policy, discovery, .. } = settings;
        let listeners = peer_policy.listeners.clone();
        let view = View::new(peer_policy, Discovery::default());
        let shared = Self {
            revocations,
            nonces: Nonces::new(seed),
            view: Arc::new(ArcSwap::from_pointee(view)),
            ports,
            seed: *seed,
            quota: QuotaUse::new(rules.quota, rules.port_rest),
            rules: Arc::new(ArcSwap::from_pointee(Current::new(rules, None, seed))),
            draining: AtomicBool::new(false),
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

    /// Replaces the rules, at once for every request that begins later.
    ///
    /// Allocations outlive the secret that they were made with: their own key keeps verifying their
    /// requests until their credential expires. Lower quotas end no allocation.
    ///
    /// Call [`Self::set_host_addresses`] next, which applies the rules for peers, and then have
    /// every shard call [`Relay::enforce`](super::Relay::enforce). The latter also applies the
    /// bandwidth cap to existing allocations. Call this from one thread at a time.
    pub fn set_rules(&self, rules: Rules) {
        self.quota.set_limits(rules.quota, rules.port_rest);
        self.view().set_port_rest(rules.port_rest);
        let next = Current::new(rules, Some(&self.rules.load()), &self.seed);
        self.rules.store(Arc::new(next));
    }

    /// Returns the rules for one shard's answers to clients without credentials, cached like
    /// [`Self::cached_view`].
    pub(super) fn cached_rules(&self) -> CachedRules {
        Cache::new(self.rules.clone())
    }

    /// Returns the current rules.
    pub(super) fn rules(&self) -> Guard<Arc<Current>> {
        self.rules.load()
    }

    /// Sets the machine's current addresses, which are the server's own. Without this call, an
    /// address that came after the start would give clients access to every service listening
    /// there.
    ///
    /// Call this from one thread at a time. Afterwards have every shard call
    /// [`Relay::enforce`](super::Relay::enforce), which ends the use of addresses that are now
    /// denied.
    pub fn set_host_addresses(&self, host: HostAddresses) {
        let rules = self.rules();
        let ports = |address: &RelayAddress| {
            let name = if address.bind.is_ipv4() { "ports v4" } else { "ports v6" };
            PortPool::new(self.ports.clone(), rules.port_rest, Prng::new(&self.seed, name))
        };
        let next = self.view.load().next(host, &rules.peers, ports, &self.ports);
        self.view.store(Arc::new(next));
    }

    /// Returns a cached view of the machine's addresses for the datagrams of one shard. Reading it
    /// compares a pointer, while [`Self::view`] has to register a reader. The next read sees a
    /// change.
    pub(super) fn cached_view(&self) -> CachedView {
        Cache::new(self.view.clone())
    }

    /// Returns the machine's current addresses.
    pub(super) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// Whether the configuration relays by an address family that has no address at present.
    pub(super) fn lacks_relay(&self) -> bool {
        self.view().lacks_relay
    }

    /// Whether an address is the server's own at present: of an interface, a local route, a
    /// listener or the configuration.
    #[must_use]
    pub fn owns(&self, ip: IpAddr) -> bool {
        self.view().owns(ip)
    }

    /// Whether the peer policy lets clients relay to an address at present, at a port that is no
    /// relay port.
    #[must_use]
    pub fn relays_to(&self, ip: IpAddr) -> bool {
        // Relay ports begin at 1024.
        const NO_RELAY_PORT: u16 = 1;
        self.peer(SocketAddr::new(ip, NO_RELAY_PORT)).is_ok()
    }

    /// Starts to drain: from now on Allocate is answered with 508. Existing allocations go on.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Returns the number of allocations on all shards.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.quota.allocations()
    }

    /// Whether as many relay ports are taken as the quota allows, but for the part that is kept for
    /// client networks that hold few.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.quota.is_full()
    }

    /// Returns the number of allocations of a name, the username without its expiry.
    #[must_use]
    pub fn allocations_of(&self, name: &str) -> u32 {
        self.quota.allocations_of(name)
    }

    /// Whether a name has allocations or ports in reserve.
    #[must_use]
    pub fn has_any(&self, name: &str) -> bool {
        self.quota.has_any(name)
    }

    /// Checks a peer's transport address against the peer policy.
    pub(super) fn peer(&self, address: SocketAddr) -> Result<Peer, Denied> {
        self.view().peer(address)
    }

    /// Checks an IP address without a port against the peer policy.
    pub(super) fn permission(&self, ip: IpAddr) -> Result<(), Denied> {
        self.view().permission(ip)
    }

    /// Publishes the routes by which relay ports of this server deliver to an allocation's client.
    pub(super) fn publish(&self, allocation: &Allocation) {
        let view = self.view();
        for relayed in allocation.relayed.iter() {
            if let Some(routes) = view.routes_of(relayed.address.ip()) {
                routes
                    .publish(relayed.address.port(), Some(allocation.route(relayed, |ip| view.is_relay(ip))));
            }
        }
    }

    /// Takes the ports of a new allocation of `name` for this client, and counts the allocation.
    ///
    /// # Errors
    /// 401 if the name was revoked since the request was authenticated; 440, 486 or 508 otherwise.
    pub(super) fn take(
        &self,
        now: Now,
        families: Families,
        request: PortRequest,
        name: &str,
        client: IpAddr,
    ) -> Result<Taken, ErrorCode> {
        // The quota place of a port that the name has in reserve becomes the allocation's.
        let is_own = matches!(request, PortRequest::Reserved(token) if self.is_reserved_by(now, token, name));
        self.quota.take(name, is_own.into())?;
        // Checked only after counting. A thread that revokes a name or waits for the last
        // allocation to end has set its flag by here or finds this allocation counted.
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

    /// Takes a port and counts it against the quota of `client`, together with the next one if that
    /// is to be held in reserve.
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

    /// Replaces a port that another program uses, by the request `asked`. The replaced port is left
    /// to rest. So is the port above it, if either of the two may be in use. Returns `None` for a
    /// reservation token, because it names one port.
    pub(super) fn take_another(&self, now: Now, relayed: &Relayed, asked: PortRequest) -> Option<Port> {
        self.view().take_another(now, relayed, asked)
    }

    /// Gives back a port of `client`, which is left to rest, and its place in the quota.
    pub(super) fn give_port_back(&self, now: Now, relayed: SocketAddr, client: IpAddr) {
        self.view().give_back(now, relayed, ClientNetwork::of(client));
        self.quota.give_port_back(now.mono, ClientNetwork::of(client));
    }

    /// Gives back a port that was never bound, and so need not rest.
    pub(super) fn give_port_back_unused(&self, relayed: SocketAddr, client: IpAddr) {
        self.view().give_back_unused(relayed, ClientNetwork::of(client));
        self.quota.give_port_back_unused(ClientNetwork::of(client));
    }

    /// Gives back the place of an allocation in the quota of its name. Its ports have been given
    /// back before.
    pub(super) fn give_back(&self, allocation: &Allocation) {
        self.quota.give_back(&allocation.account());
    }

    /// Gives back, in the quota of `name`, the place of a port that was to be held in reserve.
    pub(super) fn give_reserve_back(&self, name: &str) {
        self.quota.release(name);
    }

    /// Returns the local address of the socket behind a relayed transport address.
    pub(super) fn bind_of(&self, relayed: SocketAddr) -> SocketAddr {
        self.view().bind_of(relayed)
    }

    /// Locks the ports in reserve. Callers must hold no other lock.
    pub(super) fn reservations(&self) -> MutexGuard<'_, Reservations> {
        // They are consistent between any two statements, so a panic elsewhere leaves them valid.
        lock(&self.reservations)
    }

    fn is_reserved_by(&self, now: Now, token: ReservationToken, name: &str) -> bool {
        self.reservations().get(now.mono, token).is_some_and(|reservation| *reservation.name == *name)
    }

    /// Takes the port in reserve under `token` for a client, whose quota it counts against from now
    /// on.
    fn claim(&self, now: Now, token: ReservationToken, client: ClientNetwork) -> Result<Port, ErrorCode> {
        let mut reservations = self.reservations();
        let reservation = reservations.get(now.mono, token).ok_or(ErrorCode::InsufficientCapacity)?;
        let (bind, relayed) = (reservation.bind, reservation.relayed);
        let view = self.view();
        if !view.has(bind.ip()) {
            return Err(ErrorCode::InsufficientCapacity);
        }
        // Done under the lock, so that the reservation either moves to this owner or ends with the
        // former one.
        self.quota.move_port(now.mono, reservation.client, client)?;
        view.hand_over(relayed, reservation.client, client);
        self.quota.release(&reservation.name);
        reservations.remove(token);
        Ok(Port { bind, relayed, pairing: Pairing::Held, unrested: false })
    }

    /// Ends a reservation whose token was not used. Returns the local address of its socket.
    pub(super) fn end_reservation(&self, now: Now, token: ReservationToken) -> Option<SocketAddr> {
        let reservation = self.reservations().remove(token)?;
        self.view().give_back(now, reservation.relayed, reservation.client);
        self.quota.give_port_back(now.mono, reservation.client);
        self.quota.release(&reservation.name);
        Some(reservation.bind)
    }
}

/// Address families of the relayed transport addresses that a client asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Families {
    /// One family.
    One(AddressFamily),
    /// Both families (a dual allocation). The allocation succeeds if one of the two is available.
    Both,
}

/// Ports taken for an allocation: at least one.
pub(super) struct Taken {
    pub(super) ports: ByFamily<Port>,
    /// Family that a dual allocation has to do without, and the reason: 440 or 508.
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
            // Report the error that can pass.
            (Err(Unsupported), Err(error)) | (Err(error), Err(_)) => return Err(error),
            (Err(error), Ok(_)) => Some((AddressFamily::V4, error)),
            (Ok(_), Err(error)) => Some((AddressFamily::V6, error)),
            (Ok(_), Ok(_)) => None,
        };
        let ports = ByFamily::new(|family| match family {
            AddressFamily::V4 => v4.ok(),
            AddressFamily::V6 => v6.ok(),
        });
        // RFC 8656 section 7.2 allows only these two reasons. A used-up quota counts as lack of
        // capacity.
        let reason = |error| if error == Unsupported { Unsupported } else { InsufficientCapacity };
        Ok(Self { ports, lacking: lacking.map(|(family, error)| (family, reason(error))) })
    }
}

/// Port that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    pub(super) bind: SocketAddr,
    pub(super) relayed: SocketAddr,
    pub(super) pairing: Pairing,
    /// Whether it was taken before its rest was over.
    pub(super) unrested: bool,
}
