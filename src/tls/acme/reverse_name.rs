//! Server names of addresses in TLS-ALPN-01 (RFC 8738 section 6): their reverse DNS names. Pure.

use std::net::IpAddr;

/// Returns the name under which the authority asks for the challenge certificate of an address: in
/// `in-addr.arpa` (RFC 1034 section 3.5) or `ip6.arpa` (RFC 3596 section 2.5).
pub(super) fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|octet| [octet & 0xF, octet >> 4]);
            let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            labels + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 8738 section 6 and RFC 3596 section 2.5.
    #[test]
    fn names_are_those_of_the_rfcs() {
        let name = |ip: &str| reverse_name(ip.parse().unwrap());
        assert_eq!(name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(name("127.0.0.1"), "1.0.0.127.in-addr.arpa");
        assert_eq!(
            name("4321:0:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
        );
    }
}
