//! How many allocations one name may have, and how many relay ports one client address and all
//! together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use crate::client_network::ClientNetwork;
use crate::lock::lock;
use crate::shares::Shares;
use crate::wire::ErrorCode;

/// Limits of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Allocations of one name, whatever the expiry in front of it; 0 = no limit.
    pub allocations_per_user: u32,
    /// Relay ports of one client address (IPv6: /64), those at rest and in reserve included; 0 = no
    /// limit.
    pub allocations_per_address: u32,
    /// Relay ports in total. An allocation has one, a dual one two.
    pub allocations: u32,
    /// Bytes of payload a second that an allocation may relay each way, a second's worth at once; 0
    /// = no cap.
    pub bandwidth_per_allocation: u64,
    /// Answers a second to unauthenticated clients, for each address (IPv6: /64); 0 = no limit.
    pub unauthenticated_per_second: u32,
}

/// Counts allocations and their ports across shards. A `std` mutex, since it is held for a few
/// look-ups and only when an allocation begins or ends.
///
/// A dual allocation is one allocation of its name, which has one 5-tuple more to talk on, and two
/// ports of its address and in total, which is what runs out: ports, and the file descriptors
/// behind them. A port held in reserve is one of each: of the name and the address that have
/// reserved it, until its token is used.
pub(super) struct QuotaUse {
    per_user: u32,
    ports_per_address: u32,
    rest: Duration,
    held: Mutex<Held>,
}

struct Held {
    allocations: usize,
    allocations_by_name: BTreeMap<Box<str>, u32>,
    reserved_by_name: BTreeMap<Box<str>, u32>,
    /// Ports in use and in reserve, of which the last tenth is for addresses that hold few. How
    /// many one address may have is counted next.
    ports: Shares,
    /// Ports at rest are counted here, too: otherwise one client that allocates and deletes would
    /// put all ports to rest, and nobody could allocate.
    ports_by_address: BTreeMap<ClientNetwork, u32>,
    /// Until when an address is still counted for a port that it no longer uses, in order.
    resting: VecDeque<(Duration, ClientNetwork)>,
}

impl QuotaUse {
    /// Nothing used yet of `quota`, where a closed port counts for `rest` more.
    pub(super) fn new(quota: Quota, rest: Duration) -> Self {
        Self {
            per_user: quota.allocations_per_user,
            ports_per_address: quota.allocations_per_address,
            rest,
            held: Mutex::new(Held::new(quota.allocations as usize)),
        }
    }

    /// Counts one allocation of `name`, the part of the username that is not its expiry. `spare`
    /// places of the name's own are about to become this one's.
    ///
    /// # Errors
    /// 486 where the name has all it may have.
    pub(super) fn take(&self, name: &str, spare: u32) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        if is_reached(held.of_name(name).saturating_sub(spare), 1, self.per_user) {
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

    /// Counts one port in reserve of `name`.
    ///
    /// # Errors
    /// 486 where the name has all it may have.
    pub(super) fn reserve(&self, name: &str) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        if is_reached(held.of_name(name), 1, self.per_user) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        *held.reserved_by_name.entry(name.into()).or_default() += 1;
        Ok(())
    }

    /// Gives a port in reserve of `name` back.
    pub(super) fn release(&self, name: &str) {
        decrement(&mut self.lock().reserved_by_name, name);
    }

    /// How many allocations there are.
    pub(super) fn allocations(&self) -> usize {
        self.lock().allocations
    }

    /// How many of them `name` has.
    pub(super) fn allocations_of(&self, name: &str) -> u32 {
        self.lock().allocations_by_name.get(name).copied().unwrap_or_default()
    }

    /// Whether `name` has an allocation or a port in reserve.
    pub(super) fn has_any(&self, name: &str) -> bool {
        self.lock().of_name(name) > 0
    }

    /// Counts so many ports of `address`.
    ///
    /// # Errors
    /// 486 where the address has all it may have, 508 where the server has, or all but what it
    /// leaves for others.
    pub(super) fn take_ports(
        &self,
        now: Duration,
        address: ClientNetwork,
        count: u32,
    ) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        held.wake(now);
        if is_reached(held.of_address(address), count, self.ports_per_address) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        held.ports.take(address, count as usize).map_err(|_| ErrorCode::InsufficientCapacity)?;
        *held.ports_by_address.entry(address).or_default() += count;
        Ok(())
    }

    /// Counts a port of one address as another's from now on.
    ///
    /// # Errors
    /// 486 where the other has all it may have.
    pub(super) fn move_port(
        &self,
        now: Duration,
        from: ClientNetwork,
        to: ClientNetwork,
    ) -> Result<(), ErrorCode> {
        let mut held = self.lock();
        held.wake(now);
        if from != to && is_reached(held.of_address(to), 1, self.ports_per_address) {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        held.ports.hand_over(from, to, 1);
        *held.ports_by_address.entry(to).or_default() += 1;
        decrement(&mut held.ports_by_address, &from);
        Ok(())
    }

    /// Gives a port back; the address is counted until it has rested.
    pub(super) fn give_port_back(&self, now: Duration, address: ClientNetwork) {
        let mut held = self.lock();
        held.ports.give_back(address, 1);
        held.resting.push_back((now + self.rest, address));
        held.wake(now);
    }

    /// Gives one back that was not to be had, or never bound.
    pub(super) fn give_port_back_unused(&self, address: ClientNetwork) {
        let mut held = self.lock();
        held.ports.give_back(address, 1);
        decrement(&mut held.ports_by_address, &address);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // Counts are whole between any two statements: what panicked elsewhere does not concern
        // them.
        lock(&self.held)
    }
}

impl Held {
    fn new(ports: usize) -> Self {
        Self {
            allocations: 0,
            allocations_by_name: BTreeMap::new(),
            reserved_by_name: BTreeMap::new(),
            ports: Shares::with_share(ports, ports),
            ports_by_address: BTreeMap::new(),
            resting: VecDeque::new(),
        }
    }

    /// Allocations and ports in reserve of a name.
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

/// Whether so many more are too many. 0 is no limit.
fn is_reached(held: u32, more: u32, limit: u32) -> bool {
    limit > 0 && held.saturating_add(more) > limit
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

    fn quota(per_user: u32, ports_per_address: u32, ports: u32) -> QuotaUse {
        QuotaUse { per_user, ports_per_address, rest: REST, held: Mutex::new(Held::new(ports as usize)) }
    }

    fn address(n: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, n].into())
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
        assert_eq!(take(3), Ok(()), "a port at rest is its pool's concern");
    }

    #[test]
    fn threat_31_the_last_tenth_of_the_ports_is_for_addresses_that_hold_few() {
        let quota = quota(0, 60, 100);
        let all = |n| (0..100).take_while(|_| quota.take_ports(START, address(n), 1).is_ok()).count();
        assert_eq!([all(1), all(2)], [60, 30]);
        assert_eq!(quota.take_ports(START, address(2), 1), Err(ErrorCode::InsufficientCapacity));
        assert_eq!([all(3), all(4), all(5), all(6)], [4, 4, 2, 0]);
    }

    /// Threat 10: a fresh name does not escape it.
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

        // Its token makes it an allocation's, of the same name and address: nothing more is taken.
        quota.take("a", 1).unwrap();
        quota.move_port(START, address(1), address(1)).unwrap();
        quota.release("a");
        assert_eq!((quota.take("a", 0), quota.take_ports(START, address(1), 1)), (full, full));
    }

    /// Threat 10: a token that is passed on is paid for by whoever uses it.
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
