//! How many allocations one name may have, and how many relay ports one client address and all together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::shared::Settings;
use crate::subscriber::Subscriber;
use crate::wire::ErrorCode;

/// Counts allocations and their ports across shards. A `std` mutex, since it is held for a few look-ups and only when an
/// allocation begins or ends.
///
/// A dual allocation is one allocation of its name, which has one 5-tuple more to talk on, and two ports of its address
/// and in total, which is what runs out: ports, and the file descriptors behind them.
pub(super) struct Quota {
    per_user: u32,
    ports_per_address: u32,
    ports: u32,
    rest: Duration,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    allocations: usize,
    allocations_by_name: BTreeMap<Box<str>, u32>,
    ports: u32,
    /// Ports at rest and in reserve are counted here, too: otherwise one client that allocates and deletes would put all
    /// ports to rest, and nobody could allocate.
    ports_by_address: BTreeMap<Subscriber, u32>,
    /// Until when an address is still counted for a port that it no longer uses, in order.
    resting: VecDeque<(Duration, Subscriber)>,
}

impl Quota {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            per_user: settings.allocations_per_user,
            ports_per_address: settings.allocations_per_address,
            ports: settings.allocations,
            rest: settings.port_rest,
            held: Mutex::default(),
        }
    }

    /// Counts one allocation of `name`, the part of the username behind its expiry.
    ///
    /// # Errors
    /// 486 where the name has all it may have.
    pub(super) fn take(&self, name: &str) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        if is_reached(held.allocations_by_name.get(name), self.per_user) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        held.allocations += 1;
        *held.allocations_by_name.entry(name.into()).or_default() += 1;
        Ok(())
    }

    /// Gives an allocation of `name` back.
    pub(super) fn give_back(&self, name: &str) {
        let mut held = self.lock();
        held.allocations = held.allocations.saturating_sub(1);
        decrement(&mut held.allocations_by_name, name);
    }

    /// How many allocations there are.
    pub(super) fn allocations(&self) -> usize {
        self.lock().allocations
    }

    /// How many of them `name` has.
    pub(super) fn allocations_of(&self, name: &str) -> u32 {
        self.lock().allocations_by_name.get(name).copied().unwrap_or_default()
    }

    /// Counts one port of `address`.
    ///
    /// # Errors
    /// 486 where the address has all it may have, 508 where the server has.
    pub(super) fn take_port(&self, now: Duration, address: Subscriber) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        held.wake(now);
        if is_reached(held.ports_by_address.get(&address), self.ports_per_address) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        if held.ports >= self.ports {
            return Err(ErrorCode::InsufficientCapacity);
        }
        held.ports += 1;
        *held.ports_by_address.entry(address).or_default() += 1;
        Ok(())
    }

    /// Counts a port that is held in reserve against `address`, for as long as a port at rest.
    pub(super) fn reserve(&self, now: Duration, address: Subscriber) {
        let mut held = self.lock();
        *held.ports_by_address.entry(address).or_default() += 1;
        held.resting.push_back((now + self.rest, address));
    }

    /// Gives a port back; the address is counted until it has rested.
    pub(super) fn give_port_back(&self, now: Duration, address: Subscriber) {
        let mut held = self.lock();
        held.ports = held.ports.saturating_sub(1);
        held.resting.push_back((now + self.rest, address));
        held.wake(now);
    }

    /// Gives one back that was not to be had, or never bound.
    pub(super) fn give_port_back_unused(&self, address: Subscriber) {
        let mut held = self.lock();
        held.ports = held.ports.saturating_sub(1);
        decrement(&mut held.ports_by_address, &address);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // Counts are whole between any two statements: what panicked elsewhere does not concern them.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn wake(&mut self, now: Duration) {
        while let Some((_, address)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            decrement(&mut self.ports_by_address, &address);
        }
    }
}

/// 0 is no limit.
fn is_reached(held: Option<&u32>, limit: u32) -> bool {
    limit > 0 && held.is_some_and(|held| *held >= limit)
}

/// One less, and nothing left behind of what holds none.
fn decrement<K: Ord + std::borrow::Borrow<Q>, Q: Ord + ?Sized>(counts: &mut BTreeMap<K, u32>, key: &Q) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);
    const REST: Duration = Duration::from_secs(120);

    fn quota(per_user: u32, ports_per_address: u32, ports: u32) -> Quota {
        Quota { per_user, ports_per_address, ports, rest: REST, held: Mutex::default() }
    }

    fn address(n: u8) -> Subscriber {
        Subscriber::of([192, 0, 2, n].into())
    }

    #[test]
    fn a_name_has_its_limit() {
        let quota = quota(2, 0, 100);
        assert_eq!([quota.take("a"), quota.take("a")], [Ok(()); 2]);
        assert_eq!(quota.take("a"), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take("b"), Ok(()));
        assert_eq!((quota.allocations(), quota.allocations_of("a"), quota.allocations_of("c")), (3, 2, 0));
        quota.give_back("a");
        assert_eq!(quota.take("a"), Ok(()));
    }

    #[test]
    fn the_server_has_its_limit_whoever_asks() {
        let quota = quota(0, 0, 2);
        let take = |n| quota.take_port(START, address(n));
        assert_eq!([take(1), take(2)], [Ok(()); 2]);
        assert_eq!(take(3), Err(ErrorCode::InsufficientCapacity));
        quota.give_port_back(START, address(1));
        assert_eq!(take(3), Ok(()), "a port at rest is its pool's concern");
    }

    /// Threat 10: a fresh name does not escape it.
    #[test]
    fn threat_10_an_address_is_counted_until_its_ports_have_rested() {
        let quota = quota(0, 2, 100);
        let take = |now, n| quota.take_port(now, address(n));
        assert_eq!([take(START, 1), take(START, 1)], [Ok(()); 2]);
        assert_eq!(take(START, 1), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(take(START, 2), Ok(()));
        quota.give_port_back(START, address(1));
        let almost = START + REST - Duration::from_secs(1);
        assert_eq!(take(almost, 1), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(take(START + REST, 1), Ok(()));
    }

    #[test]
    fn a_port_in_reserve_counts_as_one() {
        let quota = quota(0, 2, 100);
        quota.take_port(START, address(1)).unwrap();
        quota.reserve(START, address(1));
        assert_eq!(quota.take_port(START, address(1)), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take_port(START + REST, address(1)), Ok(()));
    }

    #[test]
    fn who_holds_nothing_leaves_nothing_behind() {
        let quota = quota(0, 0, 10);
        for name in ["a", "b", "a"] {
            quota.take(name).unwrap();
            quota.take_port(START, address(1)).unwrap();
        }
        quota.reserve(START, address(2));
        quota.give_port_back(START, address(1));
        quota.give_port_back_unused(address(1));
        quota.give_port_back(START + REST, address(1));
        for name in ["a", "b", "a"] {
            quota.give_back(name);
        }
        quota.take_port(START + REST + REST, address(3)).unwrap();
        quota.give_port_back_unused(address(3));
        let held = quota.held.lock().unwrap();
        assert!(held.allocations_by_name.is_empty() && held.ports_by_address.is_empty());
        assert_eq!((held.allocations, held.ports, held.resting.len()), (0, 0, 0));
    }
}
