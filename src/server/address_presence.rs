//! Presence of addresses, with a grace period for an address that disappears briefly.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use byway_turn::time::Now;

/// Grace period in which a removed address still counts as present. Network managers remove and
/// restore addresses within a moment when they renew a lease or restart. Bound sockets survive
/// that, and so should calls.
const PATIENCE: Duration = Duration::from_secs(3);

/// The time at which each address was last present.
#[derive(Debug, Default)]
pub(super) struct AddressPresence(BTreeMap<IpAddr, Duration>);

impl AddressPresence {
    /// Records the present addresses. Returns those that count as present: first `present` in its
    /// order, then those in their grace period.
    pub(super) fn observe(&mut self, now: Now, present: &[IpAddr]) -> Vec<IpAddr> {
        self.0.extend(present.iter().map(|ip| (*ip, now.mono)));
        self.0.retain(|_, seen| now.mono < *seen + PATIENCE);
        let passing = self.0.keys().filter(|ip| !present.contains(ip));
        present.iter().chain(passing).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now { mono: Duration::from_millis(millis), unix: 0 }
    }

    #[test]
    fn threat_35_an_address_counts_at_once_and_until_it_has_been_gone_for_three_seconds() {
        let (a, b) = ("45.0.0.1".parse().unwrap(), "2a00::1".parse().unwrap());
        let mut presence = AddressPresence::default();
        assert_eq!(presence.observe(at(0), &[b]), [b]);
        assert_eq!(presence.observe(at(250), &[b, a]), [b, a]);
        assert_eq!(presence.observe(at(500), &[a]), [a, b]);
        assert_eq!(presence.observe(at(3_249), &[a]), [a, b]);
        assert_eq!(presence.observe(at(3_250), &[a]), [a], "three seconds after it was seen last");
        // The grace period of a returning address starts over.
        assert_eq!(presence.observe(at(6_000), &[b]), [b, a]);
        assert_eq!(presence.observe(at(6_250), &[a, b]), [a, b]);
        assert_eq!(presence.observe(at(9_249), &[]), [a, b]);
        assert!(presence.observe(at(9_250), &[]).is_empty());
    }
}
