//! The machine's addresses as the relay knows them: its own, which no peer may have, and those that
//! it relays from.
//!
//! They change while the server runs. A [`View`] is one consistent state of them; datagrams read it
//! without a lock.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::Guard;

use super::Pairing;
use super::discovery::Discovery;
use super::peer_policy::{Denied, OwnRelay, Peer, PeerPolicy};
use super::ports::{PortPool, PortRequest, TakenPort};
use super::relayed::Relayed;
use super::route::{Route, Routes};
use super::shared::Port;
use crate::address_set::AddressSet;
use crate::client_network::ClientNetwork;
use crate::lock::lock;
use crate::shares::Shares;
use crate::time::Now;
use crate::wire::AddressFamily;

/// Pools without a user that are kept for addresses that the relay has left. Should one come back,
/// its ports still rest.
const MAX_IDLE: usize = 4;

/// An address of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// Local address of the sockets.
    pub bind: IpAddr,
    /// Address in clients' candidates; another one where a 1:1 NAT stands before the server.
    pub public: IpAddr,
}

/// The machine's addresses, as a driver finds them at the start and whenever they change.
#[derive(Clone, Debug, Default)]
pub struct HostAddresses {
    /// Those of the machine's interfaces and local routes.
    pub own: AddressSet,
    /// Those that new allocations relay from, at most one for each family.
    pub relays: Vec<RelayAddress>,
    /// The server's listeners.
    pub listeners: Vec<SocketAddr>,
    /// Whether a family that the configuration relays by has no address at present.
    pub lacks_relay: bool,
    /// The listeners that help clients to learn about their NAT.
    pub discovery: Discovery,
}

/// One state of the machine's addresses.
pub(super) struct View {
    peer_policy: PeerPolicy,
    /// As [`HostAddresses::own`], without what is the server's own for other reasons.
    machine: AddressSet,
    pools: Vec<Pool>,
    pub(super) lacks_relay: bool,
    pub(super) discovery: Discovery,
}

/// An address of the relay, with its ports and what lives on them.
#[derive(Clone)]
struct Pool {
    address: RelayAddress,
    /// New allocations get ports here. An address that was left for another keeps those that it
    /// has.
    is_current: bool,
    ports: Arc<Ports>,
}

/// The ports of one public address; the same whatever it is bound to.
struct Ports {
    pool: Mutex<PortPool>,
    /// Ports in use and in reserve, of which the last tenth is for addresses that hold few. Locked
    /// before the pool where both are.
    shares: Mutex<Shares>,
    routes: Routes,
    /// Their number, for those who take no lock.
    users: AtomicU32,
}

impl View {
    pub(super) fn new(peer_policy: PeerPolicy, discovery: Discovery) -> Self {
        Self { peer_policy, machine: AddressSet::default(), pools: Vec::new(), lacks_relay: false, discovery }
    }

    /// The state after this one. `own` are addresses that are the server's own whatever the machine
    /// has; `ports` makes a pool for an address that the relay has not had before.
    pub(super) fn next(
        &self,
        host: HostAddresses,
        own: &AddressSet,
        ports: impl Fn(&RelayAddress) -> PortPool,
        range: &RangeInclusive<u16>,
    ) -> Self {
        let HostAddresses { own: machine, relays, listeners, lacks_relay, discovery } = host;
        // What clients are told and what is bound are both the server's own, listed or not.
        let of_relays: AddressSet = relays.iter().flat_map(|relay| [relay.bind, relay.public]).collect();
        let own = own.union(&machine).union(&of_relays);
        let current = relays.iter().map(|address| {
            let known = self.pools.iter().find(|pool| pool.address.public == address.public);
            let ports = known.map(|pool| pool.ports.clone()).unwrap_or_else(|| {
                Arc::new(Ports {
                    pool: Mutex::new(ports(address)),
                    shares: Mutex::new(Shares::with_share(range.len(), range.len())),
                    routes: Routes::new(range.clone()),
                    users: AtomicU32::new(0),
                })
            });
            Pool { address: *address, is_current: true, ports }
        });
        let mut pools: Vec<Pool> = current.collect();
        let mut idle = 0;
        for left in &self.pools {
            let is_current = relays.iter().any(|relay| relay.public == left.address.public);
            idle += usize::from(!is_current && !left.ports.is_in_use());
            if !is_current && (left.ports.is_in_use() || idle <= MAX_IDLE) {
                pools.push(Pool { is_current: false, ..left.clone() });
            }
        }
        let PeerPolicy { allow, deny, .. } = self.peer_policy.clone();
        Self {
            peer_policy: PeerPolicy { allow, deny, own, listeners },
            machine,
            pools,
            lacks_relay,
            discovery,
        }
    }

    /// Asks the peer policy about a peer's transport address.
    pub(super) fn peer(&self, address: SocketAddr) -> Result<Peer, Denied> {
        let live = self.pool_of(address.ip()).is_some_and(|pool| pool.ports.routes.is_live(address.port()));
        self.peer_policy.peer(address, if live { OwnRelay::Live } else { OwnRelay::No })
    }

    /// Asks the peer policy about an address alone.
    pub(super) fn permission(&self, ip: IpAddr) -> Result<(), Denied> {
        self.peer_policy.permission(ip, self.is_relay(ip))
    }

