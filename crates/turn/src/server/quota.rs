//! Quotas: allocations of each name, and relay ports of each client address and in total.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use crate::client_network::ClientNetwork;
use crate::lock::lock;
use crate::shares::Shares;
use crate::wire::ErrorCode;

/// Limits on allocations, relay ports, bandwidth and unauthenticated requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Allocations of one name, whatever the expiry before it in the username; 0 = no limit.
    pub allocations_per_user: u32,
    /// Relay ports of one client address (IPv6: /64), including those at rest and in reserve; 0 =
    /// no limit.
    pub allocations_per_address: u32,
    /// Relay ports in total. An allocation uses one, a dual allocation two.
    pub allocations: u32,
    /// Bytes of payload per second that an allocation may relay in each direction, with a burst of
    /// one second; 0 = no cap.
    pub bandwidth_per_allocation: u64,
    /// Answers per second to unauthenticated clients, for each address (IPv6: /64); 0 = no limit.
    pub unauthenticated_per_second: u32,
}

/// Counts allocations and their ports across shards. The lock is a `std` mutex, because it is held
/// for a few look-ups, and only when an allocation begins or ends.
///
/// A dual allocation counts as one allocation of its name, because it serves one 5-tuple. It counts
/// as two ports of its client address and of the total, because ports and their file descriptors
/// run out. A port in reserve counts as one allocation and one port, for the name and address that
/// reserved it, until its token is used.
pub(super) struct QuotaUse {
    held: Mutex<Held>,
}

struct Held {
    per_user: u32,
    ports_per_address: u32,
    rest: Duration,
    allocations: usize,
    allocations_by_name: BTreeMap<Box<str>, u32>,
    reserved_by_name: BTreeMap<Box<str>, u32>,
    /// Ports in use and in reserve. The last tenth is kept for addresses that hold few.
    /// `ports_by_address` has the count for the limit of one address.
    ports: Shares,
    /// Ports of each address. Ports at rest count, too: otherwise one client that allocates and
    /// deletes could put all ports to rest, and nobody could allocate.
    ports_by_address: BTreeMap<ClientNetwork, u32>,
    /// Time until which a closed port still counts for its address, in order.
    resting: VecDeque<(Duration, ClientNetwork)>,
}

impl QuotaUse {
    /// Creates empty counts for `quota`. A closed port counts for `rest` longer.
    pub(super) fn new(quota: Quota, rest: Duration) -> Self {
        Self { held: Mutex::new(Held::new(quota, rest)) }
    }

    /// Replaces the limits. Allocations and ports beyond them stay until they end.
    pub(super) fn set_limits(&self, quota: Quota, rest: Duration) {
        let mut held = self.lock();
        held.per_user = quota.allocations_per_user;
        held.ports_per_address = quota.allocations_per_address;
        held.rest = rest;
        held.ports.set_limits(quota.allocations as usize, quota.allocations as usize);
    }

    /// Counts one allocation of `name`, the username without its expiry. `spare` reserved ports of
    /// the same name are about to become part of this allocation, so they do not count against it.
    ///
    /// # Errors
    /// 486 if the name has reached its limit.
    pub(super) fn take(&self, name: &str, spare: u32) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        if is_reached(held.of_name(name).saturating_sub(spare), 1, held.per_user) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        held.allocations += 1;
        *held.allocations_by_name.entry(name.into()).or_default() += 1;
        Ok(())
    }

    /// Gives back one allocation of `name`.
    pub(super) fn give_back(&self, name: &str) {
        let mut held = self.lock();
        held.allocations = held.allocations.saturating_sub(1);
        decrement(&mut held.allocations_by_name, name);
    }

    /// Counts one port in reserve for `name`.
    ///
    /// # Errors
    /// 486 if the name has reached its limit.
    pub(super) fn reserve(&self, name: &str) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        if is_reached(held.of_name(name), 1, held.per_user) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        *held.reserved_by_name.entry(name.into()).or_default() += 1;
        Ok(())
    }

    /// Gives back one port in reserve of `name`.
    pub(super) fn release(&self, name: &str) {
        decrement(&mut self.lock().reserved_by_name, name);
    }

    /// Returns the number of allocations on all shards.
    pub(super) fn allocations(&self) -> usize {
        self.lock().allocations
    }

    /// Whether a client that holds more than little finds no port.
    pub(super) fn is_full(&self) -> bool {
        self.lock().ports.is_full()
    }

    /// Returns the number of allocations of `name`.
    pub(super) fn allocations_of(&self, name: &str) -> u32 {
        self.lock().allocations_by_name.get(name).copied().unwrap_or_default()
    }

    /// Whether `name` has an allocation or a port in reserve.
    pub(super) fn has_any(&self, name: &str) -> bool {
        self.lock().of_name(name) > 0
    }

    /// Counts `count` ports for `address`.
    ///
    /// # Errors
    /// 486 if the address has reached its limit. 508 if the server has reached its limit, or only
    /// the part kept for other addresses is left.
    pub(super) fn take_ports(
        &self,
        now: Duration,
        address: ClientNetwork,
        count: u32,
    ) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        held.wake(now);
        if is_reached(held.of_address(address), count, held.ports_per_address) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        held.ports.take(address, count as usize).map_err(|_| ErrorCode::InsufficientCapacity)?;
        *held.ports_by_address.entry(address).or_default() += count;
        Ok(())
    }

    /// Moves one port from one address to another.
    ///
    /// # Errors
    /// 486 if the other address has reached its limit.
    pub(super) fn move_port(
        &self,
        now: Duration,
        from: ClientNetwork,
        to: ClientNetwork,
    ) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        held.wake(now);
        if from != to && is_reached(held.of_address(to), 1, held.ports_per_address) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        held.ports.hand_over(from, to, 1);
        *held.ports_by_address.entry(to).or_default() += 1;
        decrement(&mut held.ports_by_address, &from);
        Ok(())
    }

    /// Gives back a port. It counts for `address` until it has rested.
    pub(super) fn give_port_back(&self, now: Duration, address: ClientNetwork) {
        let mut held = self.lock();
        held.ports.give_back(address, 1);
        let until = now + held.rest;
        held.resting.push_back((until, address));
        held.wake(now);
    }

    /// Gives back a port that could not be taken, or that was never bound.
    pub(super) fn give_port_back_unused(&self, address: ClientNetwork) {
        let mut held = self.lock();
        held.ports.give_back(address, 1);
        decrement(&mut held.ports_by_address, &address);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // Counts are consistent between any two statements, so a panic elsewhere leaves them valid.
        lock(&self.held)
    }
}

