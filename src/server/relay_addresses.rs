//! Addresses for relayed traffic: those that relay sockets bind, and those that clients receive.
//!
//! Configured addresses are used as they are. A wildcard is resolved here, by family, to the one
//! address that peers most likely reach, and sockets bind to exactly that address. With several
//! addresses and a bound wildcard, the routing table would choose the source address. A peer would
//! then receive datagrams from another address than it was told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use byway_turn::server::{RelayAddress, is_special_purpose};

use crate::config;

/// The relay's addresses, with remarks for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAddresses {
    /// One address for each available family.
    pub addresses: Vec<RelayAddress>,
    /// Addresses for clients that the internet does not reach and that the configuration does not
    /// confirm.
    private: Vec<IpAddr>,
    /// Configured addresses that this machine does not have. A wildcard is missing if its family
    /// has no address.
    pub missing: Vec<IpAddr>,
}

impl RelayAddresses {
    /// Resolves the configured addresses. `interfaces` are the permanent addresses of this machine.
    /// `sources` are its source addresses for the internet, one for each family that reaches it.
    /// Among equivalent addresses it keeps those of `before`. `is_there` tells whether a socket can
    /// be bound to an address.
    #[must_use]
    pub fn find(
        relay: &config::Relay,
        interfaces: &[IpAddr],
        sources: &[IpAddr],
        before: &[RelayAddress],
        is_there: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let mut relays = Self { addresses: Vec::new(), private: Vec::new(), missing: Vec::new() };
        for &configured in &relay.addresses {
            let same_family = |other: &&IpAddr| other.is_ipv4() == configured.is_ipv4();
            if let Some(&public) = relay.public_addresses.iter().find(same_family) {
                let ours = configured.is_unspecified() && interfaces.contains(&public);
                let bind = if ours { public } else { configured };
                match ours || is_there(bind) {
                    true => relays.addresses.push(RelayAddress { bind, public }),
                    false => relays.missing.push(configured),
                }
                continue;
            }
            let resolved = match configured.is_unspecified() {
                true => best(interfaces.iter().filter(same_family), sources, before),
                false => Some(configured).filter(|configured| is_there(*configured)),
            };
            match resolved {
                Some(ip) => relays.tell(ip),
                None => relays.missing.push(configured),
            }
        }
        relays
    }

    /// One line, with its remedy, for each address for clients that the internet does not reach.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let private = self.private.iter().map(|ip| {
            format!(
                "clients get the relay address {ip}, which the internet cannot reach: set \
                 relay.public_addresses to the address under which the internet reaches this machine, or \
                 to {ip} if only this network uses the relay"
            )
        });
        private.collect()
    }

    fn tell(&mut self, ip: IpAddr) {
        self.addresses.push(RelayAddress { bind: ip, public: ip });
        if is_special_purpose(ip) && !ip.is_loopback() {
            self.private.push(ip);
        }
    }
}

/// Prefers a public address to a private one, and among several the kernel's source address, whose
/// route leads to the internet.
fn best<'a>(
    interfaces: impl Iterator<Item = &'a IpAddr>,
    sources: &[IpAddr],
    before: &[RelayAddress],
) -> Option<IpAddr> {
    let usable: Vec<IpAddr> = interfaces.copied().filter(|ip| can_be_told(*ip)).collect();
    let public: Vec<IpAddr> = usable.iter().copied().filter(|ip| !is_special_purpose(*ip)).collect();
    let choice = if public.is_empty() { usable } else { public };
    let is_known = |ip: &&IpAddr| before.iter().any(|relay| relay.bind == **ip);
    let leads_out = choice.iter().find(|ip| sources.contains(ip));
    leads_out.or_else(|| choice.iter().find(is_known)).or(choice.first()).copied()
}

