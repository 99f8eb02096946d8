//! How many allocations there may be: of one name, of one client address, and in total.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::shared::Settings;
use crate::subscriber::Subscriber;
use crate::wire::ErrorCode;

/// Counts allocations across shards. A `std` mutex, since it is held for a few look-ups and only when an allocation
/// begins or ends.
pub(super) struct Quota {
    per_user: u32,
    per_address: u32,
    total: u32,
    rest: Duration,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: u32,
    by_name: BTreeMap<Box<str>, u32>,
    /// Ports at rest and in reserve are counted here, too: otherwise one client that allocates and deletes would put all
    /// ports to rest, and nobody could allocate.
    by_address: BTreeMap<Subscriber, u32>,
    /// Until when an address is still counted for a port that it no longer uses, in order.
    resting: VecDeque<(Duration, Subscriber)>,
}

impl Quota {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            per_user: settings.allocations_per_user,
            per_address: settings.allocations_per_address,
            total: settings.allocations,
            rest: settings.port_rest,
            held: Mutex::default(),
        }
    }

    /// Counts one allocation of `name`, the part of the username behind its expiry, and of `address`.
    ///
    /// # Errors
    /// 486 where the name or the address has all it may have, 508 where the server has.
    pub(super) fn take(&self, now: Duration, name: &str, address: Subscriber) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        held.wake(now);
        let is_reached =
            |held: Option<&u32>, limit: u32| limit > 0 && held.is_some_and(|held| *held >= limit);
        if is_reached(held.by_name.get(name), self.per_user)
            || is_reached(held.by_address.get(&address), self.per_address)
        {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        if held.total >= self.total {
            return Err(ErrorCode::InsufficientCapacity);
        }
        held.total += 1;
        *held.by_name.entry(name.into()).or_default() += 1;
        *held.by_address.entry(address).or_default() += 1;
        Ok(())
    }

    /// Counts a port that is held in reserve against `address`, for as long as a port at rest.
    pub(super) fn reserve(&self, now: Duration, address: Subscriber) {
        let mut held = self.lock();
        *held.by_address.entry(address).or_default() += 1;
        held.resting.push_back((now + self.rest, address));
    }

    /// Gives one allocation back; the address is counted until the port has rested.
    pub(super) fn give_back(&self, now: Duration, name: &str, address: Subscriber) {
        let mut held = self.lock();
        held.forget_name(name);
        held.resting.push_back((now + self.rest, address));
        held.wake(now);
    }

    /// Gives one back for which there was no port.
    pub(super) fn give_back_unused(&self, name: &str, address: Subscriber) {
        let mut held = self.lock();
        held.forget_name(name);
        decrement(&mut held.by_address, &address);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // Counts are whole between any two statements: what panicked elsewhere does not concern them.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn forget_name(&mut self, name: &str) {
        self.total = self.total.saturating_sub(1);
        decrement(&mut self.by_name, name);
    }

    fn wake(&mut self, now: Duration) {
        while let Some((_, address)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            decrement(&mut self.by_address, &address);
        }
    }
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

    fn quota(per_user: u32, per_address: u32, total: u32) -> Quota {
        Quota { per_user, per_address, total, rest: REST, held: Mutex::default() }
    }

    fn address(n: u8) -> Subscriber {
        Subscriber::of([192, 0, 2, n].into())
    }

    #[test]
    fn a_name_and_the_server_have_limits_of_their_own() {
        let quota = quota(2, 0, 3);
        let take = |name| quota.take(START, name, address(1));
        assert_eq!([take("a"), take("a")], [Ok(()); 2]);
        assert_eq!(take("a"), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(take("b"), Ok(()));
        assert_eq!(take("c"), Err(ErrorCode::InsufficientCapacity));
        quota.give_back(START, "a", address(1));
        assert_eq!(take("c"), Ok(()));
    }

    /// Threat 10: neither a fresh name nor a fresh port escapes it.
    #[test]
    fn an_address_is_counted_until_its_ports_have_rested() {
        let quota = quota(0, 2, 100);
        assert_eq!([quota.take(START, "a", address(1)), quota.take(START, "b", address(1))], [Ok(()); 2]);
        assert_eq!(quota.take(START, "c", address(1)), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take(START, "c", address(2)), Ok(()));
        quota.give_back(START, "a", address(1));
        let almost = START + REST - Duration::from_secs(1);
        assert_eq!(quota.take(almost, "c", address(1)), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take(START + REST, "c", address(1)), Ok(()));
    }

    #[test]
    fn a_port_in_reserve_counts_as_one() {
        let quota = quota(0, 2, 100);
        quota.take(START, "a", address(1)).unwrap();
        quota.reserve(START, address(1));
        assert_eq!(quota.take(START, "a", address(1)), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take(START + REST, "a", address(1)), Ok(()));
    }

    #[test]
    fn who_holds_nothing_leaves_nothing_behind() {
        let quota = quota(0, 0, 10);
        for name in ["a", "b", "a"] {
            quota.take(START, name, address(1)).unwrap();
        }
        quota.reserve(START, address(2));
        quota.give_back(START, "a", address(1));
        quota.give_back_unused("b", address(1));
        quota.give_back(START + REST, "a", address(1));
        quota.take(START + REST + REST, "c", address(3)).unwrap();
        quota.give_back_unused("c", address(3));
        let held = quota.held.lock().unwrap();
        assert!(held.by_name.is_empty() && held.by_address.is_empty() && held.resting.is_empty());
    }
}