    /// Whether a channel may go on to the peer that it was bound to. A relay port of this server
    /// may have lost its allocation since, and get another.
    pub(super) fn still_allows(&self, peer: Peer) -> bool {
        match peer.is_own_relay() {
            true => self.is_relay(peer.address().ip()) && self.permission(peer.address().ip()).is_ok(),
            false => self.peer(peer.address()).is_ok_and(|peer| !peer.is_own_relay()),
        }
    }

    /// Whether an address is the server's own: of an interface, a local route, a listener or the
    /// configuration.
    pub(super) fn owns(&self, ip: IpAddr) -> bool {
        self.peer_policy.own.contains(ip)
    }

    /// Whether the machine has the address of a relay socket.
    pub(super) fn has(&self, bind: IpAddr) -> bool {
        let is_bound_by_relay = || self.pools.iter().any(|pool| pool.is_current && pool.address.bind == bind);
        bind.is_unspecified() || self.machine.contains(bind) || is_bound_by_relay()
    }

    /// The route behind a relay port of this server, if an allocation lives there.
    pub(super) fn route(&self, relayed: SocketAddr) -> Option<Guard<Option<Arc<Route>>>> {
        self.routes_of(relayed.ip())?.get(relayed.port())
    }

    pub(super) fn routes_of(&self, ip: IpAddr) -> Option<&Routes> {
        self.pool_of(ip).map(|pool| &pool.ports.routes)
    }

    /// Whether new allocations can have relayed transport addresses of a family.
    pub(super) fn serves(&self, family: AddressFamily) -> bool {
        self.current().any(|pool| AddressFamily::of(pool.address.bind) == family)
    }

    /// Takes a port for `client`; with the next one, where that is to be held in reserve.
    pub(super) fn take(
        &self,
        now: Now,
        family: AddressFamily,
        request: PortRequest,
        client: ClientNetwork,
    ) -> Option<Port> {
        let pool = self.current().find(|pool| AddressFamily::of(pool.address.bind) == family)?;
        let (mut shares, count) = (pool.ports.shares(), request.ports() as usize);
        shares.check(client, count).ok()?;
        let port = pool.take(now, request)?;
        shares.charge(client, count);
        Some(port)
    }

    /// Takes another port in the place of one that another program has; that one rests meanwhile,
    /// and so does the one above it where either may be the one in use.
    pub(super) fn take_another(&self, now: Now, relayed: &Relayed, asked: PortRequest) -> Option<Port> {
        let pool = self.pool_of(relayed.address.ip())?;
        let port = pool.take(now, asked)?;
        relayed.addresses().for_each(|address| pool.ports.give_back(now, address.port()));
        Some(port)
    }

    /// Takes back a port of `client`, to rest.
    pub(super) fn give_back(&self, now: Now, relayed: SocketAddr, client: ClientNetwork) {
        if let Some(Pool { ports, .. }) = self.pool_of(relayed.ip()) {
            ports.routes.publish(relayed.port(), None);
            ports.give_back(now, relayed.port());
            ports.shares().give_back(client, 1);
        }
    }

    /// Takes back a port of `client` that was never bound, and so need not rest.
    pub(super) fn give_back_unused(&self, relayed: SocketAddr, client: ClientNetwork) {
        if let Some(Pool { ports, .. }) = self.pool_of(relayed.ip()) {
            ports.users.fetch_sub(1, Relaxed);
            ports.lock().give_back_unused(relayed.port());
            ports.shares().give_back(client, 1);
        }
    }

    /// Charges a port of one client to another.
    pub(super) fn hand_over(&self, relayed: SocketAddr, from: ClientNetwork, to: ClientNetwork) {
        if let Some(pool) = self.pool_of(relayed.ip()) {
            pool.ports.shares().hand_over(from, to, 1);
        }
    }

    /// Local address of the socket behind a relayed transport address.
    pub(super) fn bind_of(&self, relayed: SocketAddr) -> SocketAddr {
        let bind = self.pool_of(relayed.ip()).map_or(relayed.ip(), |pool| pool.address.bind);
        SocketAddr::new(bind, relayed.port())
    }

    fn current(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter().filter(|pool| pool.is_current)
    }

    /// Whether an address is one of the relay's: clients are told it, or have relay ports at it.
    pub(super) fn is_relay(&self, ip: IpAddr) -> bool {
        self.pool_of(ip).is_some_and(|pool| pool.is_current || pool.ports.is_in_use())
    }

    fn pool_of(&self, ip: IpAddr) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.address.public == ip)
    }
}

impl Pool {
    fn take(&self, now: Now, request: PortRequest) -> Option<Port> {
        let TakenPort { port, unrested } = self.ports.lock().take(now.mono, request)?;
        self.ports.users.fetch_add(request.ports(), Relaxed);
        let pairing = if request.reserves() { Pairing::WithNext } else { Pairing::Alone };
        let at = |ip| SocketAddr::new(ip, port);
        Some(Port { bind: at(self.address.bind), relayed: at(self.address.public), pairing, unrested })
    }
}

impl Ports {
    fn is_in_use(&self) -> bool {
        self.users.load(Relaxed) > 0
    }

    fn give_back(&self, now: Now, port: u16) {
        self.users.fetch_sub(1, Relaxed);
        self.lock().give_back(now.mono, port);
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        // Counts are whole between any two statements.
        lock(&self.shares)
    }

    fn lock(&self) -> MutexGuard<'_, PortPool> {
        // A pool is whole between any two statements: what panicked elsewhere does not concern it.
        lock(&self.pool)
    }
}
