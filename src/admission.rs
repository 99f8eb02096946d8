//! How many connections there may be: in total, and of one client network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::ConnectionCounters;
use crate::subscriber::Subscriber;

/// Connections of one address (v6: of one /64) at one time, where nothing else is said. High enough for a carrier's
/// address with thousands of honest clients behind it, most of whom are between two requests.
pub const PER_ADDRESS: usize = 1_024;

/// Counts connections, and admits as many as the limits allow.
#[derive(Debug)]
pub struct Admissions {
    total: usize,
    per_address: usize,
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
    address: Subscriber,
}

impl Admissions {
    /// Admits `total` connections, and `per_address` of one address. Loopback may have them all: that is a reverse
    /// proxy, which has limits of its own.
    #[must_use]
    pub fn new(total: usize, per_address: usize, counters: Arc<ConnectionCounters>) -> Arc<Self> {
        Arc::new(Self { total, per_address, counters, open: Mutex::default() })
    }

    /// A place for a connection from `ip`, if there is one left.
    pub fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        self.admit_or(ip, || false)
    }

    /// The same; where all places are taken, `make_room` may give one back, and says whether it has.
    pub fn admit_or(self: &Arc<Self>, ip: IpAddr, mut make_room: impl FnMut() -> bool) -> Option<Place> {
        let refused = loop {
            match self.try_admit(Subscriber::of(ip)) {
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

    fn try_admit(self: &Arc<Self>, address: Subscriber) -> Result<Place, Refused> {
        let mut open = self.lock();
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.per_address && !address.is_loopback() {
            return Err(Refused::Address);
        }
        if open.total >= self.total {
            return Err(Refused::Total);
        }
        open.total += 1;
        open.by_address.insert(address, of_address + 1);
        self.counters.open.add(1);
        Ok(Place { admissions: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // The counts are whole between any two statements.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.admissions.lock();
        open.total -= 1;
        self.admissions.counters.open.subtract(1);
        if let Some(of_address) = open.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&self.address);
            }
        }
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
}
