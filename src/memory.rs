//! Memory that the connections of strangers may hold together, and the eviction of the oldest when it runs out.
//!
//! An honest client is done after a few round trips. A flood of silent ones would keep all memory until its deadline if
//! newcomers had to wait. So the oldest reservation ends, of those from the network that holds the most: a flood from
//! one network evicts itself, however fast it comes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::subscriber::Subscriber;

/// Bytes that may be reserved at one time.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    /// A `std` mutex: held for a look-up, never across an await.
    reserved: Mutex<Reserved>,
}

#[derive(Debug, Default)]
struct Reserved {
    /// Number of the next reservation, and age of the youngest.
    next: u64,
    bytes: usize,
    by_number: BTreeMap<u64, Entry>,
    by_network: BTreeMap<Subscriber, Network>,
}

#[derive(Debug)]
struct Entry {
    network: Subscriber,
    age: u64,
    bytes: usize,
    /// Tells its connection to end, when it is dropped.
    _keep: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Network {
    bytes: usize,
    /// Age and number of each reservation.
    ages: BTreeSet<(u64, u64)>,
}

/// A connection's bytes; returned to the budget on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    number: u64,
}

/// Resolves when the reservation is evicted: its connection has to end.
pub type Eviction = oneshot::Receiver<()>;

impl MemoryBudget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, reserved: Mutex::default() })
    }

    /// Reserves `bytes` for a connection of `client`, and evicts others where there are too few.
    pub fn reserve(self: &Arc<Self>, client: IpAddr, bytes: usize) -> (Reservation, Eviction) {
        let (keep, eviction) = oneshot::channel();
        let mut reserved = self.lock();
        reserved.evict_for(bytes, self.limit);
        let number = reserved.next;
        reserved.next += 1;
        let entry = Entry { network: Subscriber::of(client), age: number, bytes, _keep: keep };
        reserved.insert(number, entry);
        (Reservation { budget: self.clone(), number }, eviction)
    }

    /// Bytes that are reserved.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Reserved> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Changes the reservation to `bytes`. Growth may evict others, or this one.
    pub fn resize(&self, bytes: usize) {
        let mut reserved = self.budget.lock();
        if let Some(mut entry) = reserved.remove(self.number) {
            entry.bytes = bytes;
            reserved.insert(self.number, entry);
            reserved.evict_for(0, self.budget.limit);
        }
    }

    /// Counts the reservation for another client's network, whom a reverse proxy has named. Its age stays.
    pub fn move_to(&self, client: IpAddr) {
        let mut reserved = self.budget.lock();
        if let Some(mut entry) = reserved.remove(self.number) {
            entry.network = Subscriber::of(client);
            reserved.insert(self.number, entry);
        }
    }

    /// Makes this reservation the youngest.
    pub fn renew(&self) {
        let mut reserved = self.budget.lock();
        if let Some(mut entry) = reserved.remove(self.number) {
            entry.age = reserved.next;
            reserved.next += 1;
            reserved.insert(self.number, entry);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.lock().remove(self.number);
    }
}

impl Reserved {
    /// Evicts until `bytes` more are within `limit`, or nobody is left.
    fn evict_for(&mut self, bytes: usize, limit: usize) {
        while self.bytes + bytes > limit
            && let Some(number) = self.to_evict()
        {
            self.remove(number);
        }
    }

    /// The oldest of the network that holds the most; of several such networks, the oldest of all.
    fn to_evict(&self) -> Option<u64> {
        let busiest =
            self.by_network.values().max_by_key(|network| (network.bytes, Reverse(network.ages.first())));
        busiest.and_then(|network| network.ages.first()).map(|(_, number)| *number)
    }

    fn insert(&mut self, number: u64, entry: Entry) {
        let network = self.by_network.entry(entry.network).or_default();
        network.bytes += entry.bytes;
        network.ages.insert((entry.age, number));
        self.bytes += entry.bytes;
        self.by_number.insert(number, entry);
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.by_number.remove(&number)?;
        self.bytes -= entry.bytes;
        if let Some(network) = self.by_network.get_mut(&entry.network) {
            network.bytes -= entry.bytes;
            network.ages.remove(&(entry.age, number));
            if network.ages.is_empty() {
                self.by_network.remove(&entry.network);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use oneshot::error::TryRecvError::{Closed, Empty};

    use super::*;

    fn client(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn the_oldest_is_evicted_and_what_was_returned_does_not_count() {
        let budget = MemoryBudget::new(20);
        let (first, mut first_evicted) = budget.reserve(client(1), 10);
        let (second, mut second_evicted) = budget.reserve(client(2), 10);
        drop(first);
        let (_third, mut third_evicted) = budget.reserve(client(3), 10);
        assert_eq!(second_evicted.try_recv(), Err(Empty));
        let (_fourth, mut fourth_evicted) = budget.reserve(client(4), 10);
        assert_eq!(second_evicted.try_recv(), Err(Closed), "two came after it");
        assert_eq!((third_evicted.try_recv(), fourth_evicted.try_recv()), (Err(Empty), Err(Empty)));
        assert_eq!(first_evicted.try_recv(), Err(Closed));
        drop(second);
        assert_eq!(budget.reserved(), 20, "a reservation that was evicted is not returned twice");
    }

    /// Threat 19: admission allows one address as many as may be undecided.
    #[test]
    fn a_flood_from_one_network_evicts_itself() {
        let budget = MemoryBudget::new(10);
        let (honest, mut honest_evicted) = budget.reserve(client(1), 1);
        let flood: Vec<_> = (0..1000).map(|_| budget.reserve(client(2), 1)).collect();
        assert_eq!(honest_evicted.try_recv(), Err(Empty));
        drop((honest, flood));
        let reserved = budget.lock();
        assert!(reserved.by_number.is_empty() && reserved.by_network.is_empty(), "nothing is left behind");
        assert_eq!(reserved.bytes, 0);
    }

    #[test]
    fn threat_29_one_client_of_a_proxy_evicts_itself_and_no_other_client() {
        let budget = MemoryBudget::new(30);
        let proxy = client(9);
        let all: Vec<_> = (0..3).map(|_| budget.reserve(proxy, 5)).collect();
        for ((reservation, _), n) in all.iter().zip([1, 2, 2]) {
            reservation.move_to(client(n));
        }
        let (_more, mut more_evicted) = budget.reserve(client(2), 20);
        let mut all = all;
        let ends: Vec<_> = all.iter_mut().map(|(_, eviction)| eviction.try_recv()).collect();
        assert_eq!(ends, [Err(Empty), Err(Closed), Err(Empty)], "the oldest of the client that holds most");
        assert_eq!(more_evicted.try_recv(), Err(Empty));
        drop(all);
        assert_eq!(budget.reserved(), 20);
    }

    #[test]
    fn threat_29_whoever_grows_evicts_and_whoever_was_of_use_is_young_again() {
        let budget = MemoryBudget::new(30);
        let (first, mut first_evicted) = budget.reserve(client(1), 10);
        let (second, mut second_evicted) = budget.reserve(client(1), 10);
        let (third, mut third_evicted) = budget.reserve(client(1), 10);
        first.renew();
        third.resize(20);
        assert_eq!(second_evicted.try_recv(), Err(Closed), "the oldest by now");
        assert_eq!(first_evicted.try_recv(), Err(Empty));
        // More than there is at all.
        first.resize(31);
        assert_eq!((first_evicted.try_recv(), third_evicted.try_recv()), (Err(Closed), Err(Closed)));
        // Evicted, none of them counts again.
        second.resize(5);
        first.renew();
        assert_eq!(budget.reserved(), 0);
    }
}
