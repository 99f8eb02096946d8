//! Shares of a bounded resource: a cap per client network, and a reserve for networks that hold
//! little. Pure.
//!
//! A total cap alone lets one client take everything. A share per network alone lets a few networks
//! do so together. The last tenth of a cap is therefore reserved for networks that hold little, so
//! a new client finds room whatever others hold.
//!
//! Loopback is exempt from both, because a reverse proxy on this machine serves many clients and
//! has limits of its own. If the proxy names its client, that client's network is charged.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::client_network::ClientNetwork;

/// Divisor of the default share: one network may hold an eighth of the cap.
const SHARE: usize = 8;

/// Largest cap, in units, that has neither shares nor a reserve. An office behind one address
/// counts as one network.
const UNDIVIDED: usize = 64;

/// Divisor of the reserve: a tenth of the cap is for networks that hold little.
const RESERVE: usize = 10;

/// Divisor of the cap that gives the units which count as little.
const LITTLE: usize = 1_024;

/// Units that count as little whatever the cap.
const LEAST_LITTLE: usize = 4;

/// Units of a resource, counted by the network that holds them.
#[derive(Debug)]
pub struct Shares {
    cap: usize,
    share: usize,
    held: usize,
    /// Contains no zero counts.
    by_network: BTreeMap<ClientNetwork, usize>,
}

/// Limit that a request would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Share of the network.
    Share,
    /// Total cap, or the part of it that is open to networks that hold more than little.
    Cap,
}

impl Shares {
    /// Creates a resource of `cap` units, of which one network may hold the default share: an
    /// eighth, and at least 64.
    #[must_use]
    pub fn of(cap: usize) -> Self {
        Self::with_share(cap, (cap / SHARE).max(UNDIVIDED))
    }

    /// Creates a resource of `cap` units, of which one network may hold `share`.
    #[must_use]
    pub fn with_share(cap: usize, share: usize) -> Self {
        Self { cap, share, held: 0, by_network: BTreeMap::new() }
    }

    /// Replaces the cap and the share of one network. Units held beyond them stay held.
    pub fn set_limits(&mut self, cap: usize, share: usize) {
        (self.cap, self.share) = (cap, share);
    }

    /// Replaces the cap, of which one network may hold the default share.
    pub fn set_cap(&mut self, cap: usize) {
        self.set_limits(cap, (cap / SHARE).max(UNDIVIDED));
    }

    /// Units held by all networks together.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Whether only the reserve is left, for networks that hold little.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held >= self.open()
    }

    /// Units held by `network`.
    #[must_use]
    pub fn held_by(&self, network: ClientNetwork) -> usize {
        self.by_network.get(&network).copied().unwrap_or(0)
    }

    /// Checks that `network` may hold `units` more. Loopback is bound by the cap alone.
    ///
    /// # Errors
    /// [`Refused`] names the limit that would be exceeded.
    pub fn check(&self, network: ClientNetwork, units: usize) -> Result<(), Refused> {
        let after = self.held.saturating_add(units);
        let own = self.held_by(network).saturating_add(units);
        let (is_many, is_little) = (network.is_loopback(), own <= (self.cap / LITTLE).max(LEAST_LITTLE));
        if own > self.share && !is_many {
            return Err(Refused::Share);
        }
        let open = if is_many || is_little { self.cap } else { self.open() };
        if after > open { Err(Refused::Cap) } else { Ok(()) }
    }

    /// Units for networks that hold more than little.
    fn open(&self) -> usize {
        if self.cap <= UNDIVIDED { self.cap } else { self.cap - self.cap / RESERVE }
    }

    /// Takes `units` for `network`, after [`Self::check`].
    ///
    /// # Errors
    /// [`Refused`] names the limit that would be exceeded; nothing is taken.
    pub fn take(&mut self, network: ClientNetwork, units: usize) -> Result<(), Refused> {
        self.check(network, units)?;
        self.charge(network, units);
        Ok(())
    }

    /// Takes `units` for a network that stands for many clients, such as a reverse proxy. Only the
    /// cap applies.
    ///
    /// # Errors
    /// [`Refused::Cap`]; nothing is taken.
    pub fn take_of_cap(&mut self, network: ClientNetwork, units: usize) -> Result<(), Refused> {
        if self.held.saturating_add(units) > self.cap {
            return Err(Refused::Cap);
        }
        self.charge(network, units);
        Ok(())
    }

    /// Charges `units` to `network` without a check, so that an existing holder is not rejected.
    pub fn charge(&mut self, network: ClientNetwork, units: usize) {
        if units > 0 {
            self.held += units;
            *self.by_network.entry(network).or_default() += units;
        }
    }

    /// Returns `units` that `network` holds.
    pub fn give_back(&mut self, network: ClientNetwork, units: usize) {
        self.held -= units;
        if let Some(held) = self.by_network.get_mut(&network) {
            *held -= units;
            if *held == 0 {
                self.by_network.remove(&network);
            }
        }
    }

    /// Moves `units` from one network to another without a check.
    pub fn hand_over(&mut self, from: ClientNetwork, to: ClientNetwork, units: usize) {
        self.give_back(from, units);
        self.charge(to, units);
    }
}

