//! The addresses of this machine's interfaces, and how it reaches its own listeners.
//!
//! Read from `/proc/self/net` rather than asked by netlink: no unsafe code, and the service needs no AF_NETLINK socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Every address of every interface, IPv4 first. A machine without IPv6 has no list of its addresses.
///
/// # Errors
/// What reading `/proc/self/net/fib_trie` or `/proc/self/net/if_inet6` gives.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let net = Path::new("/proc/self/net");
    let v4 = std::fs::read_to_string(net.join("fib_trie"))?;
    let v6 = match std::fs::read_to_string(net.join("if_inet6")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    Ok(v4_addresses(&v4).into_iter().map(IpAddr::V4).chain(v6_addresses(&v6).map(IpAddr::V6)).collect())
}

/// The address under which this machine reaches a listener of its own: a wildcard is no destination, loopback is.
#[must_use]
pub fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// The leaves of the kernel's routing trie that are local to the host. An address may stand in several tables.
///
/// ```text
///      |-- 192.0.2.2
///         /32 host LOCAL
/// ```
fn v4_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut addresses = Vec::new();
    let mut leaf = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            addresses.extend(leaf.filter(|address| !addresses.contains(address)));
        }
    }
    addresses
}

/// One line per address, which is its first word: 32 hexadecimal digits.
fn v6_addresses(lines: &str) -> impl Iterator<Item = Ipv6Addr> {
    let bits = |line: &str| u128::from_str_radix(line.split_whitespace().next()?, 16).ok();
    lines.lines().filter_map(bits).map(Ipv6Addr::from_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
     |-- 127.0.0.0
        /32 link BROADCAST
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.2
        /32 host LOCAL
";

    #[test]
    fn ipv4_addresses_are_the_local_host_routes() {
        assert_eq!(v4_addresses(TRIE), [Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::LOCALHOST]);
    }

    #[test]
    fn ipv6_addresses_are_the_first_words() {
        let lines = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 04 40 00 82     eth0
";
        let expected: [Ipv6Addr; 2] = ["::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        assert!(v6_addresses(lines).eq(expected));
    }

    #[test]
    fn a_wildcard_is_reached_at_loopback() {
        for (listener, reached) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.2:1", "192.0.2.2:1")]
        {
            assert_eq!(reachable(listener.parse().unwrap()), reached.parse().unwrap());
        }
    }

    #[test]
    fn this_machine_has_loopback() {
        assert!(addresses().unwrap().contains(&Ipv4Addr::LOCALHOST.into()));
    }
}
