//! Ranges of peer addresses: coturn's `a-b` as prefixes, and allowed ranges as exceptions of denied
//! ones.
//!
//! In coturn an allowed range beats a denied one, and neither admits loopback. Here `peers.deny`
//! beats `peers.allow`, so the exceptions are subtracted first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

/// Prefixes of one list. A range may need up to 254 of them.
const MOST: usize = 10_000;

/// Addresses from the first to the last, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AddressRange {
    is_v6: bool,
    first: u128,
    last: u128,
}

impl AddressRange {
    /// Range from `first` to `last`; `None` if they are of two families or in the wrong order.
    pub(super) fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let bits = |address| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let range = Self { is_v6: first.is_ipv6(), first: bits(first), last: bits(last) };
        (first.is_ipv6() == last.is_ipv6() && range.first <= range.last).then_some(range)
    }

    fn of(net: &str) -> Self {
        let net: IpNet = net.parse().expect("the ranges below are prefixes");
        Self::new(net.network(), net.broadcast()).expect("a prefix has its ends in order")
    }

    /// The part of this range before and behind `other`.
    fn without(self, other: Self) -> impl Iterator<Item = Self> {
        let before = (self.first < other.first).then(|| Self { last: other.first - 1, ..self });
        let behind = (self.last > other.last).then(|| Self { first: other.last + 1, ..self });
        before.into_iter().chain(behind)
    }

    fn prefixes(self) -> Box<dyn Iterator<Item = IpNet>> {
        let v4 = |bits: u128| u32::try_from(bits).map(Ipv4Addr::from_bits);
        match (v4(self.first), v4(self.last)) {
            (Ok(first), Ok(last)) if !self.is_v6 => Box::new(Ipv4Subnets::new(first, last, 0).map(IpNet::V4)),
            _ => {
                let (first, last) = (Ipv6Addr::from_bits(self.first), Ipv6Addr::from_bits(self.last));
                Box::new(Ipv6Subnets::new(first, last, 0).map(IpNet::V6))
            }
        }
    }
}

/// Ranges that coturn 4.17 never relays to, also if `allowed-peer-ip` has them, with multicast.
fn never_allowed() -> Vec<AddressRange> {
    [
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/3",
        "::/127",
        "::ffff:0:0/96",
        "fc00::/7",
        "fe80::/9",
        "ff00::/8",
    ]
    .map(AddressRange::of)
    .to_vec()
}

/// Prefixes for `peers.deny` and `peers.allow`; `None` if there are too many.
pub(super) fn lists(
    denied: Vec<AddressRange>,
    allowed: Vec<AddressRange>,
) -> Option<(Vec<IpNet>, Vec<IpNet>)> {
    let denied = subtract(union(denied), &union(allowed.clone()));
    let allowed = subtract(union(allowed), &union(never_allowed()));
    Some((prefixes(&denied)?, prefixes(&allowed)?))
}

/// Sorted ranges that neither overlap nor touch.
fn union(mut ranges: Vec<AddressRange>) -> Vec<AddressRange> {
    ranges.sort_unstable();
    let mut merged = Vec::<AddressRange>::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.is_v6 == range.is_v6 && range.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(range.last);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Parts of `ranges` outside of `others`. Both are sorted unions.
fn subtract(ranges: Vec<AddressRange>, others: &[AddressRange]) -> Vec<AddressRange> {
    let mut left = Vec::new();
    let mut next = 0;
    for range in ranges {
        // Exceptions before this range are before all further ones, too.
        while others.get(next).is_some_and(|other| (other.is_v6, other.last) < (range.is_v6, range.first)) {
            next += 1;
        }
        let mut rest = Some(range);
        for other in
            others[next..].iter().take_while(|other| (other.is_v6, other.first) <= (range.is_v6, range.last))
        {
            let Some(current) = rest.take() else { break };
            for part in current.without(*other) {
                if part.last < other.first { left.push(part) } else { rest = Some(part) }
            }
        }
        left.extend(rest);
    }
    left
}

fn prefixes(ranges: &[AddressRange]) -> Option<Vec<IpNet>> {
    let all = ranges.iter().flat_map(|range| range.prefixes());
    let list: Vec<_> = all.take(MOST + 1).collect();
    (list.len() <= MOST).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Vec<AddressRange> {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            AddressRange::new(address(first), address(last)).unwrap()
        };
        text.split_whitespace().map(range).collect()
    }

    fn shown(denied: &str, allowed: &str) -> (String, String) {
        let (deny, allow) = lists(ranges(denied), ranges(allowed)).unwrap();
        let show = |nets: Vec<IpNet>| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        (show(deny), show(allow))
    }

    #[test]
    fn ranges_become_the_fewest_prefixes() {
        let everything =
            "10.0.0.0-10.255.255.255 83.166.64.0-83.166.95.255 192.0.2.1 ::1 64:ff9b::-64:ff9b::ffff:ffff";
        let prefixes = "10.0.0.0/8 83.166.64.0/19 192.0.2.1/32 ::1/128 64:ff9b::/96";
        assert_eq!(shown(everything, ""), (prefixes.to_owned(), String::new()));
        assert_eq!(shown("10.0.0.0-10.0.0.7 10.0.0.8-10.0.0.15 10.0.0.3", "").0, "10.0.0.0/28");
        assert_eq!(
            shown("0.0.0.0-255.255.255.255 ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "").0,
            "0.0.0.0/0 ::/0"
        );
    }

    #[test]
    fn threat_14_an_allowed_range_beats_a_denied_one_as_in_coturn() {
        assert_eq!(
            shown("10.0.0.0-10.0.0.255", "10.0.0.128-10.0.0.255"),
            ("10.0.0.0/25".to_owned(), "10.0.0.128/25".to_owned())
        );
        assert_eq!(shown("10.0.0.0-10.0.0.3", "10.0.0.1").0, "10.0.0.0/32 10.0.0.2/31");
        assert_eq!(shown("10.0.0.1-10.0.0.2 10.0.0.4-10.0.0.5", "10.0.0.0-10.0.0.255").0, "");
        assert_eq!(
            shown("10.0.0.0-10.0.0.9", "10.0.0.0 10.0.0.2 10.0.0.9 ::1").0,
            "10.0.0.1/32 10.0.0.3/32 10.0.0.4/30 10.0.0.8/32"
        );
    }

    #[test]
    fn threat_12_no_allowed_range_admits_loopback() {
        let (_, allow) =
            lists(Vec::new(), ranges("0.0.0.0-255.255.255.255 ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
                .unwrap();
        for address in [
            "127.0.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "169.254.169.254",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert!(!allow.iter().any(|net| net.contains(&address)), "{address}");
        }
        assert!(allow.iter().any(|net| net.contains(&"10.1.2.3".parse::<IpAddr>().unwrap())));
        assert_eq!(shown("", "127.0.0.1 ::1").1, "");
    }

    #[test]
    fn a_wrong_range_is_none_and_too_many_prefixes_are_refused() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(AddressRange::new(address("10.0.0.2"), address("10.0.0.1")), None);
        assert_eq!(AddressRange::new(address("10.0.0.2"), address("::1")), None);
        let many = (0..20_000u32).map(|n| IpAddr::from(Ipv4Addr::from_bits(n * 4)));
        assert!(lists(many.map(|ip| AddressRange::new(ip, ip).unwrap()).collect(), Vec::new()).is_none());
    }
}
