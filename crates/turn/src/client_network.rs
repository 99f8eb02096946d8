//! Client networks: the key of limits per client.

use std::net::IpAddr;

/// Client network: an IPv4 address, or an IPv6 /64, because one client owns every address of a /64.
/// An IPv4-mapped IPv6 address counts as its IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// Network of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            // ::1 is not masked to a /64: it is this machine, as 127.0.0.1 is.
            IpAddr::V6(v6) if !v6.is_loopback() => Self(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            other => Self(other),
        }
    }

    /// Whether it is this machine, for example a reverse proxy that serves many clients.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_one_and_so_is_an_ipv6_network_of_64_bits() {
        let of = |ip: &str| ClientNetwork::of(ip.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert!(of("::1").is_loopback() && of("127.0.0.1").is_loopback());
        assert!(!of("::").is_loopback());
    }
}
