//! Reverse proxies whose `X-Forwarded-*` fields count. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// The reverse proxies that speak for their clients: those on this machine, and the configured networks.
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

    /// Whether one of the networks is a whole address family, so that every client of it is believed.
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
        assert!(!TrustedProxies::default().trust("172.18.0.3".parse().unwrap()));
    }
}
