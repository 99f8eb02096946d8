//! Set of IP addresses, stored as ranges. The server keeps the machine's own addresses in one.
//!
//! Pure: the driver reads the machine's addresses and passes them to the relay.

use std::net::IpAddr;

use ipnet::IpNet;

/// Set of IP addresses: single ones and whole ranges, such as a route of the kernel's local table
/// covers.
///
/// A look-up is a binary search, because every datagram that is relayed by permission makes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    /// Closed intervals in host byte order, ascending and disjoint.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl AddressSet {
    /// Whether an address is in the set.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => within(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => within(&self.v6, ip.to_bits()),
        }
    }

    /// Returns the addresses that are in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.v4.extend(&other.v4);
        union.v6.extend(&other.v6);
        union.normalise();
        union
    }

    fn normalise(&mut self) {
        merge(&mut self.v4, |end| end.checked_add(1));
        merge(&mut self.v6, |end| end.checked_add(1));
    }
}

impl<T: Into<IpNet>> FromIterator<T> for AddressSet {
    fn from_iter<I: IntoIterator<Item = T>>(nets: I) -> Self {
        let mut set = Self::default();
        set.extend(nets);
        set
    }
}

impl<T: Into<IpNet>> Extend<T> for AddressSet {
    fn extend<I: IntoIterator<Item = T>>(&mut self, nets: I) {
        for net in nets {
            match net.into() {
                IpNet::V4(net) => self.v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => self.v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        self.normalise();
    }
}

fn within<Bits: Ord + Copy>(intervals: &[(Bits, Bits)], bits: Bits) -> bool {
    let after = intervals.partition_point(|(start, _)| *start <= bits);
    after.checked_sub(1).is_some_and(|at| bits <= intervals[at].1)
}

/// Sorts intervals and joins those that overlap or touch. `next` returns the successor of an end.
fn merge<Bits: Ord + Copy>(intervals: &mut Vec<(Bits, Bits)>, next: impl Fn(Bits) -> Option<Bits>) {
    intervals.sort_unstable();
    intervals.dedup_by(|later, earlier| {
        let joins = next(earlier.1).is_none_or(|next| later.0 <= next);
        if joins {
            earlier.1 = earlier.1.max(later.1);
        }
        joins
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(nets: &str) -> AddressSet {
        nets.split_whitespace().map(|net| net.parse::<IpNet>().unwrap()).collect()
    }

    fn contains(nets: &str, ip: &str) -> bool {
        set(nets).contains(ip.parse().unwrap())
    }

    #[test]
    fn a_range_holds_its_ends_and_no_neighbour() {
        let nets = "198.51.100.0/24 45.0.0.1/32 2001:db8::/64 ::1/128";
        for own in ["198.51.100.0", "198.51.100.255", "45.0.0.1", "2001:db8::", "2001:db8::ffff", "::1"] {
            assert!(contains(nets, own), "{own}");
        }
        for other in [
            "198.51.99.255",
            "198.51.101.0",
            "45.0.0.0",
            "45.0.0.2",
            "2001:db8:0:1::",
            "::",
            "::2",
            "0.0.0.1",
        ] {
            assert!(!contains(nets, other), "{other}");
        }
        assert!(!AddressSet::default().contains("45.0.0.1".parse().unwrap()));
    }

    #[test]
    fn sets_with_the_same_addresses_are_equal() {
        assert_eq!(set("10.0.0.0/9 10.128.0.0/9 10.3.0.1/32"), set("10.0.0.0/8"));
        assert_eq!(set("0.0.0.0/1 128.0.0.0/1 ::/0"), set("::/0 0.0.0.0/0"));
        assert_eq!(set("45.0.0.1/32").union(&set("::1/128 45.0.0.0/32")), set("45.0.0.0/31 ::1/128"));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_of_ranges(
            nets in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..20), ip in any::<u32>()
        ) {
            let nets: Vec<IpNet> = nets.into_iter().map(|(bits, prefix)| {
                IpNet::new(IpAddr::V4(bits.into()), prefix).unwrap()
            }).collect();
            let set: AddressSet = nets.iter().copied().collect();
            let ends = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for ip in ends.chain([IpAddr::V4(ip.into())]) {
                prop_assert_eq!(set.contains(ip), nets.iter().any(|net| net.contains(&ip)));
            }
        }
    }
}
