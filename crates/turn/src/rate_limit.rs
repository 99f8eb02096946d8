//! Rate limits by the generic cell rate algorithm (GCRA): for one sender, or per client network in
//! a fixed amount of memory.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use crate::client_network::ClientNetwork;

/// Number of buckets that all addresses share. A flood of a million forged sources can at worst
/// exhaust all of them. Honest unauthenticated clients must then retry; authenticated clients are
/// not affected.
const BUCKETS: usize = 1 << 16;

/// Rate limiter per client network, whose bucket is found by hash. Threads share it without a lock.
#[derive(Debug)]
pub struct KeyedRateLimiter {
    /// Time that one unit costs; `None` = no limit.
    cost: Option<Duration>,
    /// Time in which an empty bucket refills.
    depth: Duration,
    buckets: Box<[Gcra]>,
    hasher: SeedableRandomState,
}

impl KeyedRateLimiter {
    /// Creates a limiter of `per_second` units for each IPv4 address and IPv6 /64; 0 = no limit.
    ///
    /// The burst is the number of units that accrue in `depth`. `seed` must be secret.
    #[must_use]
    pub fn new(per_second: u32, depth: Duration, seed: u64) -> Self {
        let cost = (per_second > 0).then(|| Duration::from_secs(1) / per_second);
        let buckets = if cost.is_some() { BUCKETS } else { 0 };
        Self {
            cost,
            depth,
            buckets: (0..buckets).map(|_| Gcra::default()).collect(),
            // Attackers choose the addresses: with an unseeded hash they could aim all of them at
            // one victim's bucket.
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()),
        }
    }

    /// Charges one unit to the network of `client`. `now` is monotonic time.
    ///
    /// # Errors
    /// Time until a unit is available; nothing is charged.
    pub fn take(&self, now: Duration, client: IpAddr) -> Result<(), Duration> {
        let Some(cost) = self.cost else { return Ok(()) };
        let hash = self.hasher.hash_one(ClientNetwork::of(client));
        let bucket = usize::try_from(hash % BUCKETS as u64).ok().and_then(|bucket| self.buckets.get(bucket));
        bucket.map_or(Err(cost), |bucket| bucket.take(now, cost, self.depth))
    }
}

/// Token bucket as a GCRA ("leaky bucket as a meter"): the nanosecond at which it will be full
/// again.
#[derive(Debug, Default)]
pub struct Gcra(AtomicU64);

impl Gcra {
    /// Charges `cost` to a bucket that holds `depth`. Both are given as the time in which that
    /// amount refills; `now` is monotonic time.
    ///
    /// # Errors
    /// Time until `cost` is available; nothing is charged.
    pub fn take(&self, now: Duration, cost: Duration, depth: Duration) -> Result<(), Duration> {
        let (now, cost, depth) = (nanoseconds(now), nanoseconds(cost), nanoseconds(depth));
        let after = |full_at: u64| full_at.max(now).saturating_add(cost);
        let pay = |full_at| Some(after(full_at)).filter(|next| *next <= now.saturating_add(depth));
        let short = |full_at| after(full_at).saturating_sub(now.saturating_add(depth));
        match self.0.fetch_update(Relaxed, Relaxed, pay) {
            Ok(_) => Ok(()),
            Err(full_at) => Err(Duration::from_nanos(short(full_at))),
        }
    }

    /// Whether the bucket is full: every charge has refilled.
    #[must_use]
    pub fn is_full(&self, now: Duration) -> bool {
        self.0.load(Relaxed) <= nanoseconds(now)
    }

    /// Refunds an amount that refills in `cost`. The bucket never holds more than its depth.
    pub fn give_back(&self, cost: Duration) {
        let cost = nanoseconds(cost);
        // The closure always returns `Some`, so the update succeeds.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |full_at| Some(full_at.saturating_sub(cost)));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);
    const SECOND: Duration = Duration::from_secs(1);

    fn takes(limiter: &KeyedRateLimiter, now: Duration, client: IpAddr) -> bool {
        limiter.take(now, client).is_ok()
    }

    #[test]
    fn what_is_short_is_told_as_a_time_to_wait() {
        let limiter = KeyedRateLimiter::new(10, Duration::from_secs(10), 7);
        let client = "192.0.2.1".parse().unwrap();
        assert_eq!((0..1000).filter(|_| takes(&limiter, START, client)).count(), 100);
        assert_eq!(limiter.take(START, client), Err(Duration::from_millis(100)));
        let soon = START + Duration::from_millis(70);
        assert_eq!(limiter.take(soon, client), Err(Duration::from_millis(30)));
        assert_eq!(limiter.take(soon + Duration::from_millis(30), client), Ok(()));
    }

    #[test]
    fn a_second_holds_as_many_answers_as_it_says() {
        let limiter = KeyedRateLimiter::new(200, SECOND, 7);
        let client = "192.0.2.1".parse().unwrap();
        assert_eq!((0..1000).filter(|_| takes(&limiter, START, client)).count(), 200);
        assert_eq!(
            (0..1000).filter(|_| takes(&limiter, START + Duration::from_millis(500), client)).count(),
            100
        );
        assert_eq!(
            (0..1000).filter(|_| takes(&limiter, START + Duration::from_secs(5), client)).count(),
            200
        );
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_stranger() {
        let limiter = KeyedRateLimiter::new(10, SECOND, 7);
        let in_one_network =
            (0..100).filter(|n| takes(&limiter, START, format!("2001:db8::{n:x}").parse().unwrap()));
        assert_eq!(in_one_network.count(), 10);
        assert!(takes(&limiter, START, "2001:db8:0:1::1".parse().unwrap()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let (meter, depth) = (Gcra::default(), SECOND * 3);
        let take = |cost| meter.take(START, cost, depth).is_ok();
        assert!(take(SECOND * 3) && !take(SECOND));
        meter.give_back(SECOND);
        assert!(take(SECOND) && !take(SECOND));
        meter.give_back(SECOND * 100);
        assert!(take(SECOND * 3) && !take(SECOND));
    }

    #[test]
    fn zero_is_no_limit() {
        let limiter = KeyedRateLimiter::new(0, SECOND, 7);
        assert!((0..10_000).all(|_| takes(&limiter, START, "192.0.2.1".parse().unwrap())));
    }

    #[test]
    fn one_address_that_floods_leaves_others_alone() {
        let limiter = KeyedRateLimiter::new(10, SECOND, 7);
        for _ in 0..1000 {
            takes(&limiter, START, "192.0.2.1".parse().unwrap());
        }
        assert!(takes(&limiter, START, "192.0.2.2".parse().unwrap()));
    }
}
