//! Whether an address is there, with patience for one that goes and comes back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use byway_turn::time::Now;

/// Time for which an address that has gone counts as there. Network managers take addresses away
/// and give them back within a moment, as they renew a lease or restart. Sockets that are bound
/// outlast that, and so should calls.
const PATIENCE: Duration = Duration::from_secs(3);

/// When each address was there last.
#[derive(Debug, Default)]
pub(super) struct AddressPresence(BTreeMap<IpAddr, Duration>);

impl AddressPresence {
    /// Takes in the addresses that are there at this moment; yields those that count as there, in
    /// the order of `present`, and those in their patience behind them.
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
        // One that comes back begins again.
        assert_eq!(presence.observe(at(6_000), &[b]), [b, a]);
        assert_eq!(presence.observe(at(6_250), &[a, b]), [a, b]);
        assert_eq!(presence.observe(at(9_249), &[]), [a, b]);
        assert!(presence.observe(at(9_250), &[]).is_empty());
    }
}
