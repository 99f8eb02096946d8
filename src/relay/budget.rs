//! How many answers a second a stranger's address gets, in memory that never grows.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use super::meter::Meter;
use crate::subscriber::Subscriber;

/// Addresses share this many buckets. A flood of a million forged sources can at worst use up all of them, which costs
/// honest strangers a retransmission, and never costs a client that has authenticated.
const BUCKETS: usize = 1 << 16;

/// A meter for each address, by hash. Shared by the shards without a lock.
pub(super) struct StrangerBudget {
    /// What one answer costs; `None` = no limit.
    cost: Option<Duration>,
    buckets: Box<[Meter]>,
    hasher: SeedableRandomState,
}

impl StrangerBudget {
    /// `per_second` answers for each IPv4 address and IPv6 /64, a second's worth at once; 0 = no limit.
    pub(super) fn new(per_second: u32, seed: u64) -> Self {
        let cost = (per_second > 0).then(|| Duration::from_secs(1) / per_second);
        let buckets = if cost.is_some() { BUCKETS } else { 0 };
        Self {
            cost,
            buckets: (0..buckets).map(|_| Meter::default()).collect(),
            // The addresses are the attacker's to choose: unseeded, they could all be aimed at one victim's bucket.
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()),
        }
    }

    /// Takes one answer out of the budget of `client`; false if it is used up.
    pub(super) fn take(&self, now: Duration, client: IpAddr) -> bool {
        let Some(cost) = self.cost else { return true };
        let hash = self.hasher.hash_one(Subscriber::of(client));
        let Some(bucket) = usize::try_from(hash).ok().and_then(|hash| self.buckets.get(hash % BUCKETS))
        else {
            return false;
        };
        bucket.take(now, cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    #[test]
    fn a_second_holds_as_many_answers_as_it_says() {
        let budget = StrangerBudget::new(200, 7);
        let client = "192.0.2.1".parse().unwrap();
        assert_eq!((0..1000).filter(|_| budget.take(START, client)).count(), 200);
        assert_eq!(
            (0..1000).filter(|_| budget.take(START + Duration::from_millis(500), client)).count(),
            100
        );
        assert_eq!((0..1000).filter(|_| budget.take(START + Duration::from_secs(5), client)).count(), 200);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_stranger() {
        let budget = StrangerBudget::new(10, 7);
        let in_one_network =
            (0..100).filter(|n| budget.take(START, format!("2001:db8::{n:x}").parse().unwrap()));
        assert_eq!(in_one_network.count(), 10);
        assert!(budget.take(START, "2001:db8:0:1::1".parse().unwrap()));
    }

    #[test]
    fn zero_is_no_limit() {
        let budget = StrangerBudget::new(0, 7);
        assert!((0..10_000).all(|_| budget.take(START, "192.0.2.1".parse().unwrap())));
    }

    #[test]
    fn one_address_that_floods_leaves_others_alone() {
        let budget = StrangerBudget::new(10, 7);
        for _ in 0..1000 {
            budget.take(START, "192.0.2.1".parse().unwrap());
        }
        assert!(budget.take(START, "192.0.2.2".parse().unwrap()));
    }
}