/// Whether another machine could send to the address.
fn can_be_told(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => Ipv4Addr::is_link_local(&ip),
        IpAddr::V6(ip) => Ipv6Addr::is_unicast_link_local(&ip),
    };
    !(link_local || ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &str) -> Vec<IpAddr> {
        list.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    /// The result for these relay and public addresses, on a machine with these interfaces and
    /// sources.
    fn found(relay: &str, public: &str, interfaces: &str, sources: &str) -> RelayAddresses {
        let relay = config::Relay {
            addresses: ips(relay),
            public_addresses: ips(public),
            ..config::Config::embedded().relay
        };
        RelayAddresses::find(&relay, &ips(interfaces), &ips(sources), &[], |_| true)
    }

    /// The addresses for clients, which must equal the bound ones.
    fn told(relays: &RelayAddresses) -> Vec<IpAddr> {
        let one = |address: &RelayAddress| {
            assert_eq!(address.bind, address.public);
            address.public
        };
        relays.addresses.iter().map(one).collect()
    }

    #[test]
    fn what_is_configured_is_told() {
        let public = found("45.0.0.1 2a00::1", "", "127.0.0.1", "");
        assert_eq!(told(&public), ips("45.0.0.1 2a00::1"));
        assert_eq!(public.remarks(), [""; 0]);

        let behind_nat = found("10.0.0.5 ::", "203.0.113.10 2a00::9", "10.0.0.5 2a00::1", "10.0.0.5");
        let pair = |bind: &str, public: &str| RelayAddress {
            bind: bind.parse().unwrap(),
            public: public.parse().unwrap(),
        };
        assert_eq!(behind_nat.addresses, [pair("10.0.0.5", "203.0.113.10"), pair("::", "2a00::9")]);
        assert_eq!(behind_nat.remarks(), [""; 0]);
    }

    #[test]
    fn a_wildcard_is_bound_to_the_public_address_where_this_machine_has_it() {
        let both = found("0.0.0.0", "45.0.0.2", "45.0.0.1 45.0.0.2", "45.0.0.1");
        assert_eq!(told(&both), ips("45.0.0.2"));
    }

    #[test]
    fn a_public_address_of_an_interface_wins() {
        let server = "127.0.0.1 172.17.0.1 10.0.0.5 45.0.0.1 ::1 fe80::5 fd00::5 2a00::1";
        for sources in ["", "10.0.0.5 fd00::5", "45.0.0.1 2a00::1"] {
            let relays = found("0.0.0.0 ::", "", server, sources);
            assert_eq!(told(&relays), ips("45.0.0.1 2a00::1"), "{sources}");
            assert_eq!(relays.remarks(), [""; 0]);
        }
    }

    #[test]
    fn of_several_the_one_that_leads_out_wins() {
        let public = found("0.0.0.0 ::", "", "45.0.0.1 45.0.0.2 2a00::1 2a00::2", "2a00::2 45.0.0.2");
        assert_eq!(told(&public), ips("45.0.0.2 2a00::2"));
        let private = found("0.0.0.0", "", "172.17.0.1 10.0.0.5", "10.0.0.5");
        assert_eq!(told(&private), ips("10.0.0.5"));
    }

    #[test]
    fn threat_35_of_several_that_are_alike_the_one_so_far_is_kept() {
        let relay = config::Relay { addresses: ips("0.0.0.0"), ..config::Config::embedded().relay };
        let after = |before: &str, interfaces: &str, sources: &str| {
            let before = ips(before)[0];
            let before = [RelayAddress { bind: before, public: before }];
            told(&RelayAddresses::find(&relay, &ips(interfaces), &ips(sources), &before, |_| true))
        };
        assert_eq!(after("45.0.0.1", "44.0.0.1 45.0.0.1", ""), ips("45.0.0.1"));
        assert_eq!(
            after("45.0.0.1", "44.0.0.1 45.0.0.1", "44.0.0.1"),
            ips("44.0.0.1"),
            "its route leads out"
        );
        assert_eq!(after("10.0.0.5", "10.0.0.5 45.0.0.1", "10.0.0.5"), ips("45.0.0.1"), "it is public");
        assert_eq!(after("45.0.0.1", "44.0.0.1", ""), ips("44.0.0.1"));
    }

    #[test]
    fn a_private_address_is_told_and_remarked_on() {
        let remark = "clients get the relay address 10.0.0.5, which the internet cannot reach: set \
            relay.public_addresses to the address under which the internet reaches this machine, or to \
            10.0.0.5 if only this network uses the relay";
        for relay in ["0.0.0.0", "10.0.0.5"] {
            let relays = found(relay, "", "127.0.0.1 10.0.0.5", "");
            assert_eq!(told(&relays), ips("10.0.0.5"));
            assert_eq!(relays.remarks(), [remark]);
            // The remedy of the remark silences it.
            assert_eq!(found(relay, "10.0.0.5", "10.0.0.5", "").remarks(), [""; 0]);
        }
        for ip in ["192.168.1.1", "100.64.0.1", "fd00::1", "2001:db8::1"] {
            assert_eq!(found(ip, "", "", "").remarks().len(), 1, "{ip}");
        }
    }

    #[test]
    fn the_loopback_default_is_silent() {
        let relays = found("127.0.0.1 ::1", "", "127.0.0.1 ::1", "");
        assert_eq!((told(&relays), relays.remarks()), (ips("127.0.0.1 ::1"), vec![]));
    }

    #[test]
    fn a_family_with_nothing_to_tell_is_left_out() {
        let v6_at_the_link_only = found("0.0.0.0 ::", "", "127.0.0.1 45.0.0.1 ::1 fe80::5", "");
        assert_eq!(told(&v6_at_the_link_only), ips("45.0.0.1"));
        assert_eq!(v6_at_the_link_only.missing, ips("::"));
        let nothing = found("0.0.0.0 ::", "", "127.0.0.1 169.254.3.4 ::1", "");
        assert_eq!((told(&nothing), nothing.missing), (vec![], ips("0.0.0.0 ::")));
    }

    #[test]
    fn threat_35_a_named_address_that_the_machine_lacks_is_missing() {
        let relay = config::Relay {
            addresses: ips("10.0.0.5 2a00::1"),
            public_addresses: ips("203.0.113.10"),
            ..config::Config::embedded().relay
        };
        let with = |present: &str| {
            let present = ips(present);
            RelayAddresses::find(&relay, &present, &present, &[], |ip| present.contains(&ip))
        };
        assert_eq!(with("10.0.0.5 2a00::1").missing, ips(""));
        let private_gone = with("10.0.0.6 2a00::1");
        assert_eq!((told(&private_gone), private_gone.missing), (ips("2a00::1"), ips("10.0.0.5")));
        assert_eq!(with("").missing, ips("10.0.0.5 2a00::1"));
    }
}
