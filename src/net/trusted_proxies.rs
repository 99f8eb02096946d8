//! Proxies whose `X-Forwarded-*` fields and PROXY headers count. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// The reverse proxies that may name their client's address: those on this machine, and the
/// configured networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts these networks in addition to loopback.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether a connection from `ip` is from a trusted proxy.
    #[must_use]
    pub fn trust(&self, ip: IpAddr) -> bool {
        ip.to_canonical().is_loopback() || self.lists(ip)
    }

    /// Whether a connection from `ip` is from a proxy of the configured networks. Loopback counts
    /// only if it is among them.
    #[must_use]
    pub fn lists(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Whether no network is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a connection from `ip` that names a client may be from a reverse proxy that the
    /// configuration lacks.
    ///
    /// Any client with a public address can name another client, so advice to trust it would serve
    /// an attacker. A private address is in the same network: another container, or another machine
    /// of the operator.
    #[must_use]
    pub fn may_lack(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let is_private = match ip {
            // Also the shared address space of carriers (RFC 6598), which overlay networks use.
            IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 0x40),
            IpAddr::V6(v6) => v6.is_unique_local(),
        };
        is_private && !self.trust(ip)
    }

    /// Whether one of the networks is a whole address family, so that the server trusts every
    /// client in it.
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
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(proxies.trust(ip), trusted, "{ip}");
            assert_eq!(proxies.lists(ip), trusted && !ip.to_canonical().is_loopback(), "{ip}");
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
