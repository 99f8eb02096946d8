//! Reverse proxies whose `X-Forwarded-*` fields count. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// The reverse proxies that speak for their clients: those on this machine, and the configured
/// networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts these networks beside loopback.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether a connection from `ip` is a trusted proxy's.
    #[must_use]
    pub fn trust(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_loopback() || self.0.iter().any(|network| network.contains(&ip))
    }

    /// Whether a connection from `ip` may be that of a reverse proxy which is missing here, if it
    /// says whom it speaks for.
    ///
    /// Of a public address anybody can say so, and the advice to trust it would be an attacker's.
    /// Of a private one, only who is in the same network can: a container beside this one, another
    /// machine of the operator's.
    #[must_use]
    pub fn may_lack(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let is_private = match ip {
            // Also the space between a network and its carrier (RFC 6598), which overlay networks
            // use.
            IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 0x40),
            IpAddr::V6(v6) => v6.is_unique_local(),
        };
        is_private && !self.trust(ip)
    }

    /// Whether one of the networks is a whole address family, so that every client of it is
    /// believed.
    #[must_use]
    pub fn trust_everyone(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_the_named_networks_are_trusted() {
        let proxies =
            TrustedProxies::new(vec!["172.18.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (ip, trusted) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("172.18.0.3", true),
            ("::ffff:172.18.0.3", true),
            ("fd00::1", true),
            ("172.19.0.1", false),
            ("2001:db8::1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(proxies.trust(ip.parse().unwrap()), trusted, "{ip}");
        }
        for (ip, may_lack) in [
            ("10.0.0.2", true),
            ("::ffff:192.168.1.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("172.18.0.3", false),
            ("fc00::1", true),
            ("fd00::1", false),
            ("127.0.0.1", false),
            ("198.51.100.7", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(proxies.may_lack(ip.parse().unwrap()), may_lack, "{ip}");
        }
        assert!(!TrustedProxies::default().trust("172.18.0.3".parse().unwrap()));
    }
}
