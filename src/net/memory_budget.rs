//! Memory budget of unauthenticated connections, with eviction of the oldest when it is exhausted.
//!
//! An honest client needs a few round trips. If new connections had to wait, a flood of silent
//! clients would hold all memory until its deadline. The budget therefore evicts the oldest
//! reservation of the network that holds the most. A flood from one network evicts itself at any
//! rate.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use byway_turn::lock::lock;
use tokio::sync::oneshot;

use byway_turn::client_network::ClientNetwork;

/// A budget of bytes that may be reserved simultaneously.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    /// A `std` mutex: held for a lookup, never across an await.
    reserved: Mutex<Reserved>,
}

#[derive(Debug, Default)]
struct Reserved {
    /// Number of the next reservation, and age of the youngest.
    next: u64,
    bytes: usize,
    by_number: BTreeMap<u64, Entry>,
    by_network: BTreeMap<ClientNetwork, Network>,
}

#[derive(Debug)]
struct Entry {
    network: ClientNetwork,
    age: u64,
    bytes: usize,
    /// Signal for its connection to end.
    end: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Network {
    bytes: usize,
    /// Age and number of each reservation.
    ages: BTreeSet<(u64, u64)>,
}

/// Reserved bytes of a connection, returned to the budget on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    number: u64,
    is_released: AtomicBool,
}

/// Future that resolves when the reservation is evicted, and stays resolved. Its connection must
/// then end. It never resolves for a reservation that is returned or released.
#[derive(Debug)]
pub struct Eviction {
    /// The signal, until the outcome is known.
    told: Option<oneshot::Receiver<()>>,
    is_evicted: bool,
}

impl Future for Eviction {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(told) = &mut self.told {
            self.is_evicted = ready!(Pin::new(told).poll(cx)).is_ok();
            self.told = None;
        }
        if self.is_evicted { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl MemoryBudget {
    /// Creates a budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, reserved: Mutex::default() })
    }

    /// Reserves `bytes` for a connection of `client`, and evicts others if too few are free.
    pub fn reserve(self: &Arc<Self>, client: IpAddr, bytes: usize) -> (Reservation, Eviction) {
        let (end, told) = oneshot::channel();
        let mut reserved = self.lock();
        reserved.evict_for(bytes, self.limit);
        let number = reserved.next;
        reserved.next += 1;
        let entry = Entry { network: ClientNetwork::of(client), age: number, bytes, end };
        reserved.insert(number, entry);
        let reservation = Reservation { budget: self.clone(), number, is_released: AtomicBool::new(false) };
        (reservation, Eviction { told: Some(told), is_evicted: false })
    }

    /// Returns the number of reserved bytes.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Reserved> {
        lock(&self.reserved)
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

    /// Counts the reservation to the network of another client, which a reverse proxy has named.
    /// Its age does not change.
    pub fn move_to(&self, client: IpAddr) {
        let mut reserved = self.budget.lock();
        if let Some(mut entry) = reserved.remove(self.number) {
            entry.network = ClientNetwork::of(client);
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

    /// Permanently returns the bytes. From here on, another limit bounds the connection.
    pub fn release(&self) {
        self.is_released.store(true, Relaxed);
        self.budget.lock().remove(self.number);
    }

    /// Whether the bytes were permanently returned. A concurrent eviction then has no effect.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.is_released.load(Relaxed)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.lock().remove(self.number);
    }
}

impl Reserved {
    /// Evicts until `bytes` more fit within `limit`, or no reservation is left.
    fn evict_for(&mut self, bytes: usize, limit: usize) {
        while self.bytes + bytes > limit
            && let Some(number) = self.to_evict()
        {
            if let Some(entry) = self.remove(number) {
                // A connection that is already ending needs no signal.
                let _ = entry.end.send(());
            }
        }
    }

    /// The oldest reservation of the network that holds the most. Among several such networks, the
    /// oldest of all.
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
    use futures_util::FutureExt as _;

    use super::*;

    fn is_evicted(eviction: &mut Eviction) -> bool {
        eviction.now_or_never().is_some()
    }

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
        assert!(!is_evicted(&mut second_evicted));
        let (_fourth, mut fourth_evicted) = budget.reserve(client(4), 10);
        assert!(is_evicted(&mut second_evicted), "two came after it");
        assert!(!is_evicted(&mut third_evicted) && !is_evicted(&mut fourth_evicted));
        assert!(!is_evicted(&mut first_evicted), "it was returned");
        drop(second);
        assert_eq!(budget.reserved(), 20, "a reservation that was evicted is not returned twice");
    }

    /// Threat 19: the connection limit allows one address as many connections as may be pending.
    #[test]
    fn a_flood_from_one_network_evicts_itself() {
        let budget = MemoryBudget::new(10);
        let (honest, mut honest_evicted) = budget.reserve(client(1), 1);
        let flood: Vec<_> = (0..1000).map(|_| budget.reserve(client(2), 1)).collect();
        assert!(!is_evicted(&mut honest_evicted));
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
        let ends: Vec<_> = all.iter_mut().map(|(_, eviction)| is_evicted(eviction)).collect();
        assert_eq!(ends, [false, true, false], "the oldest of the client that holds most");
        assert!(!is_evicted(&mut more_evicted));
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
        assert!(is_evicted(&mut second_evicted), "the oldest by now");
        assert!(!is_evicted(&mut first_evicted));
        // A request for more than the whole budget.
        first.resize(31);
        assert!(is_evicted(&mut first_evicted) && is_evicted(&mut third_evicted));
        // Evicted reservations no longer count.
        second.resize(5);
        first.renew();
        assert_eq!(budget.reserved(), 0);
    }

    #[test]
    fn threat_29_what_was_released_is_neither_counted_nor_evicted() {
        let budget = MemoryBudget::new(20);
        let (member, mut member_evicted) = budget.reserve(client(1), 10);
        member.release();
        assert!(member.is_released() && budget.reserved() == 0);
        member.resize(10);
        member.renew();
        let (_others, mut others_evicted) = budget.reserve(client(1), 21);
        assert!(!is_evicted(&mut member_evicted) && !is_evicted(&mut others_evicted));
        assert_eq!(budget.reserved(), 21, "nobody is left to go");
        let (_more, _) = budget.reserve(client(2), 1);
        assert!(is_evicted(&mut others_evicted) && is_evicted(&mut others_evicted), "it stays so");
    }
}
