//! Addresses of the machine as the relay knows them: its own, which no peer may have, and those
//! that it relays from.
//!
//! The addresses change while the server runs. A [`View`] is one consistent state of them, which
//! datagrams read without a lock.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

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

/// Number of unused pools to keep for addresses that the relay no longer uses. If one of these
/// addresses comes back, its ports are still at rest.
const MAX_IDLE: usize = 4;

/// Address that the relay sends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// Local address of the relay sockets.
    pub bind: IpAddr,
    /// Address in the clients' candidates. It differs from `bind` behind a 1:1 NAT.
    pub public: IpAddr,
}

/// Addresses of the machine, as a driver finds them at the start and after each change.
#[derive(Clone, Debug, Default)]
pub struct HostAddresses {
    /// Addresses of the machine's interfaces and local routes.
    pub own: AddressSet,
    /// Addresses that new allocations relay from, at most one of each family.
    pub relays: Vec<RelayAddress>,
    /// Transport addresses of the server's listeners.
    pub listeners: Vec<SocketAddr>,
    /// Whether the configuration relays by an address family that has no address at present.
    pub lacks_relay: bool,
    /// Listeners that take part in NAT behaviour discovery (RFC 5780).
    pub discovery: Discovery,
}

/// One consistent state of the machine's addresses.
pub(super) struct View {
    peer_policy: PeerPolicy,
    /// Addresses of [`HostAddresses::own`] alone, without those that are the server's own for other
    /// reasons.
    machine: AddressSet,
    pools: Vec<Pool>,
    pub(super) lacks_relay: bool,
    pub(super) discovery: Discovery,
}

/// Relay address, with its ports and their routes.
#[derive(Clone)]
struct Pool {
    address: RelayAddress,
    /// Whether new allocations get ports here. An address that the relay has left keeps the ports
    /// in use.
    is_current: bool,
    ports: Arc<Ports>,
}

/// Ports of one public address, whatever local address it is bound to.
struct Ports {
    pool: Mutex<PortPool>,
    /// Ports in use and in reserve, by client network. The last tenth is kept for addresses that
    /// hold few. Where both are locked, this lock comes before `pool`.
    shares: Mutex<Shares>,
    routes: Routes,
    /// Number of ports in use and in reserve, read without a lock.
    users: AtomicU32,
}

impl View {
    pub(super) fn new(peer_policy: PeerPolicy, discovery: Discovery) -> Self {
        Self { peer_policy, machine: AddressSet::default(), pools: Vec::new(), lacks_relay: false, discovery }
    }

    /// Returns the state after this one. `policy` has the rules for peers, and the addresses that
    /// are the server's own whatever the machine has. `ports` makes a pool for an address that is
    /// new to the relay.
    pub(super) fn next(
        &self,
        host: HostAddresses,
        policy: &PeerPolicy,
        ports: impl Fn(&RelayAddress) -> PortPool,
        range: &RangeInclusive<u16>,
    ) -> Self {
        let HostAddresses { own: machine, relays, listeners, lacks_relay, discovery } = host;
        // The public address and the bound address are both the server's own, listed or not.
        let of_relays: AddressSet = relays.iter().flat_map(|relay| [relay.bind, relay.public]).collect();
        let own = policy.own.union(&machine).union(&of_relays);
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
        let PeerPolicy { allow, deny, .. } = policy.clone();
        Self {
            peer_policy: PeerPolicy { allow, deny, own, listeners },
            machine,
            pools,
            lacks_relay,
            discovery,
        }
    }

    /// Checks a peer's transport address against the peer policy.
    pub(super) fn peer(&self, address: SocketAddr) -> Result<Peer, Denied> {
        let live = self.pool_of(address.ip()).is_some_and(|pool| pool.ports.routes.is_live(address.port()));
        self.peer_policy.peer(address, if live { OwnRelay::Live } else { OwnRelay::No })
    }

    /// Checks an IP address without a port against the peer policy.
    pub(super) fn permission(&self, ip: IpAddr) -> Result<(), Denied> {
        self.peer_policy.permission(ip, self.is_relay(ip))
    }

    /// Whether a channel may stay bound to its peer. If the peer is a relay port of this server,
    /// its allocation may have ended since and another may use the port.
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

    /// Whether the machine has the local address of a relay socket.
    pub(super) fn has(&self, bind: IpAddr) -> bool {
        let is_bound_by_relay = || self.pools.iter().any(|pool| pool.is_current && pool.address.bind == bind);
        bind.is_unspecified() || self.machine.contains(bind) || is_bound_by_relay()
    }

    /// Returns the route of a relay port of this server, if an allocation has that port.
    pub(super) fn route(&self, relayed: SocketAddr) -> Option<Guard<Option<Arc<Route>>>> {
        self.routes_of(relayed.ip())?.get(relayed.port())
    }

    pub(super) fn routes_of(&self, ip: IpAddr) -> Option<&Routes> {
        self.pool_of(ip).map(|pool| &pool.ports.routes)
    }

    /// Whether new allocations can get relayed transport addresses of a family.
    pub(super) fn serves(&self, family: AddressFamily) -> bool {
        self.current().any(|pool| AddressFamily::of(pool.address.bind) == family)
    }

    /// Takes a port for `client`, together with the next one if that is to be held in reserve.
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

    /// Replaces a port that another program uses. The replaced port is left to rest. So is the port
    /// above it, if either of the two may be in use.
    pub(super) fn take_another(&self, now: Now, relayed: &Relayed, asked: PortRequest) -> Option<Port> {
        let pool = self.pool_of(relayed.address.ip())?;
        let port = pool.take(now, asked)?;
        relayed.addresses().for_each(|address| pool.ports.give_back(now, address.port()));
        Some(port)
    }

    /// Gives back a port of `client`, which is left to rest.
    pub(super) fn give_back(&self, now: Now, relayed: SocketAddr, client: ClientNetwork) {
        if let Some(Pool { ports, .. }) = self.pool_of(relayed.ip()) {
            ports.routes.publish(relayed.port(), None);
            ports.give_back(now, relayed.port());
            ports.shares().give_back(client, 1);
        }
    }

    /// Gives back a port of `client` that was never bound, and so need not rest.
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

    /// Sets the time for which ports that are closed from now on stay unused.
    pub(super) fn set_port_rest(&self, rest: Duration) {
        self.pools.iter().for_each(|pool| pool.ports.lock().set_rest(rest));
    }

    /// Returns the local address of the socket behind a relayed transport address.
    pub(super) fn bind_of(&self, relayed: SocketAddr) -> SocketAddr {
        let bind = self.pool_of(relayed.ip()).map_or(relayed.ip(), |pool| pool.address.bind);
        SocketAddr::new(bind, relayed.port())
    }

    fn current(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter().filter(|pool| pool.is_current)
    }

    /// Whether an address is a relay address: new allocations get it, or it has ports in use.
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
        // Counts are consistent between any two statements.
        lock(&self.shares)
    }

    fn lock(&self) -> MutexGuard<'_, PortPool> {
        // A pool is consistent between any two statements, so a panic elsewhere leaves it valid.
        lock(&self.pool)
    }
}