/// Picks holders to evict until they free at least `units`, if there are enough.
///
/// Each pick takes the biggest holder of the network that holds most at that point. `holders` are
/// (network, units held, name of the holder).
pub fn biggest<T>(holders: impl IntoIterator<Item = (ClientNetwork, usize, T)>, units: usize) -> Vec<T> {
    let mut by_network: BTreeMap<ClientNetwork, Vec<(usize, T)>> = BTreeMap::new();
    for (network, held, holder) in holders {
        by_network.entry(network).or_default().push((held, holder));
    }
    let sum = |holders: &[(usize, T)]| holders.iter().map(|(held, _)| held).sum::<usize>();
    let mut networks = BinaryHeap::new();
    for (network, holders) in &mut by_network {
        holders.sort_by_key(|(held, _)| *held);
        networks.push((sum(holders), Reverse(*network)));
    }
    let (mut picked, mut freed) = (Vec::new(), 0);
    while freed < units
        && let Some((held_by_network, network)) = networks.pop()
    {
        let next = by_network.get_mut(&network.0).and_then(Vec::pop);
        if let Some((held, holder)) = next {
            freed += held;
            picked.push(holder);
            networks.push((held_by_network - held, network));
        }
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;

    fn network(n: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, n].into())
    }

    /// Takes units one by one until refused; returns the number taken.
    fn all(shares: &mut Shares, network: ClientNetwork) -> usize {
        (0..=shares.cap).take_while(|_| shares.take(network, 1).is_ok()).count()
    }

    #[test]
    fn threat_31_one_network_has_its_share_and_no_more() {
        let mut shares = Shares::of(10_000);
        assert_eq!(all(&mut shares, network(1)), 1_250);
        assert_eq!(shares.check(network(1), 1), Err(Refused::Share));
        let of = |ip: &str| ClientNetwork::of(ip.parse().unwrap());
        assert_eq!(all(&mut shares, of("2001:db8::1")), 1_250);
        assert_eq!(shares.check(of("2001:db8::ffff:2"), 1), Err(Refused::Share), "the same /64");
        assert_eq!(all(&mut shares, of("2001:db8:0:1::1")), 1_250);
    }

    #[test]
    fn threat_31_the_last_tenth_is_for_those_who_hold_little() {
        let mut shares = Shares::of(10_000);
        assert!(!shares.is_full());
        let taken: usize = (0..100).map(|n| all(&mut shares, network(n))).sum();
        // Eight networks have all but the last tenth, and the others nine units each.
        assert_eq!(taken, 9_000 + 92 * 9);
        assert_eq!(shares.check(network(50), 1), Err(Refused::Cap));
        assert!(shares.is_full());
        assert_eq!(shares.take(network(200), 9), Ok(()));
        assert_eq!(shares.take(network(200), 1), Err(Refused::Cap), "ten are not little");
    }

    #[test]
    fn a_small_cap_is_not_divided_into_nothing() {
        let mut shares = Shares::of(64);
        assert_eq!(all(&mut shares, network(1)), 64);
        let mut shares = Shares::of(70);
        assert_eq!((all(&mut shares, network(1)), all(&mut shares, network(2))), (63, 4));
    }

    #[test]
    fn a_proxy_on_this_machine_may_have_them_all() {
        let mut shares = Shares::of(1_000);
        assert_eq!(all(&mut shares, ClientNetwork::of([127, 0, 0, 1].into())), 1_000);
        assert_eq!(shares.check(network(1), 1), Err(Refused::Cap));
    }

    #[test]
    fn what_is_given_back_is_there_again_and_nothing_is_left_behind() {
        for seed in 0..32 {
            let random = Prng::new(&[seed; 32], "shares");
            let mut shares = Shares::with_share(200, 60);
            let mut held = [0; 6];
            for _ in 0..2_000 {
                let (n, units) = (random.below(6), random.below(20));
                let one = network(u8::try_from(n).unwrap());
                match random.below(4) {
                    0 => {
                        let to = random.below(6);
                        let moved = held[n].min(units);
                        shares.hand_over(one, network(u8::try_from(to).unwrap()), moved);
                        held[n] -= moved;
                        held[to] += moved;
                    }
                    1 => {
                        let given = held[n].min(units);
                        shares.give_back(one, given);
                        held[n] -= given;
                    }
                    _ => {
                        if shares.take(one, units).is_ok() {
                            held[n] += units;
                            assert!(held[n] <= 60, "seed {seed}");
                        }
                    }
                }
                assert_eq!(shares.held(), held.iter().sum::<usize>(), "seed {seed}");
                assert!(shares.held() <= 200 && shares.held_by(one) == held[n], "seed {seed}");
            }
            for (n, held) in held.into_iter().enumerate() {
                shares.give_back(network(u8::try_from(n).unwrap()), held);
            }
            assert!(shares.held() == 0 && shares.by_network.is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn threat_29_the_biggest_of_the_biggest_goes_first() {
        let holders = [(1, 50, 'a'), (2, 30, 'b'), (2, 31, 'c'), (3, 10, 'd'), (2, 5, 'e')];
        let pick = |units| biggest(holders.map(|(n, held, name)| (network(n), held, name)), units);
        assert!(pick(0).is_empty());
        assert_eq!(pick(31), ['c'], "its network has more than a's");
        assert_eq!(pick(32), ['c', 'a']);
        assert_eq!(pick(1_000), ['c', 'a', 'b', 'd', 'e']);
    }
}
