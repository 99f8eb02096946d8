//! Limit of connections: in total, and per client network.

mod counters;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use byway_turn::client_network::ClientNetwork;
use byway_turn::lock::lock;
use byway_turn::shares::{Refused, Shares};

use crate::live::Live;
use crate::net::trusted_proxies::TrustedProxies;

pub use counters::ConnectionCounters;

/// Default of simultaneous connections of one address (v6: of one /64). It suffices for a carrier's
/// address with thousands of honest clients, most of which are between two requests.
pub const PER_ADDRESS: usize = 1_024;

/// Counts connections and admits them within the limits.
#[derive(Debug)]
pub struct ConnectionLimiter {
    proxies: Live<TrustedProxies>,
    counters: Arc<ConnectionCounters>,
    /// A `std` mutex: held for a lookup, never across an await.
    open: Mutex<Shares>,
}

/// Permit of one connection, returned on drop.
#[derive(Debug)]
pub struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    /// The network to whose share it counts. Its lock is taken while the counts are locked.
    network: Mutex<ClientNetwork>,
}

impl ConnectionLimiter {
    /// Admits `total` connections, and `per_address` of one address. The last tenth is reserved for
    /// addresses that hold few. Loopback is exempt: it is a reverse proxy, which has its own
    /// limits.
    #[must_use]
    pub fn new(total: usize, per_address: usize, counters: Arc<ConnectionCounters>) -> Arc<Self> {
        Self::behind(Live::default(), total, per_address, counters)
    }

    /// As [`ConnectionLimiter::new`], with `proxies` also exempt. [`ConnectionPermit::speaks_for`]
    /// counts their clients.
    #[must_use]
    pub fn behind(
        proxies: Live<TrustedProxies>,
        total: usize,
        per_address: usize,
        counters: Arc<ConnectionCounters>,
    ) -> Arc<Self> {
        Arc::new(Self { proxies, counters, open: Mutex::new(Shares::with_share(total, per_address)) })
    }

    /// Returns a permit for a connection from `ip`, unless a limit is reached.
    pub fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<ConnectionPermit> {
        self.admit_or(ip, || false)
    }

    /// As [`ConnectionLimiter::admit`]. At the limit, `make_room` may end another connection and
    /// returns whether it did.
    pub fn admit_or(
        self: &Arc<Self>,
        ip: IpAddr,
        mut make_room: impl FnMut() -> bool,
    ) -> Option<ConnectionPermit> {
        loop {
            let taken = self.take(&mut self.lock(), ip);
            match taken {
                Ok(()) => {
                    self.counters.open.add(1);
                    return Some(ConnectionPermit {
                        limiter: self.clone(),
                        network: Mutex::new(ClientNetwork::of(ip)),
                    });
                }
                // Checked again, because another thread may have taken the permit.
                Err(Refused::Cap) if make_room() => {}
                Err(refused) => {
                    self.refused(refused);
                    return None;
                }
            }
        }
    }

    fn refused(&self, refused: Refused) {
        match refused {
            Refused::Cap => self.counters.refused_total.add(1),
            Refused::Share => self.counters.refused_address.add(1),
        }
    }

    fn take(&self, open: &mut Shares, ip: IpAddr) -> Result<(), Refused> {
        let network = ClientNetwork::of(ip);
        if self.proxies.load().trust(ip) { open.take_of_cap(network, 1) } else { open.take(network, 1) }
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        // The counts are consistent after every statement, so a poisoned lock is usable.
        lock(&self.open)
    }
}

