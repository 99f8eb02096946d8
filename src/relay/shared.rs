//! What the shards of one server hold in common.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::Guard;

use super::allocation::Allocation;
use super::budget::StrangerBudget;
use super::meter::Bandwidth;
use super::nonce::Nonces;
use super::policy::{Denied, Gate, OwnRelay, Peer};
use super::ports::{PortPool, PortRequest, TakenPort};
use super::quota::Quota;
use super::route::{Route, Routes};
use crate::clock::Now;
use crate::credentials::Secrets;
use crate::random::Random;
use crate::subscriber::Subscriber;
use crate::wire::{AddressFamily, ErrorCode};

/// What a relay is told.
#[derive(Debug)]
pub struct Settings {
    /// The realm of the long-term credentials.
    pub realm: String,
    /// The secrets that sign them.
    pub secrets: Secrets,
    /// Where relay sockets bind, one address for each family.
    pub addresses: Vec<RelayAddress>,
    /// The ports of each.
    pub ports: RangeInclusive<u16>,
    /// How long a closed port stays unused.
    pub port_rest: Duration,
    /// Whom clients may reach.
    pub gate: Gate,
    /// Allocations of one name; 0 = no limit.
    pub allocations_per_user: u32,
    /// Allocations of one client address (IPv6: /64), ports at rest and in reserve included; 0 = no limit.
    pub allocations_per_address: u32,
    /// Allocations in total.
    pub allocations: u32,
    /// Bytes of payload a second that an allocation may relay each way, a second's worth at once; 0 = no cap.
    pub bandwidth_per_allocation: u64,
    /// Answers a second to strangers, for each address; 0 = no limit.
    pub unauthenticated_per_second: u32,
}

/// An address of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// Where sockets bind.
    pub bind: IpAddr,
    /// What clients are told; another one where a 1:1 NAT stands before the server.
    pub public: IpAddr,
}

/// What the shards of one server hold in common. Datagrams read it; only the beginning and the end of an allocation
/// take its locks, for a few instructions, which is why they are `std` mutexes.
pub struct Shared {
    pub(super) realm: String,
    pub(super) secrets: Secrets,
    pub(super) nonces: Nonces,
    pub(super) strangers: StrangerBudget,
    gate: Gate,
    quota: Quota,
    bandwidth: u64,
    pools: Vec<Pool>,
}

/// The ports of one relay address, and what lives on them.
struct Pool {
    address: RelayAddress,
    ports: Mutex<PortPool>,
    routes: Routes,
}

impl Pool {
    fn take(&self, now: Now, request: PortRequest) -> Option<Taken> {
        let TakenPort { port, reserved } = self.lock().take(now.mono, request)?;
        let at = |ip| SocketAddr::new(ip, port);
        Some(Taken { bind: at(self.address.bind), relayed: at(self.address.public), reserved })
    }

    fn give_back(&self, now: Now, port: u16) {
        self.lock().give_back(now.mono, port);
    }

    fn lock(&self) -> MutexGuard<'_, PortPool> {
        // A pool is whole between any two statements: what panicked elsewhere does not concern it.
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Shared by all shards that are given this very value.
    #[must_use]
    pub fn new(settings: Settings, seed: &[u8; 32]) -> Arc<Self> {
        let quota = Quota::new(&settings);
        let Settings { realm, secrets, addresses, ports, port_rest, mut gate, .. } = settings;
        // What clients are told and what is bound are both the server's own, listed or not.
        gate.own.extend(addresses.iter().flat_map(|address| [address.bind, address.public]));
        let pool = |address: RelayAddress| Pool {
            address,
            ports: Mutex::new(PortPool::new(
                ports.clone(),
                port_rest,
                Random::new(seed, if address.bind.is_ipv4() { "ports v4" } else { "ports v6" }),
            )),
            routes: Routes::new(ports.clone()),
        };
        Arc::new(Self {
            realm,
            secrets,
            nonces: Nonces::new(seed),
            strangers: StrangerBudget::new(
                settings.unauthenticated_per_second,
                Random::new(seed, "strangers").number(),
            ),
            gate,
            quota,
            bandwidth: settings.bandwidth_per_allocation,
            pools: addresses.into_iter().map(pool).collect(),
        })
    }