impl Held {
    fn new(quota: Quota, rest: Duration) -> Self {
        let ports = quota.allocations as usize;
        Self {
            per_user: quota.allocations_per_user,
            ports_per_address: quota.allocations_per_address,
            rest,
            allocations: 0,
            allocations_by_name: BTreeMap::new(),
            reserved_by_name: BTreeMap::new(),
            ports: Shares::with_share(ports, ports),
            ports_by_address: BTreeMap::new(),
            resting: VecDeque::new(),
        }
    }

    /// Returns the allocations and ports in reserve of a name.
    fn of_name(&self, name: &str) -> u32 {
        let of = |counts: &BTreeMap<Box<str>, u32>| counts.get(name).copied().unwrap_or_default();
        of(&self.allocations_by_name).saturating_add(of(&self.reserved_by_name))
    }

    fn of_address(&self, address: ClientNetwork) -> u32 {
        self.ports_by_address.get(&address).copied().unwrap_or_default()
    }

    fn wake(&mut self, now: Duration) {
        while let Some((_, address)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            decrement(&mut self.ports_by_address, &address);
        }
    }
}

/// Whether `more` would exceed `limit`. 0 means no limit.
fn is_reached(held: u32, more: u32, limit: u32) -> bool {
    limit > 0 && held.saturating_add(more) > limit
}