impl ConnectionPermit {
    /// Counts a trusted proxy's connection to the share of `ip`, the client of its request, until a
    /// request of another client. Returns whether that share had room.
    pub fn speaks_for(&self, ip: IpAddr) -> bool {
        let mut open = self.limiter.lock();
        let mut network = lock(&self.network);
        if *network == ClientNetwork::of(ip) {
            return true;
        }
        open.give_back(*network, 1);
        let taken = self.limiter.take(&mut open, ip);
        if let Err(refused) = taken {
            open.charge(*network, 1);
            self.limiter.refused(refused);
            return false;
        }
        *network = ClientNetwork::of(ip);
        true
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let network = *self.network.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.limiter.lock().give_back(network, 1);
        self.limiter.counters.open.subtract(1);
        self.limiter.counters.ended.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(limiter: &Arc<ConnectionLimiter>, ip: &str) -> Option<ConnectionPermit> {
        limiter.admit(ip.parse().unwrap())
    }

    #[test]
    fn threat_19_one_address_cannot_take_all_places() {
        let limiter = ConnectionLimiter::new(9, 2, Arc::default());
        let permits = [admit(&limiter, "192.0.2.1"), admit(&limiter, "::ffff:192.0.2.1")];
        assert!(permits.iter().all(Option::is_some));
        assert!(admit(&limiter, "192.0.2.1").is_none());
        assert!(admit(&limiter, "192.0.2.2").is_some());
        let v6 = [admit(&limiter, "2001:db8::1"), admit(&limiter, "2001:db8::ffff:2")];
        assert!(v6.iter().all(Option::is_some));
        assert!(admit(&limiter, "2001:db8::3").is_none());
        assert!(admit(&limiter, "2001:db8:0:1::3").is_some());
        let proxied: Vec<_> = (0..4).map(|_| admit(&limiter, "127.0.0.1")).collect();
        assert!(proxied.iter().all(Option::is_some));
        assert_eq!(limiter.counters.refused_address.get(), 2);
    }

    #[test]
    fn places_are_given_back_and_nothing_is_kept() {
        let limiter = ConnectionLimiter::new(2, 2, Arc::default());
        let permits = [admit(&limiter, "127.0.0.1"), admit(&limiter, "192.0.2.1")];
        assert!(admit(&limiter, "192.0.2.2").is_none());
        assert_eq!((limiter.counters.open.get(), limiter.counters.refused_total.get()), (2, 1));
        drop(permits);
        assert!(admit(&limiter, "192.0.2.2").is_some());
        assert_eq!(limiter.counters.open.get(), 0);
        assert_eq!(limiter.open.lock().unwrap().held(), 0);
    }

    #[test]
    fn threat_31_a_proxy_s_websockets_are_charged_to_whom_it_speaks_for() {
        let limiter = ConnectionLimiter::new(100, 3, Arc::default());
        let client = "192.0.2.1".parse().unwrap();
        let proxied: Vec<_> = (0..4).filter_map(|_| admit(&limiter, "127.0.0.1")).collect();
        let charged: Vec<_> = proxied.iter().map(|permit| permit.speaks_for(client)).collect();
        assert_eq!(charged, [true, true, true, false]);
        assert!(proxied[0].speaks_for(client), "it is already");
        assert!(admit(&limiter, "192.0.2.1").is_none());
        assert_eq!((limiter.counters.refused_address.get(), limiter.counters.open.get()), (2, 4));
        drop(proxied);
        assert_eq!(limiter.open.lock().unwrap().held(), 0);
    }

    #[test]
    fn threat_31_some_addresses_together_leave_places_for_others() {
        let limiter = ConnectionLimiter::new(1_000, 60, Arc::default());
        let all = |n| (0..60).map(move |_| [192, 0, 2, n]);
        let permits: Vec<_> = (0..20).flat_map(all).filter_map(|ip| limiter.admit(ip.into())).collect();
        // Fifteen addresses hold their whole share, and the others as much as counts as few.
        assert_eq!(permits.len(), 900 + 5 * 4);
        assert!(admit(&limiter, "198.51.100.1").is_some());
    }

    #[test]
    fn threat_34_a_proxys_connections_count_for_its_clients() {
        let proxies = TrustedProxies::new(vec!["172.18.0.0/16".parse().unwrap()]);
        let limiter = ConnectionLimiter::behind(Live::new(proxies), 9, 2, Arc::default());
        let permits: Vec<_> = (0..4).map(|_| admit(&limiter, "172.18.0.2").unwrap()).collect();
        let speaks_for = |permit: usize, ip: &str| permits[permit].speaks_for(ip.parse().unwrap());
        assert!(speaks_for(0, "192.0.2.1") && speaks_for(1, "192.0.2.1"));
        assert!(speaks_for(1, "::ffff:192.0.2.1"), "it is counted already");
        assert!(!speaks_for(2, "192.0.2.1"), "the share is full");
        assert!(admit(&limiter, "192.0.2.1").is_none());
        assert!(speaks_for(2, "192.0.2.2"));
        assert!(speaks_for(1, "192.0.2.2"), "a request of another client");
        assert!(speaks_for(3, "192.0.2.1"), "whose permit is free again");
        drop(permits);
        assert_eq!(limiter.open.lock().unwrap().held(), 0);
        assert_eq!(limiter.counters.open.get(), 0);
    }
}
