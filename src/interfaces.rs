//! The addresses of this machine: of its interfaces, towards the internet, and towards its own listeners.
//!
//! Read from `/proc/self/net` rather than asked by netlink: no unsafe code, and the service needs no AF_NETLINK socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// The addresses of this machine's interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interfaces {
    /// Every address of every interface, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Those that are there to stay, by which others may be told to find this machine.
    pub lasting: Vec<IpAddr>,
}

impl Interfaces {
    /// Reads them. A machine without IPv6 has no list of its addresses.
    ///
    /// # Errors
    /// What reading `/proc/self/net/fib_trie` or `/proc/self/net/if_inet6` gives.
    pub fn read() -> io::Result<Self> {
        let net = Path::new("/proc/self/net");
        let v4 = std::fs::read_to_string(net.join("fib_trie"))?;
        let v6 = match std::fs::read_to_string(net.join("if_inet6")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        Ok(Self::parse(&v4, &v6))
    }

    fn parse(trie: &str, if_inet6: &str) -> Self {
        let v4: Vec<IpAddr> = v4_addresses(trie).into_iter().map(IpAddr::V4).collect();
        let v6 = || v6_addresses(if_inet6);
        let all = v6().map(|(ip, _)| ip.into());
        let lasting = v6().filter(|(_, lasts)| *lasts).map(|(ip, _)| ip.into());
        Self {
            lasting: v4.iter().copied().chain(lasting).collect(),
            addresses: v4.into_iter().chain(all).collect(),
        }
    }
}

/// The addresses that this machine sends from towards the internet: one for each family that has a route there.
/// Connecting a UDP socket looks up the route, and sends nothing.
#[must_use]
pub fn sources() -> Vec<IpAddr> {
    // Any address of the internet will do; these are a root name server's, and will not move.
    const OUT_THERE: [(IpAddr, IpAddr); 2] = [
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4))),
        (
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30)),
        ),
    ];
    let source = |(any, destination): (IpAddr, IpAddr)| {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((destination, 9))?;
        socket.local_addr()
    };
    OUT_THERE.into_iter().filter_map(|family| source(family).ok()).map(|address| address.ip()).collect()
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

/// One line per address: 32 hexadecimal digits, then interface, prefix, scope and flags; and whether it is there to stay.
fn v6_addresses(lines: &str) -> impl Iterator<Item = (Ipv6Addr, bool)> {
    // linux/if_addr.h: IFA_F_TEMPORARY (RFC 8981), _DADFAILED, _DEPRECATED and _TENTATIVE (RFC 4862 section 5.4).
    const PASSING: u32 = 0x01 | 0x08 | 0x20 | 0x40;
    lines.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let bits = u128::from_str_radix(words.next()?, 16).ok()?;
        let flags = words.nth(3).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        Some((Ipv6Addr::from_bits(bits), flags.is_some_and(|flags| flags & PASSING == 0)))
    })
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
    fn ipv6_addresses_are_the_first_words_and_flags_tell_which_last() {
        let lines = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 04 40 00 82     eth0
20010db8000000000000000000000003 04 40 00 01     eth0
20010db8000000000000000000000004 04 40 00 20     eth0
20010db8000000000000000000000005 04 40 00 c0     eth0
20010db8000000000000000000000006 04 40 00 88     eth0
20010db8000000000000000000000007
";
        let read: Vec<_> = v6_addresses(lines).map(|(ip, lasts)| (ip.to_string(), lasts)).collect();
        let expected = [
            ("::1", true),
            ("2001:db8::2", true),
            ("2001:db8::3", false),
            ("2001:db8::4", false),
            ("2001:db8::5", false),
            ("2001:db8::6", false),
            ("2001:db8::7", false),
        ];
        assert_eq!(read, expected.map(|(ip, lasts)| (ip.to_owned(), lasts)));
        let Interfaces { addresses, lasting } = Interfaces::parse(TRIE, lines);
        assert_eq!((addresses.len(), lasting.len()), (2 + 7, 2 + 2));
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
        assert!(Interfaces::read().unwrap().lasting.contains(&Ipv4Addr::LOCALHOST.into()));
    }
}