/// Decrements a count, and removes the entry at zero.
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

    fn quota(per_user: u32, ports_per_address: u32, ports: u32) -> QuotaUse {
        QuotaUse::new(limits(per_user, ports_per_address, ports), REST)
    }

    fn limits(allocations_per_user: u32, allocations_per_address: u32, allocations: u32) -> Quota {
        Quota {
            allocations_per_user,
            allocations_per_address,
            allocations,
            bandwidth_per_allocation: 0,
            unauthenticated_per_second: 0,
        }
    }

    fn address(n: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, n].into())
    }

    #[test]
    fn limits_that_change_end_nothing_and_hold_for_the_next() {
        let quota = quota(2, 2, 4);
        assert_eq!([quota.take("a", 0), quota.take("a", 0)], [Ok(()); 2]);
        assert_eq!(quota.take_ports(START, address(1), 2), Ok(()));
        quota.set_limits(limits(1, 1, 3), REST);
        assert_eq!((quota.allocations_of("a"), quota.take("b", 0)), (2, Ok(())));
        quota.give_back("a");
        assert_eq!(quota.take("a", 0), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take_ports(START, address(2), 1), Ok(()));
        assert_eq!(quota.take_ports(START, address(2), 1), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take_ports(START, address(3), 1), Err(ErrorCode::InsufficientCapacity));
        quota.set_limits(limits(0, 0, 8), REST);
        assert_eq!(quota.take("a", 0), Ok(()));
        assert_eq!(quota.take_ports(START, address(2), 3), Ok(()));
    }

    #[test]
    fn a_name_has_its_limit() {
        let quota = quota(2, 0, 100);
        assert_eq!([quota.take("a", 0), quota.take("a", 0)], [Ok(()); 2]);
        assert_eq!(quota.take("a", 0), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take("b", 0), Ok(()));
        assert_eq!((quota.allocations(), quota.allocations_of("a"), quota.allocations_of("c")), (3, 2, 0));
        quota.give_back("a");
        assert_eq!(quota.take("a", 0), Ok(()));
    }

    #[test]
    fn the_server_has_its_limit_whoever_asks() {
        let quota = quota(0, 0, 2);
        let take = |n| quota.take_ports(START, address(n), 1);
        assert_eq!([take(1), take(2)], [Ok(()); 2]);
        assert_eq!(take(3), Err(ErrorCode::InsufficientCapacity));
        quota.give_port_back(START, address(1));
        assert_eq!(take(3), Ok(()), "the pool, not the quota, handles ports at rest");
    }

    #[test]
    fn threat_31_the_last_tenth_of_the_ports_is_for_addresses_that_hold_few() {
        let quota = quota(0, 60, 100);
        let all = |n| (0..100).take_while(|_| quota.take_ports(START, address(n), 1).is_ok()).count();
        assert_eq!([all(1), all(2)], [60, 30]);
        assert_eq!(quota.take_ports(START, address(2), 1), Err(ErrorCode::InsufficientCapacity));
        assert_eq!([all(3), all(4), all(5), all(6)], [4, 4, 2, 0]);
    }

    /// Threat 10: a fresh name does not reset the count.
    #[test]
    fn threat_10_an_address_is_counted_until_its_ports_have_rested() {
        let quota = quota(0, 2, 100);
        let take = |now, n| quota.take_ports(now, address(n), 1);
        assert_eq!([take(START, 1), take(START, 1)], [Ok(()); 2]);
        assert_eq!(take(START, 1), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(take(START, 2), Ok(()));
        quota.give_port_back(START, address(1));
        let almost = START + REST - Duration::from_secs(1);
        assert_eq!(take(almost, 1), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(take(START + REST, 1), Ok(()));
    }

    #[test]
    fn a_port_in_reserve_counts_as_one_of_its_name_and_its_address() {
        let quota = quota(2, 2, 3);
        quota.take("a", 0).unwrap();
        quota.reserve("a").unwrap();
        quota.take_ports(START, address(1), 2).unwrap();
        let full = Err(ErrorCode::AllocationQuotaReached);
        assert_eq!([quota.take("a", 0), quota.reserve("a")], [full; 2]);
        assert_eq!(quota.take_ports(START, address(1), 1), full);
        assert_eq!(quota.take_ports(START, address(2), 2), Err(ErrorCode::InsufficientCapacity));
        assert_eq!((quota.allocations_of("a"), quota.has_any("a"), quota.has_any("b")), (1, true, false));

        // The token turns it into an allocation of the same name and address: nothing more is
        // taken.
        quota.take("a", 1).unwrap();
        quota.move_port(START, address(1), address(1)).unwrap();
        quota.release("a");
        assert_eq!((quota.take("a", 0), quota.take_ports(START, address(1), 1)), (full, full));
    }

    /// Threat 10: a token that is passed on counts for the client that uses it.
    #[test]
    fn threat_10_a_port_that_changes_its_address_is_counted_there() {
        let quota = quota(0, 2, 10);
        quota.take_ports(START, address(1), 2).unwrap();
        quota.take_ports(START, address(2), 1).unwrap();
        quota.move_port(START, address(1), address(2)).unwrap();
        let full = Err(ErrorCode::AllocationQuotaReached);
        assert_eq!(quota.move_port(START, address(1), address(2)), full);
        assert_eq!(
            (quota.take_ports(START, address(1), 1), quota.take_ports(START, address(2), 1)),
            (Ok(()), full)
        );
    }

    #[test]
    fn who_holds_nothing_leaves_nothing_behind() {
        let quota = quota(0, 0, 10);
        for name in ["a", "b", "a"] {
            quota.take(name, 0).unwrap();
            quota.take_ports(START, address(1), 1).unwrap();
        }
        quota.reserve("c").unwrap();
        quota.release("c");
        quota.give_port_back(START, address(1));
        quota.give_port_back_unused(address(1));
        quota.give_port_back(START + REST, address(1));
        for name in ["a", "b", "a"] {
            quota.give_back(name);
        }
        quota.take_ports(START + REST + REST, address(3), 1).unwrap();
        quota.give_port_back_unused(address(3));
        let held = quota.held.lock().unwrap();
        assert!(held.allocations_by_name.is_empty() && held.reserved_by_name.is_empty());
        assert!(held.ports_by_address.is_empty());
        assert_eq!((held.allocations, held.ports.held(), held.resting.len()), (0, 0, 0));
    }
}
