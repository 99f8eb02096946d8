//! How many connections there may be: in total, and of one client network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::ConnectionCounters;
use crate::proxies::TrustedProxies;
use crate::subscriber::Subscriber;

/// Connections of one address (v6: of one /64) at one time, where nothing else is said. High enough for a carrier's
/// address with thousands of honest clients behind it, most of whom are between two requests.
pub const PER_ADDRESS: usize = 1_024;

/// Counts connections, and admits as many as the limits allow.
#[derive(Debug)]
pub struct Admissions {
    total: usize,
    per_address: usize,
    proxies: Arc<TrustedProxies>,
    counters: Arc<ConnectionCounters>,
    /// A `std` mutex: held for a look-up, never across an await.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: BTreeMap<Subscriber, usize>,
}

/// Which limit is reached.
#[derive(Clone, Copy)]
enum Refused {
    Total,
    Address,
}

/// A connection's place among those counted, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    admissions: Arc<Admissions>,
    /// Whose share it counts in. Locked inside of the counts.
    address: Mutex<Subscriber>,
}

impl Admissions {
    /// Admits `total` connections, and `per_address` of one address. Loopback may have them all: that is a reverse
    /// proxy, which has limits of its own.
    #[must_use]
    pub fn new(total: usize, per_address: usize, counters: Arc<ConnectionCounters>) -> Arc<Self> {
        Self::behind(Arc::default(), total, per_address, counters)
    }

    /// The same behind `proxies`, which may have them all, too. Their clients are counted by [`Place::speaks_for`].
    #[must_use]
    pub fn behind(
        proxies: Arc<TrustedProxies>,
        total: usize,
        per_address: usize,
        counters: Arc<ConnectionCounters>,
    ) -> Arc<Self> {
        Arc::new(Self { total, per_address, proxies, counters, open: Mutex::default() })
    }

    /// A place for a connection from `ip`, if there is one left.
    pub fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        self.admit_or(ip, || false)
    }

    /// The same; where all places are taken, `make_room` may give one back, and says whether it has.
    pub fn admit_or(self: &Arc<Self>, ip: IpAddr, mut make_room: impl FnMut() -> bool) -> Option<Place> {
        let refused = loop {
            match self.try_admit(ip) {
                Ok(place) => return Some(place),
                // Again, for another thread may have taken it.
                Err(Refused::Total) if make_room() => {}
                Err(refused) => break refused,
            }
        };
        match refused {
            Refused::Total => self.counters.refused_total.add(1),
            Refused::Address => self.counters.refused_address.add(1),
        }
        None
    }

    fn try_admit(self: &Arc<Self>, ip: IpAddr) -> Result<Place, Refused> {
        let address = Subscriber::of(ip);
        let mut open = self.lock();
        if !self.has_room(&open, ip) {
            return Err(Refused::Address);
        }
        if open.total >= self.total {
            return Err(Refused::Total);
        }
        open.total += 1;
        open.add(address);
        self.counters.open.add(1);
        Ok(Place { admissions: self.clone(), address: Mutex::new(address) })
    }

    fn has_room(&self, open: &Open, ip: IpAddr) -> bool {
        let of_address = open.by_address.get(&Subscriber::of(ip)).copied().unwrap_or(0);
        of_address < self.per_address || self.proxies.trust(ip)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // The counts are whole between any two statements.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn add(&mut self, address: Subscriber) {
        *self.by_address.entry(address).or_default() += 1;
    }

    fn remove(&mut self, address: Subscriber) {
        if let Some(of_address) = self.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Place {
    /// Counts a trusted proxy's connection in the share of `ip`, the client that its request is from, until a request of
    /// another. Says whether that share had room.
    pub fn speaks_for(&self, ip: IpAddr) -> bool {
        let mut open = self.admissions.lock();
        let mut address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        if *address == Subscriber::of(ip) {
            return true;
        }
        let has_room = self.admissions.has_room(&open, ip);
        if has_room {
            open.remove(*address);
            *address = Subscriber::of(ip);
            open.add(*address);
        } else {
            self.admissions.counters.refused_address.add(1);
        }
        has_room
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.admissions.lock();
        open.total -= 1;
        self.admissions.counters.open.subtract(1);
        open.remove(*self.address.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(admissions: &Arc<Admissions>, ip: &str) -> Option<Place> {
        admissions.admit(ip.parse().unwrap())
    }

    #[test]
    fn threat_19_one_address_cannot_take_all_places() {
        let admissions = Admissions::new(9, 2, Arc::default());
        let places = [admit(&admissions, "192.0.2.1"), admit(&admissions, "::ffff:192.0.2.1")];
        assert!(places.iter().all(Option::is_some));
        assert!(admit(&admissions, "192.0.2.1").is_none());
        assert!(admit(&admissions, "192.0.2.2").is_some());
        let v6 = [admit(&admissions, "2001:db8::1"), admit(&admissions, "2001:db8::ffff:2")];
        assert!(v6.iter().all(Option::is_some));
        assert!(admit(&admissions, "2001:db8::3").is_none());
        assert!(admit(&admissions, "2001:db8:0:1::3").is_some());
        let proxied: Vec<_> = (0..4).map(|_| admit(&admissions, "127.0.0.1")).collect();
        assert!(proxied.iter().all(Option::is_some));
        assert_eq!(admissions.counters.refused_address.get(), 2);
    }

    #[test]
    fn places_are_given_back_and_nothing_is_kept() {
        let admissions = Admissions::new(2, 2, Arc::default());
        let places = [admit(&admissions, "127.0.0.1"), admit(&admissions, "192.0.2.1")];
        assert!(admit(&admissions, "192.0.2.2").is_none());
        assert_eq!((admissions.counters.open.get(), admissions.counters.refused_total.get()), (2, 1));
        drop(places);
        assert!(admit(&admissions, "192.0.2.2").is_some());
        assert_eq!(admissions.counters.open.get(), 0);
        assert!(admissions.open.lock().unwrap().by_address.is_empty());
    }
    #[test]
    fn threat_34_a_proxys_connections_count_for_its_clients() {
        let proxies = TrustedProxies::new(vec!["172.18.0.0/16".parse().unwrap()]);
        let admissions = Admissions::behind(Arc::new(proxies), 9, 2, Arc::default());
        let places: Vec<_> = (0..4).map(|_| admit(&admissions, "172.18.0.2").unwrap()).collect();
        let speaks_for = |place: usize, ip: &str| places[place].speaks_for(ip.parse().unwrap());
        assert!(speaks_for(0, "192.0.2.1") && speaks_for(1, "192.0.2.1"));
        assert!(speaks_for(1, "::ffff:192.0.2.1"), "it is counted already");
        assert!(!speaks_for(2, "192.0.2.1"), "the share is full");
        assert!(admit(&admissions, "192.0.2.1").is_none());
        assert!(speaks_for(2, "192.0.2.2"));
        assert!(speaks_for(1, "192.0.2.2"), "a request of another client");
        assert!(speaks_for(3, "192.0.2.1"), "whose place is free again");
        drop(places);
        assert!(admissions.open.lock().unwrap().by_address.is_empty());
        assert_eq!(admissions.counters.open.get(), 0);
    }
}