    /// Asks the gate about a peer's transport address.
    pub(super) fn peer(&self, address: SocketAddr) -> Result<Peer, Denied> {
        let live = self.pool_of(address.ip()).is_some_and(|pool| pool.routes.is_live(address.port()));
        self.gate.peer(address, if live { OwnRelay::Live } else { OwnRelay::No })
    }

    /// Asks the gate about an address alone.
    pub(super) fn permission(&self, ip: IpAddr) -> Result<(), Denied> {
        self.gate.permission(ip, self.pool_of(ip).is_some())
    }

    /// The route behind a relay port of this server, if an allocation lives there.
    pub(super) fn route(&self, relayed: SocketAddr) -> Option<Guard<Option<Arc<Route>>>> {
        self.pool_of(relayed.ip())?.routes.get(relayed.port())
    }

    /// Publishes an allocation's route.
    pub(super) fn publish(&self, allocation: &Allocation) {
        if let Some(pool) = self.pool_of(allocation.relayed.ip()) {
            pool.routes.publish(allocation.relayed.port(), Some(allocation.route()));
        }
    }

    /// The cap of a new allocation.
    pub(super) fn bandwidth(&self) -> Option<Arc<Bandwidth>> {
        Bandwidth::new(self.bandwidth).map(Arc::new)
    }

    /// Takes a port and counts it against the quotas of `name` and of the client's address.
    pub(super) fn take(
        &self,
        now: Now,
        family: AddressFamily,
        request: PortRequest,
        name: &str,
        client: IpAddr,
    ) -> Result<Taken, ErrorCode> {
        // A reservation names its port; the token is looked up in whichever pool has it.
        let mut pools = self.pools.iter().filter(|pool| {
            matches!(request, PortRequest::Reserved(_)) || AddressFamily::of(pool.address.bind) == family
        });
        let first = pools.next().ok_or(ErrorCode::AddressFamilyNotSupported)?;
        let address = Subscriber::of(client);
        self.quota.take(now.mono, name, address)?;
        let mut taken = first.take(now, request);
        while taken.is_none()
            && let Some(pool) = pools.next()
        {
            taken = pool.take(now, request);
        }
        let taken = taken.ok_or_else(|| {
            self.quota.give_back_unused(name, address);
            ErrorCode::InsufficientCapacity
        })?;
        if taken.reserved.is_some() {
            self.quota.reserve(now.mono, address);
        }
        Ok(taken)
    }

    /// Takes another port for an allocation whose first choice another program has; that one rests meanwhile.
    pub(super) fn take_another(&self, now: Now, allocation: &Allocation) -> Option<Taken> {
        let pool = self.pool_of(allocation.relayed.ip())?;
        let taken = pool.take(now, PortRequest::Any)?;
        pool.give_back(now, allocation.relayed.port());
        Some(taken)
    }

    /// Takes back what an allocation held: its port, to rest, and its place in the quota.
    pub(super) fn give_back(&self, now: Now, allocation: &Allocation) {
        if let Some(pool) = self.pool_of(allocation.relayed.ip()) {
            pool.routes.publish(allocation.relayed.port(), None);
            pool.give_back(now, allocation.relayed.port());
        }
        let address = Subscriber::of(allocation.five_tuple.client.ip());
        self.quota.give_back(now.mono, allocation.name(), address);
    }

    /// Takes back what an allocation held whose port was never bound, and so need not rest.
    pub(super) fn give_back_unused(&self, allocation: &Allocation) {
        if let Some(pool) = self.pool_of(allocation.relayed.ip()) {
            pool.lock().give_back_unused(allocation.relayed.port());
        }
        let address = Subscriber::of(allocation.five_tuple.client.ip());
        self.quota.give_back_unused(allocation.name(), address);
    }

    fn pool_of(&self, ip: IpAddr) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.address.public == ip)
    }
}

/// A port that was taken for an allocation.
pub(super) struct Taken {
    pub(super) bind: SocketAddr,
    pub(super) relayed: SocketAddr,
    pub(super) reserved: Option<[u8; 8]>,
}
